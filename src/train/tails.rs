//! Ratings of which a few are so far from all others that a model would learn the few alone.

use crate::error::{Error, Result, number};

/// The equal parts that the range of the ratings is cut into.
const N_BINS: usize = 10_000;

/// Up to one rating of so many is an outlier.
const ONE_OF: usize = 1_000;

/// Where there are few ratings, one of so many, and no more than [`MOST_OF_FEW`].
const ONE_OF_FEW: usize = 50;
const MOST_OF_FEW: usize = 20;

/// Fewer ratings have no outliers: there is no telling which of them are the rule.
const FEWEST: usize = 20;

/// Values are one but for noise where they differ by no more than this share of the largest.
const NOISE: f32 = 1e-5;

/// Refuses training ratings that, but for a thousandth, or a fiftieth where they are few, lie within two neighbouring ten-thousandths of the range from `lowest` to
/// `highest`: on the working scale they are all but one number. Where they are of one value but for noise, the others are rare events, which can be
/// learned.
pub(super) fn check(values: &[f32], (lowest, highest): (f32, f32)) -> Result<()> {
    let origin = f64::from(lowest);
    let bins_per_unit = N_BINS as f64 / (f64::from(highest) - origin);
    let bin = |value: f32| (((f64::from(value) - origin) * bins_per_unit) as usize).min(N_BINS - 1);
    let mut counts = vec![0_usize; N_BINS];
    values.iter().for_each(|value| counts[bin(*value)] += 1);
    let pairs = counts.windows(2).map(|pair| pair.iter().sum::<usize>());
    let Some((n_near, first)) = pairs.zip(0..).max_by_key(|(count, _)| *count) else { return Ok(()) };
    let of_few = (values.len() / ONE_OF_FEW).clamp(1, MOST_OF_FEW);
    let most_outliers = of_few.max(values.len() / ONE_OF);
    if values.len() < FEWEST || n_near + most_outliers < values.len() {
        return Ok(());
    }
    let near = values.iter().copied().filter(|value| (first..first + 2).contains(&bin(*value)));
    let (least, most) = near.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    let has_several_values = most - least > NOISE * most.abs().max(least.abs());
    if !has_several_values {
        return Ok(());
    }
    let is_above = f64::from(highest) - f64::from(most) >= f64::from(least) - origin;
    let way_out = match is_above {
        true => format!("cap them in a query with least(rating, {}), take the logarithm", number(most)),
        false => format!("cap them in a query with greatest(rating, {})", number(least)),
    };
    Err(Error::new(format!(
        "ratings: they go from {} to {}, but {n_near} of the {} to learn from lie between {} and {}: a model would learn the few that are \
         far out alone; {way_out}, or leave them out",
        number(lowest),
        number(highest),
        values.len(),
        number(least),
        number(most)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(values: &[f32]) -> Result<()> {
        let range = values.iter().fold((f32::MAX, f32::MIN), |(a, b), value| (a.min(*value), b.max(*value)));
        check(values, range)
    }

    /// From 1 to 5, `n` of them.
    fn stars(n: usize) -> Vec<f32> {
        (0..n).map(|index| 1.0 + (index % 5) as f32).collect()
    }

    fn with(mut values: Vec<f32>, others: &[f32]) -> Vec<f32> {
        values.extend(others);
        values
    }

    #[test]
    fn a_few_that_are_far_out_are_refused() {
        let expected = "ratings: they go from 1 to 1000000, but 100000 of the 100001 to learn from lie between 1 and 5: a model would \
                        learn the few that are far out alone; cap them in a query with least(rating, 5), take the logarithm, or leave \
                        them out";
        assert_eq!(checked(&with(stars(100_000), &[1e6])).unwrap_err().to_string(), expected);
        let below = checked(&with(stars(100_000), &[-1e6])).unwrap_err().to_string();
        assert!(below.ends_with("alone; cap them in a query with greatest(rating, 1), or leave them out"), "{below}");
        // A thousandth of them, and in the middle of the range, where two bins meet.
        assert!(checked(&with(stars(99_900), &[1e6; 100])).is_err());
        assert!(checked(&with(stars(99_900), &[1e6, 6.0 - 1e6])).is_err());
        // As far as floats go, and with the one that is far out on the other side of the split.
        assert!(checked(&with(stars(100_000), &[f32::MAX, f32::MIN])).is_err());
        assert!(check(&stars(1_000), (1.0, 1e6)).is_err());
        // One of few; of fewer, nobody could say which is the rule.
        assert!(checked(&with(stars(19), &[1e6])).is_err());
        assert!(checked(&with(stars(98), &[1e6, 1e6])).is_err());
        assert!(checked(&with(stars(18), &[1e6, 1e6])).is_ok());
        assert!(checked(&with(stars(18), &[1e6])).is_ok());
    }

    #[test]
    fn rare_events_and_tails_that_a_model_can_learn_are_not() {
        let mut events = vec![0.0; 99_990];
        events.extend([1.0; 10]);
        checked(&events).unwrap();
        checked(&stars(100_000)).unwrap();
        let noise: Vec<f32> = (0..99).map(|index| 3.0 + (index % 3) as f32 * 1e-6).collect();
        checked(&with(noise, &[5.0])).unwrap();
        checked(&with(stars(100_000), &[1e3])).unwrap();
        // One more than a thousandth.
        checked(&with(stars(99_899), &[1e6; 101])).unwrap();
        let tails: Vec<f32> = stars(10_000).into_iter().map(|rating| (2.0 * rating).exp()).collect();
        checked(&tails).unwrap();
        checked(&[]).unwrap();
        checked(&[3.0]).unwrap();
    }
}
