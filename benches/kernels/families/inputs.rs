//! Embeddings of any size, and pairs to rate.

use cofi::rng::Rng;
use cofi::score::{Baseline, Embeddings, Interaction, Parts, Table};

/// The factors of the benches: those of the examples in the documents.
pub const FACTORS: usize = 50;

/// A model with biases and a range.
pub fn embeddings(n_users: usize, n_items: usize) -> Embeddings {
    let mut rng = Rng::new(1);
    let mut numbers = |n: usize| (0..n).map(|_| rng.truncated_normal(0.1) as f32).collect::<Vec<f32>>();
    let mut table =
        |rows: usize| Table { width: FACTORS, factors: numbers(rows * FACTORS), biases: Some(numbers(rows)) };
    let parts = Parts {
        users: table(n_users),
        items: table(n_items),
        interaction: Interaction::Dot,
        mu: 0.1,
        range: Some((0.0, 5.5)),
        classes: None,
        baseline: Baseline::OwnBiases,
    };
    Embeddings::new(parts).expect("sound parts")
}

/// `n` rows below `rows`.
pub fn rows(n: usize, rows: usize, seed: u64) -> Vec<u32> {
    let mut rng = Rng::new(seed);
    (0..n).map(|_| rng.below(rows as u32)).collect()
}
