//! What the compiler does not check: who imports what, and that texts agree with the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cofi::train::OPTIONS;

/// A module, the modules that it may name, the crates that it may name. The order is that of `src/lib.rs`.
const MODULES: [(&str, &str, &str); 13] = [
    ("error", "", ""),
    ("rng", "", ""),
    ("ids", "error", "hashbrown"),
    ("ratings", "error, rng, ids", "arrow"),
    ("graph", "error", "ndarray"),
    ("score", "error, ids, ratings", ""),
    ("model", "error, rng, graph", "serde, serde_json"),
    ("metrics", "", ""),
    ("train", "error, rng, ratings, graph, score, model, metrics", ""),
    ("runtime", "error, graph", "ort, libloading, prost, sha2, ruzstd, libc"),
    ("store", "error, ids, ratings, score, model, train", "duckdb, arrow, libc"),
    ("functions", "error, ids, ratings, score, model, train, runtime, store", "duckdb"),
    ("extension", "error, functions, store", "duckdb"),
];

/// The crates of `Cargo.toml`.
const CRATES: [&str; 12] = [
    "duckdb",
    "arrow",
    "hashbrown",
    "ort",
    "ndarray",
    "serde",
    "serde_json",
    "libloading",
    "prost",
    "sha2",
    "ruzstd",
    "libc",
];

/// The most lines of a file of `src/`.
const LONGEST_FILE: usize = 400;

#[test]
fn modules_name_what_the_table_allows() {
    for (module, modules, crates) in MODULES {
        let mut named = BTreeSet::new();
        for (path, code) in sources().iter().filter(|(path, _)| module_of(path) == module) {
            for other in names_after(code, "crate::") {
                assert!(other == module || list(modules).contains(&other), "{} names {other}", path.display());
                named.insert(other);
            }
            for name in CRATES.iter().filter(|name| names_crate(code, name)) {
                assert!(list(crates).contains(&(*name).to_owned()), "{} names the crate {name}", path.display());
                named.insert((*name).to_owned());
            }
        }
        for allowed in list(modules).iter().chain(&list(crates)) {
            assert!(named.contains(allowed), "{module} does not need {allowed} any more");
        }
    }
}

#[test]
fn imports_go_up_the_list_of_lib_rs() {
    let lib = read("src/lib.rs");
    let order: Vec<_> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(order, MODULES.map(|(module, ..)| module));
    for (place, (module, modules, _)) in MODULES.iter().enumerate() {
        for other in list(modules) {
            assert!(order[..place].contains(&other.as_str()), "{module} may not name {other}, which comes later");
        }
    }
}

#[test]
fn the_table_in_architecture_agrees() {
    let text = read("ARCHITECTURE.md");
    for (module, modules, crates) in MODULES {
        let cell = |list: &str| if list.is_empty() { " ".to_owned() } else { format!(" {list} ") };
        let row = format!("| `{module}` |{}|{}|", cell(modules), cell(crates));
        assert!(text.contains(&row), "ARCHITECTURE.md has no row {row}");
    }
}

#[test]
fn readme_names_every_function_and_option() {
    let readme = read("README.md");
    let names =
        sources().iter().flat_map(|(_, code)| names_after(code, "NAME: &'static str = \"")).collect::<BTreeSet<_>>();
    assert!(names.len() >= 15, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("`{name}(")), "README.md does not name {name}");
    }
    for row in OPTIONS {
        let kind = row.kind;
        let line = format!("| `{}` | {} | `{}` | {kind} | {} |", row.name, kind.sql_type(), row.default, row.meaning);
        assert!(readme.contains(&line), "README.md has no row {line}");
    }
}

#[test]
fn versions_agree_where_they_are_named() {
    let pin = "duckdb = { version = \"=1.20000.1\"";
    assert!(read("Cargo.toml").contains(pin), "Cargo.toml has no {pin}");
    let version = read("src/extension.rs");
    let version = version.split("C_API_VERSION: &str = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(
        read("scripts/package.py").contains(version) || read("scripts/package.py").contains("extension.rs"),
        "{version}"
    );
    for host in ["2.0.0", "1.5.6"] {
        let pinned = ["2.0", "1.5"].iter().any(|name| read(&format!("scripts/hosts/duckdb-{name}.txt")).contains(host));
        assert!(
            pinned && read("scripts/test.py").contains(host) && read("tests/host/src/main.rs").contains(host),
            "{host}"
        );
    }
}

#[test]
fn files_are_rooms_and_nothing_panics_to_report() {
    for (path, code) in sources() {
        let n_lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(n_lines <= LONGEST_FILE, "{} has {n_lines} lines", path.display());
        for word in [".unwrap()", ".expect(", "todo!", "unimplemented!", "println!", "eprintln!", "dbg!"] {
            assert!(!code.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn every_unsafe_has_its_argument() {
    for (path, code) in sources() {
        let lines: Vec<_> = code.lines().collect();
        let argues_for_all = |place: usize| {
            // One argument may stand at the head of a function for all its blocks.
            let head =
                lines[..place].iter().rposition(|line| line.contains("fn ") && !line.trim_start().starts_with("//"));
            head.is_some_and(|head| {
                lines[head..place].iter().any(|line| line.contains("SAFETY (all blocks of this function)"))
            })
        };
        for (place, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("unsafe {")) {
            let near = &lines[place.saturating_sub(4)..=place];
            let argued = near.iter().any(|line| line.contains("SAFETY")) || argues_for_all(place);
            assert!(argued, "{}:{} {}", path.display(), place + 1, line.trim());
        }
    }
}

#[test]
fn no_placeholder_stands_in_an_sql_comment() {
    for entry in fs::read_dir(root().join("sql")).unwrap() {
        let path = entry.unwrap().path();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let comment = line.split_once("--").map_or("", |(_, comment)| comment);
            assert!(!comment.contains('{'), "{}: {line}", path.display());
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files of `src/` without their tests.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                let code = fs::read_to_string(&path).unwrap();
                let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
                files.push((path, code));
            }
        }
    }
    files
}

/// The top-level module of a file.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn list(text: &str) -> Vec<String> {
    text.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The names that follow a prefix in code, comments aside.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let code_lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    code_lines
        .flat_map(|line| {
            line.split(prefix).skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        })
        .flatten()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether code names a crate: `name::` with no path before it.
fn names_crate(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    let code_lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    code_lines
        .flat_map(|line| line.match_indices(&path).map(move |(at, _)| &line[..at]))
        .any(|before| !before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':'))
}
