//! Criterion's figures held against the limits.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};

use crate::limits::Limits;

/// What one call of a loop does.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// The rows, pairs or ratings that it gets through, and what they are called.
    pub elements: (u64, &'static str),
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes read and written, as if nothing were cached.
    pub bytes: u64,
    /// GB/s of memory at best, where what the loop touches does not fit into the caches.
    pub memory: Option<f64>,
}

/// Runs loops under criterion, and tells at the end how far from the limits they are.
pub struct Report {
    criterion: Criterion,
    /// On one thread, which is what a loop has here.
    pub limits: Limits,
    lines: Vec<String>,
}

impl Report {
    /// Measures the limits first.
    pub fn new(criterion: Criterion) -> Self {
        let limits = Limits::measured(1);
        print!("{limits}");
        Self { criterion, limits, lines: Vec::new() }
    }

    /// Runs `routine` many times; `name` is a family and a case of it.
    pub fn measure<R>(&mut self, (family, case): (&str, &str), work: Work, mut routine: impl FnMut() -> R) {
        // The shortest time of a call in any sample: what the machine does when nothing else has it.
        let mut shortest = Duration::MAX;
        let mut group = self.criterion.benchmark_group(family);
        group.throughput(Throughput::Elements(work.elements.0));
        group.bench_function(BenchmarkId::from_parameter(case), |bencher| {
            bencher.iter_custom(|calls| {
                let begin = Instant::now();
                for _ in 0..calls {
                    std::hint::black_box(routine());
                }
                let taken = begin.elapsed();
                shortest = shortest.min(taken / calls.max(1) as u32);
                taken
            });
        });
        group.finish();
        if shortest < Duration::MAX {
            self.add(family, case, work, shortest.as_secs_f64());
        }
    }

    /// One line for each loop.
    pub fn close(self) {
        let (case, rate) = ("", "");
        println!("\n{:<34}{case:<24}{rate:>22}{:>10}{:>9}{:>11}{:>9}", "loop", "GB/s", "of best", "GFLOP/s", "of best");
        self.lines.iter().for_each(|line| println!("{line}"));
    }

    fn add(&mut self, family: &str, case: &str, work: Work, seconds: f64) {
        let per_second = |number: u64| number as f64 / seconds / 1e9;
        let (bytes, flops) = (per_second(work.bytes), per_second(work.flops));
        let of_memory = work.memory.map_or("cached".to_owned(), |best| format!("{:.2}", bytes / best));
        let of_peak = flops / self.limits.peak();
        let (elements, unit) = (per_second(work.elements.0) * 1e3, work.elements.1);
        let rate = format!("{elements:.2} M {unit}/s");
        self.lines
            .push(format!("{family:<34}{case:<24}{rate:>22}{bytes:>10.1}{of_memory:>9}{flops:>11.1}{of_peak:>9.2}"));
    }
}
