//! The product of two rows, with the widest registers that there are.
//!
//! Of a loop that adds up in lanes and then the lanes, the compiler makes narrow additions: it sees the tree, and not that its leaves
//! are vectors. So this one is spelt out for each level. All give the same bits: lanes are summed in order, then halves.

use super::LANES;

/// The instructions of a [`Level`](super::Level), as a loop that is compiled for it names them.
pub trait Wide {
    /// The product of two rows, summed in lanes and then in pairs.
    fn dot<const N: usize>(a: &[[f32; LANES]; N], b: &[[f32; LANES]; N]) -> f32;
}

/// What every processor has.
pub struct Portable;

impl Wide for Portable {
    #[inline(always)]
    fn dot<const N: usize>(a: &[[f32; LANES]; N], b: &[[f32; LANES]; N]) -> f32 {
        let mut sums = [0.0; LANES];
        for (a, b) in a.iter().zip(b) {
            for lane in 0..LANES {
                sums[lane] += a[lane] * b[lane];
            }
        }
        total(sums)
    }
}

/// The sum of the lanes: of their halves, of the halves of these, and so on.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub fn total(mut sums: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}

/// Whether no two of the first numbers are equal, and no two of the others.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub fn all_differ(a: &[i32; 4], b: &[i32; 4]) -> bool {
    (0..4).all(|one| (0..one).all(|other| a[one] != a[other] && b[one] != b[other]))
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512, all_differ, total};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Wide};

    /// AVX2 and FMA, of which the latter is not used.
    pub struct Avx2;

    /// AVX-512.
    pub struct Avx512;

    impl Wide for Avx2 {
        #[inline(always)]
        fn dot<const N: usize>(a: &[[f32; LANES]; N], b: &[[f32; LANES]; N]) -> f32 {
            // SAFETY: whoever names the type is compiled for its instructions; each load is inside a block.
            unsafe {
                let (mut low, mut high) = (_mm256_setzero_ps(), _mm256_setzero_ps());
                for (a, b) in a.iter().zip(b) {
                    let (a, b) = (a.as_ptr(), b.as_ptr());
                    low = _mm256_add_ps(low, _mm256_mul_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b)));
                    high = _mm256_add_ps(high, _mm256_mul_ps(_mm256_loadu_ps(a.add(8)), _mm256_loadu_ps(b.add(8))));
                }
                total_of_8(_mm256_add_ps(low, high))
            }
        }
    }

    impl Wide for Avx512 {
        #[inline(always)]
        fn dot<const N: usize>(a: &[[f32; LANES]; N], b: &[[f32; LANES]; N]) -> f32 {
            // SAFETY: whoever names the type is compiled for its instructions; each load is a block.
            unsafe {
                let mut sums = _mm512_setzero_ps();
                for (a, b) in a.iter().zip(b) {
                    sums = _mm512_add_ps(sums, _mm512_mul_ps(_mm512_loadu_ps(a.as_ptr()), _mm512_loadu_ps(b.as_ptr())));
                }
                total_of_8(_mm256_add_ps(_mm512_castps512_ps256(sums), _mm512_extractf32x8_ps::<1>(sums)))
            }
        }
    }

    /// The sum of the lanes: of their halves, of the halves of these, and so on.
    #[inline(always)]
    pub fn total(sums: [f32; LANES]) -> f32 {
        let quarter = sums.as_ptr();
        // SAFETY: every processor of the architecture has these instructions; each quarter is four numbers.
        unsafe {
            let low = _mm_add_ps(_mm_loadu_ps(quarter), _mm_loadu_ps(quarter.add(8)));
            let high = _mm_add_ps(_mm_loadu_ps(quarter.add(4)), _mm_loadu_ps(quarter.add(12)));
            total_of_4(_mm_add_ps(low, high))
        }
    }

    /// # Safety
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn total_of_8(sums: __m256) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { total_of_4(_mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums))) }
    }

    #[inline(always)]
    fn total_of_4(sums: __m128) -> f32 {
        // SAFETY: every processor of the architecture has these instructions.
        unsafe {
            let pair = _mm_add_ps(sums, _mm_movehl_ps(sums, sums));
            _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps::<1>(pair, pair)))
        }
    }

    /// Whether no two of the first numbers are equal, and no two of the others.
    #[inline(always)]
    pub fn all_differ(a: &[i32; 4], b: &[i32; 4]) -> bool {
        // SAFETY: every processor of the architecture has these instructions; four numbers are read of each.
        unsafe {
            let same = |four: &[i32; 4]| {
                let four = _mm_loadu_si128(four.as_ptr().cast());
                let neighbours = _mm_cmpeq_epi32(four, _mm_shuffle_epi32::<0b00_11_10_01>(four));
                let opposites = _mm_cmpeq_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
                _mm_or_si128(neighbours, opposites)
            };
            _mm_movemask_epi8(_mm_or_si128(same(a), same(b))) == 0
        }
    }
}
