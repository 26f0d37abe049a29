//! What several test files share: the engines, numbers by name, and the files of the repository.

use std::path::PathBuf;
use std::sync::Arc;

use cofi::graph::{Engine, Feed, FeedValues, Interpreter};
use cofi::rng::Rng;
use serde_json::Value;

/// Every engine of this machine by name; what a test claims of one it claims of all.
pub fn engines() -> Vec<(String, Arc<dyn Engine>)> {
    let mut engines: Vec<(String, Arc<dyn Engine>)> = vec![("interpreter".to_owned(), Arc::new(Interpreter))];
    if let Some(library) = crate::onnx::library("the engine onnx runtime") {
        for threads in [1, 4] {
            engines.push((format!("onnx runtime, {threads} threads"), Arc::new(crate::onnx::engine(library, threads))));
            let fusing = Arc::new(crate::onnx::fusing_engine(library, threads));
            engines.push((format!("onnx runtime, fused, {threads} threads"), fusing));
        }
        let keeping = Arc::new(crate::onnx::engine(library, 1).keeping());
        engines.push(("onnx runtime, ratings kept".to_owned(), keeping));
    }
    engines
}

/// A file of the repository.
pub fn repository_file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The feed of floats.
pub fn floats<'a>(name: &'a str, values: &'a [f32]) -> Feed<'a> {
    Feed { name, values: FeedValues::Floats(values) }
}

/// The feed of row numbers.
pub fn indices<'a>(name: &'a str, values: &'a [i32]) -> Feed<'a> {
    Feed { name, values: FeedValues::Indices(values) }
}

/// The feeds of scalars by name.
pub fn scalars<'a>(values: &'a [(&'static str, f32)]) -> impl Iterator<Item = Feed<'a>> {
    values.iter().map(|(name, value)| floats(name, std::slice::from_ref(value)))
}

/// A JSON list of numbers.
pub fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// A JSON list of numbers in single precision.
pub fn singles(list: &Value) -> Vec<f32> {
    numbers(list).into_iter().map(|number| number as f32).collect()
}

/// A JSON object of tensors, by name.
pub fn tensors(object: &Value) -> Vec<(String, Vec<f32>)> {
    object.as_object().expect("an object").iter().map(|(name, list)| (name.clone(), singles(list))).collect()
}

/// `length` draws from the normal distribution, truncated at two deviations.
pub fn draws(rng: &mut Rng, length: usize) -> Vec<f32> {
    (0..length).map(|_| rng.truncated_normal(1.0) as f32).collect()
}

/// Fails where a tensor differs by more than `tolerance` times its largest expected magnitude (at least `floor`); says
/// which tensor, and by how much.
pub fn assert_close(name: &str, found: &[f32], expected: &[f32], tolerance: f32, floor: f32) {
    assert_eq!(found.len(), expected.len(), "{name}: number of elements");
    let scale = expected.iter().fold(floor, |largest, value| largest.max(value.abs()));
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs() / scale;
        // Written positively, so that NaN fails.
        assert!(difference <= tolerance, "{name}[{place}]: {found} for {expected}, {difference:e} of the largest");
    }
}
