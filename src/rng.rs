//! The one source of chance: a seeded generator, forked by purpose.
//!
//! Which rows are held out, what a model starts from and the order of its batches all come from here, so the streams
//! are part of what makes a stored model repeatable. They must never change, whatever a dependency does: this is our
//! own code, held to published vectors.
//!
//! The generator is xoshiro256++ 1.0, its state filled by SplitMix64, as its authors advise (D. Blackman, S. Vigna:
//! "Scrambled linear pseudorandom number generators", ACM TOMS 47, 2021; <https://prng.di.unimi.it>).

/// A stream of random numbers that depends on the seed and the purposes it was forked by, and on nothing else.
#[derive(Clone, Debug)]
pub struct Rng {
    /// What forks start from: never advanced, so that a fork does not depend on what was drawn before it.
    key: u64,
    state: [u64; 4],
}

impl Rng {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        let mut counter = seed;
        let state = std::array::from_fn(|_| split_mix(&mut counter));
        Self { key: seed, state }
    }

    /// An independent stream for a purpose; the same whenever it is asked for.
    pub fn fork(&self, purpose: &str) -> Self {
        Self::new(purpose.bytes().fold(mix(self.key), |key, byte| mix(key ^ u64::from(byte))))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.state;
        let result = s0.wrapping_add(*s3).rotate_left(23).wrapping_add(*s0);
        let shifted = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= shifted;
        *s3 = s3.rotate_left(45);
        result
    }

    /// A number below `n`, each equally likely; 0 where `n` is 0.
    ///
    /// D. Lemire: "Fast random integer generation in an interval", ACM TOMACS 29, 2019.
    pub fn below(&mut self, n: u32) -> u32 {
        loop {
            let product = (self.next_u64() >> 32) * u64::from(n);
            // What is unfair is less than `n`, so the division is seldom needed.
            if product as u32 >= n || product as u32 >= n.wrapping_neg().checked_rem(n).unwrap_or(0) {
                return (product >> 32) as u32;
            }
        }
    }

    /// A number in `[0, 1)`, a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        unit_interval(self.next_u64())
    }

    /// A draw from the normal distribution of mean 0 and standard deviation `std`.
    ///
    /// Marsaglia's polar method, one value of each pair thrown away. Its logarithm is our own and not the platform's.
    pub fn normal(&mut self, std: f64) -> f64 {
        loop {
            let x = 2.0 * self.uniform() - 1.0;
            let y = 2.0 * self.uniform() - 1.0;
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return std * x * (-2.0 * ln(square) / square).sqrt();
            }
        }
    }

    /// A draw from the same distribution, drawn again while it is more than two deviations away. The result's own
    /// deviation is 0.88 `std`.
    pub fn truncated_normal(&mut self, std: f64) -> f64 {
        loop {
            let normal = self.normal(1.0);
            if normal.abs() <= 2.0 {
                return std * normal;
            }
        }
    }

    /// Puts the values in a random order, each order equally likely (Fisher-Yates).
    pub fn shuffle(&mut self, values: &mut [u32]) {
        for last in (1..values.len()).rev() {
            let chosen = self.below(last as u32 + 1) as usize;
            values.swap(last, chosen);
        }
    }
}

/// 64 random bits as a number in `[0, 1)`, a multiple of 2^-53.
pub fn unit_interval(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// SplitMix64's output function: neighbouring numbers give unrelated ones, and no two give the same.
pub fn mix(bits: u64) -> u64 {
    split_mix(&mut { bits })
}

/// SplitMix64 (S. Vigna's `splitmix64.c`, after G. Steele, D. Lea, C. Flood, OOPSLA 2014).
fn split_mix(counter: &mut u64) -> u64 {
    *counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *counter;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The natural logarithm of a positive, normal number, from additions, multiplications and divisions alone, which IEEE 754
/// fixes to the last bit: the platform's own may differ from one C library to the next. Good to a few 1e-16.
fn ln(x: f64) -> f64 {
    // x = mantissa * 2^exponent with the mantissa in [sqrt(1/2), sqrt(2)), where the series below converges fast.
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln(m) = 2 artanh(t) = 2 (t + t^3/3 + t^5/5 + ...) with t = (m - 1) / (m + 1), |t| < 0.172.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let series = (0..12).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    2.0 * t * series + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_gives_the_published_numbers() {
        // Rosetta Code, "Pseudo-random numbers/Splitmix64", seed 1234567.
        let mut counter = 1_234_567;
        let numbers: Vec<u64> = (0..5).map(|_| split_mix(&mut counter)).collect();
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821
            ]
        );
    }

    #[test]
    fn xoshiro_gives_the_published_numbers() {
        // The vector of the crate rand_xoshiro, made with the authors' xoshiro256plusplus.c.
        let mut rng = Rng { key: 0, state: [1, 2, 3, 4] };
        let numbers: Vec<u64> = (0..10).map(|_| rng.next_u64()).collect();
        assert_eq!(
            numbers,
            [
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386,
                9_228_616_714_210_784_205,
                9_973_669_472_204_895_162,
                14_011_001_112_246_962_877,
                12_406_186_145_184_390_807,
                15_849_039_046_786_891_736,
                10_450_023_813_501_588_000
            ]
        );
    }

    #[test]
    fn seeds_and_purposes_give_the_streams_that_models_were_trained_with() {
        // From an implementation of the published algorithms in Python; these numbers must never change.
        let mut rng = Rng::new(42);
        let numbers = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        assert_eq!(numbers, [15_021_278_609_987_233_951, 5_881_210_131_331_364_753, 18_149_643_915_985_481_100]);
        let mut init = rng.fork("init");
        assert_eq!([init.next_u64(), init.next_u64()], [8_229_115_005_132_732_141, 9_263_672_720_966_431_453]);
    }

    #[test]
    fn a_fork_depends_on_the_seed_and_the_purpose_alone() {
        let mut drawn = Rng::new(42);
        drawn.next_u64();
        let first = |rng: &Rng, purpose: &str| rng.fork(purpose).next_u64();
        assert_eq!(first(&drawn, "init"), first(&Rng::new(42), "init"));
        assert_ne!(first(&drawn, "init"), first(&drawn, "order"));
        assert_ne!(first(&drawn, "init"), first(&Rng::new(43), "init"));
        assert_ne!(first(&drawn, "ab"), first(&drawn, "ba"));
        assert_ne!(first(&drawn, ""), Rng::new(42).next_u64());
    }

    #[test]
    fn below_is_even_and_bounded() {
        let mut rng = Rng::new(7);
        let mut counts = [0u32; 6];
        (0..60_000).for_each(|_| counts[rng.below(6) as usize] += 1);
        // Five standard deviations of a binomial count of 10,000: sqrt(60,000 / 6 * 5 / 6) = 91.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 456), "{counts:?}");
        // Three quarters of 2^32: without the rejection step every third number would come up twice as often.
        let thirds = (0..30_000).filter(|_| rng.below(0xc000_0000).is_multiple_of(3)).count();
        assert!(thirds.abs_diff(10_000) < 408, "{thirds}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    }

    #[test]
    fn uniform_is_below_one_and_has_the_right_mean() {
        assert_eq!(unit_interval(0), 0.0);
        assert_eq!(unit_interval(u64::MAX), 1.0 - f64::EPSILON / 2.0);
        let mut rng = Rng::new(3);
        let mean = (0..100_000).map(|_| rng.uniform()).sum::<f64>() / 100_000.0;
        assert!((mean - 0.5).abs() < 5.0 * (1.0f64 / 12.0 / 100_000.0).sqrt(), "{mean}");
    }

    #[test]
    fn truncated_normal_has_the_moments_of_the_distribution() {
        let mut rng = Rng::new(1);
        let draws: Vec<f64> = (0..200_000).map(|_| rng.truncated_normal(0.01)).collect();
        assert!(draws.iter().all(|draw| draw.abs() <= 0.02));
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 5.0 * 0.0088 / (draws.len() as f64).sqrt(), "{mean}");
        // scipy.stats.truncnorm(-2, 2).std()
        assert!((variance.sqrt() / 0.01 - 0.879_625_661_034).abs() < 0.006, "{}", variance.sqrt());
    }

    #[test]
    fn normal_has_the_moments_of_the_distribution() {
        let mut rng = Rng::new(2);
        let draws: Vec<f64> = (0..200_000).map(|_| rng.normal(0.5)).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        // Five standard deviations of the mean and of the variance of 200,000 draws; 4.55 % lie beyond two deviations.
        assert!(mean.abs() < 0.0056 && (variance / 0.25 - 1.0).abs() < 0.016, "{mean} {variance}");
        let beyond = draws.iter().filter(|draw| draw.abs() > 1.0).count() as f64 / draws.len() as f64;
        assert!((beyond - 0.0455).abs() < 0.0024, "{beyond}");
    }

    #[test]
    fn the_logarithm_agrees_with_the_platforms() {
        let mut rng = Rng::new(5);
        for _ in 0..10_000 {
            let x = rng.uniform().max(1e-300) * 2f64.powi(rng.below(60) as i32 - 50);
            assert!((ln(x) - x.ln()).abs() <= 1e-15 * x.ln().abs().max(0.25), "{x}");
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn shuffle_makes_every_order_equally_often() {
        let mut rng = Rng::new(11);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..24_000 {
            let mut values = [0, 1, 2, 3];
            rng.shuffle(&mut values);
            *counts.entry(values).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        // Five standard deviations of a count of 1,000.
        assert!(counts.values().all(|count| count.abs_diff(1_000) < 155), "{counts:?}");
    }
}
