//! Gradient accumulation: several runs of a step, of which the optimiser sees the sum.

use crate::error::Result;
use crate::graph::optimiser::{parameter_name, scalar_input};
use crate::graph::{Graph, NodeId};

/// The scalar input that says what becomes of the sums after a run: 1 keeps them for the next, 0 clears them.
pub const KEEP: &str = "accumulate.keep";

/// Gradients that several runs have added up to.
#[derive(Clone, Debug)]
pub struct Accumulated {
    /// (parameter, sum of its gradients since the last time they were cleared, those of this run included): what an
    /// optimiser takes for gradients.
    pub slopes: Vec<(NodeId, NodeId)>,
    /// (state `<parameter>.sum`, its value after the run).
    pub updates: Vec<(NodeId, NodeId)>,
}

/// Adds the gradients of several runs up before an optimiser sees them; `slopes` are (parameter, gradient of the same
/// shape).
///
/// The runs but the last are fed 1 as [`KEEP`] and the optimiser's idle scalars, the last 0 and those of a step. The sum of the
/// gradients is that of one large batch where each run scales its loss so. Costs 2 element-wise passes over each parameter.
///
/// # Errors
/// A parameter that is not a state, a gradient of another shape, a second call on the same graph.
pub fn accumulate(graph: &mut Graph, slopes: &[(NodeId, NodeId)]) -> Result<Accumulated> {
    let keep = scalar_input(graph, KEEP)?;
    let mut accumulated = Accumulated { slopes: Vec::new(), updates: Vec::new() };
    for &(parameter, gradient) in slopes {
        let name = parameter_name(graph, parameter, gradient)?;
        let sum = graph.state(&sum_name(&name), graph.shape(parameter).clone())?;
        let total = graph.add(sum, gradient)?;
        let kept = graph.mul(total, keep)?;
        accumulated.slopes.push((parameter, total));
        accumulated.updates.push((sum, kept));
    }
    Ok(accumulated)
}

/// The sums at the beginning for parameters given by name and values: zeros, by name.
pub fn accumulators(parameters: &[(String, Vec<f32>)]) -> Vec<(String, Vec<f32>)> {
    parameters.iter().map(|(name, values)| (sum_name(name), vec![0.0; values.len()])).collect()
}

fn sum_name(parameter: &str) -> String {
    format!("{parameter}.sum")
}
