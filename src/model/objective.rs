//! What a training minimises, and the step that does it: forward pass, loss, reverse pass and update in one graph.

use crate::error::{Error, Result};
use crate::graph::optimiser::{Optimiser, Reach, RowUpdates, Rule, accumulate};
use crate::graph::{Dim, Element, Graph, NodeId, Shape, Step, gradients, loss};
use crate::model::{Forward, Model, classes};

/// The input `[B]` of the ratings of a batch, of a regression.
pub const RATING: &str = "rating";
/// The input `[B]` of the classes of a batch, of a classifier.
pub const CLASS: &str = "class";
/// The input `[B]` of what each rating of a batch counts, 1 on average, where ratings have weights.
pub const WEIGHT: &str = "weight";
/// The scalar input that the data's part of the loss is multiplied by where gradients are accumulated.
pub const DATA_SHARE: &str = "share.data";
/// The same for the penalty.
pub const PENALTY_SHARE: &str = "share.penalty";

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// `1/B sum (s - r)^2`: the score is the rating.
    MeanSquaredError,
    /// `1/2 sum (s - r)^2`: the score is the rating. A sum, so the step size goes with the number of ratings.
    HalfSquaredSum,
    /// `-1/B sum log softmax(s w + o)[class]`: the score is what a line takes to the logits of the classes.
    CrossEntropy {
        /// `C`.
        n_classes: usize,
    },
}

/// What a training step has besides a model and an optimiser.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepOptions {
    /// Half of it times the sum of all squared factors is added to the loss.
    pub l2: f64,
    /// Whether ratings have weights.
    pub is_weighted: bool,
    /// Whether gradients are added up over several runs before one of them updates.
    pub accumulates: bool,
}

/// One training step of a model.
///
/// Its inputs are those of the model, [`RATING`] or [`CLASS`], and the scalars of the optimiser, with the options
/// [`WEIGHT`], [`DATA_SHARE`], [`PENALTY_SHARE`] and [`KEEP`](crate::graph::optimiser::KEEP); its states the parameters of the
/// model, the moments of the optimiser and, where gradients are accumulated, their sums, or where only rows of the batch move, the
/// clocks of the tables.
///
/// # Errors
/// Sizes that the operations refuse; rows of the batch alone beside `l2` or accumulated gradients.
pub fn training_step(model: &Model, optimiser: &Optimiser, options: StepOptions) -> Result<Step> {
    let mut graph = Graph::new();
    let is_classic = optimiser.rule == Rule::Classic;
    if is_classic || optimiser.reach == Reach::BatchRows {
        check_reach(options)?;
    }
    let mut rows = match optimiser.reach {
        Reach::BatchRows if !is_classic => Some(RowUpdates::begin(optimiser, &mut graph)?),
        _ => None,
    };
    let mut lookups = Vec::new();
    let Forward { score, factors, mut decayed, mut undecayed } =
        model.pass(&mut graph, true, |graph, lookup| match &mut rows {
            Some(rows) => rows.catch_up(graph, lookup),
            None => {
                lookups.push(lookup);
                Ok(lookup.table)
            }
        })?;
    let errors = match model.objective {
        Objective::MeanSquaredError | Objective::HalfSquaredSum => {
            let rating = graph.input(RATING, Shape::vector(Dim::Batch), Element::Float)?;
            loss::squared_errors(&mut graph, score, rating)?
        }
        Objective::CrossEntropy { n_classes } => {
            let classes::Logits { logits, weights, offsets } = classes::logits(&mut graph, score, n_classes)?;
            decayed.push(weights);
            undecayed.push(offsets);
            let class = graph.input(CLASS, Shape::vector(Dim::Batch), Element::Index)?;
            loss::cross_entropies(&mut graph, logits, class)?
        }
    };
    let loss = objective(&mut graph, model.objective, errors, &factors, options)?;
    let parameters = [decayed.as_slice(), &undecayed].concat();
    let read = |parameter: &NodeId| rows.as_ref().map_or(*parameter, |rows| rows.read(*parameter));
    let read: Vec<NodeId> = parameters.iter().map(read).collect();
    let mut slopes: Vec<(NodeId, NodeId)> =
        parameters.iter().copied().zip(gradients(&mut graph, loss, &read)?).collect();
    let mut updates = Vec::new();
    if options.accumulates {
        let accumulated = accumulate(&mut graph, &slopes)?;
        (slopes, updates) = (accumulated.slopes, accumulated.updates);
    }
    let (with_decay, without) = slopes.split_at(decayed.len());
    updates.extend(match &rows {
        Some(rows) => rows.attach(&mut graph, with_decay, without)?,
        None if is_classic => optimiser.attach_classic(&mut graph, &lookups, with_decay, without)?,
        None => optimiser.attach(&mut graph, with_decay, without)?,
    });
    let step = Step { graph, loss, updates };
    step.check_in_place()?;
    Ok(step)
}

/// Refuses options with which a row that is not in the batch has a gradient, or one only later.
fn check_reach(options: StepOptions) -> Result<()> {
    let reason = match (options.l2 > 0.0, options.accumulates) {
        (true, _) => "a penalty reaches every row",
        (_, true) => "gradients that are accumulated are of more rows than those of one batch",
        _ => return Ok(()),
    };
    Err(Error::new(format!("model: a step cannot move the rows of its batch alone: {reason}; move every row")))
}

/// The scalar that is minimised, from the error of each rating `[B]`.
fn objective(
    graph: &mut Graph,
    objective: Objective,
    mut errors: NodeId,
    factors: &[NodeId],
    options: StepOptions,
) -> Result<NodeId> {
    if options.is_weighted {
        let weight = graph.input(WEIGHT, Shape::vector(Dim::Batch), Element::Float)?;
        errors = graph.mul(errors, weight)?;
    }
    let mut loss = match objective {
        Objective::MeanSquaredError | Objective::CrossEntropy { .. } => graph.mean(errors)?,
        Objective::HalfSquaredSum => {
            let sum = graph.sum_all(errors)?;
            let half = graph.constant(0.5);
            graph.mul(sum, half)?
        }
    };
    let share = |graph: &mut Graph, part: NodeId, name: &str| {
        if !options.accumulates {
            return Ok(part);
        }
        let share = graph.input(name, Shape::scalar(), Element::Float)?;
        graph.mul(part, share)
    };
    loss = share(graph, loss, DATA_SHARE)?;
    if options.l2 > 0.0 {
        let penalty = loss::half_square_penalty(graph, factors, options.l2)?;
        let penalty = share(graph, penalty, PENALTY_SHARE)?;
        loss = graph.add(loss, penalty)?;
    }
    Ok(loss)
}
