//! The training ratings in blocks whose rows stay in cache, a round of blocks that share no rows at a time.
//!
//! Gemulla et al., Large-Scale Matrix Factorization with Distributed Stochastic Gradient Descent (2011), section 4.2: users and items
//! are cut into `P` stripes each, so ratings into `P^2` blocks, and the blocks of stripes `(i, (i + r) mod P)` share neither users nor
//! items.

use std::ops::Range;

use super::{Ratings, WorkingScale};
use crate::rng::Rng;

/// The most stripes. With 32, blocks of MovieLens 20M's shape keep to about a megabyte of rows of 50 factors.
const MOST_STRIPES: usize = 32;

/// The fewest ratings of a round on average: threads that share it then work for milliseconds between two times of waiting.
const RATINGS_PER_ROUND: usize = 1 << 16;

/// Deals out training ratings by blocks: every epoch all of them once, the rounds in a new order, and so the ratings of each block.
///
/// They are copied, block by block: 12 bytes a rating, 16 where ratings have weights.
#[derive(Debug)]
pub struct Rounds {
    rng: Rng,
    users: Vec<i32>,
    items: Vec<i32>,
    ratings: Vec<f32>,
    /// Empty where ratings have none.
    weights: Vec<f32>,
    /// Where each block starts, round by round, and where the last one ends: `[P^2 + 1]`.
    starts: Vec<usize>,
    /// The stripes of users, `[P]`.
    user_rows: Vec<Range<u32>>,
    /// The stripes of items, twice behind one another, so that those of each round are neighbours: `[2 P]`.
    item_rows: Vec<Range<u32>>,
    order: Vec<u32>,
    dealt: usize,
    /// Whether the round after those was shuffled ahead.
    is_ahead: bool,
    borders: Vec<usize>,
}

/// Ratings in `P` blocks that share neither users nor items, `B` of each.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// Rows of the users' tables.
    pub users: &'a [i32],
    /// Rows of the items' tables.
    pub items: &'a [i32],
    /// The ratings on the working scale.
    pub ratings: &'a [f32],
    /// Their weights, 1 on average over an epoch; empty where the ratings have none.
    pub weights: &'a [f32],
    /// Where each block starts, and where the last one ends: `[P + 1]`.
    pub borders: &'a [usize],
    /// The users that each block keeps to, `[P]`.
    pub user_rows: &'a [Range<u32>],
    /// The items that each block keeps to, `[P]`.
    pub item_rows: &'a [Range<u32>],
}

impl Rounds {
    /// Rounds of ratings of users below `n_users` for items below `n_items`. Into how many blocks they are cut depends on these sizes
    /// alone.
    pub fn new(train: &Ratings, n_users: usize, n_items: usize, scale: WorkingScale, rng: Rng) -> Self {
        let n_stripes = stripes_for(train.len(), n_users.min(n_items));
        let (user_rows, of_user) = stripes(train.users(), n_users, n_stripes);
        let (item_rows, of_item) = stripes(train.items(), n_items, n_stripes);
        // Block `i` of round `r` is of the stripes `i` and `i + r`.
        let block = |user: u32, item: u32| {
            let (i, j) = (usize::from(of_user[user as usize]), usize::from(of_item[item as usize]));
            (j + n_stripes - i) % n_stripes * n_stripes + i
        };
        let pairs = || train.users().iter().copied().zip(train.items().iter().copied());
        let starts = start_of_each(n_stripes * n_stripes, pairs().map(|(user, item)| block(user, item) as u32));
        let n = train.len();
        let (mut users, mut items, mut ratings) = (vec![0; n], vec![0; n], vec![0.0; n]);
        let mut weights = vec![0.0; train.weights().map_or(0, <[f32]>::len)];
        let mut next = starts.clone();
        for (row, (user, item)) in pairs().enumerate() {
            let place = next[block(user, item)];
            next[block(user, item)] += 1;
            // Indices are below 2^31 - 1, as the vocabularies give out no others.
            (users[place], items[place]) = (user as i32, item as i32);
            ratings[place] = scale.apply(train.values()[row]);
            if let Some(weight) = train.weights().and_then(|weights| weights.get(row)) {
                weights[place] = *weight;
            }
        }
        Self {
            rng,
            users,
            items,
            ratings,
            weights,
            starts,
            user_rows,
            item_rows: [item_rows.clone(), item_rows].concat(),
            order: (0..n_stripes as u32).collect(),
            dealt: n_stripes,
            is_ahead: false,
            borders: Vec::with_capacity(n_stripes + 1),
        }
    }

    /// How many rounds make an epoch: `P`.
    pub fn per_epoch(&self) -> usize {
        self.order.len()
    }

    /// Shuffles the rounds; what is left of the epoch before is forgotten.
    pub fn start_epoch(&mut self) {
        self.rng.shuffle(&mut self.order);
        self.dealt = 0;
        self.is_ahead = false;
    }

    /// The next round of the epoch, the ratings of each block shuffled, or `None` at its end and before the first one is started.
    pub fn next_round(&mut self) -> Option<Round<'_>> {
        self.next_round_and_ahead().map(|(round, _)| round)
    }

    /// The same, and what shuffles the round after it ahead of time, for whoever has a thread to spare; rounds are the same
    /// whether it is called or not.
    pub fn next_round_and_ahead(&mut self) -> Option<(Round<'_>, impl FnMut() + Send)> {
        let n_stripes = self.order.len();
        let number = *self.order.get(self.dealt)? as usize;
        self.dealt += 1;
        let starts_of = |round: usize| &self.starts[round * n_stripes..=(round + 1) * n_stripes];
        let starts = starts_of(number);
        let starts_ahead = self.order.get(self.dealt).map_or(&starts[n_stripes..], |next| starts_of(*next as usize));
        let ranges = [starts, starts_ahead].map(|starts| starts[0]..starts[starts.len() - 1]);
        let [users, users_ahead] = both(&mut self.users, &ranges);
        let [items, items_ahead] = both(&mut self.items, &ranges);
        let [ratings, ratings_ahead] = both(&mut self.ratings, &ranges);
        let [weights, weights_ahead] = both(&mut self.weights, &ranges);
        let rng = &mut self.rng;
        if !std::mem::take(&mut self.is_ahead) {
            shuffle(rng, starts, (users, items, ratings, weights));
        }
        self.borders.clear();
        self.borders.extend(starts.iter().map(|start| start - starts[0]));
        let round = Round {
            users,
            items,
            ratings,
            weights,
            borders: &self.borders,
            user_rows: &self.user_rows,
            item_rows: &self.item_rows[number..number + n_stripes],
        };
        let is_ahead = &mut self.is_ahead;
        let ahead = move || {
            if !std::mem::replace(is_ahead, true) {
                shuffle(rng, starts_ahead, (users_ahead, items_ahead, ratings_ahead, weights_ahead));
            }
        };
        Some((round, ahead))
    }
}

/// The values of two rounds; none where there are none.
fn both<'a, T>(values: &'a mut [T], rounds: &[Range<usize>; 2]) -> [&'a mut [T]; 2] {
    values.get_disjoint_mut(rounds.clone()).unwrap_or_default()
}

/// Puts the ratings of each block of a round in a random order, each order equally likely (Fisher-Yates). Blocks start where `starts` says,
/// which counts from anywhere.
fn shuffle(
    rng: &mut Rng,
    starts: &[usize],
    (users, items, ratings, weights): (&mut [i32], &mut [i32], &mut [f32], &mut [f32]),
) {
    for block in starts.windows(2) {
        let first = block[0] - starts[0];
        for last in (1..block[1] - block[0]).rev() {
            let (chosen, last) = (first + rng.below(last as u32 + 1) as usize, first + last);
            users.swap(last, chosen);
            items.swap(last, chosen);
            ratings.swap(last, chosen);
            if !weights.is_empty() {
                weights.swap(last, chosen);
            }
        }
    }
}

/// `P`: the largest power of two with which rounds have enough ratings, and there are as many rows.
fn stripes_for(n_ratings: usize, n_rows: usize) -> usize {
    let most = (n_ratings / RATINGS_PER_ROUND).min(n_rows).clamp(1, MOST_STRIPES);
    1 << most.ilog2()
}

/// Cuts `n_rows` rows into stripes of about as many ratings; also tells the stripe of each row.
fn stripes(row_of_rating: &[u32], n_rows: usize, n_stripes: usize) -> (Vec<Range<u32>>, Vec<u8>) {
    let ends = start_of_each(n_rows, row_of_rating.iter().copied());
    let border = |stripe: usize| match stripe == n_stripes {
        true => n_rows,
        false => ends.partition_point(|end| *end < row_of_rating.len() * stripe / n_stripes).min(n_rows),
    };
    let borders: Vec<usize> = (0..=n_stripes).map(border).collect();
    let ranges: Vec<Range<u32>> = borders.windows(2).map(|pair| pair[0] as u32..pair[1] as u32).collect();
    let mut of_row = Vec::with_capacity(n_rows);
    for (stripe, range) in ranges.iter().enumerate() {
        of_row.extend(range.clone().map(|_| stripe as u8));
    }
    (ranges, of_row)
}

/// Where the ratings of each row start when they are ordered by row, and behind the last row where all end: `[N + 1]`.
fn start_of_each(n_rows: usize, row_of_rating: impl Iterator<Item = u32>) -> Vec<usize> {
    let mut starts = vec![0; n_rows + 1];
    row_of_rating.for_each(|row| starts[row as usize + 1] += 1);
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    starts
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const AS_IS: WorkingScale = WorkingScale { origin: 0.0, factor: 1.0 };

    /// Ratings whose value is their place, of users and items of which the first have most.
    fn ratings(n: u32, n_users: u32, n_items: u32, is_weighted: bool) -> Arc<Ratings> {
        let mut ratings = Ratings { weights: is_weighted.then(Vec::new), ..Ratings::default() };
        let mut rng = Rng::new(1);
        let mut row = |n: u32| (rng.uniform().powi(3) * f64::from(n)) as u32;
        (0..n).for_each(|place| ratings.push(row(n_users), row(n_items), place as f32, place as f32 / 2.0));
        Arc::new(ratings)
    }

    /// Checks a round, and returns its ratings.
    fn checked(train: &Ratings, round: &Round<'_>) -> Vec<f32> {
        let n_blocks = round.borders.len() - 1;
        assert_eq!((round.user_rows.len(), round.item_rows.len()), (n_blocks, n_blocks));
        assert_eq!((round.borders[0], round.borders[n_blocks]), (0, round.users.len()));
        for (ranges, rows) in [(round.user_rows, round.users), (round.item_rows, round.items)] {
            let mut sorted = ranges.to_vec();
            sorted.sort_by_key(|range| (range.start, range.end));
            assert!(sorted.windows(2).all(|pair| pair[0].end <= pair[1].start), "{sorted:?}");
            for (block, range) in round.borders.windows(2).zip(ranges) {
                assert!(rows[block[0]..block[1]].iter().all(|row| range.contains(&(*row as u32))));
            }
        }
        for (place, rating) in round.ratings.iter().enumerate() {
            let row = *rating as usize;
            assert_eq!((round.users[place], round.items[place]), (train.users[row] as i32, train.items[row] as i32));
            assert_eq!(round.weights.get(place), train.weights.as_ref().map(|weights| &weights[row]));
        }
        round.ratings.to_vec()
    }

    fn epoch(train: &Ratings, rounds: &mut Rounds) -> Vec<f32> {
        rounds.start_epoch();
        let mut values = Vec::new();
        while let Some(round) = rounds.next_round() {
            values.extend(checked(train, &round));
        }
        values
    }

    #[test]
    fn an_epoch_deals_every_rating_once_in_blocks_that_share_no_rows() {
        for (n, n_users, n_items, n_stripes) in [
            (1_000, 40, 30, 1),
            (300_000, 900, 70, 4),
            (300_000, 3, 5_000, 2),
            (2_200_000, 8_000, 90, 32),
            (600_000, 1, 9, 1),
        ] {
            let train = ratings(n, n_users, n_items, n % 900 == 0);
            let mut rounds = Rounds::new(&train, n_users as usize, n_items as usize, AS_IS, Rng::new(1));
            assert_eq!(rounds.per_epoch(), n_stripes);
            assert!(rounds.next_round().is_none());
            let (first, second) = (epoch(&train, &mut rounds), epoch(&train, &mut rounds));
            assert!(first != second);
            for mut values in [first, second] {
                values.sort_by(f32::total_cmp);
                assert!(values == train.values());
            }
        }
    }

    #[test]
    fn stripes_have_about_as_many_ratings() {
        let train = ratings(300_000, 900, 700, false);
        let rounds = Rounds::new(&train, 900, 700, AS_IS, Rng::new(1));
        for (rows, ranges) in [(train.users(), &rounds.user_rows), (train.items(), &rounds.item_rows)] {
            for range in ranges.iter().take(4) {
                let n = rows.iter().filter(|row| range.contains(row)).count();
                // The first row alone has a tenth of all: uniform()^3 * 900 < 1.
                assert!((75_000 - 30_000..75_000 + 35_000).contains(&n), "{n}");
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_order_and_another_seed_another() {
        let train = ratings(200_000, 500, 400, false);
        let order = |seed| epoch(&train, &mut Rounds::new(&train, 500, 400, AS_IS, Rng::new(seed)));
        assert!(order(1) == order(1));
        assert!(order(1) != order(2));
    }

    #[test]
    fn rounds_are_the_same_when_they_are_shuffled_ahead() {
        for weighted in [false, true] {
            let train = ratings(300_000, 900, 70, weighted);
            let rounds = || Rounds::new(&train, 900, 70, AS_IS, Rng::new(1));
            let (mut plain, mut pipelined) = (rounds(), rounds());
            for _ in 0..2 {
                let expected = epoch(&train, &mut plain);
                pipelined.start_epoch();
                let mut found = Vec::new();
                while let Some((round, mut ahead)) = pipelined.next_round_and_ahead() {
                    // Once, twice or not at all.
                    (0..found.len() / 75_000 % 3).for_each(|_| ahead());
                    found.extend(checked(&train, &round));
                }
                assert!(found == expected);
            }
        }
    }

    #[test]
    fn no_ratings_are_no_round_of_some() {
        let mut rounds = Rounds::new(&Ratings::default(), 0, 0, AS_IS, Rng::new(1));
        assert!(epoch(&Ratings::default(), &mut rounds).is_empty());
    }
}
