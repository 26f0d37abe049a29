//! An epoch over ratings that a program keeps where it computes: many steps a run, and nothing but their settings goes there.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::{Order, Program, Resident};
use crate::ratings::{Dataset, EpochOrder, Places, WorkingScale};
use crate::rng::Rng;
use crate::train::feeds::Feeder;
use crate::train::schedule::StepSettings;

/// Steps a run at most: what a run costs by itself is then nothing beside them.
const STEPS_PER_RUN: usize = 1024;

/// Ratings of a run at most, or one step's where that has more: a run stays short.
const RATINGS_PER_RUN: usize = 1 << 24;

/// The training ratings, in the order of an epoch.
pub(super) struct Kept {
    dataset: Arc<Dataset>,
    scale: WorkingScale,
    order: EpochOrder,
    batch_size: usize,
    /// Ratings of the epoch that were learned from; `None` where its order is not there yet.
    learned: Option<usize>,
    /// Whether the program has the ratings.
    are_there: bool,
}

impl Kept {
    /// Those of a training; the program is given them when the first epoch begins.
    pub(super) fn new(dataset: &Arc<Dataset>, scale: WorkingScale, batch_size: usize, rng: Rng) -> Self {
        let order = EpochOrder::new(&dataset.train, rng);
        Self { dataset: Arc::clone(dataset), scale, order, batch_size, learned: None, are_there: false }
    }

    pub(super) fn batch_size(&self) -> usize {
        self.batch_size
    }

    pub(super) fn per_epoch(&self) -> usize {
        self.order.n_ratings().div_ceil(self.batch_size)
    }

    /// Shuffles all ratings.
    pub(super) fn start_epoch(&mut self) {
        self.order.shuffle();
        self.learned = None;
    }

    /// Learns from the next ratings of the epoch, with settings for each step; returns the sum of the losses of its ratings before that, or
    /// `None` at its end.
    ///
    /// # Errors
    /// A failure of the engine.
    pub(super) fn learn(
        &mut self,
        feeder: &mut Feeder,
        program: &mut dyn Program,
        settings: &mut dyn FnMut() -> StepSettings,
    ) -> Result<Option<f64>> {
        let Some(resident) = program.resident() else {
            return Err(Error::new("the program keeps no ratings any more"));
        };
        let learned = match self.learned {
            Some(learned) => learned,
            None => self.give(feeder, resident)?,
        };
        let left = self.order.n_ratings().saturating_sub(learned);
        if left == 0 {
            return Ok(None);
        }
        let batch = self.batch_size.min(left);
        let n_steps = (left / batch).min(STEPS_PER_RUN).min((RATINGS_PER_RUN / batch).max(1));
        let loss = feeder.steps(resident, learned, batch, n_steps, settings)?;
        self.learned = Some(learned + n_steps * batch);
        Ok(Some(loss))
    }

    /// Gives the program what it needs for an epoch.
    fn give(&mut self, feeder: &mut Feeder, resident: &mut dyn Resident) -> Result<usize> {
        if !self.are_there {
            feeder.keep(resident, &self.dataset.train, self.scale)?;
            self.are_there = true;
        }
        resident.shuffle(&match self.order.places() {
            Places::Rows(rows) => Order::Rows(rows),
            Places::Runs { starts, offsets, length } => {
                Order::Runs { starts, offsets, length, n_ratings: self.order.n_ratings() }
            }
        })?;
        Ok(0)
    }
}
