//! What the fuzzers have found to be different from one another, run once: what broke once stays mended, with no fuzzer needed.

use std::fs;

use crate::fuzzed::{arguments, graphs, stored};
use crate::support::repository_file;

#[test]
fn arguments_of_the_corpus() {
    replay("arguments", arguments::run);
}

#[test]
fn stored_tables_of_the_corpus() {
    replay("stored", stored::run);
}

#[test]
fn graphs_of_the_corpus() {
    replay("graphs", graphs::run);
}

/// Runs every file of a target's corpus; a panic says which file it was.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = repository_file("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{} has lost its files", folder.display());
    for file in files {
        let _named = Named(&file);
        run(&fs::read(&file).unwrap());
    }
}

/// Names the input that a panic came from.
struct Named<'a>(&'a std::path::Path);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input is {}", self.0.display());
        }
    }
}
