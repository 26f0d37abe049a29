//! Losses as graph fragments: what a batch of predictions costs, each rating by itself, and what the parameters cost.
//!
//! Whether the costs of a batch are summed, averaged or weighted is for whoever builds the step to say.

use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, NodeId};

/// The squared errors `(prediction - target)^2` of two tensors of the same shape (`[B]`), in that shape.
///
/// # Errors
/// Shapes that differ.
pub fn squared_errors(graph: &mut Graph, prediction: NodeId, target: NodeId) -> Result<NodeId> {
    let error = graph.sub(prediction, target)?;
    graph.mul(error, error)
}

/// The cross-entropies `-log(softmax(logits[b])[class[b]])`, `[B]`, of logits `[B, C]` and row numbers `[B]` below `C`.
///
/// # Errors
/// Logits of another rank, or whose number of classes is not fixed; classes that are not row numbers.
pub fn cross_entropies(graph: &mut Graph, logits: NodeId, class: NodeId) -> Result<NodeId> {
    let [_, Dim::Fixed(n_classes)] = *graph.shape(logits).dims() else {
        let shape = graph.shape(logits);
        return Err(Error::new(format!("graph: the cross-entropy wants logits of shape [B, C], not {shape}")));
    };
    let log_shares = graph.log_softmax(logits)?;
    let chosen = graph.one_hot(class, n_classes)?;
    let kept = graph.mul(log_shares, chosen)?;
    let sums = graph.sum_columns(kept)?;
    let minus_one = graph.constant(-1.0);
    graph.mul(sums, minus_one)
}

/// `factor / 2` times the sum of the squares of all elements of all tables, a scalar; its gradient is `factor` times each
/// table.
///
/// The tables may be states that are updated in place: the gradient depends on the sum of squares, so nothing reads a table
/// later than its gradient is known.
///
/// # Errors
/// A table that has no floats.
pub fn half_square_penalty(graph: &mut Graph, tables: &[NodeId], factor: f64) -> Result<NodeId> {
    let mut total = graph.constant(0.0);
    for table in tables {
        let squares = graph.mul(*table, *table)?;
        let sum = graph.sum_all(squares)?;
        // 1 whatever the sum, which is never negative; no gradient passes through a sign.
        let one = graph.constant(1.0);
        let above_zero = graph.add(sum, one)?;
        let gate = graph.sign(above_zero)?;
        let half = graph.constant((0.5 * factor) as f32);
        let weight = graph.mul(gate, half)?;
        let penalty = graph.mul(sum, weight)?;
        total = graph.add(total, penalty)?;
    }
    Ok(total)
}
