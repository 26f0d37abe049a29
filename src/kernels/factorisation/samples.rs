//! The samples of one row: their scores, and the sum of what they tell it.

use super::classes::Classes;
use super::layout::{Block, Layout};
use super::loss::{Judged, cross_entropy, squared_errors};
use super::rule::{History, Settings};
use super::step::Batch;
use crate::kernels::lanes::total;
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
    /// By place among the samples grouped by user.
    pub sums: SharedRows<'a, f32>,
    pub settings: Settings,
    pub history: History<'a>,
    pub now: i32,
}

/// Keeps the parameters of the user at `place`, whose row is up to date, for the items, and leaves the sum before the range of each
/// of its samples at the sample's place among all that are grouped.
#[inline(always)]
pub(super) fn sum_up(samples: &Samples<'_>, users: &Groups, place: usize, row: &[Block]) {
    let blocks = samples.layout.blocks();
    let p = &row[..blocks];
    // SAFETY (all blocks of this function): places are below the number of distinct users, and those of samples below `B`, which
    // the vectors were made for; each belongs to one piece. Nobody writes to rows of items meanwhile.
    unsafe { samples.before.row_mut(place) }.copy_from_slice(p);
    let first_item = samples.layout.n_users;
    let item_of = |sample: u32| first_item + samples.batch.items[sample as usize] as usize;
    for at in users.starts[place] as usize..users.starts[place + 1] as usize {
        if let Some(ahead) = users.samples.get(at + AHEAD) {
            samples.rows.prefetch(item_of(*ahead), blocks);
        }
        let q = &unsafe { samples.rows.row(item_of(users.samples[at])) }[..blocks];
        unsafe { samples.sums.row_mut(at)[0] = samples.mu + dot(p, q) };
    }
}

/// Turns the sums at the given places into costs and slopes of the samples there.
#[inline(always)]
pub(super) fn judge(samples: &Samples<'_>, users: &Groups, places: std::ops::Range<usize>) {
    for start in places.clone().step_by(LANES) {
        let grouped = &users.samples[start..places.end.min(start + LANES)];
        let mut sums = [0.0; LANES];
        for (lane, sum) in sums.iter_mut().enumerate().take(grouped.len()) {
            // SAFETY (all blocks of this function): places and samples are below `B`, and of this piece.
            *sum = unsafe { samples.sums.row(start + lane)[0] };
        }
        let judged = match &samples.classes {
            None => {
                let mut targets = [0.0; LANES];
                for (target, sample) in targets.iter_mut().zip(grouped) {
                    *target = samples.batch.ratings[*sample as usize];
                }
                squared_errors(&sums, samples.range, &targets)
            }
            Some(classes) => {
                let mut judged = Judged::default();
                for (lane, sample) in grouped.iter().enumerate() {
                    let class = samples.batch.classes[*sample as usize] as usize;
                    (judged.costs[lane], judged.slopes[lane]) =
                        cross_entropy(sums[lane], samples.range, classes.weights, classes.offsets, class);
                }
                judged
            }
        };
        for (lane, sample) in grouped.iter().enumerate() {
            let sample = *sample as usize;
            let weight = samples.batch.weights.get(sample).copied().unwrap_or(1.0);
            unsafe {
                samples.costs.row_mut(sample)[0] = judged.costs[lane] * weight;
                samples.slopes.row_mut(sample)[0] = judged.slopes[lane] * weight * samples.batch.share;
            }
        }
    }
}

/// Leaves the gradient of the user at `place`, whose samples were judged, in `gradient`.
#[inline(always)]
pub(super) fn user_gradient(samples: &Samples<'_>, users: &Groups, place: usize, gradient: &mut [Block]) {
    gradient.fill([0.0; LANES]);
    let blocks = samples.layout.blocks();
    for sample in &users.samples[users.starts[place] as usize..users.starts[place + 1] as usize] {
        let sample = *sample as usize;
        let item = samples.layout.n_users + samples.batch.items[sample] as usize;
        // SAFETY: samples are below `B` and of this piece; nobody writes to rows of items meanwhile.
        let (slope, q) = unsafe {
            samples.slots.row_mut(sample)[0] = place as u32;
            (samples.slopes.row(sample)[0], samples.rows.row(item))
        };
        add(gradient, slope, &q[..blocks]);
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

/// The sum of the costs, in lanes, as each addition would otherwise wait for the one before.
pub(super) fn total_cost(costs: &[f32]) -> f64 {
    let mut sums = [0.0; LANES];
    for costs in costs.chunks(LANES) {
        for (sum, cost) in sums.iter_mut().zip(costs) {
            *sum += f64::from(*cost);
        }
    }
    sums.iter().sum()
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
        // Copies: the compiler does not see that both are apart, and would go lane by lane.
        let (mut total, row) = (*sum, *row);
        for lane in 0..LANES {
            total[lane] += factor * row[lane];
        }
        *sum = total;
    }
}
