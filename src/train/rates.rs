//! The search for a learning rate: steps at a growing rate on a model of their own, and where the loss falls best.
//!
//! L. N. Smith: "Cyclical Learning Rates for Training Neural Networks" (WACV 2017), section 3.3, with the bounds, the smoothing and
//! the suggestion of fastai's `lr_find`.

use crate::error::Result;
use crate::train::fit::Training;
use crate::train::valley::valley;

/// The rates that are tried, by equal factors.
const N_RATES: u32 = 100;
const RATES: (f64, f64) = (1e-7, 10.0);

/// The share of the loss so far that a smoothed loss keeps.
const SMOOTHING: f64 = 0.98;

/// A loss so many times the best one ends the search.
const DIVERGED: f64 = 4.0;

/// What a search has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Each rate with the smoothed loss of the step at it.
    pub tried: Vec<(f64, f64)>,
    /// The place of the suggested rate; `None` where the loss did not fall.
    pub suggested: Option<usize>,
}

/// Searches with a training that has not begun; it is of no use afterwards.
///
/// # Errors
/// A failure of the engine.
pub fn find_rates(mut training: Training) -> Result<Rates> {
    let mut average = Average::default();
    let mut best = f64::INFINITY;
    let tried = training.explore(N_RATES, RATES, |loss| {
        let smoothed = average.next(loss);
        best = best.min(smoothed);
        smoothed > DIVERGED * best
    })?;
    let mut average = Average::default();
    let tried: Vec<(f64, f64)> = tried.into_iter().map(|(rate, loss)| (rate, average.next(loss))).collect();
    // The first rates are too small to tell anything, at the last ones the loss explodes.
    let first = N_RATES as usize / 10;
    let last = tried.len().saturating_sub(5).max(first);
    let judged: Vec<f64> = tried.get(first..last).unwrap_or_default().iter().map(|(_, loss)| *loss).collect();
    Ok(Rates { suggested: valley(&judged).map(|place| first + place), tried })
}

/// A mean in which what is longer ago counts less.
#[derive(Default)]
struct Average {
    sum: f64,
    n: i32,
}

impl Average {
    fn next(&mut self, value: f64) -> f64 {
        self.sum = SMOOTHING * self.sum + (1.0 - SMOOTHING) * value;
        self.n += 1;
        self.sum / (1.0 - SMOOTHING.powi(self.n))
    }
}
