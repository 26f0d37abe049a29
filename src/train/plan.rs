//! From a configuration and ratings to everything that a training starts from.

use crate::error::{Error, Result, number};
use crate::ids::{IdKind, Vocabulary};
use crate::model::{Architecture, Biases, CLASS_OFFSETS, CLASS_WEIGHTS, Model, Objective, StepOptions};
use crate::ratings::{Dataset, class_of};
use crate::rng::Rng;
use crate::score::{Embeddings, MOST_CLASSES};
use crate::train::config::{Loss, TrainConfig};
use crate::train::scale::Scale;
use crate::train::states::{continue_from, working_mu};
use crate::train::tails;

/// A stored model that a training continues.
pub struct WarmStart<'a> {
    /// Its users.
    pub users: &'a Vocabulary,
    /// Its items.
    pub items: &'a Vocabulary,
    /// Its numbers.
    pub embeddings: &'a Embeddings,
    /// The lowest and highest rating of its first training, which set its scale.
    pub observed: (f32, f32),
}

/// What a training starts from.
pub(super) struct Plan {
    pub scale: Scale,
    pub model: Model,
    pub step_options: StepOptions,
    /// The lowest and highest rating that the scale goes by.
    pub observed: (f32, f32),
    /// The classes of a classifier, ascending; else the distinct ratings, where they are few.
    pub levels: Vec<f32>,
    /// How often each class occurs among the training ratings, counted from 1, as a share; of a classifier.
    pub frequencies: Vec<f64>,
    /// The parameters of the model by name.
    pub initial: Vec<(String, Vec<f32>)>,
}

impl Plan {
    /// # Errors
    /// A `y_range` that ratings are outside of; ratings of which a few are far out; too many classes; a stored model of another form or
    /// scale.
    pub(super) fn new(config: &TrainConfig, dataset: &Dataset, warm_start: Option<&WarmStart<'_>>) -> Result<Self> {
        let observed = warm_start.map_or((dataset.lowest, dataset.highest), |stored| stored.observed);
        if !(observed.0 <= dataset.lowest && dataset.highest <= observed.1) {
            return Err(Error::new(format!(
                "warm_start: ratings from {} to {} are outside of the stored model's, which went from {} to {}; train without warm_start",
                number(dataset.lowest),
                number(dataset.highest),
                number(observed.0),
                number(observed.1)
            )));
        }
        let scale = Scale::new(observed, config.y_range, config.loss == Loss::HalfSse)?;
        if config.loss != Loss::CrossEntropy {
            tails::check(dataset.train.values(), (dataset.lowest, dataset.highest))?;
        }
        let levels = levels(config, dataset, warm_start)?;
        let objective = match config.loss {
            Loss::Mse => Objective::MeanSquaredError,
            Loss::HalfSse => Objective::HalfSquaredSum,
            Loss::CrossEntropy => Objective::CrossEntropy { n_classes: levels.len() },
        };
        let frequencies = match config.loss {
            Loss::CrossEntropy => frequencies(&levels, dataset),
            _ => Vec::new(),
        };
        let mut model = Model {
            n_users: dataset.users.len(),
            n_items: dataset.items.len(),
            user_width: config.width_for(dataset.users.len()),
            item_width: config.width_for(dataset.items.len()),
            architecture: config.mlp.clone().map_or(Architecture::Dot, Architecture::Mlp),
            biases: config.biases,
            // The score of a classifier needs no constant: its offsets are some.
            mu: if config.mean && config.loss != Loss::CrossEntropy {
                scale.mu_for(dataset.train.mean()) as f32
            } else {
                0.0
            },
            range: scale.working_range().map(|(lo, hi)| (lo as f32, hi as f32)),
            objective,
        };
        if let Some(stored) = warm_start {
            expect_kind("user", stored.users, &dataset.users)?;
            expect_kind("item", stored.items, &dataset.items)?;
            model.mu = working_mu(&model, &scale, stored.embeddings.parts().mu);
            let keep = |width: &mut usize, stored: usize| {
                if config.n_factors.is_none() {
                    *width = stored;
                }
            };
            keep(&mut model.user_width, stored.embeddings.parts().users.width);
            keep(&mut model.item_width, stored.embeddings.parts().items.width);
        }
        let mut initial = model.initial(&Rng::new(config.seed).fork("init"), config.init);
        if config.mean {
            start_at_frequencies(&model, &frequencies, &mut initial);
        }
        if let Some(stored) = warm_start {
            let user_rows = rows_in(stored.users, &dataset.users);
            let item_rows = rows_in(stored.items, &dataset.items);
            for (what, rows) in [("user", &user_rows), ("item", &item_rows)] {
                if rows.iter().all(Option::is_none) {
                    return Err(Error::new(format!(
                        "warm_start: the stored model knows no {what} of the ratings; name the columns that it was trained on, or train without \
                         warm_start"
                    )));
                }
            }
            continue_from(stored.embeddings, &model, &scale, [&user_rows, &item_rows], &mut initial)?;
        }
        let step_options = StepOptions {
            l2: config.l2,
            is_weighted: dataset.train.weights().is_some(),
            accumulates: config.accumulate > 1,
        };
        Ok(Self { scale, model, step_options, observed, levels, frequencies, initial })
    }

    /// Whether the model's own biases answer where a side is unknown.
    pub(super) fn has_own_baseline(&self) -> bool {
        self.model.biases == Biases::Both
            && self.model.architecture == Architecture::Dot
            && !matches!(self.model.objective, Objective::CrossEntropy { .. })
    }
}

/// The distinct ratings; those of a classifier are its classes.
fn levels(config: &TrainConfig, dataset: &Dataset, warm_start: Option<&WarmStart<'_>>) -> Result<Vec<f32>> {
    let found = dataset.levels.clone().unwrap_or_default();
    if config.loss != Loss::CrossEntropy {
        return Ok(found);
    }
    let classes = warm_start.and_then(|stored| stored.embeddings.parts().classes.as_ref());
    if let Some(classes) = classes {
        let unknown = found.iter().find(|level| class_of(classes.values(), **level).is_none());
        return match (unknown, found.is_empty()) {
            (None, false) => Ok(classes.values().to_vec()),
            _ => Err(Error::new(format!(
                "warm_start: the stored classifier does not know all ratings{}; train without warm_start",
                unknown.map_or(String::new(), |level| format!(", {level} for one"))
            ))),
        };
    }
    match found.len() {
        2..=MOST_CLASSES => Ok(found),
        n => {
            let distinct = if n == 0 { "more than 1000".to_owned() } else { n.to_string() };
            Err(Error::argument(
                "loss",
                format!("'cross_entropy' for {distinct} distinct ratings"),
                format!("at most {MOST_CLASSES} of them, as each is a class"),
                "round the ratings in a query, or use loss := 'mse'",
            ))
        }
    }
}

/// The share of each class among the training ratings, each counted once more than it is there.
fn frequencies(levels: &[f32], dataset: &Dataset) -> Vec<f64> {
    let mut counts = vec![1.0; levels.len()];
    let classes = dataset.train.values().iter().filter_map(|value| class_of(levels, *value));
    classes.for_each(|class| counts[class as usize] += 1.0);
    let sum: f64 = counts.iter().sum();
    counts.into_iter().map(|count| count / sum).collect()
}

/// Sets a classifier's offsets so that the untrained model gives each class the probability of its share.
fn start_at_frequencies(model: &Model, frequencies: &[f64], initial: &mut [(String, Vec<f32>)]) {
    // What the score is where factors and biases are near 0.
    let score = model.range.map_or(0.0, |(lo, hi)| f64::from(lo + hi) / 2.0);
    let weights = initial.iter().find(|(name, _)| name == CLASS_WEIGHTS).map(|(_, weights)| weights.clone());
    let offsets = initial.iter_mut().find(|(name, _)| name == CLASS_OFFSETS);
    if let (Some(weights), Some((_, offsets))) = (weights, offsets) {
        for ((offset, weight), frequency) in offsets.iter_mut().zip(weights).zip(frequencies) {
            *offset = (frequency.ln() - f64::from(weight) * score) as f32;
        }
    }
}

/// The split is a hash of ids as they are, so an id of another type could land on the other side.
fn expect_kind(what: &str, stored: &Vocabulary, found: &Vocabulary) -> Result<()> {
    if stored.kind() == found.kind() {
        return Ok(());
    }
    let name = |vocabulary: &Vocabulary| match vocabulary.kind() {
        IdKind::Integer => "integers",
        IdKind::Text => "text",
    };
    Err(Error::new(format!(
        "warm_start: the {what}s of the ratings are {}, those of the stored model {}; cast them in a query, or train without warm_start",
        name(found),
        name(stored)
    )))
}

/// For each id of `of` its row in `stored`, where it has one.
fn rows_in(stored: &Vocabulary, of: &Vocabulary) -> Vec<Option<u32>> {
    of.iter().map(|id| stored.get(id)).collect()
}
