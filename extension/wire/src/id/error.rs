//! Why a text is no id.

use std::{error::Error, fmt};

use super::Prefix;
use crate::text::excerpt;

/// A text that is not the id that was asked for. Both variants carry the text, shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdError {
    /// The id should start with another prefix.
    Prefix {
        /// The prefix that was wanted.
        expected: Prefix,
        /// What was given.
        text: String,
    },
    /// The prefix may be right, the rest is not 26 base32 characters.
    Malformed {
        /// What was given.
        text: String,
    },
}

impl IdError {
    pub(super) fn prefix(expected: Prefix, text: &str) -> Self {
        Self::Prefix { expected, text: excerpt(text) }
    }

    pub(super) fn malformed(text: &str) -> Self {
        Self::Malformed { text: excerpt(text) }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Prefix { expected, .. } => {
                format!("An id of this kind is \"{}_\" and 26 characters.", expected.text())
            }
            Self::Malformed { .. } => {
                "An id is a prefix (wh_, evt_, src_, sub_ or del_) and 26 lower-case base32 characters."
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix { expected, text } => {
                write!(f, "\"{text}\" does not start with \"{}_\"", expected.text())
            }
            Self::Malformed { text } => write!(f, "\"{text}\" is not an id"),
        }
    }
}

impl Error for IdError {}
