//! Optimisers as graph fragments: the update of every parameter, appended to the graph that computes the gradients.
//!
//! The element-wise passes over whole tables that stand here set the time of a dense training step. So whatever is a
//! single number is worked out on the host, in `f64`, and fed: the graph never divides a table by a bias correction. What a
//! step does is also in those numbers alone: with those of [`Optimiser::idle_scalars`] it changes nothing.

mod accumulate;
mod adam;
mod classic;
mod clock;
mod rows;
mod sgd;

pub use accumulate::{Accumulated, KEEP, accumulate, accumulators};
pub use adam::{ADAM, ADAMW, ADAMW_DECAY};
pub use classic::CLASSIC;
pub use clock::{Clock, RowMemory};
pub use rows::{
    BEFORE, LOG_BETA1, LOG_BETA2, LOG_DECAY_BEFORE, LOG_DECAY_NOW, LOG_RATIO, Lookup, NOW, RowTable, RowUpdates, TAIL,
};
pub use sgd::SGD;

use crate::error::{Error, Result};
use crate::graph::{Element, Graph, NodeId, Op, Shape};

/// How a gradient `g` moves a parameter `p`.
///
/// In step `t` (from 1), with the learning rate `lr` and `beta1` of that step and the weight decay `wd`:
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Adam with decoupled weight decay:
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
    AdamW {
        /// The decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment, outside the root.
        eps: f64,
    },
    /// Adam with a quadratic penalty: `g <- g + wd p`, then as [`AdamW`](Self::AdamW) without its first line; PyTorch's Adam.
    ///
    /// Source: Kingma and Ba, Adam: A Method for Stochastic Optimization (2015), algorithm 1.
    Adam {
        /// The decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment, outside the root.
        eps: f64,
    },
    /// Stochastic gradient descent with momentum and a quadratic penalty:
    ///
    /// ```text
    /// g <- g + wd p
    /// m <- beta1 m + g
    /// p <- p - lr m
    /// ```
    ///
    /// as PyTorch's SGD has it with `momentum = beta1`, no dampening and no look-ahead.
    ///
    /// Source: Polyak, Some methods of speeding up the convergence of iteration methods (1964), equation 9.
    Sgd,
    /// Gradient descent over single ratings, one a step:
    ///
    /// ```text
    /// p <- p - lr (g + wd p)
    /// ```
    ///
    /// for the rows of the rating; all others stay as they are, with either [`Reach`]. Nothing is remembered of a parameter, and
    /// `beta1` does not count.
    ///
    /// Source: Koren, Bell and Volinsky, Matrix Factorization Techniques for Recommender Systems (2009), "Stochastic gradient
    /// descent".
    Classic,
}

/// Which rows of a table a step reads and writes; what is not looked up by rows moves as a whole with either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All: in a step without its ratings, a row still decays and its momentum carries it on.
    EveryRow,
    /// Those of the batch, after each has caught up with the `n` steps that it missed, in closed form. With the scalars of
    /// the step before which it does, `step = lr sqrt(1 - beta2^t) / (1 - beta1^t)`, `e = eps sqrt(1 - beta2^t)` and
    /// `q = beta1 / sqrt(beta2)`:
    ///
    /// ```text
    /// p <- p prod_s (1 - lr_s wd) - step (q + q^2 + ... + q^n) m / (sqrt(v) + e)
    /// m <- m beta1^n
    /// v <- v beta2^n
    /// ```
    ///
    /// where `s` runs over the steps missed; for [`Rule::Sgd`], `p <- p - lr (beta1 + ... + beta1^n) m`. Exact where rate and betas
    /// stay as they are and `e` is small beside `sqrt(v)`, but for the decay of what momentum added meanwhile.
    BatchRows,
}

/// A rule with its weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimiser {
    /// How parameters move.
    pub rule: Rule,
    /// `wd`: the share of a parameter that is taken away per unit of learning rate, or that is added to its gradient. 0 costs
    /// no pass.
    pub weight_decay: f64,
    /// Which rows move.
    pub reach: Reach,
}

impl Optimiser {
    /// Appends the update of every parameter, given as (state, gradient of the same shape), all rows of each; returns (state,
    /// value after the step) for the parameters and for what the rule remembers of them, the states `<parameter>.m` and, but for
    /// [`Rule::Sgd`], `<parameter>.v`; with [`Rule::Classic`], of which [`attach_classic`](Self::attach_classic) knows rows, nothing. [`RowUpdates`] is the same for [`Reach::BatchRows`].
    ///
    /// Adds the scalar inputs that [`scalars`](Self::scalars) feeds, so it can be called once on a graph. A parameter costs 12
    /// element-wise passes over it with Adam, 5 with SGD; one that decays 1 more with AdamW, else 2.
    ///
    /// # Errors
    /// A parameter that is not a state, a gradient of another shape, a second call on the same graph.
    pub fn attach(
        &self,
        graph: &mut Graph,
        decayed: &[(NodeId, NodeId)],
        undecayed: &[(NodeId, NodeId)],
    ) -> Result<Vec<(NodeId, NodeId)>> {
        let parameters = self.parameters(graph, decayed, undecayed)?;
        let scalars = Scalars::new(graph, self.rule)?;
        let mut updates = Vec::with_capacity(3 * parameters.len());
        for parameter in &parameters {
            updates.extend(scalars.update(graph, parameter)?);
        }
        Ok(updates)
    }

    /// The scalar inputs of step `step_number` (1 is the first since the moments were zero; steps that
    /// [`idle_scalars`](Self::idle_scalars) were fed to do not count), by name, without those that [`Reach::BatchRows`] needs on top.
    pub fn scalars(&self, step_number: u64, learning_rate: f64, beta1: f64) -> Vec<(&'static str, f32)> {
        match self.rule {
            Rule::AdamW { beta2, eps } => {
                let values = adam::moving(step_number, learning_rate, beta1, beta2, eps);
                adam::decoupled_scalars(values, 1.0 - learning_rate * self.weight_decay)
            }
            Rule::Adam { beta2, eps } => {
                adam::penalised_scalars(adam::moving(step_number, learning_rate, beta1, beta2, eps))
            }
            Rule::Sgd => sgd::scalars(learning_rate, beta1, 1.0),
            Rule::Classic => classic::scalars(learning_rate, 1.0 - learning_rate * self.weight_decay),
        }
    }

    /// The scalar inputs of a step that changes neither parameters nor what the rule remembers of them: for the runs between
    /// which gradients [`accumulate`].
    pub fn idle_scalars(&self) -> Vec<(&'static str, f32)> {
        match self.rule {
            Rule::AdamW { .. } => adam::decoupled_scalars(adam::IDLE, 1.0),
            Rule::Adam { .. } => adam::penalised_scalars(adam::IDLE),
            Rule::Sgd => sgd::scalars(0.0, 1.0, 0.0),
            Rule::Classic => classic::scalars(0.0, 1.0),
        }
    }

    /// Whether rows have clocks, and catch up with steps that they missed.
    fn catches_up(&self) -> bool {
        self.reach == Reach::BatchRows && self.rule != Rule::Classic
    }

    /// The parameters of both lists.
    fn parameters(
        &self,
        graph: &Graph,
        decayed: &[(NodeId, NodeId)],
        undecayed: &[(NodeId, NodeId)],
    ) -> Result<Vec<Parameter>> {
        let decay = Some(self.weight_decay).filter(|decay| *decay != 0.0);
        let mut parameters = Vec::with_capacity(decayed.len() + undecayed.len());
        for (pairs, decay) in [(decayed, decay), (undecayed, None)] {
            for &(state, gradient) in pairs {
                parameters.push(Parameter { name: parameter_name(graph, state, gradient)?, state, gradient, decay });
            }
        }
        Ok(parameters)
    }

    /// What the rule remembers at the beginning of parameters given by name and values: zeros, by name.
    pub fn initial(&self, parameters: &[(String, Vec<f32>)]) -> Vec<(String, Vec<f32>)> {
        let memories: &[fn(&str) -> String] = match self.rule {
            Rule::AdamW { .. } | Rule::Adam { .. } => &[first_moment, second_moment],
            Rule::Sgd => &[first_moment],
            Rule::Classic => &[],
        };
        let zeros = |(name, values): &(String, Vec<f32>)| -> Vec<_> {
            memories.iter().map(|memory| (memory(name), vec![0.0; values.len()])).collect()
        };
        parameters.iter().flat_map(zeros).collect()
    }
}

/// The scalar inputs of a rule.
enum Scalars {
    Adam(adam::Scalars),
    Sgd(sgd::Scalars),
    Classic(classic::Scalars),
}

impl Scalars {
    fn new(graph: &mut Graph, rule: Rule) -> Result<Self> {
        Ok(match rule {
            Rule::AdamW { .. } => Self::Adam(adam::Scalars::decoupled(graph)?),
            Rule::Adam { .. } => Self::Adam(adam::Scalars::penalised(graph)?),
            Rule::Sgd => Self::Sgd(sgd::Scalars::new(graph)?),
            Rule::Classic => Self::Classic(classic::Scalars::new(graph)?),
        })
    }

    /// Appends the update of all rows of a parameter.
    fn update(&self, graph: &mut Graph, parameter: &Parameter) -> Result<Vec<(NodeId, NodeId)>> {
        match self {
            Self::Adam(scalars) => scalars.update(graph, parameter),
            Self::Sgd(scalars) => scalars.update(graph, parameter),
            Self::Classic(scalars) => scalars.update(graph, parameter),
        }
    }
}

/// A state that is learned.
struct Parameter {
    name: String,
    state: NodeId,
    /// In the shape of the state.
    gradient: NodeId,
    /// `wd`, where the parameter decays.
    decay: Option<f64>,
}

impl Parameter {
    /// `g + wd p`, or `g`.
    fn penalised_gradient(&self, graph: &mut Graph) -> Result<NodeId> {
        let Some(decay) = self.decay else { return Ok(self.gradient) };
        let decay = graph.constant(decay as f32);
        let slope = graph.mul(self.state, decay)?;
        graph.add(self.gradient, slope)
    }
}

fn scalar_input(graph: &mut Graph, name: &str) -> Result<NodeId> {
    graph.input(name, Shape::scalar(), Element::Float)
}

/// The name of a parameter, which is a state with a gradient of its shape.
fn parameter_name(graph: &Graph, parameter: NodeId, gradient: NodeId) -> Result<String> {
    let Op::State { name } = &graph.node(parameter).op else {
        return Err(Error::new(format!("graph: an optimiser updates states, not {}", graph.label(parameter))));
    };
    let (wanted, found) = (graph.shape(parameter), graph.shape(gradient));
    if wanted != found {
        return Err(Error::new(format!("graph: the gradient of {name} has shape {found}, not {wanted}")));
    }
    Ok(name.clone())
}

fn first_moment(parameter: &str) -> String {
    format!("{parameter}.m")
}

fn second_moment(parameter: &str) -> String {
    format!("{parameter}.v")
}
