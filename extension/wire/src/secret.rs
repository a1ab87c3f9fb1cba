//! Signing secrets, and the type that keeps any secret out of logs.

use std::{error::Error, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    key::{Key, KeyError, PUBLIC, SYMMETRIC},
    seal,
};

const SHORTEST: usize = 8;
const LONGEST: usize = 256;
const MASK: &str = "••••";

/// A text that must not be seen: `Debug` prints `[redacted]`, and there is no `Display`.
#[derive(Clone)]
pub struct Secret {
    text: String,
    key: Option<Key>,
}

impl Secret {
    /// A signing secret of the caller's choice.
    ///
    /// # Errors
    /// [`SecretError`] unless it has 8 to 256 characters, none of them a control character, and if it begins with
    /// `whsk_`, a private key follows. A public key (`whpk_`) is no secret, and a sealed one (`whsealed_`) is none any
    /// more.
    pub fn new(text: impl Into<String>) -> Result<Self, SecretError> {
        let text = text.into();
        if text.starts_with(seal::SEALED) {
            return Err(SecretError::Sealed);
        }
        let length = text.chars().count();
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(SecretError::Length { characters: length });
        }
        if text.chars().any(char::is_control) {
            return Err(SecretError::ControlCharacter);
        }
        match Key::parse(&text)? {
            Some(Key::Public(_)) => Err(SecretError::PublicKey),
            key => Ok(Self { text, key }),
        }
    }

    /// A new signing secret: `whsec_` and base64 of 32 bytes from a cryptographic random source.
    pub fn generate(random: [u8; 32]) -> Self {
        let mut text = SYMMETRIC.to_owned();
        STANDARD.encode_string(random, &mut text);
        Self { text, key: Some(Key::Symmetric(random.to_vec())) }
    }

    /// A password, header value or the like, to which the rules of signing secrets do not apply.
    pub(crate) fn opaque(text: impl Into<String>) -> Self {
        Self { text: text.into(), key: None }
    }

    /// The text itself, for signing and for the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What may be known of it: `whsec_` of a key of Standard Webhooks, the public key `whpk_…` of a `whsk_…`, nothing of
    /// any other text.
    pub fn kind(&self) -> String {
        match &self.key {
            Some(Key::Symmetric(_)) => SYMMETRIC.to_owned(),
            Some(key) => key.public().unwrap_or_default(),
            None => String::new(),
        }
    }

    /// A secret of this kind that is nobody's, to stand in where what it signs is not shown.
    pub fn stand_in(kind: &str) -> Self {
        if kind.starts_with(PUBLIC) {
            return Self { text: String::new(), key: Some(Key::nobodys()) };
        }
        let key = (kind == SYMMETRIC).then(|| Key::Symmetric(Vec::new()));
        Self { text: String::new(), key }
    }

    /// The key of Standard Webhooks: what follows `whsec_` or `whsk_`, base64-decoded (standard alphabet, padded
    /// or not). `None` when the secret is of another form.
    pub fn standard_key(&self) -> Option<&Key> {
        self.key.as_ref()
    }
}

/// A kind as it is; of anything else, which SQL of the extension 0.1 gives, the kind of the secret that it must be.
pub fn kind_of(kind_or_secret: &str) -> String {
    match kind_or_secret {
        "" | SYMMETRIC => kind_or_secret.to_owned(),
        public if public.starts_with(PUBLIC) => public.to_owned(),
        secret => Secret::new(secret).map_or_else(|_| String::new(), |secret| secret.kind()),
    }
}

/// A secret of this kind as it may be shown: the public key, `whsec_••••` or `••••`.
pub fn masked(kind: &str) -> String {
    if kind.starts_with(PUBLIC) { kind.to_owned() } else { format!("{kind}{MASK}") }
}

/// Whether secrets of this kind are keys of Standard Webhooks.
pub(crate) fn is_standard(kind: &str) -> bool {
    !kind.is_empty()
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
    /// It begins with `whsk_` or `whpk_`, and no such key follows.
    Key(KeyError),
    /// A public key, which anybody may know and nothing can be signed with.
    PublicKey,
    /// A secret as the database keeps it, which only the relay can open.
    Sealed,
    /// The signature scheme `standard` needs a secret of the form `whsec_` or `whsk_` and base64.
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
            Self::Key(error) => error.hint(),
            Self::PublicKey => {
                "Give the private key, whsk_<base64>; receivers verify with the public one.".to_owned()
            }
            Self::Sealed => {
                "Give the secret itself; the relay's --secret-key-file opens sealed ones, and nothing in the database does."
                    .to_owned()
            }
            Self::NotStandard => {
                "Use a secret of the form whsec_<base64> or whsk_<base64>, or let one be generated; or another signature option."
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
            Self::Key(error) => error.fmt(f),
            Self::PublicKey => f.write_str("the secret is a public key (whpk_), which cannot sign"),
            Self::Sealed => f.write_str("the secret is sealed (whsealed_)"),
            Self::NotStandard => f.write_str(
                "the secret is not of the form whsec_<base64> or whsk_<base64> that signature \"standard\" needs",
            ),
        }
    }
}

impl Error for SecretError {}

impl From<KeyError> for SecretError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}
