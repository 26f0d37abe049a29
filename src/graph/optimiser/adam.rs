//! Adam with decoupled weight decay, and with a quadratic penalty.

use crate::error::Result;
use crate::graph::optimiser::{Parameter, first_moment, scalar_input, second_moment};
use crate::graph::{Graph, NodeId};

/// The scalar inputs of AdamW: `beta1`, `1 - beta1`, `beta2`, `1 - beta2`, the step size and epsilon, both with their bias corrections;
/// [`ADAMW_DECAY`] comes on top.
pub const ADAMW: [&str; 6] = [
    "adamw.beta1",
    "adamw.one_minus_beta1",
    "adamw.beta2",
    "adamw.one_minus_beta2",
    "adamw.step_size",
    "adamw.epsilon",
];
/// The scalar input of what parameters that decay are multiplied by.
pub const ADAMW_DECAY: &str = "adamw.decay";
/// The scalar inputs of Adam, as those of [`ADAMW`].
pub const ADAM: [&str; 6] =
    ["adam.beta1", "adam.one_minus_beta1", "adam.beta2", "adam.one_minus_beta2", "adam.step_size", "adam.epsilon"];

/// The values of the scalars that keep parameters and moments as they are; nothing is divided by 0.
pub const IDLE: [f64; 6] = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0];

/// The values of the scalars of step `step_number`, from 1.
///
/// Multiplying numerator and denominator of the update by `sqrt(1 - beta2^t)` moves both bias corrections into the
/// step size and the epsilon.
pub fn moving(step_number: u64, learning_rate: f64, beta1: f64, beta2: f64, eps: f64) -> [f64; 6] {
    let t = step_number as f64;
    let correction1 = 1.0 - beta1.powf(t);
    let root_correction2 = (1.0 - beta2.powf(t)).sqrt();
    let step_size = learning_rate * root_correction2 / correction1;
    [beta1, 1.0 - beta1, beta2, 1.0 - beta2, step_size, eps * root_correction2]
}

/// The scalars of AdamW by name.
pub fn decoupled_scalars(values: [f64; 6], decay: f64) -> Vec<(&'static str, f32)> {
    ADAMW.into_iter().zip(values).chain([(ADAMW_DECAY, decay)]).map(|(name, value)| (name, value as f32)).collect()
}

/// The scalars of Adam by name.
pub fn penalised_scalars(values: [f64; 6]) -> Vec<(&'static str, f32)> {
    ADAM.into_iter().zip(values).map(|(name, value)| (name, value as f32)).collect()
}

/// The scalars that both forms have, as inputs.
pub struct Scalars {
    pub beta1: NodeId,
    pub one_minus_beta1: NodeId,
    pub beta2: NodeId,
    pub one_minus_beta2: NodeId,
    pub step_size: NodeId,
    pub epsilon: NodeId,
    /// The factor of the parameters that decay, with AdamW.
    pub decay: Option<NodeId>,
}

impl Scalars {
    /// Those of AdamW.
    pub fn decoupled(graph: &mut Graph) -> Result<Self> {
        let mut scalars = Self::new(graph, ADAMW)?;
        scalars.decay = Some(scalar_input(graph, ADAMW_DECAY)?);
        Ok(scalars)
    }

    /// Those of Adam.
    pub fn penalised(graph: &mut Graph) -> Result<Self> {
        Self::new(graph, ADAM)
    }

    fn new(graph: &mut Graph, names: [&str; 6]) -> Result<Self> {
        Ok(Self {
            beta1: scalar_input(graph, names[0])?,
            one_minus_beta1: scalar_input(graph, names[1])?,
            beta2: scalar_input(graph, names[2])?,
            one_minus_beta2: scalar_input(graph, names[3])?,
            step_size: scalar_input(graph, names[4])?,
            epsilon: scalar_input(graph, names[5])?,
            decay: None,
        })
    }

    /// Appends the update of a parameter.
    pub fn update(&self, graph: &mut Graph, parameter: &Parameter) -> Result<Vec<(NodeId, NodeId)>> {
        let (gradient, factor) = match self.decay {
            Some(factor) => (parameter.gradient, parameter.decay.map(|_| factor)),
            None => (parameter.penalised_gradient(graph)?, None),
        };
        let shape = graph.shape(parameter.state).clone();
        let m = graph.state(&first_moment(&parameter.name), shape.clone())?;
        let v = graph.state(&second_moment(&parameter.name), shape)?;

        // m' = beta1 m + (1 - beta1) g
        let kept = graph.mul(m, self.beta1)?;
        let added = graph.mul(gradient, self.one_minus_beta1)?;
        let new_m = graph.add(kept, added)?;
        // v' = beta2 v + (1 - beta2) g^2
        let kept = graph.mul(v, self.beta2)?;
        let square = graph.mul(gradient, gradient)?;
        let added = graph.mul(square, self.one_minus_beta2)?;
        let new_v = graph.add(kept, added)?;
        // p' = factor p - step_size m' / (sqrt(v') + epsilon)
        let kept = match factor {
            Some(factor) => graph.mul(parameter.state, factor)?,
            None => parameter.state,
        };
        let root = graph.sqrt(new_v)?;
        let denominator = graph.add(root, self.epsilon)?;
        let numerator = graph.mul(new_m, self.step_size)?;
        let change = graph.div(numerator, denominator)?;
        let new_parameter = graph.sub(kept, change)?;
        Ok(vec![(parameter.state, new_parameter), (m, new_m), (v, new_v)])
    }
}
