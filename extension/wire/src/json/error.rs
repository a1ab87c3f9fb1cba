//! Why bytes are no JSON that can be sent.

use std::{error::Error, fmt};

/// Bytes that cannot be a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Not UTF-8 (possible in an `SQL_ASCII` database).
    InvalidUtf8,
    /// Not JSON.
    Syntax {
        /// The first byte that does not fit, counted from 0.
        offset: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    TooDeep,
}

impl JsonError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::InvalidUtf8 => {
                "Webhook bodies are UTF-8. Correct the text, or use a database whose encoding is checked."
            }
            Self::Syntax { .. } => "Emit valid JSON (RFC 8259).",
            Self::TooDeep => "Flatten the data.",
        }
        .to_owned()
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUtf8 => f.write_str("the data is not valid UTF-8"),
            Self::Syntax { offset } => write!(f, "the data is not valid JSON at byte {offset}"),
            Self::TooDeep => write!(f, "the data is nested deeper than {} levels", super::MAX_DEPTH),
        }
    }
}

impl Error for JsonError {}
