use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use webhook_wire::{
    key::{Key, KeyError},
    secret::{Secret, SecretError},
    signature::{Scheme, sign, standard, verify, verify_standard},
};

const SEED: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PAIR: &str =
    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIME: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
/// By Python's cryptography with the key above.
const SIGNATURE: &str =
    "v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw==";

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn private(bytes: &[u8]) -> String {
    format!("whsk_{}", STANDARD.encode(bytes))
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("no wrong key").expect("a key")
}

#[test]
fn rfc_8032_vectors() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let (seed, public, message) = (unhex(seed), unhex(public), unhex(message));
        let expected = format!("v1a,{}", STANDARD.encode(unhex(signature)));
        let shown = format!("whpk_{}", STANDARD.encode(&public));
        for secret in [private(&seed), private(&[seed.clone(), public].concat())] {
            assert_eq!(sign(&message, &secret, Scheme::Standard), Ok(Some(expected.clone())));
            assert_eq!(key(&secret).public().as_deref(), Some(&*shown));
            assert_eq!(verify(&message, &expected, &secret, Scheme::Standard), Ok(true));
        }
        assert_eq!(verify(&message, &expected, &shown, Scheme::Standard), Ok(true));
    }
}

#[test]
fn it_signs_id_timestamp_and_body() {
    for secret in [SEED, PAIR, SEED.trim_end_matches('=')] {
        assert_eq!(standard(&key(secret), ID, TIME, BODY).as_deref(), Some(SIGNATURE));
        assert_eq!(Secret::new(secret).expect("a secret").kind(), PUBLIC);
        assert!(verify_standard(&key(secret), ID, TIME, BODY, SIGNATURE));
    }
    assert!(verify_standard(&key(PUBLIC), ID, TIME, BODY, SIGNATURE));
    assert!(verify_standard(&key(PUBLIC), ID, TIME, BODY, &format!("v1,AAAA v1a,AAAA {SIGNATURE}")));
    assert!(!verify_standard(&key(PUBLIC), ID, TIME + 1, BODY, SIGNATURE));
    assert!(!verify_standard(&key(PUBLIC), "msg_other", TIME, BODY, SIGNATURE));
    for forged in ["", "v1a,", &SIGNATURE.replace("v1a", "v1"), &SIGNATURE[4..], &SIGNATURE.replace('f', "g")]
    {
        assert!(!verify_standard(&key(PUBLIC), ID, TIME, BODY, forged), "{forged}");
    }
}

/// Were the public key taken for the key of an HMAC, whoever knows it could sign.
#[test]
fn a_public_key_is_no_symmetric_one() {
    let bytes = STANDARD.decode(&PUBLIC[5..]).expect("base64");
    for forger in [bytes, PUBLIC.as_bytes().to_vec()] {
        let forged = standard(&Key::Symmetric(forger), ID, TIME, BODY).expect("a signature");
        assert!(!verify_standard(&key(PUBLIC), ID, TIME, BODY, &forged));
        assert!(!verify_standard(&key(PUBLIC), ID, TIME, BODY, &forged.replace("v1,", "v1a,")));
    }
    assert_eq!(standard(&key(PUBLIC), ID, TIME, BODY), None);
    assert_eq!(sign(BODY, PUBLIC, Scheme::Standard), Err(SecretError::PublicKey));
    assert_eq!(Secret::new(PUBLIC).map(|_| ()), Err(SecretError::PublicKey));
}

#[test]
fn wrong_keys_are_refused_and_never_shown() {
    let cases = [
        ("whsk_canarycanary!".to_owned(), KeyError::NotBase64),
        ("whsk_-_-_-_-_".to_owned(), KeyError::NotBase64),
        ("whsk_cana=ryc".to_owned(), KeyError::NotBase64),
        ("whsk_canarycanary".to_owned(), KeyError::Length { bytes: 9 }),
        (private(&[7; 31]), KeyError::Length { bytes: 31 }),
        (private(&[7; 63]), KeyError::Length { bytes: 63 }),
        (private(&[7; 64]), KeyError::Mismatch),
        (PAIR.replace("DXWp", "DXWq"), KeyError::Mismatch),
    ];
    for (text, expected) in cases {
        let error = Secret::new(&*text).expect_err(&text);
        assert_eq!(error, SecretError::Key(expected), "{text}");
        assert_eq!(sign(b"", &text, Scheme::Standard), Err(error));
        assert_eq!(verify(b"", SIGNATURE, &text, Scheme::Standard), Err(error));
        assert!(!format!("{error} {error:?} {}", error.hint()).contains(&text[5..]), "{error}");
        // Other schemes take the text as it is.
        assert!(sign(b"", &text, Scheme::Sha256).is_ok_and(|signature| signature.is_some()));
    }
    let zero_point = format!("whpk_{}", STANDARD.encode([0; 32]));
    for public in ["whpk_", "whpk_canary!!", "whpk_canarycanary", &zero_point, &PUBLIC.replace("Ro=", "Ro==")]
    {
        assert_eq!(Key::parse(public).map(|_| ()), Err(KeyError::NotPublic), "{public}");
    }
}

#[test]
fn debug_shows_no_key() {
    for text in [SEED, PAIR, "whsec_q6urq6urq6urq6ur"] {
        let shown = format!("{:?} {:?}", key(text), Secret::new(text));
        assert!(shown.contains("[redacted]") && !shown.contains("157") && !shown.contains("171"), "{shown}");
    }
}

#[test]
fn standard_takes_a_private_key() {
    let secret = Secret::new(SEED).expect("a secret");
    assert_eq!(Scheme::Standard.check_kind(&secret.kind()), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_signed_verifies_with_the_public_key_and_nothing_else(
        seed: [u8; 32], other: [u8; 32], id in "[a-z0-9_]{1,30}", at: i64, body: Vec<u8>, flip: usize,
    ) {
        prop_assume!(seed != other);
        let key_ = key(&private(&seed));
        let public = key(&key_.public().expect("a public key"));
        let stranger = key(&private(&other));
        let signature = standard(&key_, &id, at, &body).expect("a signature");
        prop_assert!(verify_standard(&public, &id, at, &body, &signature));
        prop_assert!(!verify_standard(&stranger, &id, at, &body, &signature));
        let mut changed = body.clone();
        changed.push(0);
        prop_assert!(!verify_standard(&public, &id, at, &changed, &signature));
        let mut bytes = STANDARD.decode(&signature[4..]).expect("base64");
        let flip = flip % (8 * bytes.len());
        bytes[flip / 8] ^= 1 << (flip % 8);
        let forged = format!("v1a,{}", STANDARD.encode(bytes));
        prop_assert!(!verify_standard(&public, &id, at, &body, &forged));
    }

    #[test]
    fn any_text_is_read_without_panic(text in "(whsk_|whpk_|whsec_)?[A-Za-z0-9+/=é]{0,100}") {
        let _ = Key::parse(&text);
        let _ = Secret::new(text);
    }
}
