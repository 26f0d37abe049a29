//! An epoch over ratings that a program keeps where it computes: many steps a run, and nothing but their settings goes there.

use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::graph::{Order, Program, Resident};
use crate::ratings::{Dataset, EpochOrder, Places, WorkingScale};
use crate::rng::Rng;
use crate::train::feeds::Feeder;
use crate::train::schedule::StepSettings;

/// Steps a run at most: what a run costs by itself is then nothing beside them.
const STEPS_PER_RUN: usize = 1024;

/// Ratings of a run at most, or one step's where that has more.
const RATINGS_PER_RUN: usize = 1 << 24;

/// The seconds that a run should take: above, what it costs by itself is nothing; below, who ends the process need not wait for it, nor who tries a few steps.
const RUN_SECONDS: (f64, f64) = (0.2, 0.5);

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
    run: RunLength,
}

/// How many steps a run takes: what a step costs depends on tables, batch and device, so it follows what runs took. The states and losses do not depend on it.
struct RunLength {
    steps: usize,
}

impl RunLength {
    /// One step, of which nothing is known yet.
    fn new() -> Self {
        Self { steps: 1 }
    }

    /// Steps of the next run, where so many batches of a size are left.
    fn next(&self, n_left: usize, batch: usize) -> usize {
        n_left.min(self.steps).min((RATINGS_PER_RUN / batch.max(1)).max(1))
    }

    /// Follows a run of `n_steps`.
    fn took(&mut self, n_steps: usize, seconds: f64) {
        let (short, long) = RUN_SECONDS;
        if seconds > long {
            self.steps = (n_steps / 2).max(1);
        } else if seconds < short && n_steps == self.steps {
            self.steps = (n_steps * 2).min(STEPS_PER_RUN);
        }
    }
}

impl Kept {
    /// Those of a training; the program is given them when the first epoch begins.
    pub(super) fn new(dataset: &Arc<Dataset>, scale: WorkingScale, batch_size: usize, rng: Rng) -> Self {
        let order = EpochOrder::new(&dataset.train, rng);
        Self {
            dataset: Arc::clone(dataset),
            scale,
            order,
            batch_size,
            learned: None,
            are_there: false,
            run: RunLength::new(),
        }
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

    /// Learns from the next ratings of the epoch, with settings for each step, and adds the losses of these ratings before that, step by step, to `sum`;
    /// `false` at its end.
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
        let Some(resident) = program.resident() else {
            return Err(Error::new("the program keeps no ratings any more"));
        };
        let learned = match self.learned {
            Some(learned) => learned,
            None => self.give(feeder, resident)?,
        };
        let left = self.order.n_ratings().saturating_sub(learned);
        if left == 0 {
            return Ok(false);
        }
        let batch = self.batch_size.min(left);
        let n_steps = self.run.next(left / batch, batch);
        let began = Instant::now();
        feeder.steps(resident, learned, batch, n_steps, settings, sum)?;
        // The epoch's last, smaller batch is compiled for when it first comes, and tells nothing of the others.
        if batch == self.batch_size {
            self.run.took(n_steps, began.elapsed().as_secs_f64());
        }
        self.learned = Some(learned + n_steps * batch);
        Ok(true)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of runs of steps that take so many seconds each.
    fn lengths(run: &mut RunLength, step: f64, batch: usize, n_runs: usize) -> Vec<usize> {
        let taken = (0..n_runs).map(|_| {
            let n_steps = run.next(1 << 20, batch);
            run.took(n_steps, n_steps as f64 * step);
            n_steps
        });
        taken.collect()
    }

    #[test]
    fn a_run_takes_as_many_steps_as_take_a_while() {
        let mut run = RunLength::new();
        assert_eq!(lengths(&mut run, 50e-3, 64, 5), [1, 2, 4, 4, 4]);
        // Never much more than half a second, however long steps are.
        assert_eq!(lengths(&mut run, 1.0, 64, 4), [4, 2, 1, 1]);
        assert_eq!(lengths(&mut run, 1e-6, 64, 12), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024]);
        assert_eq!(lengths(&mut run, 10e-3, 64, 7), [1024, 512, 256, 128, 64, 32, 32]);
        // Where a batch is large it is the ratings that are bounded.
        assert_eq!(lengths(&mut RunLength::new(), 1e-6, 1 << 22, 5), [1, 2, 4, 4, 4]);
        assert_eq!(lengths(&mut RunLength::new(), 1e-6, 1 << 25, 2), [1, 1]);
    }

    #[test]
    fn a_run_that_an_epoch_cut_short_says_little() {
        let mut run = RunLength { steps: 64 };
        assert_eq!(run.next(10, 64), 10);
        run.took(10, 0.01);
        assert_eq!(run.steps, 64);
        // But that it was too long.
        run.took(10, 0.6);
        assert_eq!(run.steps, 5);
    }
}
