//! Losses as graph fragments: a scalar for a batch of predictions.

use crate::error::Result;
use crate::graph::{Graph, NodeId};

/// The mean squared error `1/B sum (prediction - target)^2` of two tensors of the same shape (`[B]`), a scalar.
///
/// # Errors
/// Shapes that differ.
pub fn mse(graph: &mut Graph, prediction: NodeId, target: NodeId) -> Result<NodeId> {
    let error = graph.sub(prediction, target)?;
    let squared = graph.mul(error, error)?;
    graph.mean(squared)
}
