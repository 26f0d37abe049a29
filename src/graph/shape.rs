//! What a tensor looks like: its dimensions and its elements.

use std::fmt;

/// One dimension of a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A number of rows or columns known when the graph is built.
    Fixed(usize),
    /// `B`, the number of ratings in a batch; the same for all tensors of one run.
    Batch,
}

/// The dimensions of a tensor, outermost first; empty for a scalar. Rank is at most 2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(pub(super) Vec<Dim>);

impl Shape {
    /// A single number.
    pub fn scalar() -> Self {
        Self(Vec::new())
    }

    /// `[rows]`.
    pub fn vector(rows: Dim) -> Self {
        Self(vec![rows])
    }

    /// `[rows, columns]`.
    pub fn matrix(rows: Dim, columns: usize) -> Self {
        Self(vec![rows, Dim::Fixed(columns)])
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[Dim] {
        &self.0
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The sizes of all dimensions for a batch of `batch` ratings.
    pub fn sizes(&self, batch: usize) -> Vec<usize> {
        self.0
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(size) => *size,
                Dim::Batch => batch,
            })
            .collect()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (position, dim) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            match dim {
                Dim::Fixed(size) => write!(f, "{comma}{size}")?,
                Dim::Batch => write!(f, "{comma}B")?,
            }
        }
        f.write_str("]")
    }
}

/// What the elements of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// `f32`.
    Float,
    /// `i32`, a row number.
    Index,
}
