//! A graph and its builder methods, one for each operation, each with its shape rule.

use crate::error::{Error, Result};
use crate::graph::op::{Node, NodeId, Op};
use crate::graph::shape::{Dim, Element, Shape};

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

    /// `a + b`; equal shapes, or one a scalar.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary(Op::Add(a, b), a, b)
    }

    /// `a - b`; equal shapes, or one a scalar.
    pub fn sub(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary(Op::Sub(a, b), a, b)
    }

    /// `a * b`; equal shapes, or one a scalar.
    pub fn mul(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary(Op::Mul(a, b), a, b)
    }

    /// `a / b`; equal shapes, or one a scalar.
    pub fn div(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary(Op::Div(a, b), a, b)
    }

    /// The square root of every element.
    pub fn sqrt(&mut self, a: NodeId) -> Result<NodeId> {
        self.unary(Op::Sqrt(a), a)
    }

    /// The logistic function of every element.
    pub fn sigmoid(&mut self, a: NodeId) -> Result<NodeId> {
        self.unary(Op::Sigmoid(a), a)
    }

    /// Rows of a table: `[N]` or `[N, K]` at `[B]` gives `[B]` or `[B, K]`.
    pub fn gather(&mut self, table: NodeId, rows: NodeId) -> Result<NodeId> {
        self.expect_float("gather", table)?;
        let n_rows = self.expect_rows("gather", rows)?;
        let mut dims = self.shape(table).dims().to_vec();
        match dims.first_mut() {
            Some(first @ Dim::Fixed(_)) => *first = n_rows,
            _ => return Err(self.mismatch("gather", "a table with a fixed number of rows", table)),
        }
        Ok(self.push(Op::Gather { table, rows }, Shape(dims), Element::Float))
    }

    /// Zeros with `n_rows` rows, to which `values` are added at `rows`.
    pub fn scatter_add(&mut self, rows: NodeId, values: NodeId, n_rows: usize) -> Result<NodeId> {
        self.expect_float("scatter_add", values)?;
        let count = self.expect_rows("scatter_add", rows)?;
        let mut dims = self.shape(values).dims().to_vec();
        match dims.first_mut() {
            Some(first) if *first == count => *first = Dim::Fixed(n_rows),
            _ => return Err(self.mismatch("scatter_add", "a row of values for each row number", values)),
        }
        Ok(self.push(Op::ScatterAdd { rows, values, n_rows }, Shape(dims), Element::Float))
    }

    /// The sum over the last dimension: `[B, K]` to `[B]`.
    pub fn sum_columns(&mut self, a: NodeId) -> Result<NodeId> {
        self.expect_float("sum_columns", a)?;
        match self.shape(a).dims() {
            [rows, _] => {
                let shape = Shape::vector(*rows);
                Ok(self.push(Op::SumColumns(a), shape, Element::Float))
            }
            _ => Err(self.mismatch("sum_columns", "rank 2", a)),
        }
    }

    /// Each element repeated `n_columns` times: `[B]` to `[B, n_columns]`.
    pub fn repeat_columns(&mut self, values: NodeId, n_columns: usize) -> Result<NodeId> {
        self.expect_float("repeat_columns", values)?;
        match self.shape(values).dims() {
            [rows] => {
                let shape = Shape::matrix(*rows, n_columns);
                Ok(self.push(Op::RepeatColumns { values, n_columns }, shape, Element::Float))
            }
            _ => Err(self.mismatch("repeat_columns", "rank 1", values)),
        }
    }

    /// The sum of all elements.
    pub fn sum_all(&mut self, a: NodeId) -> Result<NodeId> {
        self.expect_float("sum_all", a)?;
        Ok(self.push(Op::SumAll(a), Shape::scalar(), Element::Float))
    }

    /// A scalar in the shape of `like`.
    pub fn broadcast(&mut self, value: NodeId, like: NodeId) -> Result<NodeId> {
        self.expect_float("broadcast", value)?;
        if self.shape(value).rank() != 0 {
            return Err(self.mismatch("broadcast", "a scalar", value));
        }
        let shape = self.shape(like).clone();
        Ok(self.push(Op::Broadcast { value, like }, shape, Element::Float))
    }

    /// The number of elements of a tensor, as a scalar.
    pub fn count(&mut self, a: NodeId) -> NodeId {
        self.push(Op::Count(a), Shape::scalar(), Element::Float)
    }

    /// The mean of all elements.
    pub fn mean(&mut self, a: NodeId) -> Result<NodeId> {
        let sum = self.sum_all(a)?;
        let count = self.count(a);
        self.div(sum, count)
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

    fn unary(&mut self, op: Op, a: NodeId) -> Result<NodeId> {
        self.expect_float(op.name(), a)?;
        let shape = self.shape(a).clone();
        Ok(self.push(op, shape, Element::Float))
    }

    fn binary(&mut self, op: Op, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.expect_float(op.name(), a)?;
        self.expect_float(op.name(), b)?;
        let shape = match (self.shape(a), self.shape(b)) {
            (left, right) if left == right || right.rank() == 0 => left.clone(),
            (left, right) if left.rank() == 0 => right.clone(),
            (left, right) => {
                return Err(Error::new(format!("graph: {} cannot join shapes {left} and {right}", op.name())));
            }
        };
        Ok(self.push(op, shape, Element::Float))
    }

    fn expect_float(&self, op: &str, id: NodeId) -> Result<()> {
        match self.node(id).element {
            Element::Float => Ok(()),
            Element::Index => Err(Error::new(format!("graph: {op} reads floats, not row numbers"))),
        }
    }

    fn expect_rows(&self, op: &str, rows: NodeId) -> Result<Dim> {
        match (self.node(rows).element, self.shape(rows).dims()) {
            (Element::Index, [count]) => Ok(*count),
            _ => Err(self.mismatch(op, "row numbers of rank 1", rows)),
        }
    }

    fn mismatch(&self, op: &str, wanted: &str, id: NodeId) -> Error {
        Error::new(format!("graph: {op} wants {wanted}, not shape {}", self.shape(id)))
    }

    fn push(&mut self, op: Op, shape: Shape, element: Element) -> NodeId {
        self.nodes.push(Node { op, shape, element });
        NodeId(self.nodes.len() as u32 - 1)
    }
}
