//! One loop compiled for each set of instructions, as cofi's own kernels are.

/// `at_level! { pub fn name(a: A) -> R = body; }` makes `name(level, a)`, which calls `body(a)`, an `#[inline(always)]` function,
/// compiled with the instructions of `level`, a [`cofi::kernels::Level`].
#[macro_export]
macro_rules! at_level {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path;)*) => {$(
        $(#[$meta])*
        $vis fn $name(level: cofi::kernels::Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                match level.to_string().as_str() {
                    // SAFETY: a level is only made where the processor has its instructions.
                    "avx2" => unsafe { avx2($($arg),*) },
                    // SAFETY: as above.
                    "avx512" => unsafe { avx512($($arg),*) },
                    _ => $body($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                let _ = level;
                $body($($arg),*)
            }
        }
    )*};
}
