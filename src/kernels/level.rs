//! Which instructions a processor has.

use std::fmt;

/// Numbers that a loop works on side by side, whatever the instructions: sums run in so many lanes, so that their order does not
/// depend on the machine.
pub const LANES: usize = 16;

/// A set of instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(pub(super) Instructions);

/// Only [`Level::available`] makes a [`Level`] of one, after asking the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instructions {
    /// What every processor of the architecture has: SSE2 on x86-64, NEON on ARM.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL, besides AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The best that there is.
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self(Instructions::Portable))
    }

    /// All that there are, the best last.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self(Instructions::Portable)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            levels.push(Self(Instructions::Avx2));
            let rest = is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if is_x86_feature_detected!("avx512f") && rest {
                levels.push(Self(Instructions::Avx512));
            }
        }
        levels
    }

    /// Whether a multiplication and an addition are one instruction; without it `mul_add` is a slow call of a function.
    pub fn has_fma(self) -> bool {
        self.0 != Instructions::Portable || cfg!(target_arch = "aarch64")
    }
}

/// `portable`, `avx2`, `avx512`.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Instructions::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => "avx512",
        })
    }
}

/// Compiles a function for every level: `per_level! { /// doc  pub fn name(a: A, b: B) -> R = body; }` makes
/// `name(level, a, b)`, which calls `body(a, b)`, an `#[inline(always)]` function, compiled with the instructions of `level`.
///
/// `= body<4>` calls `body::<4, L>` with the level's [`Lanes`](super::lanes::Lanes).
macro_rules! per_level {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident<$n:literal>;)*) => {$(
        $crate::kernels::level::per_level! {
            @each $(#[$meta])* $vis fn $name($($arg: $ty),*) $(-> $ret)? =
                $body::<$n, $crate::kernels::lanes::Portable>,
                $body::<$n, $crate::kernels::lanes::Avx2>,
                $body::<$n, $crate::kernels::lanes::Avx512>;
        }
    )*};
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path;)*) => {$(
        $crate::kernels::level::per_level! {
            @each $(#[$meta])* $vis fn $name($($arg: $ty),*) $(-> $ret)? = $body, $body, $body;
        }
    )*};
    (@each $(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? =
        $portable:path, $avx2:path, $avx512:path;) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(level: $crate::kernels::Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::kernels::level::Instructions;

                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $avx2($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    $avx512($($arg),*)
                }
                match level.0 {
                    Instructions::Portable => $portable($($arg),*),
                    // SAFETY: a level is only made where the processor has its instructions.
                    Instructions::Avx2 => unsafe { avx2($($arg),*) },
                    // SAFETY: as above.
                    Instructions::Avx512 => unsafe { avx512($($arg),*) },
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                let _ = level;
                $portable($($arg),*)
            }
        }
    };
}
pub(crate) use per_level;

/// The same with a body that is generic over [`Lanes`](super::lanes::Lanes), which are those of the level.
macro_rules! per_level_lanes {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident;)*) => {$(
        $crate::kernels::level::per_level! {
            @each $(#[$meta])* $vis fn $name($($arg: $ty),*) =
                $body::<$crate::kernels::lanes::Portable>,
                $body::<$crate::kernels::lanes::Avx2>,
                $body::<$crate::kernels::lanes::Avx512>;
        }
    )*};
}
pub(super) use per_level_lanes;

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(always)]
    fn sum_body(values: &[f32]) -> f32 {
        values.iter().sum()
    }

    per_level! {
        fn sum(values: &[f32]) -> f32 = sum_body;
    }

    #[test]
    fn every_level_computes_the_same() {
        let levels = Level::available();
        assert_eq!(levels[0].to_string(), "portable");
        assert_eq!(levels.last(), Some(&Level::best()));
        for level in levels {
            assert_eq!(sum(level, &[1.0, 2.0, 4.0]), 7.0, "{level}");
        }
    }
}
