//! Signing secrets, and the type that keeps any secret out of logs.

use std::{error::Error, fmt};

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

const PREFIX: &str = "whsec_";
const SHORTEST: usize = 8;
const LONGEST: usize = 256;
const MASK: &str = "••••";

/// Receivers differ about padding and stray low bits; whatever one of them can decode is a key.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A text that must not be seen: `Debug` prints `[redacted]`, and there is no `Display`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A signing secret of the caller's choice.
    ///
    /// # Errors
    /// [`SecretError`] unless it has 8 to 256 characters, none of them a control character.
    pub fn new(text: impl Into<String>) -> Result<Self, SecretError> {
        let text = text.into();
        let length = text.chars().count();
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(SecretError::Length { characters: length });
        }
        if text.chars().any(char::is_control) {
            return Err(SecretError::ControlCharacter);
        }
        Ok(Self(text))
    }

    /// A new signing secret: `whsec_` and base64 of 32 bytes from a cryptographic random source.
    pub fn generate(random: [u8; 32]) -> Self {
        let mut text = PREFIX.to_owned();
        STANDARD.encode_string(random, &mut text);
        Self(text)
    }

    /// A password, header value or the like, to which the rules of signing secrets do not apply.
    pub(crate) fn opaque(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for signing and for the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be shown: `whsec_••••`, or `••••` for a secret of another form.
    pub fn masked(&self) -> String {
        let prefix = if self.0.starts_with(PREFIX) { PREFIX } else { "" };
        format!("{prefix}{MASK}")
    }

    /// The key of Standard Webhooks: what follows `whsec_`, base64-decoded (standard alphabet, padded or
    /// not). `None` when the secret is of another form.
    pub fn standard_key(&self) -> Option<Vec<u8>> {
        standard_key(&self.0)
    }
}

pub(crate) fn standard_key(secret: &str) -> Option<Vec<u8>> {
    let encoded = secret.strip_prefix(PREFIX).filter(|rest| !rest.is_empty())?;
    LENIENT.decode(encoded).ok()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a text cannot be a signing secret. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// Too short or too long.
    Length {
        /// The length that was given.
        characters: usize,
    },
    /// A line break, tab, NUL or the like: mostly a slip in copying.
    ControlCharacter,
    /// The signature scheme `standard` needs a secret of the form `whsec_` and base64.
    NotStandard,
}

impl SecretError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Length { .. } | Self::ControlCharacter => format!(
                "Give {SHORTEST} to {LONGEST} characters without control characters, or none: \
                 then a secret is generated."
            ),
            Self::NotStandard => {
                "Use a secret of the form whsec_<base64>, or let one be generated; or another signature option."
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { characters } => {
                write!(f, "a secret of {characters} characters is outside {SHORTEST} to {LONGEST}")
            }
            Self::ControlCharacter => f.write_str("the secret contains a control character"),
            Self::NotStandard => {
                f.write_str("the secret is not of the form whsec_<base64> that signature \"standard\" needs")
            }
        }
    }
}

impl Error for SecretError {}
