//! The working scale: what ratings are brought to before training, so that a model does not depend on their unit.
//!
//! The lowest and highest observed rating become 1 and 5. Ratings of 1 to 5 stars stay as they are, which is the scale
//! that the defaults of learning rate, decay and epsilon are known for.

use crate::error::{Error, Result, number};
use crate::ratings::WorkingScale;
use crate::train::options::RangeOption;

const LOWEST: f64 = 1.0;
const SPAN: f64 = 4.0;

/// `'auto'` pads the observed span by this share of it on either side.
const PADDING: f64 = 1.0 / 8.0;

/// `'fastai'` pads it so far below: stars from 1 to 5 get [0, 5.5].
const PADDING_BELOW: f64 = 1.0 / 4.0;

/// The fewest steps of a 32-bit float between the lowest and the highest rating: predictions are such floats, and rounding
/// them to one step adds at most a thousandth to the error of ratings of 1 to 5 stars.
const FEWEST_STEPS: f64 = 64.0;

/// The spans in which a loss that takes ratings as they are works with the usual rates: beyond, the optimiser's epsilon and
/// learning rate, which are of no unit, are out of proportion to its gradients.
const SPANS_AS_THEY_ARE: std::ops::RangeInclusive<f64> = 0.1..=10_000.0;

/// The affine map between ratings and working values, with the range of predictions in both units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The rating that becomes 0.
    origin: f64,
    /// Rating units in one working unit.
    unit: f64,
    /// The interval of predictions, in rating units.
    range: Option<(f64, f64)>,
}

impl Scale {
    /// The scale of ratings from `lowest` to `highest`; where `as_is`, ratings are their own working values.
    ///
    /// # Errors
    /// A `y_range` that an observed rating is outside of; a range that 32-bit floats do not hold, or ratings that they hardly
    /// tell apart; where `as_is`, ratings of a unit that is much too small or large.
    pub fn new(observed: (f32, f32), y_range: RangeOption, as_is: bool) -> Result<Self> {
        let (lowest, highest) = (f64::from(observed.0), f64::from(observed.1));
        let span = highest - lowest;
        check_span(observed, as_is)?;
        let unit = if as_is { 1.0 } else { span / SPAN };
        let range = match y_range {
            RangeOption::Off => None,
            RangeOption::Auto => Some((lowest - span * PADDING, highest + span * PADDING)),
            RangeOption::Fastai => Some((lowest - span * PADDING_BELOW, highest + span * PADDING)),
            // Compared as the ratings are kept: 0.7 is a bound that a rating of 0.7 does not pass.
            RangeOption::Fixed(lo, hi) if lo as f32 <= observed.0 && observed.1 <= hi as f32 => Some((lo, hi)),
            RangeOption::Fixed(lo, hi) => {
                return Err(Error::argument(
                    "y_range",
                    format!("[{}, {}]", number(lo), number(hi)),
                    format!(
                        "an interval around all ratings, which go from {} to {}",
                        number(observed.0),
                        number(observed.1)
                    ),
                    "widen it, leave it out for 'auto', or give NULL for no range",
                ));
            }
        };
        if range.is_some_and(|(lo, hi)| !((hi as f32) - (lo as f32)).is_finite()) {
            return Err(Error::new(format!(
                "ratings: their range, from {lowest:e} to {highest:e}, is too wide for 32-bit floats; divide the ratings by a constant"
            )));
        }
        let origin = if as_is { 0.0 } else { lowest - LOWEST * unit };
        Ok(Self { origin, unit, range })
    }

    /// The map that batches apply.
    pub fn working(&self) -> WorkingScale {
        WorkingScale { origin: self.origin, factor: self.unit.recip() }
    }

    /// Rating units in one working unit.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// The range of predictions, in rating units.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.range
    }

    /// The range of predictions, on the working scale.
    pub fn working_range(&self) -> Option<(f64, f64)> {
        self.range.map(|(lo, hi)| (self.working_value(lo), self.working_value(hi)))
    }

    /// A rating on the working scale.
    pub fn working_value(&self, rating: f64) -> f64 {
        (rating - self.origin) / self.unit
    }

    /// A working value as a rating.
    pub fn rating_value(&self, working: f64) -> f64 {
        self.origin + self.unit * working
    }

    /// The constant with `range(mu) = mean`, on the working scale: a logit where there is a range.
    ///
    /// The mean lies inside the range, as the ratings do and are not all equal.
    pub fn mu_for(&self, mean: f64) -> f64 {
        match self.range {
            Some((lo, hi)) => {
                let share = (mean - lo) / (hi - lo);
                (share / (1.0 - share)).ln()
            }
            None => self.working_value(mean),
        }
    }
}

/// Refuses ratings on which the same training would do worse than on others that differ from them by a factor and a constant alone.
fn check_span((lowest, highest): (f32, f32), as_is: bool) -> Result<()> {
    let span = f64::from(highest) - f64::from(lowest);
    let far = lowest.abs().max(highest.abs());
    let step = f64::from(far) - f64::from(far.next_down());
    let refused = |reason: String, way_out: &str| {
        let (lowest, highest) = (number(lowest), number(highest));
        Err(Error::new(format!("ratings: they go from {lowest} to {highest}: {reason}; {way_out}")))
    };
    let is_told_apart = span >= FEWEST_STEPS * step;
    if !is_told_apart {
        let reason = format!(
            "expected {FEWEST_STEPS} or more steps of 32-bit floats between, which are {} wide there",
            number(step)
        );
        let is_tiny = far < 1.0;
        return refused(
            reason,
            if is_tiny { "multiply the ratings by a constant" } else { "subtract a constant from the ratings" },
        );
    }
    if as_is && !SPANS_AS_THEY_ARE.contains(&span) {
        let (least, most) = (SPANS_AS_THEY_ARE.start(), SPANS_AS_THEY_ARE.end());
        let reason = format!("the loss 'half_sse' takes them as they are, and expects {least} to {most} between");
        return refused(reason, "multiply the ratings by a constant, or take the loss 'mse', which any unit suits");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(lowest: f32, highest: f32, as_is: bool) -> String {
        Scale::new((lowest, highest), RangeOption::Auto, as_is).unwrap_err().to_string()
    }

    #[test]
    fn any_unit_and_any_constant_are_one_working_scale() {
        for (lowest, highest) in
            [(1.0, 5.0), (1e-6, 5e-6), (-5e9, -1e9), (1e30, 5e30), (1e-38, 5e-38), (1_000_000.0, 1_000_004.0)]
        {
            let scale = Scale::new((lowest, highest), RangeOption::Auto, false).unwrap();
            for (rating, working) in [(lowest, 1.0), (highest, 5.0)] {
                assert!((scale.working_value(f64::from(rating)) - working).abs() < 1e-9, "{lowest} to {highest}");
            }
        }
    }

    #[test]
    fn ratings_that_floats_hardly_tell_apart_are_refused() {
        // From 2^23 to 2^24 the floats are the whole numbers; below 2^-126 they are multiples of 2^-149.
        let expected = "ratings: they go from 10000001 to 10000005: expected 64 or more steps of 32-bit floats between, which are 1 \
                        wide there; subtract a constant from the ratings";
        assert_eq!(refused(10_000_001.0, 10_000_005.0, false), expected);
        assert!(refused(-10_000_005.0, -10_000_001.0, false).ends_with("subtract a constant from the ratings"));
        assert!(refused(0.0, 7e-45, false).ends_with("multiply the ratings by a constant"));
        for (lowest, highest) in [(10_000_001.0, 10_000_065.0), (0.0, 1e-43), (f32::MIN / 4.0, f32::MAX / 4.0)] {
            Scale::new((lowest, highest), RangeOption::Auto, false).unwrap();
        }
        refused(10_000_001.0, 10_000_064.0, false);
        assert!(refused(f32::MIN, f32::MAX, false).contains("too wide for 32-bit floats"));
    }

    #[test]
    fn a_loss_that_takes_ratings_as_they_are_wants_them_of_a_common_size() {
        let expected = "ratings: they go from 0.000001 to 0.000005: the loss 'half_sse' takes them as they are, and expects 0.1 to 10000 \
                        between; multiply the ratings by a constant, or take the loss 'mse', which any unit suits";
        assert_eq!(refused(1e-6, 5e-6, true), expected);
        assert!(refused(0.0, 20_000.0, true).contains("'half_sse'"));
        for highest in [0.5, 5.0, 100.0] {
            Scale::new((0.0, highest), RangeOption::Auto, true).unwrap();
        }
    }
}
