//! What factors and biases are before the first step.

use crate::rng::Rng;

/// The distribution that fresh factors and biases are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal with this standard deviation, truncated at two deviations: what fastai does, with 0.01.
    TruncatedNormal(f64),
    /// Normal with this standard deviation: what PyTorch's `Embedding` does, with 1.
    Normal(f64),
    /// Uniform in `+-1 / sqrt(K)`: what PyTorch's `kaiming_uniform_` with `a = sqrt(5)` does to a table `[N, K]`.
    ///
    /// Source: He et al., Delving Deep into Rectifiers (2015).
    KaimingUniform,
}

impl Init {
    /// `length` draws for a table that belongs to rows of `width` factors.
    pub(super) fn draw(self, rng: &mut Rng, length: usize, width: usize) -> Vec<f32> {
        let mut draw = || match self {
            Init::TruncatedNormal(std) => rng.truncated_normal(std),
            Init::Normal(std) => rng.normal(std),
            Init::KaimingUniform => uniform(rng, width),
        };
        (0..length).map(|_| draw() as f32).collect()
    }
}

/// A draw from the uniform distribution in `+-1 / sqrt(n_inputs)`.
pub(super) fn uniform(rng: &mut Rng, n_inputs: usize) -> f64 {
    (2.0 * rng.uniform() - 1.0) / (n_inputs as f64).sqrt()
}
