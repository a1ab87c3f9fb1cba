//! Whether a condition holds.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Comparison, Node, Number, Test};

impl Node {
    pub(super) fn holds(&self, value: Option<&Value>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(value)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(value)),
            Self::Not(node) => !node.holds(value),
            Self::At(path, node) => path.any(value, &|value| node.holds(value)),
            Self::Test(test) => value.is_some_and(|value| test.holds(value)),
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Exists => true,
            Self::Equals(operand) => operand.accepts(value),
            Self::In(operands) => operands.iter().any(|operand| operand.accepts(value)),
            Self::Compare(comparison, bound) => Number::of(value)
                .and_then(|number| number.compare(*bound))
                .is_some_and(|ordering| comparison.holds(ordering)),
            Self::Matches(regex) => value.as_str().is_some_and(|text| regex.is_match(text)),
            Self::StartsWith(start) => value.as_str().is_some_and(|text| text.starts_with(start)),
            Self::EndsWith(end) => value.as_str().is_some_and(|text| text.ends_with(end)),
        }
    }
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}
