//! The training loop: epochs of batches through a compiled step.

use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::graph::optimiser::{Optimiser, Rule};
use crate::graph::{Engine, Feed, FeedValues, Program};
use crate::metrics::Scores;
use crate::model::{Dot, ITEM, RATING, USER, dot, initial_states, training_step};
use crate::ratings::{Batches, Dataset};
use crate::rng::Rng;
use crate::score::{Baseline, Embeddings, Parts};
use crate::train::config::TrainConfig;
use crate::train::report::{EpochReport, ValidScores};
use crate::train::scale::Scale;

/// A training under way: one call of [`Training::epoch`] an epoch, until [`Training::is_done`].
pub struct Training {
    config: TrainConfig,
    dataset: Arc<Dataset>,
    scale: Scale,
    model: Dot,
    optimiser: Optimiser,
    baseline: Baseline,
    program: Box<dyn Program>,
    batches: Batches,
    epochs_done: u32,
    steps_done: u64,
}

impl Training {
    /// Builds the training step and compiles it for an engine; nothing is learned yet.
    ///
    /// # Errors
    /// A `y_range` that ratings are outside of; an engine that cannot compile the step.
    pub fn new(config: TrainConfig, dataset: Arc<Dataset>, engine: &dyn Engine) -> Result<Self> {
        let scale = Scale::new(&dataset, config.y_range)?;
        let model = Dot {
            n_users: dataset.users.len(),
            n_items: dataset.items.len(),
            n_factors: config.n_factors,
            bias: config.bias,
            mu: if config.mean { scale.mu_for(dataset.train.mean()) as f32 } else { 0.0 },
            range: scale.working_range().map(|(lo, hi)| (lo as f32, hi as f32)),
        };
        let rule = Rule::AdamW { beta2: config.betas.1, eps: config.eps };
        let optimiser = Optimiser { rule, weight_decay: config.weight_decay };
        let rng = Rng::new(config.seed);
        let step = training_step(&model, &optimiser)?;
        let initial = initial_states(&model, &optimiser, &rng.fork("init"), config.init_std as f32);
        let batch_size = config.batch_size_for(dataset.train.len());
        let program = engine.compile(&step, &initial, batch_size)?;
        let batches = Batches::new(Arc::clone(&dataset.train), batch_size, scale.working(), rng.fork("shuffle"));
        let baseline = match config.bias {
            true => Baseline::OwnBiases,
            false => Baseline::damped_means(&dataset.train, model.n_users, model.n_items),
        };
        Ok(Self { config, dataset, scale, model, optimiser, baseline, program, batches, epochs_done: 0, steps_done: 0 })
    }

    /// Whether all epochs are done.
    pub fn is_done(&self) -> bool {
        self.epochs_done == self.config.epochs
    }

    /// Ratings a step.
    pub fn batch_size(&self) -> usize {
        self.batches.batch_size()
    }

    /// Learns from every training rating once, and scores the result on the validation rows.
    ///
    /// # Errors
    /// A loss that is not a number any more; a failure of the engine. The training is then of no use.
    pub fn epoch(&mut self) -> Result<EpochReport> {
        let started = Instant::now();
        let total_steps = self.batches.per_epoch() as u64 * u64::from(self.config.epochs);
        let mut loss_sum = 0.0;
        self.batches.start_epoch();
        while let Some(batch) = self.batches.next_batch() {
            let config = &self.config;
            let settings = config.schedule.at(self.steps_done, total_steps, config.learning_rate, config.betas);
            self.steps_done += 1;
            let scalars = self.optimiser.scalars(self.steps_done, settings.learning_rate, settings.beta1);
            let mut feeds = vec![
                Feed { name: USER, values: FeedValues::Indices(batch.users) },
                Feed { name: ITEM, values: FeedValues::Indices(batch.items) },
                Feed { name: RATING, values: FeedValues::Floats(batch.ratings) },
            ];
            feeds.extend(
                scalars
                    .iter()
                    .map(|(name, value)| Feed { name, values: FeedValues::Floats(std::slice::from_ref(value)) }),
            );
            loss_sum += f64::from(self.program.step(&feeds)?) * batch.ratings.len() as f64;
        }
        self.epochs_done += 1;
        let train_loss = loss_sum / self.dataset.train.len() as f64 * self.scale.unit().powi(2);
        if !train_loss.is_finite() {
            return Err(diverged(self.epochs_done, &self.config));
        }
        let valid = self.validate()?;
        Ok(EpochReport { epoch: self.epochs_done, train_loss, valid, seconds: started.elapsed().as_secs_f64() })
    }

    /// The model as it is now, in rating units.
    ///
    /// # Errors
    /// Parameters that are not finite numbers: the training diverged.
    pub fn embeddings(&self) -> Result<Embeddings> {
        // Where a range squashes the sum, lo and hi carry the unit. Without one the sum itself is scaled: the factors of
        // both sides by the root, so that their product is.
        let unit = if self.model.range.is_some() { 1.0 } else { self.scale.unit() };
        let read = |name: &str, factor: f64| -> Result<Vec<f32>> {
            let mut values = self.program.state(name)?;
            values.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
            Ok(values)
        };
        let biases = match self.config.bias {
            true => Some((read(dot::USER_BIAS, unit)?, read(dot::ITEM_BIAS, unit)?)),
            false => None,
        };
        let parts = Parts {
            n_factors: self.config.n_factors,
            user_factors: read(dot::USER_FACTORS, unit.sqrt())?,
            item_factors: read(dot::ITEM_FACTORS, unit.sqrt())?,
            biases,
            mu: match self.model.range {
                Some(_) => self.model.mu,
                None => self.scale.rating_value(f64::from(self.model.mu)) as f32,
            },
            range: self.scale.range().map(|(lo, hi)| (lo as f32, hi as f32)),
            baseline: self.baseline.clone(),
        };
        Embeddings::new(parts).map_err(|error| diverged(self.epochs_done, &self.config).with_source(error))
    }

    fn validate(&self) -> Result<Option<ValidScores>> {
        if self.dataset.valid.is_empty() {
            return Ok(None);
        }
        let embeddings = self.embeddings()?;
        let predicted = self.dataset.valid.iter().map(|row| {
            let rating = embeddings.predict_or_baseline(row.user, row.item);
            (row.value, rating)
        });
        let scores = Scores::of(predicted, self.dataset.levels.as_deref());
        Ok(scores.map(|scores| ValidScores {
            loss: scores.mse,
            rmse: scores.rmse(),
            mae: scores.mae,
            accuracy: scores.accuracy,
        }))
    }
}

fn diverged(epoch: u32, config: &TrainConfig) -> Error {
    Error::new(format!(
        "the training diverged in epoch {epoch}: its numbers are no longer finite; nothing is stored; lower learning_rate ({}) or \
         init_std ({}), raise eps, or give a y_range",
        config.learning_rate, config.init_std
    ))
}
