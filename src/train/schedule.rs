//! How the learning rate and `beta1` move over a training.

use std::f64::consts::PI;

/// The course of the learning rate and of `beta1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// fastai's `fit_one_cycle`: over the first quarter the rate rises from a 25th of its peak and `beta1` falls from 0.95
    /// to 0.85, over the rest the rate falls to a 100,000th of its peak and `beta1` rises again, all on cosines.
    ///
    /// Source: Smith and Topin, Super-Convergence (2019), in the form of fastai's `callback/schedule.py`.
    OneCycle,
    /// The same learning rate and `beta1` at every step.
    Constant,
}

/// What a schedule gives to one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSettings {
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// The decay of the first moment.
    pub beta1: f64,
}

/// The share of the steps in which the rate of [`Schedule::OneCycle`] rises.
const RISING_SHARE: f64 = 0.25;
/// The peak over the rate of the first step.
const FIRST_DIVISOR: f64 = 25.0;
/// The peak over the rate at the end.
const LAST_DIVISOR: f64 = 1e5;
/// `beta1` at the ends and at the peak of the rate.
const BETA1_ENDS: f64 = 0.95;
const BETA1_PEAK: f64 = 0.85;

impl Schedule {
    /// The settings of the step before which `step` of `total_steps` steps are done; `betas.0` counts where the schedule
    /// does not set `beta1` itself.
    ///
    /// As in fastai, the position is that at the beginning of the batch: the first step has the rate `peak_rate / 25`, and
    /// the end of the descent, which belongs to a step after the last, is not quite reached.
    pub fn at(&self, step: u64, total_steps: u64, peak_rate: f64, betas: (f64, f64)) -> StepSettings {
        match self {
            Schedule::Constant => StepSettings { learning_rate: peak_rate, beta1: betas.0 },
            Schedule::OneCycle => {
                let position = step as f64 / total_steps as f64;
                if position < RISING_SHARE {
                    let share = position / RISING_SHARE;
                    StepSettings {
                        learning_rate: cosine(peak_rate / FIRST_DIVISOR, peak_rate, share),
                        beta1: cosine(BETA1_ENDS, BETA1_PEAK, share),
                    }
                } else {
                    let share = (position - RISING_SHARE) / (1.0 - RISING_SHARE);
                    StepSettings {
                        learning_rate: cosine(peak_rate, peak_rate / LAST_DIVISOR, share),
                        beta1: cosine(BETA1_PEAK, BETA1_ENDS, share),
                    }
                }
            }
        }
    }
}

/// Half a cosine from `start` (at share 0) to `end` (at share 1).
fn cosine(start: f64, end: f64, share: f64) -> f64 {
    start + (1.0 - (PI * share).cos()) / 2.0 * (end - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_settings(step: u64, learning_rate: f64, beta1: f64) {
        let found = Schedule::OneCycle.at(step, 1000, 5e-3, (0.9, 0.99));
        assert!((found.learning_rate - learning_rate).abs() < 1e-9, "step {step}: {found:?}");
        assert!((found.beta1 - beta1).abs() < 1e-9, "step {step}: {found:?}");
    }

    /// From `start + (1 + cos(pi (1 - share))) (end - start) / 2` by hand, at shares whose cosine is known.
    #[test]
    fn one_cycle_takes_the_values_of_the_formula() {
        // share 0 of the rise: 5e-3 / 25
        assert_settings(0, 0.0002, 0.95);
        // share 1/3, cos(60 deg) = 1/2, a quarter of the way: 2e-4 + 4.8e-3 / 4; position 1/12 of 1200 steps
        let third = Schedule::OneCycle.at(100, 1200, 5e-3, (0.9, 0.99));
        assert!((third.learning_rate - 0.0014).abs() < 1e-12 && (third.beta1 - 0.925).abs() < 1e-12, "{third:?}");
        // share 1/2 of the rise: the middle of 2e-4 and 5e-3
        assert_settings(125, 0.0026, 0.9);
        // share 0 of the descent
        assert_settings(250, 0.005, 0.85);
        // share 1/3 of the descent: 5e-3 - (5e-3 - 5e-8) / 4
        assert_settings(500, 0.003_750_012_5, 0.875);
        // share 2/3 of the descent: 5e-8 + (5e-3 - 5e-8) / 4
        assert_settings(750, 0.001_250_037_5, 0.925);
    }

    #[test]
    fn one_cycle_ends_just_above_its_last_rate() {
        let last = Schedule::OneCycle.at(999, 1000, 5e-3, (0.9, 0.99));
        assert!(last.learning_rate > 5e-8 && last.learning_rate < 1e-7, "{last:?}");
        assert!(last.beta1 < 0.95 && last.beta1 > 0.9499, "{last:?}");
    }

    #[test]
    fn a_constant_schedule_takes_the_given_beta() {
        for step in [0, 1, 999] {
            let expected = StepSettings { learning_rate: 0.1, beta1: 0.8 };
            assert_eq!(Schedule::Constant.at(step, 1000, 0.1, (0.8, 0.99)), expected);
        }
    }
}
