//! Gradient descent over single ratings: the rows of a batch move and decay, all others stay as they are.

use crate::error::{Error, Result};
use crate::graph::optimiser::rows::widened;
use crate::graph::optimiser::{Lookup, Optimiser, Parameter, scalar_input};
use crate::graph::{Dim, Graph, NodeId};

/// The scalar inputs of the classic rule: the learning rate, and what parameters that decay are multiplied by.
pub const CLASSIC: [&str; 2] = ["classic.learning_rate", "classic.decay"];

/// The scalars by name.
pub fn scalars(learning_rate: f64, decay: f64) -> Vec<(&'static str, f32)> {
    CLASSIC.into_iter().zip([learning_rate, decay]).map(|(name, value)| (name, value as f32)).collect()
}

/// The scalars as inputs.
pub struct Scalars {
    learning_rate: NodeId,
    decay: NodeId,
}

impl Scalars {
    /// Adds the inputs.
    pub fn new(graph: &mut Graph) -> Result<Self> {
        Ok(Self { learning_rate: scalar_input(graph, CLASSIC[0])?, decay: scalar_input(graph, CLASSIC[1])? })
    }

    /// Appends the update of all rows of a parameter.
    pub fn update(&self, graph: &mut Graph, parameter: &Parameter) -> Result<Vec<(NodeId, NodeId)>> {
        let kept = match parameter.decay {
            Some(_) => graph.mul(parameter.state, self.decay)?,
            None => parameter.state,
        };
        self.moved(graph, parameter, kept)
    }

    /// Appends the update of the rows of a look-up.
    fn update_rows(&self, graph: &mut Graph, parameter: &Parameter, lookup: &Lookup) -> Result<Vec<(NodeId, NodeId)>> {
        let kept = match parameter.decay {
            Some(_) => {
                let &[Dim::Fixed(n_rows), ..] = graph.shape(parameter.state).dims() else {
                    return Err(Error::new(format!(
                        "graph: {} has no fixed number of rows to look up",
                        parameter.name
                    )));
                };
                // 1 + touched (decay - 1)
                let one = graph.constant(1.0);
                let ones = graph.broadcast(one, lookup.rows)?;
                let counts = graph.scatter_add(lookup.rows, ones, n_rows)?;
                let touched = graph.sign(counts)?;
                let change = graph.sub(self.decay, one)?;
                let there = graph.mul(touched, change)?;
                let factors = graph.add(there, one)?;
                let factors = widened(graph, factors, parameter.state)?;
                graph.mul(parameter.state, factors)?
            }
            None => parameter.state,
        };
        self.moved(graph, parameter, kept)
    }

    /// p' = kept - learning_rate g
    fn moved(&self, graph: &mut Graph, parameter: &Parameter, kept: NodeId) -> Result<Vec<(NodeId, NodeId)>> {
        let change = graph.mul(parameter.gradient, self.learning_rate)?;
        Ok(vec![(parameter.state, graph.sub(kept, change)?)])
    }
}

impl Optimiser {
    /// Appends updates as [`attach`](Self::attach) does, by [`Rule::Classic`](super::Rule::Classic) whatever the rule: of tables that are
    /// among the look-ups only the rows of the batch decay; no others have a gradient.
    ///
    /// # Errors
    /// Those of [`attach`](Self::attach).
    pub fn attach_classic(
        &self,
        graph: &mut Graph,
        lookups: &[Lookup],
        decayed: &[(NodeId, NodeId)],
        undecayed: &[(NodeId, NodeId)],
    ) -> Result<Vec<(NodeId, NodeId)>> {
        let parameters = self.parameters(graph, decayed, undecayed)?;
        let scalars = Scalars::new(graph)?;
        let mut updates = Vec::with_capacity(parameters.len());
        for parameter in &parameters {
            updates.extend(match lookups.iter().find(|lookup| lookup.table == parameter.state) {
                Some(lookup) => scalars.update_rows(graph, parameter, lookup)?,
                None => scalars.update(graph, parameter)?,
            });
        }
        Ok(updates)
    }
}
