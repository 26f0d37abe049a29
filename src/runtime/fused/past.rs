//! What rows that missed steps need to know of them, as the program keeps it.

use crate::kernels::factorisation::{History, Moment, Reach, Settings};

/// Where every row moves: the number of steps after which all rows are brought up to date and the count begins again, so that no
/// row has more than that to make up for and what it needs to know of the steps fits the cache.
pub const SETTLE_AFTER: i32 = 256;

/// What was in the steps so far, as rows that missed some need it.
pub struct Past {
    reach: Reach,
    /// Steps since the rows were last settled.
    steps: i32,
    /// Settings of each step, or the sums of the logarithms of the decay with 0 in front.
    numbers: Vec<f32>,
    last: Settings,
}

impl Past {
    /// Nothing yet.
    pub fn new(reach: Reach) -> Self {
        let numbers = match reach {
            Reach::EveryRow => vec![0.0; SETTLE_AFTER as usize * Settings::LEN],
            Reach::BatchRows => vec![0.0],
        };
        Self { reach, steps: 0, numbers, last: Settings::default() }
    }

    /// Takes down a step that is about to run; returns its number.
    pub fn begin(&mut self, settings: &Settings) -> i32 {
        match self.reach {
            Reach::EveryRow => {
                let place = self.steps as usize * Settings::LEN;
                self.numbers[place..place + Settings::LEN].copy_from_slice(settings.numbers());
            }
            Reach::BatchRows => self.numbers.push(settings.log_decay_now),
        }
        self.last = *settings;
        self.steps += 1;
        self.steps
    }

    /// What rows need to know of the steps: for every row the settings of each, for rows of batches the sums of the logarithms. Also
    /// how many of these numbers were there before the present step, which began last.
    pub fn past(&self) -> (&[f32], usize) {
        let known = match self.reach {
            Reach::EveryRow => (self.steps as usize - 1) * Settings::LEN,
            Reach::BatchRows => self.numbers.len() - 1,
        };
        (&self.numbers, known)
    }

    /// After step `now`, in which the operator may have settled all rows.
    pub fn end(&mut self, now: i32) {
        if self.reach == Reach::EveryRow && now == SETTLE_AFTER {
            self.steps = 0;
        }
    }

    /// The sum of the logarithms of the decay until a row's clock.
    pub fn log_decay(&self, clock: i32) -> f32 {
        self.numbers.get(clock as usize).copied().unwrap_or(0.0)
    }

    /// What rows may still have to make up for, where states are the tables as every step left them.
    pub fn unsettled(&self) -> Option<Moment<'_>> {
        if self.reach == Reach::BatchRows {
            return None;
        }
        let steps = &Settings::each_of(&self.numbers)[..self.steps as usize];
        Some(Moment { settings: &self.last, history: History::Steps(steps), now: self.steps })
    }
}
