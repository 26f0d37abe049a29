//! The closed list of operations.

use crate::graph::shape::{Element, Shape};

/// A node of one [`Graph`](crate::graph::Graph): an index that only that graph gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    /// The position of the node in [`Graph::nodes`](crate::graph::Graph::nodes).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An operation and the nodes it reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A tensor given to every run by name.
    Input {
        /// Unique among inputs and states.
        name: String,
    },
    /// A tensor that the compiled program owns from run to run: a parameter, or an optimiser's memory of it.
    State {
        /// Unique among inputs and states.
        name: String,
    },
    /// A scalar that never changes.
    Constant(f32),
    /// `a + b`, element by element.
    Add(NodeId, NodeId),
    /// `a - b`, element by element.
    Sub(NodeId, NodeId),
    /// `a * b`, element by element.
    Mul(NodeId, NodeId),
    /// `a / b`, element by element.
    Div(NodeId, NodeId),
    /// The square root of every element.
    Sqrt(NodeId),
    /// `1 / (1 + exp(-a))` of every element.
    Sigmoid(NodeId),
    /// `max(a, 0)` of every element.
    Relu(NodeId),
    /// -1, 0 or 1 for every element.
    Sign(NodeId),
    /// The exponential of every element.
    Exp(NodeId),
    /// The matrix product of `a` and `b`, each transposed if so said; rank 2.
    MatMul {
        /// `[M, K]`, or `[K, M]` if it is transposed.
        a: NodeId,
        /// `[K, N]`, or `[N, K]` if it is transposed.
        b: NodeId,
        /// Whether `a` is transposed.
        transpose_a: bool,
        /// Whether `b` is transposed.
        transpose_b: bool,
    },
    /// The logarithms of the softmax of every row of `[B, C]`.
    LogSoftmax(NodeId),
    /// 1 in the column that `rows` names, else 0: `[B]` to `[B, n_columns]`.
    OneHot {
        /// `[B]` of [`Element::Index`], each below `n_columns`.
        rows: NodeId,
        /// `C`.
        n_columns: usize,
    },
    /// Rows of `table` (`[N]` or `[N, K]`) at `rows` (`[B]`, each below `N`): `[B]` or `[B, K]`.
    Gather {
        /// `[N]` or `[N, K]`.
        table: NodeId,
        /// `[B]` of [`Element::Index`].
        rows: NodeId,
    },
    /// Zeros of `[n_rows]` or `[n_rows, K]`, to which the `values` (`[B]` or `[B, K]`) are added at `rows`;
    /// values for a repeated row add up.
    ScatterAdd {
        /// `[B]` of [`Element::Index`], each below `n_rows`.
        rows: NodeId,
        /// `[B]` or `[B, K]`.
        values: NodeId,
        /// `N`, the rows of the result.
        n_rows: usize,
    },
    /// The sum over the last dimension: `[B, K]` to `[B]`.
    SumColumns(NodeId),
    /// Each element of `[B]` repeated `n_columns` times: `[B, n_columns]`.
    RepeatColumns {
        /// `[B]`.
        values: NodeId,
        /// `K`.
        n_columns: usize,
    },
    /// The sum over the first dimension: `[B, H]` to `[H]`.
    SumRows(NodeId),
    /// `[H]` as every row of the shape of `like`, `[B, H]`, whose values are not read.
    RepeatRows {
        /// `[H]`.
        values: NodeId,
        /// Gives the shape.
        like: NodeId,
    },
    /// The sum of all elements, a scalar.
    SumAll(NodeId),
    /// A scalar repeated in the shape of `like`, whose values are not read.
    Broadcast {
        /// A scalar.
        value: NodeId,
        /// Gives the shape.
        like: NodeId,
    },
    /// The number of elements of a tensor, a scalar; its values are not read.
    Count(NodeId),
}

impl Op {
    /// The nodes that this operation reads, in order.
    pub fn inputs(&self) -> Vec<NodeId> {
        match self {
            Op::Input { .. } | Op::State { .. } | Op::Constant(_) => Vec::new(),
            Op::Add(a, b) | Op::Sub(a, b) | Op::Mul(a, b) | Op::Div(a, b) => vec![*a, *b],
            Op::Sqrt(a) | Op::Sigmoid(a) | Op::Relu(a) | Op::Sign(a) | Op::Exp(a) | Op::LogSoftmax(a) => vec![*a],
            Op::SumColumns(a) | Op::SumRows(a) | Op::SumAll(a) | Op::Count(a) => vec![*a],
            Op::MatMul { a, b, .. } => vec![*a, *b],
            Op::OneHot { rows, .. } => vec![*rows],
            Op::Gather { table, rows } => vec![*table, *rows],
            Op::ScatterAdd { rows, values, .. } => vec![*rows, *values],
            Op::RepeatColumns { values, .. } => vec![*values],
            Op::RepeatRows { values, like } => vec![*values, *like],
            Op::Broadcast { value, like } => vec![*value, *like],
        }
    }

    /// The nodes whose values this operation reads: its inputs, but for those of which it wants the shape alone.
    pub fn values_read(&self) -> Vec<NodeId> {
        match self {
            Op::RepeatRows { values, .. } => vec![*values],
            Op::Broadcast { value, .. } => vec![*value],
            Op::Count(_) => Vec::new(),
            op => op.inputs(),
        }
    }

    /// Whether each element of the result depends on the elements at the same place alone (or on scalars).
    pub fn is_element_wise(&self) -> bool {
        let of_two = matches!(self, Op::Add(..) | Op::Sub(..) | Op::Mul(..) | Op::Div(..));
        of_two || matches!(self, Op::Sqrt(_) | Op::Sigmoid(_) | Op::Relu(_) | Op::Sign(_) | Op::Exp(_))
    }

    /// The operation's name in messages and in the text form of a graph.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::State { .. } => "state",
            Op::Constant(_) => "constant",
            Op::Add(..) => "add",
            Op::Sub(..) => "sub",
            Op::Mul(..) => "mul",
            Op::Div(..) => "div",
            Op::Sqrt(_) => "sqrt",
            Op::Sigmoid(_) => "sigmoid",
            Op::Relu(_) => "relu",
            Op::Sign(_) => "sign",
            Op::Exp(_) => "exp",
            Op::MatMul { .. } => "matmul",
            Op::LogSoftmax(_) => "log_softmax",
            Op::OneHot { .. } => "one_hot",
            Op::Gather { .. } => "gather",
            Op::ScatterAdd { .. } => "scatter_add",
            Op::SumColumns(_) => "sum_columns",
            Op::RepeatColumns { .. } => "repeat_columns",
            Op::SumRows(_) => "sum_rows",
            Op::RepeatRows { .. } => "repeat_rows",
            Op::SumAll(_) => "sum_all",
            Op::Broadcast { .. } => "broadcast",
            Op::Count(_) => "count",
        }
    }
}

/// An operation with the shape and the elements of its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// The shape of the result.
    pub shape: Shape,
    /// The elements of the result.
    pub element: Element,
}
