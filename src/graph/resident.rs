//! Many steps in one run over ratings that stay where a program computes: nothing a step is copied there, and nobody waits for it.

use crate::error::{Error, Result};
use crate::graph::engine::{Feed, FeedValues};
use crate::graph::{Dim, Element, Graph, Op};

/// What a [`Program`](crate::graph::Program) may be able to do besides single steps. Both change the same states.
pub trait Resident: Send {
    /// Keeps the values of `N` ratings for all [`steps`](Self::steps), in place of those kept before: `columns` has each input of the
    /// graph with a value a rating once, with `N` values.
    ///
    /// Row numbers are below the rows of the table they are used on: who calls this has checked that.
    ///
    /// # Errors
    /// A missing, unknown or wrongly sized column; more ratings than row numbers count; a failure of the engine, lack of memory for one.
    fn keep(&mut self, columns: &[Feed<'_>]) -> Result<()>;

    /// The order in which steps take the ratings that are kept, until the next call.
    ///
    /// # Errors
    /// An order of another number of ratings; a failure of the engine.
    fn shuffle(&mut self, order: &Order<'_>) -> Result<()>;

    /// Takes `T` steps of `batch` ratings each, from place `start` of the order on, and returns the loss of each, before its update: `[T]`.
    ///
    /// `scalars` has each scalar input of the graph once, with `T` values. Each size of a batch is compiled for when it first occurs.
    ///
    /// # Errors
    /// Missing, unknown or wrongly sized scalars; places behind the last rating; a failure of the engine. The states are then of no use any
    /// more.
    fn steps(&mut self, start: usize, batch: usize, scalars: &[Feed<'_>]) -> Result<Vec<f32>>;
}

/// Which of `N` ratings is at which place of an epoch.
#[derive(Clone, Copy, Debug)]
pub enum Order<'a> {
    /// The rating at each place: `[N]`, each of them once.
    Rows(&'a [i32]),
    /// `R` runs of `length` neighbours, and fewer than `length` ratings behind them. Place `p` has, with `r = p % R`, the rating
    /// `starts[r] + (offsets[r] + p / R) % length`: of each run one in turn, from a place of its own on. Places behind `R length` have the
    /// rating of the same number.
    Runs {
        /// `[R]`: the first rating of each run, a multiple of `length`, each of them once.
        starts: &'a [i32],
        /// `[R]`: which of its ratings comes first, below `length`.
        offsets: &'a [i32],
        /// Ratings of a run.
        length: usize,
        /// `N`.
        n_ratings: usize,
    },
}

impl Order<'_> {
    /// `N`.
    pub fn n_ratings(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::Runs { n_ratings, .. } => *n_ratings,
        }
    }

    /// Checks that it has `n_ratings` places, and of runs that they and fewer ratings than one make as many.
    ///
    /// # Errors
    /// Another number.
    pub fn check(&self, n_ratings: usize) -> Result<()> {
        let is_whole = match self {
            Self::Rows(_) => true,
            Self::Runs { starts, offsets, length, n_ratings } => {
                starts.len() == offsets.len() && n_ratings.checked_div(*length) == Some(starts.len())
            }
        };
        if is_whole && self.n_ratings() == n_ratings {
            return Ok(());
        }
        Err(Error::new(format!("graph: an order of {} ratings for the {n_ratings} that are kept", self.n_ratings())))
    }
}

impl Graph {
    /// Whether every input is a number or has one value a rating: then all steps can be fed from columns that are kept.
    pub fn can_be_resident(&self) -> bool {
        let inputs = self.nodes().iter().filter(|node| matches!(node.op, Op::Input { .. }));
        inputs.map(|node| (node.shape.dims(), node.element)).all(|input| match input {
            ([], element) => element == Element::Float,
            (dims, _) => dims == [Dim::Batch],
        })
    }

    /// Checks that `columns` has every input with a value a rating once, and nothing else; returns `N`.
    ///
    /// # Errors
    /// A missing, repeated, unknown or empty column, or one of another length or kind.
    pub fn check_columns(&self, columns: &[Feed<'_>]) -> Result<usize> {
        self.check_lists(columns, &[Dim::Batch])
    }

    /// Checks that `scalars` has every scalar input once, and nothing else; returns `T`.
    ///
    /// # Errors
    /// As for [`check_columns`](Self::check_columns).
    pub fn check_scalars(&self, scalars: &[Feed<'_>]) -> Result<usize> {
        self.check_lists(scalars, &[])
    }

    fn check_lists(&self, lists: &[Feed<'_>], dims: &[Dim]) -> Result<usize> {
        let mut known: Option<usize> = None;
        let mut n_inputs = 0;
        for node in self.nodes() {
            let Op::Input { name } = &node.op else { continue };
            if node.shape.dims() != dims {
                continue;
            }
            n_inputs += 1;
            let mut found = lists.iter().filter(|list| list.name == name);
            let (Some(list), None) = (found.next(), found.next()) else {
                return Err(Error::new(format!("feed {name}: expected once")));
            };
            let length = match (list.values, node.element) {
                (FeedValues::Floats(values), Element::Float) => values.len(),
                (FeedValues::Indices(values), Element::Index) => values.len(),
                _ => return Err(Error::new(format!("feed {name}: elements of the wrong kind"))),
            };
            if length == 0 || known.is_some_and(|other| other != length) {
                let wanted = known.map_or("at least 1".to_owned(), |other| other.to_string());
                return Err(Error::new(format!("feed {name}: {length} values, not {wanted}")));
            }
            known = Some(length);
        }
        match known {
            Some(length) if lists.len() == n_inputs => Ok(length),
            _ => Err(Error::new(format!("graph: {} lists for {n_inputs} inputs of shape {dims:?}", lists.len()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    fn graph() -> Graph {
        let mut graph = Graph::new();
        graph.input("user", Shape::vector(Dim::Batch), Element::Index).unwrap();
        graph.input("rating", Shape::vector(Dim::Batch), Element::Float).unwrap();
        graph.input("rate", Shape::scalar(), Element::Float).unwrap();
        graph
    }

    #[test]
    fn columns_and_scalars_fit_the_inputs() {
        let graph = graph();
        let rows = |values| Feed { name: "user", values: FeedValues::Indices(values) };
        let floats = |name, values| Feed { name, values: FeedValues::Floats(values) };
        let (users, ratings) = (rows(&[1, 0, 2]), floats("rating", &[0.5; 3]));
        assert_eq!(graph.check_columns(&[ratings, users]).unwrap(), 3);
        assert_eq!(graph.check_scalars(&[floats("rate", &[0.1, 0.2])]).unwrap(), 2);
        for (columns, expected) in [
            (vec![users], "feed rating: expected once"),
            (vec![users, ratings, ratings], "feed rating: expected once"),
            (vec![users, floats("rating", &[0.5; 2])], "feed rating: 2 values, not 3"),
            (vec![rows(&[]), ratings], "feed user: 0 values, not at least 1"),
            (vec![floats("user", &[0.5; 3]), ratings], "feed user: elements of the wrong kind"),
            (vec![users, ratings, floats("rate", &[0.1; 3])], "graph: 3 lists for 2 inputs of shape [Batch]"),
        ] {
            assert_eq!(message(graph.check_columns(&columns)), expected);
        }
        assert_eq!(message(graph.check_scalars(&[])), "feed rate: expected once");
    }

    #[test]
    fn an_input_with_a_width_is_fed_step_by_step() {
        let mut graph = graph();
        assert!(graph.can_be_resident());
        graph.input("mask", Shape::matrix(Dim::Batch, 2), Element::Float).unwrap();
        assert!(!graph.can_be_resident());
    }

    #[test]
    fn an_order_has_as_many_places_as_ratings_are_kept() {
        Order::Rows(&[1, 0]).check(2).unwrap();
        let runs = |starts, n_ratings| Order::Runs { starts, offsets: &[0, 3], length: 4, n_ratings };
        runs(&[4, 0], 11).check(11).unwrap();
        for (order, n_ratings) in
            [(runs(&[4, 0], 12), 12), (runs(&[4, 0], 7), 7), (runs(&[4], 8), 8), (runs(&[4, 0], 9), 8)]
        {
            assert!(message(order.check(n_ratings)).starts_with("graph: an order of"));
        }
    }
}
