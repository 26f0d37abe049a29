//! What a score costs, and its slope.

use crate::kernels::{LANES, exp, sigmoid};

/// What is minimised: the sum over a batch of `share` times the cost of each sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// `(score - target)^2`.
    SquaredError,
    /// The cross-entropy of the class `target` in the softmax of `score w + o`; of `C` classes.
    CrossEntropy(usize),
}

/// What samples cost, and the slopes of that in their sums before the range.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judged {
    pub costs: [f32; LANES],
    pub slopes: [f32; LANES],
}

/// The score of a sum before the range `(width, lowest)`, and the score's slope there.
#[inline(always)]
pub(super) fn ranged(sum: f32, range: Option<(f32, f32)>) -> (f32, f32) {
    match range {
        None => (sum, 1.0),
        Some(range) => stretched(sigmoid(sum), range),
    }
}

/// The score of a share of the range `(width, lowest)`, which is a sigmoid, and the score's slope.
#[inline(always)]
pub(super) fn stretched(share: f32, (width, lowest): (f32, f32)) -> (f32, f32) {
    (share * width + lowest, width * (share * (1.0 - share)))
}

#[inline(always)]
pub(super) fn squared_errors(sums: &[f32; LANES], range: Option<(f32, f32)>, targets: &[f32; LANES]) -> Judged {
    let mut judged = Judged::default();
    // Asked once, so that no lane has to.
    match range {
        None => {
            for lane in 0..LANES {
                (judged.costs[lane], judged.slopes[lane]) = squared_error(sums[lane], 1.0, targets[lane]);
            }
        }
        Some(_) => {
            for lane in 0..LANES {
                let (score, slope) = ranged(sums[lane], range);
                (judged.costs[lane], judged.slopes[lane]) = squared_error(score, slope, targets[lane]);
            }
        }
    }
    judged
}

/// The cost of a score with a slope, and the cost's slope.
#[inline(always)]
pub(super) fn squared_error(score: f32, slope: f32, target: f32) -> (f32, f32) {
    let error = score - target;
    (error * error, 2.0 * error * slope)
}

/// A sample's cost and slope.
#[inline(always)]
pub(super) fn cross_entropy(
    sum: f32,
    range: Option<(f32, f32)>,
    weights: &[f32],
    offsets: &[f32],
    class: usize,
) -> (f32, f32) {
    let (score, slope) = ranged(sum, range);
    let (highest, total) = softmax(score, weights, offsets);
    let mut expected = 0.0;
    for (weight, offset) in weights.iter().zip(offsets) {
        expected += exp(score * weight + offset - highest) / total * weight;
    }
    let own = score * weights[class] + offsets[class];
    (highest + total.ln() - own, (expected - weights[class]) * slope)
}

/// The highest logit, and the sum of the exponentials of all relative to it.
#[inline(always)]
pub(super) fn softmax(score: f32, weights: &[f32], offsets: &[f32]) -> (f32, f32) {
    let logits = || weights.iter().zip(offsets).map(|(weight, offset)| score * weight + offset);
    let highest = logits().fold(f32::NEG_INFINITY, f32::max);
    (highest, logits().map(|logit| exp(logit - highest)).sum())
}
