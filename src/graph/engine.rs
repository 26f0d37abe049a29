//! What runs a graph: the seam between how a model learns and where that is computed.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Resident};

/// One training step: a graph, its loss, and what each state becomes.
#[derive(Clone, Debug)]
pub struct Step {
    /// Forward pass, reverse pass and update in one graph.
    pub graph: Graph,
    /// A scalar: the loss of the batch, before the update.
    pub loss: NodeId,
    /// For each state its value after the step. Every other reader of the state is an ancestor of that value, or the
    /// value is an element-wise operation that reads the state itself: so an engine may write in place
    /// ([`check_in_place`](Self::check_in_place)).
    pub updates: Vec<(NodeId, NodeId)>,
}

/// Compiles steps and forward passes for one place of execution.
pub trait Engine: Send + Sync {
    /// Where a program of this engine runs: `cpu`, `cuda:0`, `interpreter`.
    fn device(&self) -> &str;

    /// Whether a step that moves the rows of its batch takes less time here than one that moves all: as a graph of whole tables it
    /// takes more.
    fn gains_by_batch_rows(&self) -> bool {
        false
    }

    /// Makes a program that starts from the given values.
    ///
    /// `initial` has the values of every state by name, row by row. `batch` is the usual `B`, from which an engine may work out
    /// how many threads are worth while; every `B` computes the same with any.
    ///
    /// # Errors
    /// A state without a value or with a wrong number of them; whatever the engine cannot compile.
    fn compile(&self, step: &Step, initial: &[(String, Vec<f32>)], batch: usize) -> Result<Box<dyn Program>>;

    /// Makes what computes `output`, a node of floats, of a graph that learns nothing.
    ///
    /// `parameters` has the values of every state of the graph by name, row by row.
    ///
    /// # Errors
    /// As for [`compile`](Self::compile).
    fn evaluator(&self, graph: &Graph, output: NodeId, parameters: &[(String, Vec<f32>)])
    -> Result<Box<dyn Evaluator>>;
}

/// A compiled forward pass with its parameters.
pub trait Evaluator: Send {
    /// The output, row by row. What is fed is as for [`Program::step`]; `B` may differ from run to run.
    ///
    /// # Errors
    /// A missing, unknown or wrongly sized feed; a failure of the engine.
    fn run(&mut self, feeds: &[Feed<'_>]) -> Result<Vec<f32>>;
}

/// A compiled step that owns its states.
pub trait Program: Send {
    /// Runs one step over a batch and returns its loss.
    ///
    /// `feeds` has every input of the graph once. All that have a dimension `B` agree on it. Row numbers are below
    /// the rows of the table they are used on: who calls this has checked that.
    ///
    /// # Errors
    /// A missing, unknown or wrongly sized feed; a failure of the engine. The states are then of no use any more.
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32>;

    /// Runs one step for each rating of `feeds` in turn, that is with `B = 1`, and returns the sum of their losses.
    ///
    /// What is fed has a value for each rating, or one for all. `blocks` cut the ratings into parts that share no rows, so that their
    /// order makes no difference; an engine may run them side by side.
    ///
    /// # Errors
    /// As for [`step`](Self::step); blocks that are not what they should be.
    fn each(&mut self, feeds: &[Feed<'_>], blocks: &Blocks<'_>) -> Result<f32> {
        let n = blocks.borders.last().copied().unwrap_or(0);
        let mut sum = 0.0;
        for place in 0..n {
            let own = feeds.iter().map(|feed| feed.at(place, n)).collect::<Result<Vec<_>>>()?;
            sum += f64::from(self.step(&own)?);
        }
        Ok(sum as f32)
    }

    /// The same as [`step`](Self::step), and calls `other` once before it returns, on any thread: a program that shares its steps among threads
    /// shares it, too.
    ///
    /// # Errors
    /// As there.
    fn step_beside(&mut self, feeds: &[Feed<'_>], other: Other<'_>) -> Result<f32> {
        other();
        self.step(feeds)
    }

    /// The same of [`each`](Self::each).
    ///
    /// # Errors
    /// As there.
    fn each_beside(&mut self, feeds: &[Feed<'_>], blocks: &Blocks<'_>, other: Other<'_>) -> Result<f32> {
        other();
        self.each(feeds, blocks)
    }

    /// The same program as one that keeps ratings and takes many steps a run, where it can: on a device to which a step at a time would
    /// be a copy and a wait each.
    fn resident(&mut self) -> Option<&mut dyn Resident> {
        None
    }

    /// Copies a state out, row by row.
    ///
    /// # Errors
    /// An unknown name.
    fn state(&self, name: &str) -> Result<Vec<f32>>;

    /// Which operators run: `fused`, `fused tables` where layers between the tables are stock ones, or `stock` where each operation of
    /// the graph is one.
    fn operators(&self) -> &'static str {
        "stock"
    }
}

/// Work that has nothing to do with a step.
pub type Other<'a> = &'a mut (dyn FnMut() + Send);

/// The values of one input for one run.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a> {
    /// The input's name.
    pub name: &'a str,
    /// Its values, row by row.
    pub values: FeedValues<'a>,
}

impl<'a> Feed<'a> {
    /// The value of one of `n` ratings, or the one of all.
    fn at(&self, place: usize, n: usize) -> Result<Feed<'a>> {
        let values = match self.values {
            FeedValues::Floats(values) if values.len() == n => values.get(place..=place).map(FeedValues::Floats),
            FeedValues::Indices(values) if values.len() == n => values.get(place..=place).map(FeedValues::Indices),
            FeedValues::Floats(&[_]) | FeedValues::Indices(&[_]) => Some(self.values),
            _ => None,
        };
        match values {
            Some(values) => Ok(Feed { name: self.name, values }),
            None => Err(Error::new(format!(
                "feed {}: expected one value for all of {n} ratings or one for each",
                self.name
            ))),
        }
    }
}

/// Ratings in `P` parts of which no two share a row: what [`Program::each`] may run side by side.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    /// Where each part starts among the ratings, and where the last one ends: `[P + 1]`.
    pub borders: &'a [usize],
    /// For each input of row numbers, by name, the range of rows that each part keeps to, `[P]`; no two of them overlap.
    pub rows: &'a [(&'a str, &'a [Range<u32>])],
}

/// Values of either kind of element; a scalar is a slice of one.
#[derive(Clone, Copy, Debug)]
pub enum FeedValues<'a> {
    /// For [`Element::Float`](crate::graph::Element::Float).
    Floats(&'a [f32]),
    /// For [`Element::Index`](crate::graph::Element::Index).
    Indices(&'a [i32]),
}
