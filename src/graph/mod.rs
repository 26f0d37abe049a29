//! A training step as a value: a small typed graph of tensor operations.
//!
//! A model writes its forward pass with the builder methods of [`Graph`], [`gradients`] appends the reverse pass to the
//! same graph, and an optimiser (module [`optimiser`]) appends the update of every parameter. The result is a [`Step`]:
//! what an [`Engine`] compiles once and runs once a batch. Building, differentiating, printing and interpreting a graph
//! need neither a session nor a library.
//!
//! Shapes have rank 0, 1 or 2. A dimension is a number known when the graph is built, or the batch size `B`, which may
//! differ from run to run. Element-wise operations take two equal shapes, or a shape and a scalar, and nothing else:
//! every other broadcast is spelt out ([`Graph::repeat_columns`], [`Graph::broadcast`]).

mod build;
mod check;
mod engine;
mod feeds;
mod gradient;
mod interpreter;
pub mod loss;
mod op;
mod operations;
pub mod optimiser;
mod resident;
mod shape;
mod text;

pub use build::Graph;
pub use engine::{Blocks, Engine, Evaluator, Feed, FeedValues, Other, Program, Step};
pub use gradient::gradients;
pub use interpreter::Interpreter;
pub use op::{Node, NodeId, Op};
pub use resident::{Order, Resident};
pub use shape::{Dim, Element, Shape};
