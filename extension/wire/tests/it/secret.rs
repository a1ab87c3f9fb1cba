use proptest::prelude::*;
use webhook_wire::{
    key::Key,
    secret::{Secret, SecretError, kind_of, masked},
    signature::Scheme,
};

/// The bytes of a symmetric key.
fn bytes(secret: &Secret) -> Option<&[u8]> {
    match secret.standard_key()? {
        Key::Symmetric(bytes) => Some(bytes),
        Key::Private(_) | Key::Public(_) => None,
    }
}

#[test]
fn generated_secrets_have_the_standard_form() {
    let secret = Secret::generate([0xab; 32]);
    assert_eq!(secret.expose(), "whsec_q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=");
    assert_eq!(bytes(&secret), Some(&[0xab; 32][..]));
    assert_eq!(masked(&secret.kind()), "whsec_••••");
}

#[test]
fn debug_shows_nothing() {
    let secret = Secret::new("hunter2hunter2").expect("a secret");
    assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "[redacted] Some([redacted])");
    assert_eq!(masked(&secret.kind()), "••••");
}

#[test]
fn lengths_are_counted_in_characters() {
    let cases = [("short12", false), ("eight888", true), ("éééééééé", true), ("ééééééé", false), ("", false)];
    for (text, valid) in cases {
        assert_eq!(Secret::new(text).is_ok(), valid, "{text}");
    }
    assert!(Secret::new("x".repeat(256)).is_ok());
    assert_eq!(Secret::new("x".repeat(257)).map(|_| ()), Err(SecretError::Length { characters: 257 }),);
}

#[test]
fn control_characters_are_refused_and_never_shown() {
    for text in ["canary123\n", "canary\u{0}123", "canary\t123", "canary\u{7f}123", "canary\u{85}123"] {
        let error = Secret::new(text).expect_err("a control character");
        assert_eq!(error, SecretError::ControlCharacter);
        assert!(!format!("{error} {error:?} {}", error.hint()).contains("canary"));
    }
}

#[test]
fn standard_keys_are_found_padded_or_not() {
    let cases: [(&str, Option<&[u8]>); 9] = [
        ("whsec_YWJjZGU=", Some(b"abcde")),
        ("whsec_YWJjZGU", Some(b"abcde")),
        ("whsec_YWJjZGV", Some(b"abcde")), // stray low bits: some receivers take it
        ("whsec_+/+/+/+/", Some(&[0xfb, 0xff, 0xbf, 0xfb, 0xff, 0xbf])),
        ("whsec_-_-_-_-_", None), // the URL-safe alphabet is not Standard Webhooks
        ("whsec_abc de", None),
        ("whsec_ab=c", None),
        ("YWJjZGU=", None),
        ("WHSEC_YWJjZGU=", None),
    ];
    for (text, key) in cases {
        let secret = Secret::new(text).expect(text);
        assert_eq!(bytes(&secret), key, "{text}");
    }
}

#[test]
fn a_sealed_secret_is_none() {
    let error = Secret::new("whsealed_0123456789abcdef_AAAA").expect_err("it is sealed");
    assert_eq!(error, SecretError::Sealed);
    assert!(error.hint().contains("--secret-key-file"));
}

#[test]
fn what_stands_in_for_a_secret_is_of_its_kind() {
    for text in [
        "whsec_YWJjZGU=",
        "whsec_ab=c",
        "your_webhook_secret",
        "whsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=",
    ] {
        let secret = Secret::new(text).expect(text);
        let stand_in = Secret::stand_in(&secret.kind());
        let variant = |secret: &Secret| secret.standard_key().map(std::mem::discriminant);
        assert_eq!(variant(&stand_in), variant(&secret), "{text}");
        assert_ne!(stand_in.expose(), text);
    }
}

#[test]
fn a_secret_given_for_its_kind_is_not_shown() {
    for text in [
        "whsec_YWJjZGU=",
        "your_webhook_secret",
        "short",
        "whsealed_0123456789abcdef_AAAA",
        "whsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=",
    ] {
        let kind = kind_of(text);
        assert_eq!(kind, Secret::new(text).map_or_else(|_| String::new(), |secret| secret.kind()));
        assert_eq!(kind_of(&kind), kind, "a kind is its own");
        assert!(!masked(&kind).contains(text), "{text}");
    }
}

#[test]
fn only_the_standard_scheme_is_particular() {
    let own = Secret::new("your_webhook_secret").expect("a secret");
    for scheme in [Scheme::Sha256, Scheme::Hex, Scheme::Static, Scheme::None] {
        assert_eq!(scheme.check_kind(&own.kind()), Ok(()));
    }
    assert_eq!(Scheme::Standard.check_kind(&own.kind()), Err(SecretError::NotStandard));
    assert_eq!(Scheme::Standard.check_kind(&Secret::generate([1; 32]).kind()), Ok(()));
}

proptest! {
    #[test]
    fn generated_keys_round_trip(random: [u8; 32]) {
        let secret = Secret::generate(random);
        prop_assert_eq!(bytes(&secret), Some(&random[..]));
        prop_assert!(Secret::new(secret.expose()).is_ok());
        prop_assert_eq!(secret.kind(), "whsec_");
    }
}
