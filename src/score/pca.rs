//! Principal components of embeddings: the few directions in which they differ most.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::error::{Error, Result};

/// The most components that are computed.
pub const MOST_COMPONENTS: usize = 64;

/// The share of the variance below which a component is rounding of the single-precision factors, and no more.
const NOTHING: f64 = f32::EPSILON as f64 * f32::EPSILON as f64;

/// Loadings whose magnitudes differ by less than this are as large as each other.
const TIE: f64 = 1e-6;

/// `N` rows in the space of their first `n` principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Components {
    /// Each row's coordinates, those of the first component first: `[N, n]`, row by row, with mean 0.
    pub scores: Vec<f32>,
    /// Each component's share of the variance, descending: `[n]`; 0 where the rows do not vary.
    pub explained: Vec<f64>,
}

/// The first `n_components` principal components of `N` rows of `K` factors (`[N, K]`, row by row): projections of the
/// centred rows onto the eigenvectors of their covariance, by descending eigenvalue (I. T. Jolliffe: "Principal
/// Component Analysis", 2002, chapter 1).
///
/// An eigenvector is known but for its sign: here its loading of the largest magnitude is positive, the first one of
/// several that are as large. A component without variance (more components than dimensions that vary) has scores of 0.
/// In `f64`; the same input gives the same bits. With `M` the lower of `N` and `K`: time `N K M + M^3`, memory `N n + M^2`, where
/// `N` is the lower `N K` besides.
///
/// # Errors
/// `n_components` outside 1 to the lower of `K` and 64; factors that are not finite or not whole rows.
pub fn principal_components(rows: &[f32], n_factors: usize, n_components: usize) -> Result<Components> {
    let most = n_factors.min(MOST_COMPONENTS);
    if !(1..=most).contains(&n_components) {
        let allowed = format!("1 to {most}, the lower of {n_factors} factors and {MOST_COMPONENTS}");
        return Err(Error::argument("n_components", n_components, allowed, ""));
    }
    if !rows.len().is_multiple_of(n_factors) || !rows.iter().all(|value| value.is_finite()) {
        return Err(Error::new("the factors are not whole rows of finite numbers; train the model again"));
    }
    let means = means(rows, n_factors);
    let n_rows = rows.len() / n_factors;
    let by_rows = n_rows < n_factors;
    let products = if by_rows { row_products(rows, &means) } else { covariance(rows, &means) };
    let total: f64 = products.iter().enumerate().filter_map(|(i, row)| row.get(i)).sum();
    let mut directions = if total > 0.0 { eigenvectors(&products, total, n_components)? } else { Vec::new() };
    if by_rows {
        directions.iter_mut().for_each(|weights| *weights = direction_of(rows, &means, weights, total));
    }
    directions.iter_mut().for_each(|direction| give_sign(direction));

    let mut components = Components { scores: vec![0.0; n_rows * n_components], explained: vec![0.0; n_components] };
    for (place, (direction, explained)) in directions.iter().zip(&mut components.explained).enumerate() {
        let projected = || {
            rows.chunks_exact(n_factors).map(|row| centred(row, &means).zip(direction).map(|(x, v)| x * v).sum::<f64>())
        };
        let share = projected().map(|score| score * score).sum::<f64>() / total;
        if share > NOTHING {
            *explained = share;
            let column = components.scores.iter_mut().skip(place).step_by(n_components);
            column.zip(projected()).for_each(|(slot, score)| *slot = score as f32);
        }
    }
    Ok(components)
}

/// The mean of each factor: `[K]`.
fn means(rows: &[f32], n_factors: usize) -> Vec<f64> {
    let mut sums = vec![0.0; n_factors];
    for row in rows.chunks_exact(n_factors) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let n_rows = (rows.len() / n_factors).max(1) as f64;
    sums.iter_mut().for_each(|sum| *sum /= n_rows);
    sums
}

/// A row less the means.
fn centred<'a>(row: &'a [f32], means: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    row.iter().zip(means).map(|(value, mean)| f64::from(*value) - mean)
}

/// `N` times the covariance of the factors, its lower triangle: row `i` has the columns 0 to `i`.
fn covariance(rows: &[f32], means: &[f64]) -> Vec<Vec<f64>> {
    let mut sums: Vec<Vec<f64>> = (1..=means.len()).map(|width| vec![0.0; width]).collect();
    let mut deviations = Vec::with_capacity(means.len());
    for row in rows.chunks_exact(means.len()) {
        deviations.clear();
        deviations.extend(centred(row, means));
        for (sums, own) in sums.iter_mut().zip(&deviations) {
            sums.iter_mut().zip(&deviations).for_each(|(sum, other)| *sum += own * other);
        }
    }
    sums
}

/// The products of all centred rows with each other, as [`covariance`] has those of factors: it has the same eigenvalues, but for
/// zeros, and is the smaller one where there are fewer rows than factors.
fn row_products(rows: &[f32], means: &[f64]) -> Vec<Vec<f64>> {
    let deviations: Vec<Vec<f64>> = rows.chunks_exact(means.len()).map(|row| centred(row, means).collect()).collect();
    let product = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
    let row =
        |(one, place): (&Vec<f64>, usize)| deviations.iter().take(place).map(|other| product(one, other)).collect();
    deviations.iter().zip(1..).map(row).collect()
}

/// The direction, of length 1, that an eigenvector of the products of rows stands for: the sum of the rows, each by its weight.
/// All 0 where that is nothing but rounding.
fn direction_of(rows: &[f32], means: &[f64], weights: &[f64], total: f64) -> Vec<f64> {
    let mut sum = vec![0.0; means.len()];
    for (row, weight) in rows.chunks_exact(means.len()).zip(weights) {
        sum.iter_mut().zip(centred(row, means)).for_each(|(sum, deviation)| *sum += weight * deviation);
    }
    let square = sum.iter().map(|value| value * value).sum::<f64>();
    let length = if square > NOTHING * total { square.sqrt() } else { f64::INFINITY };
    sum.iter_mut().for_each(|value| *value /= length);
    sum
}

/// The eigenvectors of the largest eigenvalues, each of length 1; at most `n_components`.
fn eigenvectors(products: &[Vec<f64>], total: f64, n_components: usize) -> Result<Vec<Vec<f64>>> {
    let size = products.len();
    // Adding the identity moves every eigenvalue, all between 0 and 1 here, and no eigenvector. The solver measures
    // what is left by the diagonal, and without full rank that may be all but 0: of 3,000 random matrices one was off
    // by 3e-6 then, with the identity all are within 1e-14. Of the matrix it reads the lower triangle only.
    let matrix = DMatrix::from_fn(size, size, |i, j| {
        let entry = products.get(i).and_then(|row| row.get(j)).map_or(0.0, |sum| sum / total);
        if i == j { entry + 1.0 } else { entry }
    });
    let eigen = SymmetricEigen::try_new(matrix, f64::EPSILON, 100 * size + 100)
        .ok_or_else(|| Error::new("the principal components did not converge; train the model again"))?;
    let mut order: Vec<(f64, usize)> = eigen.eigenvalues.iter().copied().zip(0..).collect();
    order.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    let vectors = order.iter().take(n_components).map(|(_, column)| eigen.eigenvectors.column(*column));
    Ok(vectors.map(|vector| vector.iter().copied().collect()).collect())
}

/// Turns a direction so that its sign is that of the documentation.
fn give_sign(loadings: &mut [f64]) {
    let largest = loadings.iter().fold(0.0f64, |largest, loading| largest.max(loading.abs()));
    let decides = loadings.iter().find(|loading| loading.abs() >= largest * (1.0 - TIE));
    if decides.is_some_and(|loading| *loading < 0.0) {
        loadings.iter_mut().for_each(|loading| *loading = -*loading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn points_on_a_line_have_one_component() {
        // Along (-3, 4) / 5 from the mean (1, 2): the larger loading, the second, is positive.
        let rows = [1.0, 2.0, -2.0, 6.0, 4.0, -2.0];
        let found = principal_components(&rows, 2, 2).unwrap();
        let expected = [0.0, 0.0, 5.0, 0.0, -5.0, 0.0];
        assert!(
            found.scores.iter().zip(expected).all(|(score, expected)| (score - expected).abs() < 1e-6),
            "{found:?}"
        );
        assert!((found.explained[0] - 1.0).abs() < 1e-12 && found.explained[1] == 0.0, "{found:?}");
    }

    #[test]
    fn the_first_of_loadings_that_are_as_large_is_positive() {
        let found = principal_components(&[1.0, -1.0, -1.0, 1.0], 2, 1).unwrap();
        assert!((found.scores[0] - 2f32.sqrt()).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn rows_that_do_not_vary_have_scores_of_zero() {
        for (rows, n_rows) in [(vec![0.5; 12], 4), (vec![0.0; 12], 4), (vec![1.0, 2.0, 3.0], 1), (vec![], 0)] {
            let found = principal_components(&rows, 3, 3).unwrap();
            assert_eq!(found, Components { scores: vec![0.0; n_rows * 3], explained: vec![0.0; 3] });
        }
    }

    #[test]
    fn every_rank_and_size_converges_to_the_same_bits() {
        let mut rng = Rng::new(5);
        for (n_rows, n_factors, rank, unit) in
            [(200, 64, 3, 1.0), (5, 40, 40, 1e-30), (40, 33, 2, 1e30), (100, 12, 6, 1e-3), (300, 200, 150, 1.0)]
        {
            // Rows of zeros and ones with many zero columns: hard for solvers that divide by what is left.
            let basis: Vec<bool> = (0..rank * n_factors).map(|_| rng.uniform() < 0.2).collect();
            let picked: Vec<usize> = (0..n_rows).map(|_| rng.below(rank as u32) as usize).collect();
            let rows: Vec<f32> = picked
                .iter()
                .flat_map(|row| &basis[row * n_factors..(row + 1) * n_factors])
                .map(|one| if *one { unit } else { 0.0 })
                .collect();
            let n_components = n_factors.min(MOST_COMPONENTS);
            let found = principal_components(&rows, n_factors, n_components).unwrap();
            assert_eq!(found, principal_components(&rows, n_factors, n_components).unwrap());
            let shares: f64 = found.explained.iter().sum();
            assert!(if rank < n_components { (shares - 1.0).abs() < 1e-9 } else { shares <= 1.0 + 1e-9 }, "{shares}");
            assert!(found.explained.iter().skip(rank).all(|share| *share == 0.0), "{:?}", found.explained);
            assert!(found.explained.is_sorted_by(|one, next| *one >= next - 1e-12), "{:?}", found.explained);
        }
    }

    #[test]
    fn few_rows_of_many_factors_have_the_components_of_their_plane() {
        // The points of the line above, turned into 4,000 dimensions: each coordinate is spread over 2,000 equal ones.
        let spread = |x: f32, y: f32| [vec![x; 2000], vec![y; 2000]].concat();
        let rows = [spread(1.0, 2.0), spread(-2.0, 6.0), spread(4.0, -2.0)].concat();
        let found = principal_components(&rows, 4000, 3).unwrap();
        let length = 5.0 * 2000f32.sqrt();
        let expected = [0.0, 0.0, 0.0, length, 0.0, 0.0, -length, 0.0, 0.0];
        let is_near = |(score, expected): (&f32, f32)| (score - expected).abs() < 1e-4;
        assert!(found.scores.iter().zip(expected).all(is_near), "{found:?}");
        assert!((found.explained[0] - 1.0).abs() < 1e-12 && found.explained[1..] == [0.0; 2], "{found:?}");
    }

    #[test]
    fn components_are_uncorrelated_whatever_the_rank() {
        let mut rng = Rng::new(6);
        for case in 0..400 {
            let (n_rows, n_factors) = (1 + rng.below(50) as usize, 2 + rng.below(40) as usize);
            let density = rng.uniform();
            let rows: Vec<f32> = (0..n_rows * n_factors).map(|_| f32::from(rng.uniform() < density)).collect();
            let found = principal_components(&rows, n_factors, n_factors).unwrap();
            let column =
                |place: usize| found.scores.iter().skip(place).step_by(n_factors).map(|score| f64::from(*score));
            let total: f64 = (0..n_factors).map(|place| column(place).map(|score| score * score).sum::<f64>()).sum();
            for (one, other) in (0..n_factors).flat_map(|one| (0..one).map(move |other| (one, other))) {
                let product: f64 = column(one).zip(column(other)).map(|(one, other)| one * other).sum();
                assert!(product.abs() <= 1e-7 * total, "case {case}: {one} and {other} share {:e}", product / total);
            }
        }
    }

    #[test]
    fn arguments_out_of_range_are_named() {
        for (n_factors, n_components, allowed) in [(3, 0, "1 to 3"), (3, 4, "1 to 3"), (100, 65, "1 to 64")] {
            let error = principal_components(&vec![0.0; n_factors], n_factors, n_components).unwrap_err().to_string();
            assert!(error.starts_with(&format!("n_components = {n_components}: expected {allowed}")), "{error}");
        }
        assert!(principal_components(&[1.0, f32::NAN], 2, 1).is_err());
        assert!(principal_components(&[1.0; 5], 2, 1).is_err());
    }
}
