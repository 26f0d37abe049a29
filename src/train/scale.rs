//! The working scale: what ratings are brought to before training, so that a model does not depend on their unit.
//!
//! The lowest and highest observed rating become 1 and 5. Ratings of 1 to 5 stars stay as they are, which is the scale
//! that the defaults of learning rate, decay and epsilon are known for.

use crate::error::{Error, Result};
use crate::ratings::WorkingScale;
use crate::train::options::RangeOption;

const LOWEST: f64 = 1.0;
const SPAN: f64 = 4.0;

/// `'auto'` pads the observed span by this share of it on either side.
const PADDING: f64 = 1.0 / 8.0;

/// `'fastai'` pads it so far below: stars from 1 to 5 get [0, 5.5].
const PADDING_BELOW: f64 = 1.0 / 4.0;

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
    /// A `y_range` that an observed rating is outside of; a range that 32-bit floats do not hold.
    pub fn new(observed: (f32, f32), y_range: RangeOption, as_is: bool) -> Result<Self> {
        let (lowest, highest) = (f64::from(observed.0), f64::from(observed.1));
        let span = highest - lowest;
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
                    format!("[{lo}, {hi}]"),
                    format!("an interval around all ratings, which go from {} to {}", observed.0, observed.1),
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
