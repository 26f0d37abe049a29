//! Arithmetic alone.

use std::hint::black_box;

use cofi::kernels::Level;

use crate::side_by_side;

const TRIES: usize = 5;
const ROUNDS: usize = 3_000_000;

/// Independent chains `x = x * a + b`: more than the latency of one step times the units that do it, and no more than there are
/// registers for.
const CHAINS: usize = 12;

/// The rate of these chains, two operations for each number and step; one instruction where the level has such, else two.
pub fn billions(level: Level, threads: usize) -> f64 {
    let tries = (0..TRIES).map(|_| {
        let seconds = side_by_side(threads, &|_| {
            black_box(run(level, black_box(0.999), black_box(0.001)));
        });
        let steps = ROUNDS * CHAINS * threads;
        (2 * lanes(level) * steps) as f64 / seconds / 1e9
    });
    tries.fold(0.0, f64::max)
}

fn lanes(level: Level) -> usize {
    match level.to_string().as_str() {
        "avx512" => 16,
        "avx2" => 8,
        _ => 4,
    }
}

/// Makes a function that keeps the chains in registers of one kind.
#[cfg(target_arch = "x86_64")]
macro_rules! chains {
    ($name:ident, $features:literal, $set:ident, $step:expr, $first:ident) => {
        #[target_feature(enable = $features)]
        fn $name(a: f32, b: f32) -> f32 {
            let (a, b, mut all) = ($set(a), $set(b), [$set(1.0); CHAINS]);
            for _ in 0..ROUNDS {
                for chain in &mut all {
                    *chain = $step(*chain, a, b);
                }
            }
            all.into_iter().map(|chain| $first(chain)).sum()
        }
    };
}

#[cfg(target_arch = "x86_64")]
fn run(level: Level, a: f32, b: f32) -> f32 {
    use std::arch::x86_64::*;

    chains!(avx512, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32);
    chains!(avx2, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32);
    chains!(portable, "sse2", _mm_set1_ps, |x, a, b| _mm_add_ps(_mm_mul_ps(x, a), b), _mm_cvtss_f32);
    match level.to_string().as_str() {
        // SAFETY: a level is only made where the processor has its instructions.
        "avx512" => unsafe { avx512(a, b) },
        // SAFETY: as above.
        "avx2" => unsafe { avx2(a, b) },
        // SAFETY: every x86-64 processor has SSE2.
        _ => unsafe { portable(a, b) },
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn run(level: Level, a: f32, b: f32) -> f32 {
    let step = |x: f32| if level.has_fma() { x.mul_add(a, b) } else { x * a + b };
    let mut all = [[1.0f32; 4]; CHAINS];
    for _ in 0..ROUNDS {
        for chain in &mut all {
            *chain = chain.map(step);
        }
    }
    all.iter().flatten().sum()
}
