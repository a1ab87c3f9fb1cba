//! Signatures: the plain HMAC of the `X-Webhook-Signature` header, and Standard Webhooks.

use std::{error::Error, fmt};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    key::Key,
    secret::{self, SecretError},
    text::excerpt,
};

const SHA256_PREFIX: &str = "sha256=";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The option `signature`: how a request proves where it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// `X-Webhook-Signature: sha256=<hex>`.
    #[default]
    Sha256,
    /// The same without the prefix.
    Hex,
    /// Only `webhook-signature: v1,<base64>` or `v1a,<base64>` (Standard Webhooks).
    Standard,
    /// A fixed header and value.
    Static,
    /// No proof at all.
    None,
}

impl Scheme {
    pub(crate) const ALL: [Self; 5] = [Self::Sha256, Self::Hex, Self::Standard, Self::Static, Self::None];

    /// Reads the option's text.
    ///
    /// # Errors
    /// [`UnknownScheme`] for any other text.
    pub fn parse(text: &str) -> Result<Self, UnknownScheme> {
        Self::ALL.into_iter().find(|scheme| scheme.text() == text).ok_or_else(|| UnknownScheme(excerpt(text)))
    }

    /// The option's text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Hex => "hex",
            Self::Standard => "standard",
            Self::Static => "static",
            Self::None => "none",
        }
    }

    /// Whether a webhook with this scheme can use a secret of this [kind](crate::secret::Secret::kind).
    ///
    /// # Errors
    /// [`SecretError::NotStandard`] when the scheme is `standard` and the secret holds no key for it.
    pub fn check_kind(self, kind: &str) -> Result<(), SecretError> {
        match self {
            Self::Standard if !secret::is_standard(kind) => Err(SecretError::NotStandard),
            _ => Ok(()),
        }
    }

    /// Whether requests under this scheme are signed with the webhook's secret.
    pub fn signs(self) -> bool {
        matches!(self, Self::Sha256 | Self::Hex | Self::Standard)
    }
}

/// HMAC-SHA256 in lower-case hex.
pub fn hex_hmac(secret: &[u8], payload: &[u8]) -> String {
    let digest = mac(secret, &[payload]).finalize().into_bytes();
    let mut hex = String::with_capacity(digest.len() * 2);
    for byte in digest {
        hex.push(char::from(HEX[usize::from(byte >> 4)]));
        hex.push(char::from(HEX[usize::from(byte & 15)]));
    }
    hex
}

/// `sha256=` and HMAC-SHA256 in lower-case hex.
pub fn prefixed_hmac(secret: &[u8], payload: &[u8]) -> String {
    format!("{SHA256_PREFIX}{}", hex_hmac(secret, payload))
}

/// The signature of Standard Webhooks over `id.unix_seconds.body`: `v1,<base64>`, or `v1a,<base64>` by a private
/// key. `None` from a public key.
pub fn standard(key: &Key, id: &str, unix_seconds: i64, body: &[u8]) -> Option<String> {
    key.sign(&[id.as_bytes(), b".", unix_seconds.to_string().as_bytes(), b".", body])
}

/// The signature of a payload as its header shows it. For [`Scheme::Standard`] the payload is the whole
/// signed text, `id.timestamp.body`. `None` when the scheme computes nothing (`static`, `none`).
///
/// # Errors
/// [`SecretError`] when the scheme is `standard` and the secret is a wrong `whsk_` key, or a public one.
pub fn sign(payload: &[u8], secret: &str, scheme: Scheme) -> Result<Option<String>, SecretError> {
    Ok(match scheme {
        Scheme::Sha256 => Some(prefixed_hmac(secret.as_bytes(), payload)),
        Scheme::Hex => Some(hex_hmac(secret.as_bytes(), payload)),
        Scheme::Standard => Some(standard_key(secret)?.sign(&[payload]).ok_or(SecretError::PublicKey)?),
        Scheme::Static | Scheme::None => None,
    })
}

/// Whether the signature is right, compared in constant time. For [`Scheme::Standard`] the payload is the
/// whole signed text, the signature may be a space-separated list, and the secret may be a public key, `whpk_…`;
/// for [`Scheme::Static`] the signature is the header's value and must be the secret. Under [`Scheme::None`]
/// nothing can be proved: `false`.
///
/// # Errors
/// [`SecretError`] when the scheme is `standard` and the secret is a wrong `whsk_` or `whpk_` key.
pub fn verify(payload: &[u8], signature: &str, secret: &str, scheme: Scheme) -> Result<bool, SecretError> {
    let key = secret.as_bytes();
    Ok(match scheme {
        Scheme::Sha256 => {
            signature.strip_prefix(SHA256_PREFIX).is_some_and(|hex| verify_hex(payload, hex, key))
        }
        Scheme::Hex => verify_hex(payload, signature, key),
        Scheme::Standard => standard_key(secret)?.verify(&[payload], signature),
        Scheme::Static => {
            // Equal digests under a key nobody else knows: neither length nor content can be timed.
            let expected = mac(key, &[key]).finalize().into_bytes();
            mac(key, &[signature.as_bytes()]).verify_slice(&expected).is_ok()
        }
        Scheme::None => false,
    })
}

/// Whether one of the space-separated signatures of a `webhook-signature` header is right, in constant time.
/// The caller judges the timestamp's age.
pub fn verify_standard(key: &Key, id: &str, unix_seconds: i64, body: &[u8], signatures: &str) -> bool {
    key.verify(&[id.as_bytes(), b".", unix_seconds.to_string().as_bytes(), b".", body], signatures)
}

/// The key under `standard`; a secret of another form is used as it is, so that a request never goes
/// unsigned.
fn standard_key(secret: &str) -> Result<Key, SecretError> {
    Ok(Key::parse(secret)?.unwrap_or_else(|| plain_key(secret)))
}

/// The text itself as a symmetric key.
pub(crate) fn plain_key(secret: &str) -> Key {
    Key::Symmetric(secret.as_bytes().to_vec())
}

pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

fn verify_hex(payload: &[u8], hex: &str, secret: &[u8]) -> bool {
    decode_hex(hex).is_some_and(|digest| mac(secret, &[payload]).verify_slice(&digest).is_ok())
}

fn decode_hex(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 2 * digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let (high, low) = (char::from(pair[0]).to_digit(16)?, char::from(pair[1]).to_digit(16)?);
        *byte = (high << 4 | low) as u8;
    }
    Some(digest)
}

/// A text that names no signature scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScheme(String);

impl UnknownScheme {
    /// What to do about it.
    pub fn hint(&self) -> String {
        format!("Known signatures: {}.", Scheme::ALL.map(Scheme::text).join(", "))
    }
}

impl fmt::Display for UnknownScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown signature \"{}\"", self.0)
    }
}

impl Error for UnknownScheme {}
