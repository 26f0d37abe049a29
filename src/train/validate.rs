//! How good a model is on the validation rows.

use crate::error::Result;
use crate::metrics::{Judged, Scores};
use crate::model::Objective;
use crate::ratings::{Dataset, HeldOutRating, class_of};
use crate::score::{Classes, Predictor};
use crate::train::plan::Plan;
use crate::train::report::ValidScores;

/// Scores a model on the validation rows of a data set, pairs with an unknown side by the baseline; `None` where there are no rows.
///
/// # Errors
/// A failure of the predictor's network.
pub(super) fn validate(predictor: &mut Predictor, dataset: &Dataset, plan: &Plan) -> Result<Option<ValidScores>> {
    let pairs: Vec<_> = dataset.valid.iter().map(|row| (row.user, row.item)).collect();
    let predictions = predictor.judge(&pairs)?;
    let judged = dataset.valid.iter().zip(&predictions).map(|(row, prediction)| Judged {
        rating: row.value,
        prediction: prediction.rating,
        level: prediction.level,
    });
    let Some(scores) = Scores::of(judged, dataset.levels.as_deref()) else { return Ok(None) };
    let loss = match plan.model.objective {
        Objective::MeanSquaredError => Some(scores.mse),
        Objective::HalfSquaredSum => Some(scores.mse * scores.n as f64 / 2.0),
        Objective::CrossEntropy { .. } => cross_entropy(predictor, &dataset.valid, plan)?,
    };
    Ok(Some(ValidScores { loss, rmse: scores.rmse(), mae: scores.mae, accuracy: scores.accuracy }))
}

/// The mean of `-log probability` of the rows' classes; rows with an unknown side go by how often each class occurs, rows
/// whose rating is no class are left out. `None` where no row is left.
fn cross_entropy(predictor: &mut Predictor, rows: &[HeldOutRating], plan: &Plan) -> Result<Option<f64>> {
    let known = rows.iter().filter_map(|row| Some((row.user?.0, row.item?.0)));
    let (users, items): (Vec<u32>, Vec<u32>) = known.unzip();
    let mut scores = predictor.scores(&users, &items)?.into_iter();
    let (mut sum, mut n) = (0.0, 0);
    let Some(classes) = predictor.classes() else { return Ok(None) };
    for row in rows {
        let score = if row.user.is_some() && row.item.is_some() { scores.next() } else { None };
        let Some(class) = class_of(&plan.levels, row.value) else { continue };
        sum -= match score {
            Some(score) => log_probability(classes, score, class as usize),
            None => plan.frequencies[class as usize].ln(),
        };
        n += 1;
    }
    Ok((n > 0).then(|| sum / f64::from(n)))
}

/// The logarithm of the softmax, which a probability that is rounded to 0 does not have.
fn log_probability(classes: &Classes, score: f32, class: usize) -> f64 {
    let logits = classes.weights().iter().zip(classes.offsets());
    let logits: Vec<f64> =
        logits.map(|(weight, offset)| f64::from(*weight) * f64::from(score) + f64::from(*offset)).collect();
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    logits[class] - highest - sum.ln()
}
