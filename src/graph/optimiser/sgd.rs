//! Stochastic gradient descent with momentum and a quadratic penalty.

use crate::error::Result;
use crate::graph::optimiser::{Parameter, first_moment, scalar_input};
use crate::graph::{Graph, NodeId};

/// The scalar inputs of SGD: the momentum, the factor of the gradients (1, or 0 in a step that does nothing) and the learning rate.
pub const SGD: [&str; 3] = ["sgd.momentum", "sgd.gain", "sgd.learning_rate"];

/// The scalars by name.
pub fn scalars(learning_rate: f64, momentum: f64, gain: f64) -> Vec<(&'static str, f32)> {
    SGD.into_iter().zip([momentum, gain, learning_rate]).map(|(name, value)| (name, value as f32)).collect()
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
            momentum: scalar_input(graph, SGD[0])?,
            gain: scalar_input(graph, SGD[1])?,
            learning_rate: scalar_input(graph, SGD[2])?,
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
