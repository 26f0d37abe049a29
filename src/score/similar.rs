//! Neighbours in the space of the factors.

use super::dot::dot;
use super::top_k::{Scored, TopK};
use super::{Embeddings, Table, row};
use crate::ids::{ItemIdx, UserIdx};

impl Embeddings {
    /// The `k` items nearest to an item, best first: cosine of the item factors, the item itself left out, the lower
    /// index first where two are equal. Factors that are all 0 are like nothing: similarity 0.
    ///
    /// Time `I K`; the first call computes the norms, which takes as long.
    pub fn similar_items(&self, item: ItemIdx, k: usize) -> Vec<Scored> {
        let norms = self.item_norms.get_or_init(|| norms(&self.parts.items));
        nearest(&self.parts.items, norms, item.index(), k)
    }

    /// The `k` users nearest to a user, by the rules of [`similar_items`](Self::similar_items).
    pub fn similar_users(&self, user: UserIdx, k: usize) -> Vec<Scored> {
        let norms = self.user_norms.get_or_init(|| norms(&self.parts.users));
        nearest(&self.parts.users, norms, user.index(), k)
    }
}

fn nearest(table: &Table, norms: &[f64], index: usize, k: usize) -> Vec<Scored> {
    let own = row(&table.factors, table.width, index);
    let own_norm = norms[index];
    let mut top = TopK::new(k, norms.len().saturating_sub(1));
    for (other, (factors, &norm)) in table.factors.chunks_exact(table.width).zip(norms).enumerate() {
        if other != index {
            top.offer(other as u32, cosine(dot(own, factors), own_norm * norm));
        }
    }
    top.into_sorted()
}

/// `a . b / (|a| |b|)`, in `[-1, 1]`; 0 where a norm is 0.
fn cosine(product: f32, norms: f64) -> f32 {
    if norms > 0.0 { (f64::from(product) / norms).clamp(-1.0, 1.0) as f32 } else { 0.0 }
}

fn norms(table: &Table) -> Vec<f64> {
    let square = |factor: &f32| f64::from(*factor) * f64::from(*factor);
    table.factors.chunks_exact(table.width).map(|row| row.iter().map(square).sum::<f64>().sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Interaction, Parts};
    use super::*;
    use crate::score::Baseline;

    fn embeddings(item_factors: Vec<f32>) -> Embeddings {
        let table = |factors: Vec<f32>| Table { width: 3, biases: Some(vec![0.0; factors.len() / 3]), factors };
        Embeddings::new(Parts {
            users: table(vec![1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 3.0, 3.0, 0.0]),
            items: table(item_factors),
            interaction: Interaction::Dot,
            mu: 0.0,
            range: None,
            classes: None,
            baseline: Baseline::OwnBiases,
        })
        .unwrap()
    }

    fn pairs(scored: Vec<Scored>) -> Vec<(u32, f32)> {
        scored.into_iter().map(|scored| (scored.index, scored.score)).collect()
    }

    #[test]
    fn similarities_are_those_of_duckdb() {
        let model = embeddings(vec![0.1, -0.2, 0.3, 0.5, 0.25, -0.125, -0.7, 0.9, 0.05, 1e-3, 2e-3, 3e-3]);
        // SELECT array_cosine_similarity([0.1, -0.2, 0.3]::FLOAT[3], ...::FLOAT[3]), DuckDB 2.0.0
        let expected = [(3, 0.428_571_46_f32), (1, -0.174_963_55), (2, -0.550_319_6)];
        let similar = pairs(model.similar_items(ItemIdx(0), 10));
        for ((item, similarity), (expected_item, expected_similarity)) in similar.into_iter().zip(expected) {
            assert_eq!(item, expected_item);
            assert!((similarity - expected_similarity).abs() < 1e-6, "{item}: {similarity}");
        }
    }

    #[test]
    fn the_item_itself_is_left_out_and_ties_go_by_index() {
        let model = embeddings(vec![1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.5, 0.0, 0.0, -1.0, 0.0, 0.0]);
        assert_eq!(pairs(model.similar_items(ItemIdx(1), 3)), [(0, 1.0), (2, 1.0), (3, -1.0)]);
        assert_eq!(pairs(model.similar_items(ItemIdx(1), 1)), [(0, 1.0)]);
    }

    #[test]
    fn rounding_takes_no_similarity_beyond_one() {
        let mut rng = crate::rng::Rng::new(1);
        for _ in 0..100 {
            let draw: Vec<f32> = (0..50).map(|_| rng.truncated_normal(0.1) as f32).collect();
            let opposite: Vec<f32> = draw.iter().map(|factor| -factor).collect();
            let norm = norms(&Table { width: 50, factors: draw.clone(), biases: None })[0];
            assert!((0.999_999..=1.0).contains(&cosine(dot(&draw, &draw), norm * norm)));
            assert!((-1.0..=-0.999_999).contains(&cosine(dot(&draw, &opposite), norm * norm)));
        }
    }

    #[test]
    fn factors_that_are_zero_are_like_nothing() {
        let model = embeddings(vec![0.0, -0.0, 0.0, 1.0, 1.0, 1.0, -1.0, 0.0, 0.0]);
        assert_eq!(pairs(model.similar_items(ItemIdx(0), 5)), [(1, 0.0), (2, 0.0)]);
        assert_eq!(model.similar_items(ItemIdx(1), 5)[0], Scored { index: 0, score: 0.0 });
    }

    #[test]
    fn users_have_neighbours_too() {
        let model = embeddings(vec![1.0, 1.0, 1.0]);
        let half_root = std::f32::consts::FRAC_1_SQRT_2;
        assert_eq!(pairs(model.similar_users(UserIdx(2), 5)), [(0, half_root), (1, half_root)]);
        assert_eq!(model.similar_items(ItemIdx(0), 5), []);
    }
}
