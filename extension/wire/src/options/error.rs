//! Why options are refused.

use std::{error::Error, fmt};

use serde_json::Value;

use super::KEYS;
use crate::text::excerpt;

/// Options that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionsError {
    /// Not a JSON object.
    NotAnObject,
    /// No option has this name.
    UnknownKey {
        /// The name.
        key: String,
    },
    /// An option has a value it cannot have.
    Invalid {
        /// The option, `headers.X-Name` for a part of one.
        key: String,
        /// The value as JSON, unless it may be secret.
        value: Option<String>,
        /// What it should be.
        expected: String,
    },
}

impl OptionsError {
    pub(super) fn invalid(key: &str, value: &Value, expected: impl Into<String>) -> Self {
        Self::Invalid {
            key: excerpt(key),
            value: Some(excerpt(&value.to_string())),
            expected: expected.into(),
        }
    }

    /// For values that must not appear in an error.
    pub(super) fn invalid_secret(key: &str, expected: impl Into<String>) -> Self {
        Self::Invalid { key: excerpt(key), value: None, expected: expected.into() }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotAnObject => "Give a JSON object, like {\"timeout_ms\": 5000}.".to_owned(),
            Self::UnknownKey { .. } => format!("Known options: {}.", KEYS.join(", ")),
            Self::Invalid { key, expected, .. } => format!("Option {key} must be {expected}."),
        }
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("options are not a JSON object"),
            Self::UnknownKey { key } => write!(f, "unknown option \"{key}\""),
            Self::Invalid { key, value: Some(value), .. } => write!(f, "invalid option {key}: {value}"),
            Self::Invalid { key, value: None, .. } => write!(f, "invalid option {key}"),
        }
    }
}

impl Error for OptionsError {}
