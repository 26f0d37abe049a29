//! Neighbours in the space of the factors.

use std::sync::OnceLock;

use super::recommend::length;
use super::search::Search;
use super::top_k::Scored;
use super::{Embeddings, Table, row};
use crate::ids::{ItemIdx, UserIdx};
use crate::kernels::product::Panels;
use crate::kernels::{Judge, LANES, Level, prefetch_all};

/// The factors of one side as searches for neighbours read them.
#[derive(Clone, Debug)]
pub(super) struct Directions {
    /// `|x|` of each row.
    norms: Vec<f64>,
    /// `x / |x|`, and 0 where `x` is 0.
    panels: Panels,
}

impl Embeddings {
    /// The `k` items nearest to each of some items, best first: cosine of the item factors, the item itself left out, the lower
    /// index first where two are equal. Factors that are all 0 are like nothing: similarity 0.
    ///
    /// Time `I K` an item; the first call copies the table of items, which takes as long.
    pub fn similar_items(&self, items: &[ItemIdx], k: usize) -> Vec<Vec<Scored>> {
        let indices: Vec<u32> = items.iter().map(|item| item.0).collect();
        nearest(Level::best(), &self.parts.items, &self.prepared.items, &indices, k)
    }

    /// The `k` users nearest to each of some users, by the rules of [`similar_items`](Self::similar_items).
    pub fn similar_users(&self, users: &[UserIdx], k: usize) -> Vec<Vec<Scored>> {
        let indices: Vec<u32> = users.iter().map(|user| user.0).collect();
        nearest(Level::best(), &self.parts.users, &self.prepared.users, &indices, k)
    }
}

fn nearest(
    level: Level,
    table: &Table,
    directions: &OnceLock<Directions>,
    indices: &[u32],
    k: usize,
) -> Vec<Vec<Scored>> {
    let Directions { norms, panels } = directions.get_or_init(|| Directions::of(table));
    let width = table.width;
    let judge = Neighbours { table, norms, indices };
    let search = Search { level, panels, width, k, judge };
    let fill = |place: usize, query: &mut [f32]| {
        let index = indices[place] as usize;
        write_direction(row(&table.factors, width, index), norms[index], query);
    };
    // Twice the bound of the rounding errors of a sum whose terms add up to 1 at most, and of the rounded directions, doubled.
    let slack = (width + 8) as f32 * 4.0 * f32::EPSILON;
    search.run(indices.len(), fill, |_| slack)
}

impl Directions {
    fn of(table: &Table) -> Self {
        let norms: Vec<f64> = table.factors.chunks_exact(table.width).map(length).collect();
        let panels = Panels::pack(norms.len(), table.width, |index, direction| {
            write_direction(row(&table.factors, table.width, index), norms[index], direction);
            0.0
        });
        Self { norms, panels }
    }
}

fn write_direction(factors: &[f32], norm: f64, direction: &mut [f32]) {
    if norm > 0.0 {
        direction.iter_mut().zip(factors).for_each(|(number, factor)| *number = (f64::from(*factor) / norm) as f32);
    }
}

/// What a search asks about two rows of a table.
struct Neighbours<'a> {
    table: &'a Table,
    norms: &'a [f64],
    indices: &'a [u32],
}

impl Judge for Neighbours<'_> {
    fn allows(&self, query: usize, other: u32) -> bool {
        self.indices[query] != other
    }

    fn fetch(&self, other: u32) {
        prefetch_all(row(&self.table.factors, self.table.width, other as usize));
    }

    fn exact(&self, query: usize, other: u32) -> f32 {
        let (index, other) = (self.indices[query] as usize, other as usize);
        let factors = |index| row(&self.table.factors, self.table.width, index);
        cosine(factors(index), factors(other), self.norms[index] * self.norms[other])
    }
}

/// `a . b / (|a| |b|)`, in `[-1, 1]`; 0 where a norm is 0. In double precision, in which nothing that a float can say is too small.
fn cosine(a: &[f32], b: &[f32], norms: f64) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += f64::from(*a) * f64::from(*b);
        }
    }
    if norms > 0.0 { (sums.iter().sum::<f64>() / norms).clamp(-1.0, 1.0) as f32 } else { 0.0 }
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

    fn items(model: &Embeddings, item: u32, k: usize) -> Vec<Scored> {
        model.similar_items(&[ItemIdx(item)], k).remove(0)
    }

    fn pairs(scored: Vec<Scored>) -> Vec<(u32, f32)> {
        scored.into_iter().map(|scored| (scored.index, scored.score)).collect()
    }

    #[test]
    fn similarities_are_those_of_duckdb() {
        let model = embeddings(vec![0.1, -0.2, 0.3, 0.5, 0.25, -0.125, -0.7, 0.9, 0.05, 1e-3, 2e-3, 3e-3]);
        // SELECT array_cosine_similarity([0.1, -0.2, 0.3]::FLOAT[3], ...::FLOAT[3]), DuckDB 2.0.0
        let expected = [(3, 0.428_571_46_f32), (1, -0.174_963_55), (2, -0.550_319_6)];
        let similar = pairs(items(&model, 0, 10));
        for ((item, similarity), (expected_item, expected_similarity)) in similar.into_iter().zip(expected) {
            assert_eq!(item, expected_item);
            assert!((similarity - expected_similarity).abs() < 1e-6, "{item}: {similarity}");
        }
    }

    #[test]
    fn the_item_itself_is_left_out_and_ties_go_by_index() {
        let model = embeddings(vec![1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.5, 0.0, 0.0, -1.0, 0.0, 0.0]);
        assert_eq!(pairs(items(&model, 1, 3)), [(0, 1.0), (2, 1.0), (3, -1.0)]);
        assert_eq!(pairs(items(&model, 1, 1)), [(0, 1.0)]);
    }

    #[test]
    fn rounding_takes_no_similarity_beyond_one() {
        let mut rng = crate::rng::Rng::new(1);
        for _ in 0..100 {
            let draw: Vec<f32> = (0..50).map(|_| rng.truncated_normal(0.1) as f32).collect();
            let opposite: Vec<f32> = draw.iter().map(|factor| -factor).collect();
            let norm = length(&draw);
            assert!((0.999_999..=1.0).contains(&cosine(&draw, &draw, norm * norm)));
            assert!((-1.0..=-0.999_999).contains(&cosine(&draw, &opposite, norm * norm)));
        }
    }

    #[test]
    fn factors_that_are_zero_are_like_nothing() {
        let model = embeddings(vec![0.0, -0.0, 0.0, 1.0, 1.0, 1.0, -1.0, 0.0, 0.0]);
        assert_eq!(pairs(items(&model, 0, 5)), [(1, 0.0), (2, 0.0)]);
        assert_eq!(items(&model, 1, 5)[0], Scored { index: 0, score: 0.0 });
    }

    #[test]
    fn users_have_neighbours_too() {
        let model = embeddings(vec![1.0, 1.0, 1.0]);
        let half_root = std::f32::consts::FRAC_1_SQRT_2;
        assert_eq!(pairs(model.similar_users(&[UserIdx(2)], 5).remove(0)), [(0, half_root), (1, half_root)]);
        assert_eq!(items(&model, 0, 5), []);
    }
}
