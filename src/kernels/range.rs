//! Numbers put into a range.

use super::level::per_level;
use super::sigmoid;

/// `lo + (hi - lo) sigmoid(x)`.
#[inline(always)]
pub fn in_range(x: f32, lo: f32, hi: f32) -> f32 {
    lo + (hi - lo) * sigmoid(x)
}

per_level! {
    /// Puts every number [`in_range`]. Bits are the same at every level.
    pub fn all_in_range(numbers: &mut [f32], lo: f32, hi: f32) = all_in_range_body;
}

#[inline(always)]
fn all_in_range_body(numbers: &mut [f32], lo: f32, hi: f32) {
    for number in numbers {
        *number = in_range(*number, lo, hi);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Level;

    #[test]
    fn ranges_are_those_of_the_formula_at_every_level() {
        let numbers: Vec<f32> = (-1000..1000).map(|step| step as f32 * 0.1).collect();
        for (lo, hi) in [(0.5, 5.5), (-1e9, 1e-3), (0.0, 1.0)] {
            let expected: Vec<f32> = numbers.iter().map(|x| in_range(*x, lo, hi)).collect();
            for (x, found) in numbers.iter().zip(&expected) {
                let exact = f64::from(lo) + f64::from(hi - lo) / (1.0 + (-f64::from(*x)).exp());
                assert!((f64::from(*found) - exact).abs() < 3e-7 * f64::from(hi - lo), "{x}: {found} is not {exact}");
            }
            for level in Level::available() {
                let mut found = numbers.clone();
                all_in_range(level, &mut found, lo, hi);
                assert_eq!(found, expected, "{level}");
            }
        }
        assert_eq!((in_range(-1e30, 0.5, 5.5), in_range(1e30, 0.5, 5.5)), (0.5, 5.5));
        assert!((0.0..1e-37).contains(&in_range(-1e30, 0.0, 1.0)));
    }
}
