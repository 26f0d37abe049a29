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

/// The scalars as inputs.
pub struct Scalars {
    pub momentum: NodeId,
    pub gain: NodeId,
    pub learning_rate: NodeId,
}

impl Scalars {
    /// Adds the inputs.
    pub fn new(graph: &mut Graph) -> Result<Self> {
        Ok(Self {
            momentum: scalar_input(graph, MOMENTUM)?,
            gain: scalar_input(graph, GAIN)?,
            learning_rate: scalar_input(graph, LEARNING_RATE)?,
        })
    }

    /// Appends the update of a parameter.
    pub fn update(&self, graph: &mut Graph, parameter: &Parameter) -> Result<Vec<(NodeId, NodeId)>> {
        let gradient = parameter.penalised_gradient(graph)?;
        let shape = graph.shape(parameter.state).clone();
        let m = graph.state(&first_moment(&parameter.name), shape)?;
        // m' = momentum m + gain g
        let kept = graph.mul(m, self.momentum)?;
        let added = graph.mul(gradient, self.gain)?;
        let new_m = graph.add(kept, added)?;
        // p' = p - learning_rate m'
        let change = graph.mul(new_m, self.learning_rate)?;
        let new_parameter = graph.sub(parameter.state, change)?;
        Ok(vec![(parameter.state, new_parameter), (m, new_m)])
    }
}
