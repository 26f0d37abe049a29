//! What a training step is fed: a batch in parts, with everything that depends on the step's number.

use std::slice;

use crate::error::Result;
use crate::graph::optimiser::{Clock, KEEP, Optimiser, RowTable};
use crate::graph::{Blocks, Feed, FeedValues, Other, Program, Resident};
use crate::model::{
    Architecture, CLASS, DATA_SHARE, ITEM, Model, Objective, PENALTY_SHARE, RATING, StepOptions, USER, WEIGHT,
};
use crate::ratings::{Batch, Ratings, Round, WorkingScale, class_of};
use crate::rng::Rng;
use crate::train::schedule::StepSettings;

/// Runs batches through a compiled step.
pub(super) struct Feeder {
    optimiser: Optimiser,
    tables: Vec<RowTable>,
    clock: Clock,
    objective: Objective,
    options: StepOptions,
    /// Parts in which a batch is run.
    n_parts: usize,
    /// The classes of a classifier, ascending.
    levels: Vec<f32>,
    masks: Masks,
    /// The classes of one part.
    classes: Vec<i32>,
}

impl Feeder {
    /// A feeder for steps of `model`.
    pub(super) fn new(
        model: &Model,
        optimiser: &Optimiser,
        options: StepOptions,
        n_parts: usize,
        levels: Vec<f32>,
        rng: Rng,
    ) -> Self {
        let masks = match &model.architecture {
            Architecture::Dot => Masks { share: 0.0, inputs: Vec::new(), values: Vec::new(), rng },
            Architecture::Mlp(mlp) => {
                let inputs = mlp.mask_inputs();
                Masks { share: mlp.dropout, values: vec![Vec::new(); inputs.len()], inputs, rng }
            }
        };
        Self {
            optimiser: *optimiser,
            tables: model.tables(),
            clock: Clock::default(),
            objective: model.objective,
            options,
            n_parts,
            levels,
            masks,
            classes: Vec::new(),
        }
    }

    /// Learns from one batch, and calls `other` meanwhile; returns the loss of the batch before that.
    ///
    /// # Errors
    /// A failure of the engine.
    pub(super) fn step(
        &mut self,
        program: &mut dyn Program,
        batch: Batch<'_>,
        settings: StepSettings,
        other: Other<'_>,
    ) -> Result<f64> {
        let n_rows = batch.ratings.len();
        let part_size = n_rows.div_ceil(self.n_parts).max(1);
        let last_scalars = self.optimiser.advance(&mut self.clock, settings.learning_rate, settings.beta1);
        let mut loss = 0.0;
        for start in (0..n_rows).step_by(part_size) {
            let rows = start..n_rows.min(start + part_size);
            let is_last = rows.end == n_rows;
            let mut scalars = if is_last { last_scalars.clone() } else { self.optimiser.idle_scalars() };
            if self.options.accumulates {
                let n_parts = n_rows.div_ceil(part_size);
                scalars.push((KEEP, if is_last { 0.0 } else { 1.0 }));
                scalars.push((DATA_SHARE, self.data_share(rows.len(), n_rows)));
                if self.options.l2 > 0.0 {
                    scalars.push((PENALTY_SHARE, 1.0 / n_parts as f32));
                }
            }
            let indices = |name, values| Feed { name, values: FeedValues::Indices(values) };
            let mut feeds = vec![indices(USER, &batch.users[rows.clone()]), indices(ITEM, &batch.items[rows.clone()])];
            match self.objective {
                Objective::CrossEntropy { .. } => {
                    let mut classes = std::mem::take(&mut self.classes);
                    classes.clear();
                    classes.extend(batch.values[rows.clone()].iter().map(|value| self.class(*value)));
                    self.classes = classes;
                    feeds.push(indices(CLASS, &self.classes));
                }
                Objective::MeanSquaredError | Objective::HalfSquaredSum => {
                    feeds.push(floats(RATING, &batch.ratings[rows.clone()]));
                }
            }
            if self.options.is_weighted {
                feeds.push(floats(WEIGHT, &batch.weights[rows.clone()]));
            }
            self.masks.draw(rows.len());
            feeds.extend(self.masks.feeds());
            feeds.extend(scalars.iter().map(|(name, value)| floats(name, std::slice::from_ref(value))));
            loss += f64::from(match is_last {
                true => program.step_beside(&feeds, other)?,
                false => program.step(&feeds)?,
            });
        }
        Ok(loss)
    }

    /// How many times the loss of `n_rows` ratings is in the sum of their losses.
    pub(super) fn n_counted(&self, n_rows: usize) -> f64 {
        match self.objective {
            Objective::HalfSquaredSum => 1.0,
            Objective::MeanSquaredError | Objective::CrossEntropy { .. } => n_rows as f64,
        }
    }

    /// Has a program keep the training ratings, for [`steps`](Self::steps).
    ///
    /// # Errors
    /// A failure of the engine.
    pub(super) fn keep(&self, resident: &mut dyn Resident, train: &Ratings, scale: WorkingScale) -> Result<()> {
        // Indices are below 2^31 - 1, as the vocabularies give out no others.
        let rows = |rows: &[u32]| rows.iter().map(|row| *row as i32).collect::<Vec<_>>();
        let (users, items) = (rows(train.users()), rows(train.items()));
        let (mut ratings, mut classes) = (Vec::new(), Vec::new());
        let indices = |name, values| Feed { name, values: FeedValues::Indices(values) };
        let mut columns = vec![indices(USER, &users), indices(ITEM, &items)];
        columns.push(match self.objective {
            Objective::CrossEntropy { .. } => {
                classes.extend(train.values().iter().map(|value| self.class(*value)));
                indices(CLASS, &classes)
            }
            Objective::MeanSquaredError | Objective::HalfSquaredSum => {
                ratings.extend(train.values().iter().map(|value| scale.apply(*value)));
                floats(RATING, &ratings)
            }
        });
        if let Some(weights) = train.weights().filter(|_| self.options.is_weighted) {
            columns.push(floats(WEIGHT, weights));
        }
        resident.keep(&columns)
    }

    /// Learns from `n_steps` batches of ratings that are kept, from a place of their order on, with settings for each; adds the losses of
    /// all these ratings, each before its step, to `sum`, one batch after the other: so it does not depend on how many there are a call.
    ///
    /// # Errors
    /// A failure of the engine.
    pub(super) fn steps(
        &mut self,
        resident: &mut dyn Resident,
        start: usize,
        batch: usize,
        n_steps: usize,
        settings: &mut dyn FnMut() -> StepSettings,
        sum: &mut f64,
    ) -> Result<()> {
        let mut lists: Vec<(&str, Vec<f32>)> = Vec::new();
        for _ in 0..n_steps {
            let StepSettings { learning_rate, beta1 } = settings();
            for (name, value) in self.optimiser.advance(&mut self.clock, learning_rate, beta1) {
                match lists.iter_mut().find(|(other, _)| *other == name) {
                    Some((_, list)) => list.push(value),
                    None => lists.push((name, vec![value])),
                }
            }
        }
        let scalars: Vec<Feed<'_>> = lists.iter().map(|(name, list)| floats(name, list)).collect();
        let losses = resident.steps(start, batch, &scalars)?;
        losses.into_iter().for_each(|loss| *sum += f64::from(loss) * self.n_counted(batch));
        Ok(())
    }

    fn class(&self, value: f32) -> i32 {
        // Every training rating is one of the levels.
        class_of(&self.levels, value).unwrap_or(0) as i32
    }

    /// Learns from each rating of a batch in turn; returns the sum of their losses, each before that.
    ///
    /// # Errors
    /// A failure of the engine.
    pub(super) fn singles(
        &mut self,
        program: &mut dyn Program,
        batch: Batch<'_>,
        settings: StepSettings,
    ) -> Result<f64> {
        let Batch { users, items, ratings, weights, .. } = batch;
        let all = |rows: &[i32]| 0..rows.iter().max().map_or(0, |row| *row as u32 + 1);
        let (borders, user_rows, item_rows) = ([0, users.len()], all(users), all(items));
        let (user_rows, item_rows) = (slice::from_ref(&user_rows), slice::from_ref(&item_rows));
        let round = Round { users, items, ratings, weights, borders: &borders, user_rows, item_rows };
        self.round(program, &round, settings, &mut || {})
    }

    /// Learns from each rating of a round in turn, and calls `other` meanwhile; returns the sum of their losses, each before that.
    ///
    /// # Errors
    /// A failure of the engine.
    pub(super) fn round(
        &mut self,
        program: &mut dyn Program,
        round: &Round<'_>,
        settings: StepSettings,
        other: Other<'_>,
    ) -> Result<f64> {
        if round.users.is_empty() {
            return Ok(0.0);
        }
        let scalars = self.optimiser.advance(&mut self.clock, settings.learning_rate, settings.beta1);
        let indices = |name, values| Feed { name, values: FeedValues::Indices(values) };
        let mut feeds = vec![indices(USER, round.users), indices(ITEM, round.items), floats(RATING, round.ratings)];
        if self.options.is_weighted {
            feeds.push(floats(WEIGHT, round.weights));
        }
        feeds.extend(scalars.iter().map(|(name, value)| floats(name, std::slice::from_ref(value))));
        let rows = [(USER, round.user_rows), (ITEM, round.item_rows)];
        program.each_beside(&feeds, &Blocks { borders: round.borders, rows: &rows }, other).map(f64::from)
    }

    /// A state of the program that the feeder runs, all its rows as after the last step.
    ///
    /// # Errors
    /// An unknown name.
    pub(super) fn state(&self, program: &dyn Program, name: &str) -> Result<Vec<f32>> {
        match self.tables.iter().find(|table| table.name == name) {
            Some(table) => self.optimiser.settled(&self.clock, table, |name| program.state(name)),
            None => program.state(name),
        }
    }

    /// What the data's part of the loss of `n_rows` of `n_all` ratings counts in that of all.
    fn data_share(&self, n_rows: usize, n_all: usize) -> f32 {
        match self.objective {
            Objective::HalfSquaredSum => 1.0,
            Objective::MeanSquaredError | Objective::CrossEntropy { .. } => n_rows as f32 / n_all as f32,
        }
    }
}

/// Which hidden units a step leaves out.
struct Masks {
    /// The probability of being left out.
    share: f64,
    /// Names and widths.
    inputs: Vec<(String, usize)>,
    values: Vec<Vec<f32>>,
    rng: Rng,
}

impl Masks {
    /// New masks for `n_rows` ratings. What is kept is enlarged, so that the sum is what it would be without.
    fn draw(&mut self, n_rows: usize) {
        let kept = (1.0 / (1.0 - self.share)) as f32;
        for ((_, width), values) in self.inputs.iter().zip(&mut self.values) {
            values.clear();
            let draws = (0..n_rows * width).map(|_| if self.rng.uniform() < self.share { 0.0 } else { kept });
            values.extend(draws);
        }
    }

    fn feeds(&self) -> impl Iterator<Item = Feed<'_>> {
        self.inputs.iter().zip(&self.values).map(|((name, _), values)| floats(name, values))
    }
}

fn floats<'a>(name: &'a str, values: &'a [f32]) -> Feed<'a> {
    Feed { name, values: FeedValues::Floats(values) }
}
