//! What one object of a filter asks for, on its way to a [`Node`].

use super::{Node, Path};

/// Conditions on one value: those that it must meet, and those that it must not (where it is one of the
/// elements of an array: that none may).
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) met: Vec<Node>,
    pub(super) unmet: Vec<Conditions>,
}

impl Conditions {
    pub(super) fn one(node: Node) -> Self {
        Self { met: vec![node], unmet: Vec::new() }
    }

    pub(super) fn node(self) -> Node {
        let unmet = self.unmet.into_iter().map(|conditions| not(conditions.node()));
        all(self.met.into_iter().chain(unmet).collect())
    }

    /// The same for the value at a path.
    pub(super) fn at(self, path: &Path) -> Node {
        let met = (!self.met.is_empty()).then(|| at(path.clone(), all(self.met)));
        let unmet = self.unmet.into_iter().map(|conditions| not(conditions.at(path)));
        all(met.into_iter().chain(unmet).collect())
    }
}

fn all(mut nodes: Vec<Node>) -> Node {
    if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) }
}

fn not(node: Node) -> Node {
    Node::Not(Box::new(node))
}

fn at(path: Path, node: Node) -> Node {
    match node {
        Node::At(rest, node) => Node::At(path.join(rest), node),
        node => Node::At(path, Box::new(node)),
    }
}
