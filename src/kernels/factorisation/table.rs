//! The rows of one side for a model that reckons with them itself: read for a batch, then moved by the gradients that come back.
//!
//! Reading brings the rows of the batch up to date where they lie, so that learning finds them so. Each row belongs to one piece of
//! work, and sums run in the order of the samples: the result depends neither on the threads nor on the instructions.

#[cfg(test)]
mod tests;

use super::layout::{Block, Layout, Side};
use super::rule::{History, Lanes, Settings, catch_up, missed_since, update};
use super::step::{AHEAD, OutOfTable, PIECES, SAMPLES_PER_THREAD, settle, settle_each};
use crate::kernels::level::per_level;
use crate::kernels::memory::{SharedRows, prefetch};
use crate::kernels::{Groups, LANES, Level, Pool};

/// What is the same for all steps of one side.
pub struct Table {
    level: Level,
    layout: Layout,
    lanes: Lanes,
    groups: Groups,
}

/// What a training owns of a side of `N` rows.
pub struct Held<'a> {
    /// [`Layout::len`] numbers in blocks.
    pub rows: &'a mut [Block],
    /// The number of the last step that each row is up to date with: `[N]`.
    pub clocks: &'a mut [i32],
}

/// When a step is, and what was before it.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The numbers of the step.
    pub settings: &'a Settings,
    /// What rows may have missed.
    pub history: History<'a>,
    /// The number of the step, counted from 1 since the clocks were 0.
    pub now: i32,
}

/// The slopes of the loss in what was read, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Slopes<'a> {
    /// In the factors: `[B, K]`.
    pub values: &'a [f32],
    /// In the biases: `[B]`; empty where there are none.
    pub biases: &'a [f32],
}

impl Table {
    /// The side of a layout that has users alone, whatever they stand for; `has_bias` and `penalty` are as for
    /// [`Step::new`](super::Step::new).
    pub fn new(level: Level, layout: Layout, has_bias: bool, penalty: f32) -> Self {
        let lanes = Lanes::new(&layout, Side::User, has_bias, penalty);
        Self { level, layout, lanes, groups: Groups::default() }
    }

    /// Writes the factors `[B, K]` and biases (`[B]`, or empty where they are not wanted) of the rows of a batch, which it brings up to
    /// date with the steps before this one.
    ///
    /// # Errors
    /// A row that is not there, a clock that is not before `now`, lengths that do not fit: nothing was changed.
    pub fn read(
        &self,
        held: &mut Held<'_>,
        index: &[i32],
        (values, biases): (&mut [f32], &mut [f32]),
        moment: &Moment<'_>,
        pool: &dyn Pool,
    ) -> Result<(), OutOfTable> {
        let n_steps = match moment.history {
            History::Steps(steps) => steps.len() + 1,
            History::LogDecays(logs) => logs.len(),
        };
        let fits = moment.now >= 1 && n_steps == moment.now as usize;
        self.check(held, index, (values, biases), |clock| fits && (0..moment.now).contains(&clock))?;
        let reading = Reading {
            layout: self.layout,
            lanes: &self.lanes,
            index,
            moment: *moment,
            has_biases: !biases.is_empty(),
            rows: SharedRows::new(held.rows, self.layout.row_blocks()),
            clocks: SharedRows::new(held.clocks, 1),
            values: SharedRows::new(values, self.layout.width),
            biases: SharedRows::new(biases, 1),
        };
        let n_pieces = if index.len() < 2 * SAMPLES_PER_THREAD { 1 } else { pool.threads() };
        pool.for_each(n_pieces, &|piece| read_rows(self.level, &reading, piece as u32, n_pieces as u32));
        Ok(())
    }

    /// Moves the rows of a batch, which [`read`](Self::read) was given in the same step.
    ///
    /// # Errors
    /// As there, and a row that was not read: nothing was changed.
    pub fn learn(
        &mut self,
        held: &mut Held<'_>,
        index: &[i32],
        slopes: Slopes<'_>,
        settings: &Settings,
        now: i32,
        pool: &dyn Pool,
    ) -> Result<(), OutOfTable> {
        self.check(held, index, (slopes.values, slopes.biases), |clock| clock + 1 == now)?;
        self.groups.fill(index);
        let learning = Learning {
            layout: self.layout,
            lanes: &self.lanes,
            groups: &self.groups,
            slopes,
            settings: *settings,
            now,
            rows: SharedRows::new(held.rows, self.layout.row_blocks()),
            clocks: SharedRows::new(held.clocks, 1),
        };
        let n_pieces = if index.len() < 2 * SAMPLES_PER_THREAD { 1 } else { PIECES * pool.threads() };
        let cuts = self.groups.cut(n_pieces);
        pool.for_each(n_pieces, &|piece| learn_rows(self.level, &learning, cuts[piece], cuts[piece + 1]));
        Ok(())
    }

    /// Brings a copy of a row up to date with [`Moment::now`] steps, of which the history has all.
    ///
    /// # Panics
    /// A clock that is beyond them.
    pub fn settle_copy(&self, row: &mut [Block], clock: i32, moment: &Moment<'_>) {
        let Moment { settings, history, now } = *moment;
        settle(self.level, row, self.layout, &self.lanes, settings, history, clock, now + 1);
    }

    /// The same for all rows, and sets their clocks to 0.
    ///
    /// # Panics
    /// As there.
    pub fn settle_all(&self, held: &mut Held<'_>, moment: &Moment<'_>, pool: &dyn Pool) {
        settle_each(held.rows, held.clocks, self.layout.row_blocks(), pool, &|row, _, clock| {
            self.settle_copy(row, clock, moment);
        });
    }

    fn check(
        &self,
        held: &Held<'_>,
        index: &[i32],
        (values, biases): (&[f32], &[f32]),
        is_fine: impl Fn(i32) -> bool,
    ) -> Result<(), OutOfTable> {
        let layout = &self.layout;
        let fits = layout.n_items == 0
            && layout.width > 0
            && held.rows.len() == layout.n_rows() * layout.row_blocks()
            && held.clocks.len() == layout.n_rows()
            && values.len() == index.len() * layout.width
            && (biases.is_empty() || biases.len() == index.len());
        let clock = |row: i32| usize::try_from(row).ok().and_then(|row| held.clocks.get(row));
        match fits && index.iter().all(|row| clock(*row).is_some_and(|clock| is_fine(*clock))) {
            true => Ok(()),
            false => Err(OutOfTable),
        }
    }
}

struct Reading<'a> {
    layout: Layout,
    lanes: &'a Lanes,
    index: &'a [i32],
    moment: Moment<'a>,
    has_biases: bool,
    rows: SharedRows<'a, Block>,
    clocks: SharedRows<'a, i32>,
    values: SharedRows<'a, f32>,
    biases: SharedRows<'a, f32>,
}

struct Learning<'a> {
    layout: Layout,
    lanes: &'a Lanes,
    groups: &'a Groups,
    slopes: Slopes<'a>,
    settings: Settings,
    now: i32,
    rows: SharedRows<'a, Block>,
    clocks: SharedRows<'a, i32>,
}

per_level! {
    fn read_rows(reading: &Reading<'_>, piece: u32, n_pieces: u32) = read_rows_body;
    fn learn_rows(learning: &Learning<'_>, from: usize, to: usize) = learn_rows_body;
}

#[inline(always)]
fn read_rows_body(reading: &Reading<'_>, piece: u32, n_pieces: u32) {
    let Reading { layout, lanes, moment, .. } = reading;
    // Neighbours go to different pieces: rows of low number may be the frequent ones.
    let piece_of = |row: i32| (u64::from((row as u32).wrapping_mul(0x9e37_79b1)) * u64::from(n_pieces)) >> 32;
    let is_own = |row: i32| piece_of(row) == u64::from(piece);
    for (sample, row) in reading.index.iter().enumerate() {
        if let Some(ahead) = reading.index.get(sample + AHEAD).filter(|ahead| is_own(**ahead)) {
            reading.rows.prefetch(*ahead as usize, layout.row_blocks());
        }
        if !is_own(*row) {
            continue;
        }
        let row = *row as usize;
        // SAFETY: `Table::check` has found all rows inside the table, and a place for each sample; a row and its samples belong
        // to one piece.
        let (blocks, clock) = unsafe { (reading.rows.row_mut(row), &mut reading.clocks.row_mut(row)[0]) };
        let missed = missed_since(*clock, moment.settings, moment.history, moment.now);
        catch_up(blocks, layout.memory, lanes, moment.settings, missed);
        *clock = moment.now - 1;
        let parameters = blocks[..layout.blocks()].as_flattened();
        // SAFETY: as above.
        unsafe { reading.values.row_mut(sample) }.copy_from_slice(&parameters[..layout.width]);
        if reading.has_biases {
            // SAFETY: as above.
            let bias = unsafe { reading.biases.row_mut(sample) };
            bias[0] = parameters[layout.bias_lane(Side::User)];
        }
    }
}

#[inline(always)]
fn learn_rows_body(learning: &Learning<'_>, from: usize, to: usize) {
    let Learning { layout, lanes, groups, slopes, .. } = learning;
    let mut gradient = vec![[0.0; LANES]; layout.blocks()];
    for place in from..to {
        if let Some(ahead) = groups.rows.get(place + AHEAD) {
            learning.rows.prefetch(*ahead as usize, layout.row_blocks());
        }
        gradient.fill([0.0; LANES]);
        let sums = gradient.as_flattened_mut();
        for at in groups.starts[place] as usize..groups.starts[place + 1] as usize {
            if let Some(ahead) = groups.samples.get(at + AHEAD) {
                let first = slopes.values.as_ptr().wrapping_add(*ahead as usize * layout.width);
                (0..layout.width).step_by(LANES).for_each(|column| prefetch(first.wrapping_add(column)));
            }
            let sample = groups.samples[at] as usize;
            let values = &slopes.values[sample * layout.width..][..layout.width];
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value;
            }
            if let Some(bias) = slopes.biases.get(sample) {
                sums[layout.bias_lane(Side::User)] += bias;
            }
        }
        let row = groups.rows[place] as usize;
        // SAFETY: `Table::check` has found all rows inside the table; they are distinct, and each is in one piece.
        let (blocks, clock) = unsafe { (learning.rows.row_mut(row), &mut learning.clocks.row_mut(row)[0]) };
        update(blocks, &gradient, layout.memory, lanes, &learning.settings);
        *clock = learning.now;
    }
}
