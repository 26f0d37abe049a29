//! How an epoch goes through the training ratings: by batches, each of which is a step, or by rounds, of which each rating is one.

use std::sync::Arc;

use crate::error::Result;
use crate::graph::Program;
use crate::graph::optimiser::Rule;
use crate::model::Objective;
use crate::ratings::{Batches, Dataset, Rounds};
use crate::rng::Rng;
use crate::train::config::TrainConfig;
use crate::train::feeds::Feeder;
use crate::train::plan::Plan;
use crate::train::schedule::StepSettings;

/// The training ratings, dealt out.
pub(super) enum Deal {
    /// A step a batch.
    Batches(Batches),
    /// A step a rating; the schedule moves from round to round.
    Rounds(Rounds),
}

impl Deal {
    /// Those of a training, as its rule wants them.
    pub(super) fn new(config: &TrainConfig, plan: &Plan, dataset: &Dataset) -> Self {
        match config.optimiser.rule {
            Rule::Classic => {
                let (n_users, n_items) = (plan.model.n_users, plan.model.n_items);
                Self::Rounds(Rounds::new(&dataset.train, n_users, n_items, plan.scale.working(), shuffling(config)))
            }
            _ => Self::Batches(batches(config, plan, dataset, config.batch_size_for(dataset.train.len()))),
        }
    }

    /// Ratings a step.
    pub(super) fn batch_size(&self) -> usize {
        match self {
            Self::Batches(batches) => batches.batch_size(),
            Self::Rounds(_) => 1,
        }
    }

    /// In how many parts an epoch is dealt: positions of the schedule.
    pub(super) fn per_epoch(&self) -> usize {
        match self {
            Self::Batches(batches) => batches.per_epoch(),
            Self::Rounds(rounds) => rounds.per_epoch(),
        }
    }

    /// Shuffles all ratings.
    pub(super) fn start_epoch(&mut self) {
        match self {
            Self::Batches(batches) => batches.start_epoch(),
            Self::Rounds(rounds) => rounds.start_epoch(),
        }
    }

    /// Learns from the next part of the epoch, and deals the one after it meanwhile; returns the sum of the losses of its ratings before that, or `None` at its end.
    ///
    /// # Errors
    /// A failure of the engine.
    pub(super) fn learn(
        &mut self,
        feeder: &mut Feeder,
        program: &mut dyn Program,
        settings: StepSettings,
    ) -> Result<Option<f64>> {
        match self {
            Self::Batches(batches) => {
                let Some((batch, mut ahead)) = batches.next_batch_and_ahead() else { return Ok(None) };
                let n_ratings = match feeder.objective() {
                    Objective::HalfSquaredSum => 1.0,
                    Objective::MeanSquaredError | Objective::CrossEntropy { .. } => batch.ratings.len() as f64,
                };
                Ok(Some(feeder.step(program, batch, settings, &mut ahead)? * n_ratings))
            }
            Self::Rounds(rounds) => {
                let Some((round, mut ahead)) = rounds.next_round_and_ahead() else { return Ok(None) };
                feeder.round(program, &round, settings, &mut ahead).map(Some)
            }
        }
    }
}

/// The training ratings in batches of a size.
pub(super) fn batches(config: &TrainConfig, plan: &Plan, dataset: &Dataset, size: usize) -> Batches {
    Batches::new(Arc::clone(&dataset.train), size, plan.scale.working(), shuffling(config))
}

fn shuffling(config: &TrainConfig) -> Rng {
    Rng::new(config.seed).fork("shuffle")
}
