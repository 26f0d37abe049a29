//! The training loop: epochs of batches through a compiled step.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result, number};
use crate::graph::optimiser::{Reach, Rule, accumulators};
use crate::graph::{Engine, Program};
use crate::model::{Objective, predictor, training_step};
use crate::ratings::Dataset;
use crate::rng::Rng;
use crate::score::{Baseline, Embeddings};
use crate::train::config::{TrainConfig, usual_batch_size};
use crate::train::deal::{Deal, batches};
use crate::train::feeds::Feeder;
use crate::train::plan::{Plan, WarmStart};
use crate::train::report::EpochReport;
use crate::train::schedule::StepSettings;
use crate::train::validate::validate;
use crate::train::{sense, states};

const NOT_FINITE: &str = "its numbers are no longer finite";

/// A training under way: one call of [`Training::epoch`] an epoch, until [`Training::is_done`].
pub struct Training {
    config: TrainConfig,
    dataset: Arc<Dataset>,
    engine: Arc<dyn Engine>,
    plan: Plan,
    baseline: Baseline,
    program: Box<dyn Program>,
    feeder: Feeder,
    deal: Deal,
    epochs_done: u32,
    steps_done: u64,
    best: Option<Best>,
}

/// The best epoch so far, where training may stop early.
struct Best {
    report: EpochReport,
    valid_loss: f64,
    embeddings: Arc<Embeddings>,
}

impl Training {
    /// Builds the training step and compiles it for an engine; nothing is learned yet.
    ///
    /// # Errors
    /// A `y_range` that ratings are outside of; ratings of which a few are far out; too many classes; a stored model that cannot be
    /// continued; `patience` without validation rows; an engine that cannot compile the step.
    pub fn new(
        mut config: TrainConfig,
        dataset: Arc<Dataset>,
        engine: Arc<dyn Engine>,
        warm_start: Option<&WarmStart<'_>>,
    ) -> Result<Self> {
        if config.patience.is_some() && dataset.valid.is_empty() {
            return Err(Error::new(
                "patience: there are no validation rows to judge an epoch by; give validation or a validation_fraction above 0",
            ));
        }
        let mut plan = Plan::new(&config, &dataset, warm_start)?;
        let batch_size = config.batch_size_for(dataset.train.len());
        config.optimiser.reach = config.reach_for(plan.model.n_users + plan.model.n_items, batch_size, engine.as_ref());
        let rng = Rng::new(config.seed);
        let step = training_step(&plan.model, &config.optimiser, plan.step_options)?;
        let mut initial = std::mem::take(&mut plan.initial);
        let sums = if plan.step_options.accumulates { accumulators(&initial) } else { Vec::new() };
        initial.extend(config.optimiser.initial(&initial));
        initial.extend(config.optimiser.clocks(&plan.model.tables()));
        initial.extend(sums);
        let deal = Deal::new(&config, &plan, &dataset);
        let mut program = engine.compile(&step, &initial, deal.batch_size().div_ceil(config.accumulate))?;
        let deal = if program.resident().is_some() { deal.kept(&config, &plan, &dataset) } else { deal };
        let feeder = Feeder::new(
            &plan.model,
            &config.optimiser,
            plan.step_options,
            config.accumulate,
            plan.levels.clone(),
            rng.fork("dropout"),
        );
        let baseline = match plan.has_own_baseline() {
            true => Baseline::OwnBiases,
            false => Baseline::damped_means(&dataset.train, plan.model.n_users, plan.model.n_items),
        };
        let (epochs_done, steps_done, best) = (0, 0, None);
        Ok(Self { config, dataset, engine, plan, baseline, program, feeder, deal, epochs_done, steps_done, best })
    }

    /// Whether all epochs are done, or enough of them were no better.
    pub fn is_done(&self) -> bool {
        let is_stuck = match (self.config.patience, &self.best) {
            (Some(patience), Some(best)) => self.epochs_done - best.report.epoch >= patience,
            _ => false,
        };
        is_stuck || self.epochs_done == self.config.epochs
    }

    /// Ratings a step.
    pub fn batch_size(&self) -> usize {
        self.deal.batch_size()
    }

    /// What kind of operators computes the steps.
    pub fn operators(&self) -> &'static str {
        self.program.operators()
    }

    /// Which rows a step moves.
    pub fn reach(&self) -> Reach {
        self.config.optimiser.reach
    }

    /// `Ku` and `Ki`.
    pub fn widths(&self) -> (usize, usize) {
        (self.plan.model.user_width, self.plan.model.item_width)
    }

    /// The lowest and highest rating that the model's scale goes by.
    pub fn observed(&self) -> (f32, f32) {
        self.plan.observed
    }

    /// The distinct ratings, ascending, where they are few; the classes of a classifier.
    pub fn levels(&self) -> Option<Vec<f32>> {
        (!self.plan.levels.is_empty()).then(|| self.plan.levels.clone())
    }

    /// The epoch, counted from 1, that [`embeddings`](Self::embeddings) are of.
    pub fn stored_epoch(&self) -> u32 {
        self.best.as_ref().map_or(self.epochs_done, |best| best.report.epoch)
    }

    /// Learns from every training rating once, and scores the result on the validation rows.
    ///
    /// # Errors
    /// A loss that is not a number any more, or after the last epoch one that makes no sense; a failure of the engine. The training is
    /// then of no use.
    pub fn epoch(&mut self) -> Result<EpochReport> {
        let started = Instant::now();
        let total_steps = self.deal.per_epoch() as u64 * u64::from(self.config.epochs);
        let is_sum = self.plan.model.objective == Objective::HalfSquaredSum;
        let mut loss_sum = 0.0;
        self.deal.start_epoch();
        let (config, steps_done) = (&self.config, &mut self.steps_done);
        let mut settings = || {
            let settings = config.schedule.at(*steps_done, total_steps, config.learning_rate, config.betas);
            *steps_done += 1;
            settings
        };
        while self.deal.learn(&mut self.feeder, self.program.as_mut(), &mut settings, &mut loss_sum)? {}
        self.epochs_done += 1;
        let n_ratings = if is_sum { 1.0 } else { self.dataset.train.len() as f64 };
        let train_loss = loss_sum / n_ratings * self.loss_unit();
        if !train_loss.is_finite() {
            return Err(diverged(self.epochs_done, &self.config, NOT_FINITE));
        }
        let (valid, embeddings) = if self.dataset.valid.is_empty() {
            (None, None)
        } else {
            let embeddings = Arc::new(self.current_embeddings()?);
            let mut predictor = predictor(Arc::clone(&embeddings), || Ok(Arc::clone(&self.engine)))?;
            let scores = validate(&mut predictor, &self.dataset, &self.plan)?;
            let loss = scores.and_then(|scores| scores.loss);
            if self.config.patience.is_some() && loss.is_none() {
                return Err(Error::new(
                    "patience: no validation row has a rating that is one of the classes, so no epoch can be judged; validate on other rows",
                ));
            }
            (scores, Some(embeddings))
        };
        let report =
            EpochReport { epoch: self.epochs_done, train_loss, valid, seconds: started.elapsed().as_secs_f64() };
        if let Some(embeddings) = embeddings {
            self.note(&report, embeddings);
        }
        if self.is_done() {
            self.check_sense(self.best.as_ref().map_or(&report, |best| &best.report))?;
        }
        Ok(report)
    }

    /// Refuses a model whose numbers are finite and mean nothing: without a range nothing else holds them back. `stored` is of the epoch
    /// that would be stored.
    fn check_sense(&self, stored: &EpochReport) -> Result<()> {
        let train = &self.dataset.train;
        let per_rating = match self.plan.model.objective {
            Objective::MeanSquaredError => 1.0,
            Objective::HalfSquaredSum => 2.0 / train.len() as f64,
            Objective::CrossEntropy { .. } => return Ok(()),
        };
        if self.plan.scale.range().is_some() {
            return Ok(());
        }
        let constant = if self.config.mean { train.mean() } else { self.plan.scale.rating_value(0.0) };
        let Some(reason) = sense::missing(stored.train_loss * per_rating, constant, train) else { return Ok(()) };
        // The loss of an epoch has its bad beginning in it, and penalties: the model itself has the last word.
        let error = match stored.valid {
            Some(valid) => valid.rmse.powi(2),
            None => {
                let mut predictor = predictor(self.embeddings()?, || Ok(Arc::clone(&self.engine)))?;
                sense::error_on(&mut predictor, train)?
            }
        };
        match sense::missing(error, train.mean(), train) {
            Some(_) => Err(diverged(stored.epoch, &self.config, &reason)),
            None => Ok(()),
        }
    }

    /// Takes steps as an epoch does, at a rate at which nothing is learned, epoch after epoch, until `is_enough` says so: it is told after each part of
    /// an epoch how many steps there were, and whether that ended the epoch, or was its last, smaller batch. The training is of no use afterwards.
    ///
    /// # Errors
    /// A failure of the engine.
    pub(super) fn try_steps(&mut self, mut is_enough: impl FnMut(u64, bool) -> bool) -> Result<()> {
        const RATE: f64 = 1e-12;
        let (mut n_steps, mut sum) = (0, 0.0);
        let per_epoch = self.deal.per_epoch() as u64;
        let has_smaller = !self.dataset.train.len().is_multiple_of(self.deal.batch_size());
        let beta1 = self.config.betas.0;
        self.deal.start_epoch();
        loop {
            let mut settings = || {
                n_steps += 1;
                StepSettings { learning_rate: RATE, beta1 }
            };
            let has_learned = self.deal.learn(&mut self.feeder, self.program.as_mut(), &mut settings, &mut sum)?;
            if is_enough(n_steps, !has_learned || has_smaller && n_steps.is_multiple_of(per_epoch)) {
                return Ok(());
            }
            if !has_learned {
                self.deal.start_epoch();
            }
        }
    }

    /// Takes up to `n_steps` steps, of single ratings as many as a batch would have, at a learning rate that grows from `lowest` to `highest` by equal factors; returns rate and
    /// loss of each. Ends early when a loss is not finite or `stop` says so. The training is of no use afterwards.
    ///
    /// # Errors
    /// A failure of the engine.
    pub fn explore(
        &mut self,
        n_steps: u32,
        (lowest, highest): (f64, f64),
        mut stop: impl FnMut(f64) -> bool,
    ) -> Result<Vec<(f64, f64)>> {
        let mut found = Vec::new();
        let is_classic = self.config.optimiser.rule == Rule::Classic;
        let size = if is_classic { usual_batch_size(self.dataset.train.len()) } else { self.deal.batch_size() };
        let mut batches = batches(&self.config, &self.plan, &self.dataset, size);
        let is_sum = self.plan.model.objective == Objective::HalfSquaredSum;
        for step in 0..n_steps {
            let share = f64::from(step) / f64::from(n_steps.max(2) - 1);
            let settings =
                StepSettings { learning_rate: lowest * (highest / lowest).powf(share), beta1: self.config.betas.0 };
            let batch = match batches.next_batch() {
                Some(batch) => batch,
                None => {
                    batches.start_epoch();
                    match batches.next_batch() {
                        Some(batch) => batch,
                        None => break,
                    }
                }
            };
            let n_ratings = if is_sum { 1.0 } else { batch.ratings.len() as f64 };
            let loss = match is_classic {
                true => self.feeder.singles(self.program.as_mut(), batch, settings)? / n_ratings,
                false => self.feeder.step(self.program.as_mut(), batch, settings, &mut || {})?,
            };
            let loss = loss * self.loss_unit();
            if !loss.is_finite() {
                break;
            }
            found.push((settings.learning_rate, loss));
            if stop(loss) {
                break;
            }
        }
        Ok(found)
    }

    /// The model as it is now, or where training may stop early that of the best epoch; in rating units.
    ///
    /// # Errors
    /// Parameters that are not finite numbers: the training diverged. A failure of the engine.
    pub fn embeddings(&self) -> Result<Arc<Embeddings>> {
        match &self.best {
            Some(best) => Ok(Arc::clone(&best.embeddings)),
            None => self.current_embeddings().map(Arc::new),
        }
    }

    fn current_embeddings(&self) -> Result<Embeddings> {
        let Plan { model, scale, levels, .. } = &self.plan;
        let unread = Cell::new(None);
        let read = |name: &str| {
            self.feeder.state(self.program.as_ref(), name).map_err(|error| {
                unread.set(Some(error));
                Error::new(format!("{name} cannot be read"))
            })
        };
        states::embeddings(model, scale, levels, self.baseline.clone(), read).map_err(|error| match unread.take() {
            Some(error) => error,
            None => diverged(self.epochs_done, &self.config, NOT_FINITE).with_source(error),
        })
    }

    /// Remembers an epoch that is better than all before it, where training may stop early.
    fn note(&mut self, report: &EpochReport, embeddings: Arc<Embeddings>) {
        let best = self.best.as_ref().map_or(f64::INFINITY, |best| best.valid_loss);
        let valid_loss = report.valid.and_then(|valid| valid.loss);
        if let Some(valid_loss) = valid_loss.filter(|loss| self.config.patience.is_some() && *loss < best) {
            self.best = Some(Best { report: report.clone(), valid_loss, embeddings });
        }
    }

    /// What a loss on the working scale is multiplied by.
    fn loss_unit(&self) -> f64 {
        match self.plan.model.objective {
            Objective::MeanSquaredError | Objective::HalfSquaredSum => self.plan.scale.unit().powi(2),
            Objective::CrossEntropy { .. } => 1.0,
        }
    }
}

fn diverged(epoch: u32, config: &TrainConfig, reason: &str) -> Error {
    Error::new(format!(
        "the training diverged in epoch {epoch}: {reason}; nothing is stored; lower learning_rate ({}) or init_std, raise eps, or give a \
         y_range",
        number(config.learning_rate)
    ))
}

#[cfg(test)]
mod tests;
