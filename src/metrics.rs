//! How far predictions are from ratings.

/// The errors of predictions `p` of ratings `r`, in rating units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// How many ratings were predicted, at least one.
    pub n: usize,
    /// Mean squared error: `sum((r - p)^2) / n`.
    pub mse: f64,
    /// Mean absolute error: `sum(|r - p|) / n`.
    pub mae: f64,
    /// The share of ratings for which the level nearest to the prediction is the rating; `None` without levels.
    pub accuracy: Option<f64>,
}

impl Scores {
    /// Scores pairs of rating and prediction in one pass; `None` where there are none.
    ///
    /// `levels` are the distinct ratings, ascending. Sums are in `f64`, in the order of the pairs.
    pub fn of(pairs: impl IntoIterator<Item = (f32, f32)>, levels: Option<&[f32]>) -> Option<Self> {
        let (mut n, mut n_right) = (0, 0);
        let (mut squares, mut magnitudes) = (0.0, 0.0);
        for (rating, prediction) in pairs {
            let error = f64::from(rating) - f64::from(prediction);
            n += 1;
            squares += error * error;
            magnitudes += error.abs();
            n_right += usize::from(levels.is_some_and(|levels| nearest(levels, prediction) == Some(rating)));
        }
        let mean = |sum: f64| sum / n as f64;
        (n > 0).then(|| Self {
            n,
            mse: mean(squares),
            mae: mean(magnitudes),
            accuracy: levels.map(|_| mean(n_right as f64)),
        })
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
        let pairs = [(4.0, 3.0), (3.0, 3.5), (5.0, 3.0), (1.0, 1.0)];
        let levels = [1.0, 3.0, 4.0, 5.0];
        let scores = Scores::of(pairs, Some(&levels)).unwrap();
        assert_eq!(scores, Scores { n: 4, mse: 1.3125, mae: 0.875, accuracy: Some(0.5) });
        assert_eq!(scores.rmse(), 1.3125f64.sqrt());
        assert_eq!(Scores::of(pairs, None).unwrap().accuracy, None);
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
