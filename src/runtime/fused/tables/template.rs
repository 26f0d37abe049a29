//! Whether a step does with some of its states what an optimiser does: a small graph of that alone is built by the same code and
//! compared with the step, node by node.

use crate::graph::{Element, Graph, NodeId, Op, Shape, Step};

/// A graph of updates alone.
pub struct Template {
    /// All that is expected.
    pub graph: Graph,
    /// The states with their values after the step.
    pub updates: Vec<(NodeId, NodeId)>,
}

/// Where the nodes of a template are in a step.
pub struct Found {
    nodes: Vec<Option<NodeId>>,
}

/// An input of a template that may be any value of its shape, the same wherever it is read. Names of graphs have no `#`.
pub fn anything(graph: &mut Graph, what: &str, shape: Shape) -> Option<NodeId> {
    graph.input(&format!("#{what}"), shape, Element::Float).ok()
}

impl Template {
    /// Where the updates are in a step; none where it updates one of the states in another way.
    pub fn find(&self, step: &Step) -> Option<Found> {
        let nodes = vec![None; self.graph.nodes().len()];
        let mut same = Same { template: &self.graph, step: &step.graph, nodes };
        for (state, next) in &self.updates {
            let name = self.graph.label(*state);
            let (_, found) = step.updates.iter().find(|(state, _)| step.graph.label(*state) == name)?;
            if !same.check(*next, *found) {
                return None;
            }
        }
        Some(Found { nodes: same.nodes })
    }

    /// The names of the states.
    pub fn states(&self) -> impl Iterator<Item = String> {
        self.updates.iter().map(|(state, _)| self.graph.label(*state))
    }

    /// The nodes that compute the updates, but for what they are told.
    pub fn computed(&self, found: &Found) -> Vec<NodeId> {
        let is_computed = |node: &&Op| !matches!(node, Op::Input { .. } | Op::State { .. } | Op::Constant(_));
        let nodes = self.graph.nodes().iter().map(|node| &node.op).zip(&found.nodes);
        nodes.filter(|(op, _)| is_computed(op)).filter_map(|(_, found)| *found).collect()
    }
}

impl Found {
    /// The node of a step that is this one of the template.
    pub fn node(&self, template: NodeId) -> Option<NodeId> {
        self.nodes.get(template.index()).copied().flatten()
    }
}

struct Same<'a> {
    template: &'a Graph,
    step: &'a Graph,
    nodes: Vec<Option<NodeId>>,
}

impl Same<'_> {
    /// Whether two nodes compute the same of the same.
    fn check(&mut self, template: NodeId, step: NodeId) -> bool {
        if let Some(known) = self.nodes[template.index()] {
            return known == step;
        }
        let (expected, found) = (self.template.node(template), self.step.node(step));
        if (&expected.shape, expected.element) != (&found.shape, found.element) {
            return false;
        }
        let is_same = match (&expected.op, &found.op) {
            (Op::Input { name }, _) if name.starts_with('#') => true,
            (Op::Input { .. } | Op::State { .. }, _) => expected.op == found.op,
            // Each use has a constant of its own.
            (Op::Constant(_), _) => return expected.op == found.op,
            // Of no other operation an optimiser uses do equal shapes leave anything open.
            (Op::MatMul { .. }, _) => false,
            (expected, found) if expected.name() == found.name() => {
                let mut pairs = expected.inputs().into_iter().zip(found.inputs());
                pairs.all(|(template, step)| self.check(template, step))
            }
            _ => false,
        };
        if is_same {
            self.nodes[template.index()] = Some(step);
        }
        is_same
    }
}
