//! Products of many rows with all rows of a table, and the best of each.

use std::sync::Arc;

use cofi::ids::{ItemIdx, UserIdx};
use cofi::score::Predictor;
use cofi_kernel_benches::{Report, Work};

use super::inputs::{FACTORS, embeddings};

const USERS: usize = 1_000;
const BEST: usize = 10;
/// Rows that are asked for at a time.
const QUERIES: usize = 192;

pub fn benches(report: &mut Report) {
    for (n_items, case) in [(20_000, "192 of 20,000"), (60_000, "192 of 60,000")] {
        let embeddings = Arc::new(embeddings(USERS, n_items));
        let mut predictor = Predictor::new(embeddings.clone(), None).expect("no network is needed");
        // Blocks of the table stay in a cache.
        let work = Work {
            elements: ((QUERIES * n_items) as u64, "pairs"),
            flops: (QUERIES * n_items * 2 * FACTORS) as u64,
            bytes: (n_items * 4 * FACTORS) as u64,
            memory: None,
        };
        let users: Vec<UserIdx> = (0..QUERIES as u32).map(UserIdx).collect();
        let items: Vec<ItemIdx> = (0..QUERIES as u32).map(ItemIdx).collect();
        report.measure(("recommend 10", case), work, || {
            predictor.recommend_each(&users, BEST, &|_| &[]).expect("known users")
        });
        report.measure(("similar 10", case), work, || embeddings.similar_items(&items, BEST));
    }
}
