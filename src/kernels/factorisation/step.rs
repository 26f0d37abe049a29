//! The step, cut into pieces that threads can share.

use super::classes::{self, Classes};
use super::layout::{Block, Layout, Side};
use super::loss::{Loss, ranged};
use super::rule::{History, Lanes, Missed, Settings, catch_up, missed, missed_since, update};
use super::samples::{Samples, item_gradient, judge, sum_up, total_cost, user_gradient};
use crate::kernels::level::per_level;
use crate::kernels::memory::SharedRows;
use crate::kernels::{Groups, LANES, Level, Pool};

/// Pieces of work a thread: so that none waits long for another.
pub(super) const PIECES: usize = 4;
/// The samples below which a second thread costs more than it helps.
pub(super) const SAMPLES_PER_THREAD: usize = 512;
/// How many rows ahead of their use rows are asked for.
pub(super) const AHEAD: usize = 12;

/// What is the same for all steps of a training, and the room that a step needs besides its rows: per sample of a batch about 30
/// bytes, and a plane of parameters for each of its users.
pub struct Step {
    level: Level,
    layout: Layout,
    loss: Loss,
    /// The constant `mu` of the sum.
    mu: f32,
    /// Width and lowest value of the scores, where a sigmoid keeps them in a range.
    range: Option<(f32, f32)>,
    user_lanes: Lanes,
    item_lanes: Lanes,
    class_lanes: [Lanes; 2],
    users: Groups,
    items: Groups,
    /// The parameters of each user of the batch before the update.
    before: Vec<Block>,
    /// Where in `before` the user of each sample is: `[B]`.
    slots: Vec<u32>,
    costs: Vec<f32>,
    slopes: Vec<f32>,
    sums: Vec<f32>,
}

/// What a training owns.
pub struct State<'a> {
    /// [`Layout::len`] numbers in blocks.
    pub rows: &'a mut [Block],
    /// The number of the last step that each row took part in: `[U + I]`.
    pub clocks: &'a mut [i32],
    /// Of a classifier: a row for the weights and one for the offsets of the classes, with planes as the rows of users have;
    /// each plane is filled up to whole blocks.
    pub classes: &'a mut [Block],
}

/// Ratings to learn from: `B` of each.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Rows of users.
    pub users: &'a [i32],
    /// Rows of items, counted from the first item.
    pub items: &'a [i32],
    /// The ratings.
    pub ratings: &'a [f32],
    /// The classes, where the loss wants them in place of ratings.
    pub classes: &'a [i32],
    /// What each counts; empty where all count 1.
    pub weights: &'a [f32],
    /// What the cost of each is multiplied by: `1 / B` for a mean.
    pub share: f32,
}

/// A row number that the tables do not have, or lengths that do not fit; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfTable;

impl Step {
    /// A step of a model with these constants; `biases` says for users and items whether they are learned, `penalty` is what a
    /// parameter's own value adds to its gradient.
    pub fn new(
        level: Level,
        layout: Layout,
        loss: Loss,
        (mu, range): (f32, Option<(f32, f32)>),
        biases: [bool; 2],
        penalty: f32,
    ) -> Self {
        let n_classes = match loss {
            Loss::CrossEntropy(n_classes) => n_classes,
            Loss::SquaredError => 0,
        };
        Self {
            level,
            layout,
            loss,
            mu,
            range,
            user_lanes: Lanes::new(&layout, Side::User, biases[0], penalty),
            item_lanes: Lanes::new(&layout, Side::Item, biases[1], penalty),
            class_lanes: [Lanes::plain(n_classes, true, penalty), Lanes::plain(n_classes, false, penalty)],
            users: Groups::default(),
            items: Groups::default(),
            before: Vec::new(),
            slots: Vec::new(),
            costs: Vec::new(),
            slopes: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// Learns from a batch in step number `now`, counted from 1 since the clocks were 0; returns the loss before that.
    ///
    /// # Errors
    /// A row or class that is not there, a clock that is not before `now`, lengths that do not fit: nothing was changed.
    pub fn run(
        &mut self,
        state: &mut State<'_>,
        batch: Batch<'_>,
        settings: &Settings,
        history: History<'_>,
        now: i32,
        pool: &dyn Pool,
    ) -> Result<f32, OutOfTable> {
        self.check(state, &batch, history, now)?;
        let Self { level, layout, .. } = *self;
        let n_samples = batch.users.len();
        self.group(&batch, state.clocks, now, pool)?;
        self.before.resize(self.users.rows.len() * layout.blocks(), [0.0; LANES]);
        self.slots.resize(n_samples, 0);
        self.costs.resize(n_samples, 0.0);
        self.slopes.resize(n_samples, 0.0);
        self.sums.resize(n_samples, 0.0);
        let Self { before, slots, costs, slopes, sums, .. } = self;
        let samples = Samples {
            layout,
            mu: self.mu,
            range: self.range,
            classes: Classes::of(self.loss, state.classes),
            batch,
            rows: SharedRows::new(state.rows, layout.row_blocks()),
            clocks: SharedRows::new(state.clocks, 1),
            before: SharedRows::new(before, layout.blocks()),
            slots: SharedRows::new(slots, 1),
            costs: SharedRows::new(costs, 1),
            slopes: SharedRows::new(slopes, 1),
            sums: SharedRows::new(sums, 1),
            settings: *settings,
            history,
            now,
        };
        let n_pieces = if n_samples < 2 * SAMPLES_PER_THREAD { 1 } else { PIECES * pool.threads() };
        let (item_cuts, user_cuts) = (self.items.cut(n_pieces), self.users.cut(n_pieces));
        let (items, users) = (&self.items, &self.users);
        let (item_lanes, user_lanes) = (&self.item_lanes, &self.user_lanes);
        pool.for_each(n_pieces, &|piece| {
            catch_up_items(level, &samples, item_lanes, items, item_cuts[piece], item_cuts[piece + 1]);
        });
        pool.for_most(n_pieces, &|piece| {
            pass_users(level, &samples, user_lanes, users, user_cuts[piece], user_cuts[piece + 1]);
        });
        pool.for_each(n_pieces, &|piece| {
            update_items(level, &samples, item_lanes, items, item_cuts[piece], item_cuts[piece + 1]);
        });
        let total = total_cost(&self.costs);
        if let Loss::CrossEntropy(n_classes) = self.loss {
            let mut scores = vec![0.0; n_samples];
            for (sample, sum) in self.users.samples.iter().zip(&self.sums) {
                scores[*sample as usize] = ranged(*sum, self.range).0;
            }
            classes::learn(
                level,
                state.classes,
                n_classes,
                &scores,
                &batch,
                &self.class_lanes,
                layout.memory,
                settings,
            );
        }
        Ok((total * f64::from(batch.share)) as f32)
    }

    /// Brings a copy of row `index` up to date with `now` steps, of which `history` has all.
    ///
    /// # Panics
    /// A clock that is beyond them.
    pub fn settle_copy(
        &self,
        row: &mut [Block],
        index: usize,
        clock: i32,
        settings: &Settings,
        history: History<'_>,
        now: i32,
    ) {
        let lanes = if index < self.layout.n_users { &self.user_lanes } else { &self.item_lanes };
        settle(self.level, row, self.layout, lanes, settings, history, clock, now + 1);
    }

    /// Brings all rows up to date with `now` steps, of which `history` has all, and sets their clocks to 0.
    ///
    /// # Panics
    /// A clock that is beyond them.
    pub fn settle_all(
        &self,
        state: &mut State<'_>,
        settings: &Settings,
        history: History<'_>,
        now: i32,
        pool: &dyn Pool,
    ) {
        settle_each(state.rows, state.clocks, self.layout.row_blocks(), pool, &|row, index, clock| {
            self.settle_copy(row, index, clock, settings, history, now);
        });
    }

    /// Groups the samples, and checks the rows that there are.
    fn group(&mut self, batch: &Batch<'_>, clocks: &[i32], now: i32, pool: &dyn Pool) -> Result<(), OutOfTable> {
        let (of_users, of_items) = clocks.split_at(self.layout.n_users);
        let mut sides =
            [(&mut self.users, batch.users, of_users, false), (&mut self.items, batch.items, of_items, false)];
        let both = SharedRows::new(&mut sides, 1);
        let fill = |side: usize| {
            // SAFETY: there are two, and each piece has its own.
            let (groups, rows, clocks, fits) = unsafe { &mut both.row_mut(side)[0] };
            groups.fill(rows);
            // Rows ascend, and without its sign a negative one is beyond all others.
            let is_past = |row: &u32| (0..now).contains(&clocks[*row as usize]);
            *fits =
                groups.rows.last().is_none_or(|row| (*row as usize) < clocks.len()) && groups.rows.iter().all(is_past);
        };
        match batch.users.len() < 2 * SAMPLES_PER_THREAD {
            true => (0..2).for_each(fill),
            false => pool.for_each(2, &fill),
        }
        match sides.iter().all(|(.., fits)| *fits) {
            true => Ok(()),
            false => Err(OutOfTable),
        }
    }

    /// Checks all but the rows.
    fn check(&self, state: &State<'_>, batch: &Batch<'_>, history: History<'_>, now: i32) -> Result<(), OutOfTable> {
        let layout = &self.layout;
        let n = batch.users.len();
        let is_class = |class: &i32, n_classes: usize| usize::try_from(*class).is_ok_and(|class| class < n_classes);
        let n_steps = match history {
            History::Steps(steps) => steps.len() + 1,
            History::LogDecays(logs) => logs.len(),
        };
        let (targets, has_classes) = match self.loss {
            Loss::SquaredError => (batch.ratings.len(), true),
            Loss::CrossEntropy(n_classes) => {
                let blocks = n_classes.div_ceil(LANES) * layout.planes() * 2;
                let are_classes = batch.classes.iter().all(|class| is_class(class, n_classes));
                (batch.classes.len(), are_classes && state.classes.len() == blocks)
            }
        };
        let fits = state.rows.len() == layout.n_rows() * layout.row_blocks()
            && state.clocks.len() == layout.n_rows()
            && batch.items.len() == n
            && targets == n
            && (batch.weights.is_empty() || batch.weights.len() == n)
            && has_classes
            && now >= 1
            && n_steps == now as usize;
        match fits {
            true => Ok(()),
            false => Err(OutOfTable),
        }
    }
}

/// Gives every row with its number and clock to `settle`, and sets its clock to 0.
pub(super) fn settle_each(
    rows: &mut [Block],
    clocks: &mut [i32],
    row_blocks: usize,
    pool: &dyn Pool,
    settle: &(dyn Fn(&mut [Block], usize, i32) + Sync),
) {
    const ROWS: usize = 256;
    let mut rows: Vec<_> = rows.chunks_mut(ROWS * row_blocks).zip(clocks.chunks_mut(ROWS)).collect();
    let pieces = SharedRows::new(&mut rows, 1);
    pool.for_each(pieces.len(), &|piece| {
        // SAFETY: below the number of pieces; each is called for once.
        let (rows, clocks) = unsafe { &mut pieces.row_mut(piece)[0] };
        for (place, (row, clock)) in rows.chunks_exact_mut(row_blocks).zip(clocks.iter_mut()).enumerate() {
            settle(row, piece * ROWS + place, *clock);
            *clock = 0;
        }
    });
}

per_level! {
    fn catch_up_items(samples: &Samples<'_>, lanes: &Lanes, items: &Groups, from: usize, to: usize) = catch_up_items_body;
    fn pass_users(samples: &Samples<'_>, lanes: &Lanes, users: &Groups, from: usize, to: usize) = pass_users_body;
    fn update_items(samples: &Samples<'_>, lanes: &Lanes, items: &Groups, from: usize, to: usize) = update_items_body;
    pub(super) fn settle(row: &mut [Block], layout: Layout, lanes: &Lanes, settings: &Settings, history: History<'_>, clock: i32, now: i32)
        = settle_body;
}

#[inline(always)]
fn settle_body(
    row: &mut [Block],
    layout: Layout,
    lanes: &Lanes,
    settings: &Settings,
    history: History<'_>,
    clock: i32,
    now: i32,
) {
    catch_up(row, layout.memory, lanes, settings, missed_since(clock, settings, history, now));
}

/// What the rows of up to so many places from `from` missed; `first` is the first row of the side.
///
/// # Safety
/// The places are those of one piece of a side, and nobody writes to its clocks meanwhile.
#[inline(always)]
unsafe fn missed_by<'a>(samples: &Samples<'a>, rows: &[u32], first: usize) -> [Missed<'a>; LANES] {
    let mut clocks = [samples.now - 1; LANES];
    for (clock, row) in clocks.iter_mut().zip(rows) {
        // SAFETY: `Step::check` has found all rows inside the tables; the caller's promise for the rest.
        *clock = unsafe { samples.clocks.row(first + *row as usize)[0] };
    }
    missed(&clocks, &samples.settings, samples.history, samples.now)
}

#[inline(always)]
fn catch_up_items_body(samples: &Samples<'_>, lanes: &Lanes, items: &Groups, from: usize, to: usize) {
    let first = samples.layout.n_users;
    for start in (from..to).step_by(LANES) {
        let end = to.min(start + LANES);
        // SAFETY: these rows are of this piece.
        let missed = unsafe { missed_by(samples, &items.rows[start..end], first) };
        for (place, missed) in (start..end).zip(missed) {
            if let Some(ahead) = items.rows.get(place + AHEAD) {
                samples.rows.prefetch(first + *ahead as usize, samples.layout.row_blocks());
            }
            let row = first + items.rows[place] as usize;
            // SAFETY: `Step::check` has found all rows inside the tables; rows are distinct, and each is in one piece.
            let blocks = unsafe { samples.rows.row_mut(row) };
            catch_up(blocks, samples.layout.memory, lanes, &samples.settings, missed);
        }
    }
}

#[inline(always)]
fn pass_users_body(samples: &Samples<'_>, lanes: &Lanes, users: &Groups, from: usize, to: usize) {
    let mut gradient = vec![[0.0; LANES]; samples.layout.blocks()];
    for start in (from..to).step_by(LANES) {
        let end = to.min(start + LANES);
        // Each stage goes over all these rows, so that no row waits for another's roots and quotients.
        // SAFETY: these rows are of this piece.
        let missed = unsafe { missed_by(samples, &users.rows[start..end], 0) };
        for (place, missed) in (start..end).zip(missed) {
            if let Some(ahead) = users.rows.get(place + AHEAD) {
                samples.rows.prefetch(*ahead as usize, samples.layout.row_blocks());
            }
            // SAFETY: as in `catch_up_items_body`; nobody reads rows of users beside their own piece.
            let row = unsafe { samples.rows.row_mut(users.rows[place] as usize) };
            catch_up(row, samples.layout.memory, lanes, &samples.settings, missed);
            sum_up(samples, users, place, row);
        }
        judge(samples, users, users.starts[start] as usize..users.starts[end] as usize);
        for place in start..end {
            user_gradient(samples, users, place, &mut gradient);
            let row = users.rows[place] as usize;
            // SAFETY: as above.
            let (blocks, clock) = unsafe { (samples.rows.row_mut(row), samples.clocks.row_mut(row)) };
            update(blocks, &gradient, samples.layout.memory, lanes, &samples.settings);
            clock[0] = samples.now;
        }
    }
}

#[inline(always)]
fn update_items_body(samples: &Samples<'_>, lanes: &Lanes, items: &Groups, from: usize, to: usize) {
    let first = samples.layout.n_users;
    let mut gradient = vec![[0.0; LANES]; samples.layout.blocks()];
    for place in from..to {
        if let Some(ahead) = items.rows.get(place + AHEAD) {
            samples.rows.prefetch(first + *ahead as usize, samples.layout.row_blocks());
        }
        let row = first + items.rows[place] as usize;
        item_gradient(samples, items, place, &mut gradient);
        // SAFETY: as in `catch_up_items_body`; the users' pass, which reads items, is over.
        let (blocks, clock) = unsafe { (samples.rows.row_mut(row), samples.clocks.row_mut(row)) };
        update(blocks, &gradient, samples.layout.memory, lanes, &samples.settings);
        clock[0] = samples.now;
    }
}
