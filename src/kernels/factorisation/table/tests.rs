//! Rows that are read and moved for others, and parameters that move as a whole.

use super::*;
use crate::kernels::Here;
use crate::kernels::factorisation::tests::{Draws, Threads, settings};
use crate::kernels::factorisation::{Decay, Dense, Memory, Reach};

const ROWS: usize = 700;

fn draws(seed: u32, n: usize) -> Vec<f32> {
    let mut draws = Draws(seed);
    (0..n).map(|_| draws.next() - 0.5).collect()
}

/// Ten steps of `n_samples` each; what was read and all rows, as bits.
fn learn(memory: Memory, reach: Reach, width: usize, n_samples: usize, level: Level, pool: &dyn Pool) -> Vec<u32> {
    let layout = Layout { n_users: ROWS, n_items: 0, width, memory };
    let mut rows = vec![[0.0; LANES]; layout.n_rows() * layout.row_blocks()];
    for row in 0..ROWS {
        let plane = &mut rows.as_flattened_mut()[layout.plane(row, 0)];
        plane[..=width].copy_from_slice(&draws(row as u32, width + 1));
    }
    let mut clocks = vec![0; ROWS];
    let penalty = if reach == Reach::EveryRow { 0.01 } else { 0.0 };
    let mut table = Table::new(level, layout, true, penalty);
    let (mut random, mut bits) = (Draws(2), Vec::new());
    let (mut steps, mut logs) = (Vec::new(), vec![0.0f32]);
    let mut held = Held { rows: &mut rows, clocks: &mut clocks };
    for now in 1..=10 {
        let settings = settings(logs[logs.len() - 1]);
        let history = match reach {
            Reach::EveryRow => History::Steps(&steps),
            Reach::BatchRows => History::LogDecays(&logs),
        };
        let moment = Moment { settings: &settings, history, now };
        let index: Vec<i32> = (0..n_samples).map(|_| (random.next() * random.next() * ROWS as f32) as i32).collect();
        let (mut values, mut biases) = (vec![0.0; n_samples * width], vec![0.0; n_samples]);
        table.read(&mut held, &index, (&mut values, &mut biases), &moment, pool).unwrap();
        bits.extend(values.iter().chain(&biases).map(|value| value.to_bits()));
        // The slopes of half the squares of what was read.
        let slopes = Slopes { values: &values, biases: &biases };
        table.learn(&mut held, &index, slopes, &settings, now, pool).unwrap();
        steps.push(settings);
        logs.push(settings.log_decay_now);
    }
    if reach == Reach::EveryRow {
        let settings = steps[steps.len() - 1];
        let moment = Moment { settings: &settings, history: History::Steps(&steps), now: 10 };
        table.settle_all(&mut held, &moment, pool);
        assert!(held.clocks.iter().all(|clock| *clock == 0));
    }
    bits.extend(rows.as_flattened().iter().map(|value| value.to_bits()));
    bits
}

#[test]
fn instructions_and_threads_change_no_bit_of_a_table() {
    for memory in [Memory::First, Memory::Both] {
        for reach in [Reach::EveryRow, Reach::BatchRows] {
            for (width, n_samples) in [(1, 30), (14, 3_000), (50, 2_000)] {
                let run = |level, pool: &dyn Pool| learn(memory, reach, width, n_samples, level, pool);
                let expected = run(Level::available()[0], &Here);
                assert!(expected.iter().all(|bits| f32::from_bits(*bits).is_finite()));
                for level in Level::available() {
                    let what = format!("{memory:?}, {reach:?}, {width}, {level}");
                    assert!(run(level, &Here) == expected, "{what}");
                    assert!(run(level, &Threads(3)) == expected, "{what}, 3 threads");
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_changes_nothing_of_a_table() {
    let layout = Layout { n_users: 5, n_items: 0, width: 3, memory: Memory::Both };
    let mut table = Table::new(Level::best(), layout, true, 0.0);
    let (mut rows, mut clocks) = (vec![[0.5; LANES]; 5 * layout.row_blocks()], vec![0; 5]);
    let mut held = Held { rows: &mut rows, clocks: &mut clocks };
    let settings = settings(0.0);
    let (logs, slopes) = (vec![0.0; 3], vec![1.0; 6]);
    for (index, n_values, n_biases, n_logs, now) in [
        ([0, 5], 6, 2, 1, 1),
        ([-1, 0], 6, 2, 1, 1),
        ([0, i32::MIN], 6, 2, 1, 1),
        ([0, 1], 5, 2, 1, 1),
        ([0, 1], 6, 1, 1, 1),
        ([0, 1], 6, 2, 2, 1),
        ([0, 1], 6, 2, 0, 0),
    ] {
        let moment = Moment { settings: &settings, history: History::LogDecays(&logs[..n_logs]), now };
        let (mut values, mut biases) = (vec![0.0; n_values], vec![0.0; n_biases]);
        let read = table.read(&mut held, &index, (&mut values, &mut biases), &moment, &Here);
        assert!(read.is_err() && values.iter().chain(&biases).all(|value| *value == 0.0), "{index:?}");
    }
    let moment = Moment { settings: &settings, history: History::LogDecays(&logs[..2]), now: 2 };
    let slopes = Slopes { values: &slopes, biases: &slopes[..2] };
    // Rows that were not read in this step are not moved.
    assert!(table.learn(&mut held, &[0, 1], slopes, &settings, 2, &Here).is_err());
    table.read(&mut held, &[0, 1], (&mut [0.0; 6], &mut []), &moment, &Here).unwrap();
    assert!(table.learn(&mut held, &[0, 2], slopes, &settings, 2, &Here).is_err());
    assert_eq!(held.clocks, [1, 1, 0, 0, 0]);
    table.learn(&mut held, &[0, 1], slopes, &settings, 2, &Here).unwrap();
    assert_eq!(held.clocks, [2, 2, 0, 0, 0]);
    assert!(table.read(&mut held, &[0, 2], (&mut [0.0; 6], &mut []), &moment, &Here).is_err());
    assert!(rows[2 * layout.row_blocks()..].iter().all(|block| *block == [0.5; LANES]));
}

#[test]
fn parameters_that_move_as_a_whole_move_as_those_of_a_row() {
    const N: usize = 20_000;
    let decay = Decay { decays: true, penalty: 0.0 };
    for memory in [Memory::First, Memory::Both] {
        // A table of one row of as many factors.
        let layout = Layout { n_users: 1, n_items: 0, width: N, memory };
        let mut rows = vec![[0.0; LANES]; layout.row_blocks()];
        let (start, slopes, settings) = (draws(5, N), draws(6, N), settings(0.0));
        rows.as_flattened_mut()[..N].copy_from_slice(&start);
        let mut table = Table::new(Level::best(), layout, false, 0.0);
        let mut held = Held { rows: &mut rows, clocks: &mut [0] };
        let slopes = Slopes { values: &slopes, biases: &[] };
        table.learn(&mut held, &[0], slopes, &settings, 1, &Here).unwrap();
        for level in Level::available() {
            let (mut p, mut m, mut v) = (start.clone(), vec![0.0; N], vec![0.0; N]);
            let v = (memory == Memory::Both).then_some(v.as_mut_slice());
            let dense = Dense { p: &mut p, m: &mut m, v };
            dense.learn(level, slopes.values, decay, &settings, &Threads(2)).unwrap();
            assert!(p == rows.as_flattened()[..N], "{memory:?}, {level}");
        }
        let dense = Dense { p: &mut [0.0; 2], m: &mut [0.0; 2], v: None };
        assert!(dense.learn(Level::best(), &[0.0; 3], decay, &settings, &Here).is_err());
    }
}
