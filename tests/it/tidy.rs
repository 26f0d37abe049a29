//! What the compiler does not check: who names what in the code, and that the texts agree with it.
//!
//! A rule looks at sources and tells what is wrong; `planted` shows each a case that it must find.

mod planted;
mod source;
mod texts;

use std::collections::BTreeSet;

use crate::support::repository_file;
use source::Source;

/// A module, the modules that it may name, the crates that it may name. The order is that of `src/lib.rs`.
pub const MODULES: [(&str, &str, &str); 17] = [
    ("error", "", ""),
    ("ending", "error", "libc"),
    ("rng", "", ""),
    ("kernels", "", ""),
    ("ids", "error, kernels", "hashbrown"),
    ("ratings", "error, rng, kernels, ids", "arrow"),
    ("graph", "error", "ndarray"),
    ("score", "error, kernels, ids, ratings", "nalgebra"),
    ("model", "error, rng, graph, score", ""),
    ("metrics", "", ""),
    ("evaluation", "error, ids, ratings, score, metrics", ""),
    ("report", "", ""),
    ("train", "error, rng, ids, ratings, graph, score, model, metrics", "serde, serde_json"),
    ("runtime", "error, ending, kernels, graph, model", "ort, libloading, prost, sha2, ruzstd, libc"),
    ("store", "error, ending, kernels, ids, ratings, score, train", "duckdb, arrow, libc"),
    (
        "functions",
        "error, ending, ids, ratings, graph, score, model, metrics, evaluation, report, train, runtime, store",
        "duckdb",
    ),
    ("extension", "error, functions, store", "duckdb"),
];

/// The modules that do no input or output.
const CORE: [&str; 12] = [
    "error",
    "rng",
    "kernels",
    "ids",
    "ratings",
    "graph",
    "score",
    "model",
    "metrics",
    "evaluation",
    "report",
    "train",
];

/// The files with state that outlives a statement and a database: the library, how it is unpacked, and the process's end.
const STATICS: [&str; 5] =
    ["ending.rs", "runtime/bundle.rs", "runtime/cache.rs", "runtime/library.rs", "store/exit.rs"];

/// The most lines of a file of `src/`.
const LONGEST_FILE: usize = 400;

#[test]
fn modules_name_what_the_table_allows() {
    let order = texts::words_after(&texts::read("src/lib.rs"), "pub mod ");
    assert_eq!(order, MODULES.map(|(module, ..)| module));
    for (place, (module, modules, _)) in MODULES.iter().enumerate() {
        for other in list(modules) {
            assert!(order[..place].contains(&other.to_owned()), "{module} may not name {other}, which comes later");
        }
    }
    let sources = source::all();
    nothing(imports(&sources));
    nothing(needless(&sources));
}

#[test]
fn the_core_does_no_input_or_output() {
    nothing(input_and_output(&source::all()));
}

#[test]
fn nothing_panics_to_report_and_nothing_is_printed() {
    nothing(panics(&source::all()));
}

#[test]
fn every_unsafe_has_its_argument() {
    nothing(unsafety(&source::all()));
}

#[test]
fn state_of_the_process_is_in_its_places() {
    nothing(statics(&source::all()));
}

#[test]
fn files_are_rooms() {
    nothing(lengths(&source::all()));
}

#[test]
fn values_reach_sql_quoted() {
    nothing(unquoted(&source::all()));
}

fn nothing(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Modules and crates that a module names and the table does not allow.
fn imports(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path != "lib.rs") {
        let (path, module) = (&source.path, source.module());
        let Some((_, modules, crates)) = MODULES.iter().find(|(name, ..)| *name == module) else {
            found.push(format!("{path}: the table has no module {module}"));
            continue;
        };
        for other in
            named_modules(source).into_iter().filter(|other| other != module && !list(modules).contains(&&**other))
        {
            found.push(format!("{path}: {module} may not name {other}"));
        }
        for name in named_crates(source).into_iter().filter(|name| !list(crates).contains(&&**name)) {
            found.push(format!("{path}: {module} may not name the crate {name}"));
        }
        // Ways to a module that the names above would miss.
        let hidden = ["crate::{", "super::super::", "extern crate"].iter().any(|way| source.code.contains(way));
        if hidden || source.is_top_level() && source.code.contains("super::") {
            found.push(format!("{path}: name modules as crate::module, one a line"));
        }
    }
    found
}

/// What the table allows and nobody needs any more.
fn needless(sources: &[Source]) -> Vec<String> {
    let needed = |module: &str, what: fn(&Source) -> BTreeSet<String>| -> BTreeSet<String> {
        sources.iter().filter(|source| source.module() == module).flat_map(what).collect()
    };
    let mut found = Vec::new();
    for (module, modules, crates) in MODULES {
        let (named, linked) = (needed(module, named_modules), needed(module, named_crates));
        found.extend(
            list(modules)
                .iter()
                .filter(|other| !named.contains(**other))
                .map(|other| format!("{module} needs no {other}")),
        );
        found.extend(
            list(crates).iter().filter(|name| !linked.contains(**name)).map(|name| format!("{module} needs no {name}")),
        );
    }
    found
}

fn named_modules(source: &Source) -> BTreeSet<String> {
    texts::words_after(&source.code, "crate::").into_iter().collect()
}

/// The crates that a file names: `name::` or `use name;` with no path before it.
fn named_crates(source: &Source) -> BTreeSet<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let names = |name: &str| {
        let uses = [format!("{name}::"), format!("use {name};"), format!("use {name} ")];
        uses.iter().any(|way| {
            source.code.match_indices(way).any(|(at, _)| !source.code[..at].chars().next_back().is_some_and(is_part))
        })
    };
    texts::crates().into_iter().filter(|name| names(name)).collect()
}

fn input_and_output(sources: &[Source]) -> Vec<String> {
    let doors = ["std::fs", "std::env", "std::io", "std::net", "std::process", "std::thread", "std::{"];
    words(sources.iter().filter(|source| CORE.contains(&source.module())), &doors)
}

fn panics(sources: &[Source]) -> Vec<String> {
    let names =
        [".unwrap()", ".expect(", "panic!", "todo!", "unimplemented!", "println!", "print!", "dbg!", "process::exit"];
    words(sources.iter(), &names)
}

fn statics(sources: &[Source]) -> Vec<String> {
    let elsewhere = sources.iter().filter(|source| !STATICS.contains(&source.path.as_str()));
    words(elsewhere, &["\nstatic ", " static ", "thread_local!"])
}

fn lengths(sources: &[Source]) -> Vec<String> {
    let lines = sources.iter().map(|source| (&source.path, source.text.trim_end().lines().count()));
    lines.filter(|(_, n)| *n > LONGEST_FILE).map(|(path, n)| format!("{path} has {n} lines")).collect()
}

fn words<'a>(sources: impl Iterator<Item = &'a Source>, words: &[&str]) -> Vec<String> {
    sources
        .flat_map(|source| {
            words.iter().flat_map(move |word| {
                source
                    .code
                    .match_indices(word)
                    .map(move |(at, _)| place(source, line_of(&source.code, at), word.trim()))
            })
        })
        .collect()
}

/// Unsafe blocks without `SAFETY` above them, unsafe functions without `# Safety` in their doc. One argument at the head
/// of a function may stand for all its blocks, and then for the function, which only the host calls.
fn unsafety(sources: &[Source]) -> Vec<String> {
    const FOR_ALL: &str = "SAFETY (all blocks of this function)";
    let mut found = Vec::new();
    for source in sources {
        let (text, code): (Vec<_>, Vec<_>) = (source.text.lines().collect(), source.code.lines().collect());
        for (number, line) in code.iter().enumerate() {
            let argued = if line.contains("unsafe {") || line.contains("unsafe impl") {
                let head = code[..number].iter().rposition(|line| line.contains("fn ")).unwrap_or(0);
                text[number.saturating_sub(4)..=number].iter().any(|line| line.contains("SAFETY: "))
                    || text[head..number].iter().any(|line| line.contains(FOR_ALL))
            } else if defines_unsafe_function(line) {
                let above = text[..number].iter().rev().take_while(|line| line.trim().starts_with(['/', '#']));
                above.into_iter().any(|line| line.contains("# Safety"))
                    || text[number..text.len().min(number + 8)].iter().any(|line| line.contains(FOR_ALL))
            } else {
                true
            };
            if !argued {
                found.push(place(source, number, "unsafe without its argument"));
            }
        }
    }
    found
}

/// Whether a line begins `unsafe fn name` or `unsafe extern "C" fn name`; the type of a pointer has no name.
fn defines_unsafe_function(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    words.windows(3).any(|words| matches!(words, ["unsafe", "fn", _] | ["unsafe", "extern", "fn"]))
}

/// SQL texts with a placeholder near which nothing quotes, and placeholders filled by hand.
fn unquoted(sources: &[Source]) -> Vec<String> {
    let verbs =
        ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "CREATE ", "DROP ", "ALTER ", "SET ", "DESCRIBE ", "ATTACH "];
    let quotes = ["quote_identifier(", "quote_literal(", "to_sql()", ".sql("];
    let mut found = Vec::new();
    for source in sources {
        let (text, lines): (Vec<_>, Vec<_>) = (source.text.lines().collect(), source.code.lines().collect());
        for (number, literal) in &source.literals {
            // A constant of ours, written in capitals, is no value of anybody else.
            let open = literal.split('{').skip(1).any(|rest| !rest.starts_with(|c: char| c.is_ascii_uppercase()));
            let near = lines[number.saturating_sub(2)..lines.len().min(number + 3)].join("\n");
            let is_sql = verbs.iter().any(|verb| literal.trim_start().starts_with(verb));
            if is_sql && open && !quotes.iter().any(|quote| near.contains(quote)) {
                found.push(place(source, *number, "a value in SQL that nothing quotes"));
            }
            if text[*number].contains(".replace(\"{") {
                found.push(place(source, *number, "fill placeholders with names::fill"));
            }
        }
    }
    found
}

fn place(source: &Source, line: usize, what: &str) -> String {
    format!("src/{}:{}: {what}", source.path, line + 1)
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + usize::from(code[at..].starts_with('\n'))
}

fn list(text: &str) -> Vec<&str> {
    text.split(", ").filter(|name| !name.is_empty()).collect()
}
