//! Event types (`user.created`), patterns over them (`user.*`) and near misses.

use std::{cmp::Reverse, error::Error, fmt};

use crate::text::excerpt;

const LONGEST: usize = 128;
const MOST_PARTS: usize = 8;
/// Names less alike than this are no near miss.
const NEAR: f64 = 0.6;

/// Checks an event type: 1 to 8 parts of `[a-z0-9_]+` joined by dots, at most 128 characters.
///
/// # Errors
/// [`EventTypeError`] naming what is wrong.
pub fn check(text: &str) -> Result<(), EventTypeError> {
    if text.len() > LONGEST {
        return Err(EventTypeError::new(text, Fault::Long));
    }
    if text.split('.').any(str::is_empty) {
        return Err(EventTypeError::new(text, Fault::EmptyPart));
    }
    if text.split('.').count() > MOST_PARTS {
        return Err(EventTypeError::new(text, Fault::Parts));
    }
    match text.chars().find(|char| !matches!(char, 'a'..='z' | '0'..='9' | '_' | '.')) {
        Some(char) => Err(EventTypeError::new(text, Fault::Character(char))),
        None => Ok(()),
    }
}

/// Which event types a webhook wants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `*`: every type.
    Any,
    /// `user.*`: every type below; holds `user.` with the dot.
    Below(String),
    /// One type.
    Exact(String),
}

impl Pattern {
    /// Reads a pattern: an exact type, a type followed by `.*`, or `*`.
    ///
    /// # Errors
    /// [`EventTypeError`] when the fixed part is no event type.
    pub fn parse(text: &str) -> Result<Self, EventTypeError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let Some(parent) = text.strip_suffix(".*") else {
            return check(text).map(|()| Self::Exact(text.to_owned())).map_err(EventTypeError::in_pattern);
        };
        check(parent).map_err(EventTypeError::in_pattern)?;
        Ok(Self::Below(format!("{parent}.")))
    }

    /// Whether events of this type are wanted.
    pub fn matches(&self, event_type: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(prefix) => event_type.len() > prefix.len() && event_type.starts_with(prefix.as_str()),
            Self::Exact(exact) => exact == event_type,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(prefix) => write!(f, "{prefix}*"),
            Self::Exact(exact) => f.write_str(exact),
        }
    }
}

/// At most `n` of the known types that a mistyped type or `….*` pattern may have meant, the nearest first.
pub fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>, n: usize) -> Vec<&'a str> {
    let parent = text.strip_suffix(".*");
    let mut near: Vec<(u32, &str)> = known
        .filter_map(|candidate| {
            let likeness = match parent {
                Some(parent) => strsim::normalized_damerau_levenshtein(parent, head(candidate, parent)),
                None => strsim::normalized_damerau_levenshtein(text, candidate),
            };
            (likeness >= NEAR).then_some(((likeness * 1000.0) as u32, candidate))
        })
        .collect();
    near.sort_by_key(|&(likeness, candidate)| (Reverse(likeness), candidate));
    near.dedup();
    near.into_iter().take(n).map(|(_, candidate)| candidate).collect()
}

/// As many parts of `candidate` as `parent` has.
fn head<'a>(candidate: &'a str, parent: &str) -> &'a str {
    let parts = parent.split('.').count();
    candidate.match_indices('.').nth(parts - 1).map_or(candidate, |(at, _)| &candidate[..at])
}

/// A text that is no event type, or no pattern of types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTypeError {
    text: String,
    fault: Fault,
    pattern: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Long,
    EmptyPart,
    Parts,
    Character(char),
}

impl EventTypeError {
    fn new(text: &str, fault: Fault) -> Self {
        Self { text: excerpt(text), fault, pattern: false }
    }

    fn in_pattern(self) -> Self {
        Self { pattern: true, ..self }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        let form = "1 to 8 parts of a-z, 0-9 and _ joined by dots, at most 128 characters";
        if self.pattern {
            format!("An event pattern is an exact type, \"user.*\" or \"*\"; a type is {form}.")
        } else {
            format!("An event type is {form}, like \"user.created\".")
        }
    }
}

impl fmt::Display for EventTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.pattern { "event pattern" } else { "event type" };
        write!(f, "invalid {kind} \"{}\": ", self.text)?;
        match self.fault {
            Fault::Long => write!(f, "longer than {LONGEST} characters"),
            Fault::EmptyPart => f.write_str("a part is empty"),
            Fault::Parts => write!(f, "more than {MOST_PARTS} parts"),
            Fault::Character(char) => write!(f, "character {char:?} is not allowed"),
        }
    }
}

impl Error for EventTypeError {}
