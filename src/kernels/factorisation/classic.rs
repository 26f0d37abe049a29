//! The classic pass: one rating at a time moves the two rows that it is of.
//!
//! Source: S. Funk, Netflix Update: Try This at Home (2006); Koren, Bell and Volinsky, Matrix Factorization Techniques for
//! Recommender Systems (2009), "Stochastic gradient descent". In parallel over blocks of ratings that share no rows, as in Gemulla et
//! al., Large-Scale Matrix Factorization with Distributed Stochastic Gradient Descent (2011), section 4: which thread does which block
//! makes no difference to a single bit.
//!
//! A rating with 50 factors is 510 floating-point operations on two rows of 256 bytes, both read and written. The ratings of a block
//! keep to its rows, so where these fit the second cache, that is where they stay.

mod learn;

use std::ops::Range;

use super::layout::{Block, Layout, Side};
use super::rule::Lanes;
use super::step::OutOfTable;
use crate::kernels::memory::SharedRows;
use crate::kernels::{Level, Pool};
use learn::{Task, fits_in, learn};

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
        pool.for_most(blocks.len(), &|piece| {
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

#[cfg(test)]
mod tests;
