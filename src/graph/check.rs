//! Checks that every engine relies on: that a step may update in place, and that values fit its states and inputs.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::graph::engine::{Feed, FeedValues, Step};
use crate::graph::{Dim, Element, NodeId, Op};

impl Step {
    /// Checks that an engine may write every new value over its state, as [`updates`](Self::updates) promises.
    ///
    /// # Errors
    /// An update of something else than a state; a state with no update or several; a value that is not computed in this step, belongs to two states or has
    /// another shape; a reader of a state that may run after the state was overwritten.
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
            for (reader, _) in self.graph.iter().filter(|(_, node)| node.op.inputs().contains(&state)) {
                let runs_before = before.contains(&reader) || (reader == value && op.is_element_wise());
                if !runs_before {
                    return broken(state, format!("{} may read it too late", self.graph.label(reader)));
                }
            }
        }
        Ok(())
    }

    /// Checks that `initial` has the values of every state of the step once, and nothing else.
    ///
    /// # Errors
    /// A missing, repeated or unknown state; a wrong number of values; a state whose size is not fixed.
    pub fn check_initial(&self, initial: &[(String, Vec<f32>)]) -> Result<()> {
        for (name, _) in initial {
            if !self.graph.nodes().iter().any(|node| matches!(&node.op, Op::State { name: other } if other == name)) {
                return Err(Error::new(format!("state {name}: the step has no such state")));
            }
        }
        for node in self.graph.nodes() {
            let Op::State { name } = &node.op else { continue };
            if node.shape.dims().contains(&Dim::Batch) {
                return Err(Error::new(format!("state {name}: the size of {} is not fixed", node.shape)));
            }
            let expected: usize = node.shape.sizes(1).iter().product();
            let found: Vec<usize> =
                initial.iter().filter(|(other, _)| other == name).map(|(_, values)| values.len()).collect();
            match found[..] {
                [length] if length == expected => {}
                [length] => return Err(Error::new(format!("state {name}: {length} initial values for {expected}"))),
                _ => return Err(Error::new(format!("state {name}: given {} times, not once", found.len()))),
            }
        }
        Ok(())
    }

    /// Checks that `feeds` has every input once, of its kind and size, and returns `B` (1 where no input has it).
    ///
    /// # Errors
    /// A missing, repeated, unknown or wrongly sized feed; feeds that disagree on `B`; an empty batch.
    pub fn check_feeds(&self, feeds: &[Feed<'_>]) -> Result<usize> {
        let mut batch: Option<usize> = None;
        for node in self.graph.nodes() {
            let Op::Input { name } = &node.op else { continue };
            let mut found = feeds.iter().filter(|feed| feed.name == name);
            let (Some(feed), None) = (found.next(), found.next()) else {
                return Err(Error::new(format!("feed {name}: expected once")));
            };
            let length = match (feed.values, node.element) {
                (FeedValues::Floats(values), Element::Float) => values.len(),
                (FeedValues::Indices(values), Element::Index) => values.len(),
                _ => return Err(Error::new(format!("feed {name}: elements of the wrong kind"))),
            };
            let row: usize = node.shape.sizes(1).iter().product();
            if !node.shape.dims().contains(&Dim::Batch) {
                if length != row {
                    return Err(Error::new(format!("feed {name}: {length} values for shape {}", node.shape)));
                }
                continue;
            }
            let rows = if row > 0 && length % row == 0 { length / row } else { 0 };
            if rows == 0 || batch.is_some_and(|other| other != rows) {
                let known = batch.map_or(String::new(), |other| format!(" with B = {other}"));
                return Err(Error::new(format!("feed {name}: {length} values for shape {}{known}", node.shape)));
            }
            batch = Some(rows);
        }
        match feeds.iter().find(|feed| !matches!(self.graph.named_node(feed.name), Some(id) if self.is_input(id))) {
            Some(feed) => Err(Error::new(format!("feed {}: the step has no such input", feed.name))),
            None => Ok(batch.unwrap_or(1)),
        }
    }

    fn is_input(&self, id: NodeId) -> bool {
        matches!(self.graph.node(id).op, Op::Input { .. })
    }

    /// All nodes that have to run before `id`.
    fn ancestors(&self, id: NodeId) -> HashSet<NodeId> {
        let mut found = HashSet::new();
        let mut open = self.graph.node(id).op.inputs();
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(self.graph.node(next).op.inputs());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Shape};

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
            "graph: a cannot be updated in place: %4 (sum_all) may read it too late"
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
        let a = graph.state("a", Shape::vector(Dim::Fixed(3))).unwrap();
        let loss = graph.sum_all(a).unwrap();
        let new_a = graph.broadcast(loss, a).unwrap();
        let step = Step { graph, loss, updates: vec![(a, new_a)] };
        assert!(message(step.check_in_place()).contains("(broadcast) may read it too late"));
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

    #[test]
    fn initial_values_fit_the_states() {
        let step = step(|_, _, _| Vec::new());
        let values = |names: &[(&str, usize)]| -> Vec<(String, Vec<f32>)> {
            names.iter().map(|(name, length)| ((*name).to_owned(), vec![0.0; *length])).collect()
        };
        step.check_initial(&values(&[("b", 3), ("a", 3)])).unwrap();
        for (given, expected) in [
            (values(&[("a", 3)]), "state b: given 0 times, not once"),
            (values(&[("a", 3), ("b", 3), ("a", 3)]), "state a: given 2 times, not once"),
            (values(&[("a", 3), ("b", 2)]), "state b: 2 initial values for 3"),
            (values(&[("a", 3), ("b", 3), ("c", 3)]), "state c: the step has no such state"),
        ] {
            assert_eq!(message(step.check_initial(&given)), expected);
        }
    }

    #[test]
    fn feeds_fit_the_inputs() {
        let mut graph = Graph::new();
        graph.input("user", Shape::vector(Dim::Batch), Element::Index).unwrap();
        graph.input("wide", Shape::matrix(Dim::Batch, 2), Element::Float).unwrap();
        let loss = graph.input("rate", Shape::scalar(), Element::Float).unwrap();
        let step = Step { graph, loss, updates: Vec::new() };
        let rows = |name, values| Feed { name, values: FeedValues::Indices(values) };
        let floats = |name, values| Feed { name, values: FeedValues::Floats(values) };
        let (user, wide, rate) = (rows("user", &[1, 0]), floats("wide", &[0.0; 4]), floats("rate", &[0.1]));

        assert_eq!(step.check_feeds(&[user, wide, rate]).unwrap(), 2);
        for (feeds, expected) in [
            (vec![user, wide], "feed rate: expected once"),
            (vec![user, wide, rate, user], "feed user: expected once"),
            (vec![user, wide, rate, floats("item", &[1.0])], "feed item: the step has no such input"),
            (vec![floats("user", &[1.0, 0.0]), wide, rate], "feed user: elements of the wrong kind"),
            (vec![user, floats("wide", &[0.0; 5]), rate], "feed wide: 5 values for shape [B, 2] with B = 2"),
            (vec![user, floats("wide", &[0.0; 6]), rate], "feed wide: 6 values for shape [B, 2] with B = 2"),
            (vec![rows("user", &[]), wide, rate], "feed user: 0 values for shape [B]"),
            (vec![user, wide, floats("rate", &[0.1, 0.2])], "feed rate: 2 values for shape []"),
        ] {
            assert_eq!(message(step.check_feeds(&feeds)), expected);
        }
    }
}
