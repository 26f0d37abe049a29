//! The fused CPU operator: a whole training step of a plain factorisation as one node of a model.
//!
//! The operator `FactorisationStep` of the domain `cofi` is registered with a session of its own. What a training owns lies in the
//! layout of [`kernels::factorisation`](crate::kernels::factorisation), not in the shapes of the graph: [`program`] packs and
//! unpacks, so that the states have the graph's names and shapes for whoever asks.

mod operator;
mod program;
mod states;

pub use program::FusedProgram;
