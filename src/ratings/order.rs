//! The order of an epoch in a form that is short where ratings are many: for who keeps the ratings elsewhere and works it out there.

use super::Ratings;
use super::batch::RUN;
use crate::rng::Rng;

/// Shuffles training ratings that stay where they are: every epoch has all of them once, in a new order.
///
/// Ratings in order are all shuffled, as [`Batches`](super::Batches) shuffles them: the same generator gives the same order. Ratings that
/// were dealt when they were read are taken in runs of 64 neighbours. An epoch draws an order of the runs, and for each run the rating that
/// comes first; then it goes 64 times over the runs, and takes of each the next rating, the first one after the last. So every rating of a run is as
/// likely at any place, neighbours are as far apart as there are runs, and the numbers drawn are a 32nd of the ratings. The loss goes down
/// as with a full shuffle (`curve/tests.rs`). Up to 63 ratings, which fill no run, are the last of every epoch, in their own order.
#[derive(Debug)]
pub struct EpochOrder {
    n_ratings: usize,
    /// Whether pieces are runs, not ratings.
    in_runs: bool,
    rng: Rng,
    pieces: Vec<u32>,
    /// The first rating of each piece.
    starts: Vec<i32>,
    /// Which rating of each run comes first; of ratings empty.
    offsets: Vec<i32>,
}

/// Which rating is at which place.
#[derive(Clone, Copy, Debug)]
pub enum Places<'a> {
    /// The rating at each place.
    Rows(&'a [i32]),
    /// With `R` runs place `p` has, with `r = p % R`, the rating `starts[r] + (offsets[r] + p / R) % length`; places behind `R length` have
    /// the rating of the same number.
    Runs {
        /// `[R]`: the first rating of each run.
        starts: &'a [i32],
        /// `[R]`: which of its ratings comes first.
        offsets: &'a [i32],
        /// Ratings of a run.
        length: usize,
    },
}

impl EpochOrder {
    /// Of fewer than 2^31 ratings; none is shuffled yet.
    pub fn new(train: &Ratings, rng: Rng) -> Self {
        let in_runs = train.is_dealt && train.len() >= RUN;
        let n_pieces = if in_runs { train.len() / RUN } else { train.len() };
        let pieces = (0..n_pieces as u32).collect();
        Self { n_ratings: train.len(), in_runs, rng, pieces, starts: Vec::new(), offsets: Vec::new() }
    }

    /// How many ratings there are.
    pub fn n_ratings(&self) -> usize {
        self.n_ratings
    }

    /// Begins an epoch.
    pub fn shuffle(&mut self) {
        let Self { in_runs, rng, pieces, starts, offsets, .. } = self;
        rng.shuffle(pieces);
        let length = if *in_runs { RUN } else { 1 };
        starts.clear();
        starts.extend(pieces.iter().map(|piece| (*piece as usize * length) as i32));
        if *in_runs {
            offsets.clear();
            offsets.extend(pieces.iter().map(|_| rng.below(RUN as u32) as i32));
        }
    }

    /// The order of the epoch that was begun last; empty before the first.
    pub fn places(&self) -> Places<'_> {
        match self.in_runs {
            true => Places::Runs { starts: &self.starts, offsets: &self.offsets, length: RUN },
            false => Places::Rows(&self.starts),
        }
    }
}

impl Places<'_> {
    /// The rating at a place.
    pub fn rating(&self, place: usize) -> usize {
        match self {
            Self::Rows(rows) => rows.get(place).map_or(place, |row| *row as usize),
            Self::Runs { starts, offsets, length } => {
                let (round, run) = (place.checked_div(starts.len()), place.checked_rem(starts.len()));
                match (round, run.and_then(|run| starts.get(run).zip(offsets.get(run)))) {
                    (Some(round), Some((start, offset))) if round < *length => {
                        *start as usize + (*offset as usize + round) % length
                    }
                    _ => place,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(n: u32, is_dealt: bool) -> Ratings {
        let mut ratings = Ratings { is_dealt, ..Ratings::default() };
        (0..n).for_each(|row| ratings.push(row, row, row as f32, 1.0));
        ratings
    }

    fn epoch(order: &mut EpochOrder) -> Vec<usize> {
        order.shuffle();
        (0..order.n_ratings()).map(|place| order.places().rating(place)).collect()
    }

    #[test]
    fn an_epoch_has_every_rating_once_in_a_new_order() {
        for n in [0, 1, 63, 64, 65, 127, 128, 1_000, 64 * 64, 70_001] {
            for is_dealt in [false, true] {
                let mut order = EpochOrder::new(&dealt(n, is_dealt), Rng::new(3));
                let (first, second) = (epoch(&mut order), epoch(&mut order));
                assert!(n < 63 || first != second, "{n}");
                for mut places in [first, second] {
                    places.sort_unstable();
                    assert!(places.into_iter().eq(0..n as usize), "{n}");
                }
            }
        }
    }

    #[test]
    fn neighbours_of_a_run_never_meet_in_a_batch() {
        let n = 100 * RUN as u32 + 7;
        let places = epoch(&mut EpochOrder::new(&dealt(n, true), Rng::new(5)));
        for batch in places[..100 * RUN].windows(100) {
            let mut runs: Vec<usize> = batch.iter().map(|rating| rating / RUN).collect();
            runs.sort_unstable();
            runs.dedup();
            assert_eq!(runs.len(), 100);
        }
        assert!(places[100 * RUN..].iter().copied().eq(100 * RUN..n as usize));
    }

    #[test]
    fn a_rating_is_as_likely_in_every_round() {
        let mut order = EpochOrder::new(&dealt(64 * 64, true), Rng::new(6));
        let mut rounds = [0u32; RUN];
        for _ in 0..6_400 {
            let places = epoch(&mut order);
            let place = places.iter().position(|rating| *rating == 1_234).unwrap();
            rounds[place / 64] += 1;
        }
        // 100 each; the sum of squares over 100 is chi-squared with 63 degrees of freedom, of deviation 11.2.
        let squares: f64 = rounds.iter().map(|n| (f64::from(*n) - 100.0).powi(2) / 100.0).sum();
        assert!((squares - 63.0).abs() < 5.0 * 11.2, "{squares}");
    }

    #[test]
    fn a_seed_gives_the_same_order_and_another_seed_another() {
        let order = |seed| epoch(&mut EpochOrder::new(&dealt(500, true), Rng::new(seed)));
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
