//! Which clause does not hold, in words.

use std::fmt;

use serde_json::Value;

use super::{Comparison, Node, Number, Operand, Test};
use crate::text::excerpt;

/// `value` is what lies at `path`.
pub(super) fn failing(node: &Node, path: &str, value: Option<&Value>) -> Option<String> {
    if node.holds(value) {
        return None;
    }
    match node {
        Node::All(nodes) => nodes.iter().find_map(|node| failing(node, path, value)),
        Node::At(rest, node) if !rest.walks() => failing(node, &join(path, rest), rest.single(value)),
        Node::At(rest, node) => Some(format!("no value at {} meets {}", join(path, rest), clause(node))),
        Node::Not(node) => match &**node {
            Node::At(rest, node) if !rest.walks() => {
                Some(unmet(&join(path, rest), &format!("not ({})", clause(node)), rest.single(value)))
            }
            Node::At(rest, node) => Some(format!("a value at {} meets {}", join(path, rest), clause(node))),
            node => Some(unmet(path, &format!("not ({})", clause(node)), value)),
        },
        Node::Any(_) | Node::Test(_) => Some(unmet(path, &clause(node), value)),
    }
}

fn unmet(path: &str, clause: &str, value: Option<&Value>) -> String {
    match value {
        // The whole of the data says nothing.
        Some(_) if path.is_empty() => format!("{clause} does not hold"),
        Some(value) => format!("{path} is {}, which does not meet {clause}", excerpt(&value.to_string())),
        None => format!("{path} is absent, which does not meet {clause}"),
    }
}

fn join(path: &str, rest: &super::Path) -> String {
    if path.is_empty() { rest.to_string() } else { format!("{path}.{rest}") }
}

fn clause(node: &Node) -> String {
    excerpt(&node.to_string())
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(nodes) => list(f, nodes, " and "),
            Self::Any(nodes) => list(f, nodes, " or "),
            Self::Not(node) => write!(f, "not ({node})"),
            Self::At(path, node) => write!(f, "{path} {node}"),
            Self::Test(test) => test.fmt(f),
        }
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if at > 0 { separator } else { "" })?;
    }
    Ok(())
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("$exist true"),
            Self::Equals(operand) => write!(f, "$eq {operand}"),
            Self::In(operands) => {
                f.write_str("$in [")?;
                list(f, operands, ",")?;
                f.write_str("]")
            }
            Self::Compare(comparison, bound) => write!(f, "{comparison} {bound}"),
            Self::Matches(regex) => write!(f, "$regex {}", Value::from(regex.as_str())),
            Self::StartsWith(start) => write!(f, "$startsWith {}", Value::from(start.as_str())),
            Self::EndsWith(end) => write!(f, "$endsWith {}", Value::from(end.as_str())),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greater => "$gt",
            Self::GreaterOrEqual => "$gte",
            Self::Less => "$lt",
            Self::LessOrEqual => "$lte",
        })
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(bool) => bool.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text { text, .. } => Value::from(text.as_str()).fmt(f),
            Self::Array(items) => {
                f.write_str("[")?;
                list(f, items, ",")?;
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (at, (key, value)) in members.iter().enumerate() {
                    let separator = if at > 0 { "," } else { "" };
                    write!(f, "{separator}{}:{value}", Value::from(key.as_str()))?;
                }
                f.write_str("}")
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => integer.fmt(f),
            Self::Float(float) => float.fmt(f),
        }
    }
}
