//! Optimisers as graph fragments: the update of every parameter, appended to the graph that computes the gradients.
//!
//! The element-wise passes over whole tables that stand here set the time of a dense training step. So whatever is a
//! single number is worked out on the host, in `f64`, and fed: the graph never divides a table by a bias correction.

use crate::error::{Error, Result};
use crate::graph::{Element, Graph, NodeId, Op, Shape};

/// Adam with decoupled weight decay, dense: every row of every parameter moves at every step.
///
/// In step `t` (from 1), with the gradient `g` and the learning rate `lr` and `beta1` of that step:
///
/// ```text
/// p <- p (1 - lr wd)
/// m <- beta1 m + (1 - beta1) g
/// v <- beta2 v + (1 - beta2) g^2
/// p <- p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
/// ```
///
/// as PyTorch's and fastai's AdamW have it; where a schedule moves `beta1`, the bias correction takes its present value,
/// as fastai's does.
///
/// Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019), algorithm 2.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// `wd`, the share of a parameter that is taken away per unit of learning rate.
    pub weight_decay: f64,
    /// The decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment, outside the root.
    pub eps: f64,
}

/// What [`AdamW::scalars`] feeds: inputs of the graph by name.
const DECAY: &str = "adamw.decay";
const BETA1: &str = "adamw.beta1";
const ONE_MINUS_BETA1: &str = "adamw.one_minus_beta1";
const STEP_SIZE: &str = "adamw.step_size";
const EPSILON: &str = "adamw.epsilon";

impl AdamW {
    /// Appends the update of every parameter, given as (state, gradient of the same shape); returns (state, value after
    /// the step) for the parameters and for their moments, the states `<parameter>.m` and `<parameter>.v`.
    ///
    /// Adds the scalar inputs that [`scalars`](Self::scalars) feeds, so it can be called once on a graph. A parameter
    /// costs 13 element-wise passes over it, one that does not decay 12.
    ///
    /// # Errors
    /// A parameter that is not a state, a gradient of another shape, a second call on the same graph.
    pub fn attach(
        &self,
        graph: &mut Graph,
        decayed: &[(NodeId, NodeId)],
        undecayed: &[(NodeId, NodeId)],
    ) -> Result<Vec<(NodeId, NodeId)>> {
        let mut scalar_input = |name| graph.input(name, Shape::scalar(), Element::Float);
        let decay = scalar_input(DECAY)?;
        let beta1 = scalar_input(BETA1)?;
        let one_minus_beta1 = scalar_input(ONE_MINUS_BETA1)?;
        let step_size = scalar_input(STEP_SIZE)?;
        let epsilon = scalar_input(EPSILON)?;
        let beta2 = graph.constant(self.beta2 as f32);
        let one_minus_beta2 = graph.constant((1.0 - self.beta2) as f32);

        let parameters = decayed.iter().map(|pair| (pair, true)).chain(undecayed.iter().map(|pair| (pair, false)));
        let mut updates = Vec::with_capacity(3 * (decayed.len() + undecayed.len()));
        for (&(parameter, gradient), decays) in parameters {
            let Op::State { name } = graph.node(parameter).op.clone() else {
                return Err(Error::new(format!("graph: adamw updates states, not {}", graph.label(parameter))));
            };
            let shape = graph.shape(parameter).clone();
            let m = graph.state(&first_moment(&name), shape.clone())?;
            let v = graph.state(&second_moment(&name), shape)?;

            // m' = beta1 m + (1 - beta1) g
            let kept = graph.mul(m, beta1)?;
            let added = graph.mul(gradient, one_minus_beta1)?;
            let new_m = graph.add(kept, added)?;
            // v' = beta2 v + (1 - beta2) g^2
            let kept = graph.mul(v, beta2)?;
            let square = graph.mul(gradient, gradient)?;
            let added = graph.mul(square, one_minus_beta2)?;
            let new_v = graph.add(kept, added)?;
            // p' = decay p - step_size m' / (sqrt(v') + epsilon)
            let kept = if decays { graph.mul(parameter, decay)? } else { parameter };
            let root = graph.sqrt(new_v)?;
            let denominator = graph.add(root, epsilon)?;
            let numerator = graph.mul(new_m, step_size)?;
            let change = graph.div(numerator, denominator)?;
            let new_parameter = graph.sub(kept, change)?;

            updates.extend([(parameter, new_parameter), (m, new_m), (v, new_v)]);
        }
        Ok(updates)
    }

    /// The scalar inputs of step `step_number` (1 is the first since the moments were zero), by name.
    ///
    /// Multiplying numerator and denominator of the update by `sqrt(1 - beta2^t)` moves both bias corrections into the
    /// step size and the epsilon.
    pub fn scalars(&self, step_number: u64, learning_rate: f64, beta1: f64) -> [(&'static str, f32); 5] {
        let t = step_number as f64;
        let correction1 = 1.0 - beta1.powf(t);
        let root_correction2 = (1.0 - self.beta2.powf(t)).sqrt();
        [
            (DECAY, (1.0 - learning_rate * self.weight_decay) as f32),
            (BETA1, beta1 as f32),
            (ONE_MINUS_BETA1, (1.0 - beta1) as f32),
            (STEP_SIZE, (learning_rate * root_correction2 / correction1) as f32),
            (EPSILON, (self.eps * root_correction2) as f32),
        ]
    }

    /// The moments of a fresh training for parameters given by name and values: zeros, by name.
    pub fn initial(&self, parameters: &[(String, Vec<f32>)]) -> Vec<(String, Vec<f32>)> {
        parameters
            .iter()
            .flat_map(|(name, values)| {
                [first_moment(name), second_moment(name)].map(|moment| (moment, vec![0.0; values.len()]))
            })
            .collect()
    }
}

fn first_moment(parameter: &str) -> String {
    format!("{parameter}.m")
}

fn second_moment(parameter: &str) -> String {
    format!("{parameter}.v")
}
