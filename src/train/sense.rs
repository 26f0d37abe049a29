//! Whether a model that was trained without a range makes sense: its error alone tells where its numbers have run away.

use crate::error::{Result, number};
use crate::ratings::Ratings;
use crate::score::Predictor;

/// A model that errs so many times more than a constant, in squared error, has not learned but diverged: while it learned, than the one that it
/// started from; in the end, than the mean.
const SENSELESS: f64 = 10.0;

/// Ratings that are predicted at a time.
const AT_A_TIME: usize = 65_536;

/// Why a model with a mean squared error makes no sense beside one that predicts `constant` for every pair, in words; `None` where it does.
pub(super) fn missing(error: f64, constant: f64, train: &Ratings) -> Option<String> {
    let of_constant = mean_of(train, train.values().iter().map(|value| (f64::from(*value) - constant).powi(2)));
    if error <= of_constant * SENSELESS {
        return None;
    }
    Some(format!(
        "its squared error, {}, is more than {SENSELESS} times the {} of the constant {} that it started from",
        short(error),
        short(of_constant),
        short(constant)
    ))
}

/// The mean squared error of a model on the ratings that it has learned from.
///
/// # Errors
/// A failure of the predictor's network.
pub(super) fn error_on(predictor: &mut Predictor, train: &Ratings) -> Result<f64> {
    let mut errors = Vec::with_capacity(train.len());
    let pairs = train.users().chunks(AT_A_TIME).zip(train.items().chunks(AT_A_TIME));
    for ((users, items), values) in pairs.zip(train.values().chunks(AT_A_TIME)) {
        let predictions = predictor.predict(users, items)?;
        errors.extend(predictions.iter().zip(values).map(|(predicted, value)| predicted - value));
    }
    Ok(mean_of(train, errors.into_iter().map(|error| f64::from(error).powi(2))))
}

/// The mean over all ratings, by their weights where they have some, which are 1 on average.
fn mean_of(train: &Ratings, each: impl Iterator<Item = f64>) -> f64 {
    let sum: f64 = match train.weights() {
        Some(weights) => weights.iter().zip(each).map(|(weight, value)| f64::from(*weight) * value).sum(),
        None => each.sum(),
    };
    sum / train.len().max(1) as f64
}

/// Three digits: more say nothing here.
fn short(value: f64) -> String {
    let three = format!("{value:.2e}");
    three.parse().map_or(three, |rounded: f64| number(rounded))
}
