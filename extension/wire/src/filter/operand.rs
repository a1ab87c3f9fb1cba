//! What values are compared with. A numeric string equals the number it spells.

use std::cmp::Ordering;

use serde_json::Value;

/// The right side of an equality, prepared.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Null,
    Bool(bool),
    Number(Number),
    Text {
        text: String,
        /// What it spells.
        number: Option<Number>,
    },
    Array(Vec<Operand>),
    Object(Vec<(String, Operand)>),
}

impl Operand {
    pub(super) fn new(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => Self::Number(Number::new(number)),
            Value::String(text) => Self::Text { text: text.clone(), number: Number::spelled(text) },
            Value::Array(items) => Self::Array(items.iter().map(Self::new).collect()),
            Value::Object(members) => {
                Self::Object(members.iter().map(|(key, value)| (key.clone(), Self::new(value))).collect())
            }
        }
    }

    /// Equal, or a scalar that an array contains.
    pub(super) fn accepts(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Array(_) | Self::Object(_), _) => self.equals(value),
            (_, Value::Array(items)) => items.iter().any(|item| self.equals(item)),
            _ => self.equals(value),
        }
    }

    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(own), Value::Bool(other)) => own == other,
            (Self::Number(own) | Self::Text { number: Some(own), .. }, Value::Number(other)) => {
                own.equals(Number::new(other))
            }
            (Self::Number(own), Value::String(text)) => {
                Number::spelled(text).is_some_and(|other| own.equals(other))
            }
            (Self::Text { text, .. }, Value::String(other)) => text == other,
            (Self::Array(own), Value::Array(other)) => {
                own.len() == other.len() && own.iter().zip(other).all(|(own, other)| own.equals(other))
            }
            (Self::Object(own), Value::Object(other)) => {
                own.len() == other.len()
                    && own.iter().all(|(key, own)| other.get(key).is_some_and(|other| own.equals(other)))
            }
            _ => false,
        }
    }
}

/// A JSON number: integers of 64 bits exactly, others as `f64`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    pub(super) fn new(number: &serde_json::Number) -> Self {
        if let Some(integer) = number.as_i64() {
            Self::Integer(integer.into())
        } else if let Some(integer) = number.as_u64() {
            Self::Integer(integer.into())
        } else {
            Self::Float(number.as_f64().unwrap_or(f64::NAN))
        }
    }

    /// A number, or a text that spells one.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(Self::new(number)),
            Value::String(text) => Self::spelled(text),
            _ => None,
        }
    }

    /// The number that a text spells in JSON's grammar; read like those of the data, so that both round
    /// alike.
    pub(super) fn spelled(text: &str) -> Option<Self> {
        let starts = text.starts_with(|char: char| char.is_ascii_digit() || char == '-');
        let ends = text.ends_with(|char: char| char.is_ascii_digit());
        if !(starts && ends) {
            return None;
        }
        serde_json::from_str(text).ok().map(|number| Self::new(&number))
    }

    pub(super) fn equals(self, other: Self) -> bool {
        self.compare(other) == Some(Ordering::Equal)
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(own), Self::Integer(other)) => Some(own.cmp(&other)),
            _ => self.float().partial_cmp(&other.float()),
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }
}
