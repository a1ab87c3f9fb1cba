//! Breadth-first search of all states of a model.

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;

/// A state of a protocol.
pub trait State: Clone + Debug + Eq + Hash {
    /// What can happen next, in words, and what comes of it.
    fn steps(&self) -> Vec<(String, Self)>;

    /// What is wrong with this state. `at_rest`: nothing happens any more but faults.
    fn wrong(&self, at_rest: bool) -> Option<String>;

    /// True for a step that need not happen.
    fn is_fault(step: &str) -> bool;
}

/// How many states there are; or what is wrong with one, and the shortest way there.
pub fn search<S: State>(start: S) -> Result<usize, String> {
    const MOST: usize = 5_000_000;
    let mut from: HashMap<S, Option<(S, String)>> = HashMap::from([(start.clone(), None)]);
    let mut queue = VecDeque::from([start]);
    while let Some(state) = queue.pop_front() {
        let steps = state.steps();
        let at_rest = steps.iter().all(|(step, _)| S::is_fault(step));
        if let Some(wrong) = state.wrong(at_rest) {
            return Err(format!("{wrong}\n{}\n{state:?}", way(&from, &state).join("\n")));
        }
        for (step, next) in steps {
            if !from.contains_key(&next) {
                from.insert(next.clone(), Some((state.clone(), step)));
                queue.push_back(next);
            }
        }
        assert!(from.len() <= MOST, "the model is too large to be searched");
    }
    Ok(from.len())
}

fn way<S: State>(from: &HashMap<S, Option<(S, String)>>, to: &S) -> Vec<String> {
    let mut steps = Vec::new();
    let mut state = to;
    while let Some(Some((before, step))) = from.get(state) {
        steps.push(step.clone());
        state = before;
    }
    steps.reverse();
    steps
}
