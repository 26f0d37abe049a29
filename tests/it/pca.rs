//! Principal components against `tests/reference/pca.json`, which an independent NumPy script computes.

use std::fs;

use cofi::score::principal_components;
use serde_json::Value;

use crate::support::{assert_close, numbers, repository_file, singles};

/// Relative to the largest score of a component.
const TOLERANCE: f32 = 1e-5;

#[test]
fn principal_components_are_those_of_the_reference() {
    let text = fs::read_to_string(repository_file("tests/reference/pca.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let [n_factors, n_components] = ["n_factors", "n_components"].map(|key| case[key].as_u64().unwrap() as usize);
        let found = principal_components(&singles(&case["rows"]), n_factors, n_components).unwrap();
        let expected = singles(&case["scores"]);
        assert_eq!(found.scores.len(), expected.len());
        for component in 0..n_components {
            let of =
                |scores: &[f32]| -> Vec<f32> { scores.iter().skip(component).step_by(n_components).copied().collect() };
            let label = format!("{}: component {component}", case["name"]);
            assert_close(&label, &of(&found.scores), &of(&expected), TOLERANCE, f32::MIN_POSITIVE);
        }
        for (found, expected) in found.explained.iter().zip(numbers(&case["explained"])) {
            assert!((found - expected).abs() <= 1e-9 * expected, "{}: {found} for {expected}", case["name"]);
        }
    }
}
