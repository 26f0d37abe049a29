//! A training step of factorisation in one go: rows looked up, scores, loss, gradients and update, in place.
//!
//! The samples of a batch are grouped by user and by item. Items catch up with what they missed; then each user's row is read
//! once: it catches up, its samples are scored, its gradient is summed and it is updated; then each item's row is updated from
//! the users as they were. Each row belongs to one piece of work, and sums run in the order of the samples, so the result does
//! not depend on the number of threads. No product is fused with an addition, so it does not depend on the instructions either.
//!
//! A rating of a batch moves, where nothing is cached, two rows of 3 planes both ways: with 50 factors 3,072 bytes with Adam, of
//! which the rows that a batch repeats take their part once.

mod classes;
mod classic;
mod dense;
mod layout;
mod loss;
mod rule;
mod samples;
mod step;
mod table;
#[cfg(test)]
mod tests;

pub use classic::{ClassicPass, Pace, Round};
pub use dense::{Decay, Dense};
pub use layout::{Block, Layout, Memory, Side};
pub use loss::Loss;
pub use rule::{History, Reach, Rule, Settings};
pub use step::{Batch, OutOfTable, State, Step};
pub use table::{Held, Moment, Slopes, Table};
