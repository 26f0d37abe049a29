//! Factorisation: the interaction is the dot product of both rows.
//!
//! Koren, Bell and Volinsky, Matrix Factorization Techniques for Recommender Systems (2009), equation 4, with fastai's
//! `y_range`. The card in `models/dot/` tells where it differs from both.

use crate::error::Result;
use crate::graph::{Graph, NodeId};

/// `p . q` of each pair of rows `[B, K]`: `[B]`.
pub(super) fn interaction(graph: &mut Graph, p: NodeId, q: NodeId) -> Result<NodeId> {
    let products = graph.mul(p, q)?;
    graph.sum_columns(products)
}
