//! How an epoch goes through the training ratings: by batches, each of which is a step, fed or kept by the program, or by rounds, of which
//! each rating is one.

use std::sync::Arc;

use crate::error::Result;
use crate::graph::Program;
use crate::graph::optimiser::Rule;
use crate::ratings::{Batches, Dataset, Rounds};
use crate::rng::Rng;
use crate::train::config::TrainConfig;
use crate::train::feeds::Feeder;
use crate::train::kept::Kept;
use crate::train::plan::Plan;
use crate::train::schedule::StepSettings;

/// The training ratings, dealt out.
pub(super) enum Deal {
    /// A step a batch.
    Batches(Batches),
    /// The same of ratings that the program keeps.
    Kept(Kept),
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

    /// The same for a program that keeps ratings, where it can be fed from them alone: not where a batch is run in parts, and not of more
    /// ratings than row numbers count.
    pub(super) fn kept(self, config: &TrainConfig, plan: &Plan, dataset: &Arc<Dataset>) -> Self {
        match self {
            Self::Batches(batches) if config.accumulate == 1 && i32::try_from(dataset.train.len()).is_ok() => {
                Self::Kept(Kept::new(dataset, plan.scale.working(), batches.batch_size(), shuffling(config)))
            }
            other => other,
        }
    }

    /// Ratings a step.
    pub(super) fn batch_size(&self) -> usize {
        match self {
            Self::Batches(batches) => batches.batch_size(),
            Self::Kept(kept) => kept.batch_size(),
            Self::Rounds(_) => 1,
        }
    }

    /// In how many parts an epoch is dealt: positions of the schedule.
    pub(super) fn per_epoch(&self) -> usize {
        match self {
            Self::Batches(batches) => batches.per_epoch(),
            Self::Kept(kept) => kept.per_epoch(),
            Self::Rounds(rounds) => rounds.per_epoch(),
        }
    }

    /// Shuffles all ratings.
    pub(super) fn start_epoch(&mut self) {
        match self {
            Self::Batches(batches) => batches.start_epoch(),
            Self::Kept(kept) => kept.start_epoch(),
            Self::Rounds(rounds) => rounds.start_epoch(),
        }
    }

    /// Learns from the next part of the epoch, with settings for each step of it, and deals the part after it meanwhile; adds the losses of its
    /// ratings before that to `sum`. `false` at the end of the epoch.
    ///
    /// # Errors
    /// A failure of the engine.
    pub(super) fn learn(
        &mut self,
        feeder: &mut Feeder,
        program: &mut dyn Program,
        settings: &mut dyn FnMut() -> StepSettings,
        sum: &mut f64,
    ) -> Result<bool> {
        match self {
            Self::Batches(batches) => {
                let Some((batch, mut ahead)) = batches.next_batch_and_ahead() else { return Ok(false) };
                let n_counted = feeder.n_counted(batch.ratings.len());
                *sum += feeder.step(program, batch, settings(), &mut ahead)? * n_counted;
            }
            Self::Kept(kept) => return kept.learn(feeder, program, settings, sum),
            Self::Rounds(rounds) => {
                let Some((round, mut ahead)) = rounds.next_round_and_ahead() else { return Ok(false) };
                *sum += feeder.round(program, &round, settings(), &mut ahead)?;
            }
        }
        Ok(true)
    }
}

/// The training ratings in batches of a size.
pub(super) fn batches(config: &TrainConfig, plan: &Plan, dataset: &Dataset, size: usize) -> Batches {
    Batches::new(Arc::clone(&dataset.train), size, plan.scale.working(), shuffling(config))
}

fn shuffling(config: &TrainConfig) -> Rng {
    Rng::new(config.seed).fork("shuffle")
}
