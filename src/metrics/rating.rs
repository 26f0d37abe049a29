//! How far predictions are from ratings.

/// A rating beside its prediction. All three are finite numbers in rating units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// What was rated.
    pub rating: f32,
    /// What was predicted.
    pub prediction: f32,
    /// The level that the predictor named itself, as a classifier does; `None` where the one nearest to the prediction
    /// counts.
    pub level: Option<f32>,
}

impl Judged {
    /// The level that was predicted: the predictor's own, else the nearest of `levels` (ascending); `None` where there
    /// is neither.
    pub fn predicted_level(&self, levels: &[f32]) -> Option<f32> {
        self.level.or_else(|| nearest(levels, self.prediction))
    }
}

/// The errors of predictions `p` of ratings `r`, in rating units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// How many ratings were predicted, at least one.
    pub n: usize,
    /// Mean squared error: `sum((r - p)^2) / n`.
    pub mse: f64,
    /// Mean absolute error: `sum(|r - p|) / n`.
    pub mae: f64,
    /// The share of ratings that are the level that was predicted ([`Judged::predicted_level`]); `None` without levels.
    /// A rating that is no level counts as missed.
    pub accuracy: Option<f64>,
}

/// The errors of predictions on their way to [`Scores`]: sums in `f64`, in the order of the predictions.
#[derive(Clone, Copy, Debug)]
pub struct Tally<'a> {
    levels: Option<&'a [f32]>,
    n: usize,
    n_right: usize,
    squares: f64,
    magnitudes: f64,
}

impl<'a> Tally<'a> {
    /// Nothing yet. `levels` are the distinct ratings, ascending.
    pub fn new(levels: Option<&'a [f32]>) -> Self {
        Self { levels, n: 0, n_right: 0, squares: 0.0, magnitudes: 0.0 }
    }

    /// Adds a prediction.
    pub fn add(&mut self, judged: Judged) {
        let error = f64::from(judged.rating) - f64::from(judged.prediction);
        self.n += 1;
        self.squares += error * error;
        self.magnitudes += error.abs();
        let is_right = |levels: &[f32]| judged.predicted_level(levels) == Some(judged.rating);
        self.n_right += usize::from(self.levels.is_some_and(is_right));
    }

    /// The scores of all predictions so far; `None` where there are none.
    pub fn scores(&self) -> Option<Scores> {
        let mean = |sum: f64| sum / self.n as f64;
        (self.n > 0).then(|| Scores {
            n: self.n,
            mse: mean(self.squares),
            mae: mean(self.magnitudes),
            accuracy: self.levels.map(|_| mean(self.n_right as f64)),
        })
    }
}

impl Scores {
    /// Scores predictions in one pass; `None` where there are none.
    ///
    /// `levels` are the distinct ratings, ascending.
    pub fn of(judged: impl IntoIterator<Item = Judged>, levels: Option<&[f32]>) -> Option<Self> {
        let mut tally = Tally::new(levels);
        judged.into_iter().for_each(|one| tally.add(one));
        tally.scores()
    }

    /// Root mean squared error: the square root of `mse`.
    pub fn rmse(&self) -> f64 {
        self.mse.sqrt()
    }
}

/// The level nearest to a value, the lower of two that are as near; `None` without levels.
pub fn nearest(levels: &[f32], value: f32) -> Option<f32> {
    let above = levels.partition_point(|&level| level < value);
    let upper = levels.get(above).copied();
    let lower = above.checked_sub(1).and_then(|below| levels.get(below)).copied();
    match (lower, upper) {
        (Some(lower), Some(upper)) => {
            let distance = |level: f32| (f64::from(level) - f64::from(value)).abs();
            Some(if distance(lower) <= distance(upper) { lower } else { upper })
        }
        (lower, upper) => lower.or(upper),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_formulas() {
        // Errors 1, -0.5, 2, 0: squares 1 + 0.25 + 4, magnitudes 3.5; nearest levels 3, 3, 3, 1, two of them right.
        let judged = [(4.0, 3.0), (3.0, 3.5), (5.0, 3.0), (1.0, 1.0)].map(|(rating, prediction)| Judged {
            rating,
            prediction,
            level: None,
        });
        let levels = [1.0, 3.0, 4.0, 5.0];
        let scores = Scores::of(judged, Some(&levels)).unwrap();
        assert_eq!(scores, Scores { n: 4, mse: 1.3125, mae: 0.875, accuracy: Some(0.5) });
        assert_eq!(scores.rmse(), 1.3125f64.sqrt());
        assert_eq!(Scores::of(judged, None).unwrap().accuracy, None);
    }

    #[test]
    fn a_level_that_the_predictor_names_goes_before_the_nearest() {
        let judged = Judged { rating: 5.0, prediction: 3.0, level: Some(5.0) };
        let scores = Scores::of([judged, Judged { level: None, ..judged }], Some(&[3.0, 5.0])).unwrap();
        assert_eq!(scores, Scores { n: 2, mse: 4.0, mae: 2.0, accuracy: Some(0.5) });
    }

    #[test]
    fn no_pairs_have_no_scores() {
        assert_eq!(Scores::of([], Some(&[1.0])), None);
    }

    #[test]
    fn the_lower_of_two_levels_wins_a_tie() {
        let levels = [0.5, 1.0, 2.0];
        let cases = [(-9.0, 0.5), (0.5, 0.5), (0.75, 0.5), (0.76, 1.0), (1.5, 1.0), (1.6, 2.0), (9.0, 2.0)];
        for (value, level) in cases {
            assert_eq!(nearest(&levels, value), Some(level), "{value}");
        }
        assert_eq!(nearest(&[], 1.0), None);
    }
}
