//! From JSON to conditions.

use std::cell::Cell;

use regex::RegexBuilder;
use serde_json::{Map, Value};

use super::{
    Comparison, FilterError, MAX_BYTES, MAX_DEPTH, Node, Number, Operand, Path, Test, conditions::Conditions,
};

pub(super) const OPERATORS: [&str; 15] = [
    "$eq",
    "$neq",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$exist",
    "$regex",
    "$startsWith",
    "$endsWith",
    "$and",
    "$or",
    "$not",
];

/// Compiled, a regex may take this much memory, and its cache as much again. Searching takes at worst as many
/// steps a byte as the program is long, so this bounds time too.
const REGEX_BYTES: usize = 256 * 1024;
pub(super) const MOST_REGEXES: u32 = 32;

pub(super) fn filter(filter: &Value) -> Result<Node, FilterError> {
    let bytes = filter.to_string().len();
    if bytes > MAX_BYTES {
        return Err(FilterError::TooLarge { bytes });
    }
    match filter {
        Value::Object(members) => Ok(Place::root(&Cell::new(0)).object(members)?.node()),
        _ => Err(FilterError::NotAnObject),
    }
}

/// Where in the filter the parser is.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The keys on the way here.
    above: Option<&'a Place<'a>>,
    key: &'a str,
    depth: usize,
    /// In the whole filter so far.
    regexes: &'a Cell<u32>,
}

impl<'a> Place<'a> {
    fn root(regexes: &'a Cell<u32>) -> Self {
        Self { above: None, key: "", depth: 0, regexes }
    }

    fn path(&self) -> String {
        match self.above {
            Some(above) if above.above.is_some() => format!("{}.{}", above.path(), self.key),
            _ => self.key.to_owned(),
        }
    }

    fn below(&'a self, key: &'a str) -> Self {
        Self { above: Some(self), key, ..*self }
    }

    fn object(&self, members: &Map<String, Value>) -> Result<Conditions, FilterError> {
        let place = Self { depth: self.depth + 1, ..*self };
        if place.depth > MAX_DEPTH {
            return Err(FilterError::TooDeep { path: self.path() });
        }
        let mut conditions = Conditions::default();
        for (key, value) in members {
            if key == "$" || key.starts_with("$.") || !key.starts_with('$') {
                conditions.met.push(place.key(key, value)?);
            } else {
                place.operator(key, value, &mut conditions)?;
            }
        }
        Ok(conditions)
    }

    fn key(&self, key: &str, value: &Value) -> Result<Node, FilterError> {
        let place = self.below(key);
        let invalid = || FilterError::Path { path: place.path() };
        if key.split('.').any(|part| OPERATORS.contains(&part)) {
            return Err(invalid());
        }
        let path = Path::parse(key).ok_or_else(invalid)?;
        Ok(place.condition(value)?.at(&path))
    }

    /// What a value stands for in the place of a condition.
    fn condition(&self, value: &Value) -> Result<Conditions, FilterError> {
        match value {
            Value::Object(members) if members.is_empty() => Err(FilterError::Empty { path: self.path() }),
            Value::Object(members) => self.object(members),
            _ => Ok(Conditions::one(Node::Test(Test::Equals(Operand::new(value))))),
        }
    }

    fn operator(
        &self,
        operator: &str,
        value: &Value,
        conditions: &mut Conditions,
    ) -> Result<(), FilterError> {
        if !OPERATORS.contains(&operator) {
            return Err(FilterError::UnknownOperator { path: self.path(), operator: operator.to_owned() });
        }
        if self.above.is_none() && !matches!(operator, "$and" | "$or" | "$not") {
            return Err(FilterError::NeedsKey { operator: operator.to_owned() });
        }
        match operator {
            "$and" => {
                for filter in self.filters(operator, value)? {
                    conditions.met.extend(filter.met);
                    conditions.unmet.extend(filter.unmet);
                }
            }
            "$or" => {
                let filters = self.filters(operator, value)?;
                conditions.met.push(Node::Any(filters.into_iter().map(Conditions::node).collect()));
            }
            "$not" => conditions.unmet.push(self.filter(operator, value)?),
            _ => {
                let test = Node::Test(self.test(operator, value)?);
                if matches!(operator, "$neq" | "$nin") || (operator == "$exist" && *value == false) {
                    conditions.unmet.push(Conditions::one(test));
                } else {
                    conditions.met.push(test);
                }
            }
        }
        Ok(())
    }

    fn test(&self, operator: &str, value: &Value) -> Result<Test, FilterError> {
        let refused = |expected| FilterError::operand(self.path(), operator, expected, value);
        let number = || Number::of(value).ok_or_else(|| refused("a number"));
        let text = || value.as_str().ok_or_else(|| refused("a string"));
        Ok(match operator {
            "$in" | "$nin" => {
                let items = value.as_array().ok_or_else(|| refused("an array"))?;
                Test::In(items.iter().map(Operand::new).collect())
            }
            "$gt" => Test::Compare(Comparison::Greater, number()?),
            "$gte" => Test::Compare(Comparison::GreaterOrEqual, number()?),
            "$lt" => Test::Compare(Comparison::Less, number()?),
            "$lte" => Test::Compare(Comparison::LessOrEqual, number()?),
            "$exist" if value.is_boolean() => Test::Exists,
            "$exist" => return Err(refused("true or false")),
            "$regex" => self.regex(text()?)?,
            "$startsWith" => Test::StartsWith(text()?.to_owned()),
            "$endsWith" => Test::EndsWith(text()?.to_owned()),
            // `$eq` and `$neq`
            _ => Test::Equals(Operand::new(value)),
        })
    }

    /// What `$and` and `$or` combine.
    fn filters(&self, operator: &str, value: &Value) -> Result<Vec<Conditions>, FilterError> {
        let filters = value.as_array().filter(|filters| !filters.is_empty());
        let filters = filters.ok_or_else(|| {
            FilterError::operand(self.path(), operator, "an array of at least one filter", value)
        })?;
        filters.iter().map(|filter| self.filter(operator, filter)).collect()
    }

    /// A filter about the same value as the operator before it.
    fn filter(&self, operator: &str, value: &Value) -> Result<Conditions, FilterError> {
        match value {
            _ if self.above.is_some() => self.condition(value),
            Value::Object(members) => self.object(members),
            _ => Err(FilterError::operand(self.path(), operator, "a filter object", value)),
        }
    }

    fn regex(&self, pattern: &str) -> Result<Test, FilterError> {
        self.regexes.update(|count| count + 1);
        if self.regexes.get() > MOST_REGEXES {
            return Err(FilterError::TooManyRegexes { path: self.path() });
        }
        let regex = RegexBuilder::new(pattern).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).build();
        regex.map(Test::Matches).map_err(|error| FilterError::regex(self.path(), &error))
    }
}
