//! The classic pass: one rating at a time moves the two rows that it is of.
//!
//! Source: S. Funk, Netflix Update: Try This at Home (2006); Koren, Bell and Volinsky, Matrix Factorization Techniques for
//! Recommender Systems (2009), "Stochastic gradient descent". In parallel over blocks of ratings that share no rows, as in Gemulla et
//! al., Large-Scale Matrix Factorization with Distributed Stochastic Gradient Descent (2011), section 4: which thread does which block
//! makes no difference to a single bit.
//!
//! A rating with 50 factors is 510 floating-point operations on two rows of 256 bytes, both read and written. The ratings of a block
//! keep to its rows, so where these fit the second cache, that is where they stay.

use std::ops::Range;

use super::layout::{Block, Layout, Side};
use super::loss::squared_error;
use super::rule::Lanes;
use super::samples::dot;
use super::step::OutOfTable;
use crate::kernels::level::per_level;
use crate::kernels::memory::SharedRows;
use crate::kernels::{LANES, Level, Pool};

/// How many ratings ahead of their use rows are asked for.
const AHEAD: usize = 8;

/// What is the same for all ratings of a training.
pub struct ClassicPass {
    level: Level,
    layout: Layout,
    /// The constant `mu` of the sum.
    mu: f32,
    /// Width and lowest value of the scores, where a sigmoid keeps them in a range.
    range: Option<(f32, f32)>,
    /// What the squared error is multiplied by.
    share: f32,
    user_lanes: Lanes,
    item_lanes: Lanes,
    costs: Vec<f64>,
    fits: Vec<bool>,
}

/// How far each rating moves its rows.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The learning rate.
    pub rate: f32,
    /// What factors are multiplied by before they move: `1 - lr wd`.
    pub decay: f32,
}

/// `P` blocks of ratings, of which no two share a user or an item.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// Rows of users, `[B]`.
    pub users: &'a [i32],
    /// Rows of items, counted from the first item, `[B]`.
    pub items: &'a [i32],
    /// The ratings, `[B]`.
    pub ratings: &'a [f32],
    /// What each counts, `[B]`; empty where all count 1.
    pub weights: &'a [f32],
    /// Where the ratings of each block start, and where the last one's end: `[P + 1]`.
    pub borders: &'a [i32],
    /// The first row of each block's users, and the one behind its last: `[2 P]`.
    pub user_rows: &'a [i32],
    /// The same of the items.
    pub item_rows: &'a [i32],
}

impl ClassicPass {
    /// A pass of a model with these constants; `biases` says for users and items whether they are learned, `share` is what the squared
    /// error is multiplied by.
    pub fn new(
        level: Level,
        layout: Layout,
        (mu, range): (f32, Option<(f32, f32)>),
        biases: [bool; 2],
        share: f32,
    ) -> Self {
        Self {
            level,
            layout,
            mu,
            range,
            share,
            user_lanes: Lanes::new(&layout, Side::User, biases[0], 0.0),
            item_lanes: Lanes::new(&layout, Side::Item, biases[1], 0.0),
            costs: Vec::new(),
            fits: Vec::new(),
        }
    }

    /// Learns from every rating in turn, block by block; `rows` are the parameters alone, [`Layout::len`] numbers in blocks. Returns
    /// the sum of the losses, each before its rating was learned from.
    ///
    /// # Errors
    /// Lengths that do not fit, blocks that share rows: nothing was changed. A rating outside of its block's rows: the block was left
    /// out, others were not.
    pub fn run(
        &mut self,
        rows: &mut [Block],
        round: &Round<'_>,
        pace: Pace,
        pool: &dyn Pool,
    ) -> Result<f64, OutOfTable> {
        let blocks = self.check(rows, round)?;
        self.costs.clear();
        self.costs.resize(blocks.len(), 0.0);
        self.fits.clear();
        self.fits.resize(blocks.len(), false);
        let task = Task {
            rows: SharedRows::new(rows, self.layout.row_blocks()),
            round,
            layout: self.layout,
            mu: self.mu,
            range: self.range,
            pace,
            factor: pace.rate * self.share,
            lanes: [&self.user_lanes, &self.item_lanes],
        };
        let (costs, fits) = (SharedRows::new(&mut self.costs, 1), SharedRows::new(&mut self.fits, 1));
        let level = self.level;
        pool.for_each(blocks.len(), &|piece| {
            let block = &blocks[piece];
            if fits_in(level, &round.users[block.ratings.clone()], &block.users)
                && fits_in(level, &round.items[block.ratings.clone()], &block.items)
            {
                let cost = learn(level, &task, block);
                // SAFETY: below the number of blocks, for which both were made; each piece has its own.
                unsafe { (costs.row_mut(piece)[0], fits.row_mut(piece)[0]) = (cost, true) };
            }
        });
        match self.fits.iter().all(|fits| *fits) {
            true => Ok(self.costs.iter().sum::<f64>() * f64::from(self.share)),
            false => Err(OutOfTable),
        }
    }

    /// The blocks of a round, which share no rows and are inside the tables.
    fn check(&self, rows: &[Block], round: &Round<'_>) -> Result<Vec<BlockOfRatings>, OutOfTable> {
        let (n, n_blocks) = (round.users.len(), round.borders.len().saturating_sub(1));
        let fits = rows.len() == self.layout.n_rows() * self.layout.row_blocks()
            && self.layout.planes() == 1
            && round.items.len() == n
            && round.ratings.len() == n
            && (round.weights.is_empty() || round.weights.len() == n);
        let border = |place: &i32| usize::try_from(*place).map_err(|_| OutOfTable);
        let borders = round.borders.iter().map(border).collect::<Result<Vec<_>, _>>()?;
        let users = distinct(round.user_rows, self.layout.n_users)?;
        let items = distinct(round.item_rows, self.layout.n_items)?;
        let covers = borders.is_sorted() && borders.first() == Some(&0) && borders.last() == Some(&n);
        if !(fits && covers && users.len() == n_blocks && items.len() == n_blocks) {
            return Err(OutOfTable);
        }
        let ratings = borders.windows(2).map(|pair| pair[0]..pair[1]);
        let blocks = ratings.zip(users).zip(items);
        Ok(blocks.map(|((ratings, users), items)| BlockOfRatings { ratings, users, items }).collect())
    }
}

/// Ranges of rows below `n_rows` of which no two overlap.
fn distinct(bounds: &[i32], n_rows: usize) -> Result<Vec<Range<i32>>, OutOfTable> {
    let (pairs, []) = bounds.as_chunks::<2>() else { return Err(OutOfTable) };
    let ranges: Vec<Range<i32>> = pairs.iter().map(|[first, end]| *first..*end).collect();
    let mut sorted: Vec<&Range<i32>> = ranges.iter().filter(|range| !range.is_empty()).collect();
    sorted.sort_by_key(|range| range.start);
    let is_apart = sorted.windows(2).all(|pair| pair[0].end <= pair[1].start);
    let is_inside = sorted.iter().all(|range| range.start >= 0 && range.end as i64 <= n_rows as i64);
    if is_apart && is_inside { Ok(ranges) } else { Err(OutOfTable) }
}

/// One block: its ratings among those of the round, and the rows that they keep to.
struct BlockOfRatings {
    ratings: Range<usize>,
    users: Range<i32>,
    items: Range<i32>,
}

/// What all blocks of a round read, and the rows that each writes its own part of.
struct Task<'a> {
    rows: SharedRows<'a, Block>,
    round: &'a Round<'a>,
    layout: Layout,
    mu: f32,
    range: Option<(f32, f32)>,
    pace: Pace,
    /// What the slope of a squared error is multiplied by.
    factor: f32,
    lanes: [&'a Lanes; 2],
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
fn learn(level: Level, task: &Task<'_>, block: &BlockOfRatings) -> f64 {
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
    fn fits_in(rows: &[i32], range: &Range<i32>) -> bool = fits_in_body;
    fn learn_1(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body::<1>;
    fn learn_2(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body::<2>;
    fn learn_3(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body::<3>;
    fn learn_4(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body::<4>;
    fn learn_5(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body::<5>;
    fn learn_6(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body::<6>;
    fn learn_7(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body::<7>;
    fn learn_8(task: &Task<'_>, block: &BlockOfRatings) -> f64 = learn_body::<8>;
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

/// The pass over rows of `N` blocks.
#[inline(always)]
fn learn_body<const N: usize>(task: &Task<'_>, block: &BlockOfRatings) -> f64 {
    let ends = Ends::new(task, N.saturating_sub(2));
    let ratings = task.ratings_of(block);
    let mut sum_of_costs = 0.0f64;
    for at in 0..ratings.users.len() {
        let (user, item) = ratings.rows(at, task, N);
        // SAFETY: `run` has found the ratings of this block inside its rows, which no other block has and which are inside the tables;
        // rows of users come before those of items.
        let (p, q) = unsafe { task.rows.two_rows_mut::<N>(user, item) };
        let (cost, step) = ratings.judge(at, dot(p, q), task);
        sum_of_costs += f64::from(cost);
        for (place, (p, q)) in p.iter_mut().zip(q).enumerate() {
            match (place + 2).checked_sub(N.max(2)) {
                None => cross(p, q, step, task.pace.decay),
                Some(end) => cross_end(p, q, step, &ends.blocks[end]),
            }
        }
    }
    sum_of_costs
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
        // SAFETY (both): as in `learn_body`.
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
                for lane in 0..LANES {
                    block.keeps[side][lane] = if decayed[lane] > 0.0 { task.pace.decay } else { 1.0 };
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

    /// What a rating costs whose rows have this product, and the step that its rows take along each other.
    #[inline(always)]
    fn judge(&self, at: usize, product: f32, task: &Task<'_>) -> (f32, f32) {
        let weight = if self.weights.is_empty() { 1.0 } else { self.weights[at] };
        let judged = squared_error(task.mu + product, task.range, self.ratings[at]);
        (judged.cost * weight, judged.slope * (weight * task.factor))
    }
}
