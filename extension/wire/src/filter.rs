//! Filters: conditions over the `data` of an event, written as JSON.
//!
//! ```
//! # use serde_json::json;
//! # use webhook_wire::filter::Filter;
//! let filter = Filter::parse(&json!({"plan": "pro", "usage.seats": {"$gte": 10}, "items.$.sku": "A-1"}))?;
//! assert!(filter.matches(&json!({"plan": "pro", "usage": {"seats": 12}, "items": [{"sku": "A-1"}]})));
//! # Ok::<(), webhook_wire::filter::FilterError>(())
//! ```
//!
//! Where a key walks an array, some element has to meet its conditions. Those of one object are asked of the
//! same element: `{"items.$": {"sku": "A-1", "count": {"$gt": 1}}}`. `$neq`, `$nin`, `$not` and `{"$exist":
//! false}` are always the exact opposite of `$eq`, `$in`, their content and `{"$exist": true}`: no element
//! may.

mod conditions;
mod error;
mod eval;
mod explain;
mod operand;
mod parse;
mod path;

use regex::Regex;
use serde_json::Value;

pub use error::FilterError;

use operand::{Number, Operand};
use path::Path;

/// Objects inside each other, the filter itself included.
pub const MAX_DEPTH: usize = 8;
/// Bytes of the filter as compact JSON.
pub const MAX_BYTES: usize = 16 * 1024;

/// A checked and compiled filter.
#[derive(Clone, Debug)]
pub struct Filter {
    root: Node,
}

impl Filter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// [`FilterError`] naming the path and the operator.
    pub fn parse(filter: &Value) -> Result<Self, FilterError> {
        parse::filter(filter).map(|root| Self { root })
    }

    /// Whether an event with this `data` passes.
    pub fn matches(&self, data: &Value) -> bool {
        self.root.holds(Some(data))
    }

    /// The first clause that does not hold, in words; `None` when the event passes.
    pub fn explain(&self, data: &Value) -> Option<String> {
        explain::failing(&self.root, "", Some(data))
    }
}

/// A condition on the value at hand, or on its absence.
#[derive(Clone, Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// Holds for the value at the path; where the path walks arrays, for one of the values.
    At(Path, Box<Node>),
    Test(Test),
}

/// What is asked of one value. Nothing holds for an absent one.
#[derive(Clone, Debug)]
enum Test {
    Exists,
    Equals(Operand),
    In(Vec<Operand>),
    Compare(Comparison, Number),
    Matches(Regex),
    StartsWith(String),
    EndsWith(String),
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}
