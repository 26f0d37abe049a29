//! The texts of the repository against its code: tables, versions, names.

use std::collections::BTreeSet;
use std::fs;

use cofi::train::{OPTIONS, PRESETS};

use super::{MODULES, nothing, repository_file, source};

#[test]
fn the_table_in_architecture_agrees() {
    let expected = MODULES.map(|(module, modules, crates)| {
        let cell = |list: &str| if list.is_empty() { " ".to_owned() } else { format!(" {list} ") };
        format!("| `{module}` |{}|{}|", cell(modules), cell(crates))
    });
    let rows = rows_below(&read("ARCHITECTURE.md"), "| module | may use the modules | may name the crates |");
    assert_eq!(rows, expected);
}

#[test]
fn readme_names_every_function_and_no_other() {
    nothing(differences("function", &registered(), &functions_of_readme(&read("README.md"))));
}

#[test]
fn readme_names_every_option_and_no_other() {
    let expected: Vec<_> = OPTIONS
        .iter()
        .map(|row| {
            let (kind, takes) = (row.kind, row.kind.sql_type());
            format!("| `{}` | {takes} | `{}` | {kind} | {} |", row.name, row.default, row.meaning)
        })
        .collect();
    assert_eq!(rows_below(&read("README.md"), "| option | type | default | range | meaning |"), expected);
}

/// The last column, a figure, is measured and not known here.
#[test]
fn readme_names_every_preset_and_what_it_sets() {
    let rows = rows_below(&read("README.md"), "| preset | what it is | sets | MovieLens 100K |");
    assert_eq!(rows.len(), PRESETS.len());
    for (preset, row) in PRESETS.iter().zip(rows) {
        let sets: Vec<_> = preset.defaults.iter().map(|(name, value)| format!("{name} := {value}")).collect();
        let expected = format!("| `'{}'` | {} | `{}` | ", preset.name, preset.meaning, sets.join(", "));
        assert!(row.starts_with(&expected), "{row} is not {expected}");
    }
}

#[test]
fn versions_agree_where_they_are_named() {
    let [newest, oldest] = ["2.0", "1.5"].map(|name| {
        let pins = read(&format!("scripts/hosts/duckdb-{name}.txt"));
        between(&pins, "duckdb==", "\n")
    });
    // The crate spells DuckDB's version in its second number: 2.0.0 is 20000.
    let [major, minor, patch] = newest.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>()[..]
    else {
        panic!("{newest}")
    };
    let pin = between(&read("Cargo.toml"), "\nduckdb = { version = \"", "\"");
    assert!(pin.starts_with(&format!("=1.{}.", major * 10_000 + minor * 100 + patch)), "{pin} for DuckDB {newest}");
    assert_eq!(between(&read("Cargo.lock"), "name = \"duckdb\"\nversion = \"", "\""), pin.trim_start_matches('='));

    let c_api = format!("v{oldest}");
    assert_eq!(between(&read("src/extension.rs"), "C_API_VERSION: &str = \"", "\""), c_api);
    assert_eq!(between(&read("scripts/package.py"), "\nC_API_VERSION = \"", "\""), c_api);
    for file in ["scripts/test.py", "tests/host/src/main.rs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let text = read(file);
        assert!(text.contains(&newest) && text.contains(&oldest), "{file} does not name both {newest} and {oldest}");
    }

    let onnxruntime = between(&read("scripts/onnxruntime.py"), "\nVERSION = \"", "\"");
    for host in ["2.0", "1.5"] {
        let pin = between(&read(&format!("scripts/hosts/duckdb-{host}.txt")), "onnxruntime==", "\n");
        assert_eq!(pin, onnxruntime, "the ONNX Runtime that reads exported models on DuckDB {host}");
    }
    for file in ["README.md", "NOTICES.md"] {
        assert!(read(file).contains(&onnxruntime), "{file} does not name ONNX Runtime {onnxruntime}");
    }
    let version = between(&read("Cargo.toml"), "\nversion = \"", "\"");
    assert!(read("CHANGELOG.md").contains(&format!("\n## {version}")), "CHANGELOG.md has no chapter {version}");
    let rust = between(&read("Cargo.toml"), "\nrust-version = \"", "\"");
    assert!(read("README.md").contains(&format!("Rust {rust}")), "README.md does not name Rust {rust}");
}

#[test]
fn every_sql_file_is_run_and_listed() {
    let files: BTreeSet<String> = fs::read_dir(repository_file("sql"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".sql"))
        .collect();
    let included = source::all().iter().flat_map(|source| sql_files(&source.literals)).collect();
    nothing(differences("file of sql/", &files, &included));
    let readme = read("sql/README.md");
    nothing(files.iter().filter(|file| !readme.contains(&format!("| `{file}` |"))).cloned().collect());
    for file in &files {
        for line in read(&format!("sql/{file}")).lines() {
            let comment = line.split_once("--").map_or("", |(_, comment)| comment);
            assert!(!comment.contains('{'), "sql/{file}: a placeholder in a comment: {line}");
        }
    }
}

/// A file of the repository.
pub fn read(path: &str) -> String {
    fs::read_to_string(repository_file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words that follow a prefix.
pub fn words_after(text: &str, prefix: &str) -> Vec<String> {
    text.split(prefix)
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The crates that `Cargo.toml` depends on, as code names them.
pub fn crates() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let lines =
        manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1).take_while(|line| !line.starts_with('['));
    let names = lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| name.replace('-', "_")).collect()
}

/// The SQL names of all functions that are registered for others than cofi itself.
fn registered() -> BTreeSet<String> {
    let literals =
        |path: &str, text: &str| text.contains("const NAME: &'static str = \"") && path.starts_with("functions/");
    let names: Vec<_> = source::all()
        .into_iter()
        .filter(|source| literals(&source.path, &source.text))
        .flat_map(|source| words_after(&source.text, "const NAME: &'static str = \""))
        .collect();
    let n_registered = read("src/functions/mod.rs").matches("::register::<").count();
    assert_eq!(names.len(), n_registered, "functions with a name, and functions that are registered");
    names.into_iter().filter(|name| !name.starts_with("__")).collect()
}

/// What README promises: the names in code quotes, with their arguments.
pub fn functions_of_readme(readme: &str) -> BTreeSet<String> {
    let rows = rows_below(readme, "| function | returns |");
    let names = rows.iter().flat_map(|row| words_after(row.split(" | ").next().unwrap_or_default(), "`"));
    names.filter(|name| name.starts_with("cofi_")).collect()
}

/// The rows of a table in Markdown, from the one below the line under its heading.
pub fn rows_below(text: &str, heading: &str) -> Vec<String> {
    let rows = text.lines().skip_while(|line| *line != heading).skip(2);
    rows.take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
}

pub fn differences(what: &str, code: &BTreeSet<String>, texts: &BTreeSet<String>) -> Vec<String> {
    let missing = code.difference(texts).map(|name| format!("{what} {name} is not there"));
    missing.chain(texts.difference(code).map(|name| format!("{what} {name} does not exist"))).collect()
}

fn sql_files(literals: &[(usize, String)]) -> Vec<String> {
    literals.iter().filter_map(|(_, text)| text.strip_prefix("../../sql/").map(str::to_owned)).collect()
}

fn between(text: &str, before: &str, after: &str) -> String {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}")).1;
    rest.split(after).next().unwrap_or_default().to_owned()
}
