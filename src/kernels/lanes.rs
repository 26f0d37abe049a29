//! [`LANES`] numbers side by side, in the registers of a level.
//!
//! The compiler makes vectors of loops over arrays where they are simple. Where many sums have to stay in registers it does not do so
//! reliably, and these types say it.

use super::LANES;

/// [`LANES`] numbers. An implementation may only be used in functions that are compiled for its level: there it becomes a register
/// or two, and elsewhere the processor may not know its instructions.
pub(super) trait Lanes: Copy {
    /// One number in every lane.
    fn splat(number: f32) -> Self;

    /// The numbers of a block.
    fn load(numbers: &[f32; LANES]) -> Self;

    /// Fewer numbers than there are lanes, and 0 in the others.
    fn load_part(numbers: &[f32]) -> Self;

    /// The last `n` numbers of a block, in their lanes, and 0 in the others.
    fn load_last(numbers: &[f32; LANES], n: usize) -> Self;

    /// `self + a * b`, rounded twice.
    fn plus_product(self, a: Self, b: Self) -> Self;

    /// `self + a * b`, rounded once where the level can.
    fn plus_product_fused(self, a: Self, b: Self) -> Self;

    /// The numbers as a block.
    fn store(self) -> [f32; LANES];

    /// A bit for each number, the lowest for the first: whether it is greater than the same of `other`.
    fn above(self, other: Self) -> u32;

    /// All numbers added up: halves of the lanes are added until one is left.
    fn sum(self) -> f32;
}

/// Plain arrays.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; LANES]);

impl Lanes for Portable {
    #[inline(always)]
    fn splat(number: f32) -> Self {
        Self([number; LANES])
    }

    #[inline(always)]
    fn load(numbers: &[f32; LANES]) -> Self {
        Self(*numbers)
    }

    #[inline(always)]
    fn load_part(numbers: &[f32]) -> Self {
        Self(padded(numbers))
    }

    #[inline(always)]
    fn load_last(numbers: &[f32; LANES], n: usize) -> Self {
        let mut block = *numbers;
        block[..LANES.saturating_sub(n)].fill(0.0);
        Self(block)
    }

    #[inline(always)]
    fn plus_product(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + a.0[lane] * b.0[lane]))
    }

    #[inline(always)]
    fn plus_product_fused(self, a: Self, b: Self) -> Self {
        if cfg!(target_arch = "aarch64") {
            Self(std::array::from_fn(|lane| a.0[lane].mul_add(b.0[lane], self.0[lane])))
        } else {
            self.plus_product(a, b)
        }
    }

    #[inline(always)]
    fn store(self) -> [f32; LANES] {
        self.0
    }

    #[inline(always)]
    fn above(self, other: Self) -> u32 {
        let bits = self.0.iter().zip(&other.0).enumerate();
        bits.fold(0, |bits, (lane, (number, other))| bits | (u32::from(number > other) << lane))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        total(self.0)
    }
}

/// The product of two rows of whole blocks, summed in lanes and then in halves of them.
#[inline(always)]
pub(super) fn dot<L: Lanes>(a: &[[f32; LANES]], b: &[[f32; LANES]]) -> f32 {
    let sums = a.iter().zip(b).fold(L::splat(0.0), |sums, (a, b)| sums.plus_product(L::load(a), L::load(b)));
    sums.sum()
}

/// The numbers of a block added up: halves of the lanes are added until one is left.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn total(sums: [f32; LANES]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|lane| sums[lane] + sums[lane + 8]);
    let four: [f32; 4] = std::array::from_fn(|lane| eight[lane] + eight[lane + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

fn padded(numbers: &[f32]) -> [f32; LANES] {
    let mut block = [0.0; LANES];
    block.iter_mut().zip(numbers).for_each(|(slot, number)| *slot = *number);
    block
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::{Avx2, Avx512, total};

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::*;

    use super::{LANES, Lanes, padded};

    /// Two registers of AVX2.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256, __m256);

    /// A register of AVX-512.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    // In both, SAFETY of what reads and writes memory: a block has as many numbers as there are lanes, and needs no alignment. Of all
    // the rest: the trait's rule.

    impl Lanes for Avx2 {
        #[inline(always)]
        fn splat(number: f32) -> Self {
            // SAFETY: the trait's rule.
            unsafe { Self(_mm256_set1_ps(number), _mm256_set1_ps(number)) }
        }

        #[inline(always)]
        fn load(numbers: &[f32; LANES]) -> Self {
            // SAFETY: the trait's rule; both halves lie within the block.
            unsafe { Self(_mm256_loadu_ps(numbers.as_ptr()), _mm256_loadu_ps(numbers.as_ptr().add(8))) }
        }

        #[inline(always)]
        fn load_part(numbers: &[f32]) -> Self {
            Self::load(&padded(numbers))
        }

        #[inline(always)]
        fn load_last(numbers: &[f32; LANES], n: usize) -> Self {
            let block = Self::load(numbers);
            let wanted = lanes_from(LANES.saturating_sub(n) as i32);
            // SAFETY: the trait's rule.
            unsafe { Self(_mm256_and_ps(block.0, wanted.0), _mm256_and_ps(block.1, wanted.1)) }
        }

        #[inline(always)]
        fn plus_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the trait's rule.
            unsafe {
                Self(_mm256_add_ps(self.0, _mm256_mul_ps(a.0, b.0)), _mm256_add_ps(self.1, _mm256_mul_ps(a.1, b.1)))
            }
        }

        #[inline(always)]
        fn plus_product_fused(self, a: Self, b: Self) -> Self {
            // SAFETY: the trait's rule.
            unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
        }

        #[inline(always)]
        fn store(self) -> [f32; LANES] {
            let mut block = [0.0; LANES];
            // SAFETY: the trait's rule; both halves lie within the block.
            unsafe {
                _mm256_storeu_ps(block.as_mut_ptr(), self.0);
                _mm256_storeu_ps(block.as_mut_ptr().add(8), self.1);
            }
            block
        }

        #[inline(always)]
        fn above(self, other: Self) -> u32 {
            // SAFETY: the trait's rule.
            unsafe {
                let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0));
                let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(self.1, other.1));
                (low | high << 8) as u32
            }
        }

        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: the trait's rule.
            unsafe { sum_of_eight(_mm256_add_ps(self.0, self.1)) }
        }
    }

    impl Lanes for Avx512 {
        #[inline(always)]
        fn splat(number: f32) -> Self {
            // SAFETY: the trait's rule.
            unsafe { Self(_mm512_set1_ps(number)) }
        }

        #[inline(always)]
        fn load(numbers: &[f32; LANES]) -> Self {
            // SAFETY: the trait's rule; a block is one register.
            unsafe { Self(_mm512_loadu_ps(numbers.as_ptr())) }
        }

        #[inline(always)]
        fn load_part(numbers: &[f32]) -> Self {
            let wanted = ((1u32 << numbers.len().min(LANES)) - 1) as __mmask16;
            // SAFETY: the trait's rule; lanes beyond the slice are not read.
            unsafe { Self(_mm512_maskz_loadu_ps(wanted, numbers.as_ptr())) }
        }

        #[inline(always)]
        fn load_last(numbers: &[f32; LANES], n: usize) -> Self {
            let wanted = (u32::from(u16::MAX) << LANES.saturating_sub(n)) as __mmask16;
            // SAFETY: the trait's rule; a block is one register.
            unsafe { Self(_mm512_maskz_loadu_ps(wanted, numbers.as_ptr())) }
        }

        #[inline(always)]
        fn plus_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the trait's rule.
            unsafe { Self(_mm512_add_ps(self.0, _mm512_mul_ps(a.0, b.0))) }
        }

        #[inline(always)]
        fn plus_product_fused(self, a: Self, b: Self) -> Self {
            // SAFETY: the trait's rule.
            unsafe { Self(_mm512_fmadd_ps(a.0, b.0, self.0)) }
        }

        #[inline(always)]
        fn store(self) -> [f32; LANES] {
            let mut block = [0.0; LANES];
            // SAFETY: the trait's rule; a block is one register.
            unsafe { _mm512_storeu_ps(block.as_mut_ptr(), self.0) };
            block
        }

        #[inline(always)]
        fn above(self, other: Self) -> u32 {
            // SAFETY: the trait's rule.
            unsafe { u32::from(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0)) }
        }

        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: the trait's rule.
            unsafe { sum_of_eight(_mm256_add_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0))) }
        }
    }

    /// All bits of the lanes from `first` on.
    #[inline(always)]
    fn lanes_from(first: i32) -> Avx2 {
        // SAFETY: the rule of `Lanes`, whose implementation for AVX2 calls this.
        unsafe {
            let before = _mm256_set1_epi32(first - 1);
            let low = _mm256_cmpgt_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), before);
            let high = _mm256_cmpgt_epi32(_mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15), before);
            Avx2(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high))
        }
    }

    /// The numbers of a block added up: halves of the lanes are added until one is left. Spelt out, as the compiler sees the tree of
    /// additions, and not that its leaves are vectors.
    #[inline(always)]
    pub fn total(sums: [f32; LANES]) -> f32 {
        let quarter = sums.as_ptr();
        // SAFETY: every processor of the architecture has these instructions; each quarter is four numbers.
        unsafe {
            let low = _mm_add_ps(_mm_loadu_ps(quarter), _mm_loadu_ps(quarter.add(8)));
            let high = _mm_add_ps(_mm_loadu_ps(quarter.add(4)), _mm_loadu_ps(quarter.add(12)));
            sum_of_four(_mm_add_ps(low, high))
        }
    }

    /// # Safety
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn sum_of_eight(eight: __m256) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { sum_of_four(_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))) }
    }

    #[inline(always)]
    fn sum_of_four(four: __m128) -> f32 {
        // SAFETY: every processor of the architecture has these instructions.
        unsafe {
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Level;
    use crate::kernels::level::per_level_lanes;

    #[inline(always)]
    fn check_body<L: Lanes>(name: &str) {
        let numbers: [f32; LANES] = std::array::from_fn(|lane| 1.0 / (lane as f32 + 3.0));
        let block = L::load(&numbers);
        assert_eq!(block.store(), numbers, "{name}");
        for n in 0..LANES {
            let part = L::load_part(&numbers[..n]).store();
            assert!(part[..n] == numbers[..n] && part[n..].iter().all(|rest| *rest == 0.0), "{name}: {n}");
            let (rest, last) = (L::load_last(&numbers, n).store(), LANES - n);
            assert!(rest[last..] == numbers[last..] && rest[..last].iter().all(|rest| *rest == 0.0), "{name}: {n}");
        }
        assert_eq!(block.sum(), Portable(numbers).sum(), "{name}");
        let third = L::splat(1.0 / 3.0);
        let expected = numbers.map(|number| number + 1.0 / 3.0 * number);
        assert_eq!(block.plus_product(third, block).store(), expected, "{name}");
        let fused = block.plus_product_fused(third, block).store();
        let near = |lane: usize| (fused[lane] - expected[lane]).abs() <= f32::EPSILON;
        assert!((0..LANES).all(near), "{name}");
        assert_eq!((block.above(block), block.above(L::splat(f32::NAN)), block.above(L::splat(-1.0))), (0, 0, 0xffff));
        for lane in 0..LANES {
            let mut lower = numbers;
            lower[lane] = lower[lane].next_down();
            assert_eq!((block.above(L::load(&lower)), L::load(&lower).above(block)), (1 << lane, 0), "{name}");
        }
    }

    per_level_lanes! {
        fn check(name: &str) = check_body;
    }

    #[test]
    fn every_level_has_the_same_lanes() {
        Level::available().into_iter().for_each(|level| check(level, &level.to_string()));
    }
}
