//! The end of a classifier: from one score to a probability for each rating value.

use crate::error::{Error, Result};

/// The most classes that a classifier has.
pub const MOST_CLASSES: usize = 100;

/// `C` rating values, ascending, and the line that takes a score `x` to each one's logit: `p = softmax(weights * x +
/// offsets)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Classes {
    values: Vec<f32>,
    weights: Vec<f32>,
    offsets: Vec<f32>,
}

impl Classes {
    /// Checks the three columns (`[C]`, `C` from 2 to 100), as somebody may have edited the table that they were stored
    /// in.
    ///
    /// # Errors
    /// Another number of classes, columns of different lengths, a number that is not finite, values that do not ascend.
    pub fn new(values: Vec<f32>, weights: Vec<f32>, offsets: Vec<f32>) -> Result<Self> {
        let n_classes = values.len();
        let wrong = |what: String| Err(Error::new(format!("{what}; train the model again")));
        if !(2..=MOST_CLASSES).contains(&n_classes) {
            return wrong(format!("the classifier has {n_classes} classes, not 2 to {MOST_CLASSES}"));
        }
        if weights.len() != n_classes || offsets.len() != n_classes {
            let (n_weights, n_offsets) = (weights.len(), offsets.len());
            return wrong(format!(
                "the classifier has {n_classes} classes, but {n_weights} weights and {n_offsets} offsets"
            ));
        }
        if !values.iter().chain(&weights).chain(&offsets).all(|number| number.is_finite()) {
            return wrong("the classifier has numbers that are not finite".to_owned());
        }
        if !values.is_sorted_by(|value, next| value < next) {
            return wrong("the rating values of the classifier do not ascend".to_owned());
        }
        Ok(Self { values, weights, offsets })
    }

    /// The rating values, ascending: `[C]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The slope of each logit: `[C]`.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Each logit at a score of 0: `[C]`.
    pub fn offsets(&self) -> &[f32] {
        &self.offsets
    }

    /// The probability of each value, in their order, into `out`: `[C]`. They sum to 1 but for rounding, and are
    /// numbers for every finite score.
    pub fn probabilities(&self, score: f32, out: &mut [f32]) {
        let total: f64 = self.odds(score).sum();
        out.iter_mut().zip(self.odds(score)).for_each(|(slot, odds)| *slot = (odds / total) as f32);
    }

    /// The expected rating, `sum(value * probability)`.
    pub fn expected(&self, score: f32) -> f32 {
        let (mut weighted, mut total) = (0.0, 0.0);
        for (value, odds) in self.values.iter().zip(self.odds(score)) {
            weighted += f64::from(*value) * odds;
            total += odds;
        }
        (weighted / total) as f32
    }

    /// The most probable value, the lowest of several that are as probable.
    pub fn most_probable(&self, score: f32) -> f32 {
        let better = |best: (f32, f64), other: (f32, f64)| if other.1 > best.1 { other } else { best };
        self.values.iter().copied().zip(self.logits(score)).fold((self.values[0], f64::NEG_INFINITY), better).0
    }

    /// The logarithm of the probability of the value at `class`, below `C`: finite where the probability is rounded to 0.
    pub fn log_probability(&self, score: f32, class: usize) -> f64 {
        let logit = |class: usize| f64::from(self.weights[class]) * f64::from(score) + f64::from(self.offsets[class]);
        let largest = self.logits(score).fold(f64::NEG_INFINITY, f64::max);
        logit(class) - largest - self.odds(score).sum::<f64>().ln()
    }

    /// Probabilities before they are divided by their sum; the largest is 1, so that none overflows.
    fn odds(&self, score: f32) -> impl Iterator<Item = f64> {
        let largest = self.logits(score).fold(f64::NEG_INFINITY, f64::max);
        self.logits(score).map(move |logit| (logit - largest).exp())
    }

    fn logits(&self, score: f32) -> impl Iterator<Item = f64> {
        let lines = self.weights.iter().zip(&self.offsets);
        lines.map(move |(weight, offset)| f64::from(*weight) * f64::from(score) + f64::from(*offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores of every size.
    const SCORES: [f32; 9] = [f32::MIN, -1e4, -2.5, -1e-40, 0.0, 0.3, 7.0, 1e10, f32::MAX];

    fn three() -> Classes {
        Classes::new(vec![1.0, 2.5, 4.0], vec![-1.0, 0.0, 2.0], vec![0.5, 0.0, -1.0]).unwrap()
    }

    #[test]
    fn three_classes_are_those_of_the_formula() {
        // Logits at 0.5: 0, 0, 0. At 1: -0.5, 0, 1.
        let mut found = [0.0; 3];
        three().probabilities(0.5, &mut found);
        assert_eq!(found, [1.0 / 3.0; 3]);
        assert_eq!((three().expected(0.5), three().most_probable(0.5)), (2.5, 1.0));

        let odds = [(-0.5f64).exp(), 1.0, 1f64.exp()];
        let total: f64 = odds.iter().sum();
        three().probabilities(1.0, &mut found);
        assert_eq!(found, odds.map(|odds| (odds / total) as f32));
        let expected = ((odds[0] + 2.5 * odds[1] + 4.0 * odds[2]) / total) as f32;
        assert_eq!((three().expected(1.0), three().most_probable(1.0)), (expected, 4.0));
        assert_eq!((three().expected(-1e6), three().most_probable(-1e6)), (1.0, 1.0));
    }

    #[test]
    fn probabilities_sum_to_one_and_expectations_stay_in_range_at_every_score() {
        let hundred: Vec<f32> = (0..100).map(|i| i as f32 / 7.0 - 3.0).collect();
        let waves = |step: f32| -> Vec<f32> { (0..100).map(|i| (i as f32 * step).sin()).collect() };
        let largest = vec![f32::MAX, f32::MIN];
        for classes in [
            three(),
            Classes::new(hundred, waves(1.3), waves(0.7)).unwrap(),
            Classes::new(vec![f32::MIN, f32::MAX], largest.clone(), largest).unwrap(),
            Classes::new(vec![0.0, 1.0], vec![0.0; 2], vec![0.0; 2]).unwrap(),
        ] {
            let values = classes.values();
            let mut found = vec![f32::NAN; values.len()];
            for score in SCORES {
                classes.probabilities(score, &mut found);
                assert!(found.iter().all(|p| (0.0..=1.0).contains(p)), "{score}: {found:?}");
                assert!((found.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{score}: {found:?}");
                let expected = classes.expected(score);
                assert!((values[0]..=values[values.len() - 1]).contains(&expected), "{score}: {expected}");
                let highest = found.iter().fold(0.0f32, |highest, p| highest.max(*p));
                let named = values.iter().position(|value| *value == classes.most_probable(score)).unwrap();
                assert_eq!(found[named], highest, "{score}");
            }
        }
    }

    #[test]
    fn what_was_edited_is_refused() {
        let cases = [
            (vec![1.0], vec![0.0], vec![0.0], "1 classes"),
            ((0..101).map(|i| i as f32).collect(), vec![0.0; 101], vec![0.0; 101], "101 classes"),
            (vec![1.0, 2.0], vec![0.0], vec![0.0; 2], "1 weights"),
            (vec![1.0, 2.0], vec![0.0; 2], vec![0.0; 3], "3 offsets"),
            (vec![1.0, f32::INFINITY], vec![0.0; 2], vec![0.0; 2], "not finite"),
            (vec![1.0, 2.0], vec![0.0, f32::NAN], vec![0.0; 2], "not finite"),
            (vec![1.0, 2.0], vec![0.0; 2], vec![0.0, f32::NAN], "not finite"),
            (vec![1.0, 1.0], vec![0.0; 2], vec![0.0; 2], "ascend"),
        ];
        for (values, weights, offsets, said) in cases {
            let error = Classes::new(values, weights, offsets).unwrap_err().to_string();
            assert!(error.contains(said) && error.ends_with("; train the model again"), "{error}");
        }
    }
}
