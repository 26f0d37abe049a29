//! Ratings of pairs: two rows looked up, one product.

use std::sync::Arc;

use cofi::score::Predictor;
use cofi_kernel_benches::limits::Access;
use cofi_kernel_benches::{Report, Work};

use super::inputs::{FACTORS, embeddings, rows};

/// A vector of the host's rows.
const PAIRS: usize = 2048;
/// Vectors that are gone through in turn, so that their rows are not in a cache when they come again.
const VECTORS: usize = 512;

pub fn benches(report: &mut Report) {
    for (case, n_users, n_items, cached) in [
        ("943 x 1,682", 943, 1_682, true),
        ("138,493 x 26,744", 138_493, 26_744, false),
        ("2,000,000 x 500,000", 2_000_000, 500_000, false),
    ] {
        let mut predictor = Predictor::new(Arc::new(embeddings(n_users, n_items)), None).expect("no network is needed");
        let vectors: Vec<(Vec<u32>, Vec<u32>)> = (0..VECTORS as u64)
            .map(|vector| (rows(PAIRS, n_users, vector), rows(PAIRS, n_items, vector + 1_000)))
            .collect();
        let mut turn = 0;
        let work = Work {
            elements: (PAIRS as u64, "pairs"),
            flops: (PAIRS * 2 * FACTORS) as u64,
            bytes: (PAIRS * 2 * 4 * FACTORS) as u64,
            memory: (!cached).then(|| report.limits.random(Access::Read, 4 * FACTORS)),
        };
        report.measure(("predict", case), work, || {
            turn = (turn + 1) % VECTORS;
            predictor.predict(&vectors[turn].0, &vectors[turn].1).expect("known rows")
        });
    }
}
