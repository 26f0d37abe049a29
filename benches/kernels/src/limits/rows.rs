//! Rows of a large table in random order: what looking up and training come to where nothing is cached.

use std::fmt;
use std::hint::black_box;

use cofi::kernels::{LANES, Level};
use cofi::rng::Rng;

use crate::memory::{Memory, prefetch};
use crate::{at_level, side_by_side};

const TRIES: usize = 3;
/// Rows that a thread takes in one try.
const TAKEN: usize = 1_000_000;
/// How many rows ahead of the one at work is fetched; the best of these counts.
const AHEAD: [usize; 3] = [8, 16, 32];

/// What is done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is summed.
    Read,
    /// Each of its numbers is changed in place; its bytes count twice.
    Update,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Read => "read",
            Access::Update => "update",
        })
    }
}

/// How fast rows are taken.
pub struct RowRate {
    pub access: Access,
    /// Of a row.
    pub bytes: usize,
    /// Whether the system was asked for huge pages.
    pub huge: bool,
    /// The best distance.
    pub ahead: usize,
    /// GB/s, read and written.
    pub gigabytes: f64,
}

impl RowRate {
    /// Rows a second.
    pub fn rows_per_second(&self) -> f64 {
        let times = if self.access == Access::Update { 2.0 } else { 1.0 };
        self.gigabytes * 1e9 / (times * self.bytes as f64)
    }
}

/// The rates of every size of row, on plain and on huge pages.
pub fn rates(threads: usize) -> Vec<RowRate> {
    let mut rates = Vec::new();
    for huge in [false, true] {
        let table = Memory::new(super::LARGE / 4, huge);
        for bytes in super::ROWS {
            for access in [Access::Read, Access::Update] {
                rates.push(rate(&table, threads, access, bytes, huge));
            }
        }
    }
    rates
}

fn rate(table: &Memory, threads: usize, access: Access, bytes: usize, huge: bool) -> RowRate {
    let width = bytes / 4;
    // Each thread has rows of its own, so that several may write.
    let rows = table.floats().len() / width / threads;
    let orders: Vec<Vec<u32>> = (0..threads as u64)
        .map(|thread| {
            let mut rng = Rng::new(thread + 1);
            (0..TAKEN + AHEAD[AHEAD.len() - 1]).map(|_| rng.below(rows as u32)).collect()
        })
        .collect();
    let seconds = |ahead: usize| {
        let tries = (0..TRIES).map(|_| {
            side_by_side(threads, &|thread| {
                // SAFETY: the rows of this thread.
                let own = unsafe { table.part_mut(thread * rows * width, rows * width) };
                let level = Level::best();
                match access {
                    Access::Read => {
                        black_box(read(level, own, width, &orders[thread], ahead));
                    }
                    Access::Update => update(level, own, width, &orders[thread], ahead),
                }
            })
        });
        tries.fold(f64::INFINITY, f64::min)
    };
    let (seconds, ahead) =
        AHEAD.map(|ahead| (seconds(ahead), ahead)).into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("several");
    let times = if access == Access::Update { 2 } else { 1 };
    RowRate { access, bytes, huge, ahead, gigabytes: (times * bytes * TAKEN * threads) as f64 / seconds / 1e9 }
}

at_level! {
    fn read(table: &[f32], width: usize, order: &[u32], ahead: usize) -> f32 = read_body;
    fn update(table: &mut [f32], width: usize, order: &[u32], ahead: usize) -> () = update_body;
}

#[inline(always)]
fn read_body(table: &[f32], width: usize, order: &[u32], ahead: usize) -> f32 {
    let (mut sums, mut sum_of_rests) = ([0.0f32; LANES], 0.0);
    for taken in 0..TAKEN {
        prefetch(table[order[taken + ahead] as usize * width..].as_ptr(), width * 4);
        let (blocks, rest) = table[order[taken] as usize * width..][..width].as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                sums[lane] += block[lane];
            }
        }
        // Apart from the sums above, which stay in a register.
        sum_of_rests += rest.iter().sum::<f32>();
    }
    sum_of_rests + sums.iter().sum::<f32>()
}

#[inline(always)]
fn update_body(table: &mut [f32], width: usize, order: &[u32], ahead: usize) {
    for taken in 0..TAKEN {
        prefetch(table[order[taken + ahead] as usize * width..].as_ptr(), width * 4);
        for value in &mut table[order[taken] as usize * width..][..width] {
            *value = *value * 0.999 + 0.001;
        }
    }
}
