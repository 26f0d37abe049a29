//! Matrix products whose bits do not depend on the number of threads.
//!
//! The CPU's `Gemm` shares a product out by rows, or by columns where there are more of them than rows. It adds up [`BLOCK`]
//! terms or more at a time, and how many depends on the columns of a share; a product with one column, or one row that is not
//! transposed, takes another way that depends on the rows of a share (seen in ONNX Runtime 1.31). So:
//!
//! - no sum here has more than [`BLOCK`] terms where its length is known: longer ones are cut, and the parts added in order;
//! - where it is `B`, the factors are arranged so that there are at least as many rows as columns, the first one transposed;
//! - one column is multiplied element by element and summed up.

use std::ops::Range;

use crate::graph::{Dim, NodeId};
use crate::runtime::onnx::Writer;
use crate::runtime::proto::integer_attribute;

/// Up to so many terms are summed in one go, however many columns there are.
const BLOCK: usize = 128;

/// A factor of a product: the name of a matrix, and whether it is transposed.
struct Factor {
    value: String,
    transposed: bool,
}

impl Writer<'_> {
    /// The value of `op(a) op(b)`; each comes with whether it is transposed.
    pub fn matmul(&mut self, (a, transpose_a): (NodeId, bool), (b, transpose_b): (NodeId, bool)) -> String {
        let [rows, inner] = self.dims(a, transpose_a);
        let [_, columns] = self.dims(b, transpose_b);
        let wide = match (rows, columns) {
            (Dim::Fixed(rows), Dim::Fixed(columns)) => inner == Dim::Batch && columns > rows,
            (_, columns) => columns == Dim::Batch,
        };
        let left = Factor { value: self.value(a), transposed: transpose_a };
        let right = Factor { value: self.value(b), transposed: transpose_b };
        if wide {
            // (L R)^T = R^T L^T
            let turn = |factor: Factor| Factor { transposed: !factor.transposed, ..factor };
            let turned = self.product(turn(right), turn(left), inner, rows);
            self.transpose(&turned)
        } else {
            self.product(left, right, inner, columns)
        }
    }

    fn product(&mut self, left: Factor, right: Factor, inner: Dim, columns: Dim) -> String {
        match inner {
            _ if columns == Dim::Fixed(1) => self.column(left, right),
            Dim::Fixed(terms) if terms > BLOCK => self.in_blocks(&left, &right, terms),
            Dim::Batch if !left.transposed => {
                let turned = Factor { value: self.transpose(&left.value), transposed: true };
                self.gemm(&turned, &right, None)
            }
            _ => self.gemm(&left, &right, None),
        }
    }

    /// `[M, K] [K, 1]`.
    fn column(&mut self, left: Factor, right: Factor) -> String {
        let axis = if left.transposed { 0 } else { 1 };
        // The one column lies along the terms of the left factor.
        let along = if left.transposed == right.transposed { self.transpose(&right.value) } else { right.value };
        let products = self.apply("Mul", &[&left.value, &along], vec![]);
        let axes = self.integers(&[axis]);
        let sums = self.apply("ReduceSum", &[&products, &axes], vec![integer_attribute("keepdims", 0)]);
        let column = self.integers(&[1]);
        self.apply("Unsqueeze", &[&sums, &column], vec![])
    }

    /// A sum of known length in parts, each added to what the ones before it came to.
    fn in_blocks(&mut self, left: &Factor, right: &Factor, terms: usize) -> String {
        let mut total = None;
        for start in (0..terms).step_by(BLOCK) {
            let block = start..terms.min(start + BLOCK);
            let left = Factor { value: self.slice(&left.value, !left.transposed, block.clone()), ..*left };
            let right = Factor { value: self.slice(&right.value, right.transposed, block), ..*right };
            total = Some(self.gemm(&left, &right, total.as_deref()));
        }
        total.unwrap_or_default()
    }

    /// The product, added to another matrix if there is one.
    fn gemm(&mut self, left: &Factor, right: &Factor, sum: Option<&str>) -> String {
        let attributes = vec![
            integer_attribute("transA", left.transposed.into()),
            integer_attribute("transB", right.transposed.into()),
        ];
        let inputs: Vec<&str> = [left.value.as_str(), &right.value].into_iter().chain(sum).collect();
        self.apply("Gemm", &inputs, attributes)
    }

    /// Some of the columns, or else rows.
    fn slice(&mut self, matrix: &str, columns: bool, range: Range<usize>) -> String {
        let [start, end, axis] = [range.start as i64, range.end as i64, columns.into()].map(|n| self.integers(&[n]));
        self.apply("Slice", &[matrix, &start, &end, &axis], vec![])
    }

    fn transpose(&mut self, matrix: &str) -> String {
        self.apply("Transpose", &[matrix], vec![])
    }

    fn dims(&self, id: NodeId, transposed: bool) -> [Dim; 2] {
        match *self.graph.shape(id).dims() {
            [rows, columns] if transposed => [columns, rows],
            [rows, columns] => [rows, columns],
            // The builder has refused every other rank.
            _ => [Dim::Batch; 2],
        }
    }
}
