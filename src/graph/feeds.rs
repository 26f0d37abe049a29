//! Checks that every engine relies on: that values fit the states and inputs of a graph.

use crate::error::{Error, Result};
use crate::graph::engine::{Feed, FeedValues};
use crate::graph::{Dim, Element, Graph, NodeId, Op};

impl Graph {
    /// Checks that `given` has the values of every state of the graph once, and nothing else.
    ///
    /// # Errors
    /// A missing, repeated or unknown state; a wrong number of values; a state whose size is not fixed.
    pub fn check_states(&self, given: &[(String, Vec<f32>)]) -> Result<()> {
        for (name, _) in given {
            if !self.nodes().iter().any(|node| matches!(&node.op, Op::State { name: other } if other == name)) {
                return Err(Error::new(format!("state {name}: there is no such state")));
            }
        }
        for node in self.nodes() {
            let Op::State { name } = &node.op else { continue };
            if node.shape.dims().contains(&Dim::Batch) {
                return Err(Error::new(format!("state {name}: the size of {} is not fixed", node.shape)));
            }
            let expected: usize = node.shape.sizes(1).iter().product();
            let found: Vec<usize> =
                given.iter().filter(|(other, _)| other == name).map(|(_, values)| values.len()).collect();
            match found[..] {
                [length] if length == expected => {}
                [length] => return Err(Error::new(format!("state {name}: {length} values for {expected}"))),
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
        for node in self.nodes() {
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
        match feeds.iter().find(|feed| !matches!(self.named_node(feed.name), Some(id) if self.is_input(id))) {
            Some(feed) => Err(Error::new(format!("feed {}: there is no such input", feed.name))),
            None => Ok(batch.unwrap_or(1)),
        }
    }

    /// Checks that a node can be what a forward pass answers.
    ///
    /// # Errors
    /// Row numbers.
    pub fn check_output(&self, output: NodeId) -> Result<()> {
        match self.node(output).element {
            Element::Float => Ok(()),
            Element::Index => Err(Error::new(format!("graph: {} has row numbers, not floats", self.label(output)))),
        }
    }

    fn is_input(&self, id: NodeId) -> bool {
        matches!(self.node(id).op, Op::Input { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn initial_values_fit_the_states() {
        let mut graph = Graph::new();
        for name in ["a", "b"] {
            graph.state(name, Shape::vector(Dim::Fixed(3))).unwrap();
        }
        let values = |names: &[(&str, usize)]| -> Vec<(String, Vec<f32>)> {
            names.iter().map(|(name, length)| ((*name).to_owned(), vec![0.0; *length])).collect()
        };
        graph.check_states(&values(&[("b", 3), ("a", 3)])).unwrap();
        for (given, expected) in [
            (values(&[("a", 3)]), "state b: given 0 times, not once"),
            (values(&[("a", 3), ("b", 3), ("a", 3)]), "state a: given 2 times, not once"),
            (values(&[("a", 3), ("b", 2)]), "state b: 2 values for 3"),
            (values(&[("a", 3), ("b", 3), ("c", 3)]), "state c: there is no such state"),
        ] {
            assert_eq!(message(graph.check_states(&given)), expected);
        }
    }

    #[test]
    fn feeds_fit_the_inputs() {
        let mut graph = Graph::new();
        graph.input("user", Shape::vector(Dim::Batch), Element::Index).unwrap();
        graph.input("wide", Shape::matrix(Dim::Batch, 2), Element::Float).unwrap();
        graph.input("rate", Shape::scalar(), Element::Float).unwrap();
        let rows = |name, values| Feed { name, values: FeedValues::Indices(values) };
        let floats = |name, values| Feed { name, values: FeedValues::Floats(values) };
        let (user, wide, rate) = (rows("user", &[1, 0]), floats("wide", &[0.0; 4]), floats("rate", &[0.1]));

        assert_eq!(graph.check_feeds(&[user, wide, rate]).unwrap(), 2);
        for (feeds, expected) in [
            (vec![user, wide], "feed rate: expected once"),
            (vec![user, wide, rate, user], "feed user: expected once"),
            (vec![user, wide, rate, floats("item", &[1.0])], "feed item: there is no such input"),
            (vec![floats("user", &[1.0, 0.0]), wide, rate], "feed user: elements of the wrong kind"),
            (vec![user, floats("wide", &[0.0; 5]), rate], "feed wide: 5 values for shape [B, 2] with B = 2"),
            (vec![user, floats("wide", &[0.0; 6]), rate], "feed wide: 6 values for shape [B, 2] with B = 2"),
            (vec![rows("user", &[]), wide, rate], "feed user: 0 values for shape [B]"),
            (vec![user, wide, floats("rate", &[0.1, 0.2])], "feed rate: 2 values for shape []"),
        ] {
            assert_eq!(message(graph.check_feeds(&feeds)), expected);
        }
    }
}
