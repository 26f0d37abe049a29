//! Products of one row with all rows of a table, and the best of them.

use std::sync::Arc;

use cofi::ids::{ItemIdx, UserIdx};
use cofi::score::Predictor;
use cofi_kernel_benches::{Report, Work};

use super::inputs::{FACTORS, embeddings};

const ITEMS: usize = 20_000;
const USERS: usize = 1_000;
const BEST: usize = 10;

pub fn benches(report: &mut Report) {
    let embeddings = Arc::new(embeddings(USERS, ITEMS));
    let mut predictor = Predictor::new(embeddings.clone(), None).expect("no network is needed");
    // The table of items is 4 MB: it stays in a cache.
    let work = Work {
        elements: (ITEMS as u64, "items"),
        flops: (ITEMS * 2 * FACTORS) as u64,
        bytes: (ITEMS * 4 * FACTORS) as u64,
        memory: None,
    };
    let mut turn = 0;
    report.measure(("recommend 10", "one user of 20,000 items"), work, || {
        turn = (turn + 1) % USERS as u32;
        predictor.recommend(UserIdx(turn), BEST, &[]).expect("a known user")
    });
    report.measure(("similar 10", "one item of 20,000"), work, || {
        turn = (turn + 1) % USERS as u32;
        embeddings.similar_items(ItemIdx(turn), BEST)
    });
}
