//! The inner loop of everything here.

/// How many sums run side by side, so that the compiler can use vectors without changing a result.
const LANES: usize = 8;

/// The dot product of two slices of one length, summed in an order that depends on the length alone.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += a * b;
    }
    let [s0, s1, s2, s3, s4, s5, s6, s7] = sums;
    ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn every_length_agrees_with_the_sum_in_double_precision() {
        let mut rng = Rng::new(1);
        for len in 0..70 {
            let mut draw = || (0..len).map(|_| rng.truncated_normal(1.0) as f32).collect::<Vec<_>>();
            let (a, b) = (draw(), draw());
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-5, "{len}");
        }
    }
}
