//! Stochastic gradient descent with momentum and a quadratic penalty.

use crate::error::Result;
use crate::graph::optimiser::{Parameter, first_moment, scalar_input};
use crate::graph::{Graph, NodeId};

const MOMENTUM: &str = "sgd.momentum";
/// The factor of the gradients: 1, or 0 in a step that does nothing.
const GAIN: &str = "sgd.gain";
const LEARNING_RATE: &str = "sgd.learning_rate";

/// The scalars by name.
pub fn scalars(learning_rate: f64, momentum: f64, gain: f64) -> Vec<(&'static str, f32)> {
    vec![(MOMENTUM, momentum as f32), (GAIN, gain as f32), (LEARNING_RATE, learning_rate as f32)]
}

/// Appends the inputs and updates.
pub fn attach(graph: &mut Graph, parameters: &[Parameter]) -> Result<Vec<(NodeId, NodeId)>> {
    let momentum = scalar_input(graph, MOMENTUM)?;
    let gain = scalar_input(graph, GAIN)?;
    let learning_rate = scalar_input(graph, LEARNING_RATE)?;
    let mut updates = Vec::with_capacity(2 * parameters.len());
    for parameter in parameters {
        let gradient = parameter.penalised_gradient(graph)?;
        let shape = graph.shape(parameter.state).clone();
        let m = graph.state(&first_moment(&parameter.name), shape)?;
        // m' = momentum m + gain g
        let kept = graph.mul(m, momentum)?;
        let added = graph.mul(gradient, gain)?;
        let new_m = graph.add(kept, added)?;
        // p' = p - learning_rate m'
        let change = graph.mul(new_m, learning_rate)?;
        let new_parameter = graph.sub(parameter.state, change)?;
        updates.extend([(parameter.state, new_parameter), (m, new_m)]);
    }
    Ok(updates)
}
