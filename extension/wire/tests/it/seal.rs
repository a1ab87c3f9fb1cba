use proptest::prelude::*;
use webhook_wire::{
    seal::{PrivateKey, PublicKey, SealError, key_id},
    secret::{Secret, SecretError},
};

const WEBHOOK: &str = "wh_01hf7yat00e0bvrc5ka7r0m3dz";

fn key(n: u8) -> PrivateKey {
    PrivateKey::generate([n; 32])
}

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("a secret")
}

#[test]
fn keys_are_read_back_as_they_are_written() {
    let private = key(1);
    let again = PrivateKey::parse(&private.expose()).expect("a key");
    assert_eq!((again.expose(), again.public()), (private.expose(), private.public()));
    assert_eq!(PublicKey::parse(&private.public().to_string()).as_ref(), Ok(private.public()));
    assert_eq!(private.public().id().len(), 16);
    assert_ne!(private.public().id(), key(2).public().id());
    for text in ["", "whsealkey_", "whsealkey_AAAA", &*private.public().to_string(), &private.expose()[1..]] {
        assert_eq!(PrivateKey::parse(text).map(|_| ()), Err(SealError::PrivateKey), "{text}");
    }
    for text in ["", "whsealpub_", "whsealpub_!", &*private.expose()] {
        assert_eq!(PublicKey::parse(text), Err(SealError::PublicKey), "{text}");
    }
}

#[test]
fn debug_shows_no_key() {
    let private = key(1);
    let shown = format!("{private:?}");
    assert_eq!(shown, format!("PrivateKey({})", private.public().id()));
}

#[test]
fn only_the_key_opens_it_and_only_for_its_webhook() {
    let (private, other) = (key(1), key(2));
    let sealed = private.public().seal(&secret("your_webhook_secret"), WEBHOOK, [7; 32]);
    assert_eq!(key_id(&sealed), Some(&*private.public().id()));
    assert_eq!(private.open(&sealed, WEBHOOK).expect("it opens").expose(), "your_webhook_secret");
    for (key, text, webhook) in [
        (&other, &*sealed, WEBHOOK),
        (&private, &sealed, "wh_01hf7yat00e0bvrc5ka7r0m3dy"),
        (&private, &sealed[..sealed.len() - 4], WEBHOOK),
        (&private, "whsealed_0123456789abcdef_", WEBHOOK),
        (&private, "whsealed_0123456789abcdef_AAAA", WEBHOOK),
        (&private, "whsealed_", WEBHOOK),
        (&private, "your_webhook_secret", WEBHOOK),
    ] {
        assert_eq!(key.open(text, webhook).map(|_| ()), Err(SealError::Broken), "{text}");
    }
}

#[test]
fn the_same_secret_is_sealed_differently_each_time() {
    let (private, secret) = (key(1), secret("your_webhook_secret"));
    let seal = |random| private.public().seal(&secret, WEBHOOK, random);
    assert_ne!(seal([7; 32]), seal([8; 32]));
    assert_eq!(key_id("your_webhook_secret"), None);
}

#[test]
fn what_was_sealed_must_be_a_secret() {
    let sealed = key(1).public().seal(&Secret::stand_in(""), WEBHOOK, [7; 32]);
    let error = key(1).open(&sealed, WEBHOOK).map(|_| ()).expect_err("it is empty");
    assert_eq!(error, SealError::Secret(SecretError::Length { characters: 0 }));
}

proptest! {
    #[test]
    fn whatever_is_sealed_is_opened(text in "[^\\p{Cc}]{8,64}", random: [u8; 32]) {
        let Ok(secret) = Secret::new(text) else { return Ok(()) };
        let private = PrivateKey::generate(random);
        let sealed = private.public().seal(&secret, WEBHOOK, random);
        prop_assert!(sealed.is_ascii() && !sealed.contains(secret.expose()));
        prop_assert_eq!(private.open(&sealed, WEBHOOK).expect("it opens").expose().to_owned(), secret.expose());
    }
}
