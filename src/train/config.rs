//! Checked settings of a training: only these run.

use crate::error::Result;
use crate::train::options::{Options, RangeOption};
use crate::train::schedule::Schedule;

/// Steps that an epoch has where the batch size is chosen for it.
const STEPS_PER_EPOCH: f64 = 1250.0;

/// The smallest batch that is chosen.
const SMALLEST_BATCH: usize = 8;

/// All settings that the numbers of a model depend on, besides its ratings.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// `K`.
    pub n_factors: usize,
    /// Passes over the training ratings.
    pub epochs: u32,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Ratings a step; `None` is chosen by [`TrainConfig::batch_size_for`].
    pub batch_size: Option<usize>,
    /// The interval of predictions, in rating units.
    pub y_range: RangeOption,
    /// Whether users and items have biases.
    pub bias: bool,
    /// Whether `mu` is set from the mean rating.
    pub mean: bool,
    /// How the rate moves.
    pub schedule: Schedule,
    /// Decay of Adam's moments.
    pub betas: (f64, f64),
    /// Adam's epsilon.
    pub eps: f64,
    /// Standard deviation of initial values.
    pub init_std: f64,
    /// Makes everything repeatable.
    pub seed: u64,
}

impl TrainConfig {
    /// Takes its settings out of the options.
    ///
    /// # Errors
    /// A value that its option does not take.
    pub fn take(options: &mut Options) -> Result<Self> {
        Ok(Self {
            n_factors: options.whole("n_factors")? as usize,
            epochs: options.whole("epochs")? as u32,
            learning_rate: options.real("learning_rate")?,
            weight_decay: options.real("weight_decay")?,
            batch_size: options.whole_or_auto("batch_size")?.map(|size| size as usize),
            y_range: options.range("y_range")?,
            bias: options.boolean("bias")?,
            mean: options.boolean("mean")?,
            schedule: match options.word("schedule")?.as_str() {
                "constant" => Schedule::Constant,
                _ => Schedule::OneCycle,
            },
            betas: options.betas("betas")?,
            eps: options.real("eps")?,
            init_std: options.real("init_std")?,
            seed: options.whole("seed")? as u64,
        })
    }

    /// The batch size for a number of training ratings.
    pub fn batch_size_for(&self, n_train: usize) -> usize {
        self.batch_size.unwrap_or_else(|| {
            let power = (n_train as f64 / STEPS_PER_EPOCH).max(1.0).log2().round();
            (power.exp2() as usize).max(SMALLEST_BATCH)
        })
    }
}
