//! The end of a classifier: the score through a line to the logit of each class.

use crate::error::Result;
use crate::graph::{Dim, Graph, NodeId, Shape};

/// The state `[C]` of what a score is multiplied by for each class.
pub const CLASS_WEIGHTS: &str = "class_weights";
/// The state `[C]` of what is then added.
pub const CLASS_OFFSETS: &str = "class_offsets";

/// The logits of a batch and the states that they come from.
pub(super) struct Logits {
    /// `score * weights + offsets`: `[B, C]`.
    pub logits: NodeId,
    /// [`CLASS_WEIGHTS`].
    pub weights: NodeId,
    /// [`CLASS_OFFSETS`].
    pub offsets: NodeId,
}

/// Adds the states and the logits of the scores `[B]`.
pub(super) fn logits(graph: &mut Graph, score: NodeId, n_classes: usize) -> Result<Logits> {
    let weights = graph.state(CLASS_WEIGHTS, Shape::vector(Dim::Fixed(n_classes)))?;
    let offsets = graph.state(CLASS_OFFSETS, Shape::vector(Dim::Fixed(n_classes)))?;
    let scores = graph.repeat_columns(score, n_classes)?;
    let repeated_weights = graph.repeat_rows(weights, scores)?;
    let products = graph.mul(scores, repeated_weights)?;
    let repeated_offsets = graph.repeat_rows(offsets, products)?;
    let logits = graph.add(products, repeated_offsets)?;
    Ok(Logits { logits, weights, offsets })
}

/// Weights that rise evenly from -1 to 1, so that a higher score speaks for a higher class from the start, and offsets of 0.
pub(super) fn initial(n_classes: usize) -> [(String, Vec<f32>); 2] {
    let step = 2.0 / (n_classes.max(2) - 1) as f32;
    let weights = (0..n_classes).map(|class| class as f32 * step - 1.0).collect();
    [(CLASS_WEIGHTS.to_owned(), weights), (CLASS_OFFSETS.to_owned(), vec![0.0; n_classes])]
}
