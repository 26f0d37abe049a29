//! What a training holds in memory: said once, and held against what it may take.

use crate::error::{Error, Result};
use crate::graph::optimiser::Rule;
use crate::ratings::{Dataset, Held};
use crate::train::config::TrainConfig;

/// Bytes of a float.
const FLOAT: u64 = 4;

/// How much there is to hold; where it is not known yet, no more than there will be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Training ratings.
    pub n_train: usize,
    /// Whether they have weights.
    pub weighted: bool,
    /// Validation ratings.
    pub n_valid: usize,
    /// Distinct pairs of user and item.
    pub n_seen: usize,
    /// `U`.
    pub n_users: usize,
    /// `I`.
    pub n_items: usize,
}

/// The least memory that a training takes at once, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// While the ratings are put in order, before there is a model.
    pub ordering: u64,
    /// Ratings, validation rows and seen pairs while the model trains.
    pub ratings: u64,
    /// Factors and biases with what the optimiser remembers of them.
    pub model: u64,
    /// The copies of the factors that exist while the model is stored.
    pub saving: u64,
    sizes: Sizes,
    widths: (usize, usize),
}

impl Sizes {
    /// Those of a data set.
    pub fn of(dataset: &Dataset) -> Self {
        Self {
            n_train: dataset.train.len(),
            weighted: dataset.train.weights().is_some(),
            n_valid: dataset.valid.len(),
            n_seen: dataset.seen.len(),
            n_users: dataset.users.len(),
            n_items: dataset.items.len(),
        }
    }
}

impl From<Held> for Sizes {
    fn from(Held { n_train, n_valid, n_users, n_items }: Held) -> Self {
        Self { n_train, weighted: false, n_valid, n_seen: 0, n_users, n_items }
    }
}

impl Needs {
    /// What a training of these sizes needs at least.
    ///
    /// - A training rating takes 12 bytes (user, item, rating) and 4 with a weight, twice that with classic SGD and while it is put
    ///   in order; a validation row 20, and 12 before that; a seen pair 4.
    /// - A user or item takes for each factor the value and what the optimiser remembers: two moments (12
    ///   bytes), with SGD one (8), with classic SGD none (4). `patience` keeps the values of the best epoch (4). Storing adds a copy here and one
    ///   in the host's transaction (8).
    ///
    /// - The layers of an 'mlp' take for each number what a factor does.
    ///
    /// Dictionaries, batches and a library's own memory are left out: small beside these, or not known.
    pub fn of(config: &TrainConfig, sizes: Sizes) -> Self {
        let [n_train, n_valid, n_seen, n_users, n_items] =
            [sizes.n_train, sizes.n_valid, sizes.n_seen, sizes.n_users, sizes.n_items].map(|n| n as u64);
        let rating = 3 * FLOAT + if sizes.weighted { FLOAT } else { 0 };
        let widths = (config.width_for(sizes.n_users), config.width_for(sizes.n_items));
        let row = |width: usize| width as u64 * FLOAT;
        let factors = n_users * row(widths.0) + n_items * row(widths.1);
        let arrays = match config.optimiser.rule {
            Rule::AdamW { .. } | Rule::Adam { .. } => 3,
            Rule::Sgd => 2,
            Rule::Classic => 1,
        };
        let layers = config.mlp.as_ref().map_or(0, |mlp| {
            let outputs = mlp.hidden.iter().copied().chain([1]);
            let inputs = [widths.0 + widths.1].into_iter().chain(mlp.hidden.iter().copied());
            inputs.zip(outputs).map(|(inputs, outputs)| (inputs as u64 + 1) * outputs as u64 * FLOAT).sum::<u64>()
        });
        let factors = factors + layers;
        // The classic pass has ratings in the order of its blocks, too.
        let copies = if config.optimiser.rule == Rule::Classic { 2 } else { 1 };
        Self {
            ordering: n_train * rating * 2 + n_valid * 5 * FLOAT,
            ratings: n_train * rating * copies + n_valid * 5 * FLOAT + n_seen * FLOAT,
            model: factors * (arrays + u64::from(config.patience.is_some())),
            saving: factors * 2,
            sizes,
            widths,
        }
    }

    /// The most at once.
    pub fn total(&self) -> u64 {
        self.ordering.max(self.ratings + self.model + self.saving)
    }

    /// Makes sure that it can fit.
    ///
    /// # Errors
    /// More than `limit`, the setting `memory_limit`; with what takes how much, and the ways out.
    pub fn check(&self, limit: u64) -> Result<()> {
        let total = self.total();
        if total <= limit {
            return Ok(());
        }
        let Sizes { n_train, n_valid, n_users, n_items, .. } = self.sizes;
        let parts = if self.ordering == total {
            format!("to put {n_train} ratings in order and {n_valid} held out ones")
        } else {
            let (users, items) = self.widths;
            let factors = if users == items { format!("{users}") } else { format!("{users} and {items}") };
            format!(
                "{} for {n_train} ratings and {n_valid} held out ones, {} for {factors} factors of {n_users} users and {n_items} items while \
                 they are trained and {} while they are stored",
                in_units(self.ratings),
                in_units(self.model),
                in_units(self.saving)
            )
        };
        Err(Error::new(format!(
            "memory: the training needs at least {} ({parts}), more than the setting memory_limit, {}; use fewer factors, train on a \
             sample of the ratings, or SET memory_limit higher where the machine has more",
            in_units(total),
            in_units(limit)
        )))
    }
}

/// Bytes in the largest unit of which there is one: `1.5 GiB`.
pub fn in_units(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB")];
    let (shift, unit) = units.into_iter().find(|(shift, _)| bytes >> shift > 0).unwrap_or((10, "KiB"));
    format!("{:.1} {unit}", bytes as f64 / (1u64 << shift) as f64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::train::{OptionValue, Options};

    fn needs(options: &[(&'static str, OptionValue)], sizes: Sizes) -> Needs {
        let given: BTreeMap<_, _> = options.iter().cloned().collect();
        Needs::of(&TrainConfig::take(&mut Options::new(given)).unwrap(), sizes)
    }

    const NETFLIX: Sizes = Sizes {
        n_train: 80_000_000,
        weighted: false,
        n_valid: 20_000_000,
        n_seen: 100_000_000,
        n_users: 480_000,
        n_items: 20_000,
    };

    #[test]
    fn the_needs_are_those_of_the_formula() {
        let found = needs(&[("n_factors", OptionValue::Integer(50))], NETFLIX);
        assert_eq!(found.ordering, 80_000_000 * 24 + 20_000_000 * 20);
        assert_eq!(found.ratings, 80_000_000 * 12 + 20_000_000 * 20 + 100_000_000 * 4);
        assert_eq!((found.model, found.saving), (500_000 * 50 * 12, 500_000 * 50 * 8));
        // While there is no model yet, more is held than afterwards; with twice the factors it is the other way round.
        assert_eq!(found.total(), found.ordering);
        let wide = needs(&[("n_factors", OptionValue::Integer(100))], NETFLIX);
        assert_eq!(wide.total(), wide.ratings + 500_000 * 100 * (12 + 8));
        let found_ratings = found.ratings;
        let sgd = [("optimizer", OptionValue::Text("sgd".to_owned())), ("patience", OptionValue::Integer(2))];
        let found = needs(&sgd, Sizes { weighted: true, ..NETFLIX });
        let classic = [("optimizer", OptionValue::Text("classic_sgd".to_owned()))];
        assert_eq!(needs(&classic, NETFLIX).ratings, found_ratings + 80_000_000 * 12);
        assert_eq!((found.model, found.ordering), (500_000 * 50 * 12, 80_000_000 * 32 + 20_000_000 * 20));
    }

    #[test]
    fn what_cannot_fit_is_refused_with_its_parts() {
        let found = needs(&[("n_factors", OptionValue::Integer(100))], NETFLIX);
        assert!(found.check(found.total()).is_ok());
        assert_eq!(
            found.check(2 << 30).unwrap_err().to_string(),
            "memory: the training needs at least 2.6 GiB (1.6 GiB for 80000000 ratings and 20000000 held out ones, 572.2 MiB for 100 \
             factors of 480000 users and 20000 items while they are trained and 381.5 MiB while they are stored), more than the setting \
             memory_limit, 2.0 GiB; use fewer factors, train on a sample of the ratings, or SET memory_limit higher where the machine has \
             more"
        );
        let early = needs(&[], Sizes { n_train: 1 << 30, ..Sizes::default() });
        let message = early.check(1 << 30).unwrap_err().to_string();
        assert!(message.contains("24.0 GiB (to put 1073741824 ratings in order and 0 held out ones)"), "{message}");
    }
}
