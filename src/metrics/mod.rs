//! What predictions and recommendations are worth, each measure with its formula and its source.
//!
//! Pure functions of numbers; who is judged, and on which rows, is the caller's.

mod confusion;
mod ranking;
mod rating;

pub use confusion::{Cell, Confusion};
pub use ranking::{Ranking, RankingTotals};
pub use rating::{Judged, Scores, Tally, nearest};
