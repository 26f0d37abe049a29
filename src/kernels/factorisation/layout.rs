//! Where the numbers of users and items lie: one row an id, everything about it side by side.

use crate::kernels::LANES;

/// A block of a row.
pub type Block = [f32; LANES];

/// What a rule remembers of each parameter, as planes of a row behind the parameters themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Nothing.
    Nothing,
    /// The first moment.
    First,
    /// The first and the second.
    Both,
}

/// The rows of a factorisation: `U` of users, then `I` of items.
///
/// A row has a plane of parameters and one for each thing that the rule remembers, each of [`blocks`](Self::blocks) blocks. The
/// plane of parameters of a user is `[p, b_u, 1, 0...]`, of an item `[q, 1, b_i, 0...]`, so that their product is
/// `p . q + b_u + b_i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `U`.
    pub n_users: usize,
    /// `I`.
    pub n_items: usize,
    /// `K`.
    pub width: usize,
    /// What follows the parameters.
    pub memory: Memory,
}

/// Of whom a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A user.
    User,
    /// An item.
    Item,
}

impl Layout {
    /// Blocks of a plane.
    pub fn blocks(&self) -> usize {
        (self.width + 2).div_ceil(LANES)
    }

    /// Planes of a row.
    pub fn planes(&self) -> usize {
        match self.memory {
            Memory::Nothing => 1,
            Memory::First => 2,
            Memory::Both => 3,
        }
    }

    /// Blocks of a row.
    pub fn row_blocks(&self) -> usize {
        self.blocks() * self.planes()
    }

    /// `U + I`.
    pub fn n_rows(&self) -> usize {
        self.n_users + self.n_items
    }

    /// The numbers of all rows.
    pub fn len(&self) -> usize {
        self.n_rows() * self.row_blocks() * LANES
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.n_rows() == 0
    }

    /// The lane of a side's bias, and that of the 1 which takes the other side's.
    pub fn bias_lane(&self, side: Side) -> usize {
        match side {
            Side::User => self.width,
            Side::Item => self.width + 1,
        }
    }

    /// The lane of the constant 1 of a side.
    pub fn one_lane(&self, side: Side) -> usize {
        match side {
            Side::User => self.width + 1,
            Side::Item => self.width,
        }
    }

    /// The first row of a side and how many there are.
    pub fn rows_of(&self, side: Side) -> std::ops::Range<usize> {
        match side {
            Side::User => 0..self.n_users,
            Side::Item => self.n_users..self.n_rows(),
        }
    }

    /// Numbers of a row's plane as they lie among all numbers: plane 0 has the parameters.
    pub fn plane(&self, row: usize, plane: usize) -> std::ops::Range<usize> {
        let start = (row * self.row_blocks() + plane * self.blocks()) * LANES;
        start..start + self.blocks() * LANES
    }
}
