//! Where in the data a condition looks: `user.role`, `items.$.sku`.

use std::fmt;

use serde_json::Value;

#[derive(Clone, Debug)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    /// `$`: every element of an array.
    Each,
}

impl Path {
    /// `None` when a part of the key is empty.
    pub(super) fn parse(key: &str) -> Option<Self> {
        key.split('.')
            .map(|part| match part {
                "" => None,
                "$" => Some(Step::Each),
                _ => Some(Step::Key(part.to_owned())),
            })
            .collect::<Option<_>>()
            .map(Self)
    }

    pub(super) fn join(mut self, rest: Self) -> Self {
        self.0.extend(rest.0);
        self
    }

    pub(super) fn walks(&self) -> bool {
        self.0.contains(&Step::Each)
    }

    /// The value at a path that does not walk.
    pub(super) fn single<'v>(&self, value: Option<&'v Value>) -> Option<&'v Value> {
        self.0.iter().fold(value, |value, step| match step {
            Step::Key(key) => value?.as_object()?.get(key),
            Step::Each => None,
        })
    }

    /// Whether the condition holds for the value here, or for one of them.
    pub(super) fn any<'v>(
        &self,
        value: Option<&'v Value>,
        holds: &impl Fn(Option<&'v Value>) -> bool,
    ) -> bool {
        any(&self.0, value, holds)
    }
}

fn any<'v>(steps: &[Step], mut value: Option<&'v Value>, holds: &impl Fn(Option<&'v Value>) -> bool) -> bool {
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Key(key) => value = value.and_then(Value::as_object).and_then(|object| object.get(key)),
            Step::Each => {
                let Some(Value::Array(items)) = value else { return false };
                return items.iter().any(|item| any(&steps[at + 1..], Some(item), holds));
            }
        }
    }
    holds(value)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            match step {
                Step::Key(key) => f.write_str(key)?,
                Step::Each => f.write_str("$")?,
            }
        }
        Ok(())
    }
}
