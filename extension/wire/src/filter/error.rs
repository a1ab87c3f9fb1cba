//! Why a filter is refused.

use std::{error::Error, fmt};

use serde_json::Value;

use super::{
    MAX_BYTES, MAX_DEPTH,
    parse::{MOST_REGEXES, OPERATORS},
};
use crate::text::excerpt;

/// A filter that cannot be used. `path` is the key, with those above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// Not a JSON object.
    NotAnObject,
    /// Larger than [`MAX_BYTES`].
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep {
        /// Where.
        path: String,
    },
    /// `{}` in the place of a condition: it could mean two things.
    Empty {
        /// Where.
        path: String,
    },
    /// A key with an empty part, or with an operator in it.
    Path {
        /// The key.
        path: String,
    },
    /// `$something` that is no operator.
    UnknownOperator {
        /// Where.
        path: String,
        /// What was given.
        operator: String,
    },
    /// An operator outside any key.
    NeedsKey {
        /// Which.
        operator: String,
    },
    /// An operator with a value it cannot have.
    Operand {
        /// Where.
        path: String,
        /// Which.
        operator: String,
        /// What it needs.
        expected: &'static str,
        /// What it has, as JSON, shortened.
        value: String,
    },
    /// More regular expressions than one filter may have.
    TooManyRegexes {
        /// Where the first one too many is.
        path: String,
    },
    /// A regular expression that does not compile, or only to something too large.
    Regex {
        /// Where.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}

impl FilterError {
    pub(super) fn operand(path: String, operator: &str, expected: &'static str, value: &Value) -> Self {
        let operator = operator.to_owned();
        Self::Operand { path, operator, expected, value: excerpt(&value.to_string()) }
    }

    pub(super) fn regex(path: String, error: &regex::Error) -> Self {
        // A syntax error is a drawing of several lines, the last of which says it.
        let text = error.to_string();
        let message = text.lines().last().unwrap_or_default();
        Self::Regex { path, message: excerpt(message.strip_prefix("error: ").unwrap_or(message)) }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotAnObject => "Give a JSON object, like {\"plan\": \"pro\"}.".to_owned(),
            Self::TooLarge { .. } => format!("A filter has at most {MAX_BYTES} bytes."),
            Self::TooDeep { .. } => {
                format!("Objects nest at most {MAX_DEPTH} deep; dotted keys (\"a.b.c\") need no nesting.")
            }
            Self::Empty { .. } => {
                "Ask for presence by {\"$exist\": true}, for an empty object by {\"$eq\": {}}.".to_owned()
            }
            Self::Path { .. } => {
                "A key is names joined by dots, $ for the elements of an array; an operator is a key of its own: \
                 {\"age\": {\"$gt\": 5}}."
                    .to_owned()
            }
            Self::UnknownOperator { .. } => format!("Known operators: {}.", OPERATORS.join(", ")),
            Self::NeedsKey { operator } => format!("Put it under a key: {{\"age\": {{\"{operator}\": …}}}}."),
            Self::Operand { operator, expected, .. } => format!("{operator} takes {expected}."),
            Self::TooManyRegexes { .. } => {
                format!("A filter has at most {MOST_REGEXES}; one may hold alternatives: \"cat|dog\".")
            }
            Self::Regex { .. } => "The syntax is that of the Rust crate regex: no look-around, no backreferences. \
                                   Classes of ASCII, like [A-Za-z0-9_] for \\w, are smaller by far."
                .to_owned(),
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid filter")?;
        match self {
            Self::NotAnObject => f.write_str(": it is not a JSON object"),
            Self::TooLarge { bytes } => write!(f, ": {bytes} bytes are too many"),
            Self::TooDeep { path } => write!(f, "{}: nested too deep", At(path)),
            Self::Empty { path } => write!(f, "{}: {{}} is no condition", At(path)),
            Self::Path { path } => write!(f, "{}: not a usable key", At(path)),
            Self::UnknownOperator { path, operator } => {
                write!(f, "{}: unknown operator {}", At(path), excerpt(operator))
            }
            Self::NeedsKey { operator } => write!(f, ": operator {operator} outside a key"),
            Self::Operand { path, operator, value, .. } => write!(f, "{}: {operator} {value}", At(path)),
            Self::TooManyRegexes { path } => write!(f, "{}: too many regexes", At(path)),
            Self::Regex { path, message } => write!(f, "{}: $regex: {message}", At(path)),
        }
    }
}

impl Error for FilterError {}

/// ` at "user.role"`, nothing for the filter as a whole.
struct At<'a>(&'a str);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " at \"{}\"", excerpt(self.0)) }
    }
}
