//! The builder methods of a graph, one for each operation, each with its shape rule.
//!
//! # Errors
//! Each refuses operands whose shapes or elements its rule does not take, and names them.

use crate::error::{Error, Result};
use crate::graph::build::Graph;
use crate::graph::op::{NodeId, Op};
use crate::graph::shape::{Dim, Element, Shape};

impl Graph {
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

    /// `max(a, 0)` of every element.
    pub fn relu(&mut self, a: NodeId) -> Result<NodeId> {
        self.unary(Op::Relu(a), a)
    }

    /// -1, 0 or 1 for every element; passes no gradient.
    pub fn sign(&mut self, a: NodeId) -> Result<NodeId> {
        self.unary(Op::Sign(a), a)
    }

    /// The exponential of every element.
    pub fn exp(&mut self, a: NodeId) -> Result<NodeId> {
        self.unary(Op::Exp(a), a)
    }

    /// The logarithms of the softmax of every row: `a - log(sum_c exp(a[b, c]))` of `[B, C]`.
    pub fn log_softmax(&mut self, a: NodeId) -> Result<NodeId> {
        self.expect_matrix("log_softmax", a, false)?;
        self.unary(Op::LogSoftmax(a), a)
    }

    /// A row for each row number: 1 in the column of that number, else 0; `[B]` to `[B, n_columns]`. Passes no gradient.
    pub fn one_hot(&mut self, rows: NodeId, n_columns: usize) -> Result<NodeId> {
        let count = self.expect_rows("one_hot", rows)?;
        Ok(self.push(Op::OneHot { rows, n_columns }, Shape::matrix(count, n_columns), Element::Float))
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

    /// The sum over the first dimension: `[B, H]` to `[H]`.
    pub fn sum_rows(&mut self, a: NodeId) -> Result<NodeId> {
        let [_, columns] = self.expect_matrix("sum_rows", a, false)?;
        Ok(self.push(Op::SumRows(a), Shape::vector(columns), Element::Float))
    }

    /// `[H]` as every row of the shape of `like`, `[B, H]`.
    pub fn repeat_rows(&mut self, values: NodeId, like: NodeId) -> Result<NodeId> {
        self.expect_float("repeat_rows", values)?;
        let shape = self.shape(like).clone();
        match (self.shape(values).dims(), shape.dims()) {
            ([width], [_, columns]) if width == columns => {
                Ok(self.push(Op::RepeatRows { values, like }, shape, Element::Float))
            }
            _ => Err(self.mismatch("repeat_rows", &format!("one row of shape {shape}"), values)),
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

    /// The matrix product `op(a) op(b)`, where `op` transposes if asked: `[M, K] [K, N]` to `[M, N]`; any of the three may
    /// be `B`.
    ///
    /// The gradient with respect to `a` reads `b`, and the gradient with respect to `b` does not: a state that is multiplied and
    /// updated in place is read through [`snapshot`](Self::snapshot).
    pub fn matmul(&mut self, a: NodeId, b: NodeId, transpose_a: bool, transpose_b: bool) -> Result<NodeId> {
        let [rows, inner] = self.expect_matrix("matmul", a, transpose_a)?;
        let [other_inner, columns] = self.expect_matrix("matmul", b, transpose_b)?;
        if inner != other_inner {
            let mark = |transpose: bool| if transpose { "^T" } else { "" };
            let (left, right) = (self.shape(a), self.shape(b));
            return Err(Error::new(format!(
                "graph: matmul cannot multiply shapes {left}{} and {right}{}",
                mark(transpose_a),
                mark(transpose_b)
            )));
        }
        Ok(self.push(Op::MatMul { a, b, transpose_a, transpose_b }, Shape(vec![rows, columns]), Element::Float))
    }

    /// The values of a state at the beginning of a step, in a place of their own: one pass over it. Who reads these does not
    /// keep the state from being updated in place, however late.
    pub fn snapshot(&mut self, state: NodeId) -> Result<NodeId> {
        let one = self.constant(1.0);
        self.mul(state, one)
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

    /// The dimensions of a matrix of floats, the other way round if `transposed`.
    fn expect_matrix(&self, op: &str, id: NodeId, transposed: bool) -> Result<[Dim; 2]> {
        self.expect_float(op, id)?;
        match self.shape(id).dims() {
            [rows, columns] if transposed => Ok([*columns, *rows]),
            [rows, columns] => Ok([*rows, *columns]),
            _ => Err(self.mismatch(op, "rank 2", id)),
        }
    }
}
