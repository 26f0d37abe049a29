//! Checked settings of a training: only these run.

use crate::error::{Error, Result};
use crate::graph::Engine;
use crate::graph::optimiser::{Optimiser, Reach, Rule};
use crate::model::{Biases, Init, Mlp, embedding_width};
use crate::train::classic;
use crate::train::options::{OneOf, Options, RangeOption};
use crate::train::schedule::Schedule;

/// Steps that an epoch has where the batch size is chosen for it.
const STEPS_PER_EPOCH: f64 = 500.0;

/// The smallest and the largest batch that are chosen.
const BATCHES: (usize, usize) = (8, 16_384);

/// The factors of each user and item where nothing else is asked for.
const USUAL_FACTORS: usize = 50;

/// The decoupled decay where nothing else is asked for. Added to the gradient, as other rules do, it would be far too much.
const USUAL_DECAY: f64 = 0.2;

/// What `p (1 - lr wd)` of a single rating has for `wd` where nothing else is asked for; a row meets it once a rating.
const USUAL_CLASSIC_DECAY: f64 = 0.1;

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
    /// The rule of a step. Which rows it reaches, a training decides by [`reach_for`](Self::reach_for).
    pub optimiser: Optimiser,
    /// Which rows a step moves.
    pub updates: Updates,
    /// What a step is computed with.
    pub operators: Operators,
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

/// The option `updates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updates {
    /// By the number of rows and ratings a step.
    Auto,
    /// Every row.
    Dense,
    /// Those of the batch.
    Sparse,
}

/// The option `operators`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operators {
    /// The fastest there are for the step.
    Auto,
    /// Those of the ONNX standard alone.
    Stock,
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
            "classic_sgd" => Rule::Classic,
            _ => Rule::AdamW { beta2: betas.1, eps },
        };
        let weight_decay = match (options.real_or_word("weight_decay")?, rule) {
            (OneOf::Value(decay), _) => decay,
            (OneOf::Word(_), Rule::AdamW { .. }) => USUAL_DECAY,
            (OneOf::Word(_), Rule::Classic) => USUAL_CLASSIC_DECAY,
            (OneOf::Word(_), Rule::Adam { .. } | Rule::Sgd) => 0.0,
        };
        let init_std = options.real("init_std")?;
        let config = Self {
            mlp: take_mlp(options)?,
            n_factors: options.whole_or_null("n_factors")?.map(|width| width as usize),
            loss: match options.word("loss")? {
                "cross_entropy" => Loss::CrossEntropy,
                "half_sse" => Loss::HalfSse,
                _ => Loss::Mse,
            },
            l2: options.real("l2")?,
            optimiser: Optimiser { rule, weight_decay, reach: Reach::EveryRow },
            updates: match options.word("updates")? {
                "dense" => Updates::Dense,
                "sparse" => Updates::Sparse,
                _ => Updates::Auto,
            },
            operators: match options.word("operators")? {
                "stock" => Operators::Stock,
                _ => Operators::Auto,
            },
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
        };
        classic::check(&config)?;
        match (config.updates, config.needs_every_row()) {
            (Updates::Sparse, Some((reason, way_out))) => {
                Err(Error::argument("updates", "'sparse'", format!("'auto' or 'dense' {reason}"), way_out))
            }
            _ => Ok(config),
        }
    }

    /// Which rows each step moves, of tables of so many users and items together. Where nothing is asked for, those of its batch if
    /// the engine gains by that, and there are more rows than ratings in a batch, as then some row is not in it.
    pub fn reach_for(&self, n_rows: usize, batch_size: usize, engine: &dyn Engine) -> Reach {
        let is_less = engine.gains_by_batch_rows() && n_rows > batch_size;
        match self.updates {
            _ if self.optimiser.rule == Rule::Classic => Reach::BatchRows,
            Updates::Dense => Reach::EveryRow,
            Updates::Sparse => Reach::BatchRows,
            Updates::Auto if is_less && self.needs_every_row().is_none() => Reach::BatchRows,
            Updates::Auto => Reach::EveryRow,
        }
    }

    /// Why a row cannot miss steps and catch up, and the way out; `None` where it can.
    fn needs_every_row(&self) -> Option<(String, &'static str)> {
        if self.optimiser.rule == Rule::Classic {
            return None;
        }
        let (decay, (_, beta2)) = (self.optimiser.weight_decay, self.betas);
        let beta1 = self.schedule.highest_beta1(self.betas);
        if self.l2 > 0.0 {
            return Some((
                format!("where l2 ({}) gives every row a gradient", self.l2),
                "give weight_decay instead of l2",
            ));
        }
        if self.accumulate > 1 {
            let reason = format!("where gradients accumulate over {} parts", self.accumulate);
            return Some((reason, "leave accumulate out, or lower batch_size"));
        }
        if decay > 0.0 && !matches!(self.optimiser.rule, Rule::AdamW { .. }) {
            let reason = format!("where optimizer adds weight_decay ({decay}) to the gradient of every row");
            return Some((reason, "take optimizer := 'adamw', or weight_decay := 0"));
        }
        if !self.optimiser.has_closed_form(beta1) {
            let reason = format!("where beta1 goes up to {beta1} and the second of betas is {beta2}");
            return Some((reason, "raise the second of betas, or lower the first with schedule := 'constant'"));
        }
        None
    }

    /// The batch size for a number of training ratings.
    pub fn batch_size_for(&self, n_train: usize) -> usize {
        match self.batch_size {
            _ if self.optimiser.rule == Rule::Classic => 1,
            BatchSize::Fixed(size) => size,
            BatchSize::Full => n_train,
            BatchSize::Auto => usual_batch_size(n_train),
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

/// The power of two with which an epoch of so many ratings stays near 500 steps, within [`BATCHES`]: on tables of 100 thousand to 20
/// million ratings, no other power takes a tenth less time without a higher error.
pub(super) fn usual_batch_size(n_train: usize) -> usize {
    let power = (n_train as f64 / STEPS_PER_EPOCH).max(1.0).log2().round();
    (power.exp2() as usize).clamp(BATCHES.0, BATCHES.1)
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
