//! A graph: its nodes, and how inputs, states and constants get into it.

use crate::error::{Error, Result};
use crate::graph::op::{Node, NodeId, Op};
use crate::graph::shape::{Element, Shape};

/// Nodes in an order in which each reads only earlier ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// All nodes; each reads only nodes before it.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes with their ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index as u32), node))
    }

    /// The node behind an id of this graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The shape of a node.
    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.node(id).shape
    }

    /// A tensor given to every run under a name that no other input or state has.
    pub fn input(&mut self, name: &str, shape: Shape, element: Element) -> Result<NodeId> {
        self.named(name, Op::Input { name: name.to_owned() }, shape, element)
    }

    /// A tensor of `f32` that lives from run to run under a name that no other input or state has.
    pub fn state(&mut self, name: &str, shape: Shape) -> Result<NodeId> {
        self.named(name, Op::State { name: name.to_owned() }, shape, Element::Float)
    }

    /// A scalar.
    pub fn constant(&mut self, value: f32) -> NodeId {
        self.push(Op::Constant(value), Shape::scalar(), Element::Float)
    }

    /// The id of the input or state of this name.
    pub fn named_node(&self, name: &str) -> Option<NodeId> {
        self.iter()
            .find(|(_, node)| match &node.op {
                Op::Input { name: other } | Op::State { name: other } => other == name,
                _ => false,
            })
            .map(|(id, _)| id)
    }

    /// What messages call a node: the name of an input or state, else its number and operation.
    pub fn label(&self, id: NodeId) -> String {
        match &self.node(id).op {
            Op::Input { name } | Op::State { name } => name.clone(),
            op => format!("{id} ({})", op.name()),
        }
    }

    fn named(&mut self, name: &str, op: Op, shape: Shape, element: Element) -> Result<NodeId> {
        if self.named_node(name).is_some() {
            return Err(Error::new(format!("graph: there is an input or state named {name} already")));
        }
        Ok(self.push(op, shape, element))
    }

    pub(super) fn push(&mut self, op: Op, shape: Shape, element: Element) -> NodeId {
        self.nodes.push(Node { op, shape, element });
        NodeId(self.nodes.len() as u32 - 1)
    }
}
