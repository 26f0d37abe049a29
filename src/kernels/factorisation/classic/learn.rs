//! The loops over the ratings of a block.

use std::hint::black_box;
use std::ops::Range;

use super::{BlockOfRatings, Pace, Round};
use crate::kernels::exp::sigmoid;
use crate::kernels::factorisation::layout::{Block, Layout};
use crate::kernels::factorisation::loss::{ranged, squared_error, stretched};
use crate::kernels::factorisation::rule::Lanes;
use crate::kernels::factorisation::samples::dot;
use crate::kernels::level::per_level;
use crate::kernels::memory::SharedRows;
use crate::kernels::{LANES, Level, lanes};

/// How many ratings ahead of their use rows are asked for.
const AHEAD: usize = 8;

/// What all blocks of a round read, and the rows that each writes its own part of.
pub(super) struct Task<'a> {
    pub rows: SharedRows<'a, Block>,
    pub round: &'a Round<'a>,
    pub layout: Layout,
    pub mu: f32,
    pub range: Option<(f32, f32)>,
    pub pace: Pace,
    /// What the slope of a squared error is multiplied by.
    pub factor: f32,
    pub lanes: [&'a Lanes; 2],
}

impl<'a> Task<'a> {
    fn ratings_of(&self, block: &BlockOfRatings) -> Ratings<'a> {
        let (round, range) = (self.round, block.ratings.clone());
        let weights = if round.weights.is_empty() { &[] } else { &round.weights[range.clone()] };
        Ratings {
            users: &round.users[range.clone()],
            items: &round.items[range.clone()],
            ratings: &round.ratings[range],
            weights,
        }
    }
}

/// Learns from a block whose ratings were found inside its rows; returns the sum of the squared errors times weights.
pub(super) fn learn(level: Level, task: &Task<'_>, block: &BlockOfRatings) -> f64 {
    let learn = match task.layout.blocks() {
        1 => learn_1,
        2 => learn_2,
        3 => learn_3,
        4 => learn_4,
        5 => learn_5,
        6 => learn_6,
        7 => learn_7,
        8 => learn_8,
        _ => learn_any,
    };
    learn(level, task, block)
}

per_level! {
    fn learn_1(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body<1>;
    fn learn_2(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body<2>;
    fn learn_3(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body<3>;
    fn learn_4(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body<4>;
    fn learn_5(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body<5>;
    fn learn_6(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body<6>;
    fn learn_7(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body<7>;
    fn learn_8(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body<8>;
}

per_level! {
    pub(super) fn fits_in(rows: &[i32], range: &Range<i32>) -> bool = fits_in_body;
    fn learn_any(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_any_body;
}

#[inline(always)]
fn fits_in_body(rows: &[i32], range: &Range<i32>) -> bool {
    let (mut lowest, mut highest) = (i32::MAX, i32::MIN);
    for row in rows {
        lowest = lowest.min(*row);
        highest = highest.max(*row);
    }
    rows.is_empty() || (lowest >= range.start && highest < range.end)
}

/// Ratings whose scores are worked out side by side where no two of them share a row, so that the others' updates are nothing to
/// them.
const GROUP: usize = 4;

/// The pass over rows of `N` blocks.
#[inline(always)]
fn learn_body<const N: usize, L: lanes::Lanes>(task: &Task<'_>, block: &BlockOfRatings) -> f64 {
    let ends = Ends::new(task, N.saturating_sub(2));
    let ratings = task.ratings_of(block);
    let mut sum_of_costs = 0.0f64;
    let mut at = 0;
    while at < ratings.users.len() {
        if ratings.is_apart(at) {
            let mut rows = [(0, 0); GROUP];
            let mut products = [0.0; GROUP];
            for k in 0..GROUP {
                rows[k] = ratings.rows(at + k, task, N);
                // SAFETY: `run` has found the ratings of this block inside its rows, which no other block has and which are inside the
                // tables; rows of users come before those of items.
                let (p, q) = unsafe { task.rows.two_rows_mut::<N>(rows[k].0, rows[k].1) };
                products[k] = lanes::dot::<L>(p, q);
            }
            let (costs, steps) = ratings.judge_group(at, black_box(products), task);
            for k in 0..GROUP {
                sum_of_costs += f64::from(costs[k]);
                // SAFETY: as above.
                let (p, q) = unsafe { task.rows.two_rows_mut::<N>(rows[k].0, rows[k].1) };
                update(p, q, steps[k], &ends, task.pace.decay);
            }
            at += GROUP;
        } else {
            let (user, item) = ratings.rows(at, task, N);
            // SAFETY: as above.
            let (p, q) = unsafe { task.rows.two_rows_mut::<N>(user, item) };
            let (cost, step) = ratings.judge(at, lanes::dot::<L>(p, q), task);
            sum_of_costs += f64::from(cost);
            update(p, q, step, &ends, task.pace.decay);
            at += 1;
        }
    }
    sum_of_costs
}

/// Moves the rows of a rating along each other.
#[inline(always)]
fn update<const N: usize>(p: &mut [Block; N], q: &mut [Block; N], step: f32, ends: &Ends, decay: f32) {
    for (place, (p, q)) in p.iter_mut().zip(q).enumerate() {
        match (place + 2).checked_sub(N.max(2)) {
            None => cross(p, q, step, decay),
            Some(end) => cross_end(p, q, step, &ends.blocks[end]),
        }
    }
}

/// The pass over rows of any number of blocks.
#[inline(always)]
fn learn_any_body(task: &Task<'_>, block: &BlockOfRatings) -> f64 {
    let n = task.layout.blocks();
    let ends = Ends::new(task, n.saturating_sub(2));
    let ratings = task.ratings_of(block);
    let mut sum_of_costs = 0.0f64;
    for at in 0..ratings.users.len() {
        let (user, item) = ratings.rows(at, task, n);
        // SAFETY: as in `learn_body`, of both.
        let (p, q) = unsafe { (task.rows.row_mut(user), task.rows.row_mut(item)) };
        let (cost, step) = ratings.judge(at, dot(p, q), task);
        sum_of_costs += f64::from(cost);
        for (place, (p, q)) in p.iter_mut().zip(q).enumerate() {
            match (place + 2).checked_sub(n.max(2)) {
                None => cross(p, q, step, task.pace.decay),
                Some(end) => cross_end(p, q, step, &ends.blocks[end]),
            }
        }
    }
    sum_of_costs
}

/// Moves two blocks of factors along each other.
#[inline(always)]
fn cross(p: &mut Block, q: &mut Block, step: f32, decay: f32) {
    let (mut new_p, mut new_q) = ([0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        new_p[lane] = p[lane] * decay - step * q[lane];
    }
    for lane in 0..LANES {
        new_q[lane] = q[lane] * decay - step * p[lane];
    }
    (*p, *q) = (new_p, new_q);
}

/// The same of blocks whose lanes are not all factors.
#[inline(always)]
fn cross_end(p: &mut Block, q: &mut Block, step: f32, end: &End) {
    let (mut new_p, mut new_q) = ([0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        new_p[lane] = p[lane] * end.keeps[0][lane] - step * end.moves[0][lane] * q[lane];
    }
    for lane in 0..LANES {
        new_q[lane] = q[lane] * end.keeps[1][lane] - step * end.moves[1][lane] * p[lane];
    }
    (*p, *q) = (new_p, new_q);
}

/// What happens to the lanes of a block.
#[derive(Clone, Copy)]
struct End {
    /// 1 where a lane moves, else 0; of users, of items.
    moves: [Block; 2],
    /// What it is multiplied by before.
    keeps: [Block; 2],
}

/// The last two blocks of a row, where its bias and its 1 are; all others are factors.
struct Ends {
    blocks: [End; 2],
}

impl Ends {
    /// Those from block `first` on.
    #[inline(always)]
    fn new(task: &Task<'_>, first: usize) -> Self {
        let mut blocks = [End { moves: [[0.0; LANES]; 2], keeps: [[1.0; LANES]; 2] }; 2];
        for (end, block) in blocks.iter_mut().enumerate() {
            for side in 0..2 {
                let Some((learned, decayed)) = task.lanes[side].of_block(first + end) else { continue };
                block.moves[side] = learned;
                for (keep, decayed) in block.keeps[side].iter_mut().zip(decayed) {
                    *keep = if decayed > 0.0 { task.pace.decay } else { 1.0 };
                }
            }
        }
        Self { blocks }
    }
}

/// The ratings of one block, `n` of each.
struct Ratings<'a> {
    users: &'a [i32],
    items: &'a [i32],
    ratings: &'a [f32],
    /// Empty where all count 1.
    weights: &'a [f32],
}

impl Ratings<'_> {
    /// The rows of a rating's user and item; asks for those of one that is soon to come.
    #[inline(always)]
    fn rows(&self, at: usize, task: &Task<'_>, blocks: usize) -> (usize, usize) {
        let first = task.layout.n_users;
        if let (Some(user), Some(item)) = (self.users.get(at + AHEAD), self.items.get(at + AHEAD)) {
            task.rows.prefetch(*user as usize, blocks);
            task.rows.prefetch(first + *item as usize, blocks);
        }
        (self.users[at] as usize, first + self.items[at] as usize)
    }

    /// Whether a whole group of ratings begins here, of which no two share a row.
    #[inline(always)]
    fn is_apart(&self, at: usize) -> bool {
        let (Some(users), Some(items)) = (self.users.get(at..at + GROUP), self.items.get(at..at + GROUP)) else {
            return false;
        };
        match (users.first_chunk(), items.first_chunk()) {
            (Some(users), Some(items)) => all_differ(users, items),
            _ => false,
        }
    }

    /// The same as [`judge`](Self::judge) for each rating of a group.
    #[inline(always)]
    fn judge_group(&self, at: usize, products: [f32; GROUP], task: &Task<'_>) -> ([f32; GROUP], [f32; GROUP]) {
        let mut weights = [1.0; GROUP];
        if let Some(given) = self.weights.get(at..at + GROUP) {
            weights.copy_from_slice(given);
        }
        let mut targets = [0.0; GROUP];
        if let Some(given) = self.ratings.get(at..at + GROUP) {
            targets.copy_from_slice(given);
        }
        // What is between boxes stays in vectors.
        let mut shares = [0.0; GROUP];
        if task.range.is_some() {
            for k in 0..GROUP {
                shares[k] = sigmoid(task.mu + products[k]);
            }
            shares = black_box(shares);
        }
        let (mut costs, mut steps) = ([0.0; GROUP], [0.0; GROUP]);
        for k in 0..GROUP {
            let (score, slope) = match task.range {
                Some(range) => stretched(shares[k], range),
                None => (task.mu + products[k], 1.0),
            };
            let (cost, slope) = squared_error(score, slope, targets[k]);
            (costs[k], steps[k]) = (cost * weights[k], slope * (weights[k] * task.factor));
        }
        (black_box(costs), black_box(steps))
    }

    /// What a rating costs whose rows have this product, and the step that its rows take along each other.
    #[inline(always)]
    fn judge(&self, at: usize, product: f32, task: &Task<'_>) -> (f32, f32) {
        let weight = if self.weights.is_empty() { 1.0 } else { self.weights[at] };
        let (score, slope) = ranged(task.mu + product, task.range);
        let (cost, slope) = squared_error(score, slope, self.ratings[at]);
        (cost * weight, slope * (weight * task.factor))
    }
}

/// Whether no two of the first numbers are equal, and no two of the others.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
fn all_differ(a: &[i32; 4], b: &[i32; 4]) -> bool {
    (0..4).all(|one| (0..one).all(|other| a[one] != a[other] && b[one] != b[other]))
}

/// Whether no two of the first numbers are equal, and no two of the others.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn all_differ(a: &[i32; 4], b: &[i32; 4]) -> bool {
    use std::arch::x86_64::*;

    // SAFETY: every processor of the architecture has these instructions; four numbers are read of each.
    unsafe {
        let same = |four: &[i32; 4]| {
            let four = _mm_loadu_si128(four.as_ptr().cast());
            let neighbours = _mm_cmpeq_epi32(four, _mm_shuffle_epi32::<0b00_11_10_01>(four));
            let opposites = _mm_cmpeq_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
            _mm_or_si128(neighbours, opposites)
        };
        _mm_movemask_epi8(_mm_or_si128(same(a), same(b))) == 0
    }
}
