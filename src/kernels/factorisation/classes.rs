//! The line from scores to classes, which every step moves.

use super::layout::{Block, Memory};
use super::loss::{Loss, softmax};
use super::rule::{Lanes, Settings, update};
use super::step::Batch;
use crate::kernels::LANES;
use crate::kernels::exp;
use crate::kernels::level::per_level;

/// What the scores of a step are multiplied by, and what is added: `[C]` each.
pub(super) struct Classes<'a> {
    pub weights: &'a [f32],
    pub offsets: &'a [f32],
}

impl<'a> Classes<'a> {
    /// Those of the two rows, where the loss has classes.
    pub(super) fn of(loss: Loss, rows: &'a [Block]) -> Option<Self> {
        let Loss::CrossEntropy(n_classes) = loss else { return None };
        let (weights, offsets) = rows.as_flattened().split_at(rows.len() / 2 * LANES);
        Some(Self { weights: &weights[..n_classes], offsets: &offsets[..n_classes] })
    }
}

per_level! {
    /// Moves both rows by what the batch tells them; `scores` are of its samples, `[B]`.
    pub(super) fn learn(
        rows: &mut [Block],
        n_classes: usize,
        scores: &[f32],
        batch: &Batch<'_>,
        lanes: &[Lanes; 2],
        memory: Memory,
        settings: &Settings,
    ) = learn_body;
}

#[inline(always)]
fn learn_body(
    rows: &mut [Block],
    n_classes: usize,
    scores: &[f32],
    batch: &Batch<'_>,
    lanes: &[Lanes; 2],
    memory: Memory,
    settings: &Settings,
) {
    let mut gradients = [vec![[0.0; LANES]; n_classes.div_ceil(LANES)], vec![[0.0; LANES]; n_classes.div_ceil(LANES)]];
    let (weight_row, offset_row) = rows.split_at_mut(rows.len() / 2);
    let (weights, offsets) = (&weight_row.as_flattened()[..n_classes], &offset_row.as_flattened()[..n_classes]);
    let [of_weights, of_offsets] = &mut gradients;
    let (of_weights, of_offsets) = (of_weights.as_flattened_mut(), of_offsets.as_flattened_mut());
    for (sample, score) in scores.iter().copied().enumerate() {
        let share = batch.share * batch.weights.get(sample).copied().unwrap_or(1.0);
        let (highest, total) = softmax(score, weights, offsets);
        let own = batch.classes[sample] as usize;
        for class in 0..n_classes {
            let probability = exp(score * weights[class] + offsets[class] - highest) / total;
            let slope = share * (probability - if class == own { 1.0 } else { 0.0 });
            of_weights[class] += slope * score;
            of_offsets[class] += slope;
        }
    }
    update(weight_row, &gradients[0], memory, &lanes[0], settings);
    update(offset_row, &gradients[1], memory, &lanes[1], settings);
}
