//! Architectures, one a file, and how one becomes a training step.
//!
//! A model adds the states and the forward pass of its formula to a graph ([`Forward`]); [`training_step`] puts a loss,
//! the reverse pass and an optimiser behind it. What differs between architectures stays in front of the prediction, and
//! what differs between losses and optimisers behind it.

pub mod dot;
mod spec;

pub use dot::Dot;
pub use spec::Spec;

use crate::error::Result;
use crate::graph::optimiser::Optimiser;
use crate::graph::{Dim, Element, Graph, NodeId, Shape, Step, gradients, loss};
use crate::rng::Rng;

/// The input `[B]` of row numbers of the users of a batch.
pub const USER: &str = "user";
/// The input `[B]` of row numbers of the items of a batch.
pub const ITEM: &str = "item";
/// The input `[B]` of the ratings of a batch.
pub const RATING: &str = "rating";

/// The end of a forward pass.
#[derive(Clone, Debug)]
pub struct Forward {
    /// `[B]`, on the scale of the ratings that are fed.
    pub prediction: NodeId,
    /// The states that are to be learned, with weight decay.
    pub factors: Vec<NodeId>,
    /// The states that are to be learned without it: decayed, they would say less than the ratings do of users and items
    /// of which much is known, and the factors would have to make up for it.
    pub biases: Vec<NodeId>,
}

/// One training step of a model under the mean squared error.
///
/// Its inputs are [`USER`], [`ITEM`], [`RATING`] and the scalars of the optimiser; its states the parameters of the model
/// and the moments of the optimiser.
///
/// # Errors
/// Sizes that the operations refuse.
pub fn training_step(model: &Dot, optimiser: &Optimiser) -> Result<Step> {
    let mut graph = Graph::new();
    let Forward { prediction, factors, biases } = model.forward(&mut graph)?;
    let rating = graph.input(RATING, Shape::vector(Dim::Batch), Element::Float)?;
    let errors = loss::squared_errors(&mut graph, prediction, rating)?;
    let loss = graph.mean(errors)?;
    let slopes = gradients(&mut graph, loss, &[factors.as_slice(), &biases].concat())?;
    let with_slopes: Vec<_> = factors.iter().chain(&biases).copied().zip(slopes).collect();
    let (decayed, undecayed) = with_slopes.split_at(factors.len());
    let updates = optimiser.attach(&mut graph, decayed, undecayed)?;
    let step = Step { graph, loss, updates };
    step.check_in_place()?;
    Ok(step)
}

/// The values of all states of [`training_step`] at the beginning: the model's parameters drawn with the deviation `std`,
/// the optimiser's moments zero.
pub fn initial_states(model: &Dot, optimiser: &Optimiser, rng: &Rng, std: f32) -> Vec<(String, Vec<f32>)> {
    let mut states = model.initial(rng, std);
    states.extend(optimiser.initial(&states));
    states
}
