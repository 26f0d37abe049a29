//! The samples of one row: their scores, and the sum of what they tell it.

use super::classes::Classes;
use super::layout::{Block, Layout};
use super::loss::{cross_entropy, squared_error};
use super::rule::{History, Settings};
use super::step::Batch;
use crate::kernels::dot::total;
use crate::kernels::memory::SharedRows;
use crate::kernels::{Groups, LANES};

/// How many samples ahead of their use rows are asked for.
const AHEAD: usize = 6;

/// What all pieces of a step read, and the places that each writes its own part of.
pub(super) struct Samples<'a> {
    pub layout: Layout,
    pub mu: f32,
    pub range: Option<(f32, f32)>,
    pub classes: Option<Classes<'a>>,
    pub batch: Batch<'a>,
    pub rows: SharedRows<'a, Block>,
    pub clocks: SharedRows<'a, i32>,
    pub before: SharedRows<'a, Block>,
    pub slots: SharedRows<'a, u32>,
    pub costs: SharedRows<'a, f32>,
    pub slopes: SharedRows<'a, f32>,
    pub sums: SharedRows<'a, f32>,
    pub settings: Settings,
    pub history: History<'a>,
    pub now: i32,
}

/// Scores the samples of the user at `place`, whose row is up to date, keeps the row's parameters for the items and leaves the
/// user's gradient in `gradient`.
#[inline(always)]
pub(super) fn user_pass(samples: &Samples<'_>, users: &Groups, place: usize, row: &[Block], gradient: &mut [Block]) {
    let blocks = samples.layout.blocks();
    let p = &row[..blocks];
    gradient.fill([0.0; LANES]);
    // SAFETY (all blocks of this function): samples are below `B` and slots below the number of distinct users, which the
    // vectors were made for; each belongs to one user, and so to one piece. Nobody writes to rows of items meanwhile.
    unsafe { samples.before.row_mut(place) }.copy_from_slice(p);
    let first_item = samples.layout.n_users;
    let end = users.starts[place + 1] as usize;
    for at in users.starts[place] as usize..end {
        if let Some(ahead) = users.samples.get(at + AHEAD) {
            let row = first_item + samples.batch.items[*ahead as usize] as usize;
            samples.rows.prefetch(row, blocks);
        }
        let sample = users.samples[at] as usize;
        let item = first_item + samples.batch.items[sample] as usize;
        let q = &unsafe { samples.rows.row(item) }[..blocks];
        let sum = samples.mu + dot(p, q);
        let judged = match &samples.classes {
            None => squared_error(sum, samples.range, samples.batch.ratings[sample]),
            Some(classes) => {
                let class = samples.batch.classes[sample] as usize;
                cross_entropy(sum, samples.range, classes.weights, classes.offsets, class)
            }
        };
        let weight = samples.batch.weights.get(sample).copied().unwrap_or(1.0);
        let slope = judged.slope * weight * samples.batch.share;
        unsafe {
            samples.costs.row_mut(sample)[0] = judged.cost * weight;
            samples.slopes.row_mut(sample)[0] = slope;
            samples.sums.row_mut(sample)[0] = sum;
            samples.slots.row_mut(sample)[0] = place as u32;
        }
        add(gradient, slope, q);
    }
}

/// Leaves the gradient of the item at `place` in `gradient`.
#[inline(always)]
pub(super) fn item_gradient(samples: &Samples<'_>, items: &Groups, place: usize, gradient: &mut [Block]) {
    gradient.fill([0.0; LANES]);
    let blocks = samples.layout.blocks();
    let end = items.starts[place + 1] as usize;
    for at in items.starts[place] as usize..end {
        // SAFETY (all blocks of this function): samples are below `B`; the users' pass, which wrote all this, is over.
        if let Some(ahead) = items.samples.get(at + AHEAD) {
            let slot = unsafe { samples.slots.row(*ahead as usize)[0] } as usize;
            samples.before.prefetch(slot, blocks);
        }
        let sample = items.samples[at] as usize;
        let (slope, slot) = unsafe { (samples.slopes.row(sample)[0], samples.slots.row(sample)[0]) };
        add(gradient, slope, unsafe { samples.before.row(slot as usize) });
    }
}

/// The product of two planes, summed in lanes and then in pairs.
#[inline(always)]
pub(super) fn dot(a: &[Block], b: &[Block]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    total(sums)
}

#[inline(always)]
fn add(sum: &mut [Block], factor: f32, row: &[Block]) {
    for (sum, row) in sum.iter_mut().zip(row) {
        for lane in 0..LANES {
            sum[lane] += factor * row[lane];
        }
    }
}
