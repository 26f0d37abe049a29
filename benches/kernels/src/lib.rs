//! What the machine can do at best, and how far from it a loop is.
//!
//! `limits` measures the best rates of memory and arithmetic that a plain loop reaches; [`Report`] runs loops under criterion and prints
//! at the end, for each, its bytes and operations a second as shares of those limits, measured in the same run.

pub mod levels;
pub mod limits;
pub mod memory;
mod report;
mod threads;

pub use report::{Report, Work};
pub use threads::side_by_side;
