//! Predictors for stored models: those with layers compute on ONNX Runtime, the others need no library.

use std::sync::Arc;

use crate::error::Result;
use crate::graph::Engine;
use crate::model::predictor;
use crate::runtime::{Device, Library, OnnxEngine, Operators, Wanted};
use crate::score::Predictor;
use crate::store::StoredModel;

/// A predictor on one thread of the CPU, as the host is parallel already; `library` is the setting `cofi_onnxruntime`.
///
/// # Errors
/// A model with layers where no library can be used.
pub fn predictor_of(model: &StoredModel, wanted: impl FnOnce() -> Result<Wanted>) -> Result<Predictor> {
    predictor(Arc::clone(&model.embeddings), || {
        let engine: Arc<dyn Engine> =
            Arc::new(OnnxEngine::new(Library::load(&wanted()?)?, Device::Cpu, 1, Operators::Auto)?);
        Ok(engine)
    })
}

/// A rating value as the caller wrote it: 0.7, where its 32 bits are 0.699999988.
pub fn as_double(rating: f32) -> f64 {
    rating.to_string().parse().unwrap_or(f64::from(rating))
}

#[cfg(test)]
mod tests {
    use super::as_double;

    #[test]
    fn values_are_the_shortest_that_are_the_same_float() {
        let written = [0.1, 4.7, -3.3, 0.0, 5.0, 1e-30, 3.4e38, 16_777_217.0];
        let expected = [0.1, 4.7, -3.3, 0.0, 5.0, 1e-30, 3.4e38, 16_777_216.0];
        assert_eq!(written.map(|value: f64| as_double(value as f32)), expected);
    }
}
