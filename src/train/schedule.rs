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
    /// PyTorch's `OneCycleLR` as it comes: the same course with the peak after 0.3 of the steps and an end at a 250,000th of
    /// it, reached in the last step.
    ///
    /// Source: `torch.optim.lr_scheduler.OneCycleLR`, `anneal_strategy='cos'`.
    OneCycleTorch,
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

/// The peak over the rate of the first step.
const FIRST_DIVISOR: f64 = 25.0;
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
            Schedule::OneCycle => cycle(step as f64 / total_steps as f64, 0.25, peak_rate, 1e5),
            Schedule::OneCycleTorch => {
                // PyTorch counts steps, not shares of a training: the rise ends at step 0.3 n - 1, the descent at n - 1.
                let (peak, last) = (0.3 * total_steps as f64 - 1.0, total_steps as f64 - 1.0);
                let (position, rise) = if last > 0.0 { (step as f64 / last, peak / last) } else { (1.0, 0.0) };
                cycle(position, rise, peak_rate, FIRST_DIVISOR * 1e4)
            }
        }
    }

    /// The highest `beta1` of a training.
    pub fn highest_beta1(&self, betas: (f64, f64)) -> f64 {
        match self {
            Schedule::Constant => betas.0,
            Schedule::OneCycle | Schedule::OneCycleTorch => BETA1_ENDS,
        }
    }
}

/// One cycle at a position from 0 to 1: up over the share `rise`, then down to the peak over `last_divisor`.
fn cycle(position: f64, rise: f64, peak_rate: f64, last_divisor: f64) -> StepSettings {
    if position < rise {
        let share = position / rise;
        StepSettings {
            learning_rate: cosine(peak_rate / FIRST_DIVISOR, peak_rate, share),
            beta1: cosine(BETA1_ENDS, BETA1_PEAK, share),
        }
    } else {
        let share = (position - rise) / (1.0 - rise);
        StepSettings {
            learning_rate: cosine(peak_rate, peak_rate / last_divisor, share),
            beta1: cosine(BETA1_PEAK, BETA1_ENDS, share),
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

    /// From `torch.optim.lr_scheduler.OneCycleLR(Adam, 1.0, total_steps=n)`, PyTorch 2.
    #[test]
    fn pytorchs_one_cycle_takes_pytorchs_values() {
        for (step, n_steps, learning_rate, beta1) in [
            (0, 10, 0.04, 0.95),
            (1, 10, 0.52, 0.9),
            (2, 10, 1.0, 0.85),
            (5, 10, 0.611262022, 0.888873953),
            (9, 10, 4e-6, 0.95),
            (1, 7, 0.980556627, 0.852025351),
            (100, 1000, 0.281457361, 0.924848192),
            (500, 1000, 0.809988102, 0.869001266),
            (0, 2, 0.811745654, 0.86882551),
            (0, 1, 4e-6, 0.95),
        ] {
            let found = Schedule::OneCycleTorch.at(step, n_steps, 1.0, (0.9, 0.99));
            assert!((found.learning_rate - learning_rate).abs() < 1e-9, "step {step} of {n_steps}: {found:?}");
            assert!((found.beta1 - beta1).abs() < 1e-9, "step {step} of {n_steps}: {found:?}");
        }
    }

    #[test]
    fn a_constant_schedule_takes_the_given_beta() {
        for step in [0, 1, 999] {
            let expected = StepSettings { learning_rate: 0.1, beta1: 0.8 };
            assert_eq!(Schedule::Constant.at(step, 1000, 0.1, (0.8, 0.99)), expected);
        }
    }
}
