//! The keys of Standard Webhooks: `whsec_` (HMAC-SHA256, signs `v1,…`), `whsk_` and `whpk_` (Ed25519, `v1a,…`).

use std::{error::Error, fmt};

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use ed25519_dalek::{
    KEYPAIR_LENGTH, PUBLIC_KEY_LENGTH, SECRET_KEY_LENGTH, Signature, SigningKey, VerifyingKey,
    ed25519::signature::MultipartSigner,
};
use hmac::Mac;

use crate::signature::mac;

/// What a secret of the symmetric form begins with.
pub(crate) const SYMMETRIC: &str = "whsec_";
const PRIVATE: &str = "whsk_";
/// What the public half of an asymmetric key begins with.
pub(crate) const PUBLIC: &str = "whpk_";
const V1: &str = "v1,";
const V1A: &str = "v1a,";

/// Receivers differ about padding and stray low bits; whatever one of them can decode is a key.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A key that signs or verifies as Standard Webhooks does. `Debug` shows its kind alone.
#[derive(Clone)]
pub enum Key {
    /// From `whsec_`: signs and verifies `v1,<base64>`.
    Symmetric(Vec<u8>),
    /// From `whsk_`: signs and verifies `v1a,<base64>`.
    Private(Box<SigningKey>),
    /// From `whpk_`: only verifies `v1a,<base64>`.
    Public(Box<VerifyingKey>),
}

impl Key {
    /// The key that a text spells; `None` when it is a text of another form.
    ///
    /// # Errors
    /// [`KeyError`] when it begins with `whsk_` or `whpk_` and no such key follows. After `whsec_` that is not an
    /// error: the text is then a secret like any other.
    pub fn parse(text: &str) -> Result<Option<Self>, KeyError> {
        if let Some(encoded) = text.strip_prefix(PRIVATE) {
            return private(encoded).map(|key| Some(Self::Private(Box::new(key))));
        }
        if let Some(encoded) = text.strip_prefix(PUBLIC) {
            return public(encoded).map(|key| Some(Self::Public(Box::new(key))));
        }
        let encoded = text.strip_prefix(SYMMETRIC).filter(|rest| !rest.is_empty());
        Ok(encoded.and_then(|encoded| LENIENT.decode(encoded).ok()).map(Self::Symmetric))
    }

    /// The public key as receivers get it, `whpk_<base64>`; `None` for a symmetric key.
    pub fn public(&self) -> Option<String> {
        let key = self.verifying()?;
        let mut text = PUBLIC.to_owned();
        STANDARD.encode_string(key.as_bytes(), &mut text);
        Some(text)
    }

    /// A private key that everybody knows.
    pub(crate) fn nobodys() -> Self {
        Self::Private(Box::new(SigningKey::from_bytes(&[0; SECRET_KEY_LENGTH])))
    }

    /// The signature over the parts, one after the other; `None` from a public key.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> Option<String> {
        let mut text = String::with_capacity(V1A.len() + 88);
        match self {
            Self::Symmetric(key) => {
                text.push_str(V1);
                STANDARD.encode_string(mac(key, parts).finalize().into_bytes(), &mut text);
            }
            Self::Private(key) => {
                text.push_str(V1A);
                STANDARD.encode_string(key.multipart_sign(parts).to_bytes(), &mut text);
            }
            Self::Public(_) => return None,
        }
        Some(text)
    }

    /// Whether one of the space-separated signatures is this key's over the parts. HMACs are compared in
    /// constant time.
    pub(crate) fn verify(&self, parts: &[&[u8]], signatures: &str) -> bool {
        let prefix = if let Self::Symmetric(_) = self { V1 } else { V1A };
        let mut given =
            signatures.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix(prefix)?).ok());
        if let Self::Symmetric(key) = self {
            let mac = mac(key, parts);
            return given.any(|digest| mac.clone().verify_slice(&digest).is_ok());
        }
        let Some(key) = self.verifying() else { return false };
        let signed = parts.concat();
        given.any(|bytes| {
            Signature::from_slice(&bytes)
                .is_ok_and(|signature| key.verify_strict(&signed, &signature).is_ok())
        })
    }

    fn verifying(&self) -> Option<VerifyingKey> {
        match self {
            Self::Symmetric(_) => None,
            Self::Private(key) => Some(key.verifying_key()),
            Self::Public(key) => Some(**key),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symmetric(_) => "Symmetric([redacted])",
            Self::Private(_) => "Private([redacted])",
            Self::Public(_) => "Public",
        })
    }
}

fn private(encoded: &str) -> Result<SigningKey, KeyError> {
    let bytes = LENIENT.decode(encoded).map_err(|_| KeyError::NotBase64)?;
    if let Ok(pair) = <&[u8; KEYPAIR_LENGTH]>::try_from(&*bytes) {
        return SigningKey::from_keypair_bytes(pair).map_err(|_| KeyError::Mismatch);
    }
    let seed = <[u8; SECRET_KEY_LENGTH]>::try_from(&*bytes);
    seed.map(|seed| SigningKey::from_bytes(&seed)).map_err(|_| KeyError::Length { bytes: bytes.len() })
}

fn public(encoded: &str) -> Result<VerifyingKey, KeyError> {
    let bytes = LENIENT.decode(encoded).map_err(|_| KeyError::NotPublic)?;
    let bytes = <[u8; PUBLIC_KEY_LENGTH]>::try_from(&*bytes).map_err(|_| KeyError::NotPublic)?;
    // A weak key verifies signatures that nobody made.
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak()).ok_or(KeyError::NotPublic)
}

/// Why a text that begins like an Ed25519 key is none. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// What follows `whsk_` is not base64.
    NotBase64,
    /// What follows `whsk_` is neither a seed nor a key pair.
    Length {
        /// The length that was given, decoded.
        bytes: usize,
    },
    /// What follows `whsk_` has the length of a key pair whose second half is not the public key of the first.
    Mismatch,
    /// What follows `whpk_` is not the base64 of a public key.
    NotPublic,
}

impl KeyError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotPublic => "whpk_ is followed by base64 of 32 bytes: the secret that webhook_get() shows.",
            _ => {
                "whsk_ is followed by base64 of an Ed25519 private key: its 32 bytes of seed, or seed and public key. \
                 A new one: openssl genpkey -algorithm ed25519 -outform DER | tail -c 32 | base64"
            }
        }
        .to_owned()
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBase64 => f.write_str("what follows whsk_ in the secret is not base64"),
            Self::Length { bytes } => {
                write!(f, "the key after whsk_ in the secret has {bytes} bytes, neither 32 nor 64")
            }
            Self::Mismatch => f.write_str(
                "in the key after whsk_ in the secret, the public part does not belong to the seed",
            ),
            Self::NotPublic => {
                f.write_str("what follows whpk_ in the secret is not the base64 of an Ed25519 public key")
            }
        }
    }
}

impl Error for KeyError {}
