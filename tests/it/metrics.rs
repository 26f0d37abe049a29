//! The metrics against `tests/reference/metrics.json`, which an independent NumPy script computes.

use std::collections::HashSet;
use std::fs;

use cofi::metrics::{Confusion, Judged, Ranking, RankingTotals, Scores};
use serde_json::Value;

use crate::support::{numbers, repository_file, singles};

const TOLERANCE: f64 = 1e-9;

#[test]
fn rating_metrics_are_those_of_the_reference() {
    for case in cases("ratings") {
        let levels = singles(&case["levels"]);
        let scores = Scores::of(judged(&case), Some(&levels)).unwrap();
        assert_eq!(scores.n, singles(&case["rating"]).len());
        let found = [scores.mse, scores.rmse(), scores.mae, scores.accuracy.unwrap()];
        let expected = ["mse", "rmse", "mae", "accuracy"].map(|name| case[name].as_f64().unwrap());
        assert_close(&case["name"], &found, &expected);
    }
}

#[test]
fn confusion_tables_are_those_of_the_reference() {
    for case in cases("ratings") {
        let mut confusion = Confusion::new(&singles(&case["levels"]));
        for one in judged(&case) {
            assert!(confusion.add(one));
        }
        let found: Vec<_> = confusion.cells().map(|cell| vec![cell.actual, cell.predicted, cell.n as f32]).collect();
        let expected: Vec<_> = case["cells"].as_array().unwrap().iter().map(singles).collect();
        assert_eq!(found, expected, "{}", case["name"]);
    }
}

#[test]
fn ranking_metrics_are_those_of_the_reference() {
    for case in cases("rankings") {
        let k = case["k"].as_u64().unwrap() as usize;
        let mut totals = RankingTotals::new(k);
        for user in case["users"].as_array().unwrap() {
            let ranked = items(&user["ranked"]);
            let relevant: HashSet<u32> = items(&user["relevant"]).into_iter().collect();
            match Ranking::of(&ranked, &relevant, k) {
                Some(found) => assert_close(&case["name"], &list(found), &numbers(&user["metrics"])),
                None => assert!(user["metrics"].is_null(), "{}", case["name"]),
            }
            totals.add(&ranked, &relevant);
        }
        assert_eq!(totals.n_users() as u64, case["n_users"].as_u64().unwrap());
        assert_close(&case["name"], &list(totals.means().unwrap()), &numbers(&case["means"]));
        let coverage = totals.coverage(case["n_items"].as_u64().unwrap() as usize).unwrap();
        assert_close(&case["name"], &[coverage], &[case["coverage"].as_f64().unwrap()]);
    }
}

fn judged(case: &Value) -> Vec<Judged> {
    let pairs = singles(&case["rating"]).into_iter().zip(singles(&case["prediction"]));
    let levels = case["level"].as_array().unwrap().iter().map(|level| level.as_f64().map(|level| level as f32));
    pairs.zip(levels).map(|((rating, prediction), level)| Judged { rating, prediction, level }).collect()
}

fn list(metrics: Ranking) -> [f64; 5] {
    [metrics.precision, metrics.recall, metrics.ndcg, metrics.map, metrics.hit_rate]
}

fn items(list: &Value) -> Vec<u32> {
    numbers(list).into_iter().map(|item| item as u32).collect()
}

fn cases(kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(repository_file("tests/reference/metrics.json")).unwrap();
    let cases = serde_json::from_str::<Value>(&text).unwrap()[kind].as_array().unwrap().clone();
    assert_eq!(cases.len(), 3);
    cases
}

fn assert_close(name: &Value, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= TOLERANCE * expected.abs().max(1.0), "{name}: {found} for {expected}");
    }
}
