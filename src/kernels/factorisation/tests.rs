//! The step by itself: the same bits with all instructions and threads, and nothing done to what does not fit.
//!
//! What it computes is held against the stock operators in `tests/it/fused.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::kernels::{Here, LANES, Level, Pool};

/// Threads that take the pieces in any order, the last first.
pub(super) struct Threads(pub usize);

impl Pool for Threads {
    fn threads(&self) -> usize {
        self.0
    }

    fn for_each(&self, n: usize, piece: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < n) {
                        piece(n - 1 - index);
                    }
                });
            }
        });
    }
}

/// A linear congruential sequence of numbers in `[0, 1)`.
pub(super) struct Draws(pub u32);

impl Draws {
    pub(super) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }
}

struct World {
    layout: Layout,
    loss: Loss,
    reach: Reach,
    rows: Vec<Block>,
    clocks: Vec<i32>,
    classes: Vec<Block>,
}

impl World {
    fn new(memory: Memory, loss: Loss, reach: Reach, width: usize) -> Self {
        let layout = Layout { n_users: 900, n_items: 300, width, memory };
        let mut rows = vec![[0.0; LANES]; layout.n_rows() * layout.row_blocks()];
        let mut draws = Draws(1);
        for side in [Side::User, Side::Item] {
            for row in layout.rows_of(side) {
                let plane = &mut rows.as_flattened_mut()[layout.plane(row, 0)];
                plane[..width].fill_with(|| draws.next() - 0.5);
                plane[layout.bias_lane(side)] = draws.next() - 0.5;
                plane[layout.one_lane(side)] = 1.0;
            }
        }
        let mut classes = match loss {
            Loss::SquaredError => Vec::new(),
            Loss::CrossEntropy(n) => vec![[0.0; LANES]; 2 * layout.planes() * n.div_ceil(LANES)],
        };
        classes.as_flattened_mut().iter_mut().take(5).for_each(|weight| *weight = draws.next());
        Self { layout, loss, reach, clocks: vec![0; layout.n_rows()], rows, classes }
    }

    /// Ten steps of 3,000 samples; the losses and all rows, as bits.
    fn learn(mut self, level: Level, pool: &dyn Pool) -> Vec<u32> {
        let range = Some((5.0, 0.5));
        let penalty = if self.reach == Reach::EveryRow { 0.01 } else { 0.0 };
        let mut step = Step::new(level, self.layout, self.loss, (0.3, range), [true, true], penalty);
        let (mut draws, mut bits) = (Draws(2), Vec::new());
        let (mut steps, mut logs) = (Vec::new(), vec![0.0f32]);
        for now in 1..=10 {
            let settings = settings(logs[logs.len() - 1]);
            // Some rows often, some never.
            let mut pick = |n: usize| -> Vec<i32> {
                (0..3_000).map(|_| (draws.next() * draws.next() * n as f32) as i32).collect()
            };
            let (users, items, classes) = (pick(900), pick(300), pick(5));
            let ratings: Vec<f32> = classes.iter().map(|class| *class as f32 + 1.0).collect();
            let weights: Vec<f32> = users.iter().map(|user| 0.5 + (user % 3) as f32).collect();
            let batch = Batch {
                users: &users,
                items: &items,
                ratings: &ratings,
                classes: &classes,
                weights: &weights,
                share: 1.0 / 3_000.0,
            };
            let mut state = State { rows: &mut self.rows, clocks: &mut self.clocks, classes: &mut self.classes };
            let history = match self.reach {
                Reach::EveryRow => History::Steps(&steps),
                Reach::BatchRows => History::LogDecays(&logs),
            };
            bits.push(step.run(&mut state, batch, &settings, history, now, pool).unwrap().to_bits());
            steps.push(settings);
            logs.push(settings.log_decay_now);
            if self.reach == Reach::EveryRow && now == 10 {
                step.settle_all(&mut state, &settings, History::Steps(&steps), now, pool);
            }
        }
        bits.extend(self.rows.as_flattened().iter().chain(self.classes.as_flattened()).map(|value| value.to_bits()));
        bits
    }
}

pub(super) fn settings(log_decay: f32) -> Settings {
    Settings {
        beta1: 0.9,
        gain1: 0.1,
        beta2: 0.99,
        gain2: 0.01,
        step_size: 0.01,
        epsilon: 1e-5,
        decay: 0.999,
        log_beta1: 0.9f32.ln(),
        log_beta2: 0.99f32.ln(),
        log_ratio: (0.9 / 0.99f32.sqrt()).ln(),
        tail: 0.01 * 9.5,
        log_decay_before: log_decay,
        log_decay_now: log_decay + 0.999f32.ln(),
    }
}

#[test]
fn instructions_and_threads_change_no_bit() {
    for memory in [Memory::First, Memory::Both] {
        for loss in [Loss::SquaredError, Loss::CrossEntropy(5)] {
            for reach in [Reach::EveryRow, Reach::BatchRows] {
                for width in [1, 14, 50] {
                    let world = || World::new(memory, loss, reach, width);
                    let expected = world().learn(Level::available()[0], &Here);
                    assert!(expected.iter().all(|bits| f32::from_bits(*bits).is_finite()));
                    for level in Level::available() {
                        let what = format!("{memory:?}, {loss:?}, {reach:?}, {width}, {level}");
                        assert!(world().learn(level, &Here) == expected, "{what}");
                        assert!(world().learn(level, &Threads(3)) == expected, "{what}, 3 threads");
                    }
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut world = World::new(Memory::Both, Loss::CrossEntropy(5), Reach::BatchRows, 8);
    let mut step = Step::new(Level::best(), world.layout, world.loss, (0.0, None), [true, true], 0.0);
    let (rows, classes) = (world.rows.clone(), world.classes.clone());
    let mut run = |users: &[i32], items: &[i32], classes: &[i32], weights: &[f32], logs: &[f32], now: i32| {
        let mut state = State { rows: &mut world.rows, clocks: &mut world.clocks, classes: &mut world.classes };
        let batch = Batch { users, items, ratings: &[], classes, weights, share: 1.0 };
        step.run(&mut state, batch, &settings(0.0), History::LogDecays(logs), now, &Here).is_err()
    };
    for (users, items, classes, weights, logs, now) in [
        ([900, 0], [0, 0], &[0, 0][..], &[][..], &[0.0][..], 1),
        ([-1, 0], [0, 0], &[0, 0], &[], &[0.0], 1),
        ([0, 0], [0, 300], &[0, 0], &[], &[0.0], 1),
        ([0, 0], [0, 0], &[5, 0], &[], &[0.0], 1),
        ([0, 0], [0, 0], &[0, 0], &[], &[0.0], 2),
        ([0, 0], [0, 0], &[0, 0], &[], &[], 0),
        ([0, 0], [0, 0], &[0], &[], &[0.0], 1),
        ([0, 0], [0, 0], &[0, 0], &[1.0], &[0.0], 1),
    ] {
        assert!(run(&users, &items, classes, weights, logs, now), "{users:?} {items:?} {classes:?} {now}");
    }
    assert!(!run(&[0, 0], &[0, 0], &[0, 0], &[], &[0.0], 1));
    // A clock that is not before the step.
    assert!(run(&[0, 0], &[0, 0], &[0, 0], &[], &[0.0], 1));
    assert!(rows != world.rows && classes != world.classes);
}
