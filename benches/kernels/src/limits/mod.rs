//! The best rates that plain loops reach on this machine, on one thread and on several.

mod flops;
mod rows;
mod triad;

use std::fmt;

use cofi::kernels::Level;
use serde_json::{Value, json};

pub use rows::{Access, RowRate};

/// Bytes of the table that rows are taken from at random, and of each array of the triad: much more than any cache.
pub const LARGE: usize = 1 << 29;

/// The bytes of a row: 50 factors as they are; the same from a cache line on; with their first and second moments.
pub const ROWS: [usize; 3] = [200, 256, 768];

/// What one number of threads reaches.
pub struct Limits {
    /// How many.
    pub threads: usize,
    /// `a[i] = b[i] + s c[i]` over double-precision arrays, 24 bytes an element: GB/s (J. D. McCalpin's STREAM).
    pub triad: f64,
    /// Rows of a large table in random order, fetched ahead.
    pub rows: Vec<RowRate>,
    /// Multiplications and additions in registers, at each level: GFLOP/s.
    pub flops: Vec<(Level, f64)>,
}

impl Limits {
    /// Measures them, each the best of several tries: about 10 seconds and 1.5 GB.
    pub fn measured(threads: usize) -> Self {
        Self {
            threads,
            triad: triad::gigabytes(threads),
            rows: rows::rates(threads),
            flops: Level::available().into_iter().map(|level| (level, flops::billions(level, threads))).collect(),
        }
    }

    /// The best rate of rows of `bytes` bytes, on whichever pages: GB/s.
    pub fn random(&self, access: Access, bytes: usize) -> f64 {
        let rates = self.rows.iter().filter(|rate| rate.access == access && rate.bytes == bytes);
        rates.map(|rate| rate.gigabytes).fold(f64::NAN, f64::max)
    }

    /// The best rate of arithmetic: GFLOP/s.
    pub fn peak(&self) -> f64 {
        self.flops.iter().map(|(_, rate)| *rate).fold(f64::NAN, f64::max)
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let row = |rate: &RowRate| {
            json!({
                "access": rate.access.to_string(), "bytes": rate.bytes, "huge_pages": rate.huge,
                "gigabytes_per_second": rate.gigabytes, "rows_per_second": rate.rows_per_second(),
            })
        };
        json!({
            "threads": self.threads,
            "triad_gigabytes_per_second": self.triad,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "gigaflops": self.flops.iter().map(|(level, rate)| (level.to_string(), json!(rate))).collect::<serde_json::Map<_, _>>(),
        })
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "limits, {} thread(s)", self.threads)?;
        writeln!(f, "  {:<44}{:>8.1} GB/s", "STREAM triad", self.triad)?;
        for rate in &self.rows {
            let pages = if rate.huge { "huge pages" } else { "plain pages" };
            let what = format!("random {} of {} bytes, {pages}", rate.access, rate.bytes);
            let rows = rate.rows_per_second() / 1e6;
            writeln!(f, "  {what:<44}{:>8.1} GB/s {rows:>8.1} M rows/s, {} ahead", rate.gigabytes, rate.ahead)?;
        }
        for (level, rate) in &self.flops {
            writeln!(f, "  {:<44}{rate:>8.1} GFLOP/s", format!("multiply-add, {level}"))?;
        }
        Ok(())
    }
}
