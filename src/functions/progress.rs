//! A line about a long training, for whoever sits at a terminal.

use std::io::{IsTerminal, Write, stderr};

use crate::train::EpochReport;

/// Trainings shorter than this, in seconds, need no line.
const PATIENCE: f64 = 2.0;

/// Shows epochs on stderr when that is a terminal and the host shows progress itself, and nowhere else.
pub struct Progress {
    is_shown: bool,
    epochs: u32,
    n_ratings: usize,
    seconds: f64,
}

impl Progress {
    /// Progress of `epochs` passes over `n_ratings` ratings.
    pub fn new(is_wanted: bool, epochs: u32, n_ratings: usize) -> Self {
        Self { is_shown: is_wanted && stderr().is_terminal(), epochs, n_ratings, seconds: 0.0 }
    }

    /// Shows that an epoch is done.
    pub fn show(&mut self, report: &EpochReport) {
        self.seconds += report.seconds;
        if !self.is_shown || self.seconds < PATIENCE {
            return;
        }
        let done = f64::from(report.epoch);
        let left = self.seconds / done * (f64::from(self.epochs) - done);
        let speed = self.n_ratings as f64 * done / self.seconds;
        // A terminal that is gone is no reason to stop training.
        let _ = write!(
            stderr(),
            "\r\x1b[Kcofi: epoch {} of {}, {speed:.0} ratings a second, {left:.0} s left",
            report.epoch,
            self.epochs
        );
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if self.is_shown && self.seconds >= PATIENCE {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
