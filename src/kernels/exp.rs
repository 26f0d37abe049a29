//! The exponential function, with the same bits on every machine.

use super::LANES;

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts, of which the first has so few bits that its products with whole numbers are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Adding it rounds to a whole number.
const ROUNDER: f32 = 12_582_912.0;

/// `exp(x)` to 2 units in the last place; 0 below -80, and what it is at 88 above 88.
///
/// The reduction and the polynomial of S. Moshier's Cephes library, `expf`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let inside = x.clamp(-87.0, 88.0);
    let rounded = inside * LOG2_E + ROUNDER;
    let n = rounded - ROUNDER;
    let r = (inside - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut sum = 1.987_569_1e-4f32;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        sum = sum * r + coefficient;
    }
    let fraction = sum * (r * r) + r + 1.0;
    // The whole number is in the lowest bits of what was rounded.
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    // Worked out in any case: a branch would keep loops from being vectors.
    let value = fraction * power;
    if x < -80.0 { 0.0 } else { value }
}

/// The same of each number.
#[inline(always)]
pub fn exp_each(mut x: [f32; LANES]) -> [f32; LANES] {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_exponential_of_double_precision() {
        for step in -80_000..=88_000 {
            let x = step as f32 / 1_000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2e-7, "{x}: {error}");
        }
        assert_eq!((exp(0.0), exp(-81.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert!(exp(f32::INFINITY) > 1e38 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn sigmoids_are_shares() {
        assert_eq!((sigmoid(0.0), sigmoid(100.0)), (0.5, 1.0));
        assert!((0.0..1e-37).contains(&sigmoid(-100.0)));
        assert!((f64::from(sigmoid(1.0)) - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-7);
    }
}
