//! The check that every engine relies on: that a step may update its states in place.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::graph::engine::Step;
use crate::graph::{NodeId, Op};

impl Step {
    /// Checks that an engine may write every new value over its state, as [`updates`](Self::updates) promises.
    ///
    /// # Errors
    /// An update of something else than a state; a state with no update or several; a value that is not computed in this step, belongs to two states or has
    /// another shape; a reader of a state that may run after the state was overwritten. Who wants only a shape does not read:
    /// an engine that knows it need not wait.
    pub fn check_in_place(&self) -> Result<()> {
        let broken = |state: NodeId, reason: String| {
            Err(Error::new(format!("graph: {} cannot be updated in place: {reason}", self.graph.label(state))))
        };
        let is_state = |id: NodeId| matches!(self.graph.node(id).op, Op::State { .. });
        if let Some((other, _)) = self.updates.iter().find(|(state, _)| !is_state(*state)) {
            return broken(*other, "it is not a state".to_owned());
        }
        for (state, node) in self.graph.iter().filter(|(id, _)| is_state(*id)) {
            let values: Vec<NodeId> = self.updates.iter().filter(|(of, _)| *of == state).map(|(_, v)| *v).collect();
            let [value] = values[..] else {
                return broken(state, format!("it has {} updates, not one", values.len()));
            };
            let op = &self.graph.node(value).op;
            if op.inputs().is_empty() {
                return broken(state, format!("{} is not computed in the step", self.graph.label(value)));
            }
            if self.updates.iter().filter(|(_, other)| *other == value).count() != 1 {
                return broken(state, format!("{} is the new value of another state, too", self.graph.label(value)));
            }
            if self.graph.shape(value) != &node.shape {
                return broken(state, format!("its shape is {}, not {}", node.shape, self.graph.shape(value)));
            }
            let before = self.ancestors(value);
            for (reader, _) in self.graph.iter().filter(|(_, node)| node.op.values_read().contains(&state)) {
                let runs_before = before.contains(&reader) || (reader == value && op.is_element_wise());
                if !runs_before {
                    let reader = self.graph.label(reader);
                    return broken(state, format!("{reader} may read it too late; let it read a snapshot"));
                }
            }
        }
        Ok(())
    }

    /// All nodes whose values have to be there before `id` runs.
    fn ancestors(&self, id: NodeId) -> HashSet<NodeId> {
        let mut found = HashSet::new();
        let mut open = self.graph.node(id).op.values_read();
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(self.graph.node(next).op.values_read());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::loss::half_square_penalty;
    use crate::graph::{Dim, Element, Graph, Shape, gradients};

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    /// A step over the states `a` and `b` of three rows, with the updates that `build` makes of their nodes.
    fn step(build: impl FnOnce(&mut Graph, NodeId, NodeId) -> Vec<(NodeId, NodeId)>) -> Step {
        let mut graph = Graph::new();
        let a = graph.state("a", Shape::vector(Dim::Fixed(3))).unwrap();
        let b = graph.state("b", Shape::vector(Dim::Fixed(3))).unwrap();
        let updates = build(&mut graph, a, b);
        let loss = graph.sum_all(a).unwrap();
        Step { graph, loss, updates }
    }

    #[test]
    fn a_state_read_before_or_by_its_own_update_is_fine() {
        let mut graph = Graph::new();
        let a = graph.state("a", Shape::vector(Dim::Fixed(3))).unwrap();
        let loss = graph.sum_all(a).unwrap();
        let new_a = graph.mul(a, loss).unwrap();
        let step = Step { graph, loss, updates: vec![(a, new_a)] };
        step.check_in_place().unwrap();
    }

    #[test]
    fn a_reader_that_may_run_after_the_update_is_found() {
        // The loss reads `a` but is no ancestor of `a`'s new value.
        let late_loss = step(|graph, a, b| vec![(a, graph.sqrt(a).unwrap()), (b, graph.sqrt(b).unwrap())]);
        assert_eq!(
            message(late_loss.check_in_place()),
            "graph: a cannot be updated in place: %4 (sum_all) may read it too late; let it read a snapshot"
        );
        // `b`'s new value reads the old `a`.
        let crossed = step(|graph, a, b| {
            let total = graph.sum_all(a).unwrap();
            let new_a = graph.mul(a, total).unwrap();
            vec![(a, new_a), (b, graph.add(b, a).unwrap())]
        });
        assert!(message(crossed.check_in_place()).contains("%4 (add) may read it too late"));
    }

    #[test]
    fn an_update_that_moves_rows_of_its_own_state_is_found() {
        let mut graph = Graph::new();
        let rows = graph.input("rows", Shape::vector(Dim::Fixed(3)), Element::Index).unwrap();
        let a = graph.state("a", Shape::vector(Dim::Fixed(3))).unwrap();
        let loss = graph.constant(0.0);
        let new_a = graph.gather(a, rows).unwrap();
        let step = Step { graph, loss, updates: vec![(a, new_a)] };
        assert!(message(step.check_in_place()).contains("(gather) may read it too late"));
    }

    #[test]
    fn a_shape_is_neither_read_nor_waited_for() {
        let shape_of = |like: fn(&mut Graph, NodeId) -> NodeId| {
            let mut graph = Graph::new();
            let a = graph.state("a", Shape::vector(Dim::Fixed(3))).unwrap();
            let one = graph.constant(1.0);
            let like = like(&mut graph, a);
            let ones = graph.broadcast(one, like).unwrap();
            let new_a = graph.add(a, ones).unwrap();
            Step { loss: one, graph, updates: vec![(a, new_a)] }
        };
        shape_of(|_, a| a).check_in_place().unwrap();
        let late = message(shape_of(|graph, a| graph.sqrt(a).unwrap()).check_in_place());
        assert_eq!(late, "graph: a cannot be updated in place: %2 (sqrt) may read it too late; let it read a snapshot");
    }

    #[test]
    fn a_penalty_and_a_multiplied_snapshot_are_fine() {
        let weights = |read: fn(&mut Graph, NodeId) -> NodeId| {
            let mut graph = Graph::new();
            let x = graph.state("x", Shape::matrix(Dim::Fixed(4), 3)).unwrap();
            let w = graph.state("w", Shape::matrix(Dim::Fixed(3), 2)).unwrap();
            let read_x = graph.snapshot(x).unwrap();
            let read_w = read(&mut graph, w);
            let product = graph.matmul(read_x, read_w, false, false).unwrap();
            let squares = graph.mul(product, product).unwrap();
            let error = graph.sum_all(squares).unwrap();
            let penalty = half_square_penalty(&mut graph, &[x, w], 0.1).unwrap();
            let loss = graph.add(error, penalty).unwrap();
            let slopes = gradients(&mut graph, loss, &[x, w]).unwrap();
            let updates = [x, w].into_iter().zip(slopes).map(|(p, g)| (p, graph.sub(p, g).unwrap())).collect();
            Step { graph, loss, updates }
        };
        weights(|graph, w| graph.snapshot(w).unwrap()).check_in_place().unwrap();
        assert!(message(weights(|_, w| w).check_in_place()).contains("w cannot be updated in place"));
    }

    #[test]
    fn updates_are_one_for_each_state_and_computed() {
        let none = step(|graph, a, _| vec![(a, graph.sqrt(a).unwrap())]);
        assert!(message(none.check_in_place()).contains("late"));
        let missing = step(|_, _, _| Vec::new());
        assert!(message(missing.check_in_place()).contains("a cannot be updated in place: it has 0 updates, not one"));
        let swapped = step(|_, a, b| vec![(a, b), (b, a)]);
        assert!(message(swapped.check_in_place()).contains("b is not computed in the step"));
        let shared = step(|graph, a, b| {
            let sum = graph.add(a, b).unwrap();
            vec![(a, sum), (b, sum)]
        });
        assert!(message(shared.check_in_place()).contains("%2 (add) is the new value of another state, too"));
        let narrow = step(|graph, a, b| vec![(a, graph.sum_all(a).unwrap()), (b, graph.sqrt(b).unwrap())]);
        assert!(message(narrow.check_in_place()).contains("its shape is [3], not []"));
        let foreign = step(|graph, a, b| {
            let root = graph.sqrt(a).unwrap();
            vec![(root, b)]
        });
        assert!(message(foreign.check_in_place()).contains("%2 (sqrt) cannot be updated in place: it is not a state"));
    }
}
