//! The pass by itself: against plain loops in double precision, the same bits with all instructions and threads, and nothing done to
//! what does not fit.

use super::*;
use crate::kernels::factorisation::Memory;
use crate::kernels::factorisation::tests::{Draws, Threads};
use crate::kernels::{Here, LANES};

/// A row below `n`.
fn below(draws: &mut Draws, n: i32) -> i32 {
    (draws.next() * n as f32) as i32
}

const SIZE: (i32, i32) = (90, 40);
const BLOCKS: i32 = 4;
const PACE: Pace = Pace { rate: 0.02, decay: 0.999 };

/// A model and a round of ratings in four blocks, of rows that often come again at once.
struct World {
    layout: Layout,
    range: Option<(f32, f32)>,
    biases: [bool; 2],
    rows: Vec<Block>,
    users: Vec<i32>,
    items: Vec<i32>,
    ratings: Vec<f32>,
    weights: Vec<f32>,
    borders: Vec<i32>,
    user_rows: Vec<i32>,
    item_rows: Vec<i32>,
}

impl World {
    fn new(width: usize, range: Option<(f32, f32)>, biases: [bool; 2], is_weighted: bool) -> Self {
        let (n_users, n_items) = (SIZE.0 as usize, SIZE.1 as usize);
        let layout = Layout { n_users, n_items, width, memory: Memory::Nothing };
        let mut rows = vec![[0.0; LANES]; layout.n_rows() * layout.row_blocks()];
        let mut draws = Draws(width as u32);
        for (side, has_bias) in [Side::User, Side::Item].into_iter().zip(biases) {
            for row in layout.rows_of(side) {
                let plane = &mut rows.as_flattened_mut()[layout.plane(row, 0)];
                plane[..width].fill_with(|| draws.next() - 0.5);
                plane[layout.bias_lane(side)] = if has_bias { draws.next() - 0.5 } else { 0.0 };
                plane[layout.one_lane(side)] = 1.0;
            }
        }
        let mut world = Self {
            layout,
            range,
            biases,
            rows,
            users: vec![],
            items: vec![],
            ratings: vec![],
            weights: vec![],
            borders: vec![0],
            user_rows: vec![],
            item_rows: vec![],
        };
        for block in 0..BLOCKS {
            // Users ascend from block to block, items descend; the third block has no ratings.
            let (first_user, first_item) = (block * (SIZE.0 / BLOCKS), (BLOCKS - 1 - block) * (SIZE.1 / BLOCKS));
            for _ in 0..[150, 201, 0, 83][block as usize] {
                world.users.push(first_user + below(&mut draws, SIZE.0 / BLOCKS));
                world.items.push(first_item + below(&mut draws, SIZE.1 / BLOCKS));
                world.ratings.push(1.0 + below(&mut draws, 5) as f32);
                world.weights.extend(is_weighted.then(|| 0.5 + draws.next()));
            }
            world.borders.push(world.users.len() as i32);
            world.user_rows.extend([first_user, first_user + SIZE.0 / BLOCKS]);
            world.item_rows.extend([first_item, first_item + SIZE.1 / BLOCKS]);
        }
        world
    }

    fn pass(&self, level: Level) -> ClassicPass {
        ClassicPass::new(level, self.layout, (0.3, self.range), self.biases, 0.5)
    }

    fn round(&self) -> Round<'_> {
        Round {
            users: &self.users,
            items: &self.items,
            ratings: &self.ratings,
            weights: &self.weights,
            borders: &self.borders,
            user_rows: &self.user_rows,
            item_rows: &self.item_rows,
        }
    }

    /// The loss of a pass and the rows after it.
    fn learned(&self, level: Level, pool: &dyn Pool) -> (f64, Vec<Block>) {
        let mut rows = self.rows.clone();
        (self.pass(level).run(&mut rows, &self.round(), PACE, pool).unwrap(), rows)
    }

    /// The same in double precision, with factors and biases apart.
    fn expected(&self) -> (f64, Vec<f64>) {
        let layout = &self.layout;
        let mut rows: Vec<f64> = self.rows.as_flattened().iter().map(|value| f64::from(*value)).collect();
        let (rate, decay, mut loss) = (f64::from(PACE.rate), f64::from(PACE.decay), 0.0);
        for at in 0..self.users.len() {
            let user = layout.plane(self.users[at] as usize, 0).start;
            let item = layout.plane(layout.n_users + self.items[at] as usize, 0).start;
            let (user_bias, item_bias) = (user + layout.bias_lane(Side::User), item + layout.bias_lane(Side::Item));
            let product: f64 = (0..layout.width).map(|k| rows[user + k] * rows[item + k]).sum();
            let sum = f64::from(0.3f32) + product + rows[user_bias] + rows[item_bias];
            let (score, slope) = match self.range {
                None => (sum, 1.0),
                Some((width, lowest)) => {
                    let share = 1.0 / (1.0 + (-sum).exp());
                    (f64::from(lowest) + f64::from(width) * share, f64::from(width) * share * (1.0 - share))
                }
            };
            let weight = self.weights.get(at).map_or(1.0, |weight| f64::from(*weight));
            let error = score - f64::from(self.ratings[at]);
            loss += 0.5 * weight * error * error;
            let g = weight * error * slope;
            for k in 0..layout.width {
                let (p, q) = (rows[user + k], rows[item + k]);
                rows[user + k] = p * decay - rate * g * q;
                rows[item + k] = q * decay - rate * g * p;
            }
            rows[user_bias] -= if self.biases[0] { rate * g } else { 0.0 };
            rows[item_bias] -= if self.biases[1] { rate * g } else { 0.0 };
        }
        (loss, rows)
    }
}

fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    // On both sides of a block's border, and beyond the widest rows that have a loop of their own.
    for width in [1, 13, 14, 15, 16, 30, 31, 47, 50, 64, 94, 100, 126, 127, 200] {
        for range in [None, Some((5.0, 0.5))] {
            for biases in [[true, true], [true, false], [false, false]] {
                worlds.push(World::new(width, range, biases, worlds.len() % 2 == 0));
            }
        }
    }
    worlds
}

fn bits(rows: &[Block]) -> Vec<u32> {
    rows.as_flattened().iter().map(|value| value.to_bits()).collect()
}

#[test]
fn each_rating_moves_its_rows_and_no_others() {
    for world in worlds() {
        let ((loss, rows), (expected_loss, expected)) = (world.learned(Level::best(), &Here), world.expected());
        let label = format!("{:?} {:?} {:?}", world.layout, world.range, world.biases);
        assert!((loss - expected_loss).abs() < 1e-4 * expected_loss, "{label}: {loss}, not {expected_loss}");
        for (found, expected) in rows.as_flattened().iter().zip(expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-4 * expected.abs().max(0.1),
                "{label}: {found} {expected}"
            );
        }
    }
}

#[test]
fn instructions_and_threads_change_no_bit() {
    for world in worlds() {
        let (loss, rows) = world.learned(Level::available()[0], &Here);
        for level in Level::available() {
            for pool in [&Here as &dyn Pool, &Threads(2), &Threads(4)] {
                let (found_loss, found) = world.learned(level, pool);
                let same = found_loss.to_bits() == loss.to_bits() && bits(&found) == bits(&rows);
                assert!(same, "{level}, {} threads, {:?}", pool.threads(), world.layout);
            }
        }
    }
}

#[test]
fn rounds_that_do_not_fit_change_nothing() {
    let world = World::new(20, None, [true, true], true);
    let (round, mut rows) = (world.round(), world.rows.clone());
    let overlapping = [0, 23, 22, 44, 44, 66, 66, 88];
    let outside = [0, 22, 22, 44, 44, 66, 66, 91];
    let backwards = [0, 22, 22, 44, -1, 66, 66, 88];
    for wrong in [
        Round { items: &world.items[1..], ..round },
        Round { ratings: &world.ratings[1..], ..round },
        Round { weights: &world.weights[1..], ..round },
        Round { borders: &[0, 10], ..round },
        Round { borders: &[0, 10, 5, 300, 434], ..round },
        Round { borders: &[0, 10, 20, 30, i32::MAX], ..round },
        Round { borders: &[], ..round },
        Round { user_rows: &overlapping, ..round },
        Round { user_rows: &outside, ..round },
        Round { user_rows: &backwards, ..round },
        Round { item_rows: &world.item_rows[1..], ..round },
        Round { item_rows: &world.item_rows[2..], ..round },
    ] {
        assert_eq!(world.pass(Level::best()).run(&mut rows, &wrong, PACE, &Here), Err(OutOfTable), "{wrong:?}");
    }
    assert_eq!(world.pass(Level::best()).run(&mut rows[1..], &round, PACE, &Here), Err(OutOfTable));
    assert!(bits(&rows) == bits(&world.rows));
}

#[test]
fn a_rating_outside_of_its_block_is_never_followed() {
    let world = World::new(20, None, [true, true], false);
    let first = world.borders[1] as usize;
    // The first two are rows of other blocks, which a thread may be at.
    for row in [SIZE.0 - 1, SIZE.0 / BLOCKS, SIZE.0, -1, i32::MIN, i32::MAX] {
        for place in [0, first - 1] {
            let mut users = world.users.clone();
            users[place] = row;
            let mut rows = world.rows.clone();
            let wrong = Round { users: &users, ..world.round() };
            assert_eq!(world.pass(Level::best()).run(&mut rows, &wrong, PACE, &Here), Err(OutOfTable), "{row}");
            let (of_block, all) = (SIZE.0 as usize / BLOCKS as usize, world.layout.row_blocks());
            assert!(bits(&rows[..of_block * all]) == bits(&world.rows[..of_block * all]), "{row} at {place}");
        }
    }
}
