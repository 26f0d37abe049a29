//! Scales from values to places on the page, and round numbers along them.

use super::text;

/// The largest magnitude that is drawn; what lies beyond is left out as infinite values are.
const LARGEST: f64 = 1e100;

/// A value that can be drawn: finite and of a magnitude that arithmetic on it cannot lose.
pub fn drawable(value: f64) -> Option<f64> {
    let fits = value.abs() <= LARGEST;
    fits.then_some(if value.abs() < 1.0 / LARGEST { 0.0 } else { value })
}

/// The lowest and the highest of the values; `None` where there are none.
pub fn extent(values: impl IntoIterator<Item = f64>) -> Option<[f64; 2]> {
    values.into_iter().fold(None, |extent, value| match extent {
        None => Some([value, value]),
        Some([lo, hi]) => Some([f64::min(lo, value), f64::max(hi, value)]),
    })
}

/// A linear scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The values at both ends, the first below the second.
    pub domain: [f64; 2],
    /// Where the ends lie on the page.
    pub range: [f64; 2],
}

impl Scale {
    /// The scale over `domain`, which is widened where it has hardly any width.
    pub fn new(domain: [f64; 2], range: [f64; 2]) -> Self {
        let [lo, hi] = domain;
        let middle = (lo + hi) / 2.0;
        let least = lo.abs().max(hi.abs()) * 1e-6;
        let domain = match hi - lo > least {
            true => domain,
            false if middle == 0.0 => [-1.0, 1.0],
            false => [middle - middle.abs() * 0.05, middle + middle.abs() * 0.05],
        };
        Self { domain, range }
    }

    /// The scale whose ends are ticks: `domain` widened outwards to round numbers.
    pub fn nice(domain: [f64; 2], range: [f64; 2], at_most: usize) -> Self {
        let Self { domain: [lo, hi], .. } = Self::new(domain, range);
        let step = step(lo, hi, at_most);
        Self { domain: [multiple((lo / step).floor(), step), multiple((hi / step).ceil(), step)], range }
    }

    /// Where a value lies on the page.
    pub fn at(&self, value: f64) -> f64 {
        let ([lo, hi], [start, end]) = (self.domain, self.range);
        start + (value - lo) / (hi - lo) * (end - start)
    }

    /// Round numbers within the domain, with what is printed beside them.
    pub fn ticks(&self, at_most: usize) -> Vec<(f64, String)> {
        let [lo, hi] = self.domain;
        let step = step(lo, hi, at_most);
        ticks(lo, hi, at_most).into_iter().map(|value| (value, label(value, step, lo.abs().max(hi.abs())))).collect()
    }
}

/// The round numbers within `lo..=hi`: multiples of 1, 2 or 5 times a power of ten, at most `at_most` of them (at least 2)
/// and as many as that allows. Empty where `lo` is not below `hi`.
pub fn ticks(lo: f64, hi: f64, at_most: usize) -> Vec<f64> {
    if !(lo < hi && lo.is_finite() && hi.is_finite()) {
        return Vec::new();
    }
    let step = step(lo, hi, at_most);
    let (first, last) = bounds(lo, hi, step);
    (0..=(last - first) as usize).map(|place| multiple(first + place as f64, step)).collect()
}

/// The smallest step of ticks with which there are not more than `at_most`.
fn step(lo: f64, hi: f64, at_most: usize) -> f64 {
    let at_most = at_most.max(2) as f64;
    let power = ((hi - lo) / at_most).log10().floor() as i32;
    let steps = (power..power + 3).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    let fits = |step: &f64| {
        let (first, last) = bounds(lo, hi, *step);
        last - first < at_most
    };
    steps.into_iter().find(fits).unwrap_or(hi - lo)
}

/// The numbers of the first and last multiple of a step within a domain, which forgives the rounding of its ends.
fn bounds(lo: f64, hi: f64, step: f64) -> (f64, f64) {
    ((lo / step - 1e-9).ceil(), (hi / step + 1e-9).floor())
}

/// `number` times `step`, which is rounded to the decimals that the step has: 3 times 0.1 is 0.3.
fn multiple(number: f64, step: f64) -> f64 {
    let inverse = (1.0 / step).round();
    // Division by a whole number is exact where multiplication by its inverse is not.
    if step < 1.0 && (inverse * step - 1.0).abs() < 1e-9 { number / inverse } else { number * step }
}

fn label(value: f64, step: f64, largest: f64) -> String {
    if largest >= 1e7 || step < 1e-5 {
        // As many digits as tell neighbours apart.
        let digits = (value.abs().max(step) / step).log10().ceil().clamp(0.0, 12.0) as usize;
        return if value == 0.0 { "0".to_owned() } else { text::scientific(value, digits.min(6)) };
    }
    text::decimal(value, (-step.log10() - 1e-9).ceil().max(0.0) as usize)
}
