//! The exponential function and the sigmoid range, the same bits on every machine.

use super::LANES;
use super::level::per_level;

/// `e^x`, off by less than two units in the last place; infinite above 88.73, 0 below -103.97, not a number for one that is not.
///
/// A polynomial for the remainder of a power of two: S. L. Moshier, Cephes mathematical library, `expf`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding it leaves the nearest whole number in the lowest bits, and no instruction to round is needed.
    const ROUNDING: f32 = 12_582_912.0;
    // ln 2 in two parts; the first has so few digits that its products here are exact.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let x = x.clamp(-105.0, 89.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUNDING;
    let power = shifted - ROUNDING;
    let rest = (x - power * LN_2.0) - power * LN_2.1;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = sum * rest + coefficient;
    }
    let whole = shifted.to_bits() as i32 - ROUNDING.to_bits() as i32;
    // In two factors, as the power itself may lie beyond what a float can say though the product does not.
    let half = whole >> 1;
    (sum * (rest * rest) + rest + 1.0) * power_of_two(half) * power_of_two(whole - half)
}

/// The exponentials of as many numbers as lanes.
#[inline(always)]
pub(super) fn exp_each(mut x: [f32; LANES]) -> [f32; LANES] {
    // `map` would be a call that is compiled for the oldest instructions.
    for x in &mut x {
        *x = exp(*x);
    }
    x
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `lo + (hi - lo) sigmoid(x)`.
#[inline(always)]
pub fn in_range(x: f32, lo: f32, hi: f32) -> f32 {
    lo + (hi - lo) / (1.0 + exp(-x))
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

/// `2^power`, for powers from -126 to 127.
#[inline(always)]
fn power_of_two(power: i32) -> f32 {
    f32::from_bits(((power + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Level;

    #[test]
    fn the_exponential_is_that_of_double_precision() {
        for step in -870_000..=887_000 {
            let x = step as f32 * 1e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 1.8e-7, "{x}: {} is not {exact}", exp(x));
        }
        assert_eq!((exp(0.0), exp(-0.0)), (1.0, 1.0));
        assert_eq!((exp(88.8), exp(f32::MAX), exp(f32::INFINITY)), (f32::INFINITY, f32::INFINITY, f32::INFINITY));
        assert_eq!((exp(-104.5), exp(f32::MIN), exp(f32::NEG_INFINITY)), (0.0, 0.0, 0.0));
        let subnormal = (f64::from(exp(-100.0)) - (-100f64).exp()).abs();
        assert!(subnormal < 1e-44, "{subnormal}");
        assert!(exp(f32::NAN).is_nan());
    }

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
        assert_eq!((in_range(-1e30, 0.0, 1.0), in_range(1e30, 0.5, 5.5)), (0.0, 5.5));
    }
}
