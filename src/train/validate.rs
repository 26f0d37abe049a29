//! How good a model is on the validation rows.

use crate::error::Result;
use crate::metrics::{Judged, Tally};
use crate::model::Objective;
use crate::ratings::{Dataset, class_of};
use crate::score::{Classes, Prediction, Predictor};
use crate::train::plan::Plan;
use crate::train::report::ValidScores;

/// Scores a model on the validation rows of a data set, pairs with an unknown side by the baseline; `None` where there are no rows.
///
/// # Errors
/// A failure of the predictor's network.
pub(super) fn validate(predictor: &mut Predictor, dataset: &Dataset, plan: &Plan) -> Result<Option<ValidScores>> {
    let classes = predictor.classes().cloned();
    let mut entropies = CrossEntropies { plan, classes: classes.as_ref(), sum: 0.0, n: 0 };
    let mut tally = Tally::new(dataset.levels.as_deref());
    predictor.judge(
        &dataset.valid,
        |row| (row.user, row.item),
        |row, Prediction { rating, level, score }| {
            tally.add(Judged { rating: row.value, prediction: rating, level });
            entropies.add(row.value, score);
        },
    )?;
    let Some(scores) = tally.scores() else { return Ok(None) };
    let loss = match plan.model.objective {
        Objective::MeanSquaredError => Some(scores.mse),
        Objective::HalfSquaredSum => Some(scores.mse * scores.n as f64 / 2.0),
        Objective::CrossEntropy { .. } => entropies.mean(),
    };
    Ok(Some(ValidScores { loss, rmse: scores.rmse(), mae: scores.mae, accuracy: scores.accuracy }))
}

/// `-log probability` of the classes of rows; rows with an unknown side go by how often each class occurs, rows whose rating
/// is no class are left out.
struct CrossEntropies<'a> {
    plan: &'a Plan,
    /// Absent where the model is no classifier: then nothing is added up.
    classes: Option<&'a Classes>,
    sum: f64,
    n: u32,
}

impl CrossEntropies<'_> {
    fn add(&mut self, rating: f32, score: Option<f32>) {
        let Some(classes) = self.classes else { return };
        let Some(class) = class_of(&self.plan.levels, rating) else { return };
        self.sum -= match score {
            Some(score) => classes.log_probability(score, class as usize),
            None => self.plan.frequencies[class as usize].ln(),
        };
        self.n += 1;
    }

    /// `None` where nothing was added.
    fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / f64::from(self.n))
    }
}
