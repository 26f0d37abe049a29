//! Fused CPU operators for the tables of a model whose interaction is more than a product: its layers stay stock operators.
//!
//! `TableRead` gives the rows of a batch, `TableLearn` moves them by the slopes that the stock operators come to, `Update` moves
//! the parameters of the layers; all of the domain `cofi`, and in place. Nothing else of a step is as large as a table.

mod lower;
mod operators;
mod program;
mod recognise;
mod states;
mod template;

pub use program::TablesProgram;
pub use recognise::Tables;
