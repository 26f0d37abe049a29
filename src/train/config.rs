//! Checked settings of a training: only these run.

use crate::error::{Error, Result};
use crate::graph::optimiser::{Optimiser, Reach, Rule};
use crate::model::{Biases, Init, Mlp, embedding_width};
use crate::train::options::{OneOf, Options, RangeOption};
use crate::train::schedule::Schedule;

/// Steps that an epoch has where the batch size is chosen for it.
const STEPS_PER_EPOCH: f64 = 1250.0;

/// The smallest batch that is chosen.
const SMALLEST_BATCH: usize = 8;

/// The factors of each user and item where nothing else is asked for.
const USUAL_FACTORS: usize = 50;

/// The decoupled decay where nothing else is asked for. Added to the gradient, as other rules do, it would be far too much.
const USUAL_DECAY: f64 = 0.2;

/// All settings that the numbers of a model depend on, besides its ratings.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// Hidden layers; `None` for the product of factors.
    pub mlp: Option<Mlp>,
    /// `K` of both sides, where it was given.
    pub n_factors: Option<usize>,
    /// What is minimised.
    pub loss: Loss,
    /// Half of it times the squared factors is added to the loss.
    pub l2: f64,
    /// The rule of a step.
    pub optimiser: Optimiser,
    /// Passes over the training ratings.
    pub epochs: u32,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How the rate moves.
    pub schedule: Schedule,
    /// Decay of Adam's moments; the first is the momentum of SGD, too.
    pub betas: (f64, f64),
    /// Ratings a step.
    pub batch_size: BatchSize,
    /// Parts in which a batch is run.
    pub accumulate: usize,
    /// The interval of scores.
    pub y_range: RangeOption,
    /// Whose biases are learned.
    pub biases: Biases,
    /// Whether the untrained model predicts the mean.
    pub mean: bool,
    /// Where factors and biases start.
    pub init: Init,
    /// Epochs without a better validation loss after which training ends.
    pub patience: Option<u32>,
    /// Makes everything repeatable.
    pub seed: u64,
}

/// The option `loss`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Mean squared error.
    Mse,
    /// Half the sum of squared errors, of ratings as they are.
    HalfSse,
    /// Each rating value is a class.
    CrossEntropy,
}

/// The option `batch_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// By the number of training ratings.
    Auto,
    /// All of them.
    Full,
    /// This many.
    Fixed(usize),
}

impl TrainConfig {
    /// Takes its settings out of the options.
    ///
    /// # Errors
    /// A value that its option does not take, or options that exclude one another.
    pub fn take(options: &mut Options) -> Result<Self> {
        let betas = options.betas("betas")?;
        let eps = options.real("eps")?;
        let rule = match options.word("optimizer")? {
            "adam" => Rule::Adam { beta2: betas.1, eps },
            "sgd" => Rule::Sgd,
            _ => Rule::AdamW { beta2: betas.1, eps },
        };
        let weight_decay = match (options.real_or_word("weight_decay")?, rule) {
            (OneOf::Value(decay), _) => decay,
            (OneOf::Word(_), Rule::AdamW { .. }) => USUAL_DECAY,
            (OneOf::Word(_), Rule::Adam { .. } | Rule::Sgd) => 0.0,
        };
        let init_std = options.real("init_std")?;
        Ok(Self {
            mlp: take_mlp(options)?,
            n_factors: options.whole_or_null("n_factors")?.map(|width| width as usize),
            loss: match options.word("loss")? {
                "cross_entropy" => Loss::CrossEntropy,
                "half_sse" => Loss::HalfSse,
                _ => Loss::Mse,
            },
            l2: options.real("l2")?,
            optimiser: Optimiser { rule, weight_decay, reach: Reach::EveryRow },
            epochs: options.whole("epochs")? as u32,
            learning_rate: options.real("learning_rate")?,
            schedule: match options.word("schedule")? {
                "constant" => Schedule::Constant,
                "one_cycle_torch" => Schedule::OneCycleTorch,
                _ => Schedule::OneCycle,
            },
            betas,
            batch_size: match options.whole_or_word("batch_size")? {
                OneOf::Value(size) => BatchSize::Fixed(size as usize),
                OneOf::Word("full") => BatchSize::Full,
                OneOf::Word(_) => BatchSize::Auto,
            },
            accumulate: options.whole("accumulate")? as usize,
            y_range: options.range("y_range")?,
            biases: match options.boolean_or_word("bias")? {
                OneOf::Value(true) => Biases::Both,
                OneOf::Value(false) => Biases::Neither,
                OneOf::Word(_) => Biases::Users,
            },
            mean: options.boolean("mean")?,
            init: match options.word("init")? {
                "normal" => Init::Normal(init_std),
                "kaiming_uniform" => Init::KaimingUniform,
                _ => Init::TruncatedNormal(init_std),
            },
            patience: options.whole_or_null("patience")?.map(|epochs| epochs as u32),
            seed: options.whole("seed")? as u64,
        })
    }

    /// The batch size for a number of training ratings.
    pub fn batch_size_for(&self, n_train: usize) -> usize {
        match self.batch_size {
            BatchSize::Fixed(size) => size,
            BatchSize::Full => n_train,
            BatchSize::Auto => {
                let power = (n_train as f64 / STEPS_PER_EPOCH).max(1.0).log2().round();
                (power.exp2() as usize).max(SMALLEST_BATCH)
            }
        }
    }

    /// The factors of each of `n_ids` users or items.
    pub fn width_for(&self, n_ids: usize) -> usize {
        match (self.n_factors, &self.mlp) {
            (Some(width), _) => width,
            (None, Some(_)) => embedding_width(n_ids),
            (None, None) => USUAL_FACTORS,
        }
    }
}

/// The hidden layers, where the architecture has some.
fn take_mlp(options: &mut Options) -> Result<Option<Mlp>> {
    let is_mlp = options.word("architecture")? == "mlp";
    for name in ["layers", "dropout"] {
        if !is_mlp && options.is_given(name) {
            return Err(Error::new(format!(
                "{name}: only architecture := 'mlp' has layers; give that, too, or leave {name} out"
            )));
        }
    }
    let hidden = options.wholes("layers")?.into_iter().map(|width| width as usize).collect();
    let dropout = options.real("dropout")?;
    Ok(is_mlp.then_some(Mlp { hidden, dropout }))
}
