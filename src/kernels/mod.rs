//! The innermost loops: arithmetic on slices, written once and compiled for each set of instructions that a processor may have.
//!
//! Nothing here knows what a rating, a user or a graph is. A loop is an ordinary function marked `#[inline(always)]` that goes
//! through blocks of [`LANES`] numbers; `per_level!` compiles it once a [`Level`] and picks at run time. Where such a function
//! uses no fused multiply-add (`mul_add`), it gives the same bits at every level.

mod best;
mod dot;
mod exp;
pub mod factorisation;
mod groups;
mod lanes;
mod level;
mod memory;
mod pool;
pub mod product;
mod range;

pub use best::{Best, Candidate, Judge};
pub use dot::{dot, dots};
pub use exp::{exp, sigmoid};
use groups::Groups;
pub use level::{LANES, Level};
pub use memory::prefetch_all;
pub use pool::{Here, Pool};
pub use range::{all_in_range, in_range};
