//! Each rule finds what is planted for it, and only that.

use std::collections::BTreeSet;

use super::source::Source;
use super::{imports, input_and_output, lengths, panics, statics, texts, unquoted, unsafety};

type Rule = fn(&[Source]) -> Vec<String>;

#[test]
fn rules_find_what_breaks_them() {
    let cases: [(Rule, &str, &str); 31] = [
        (imports, "ids/mod.rs", "use crate::ratings::Dataset;"),
        (imports, "train/fit.rs", "fn f(x: crate::store::Store) {}"),
        (imports, "graph/op.rs", "use crate::{rng, error};"),
        (imports, "score/mod.rs", "use super::rng::Rng;"),
        (imports, "metrics.rs", "use super::error::Error;"),
        (imports, "ids/builder.rs", "use super::super::rng::Rng;"),
        (imports, "graph/op.rs", "use arrow::array::Array;"),
        (imports, "model/spec.rs", "fn f() { duckdb::ffi::x() }"),
        (imports, "rng.rs", "use libc;"),
        (imports, "rng.rs", "use libc as c;"),
        (imports, "surplus.rs", ""),
        (input_and_output, "train/fit.rs", "use std::fs;"),
        (input_and_output, "ratings/mod.rs", "use std::{fs, io};"),
        (panics, "store/save.rs", "fn f() { x.unwrap(); }"),
        (panics, "store/save.rs", "fn f() { x\n    .expect(\"text\"); }"),
        (panics, "store/save.rs", "fn f() { todo!() }"),
        (panics, "train/fit.rs", "fn f() { eprintln!(\"text\") }"),
        (panics, "train/fit.rs", "#[cfg(test)]\nmod tests {}\nfn f() { x.unwrap() }"),
        (statics, "store/save.rs", "\nstatic COUNT: Mutex<u32> = Mutex::new(0);"),
        (statics, "train/fit.rs", "fn f() {\n    static ONCE: Once = Once::new();\n}"),
        (unsafety, "store/save.rs", "fn f() {\n    unsafe { g() };\n}"),
        (unsafety, "store/save.rs", "// SAFETY: far.\n\n\n\n\n\nfn f() {\n    unsafe { g() };\n}"),
        (unsafety, "store/save.rs", "/// A doc.\nunsafe fn f() {}"),
        (unsafety, "store/save.rs", "unsafe impl Send for X {}"),
        (
            unsafety,
            "store/save.rs",
            "fn f() {\n    // SAFETY (all blocks of this function): x.\n}\nfn g() {\n    unsafe { h() }\n}",
        ),
        (unquoted, "store/list.rs", "fn f() { s.execute(&format!(\"DROP TABLE {name}\")) }"),
        (unquoted, "store/list.rs", "fn f() { s.execute(&format!(\"SELECT * FROM {}\", name)) }"),
        (unquoted, "store/list.rs", "fn f() { sql.replace(\"{store}\", schema) }"),
        (unquoted, "store/list.rs", "fn f() { s.execute(&format!(r#\"SELECT * FROM {name}\"#)) }"),
        (lengths, "store/list.rs", &"fn f() {}\n".repeat(401)),
        (lengths, "store/list.rs", &format!("{}fn g() {{}}", "// a comment\n".repeat(400))),
    ];
    for (rule, path, text) in cases {
        let found = rule(&[Source::new(path, text)]);
        assert!(!found.is_empty(), "{path} passes: {text:.100}");
    }
}

#[test]
fn rules_let_what_is_right_pass() {
    let cases: [(&str, &str); 9] = [
        ("ids/mod.rs", "//! See [`Dataset`](crate::ratings::Dataset), `x.unwrap()`.\nuse crate::error::Error;"),
        ("store/save.rs", "const TEXT: &str = \"x.unwrap() and todo! and crate::functions::f\";"),
        ("store/save.rs", "const RAW: &str = r#\"\"unsafe { } \"#; const C: char = '\"'; fn f<'a>() {}"),
        ("store/save.rs", "/* println! /* dbg! */ todo! */ fn f() {}"),
        (
            "score/top_k.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::rng::Rng;\n    fn f() { x.unwrap(); }\n}",
        ),
        ("runtime/library.rs", "fn f(get: unsafe extern \"C\" fn() -> u8) {}\nstatic X: u8 = 0;"),
        (
            "functions/table.rs",
            "unsafe extern \"C\" fn f() {\n    // SAFETY (all blocks of this function): x.\n    let a = unsafe { g() };\n    let b = unsafe { g() };\n}",
        ),
        ("store/list.rs", "fn f() { s.execute(&format!(\"DROP TABLE {}\", quote_identifier(name))) }"),
        ("store/list.rs", "fn f() { s.rows(\"SELECT 1 WHERE name = ?\") + &format!(\"SELECT '{SETTING}'\") }"),
    ];
    let rules: [Rule; 7] = [imports, input_and_output, panics, statics, unsafety, unquoted, lengths];
    for (path, text) in cases {
        for rule in rules {
            assert_eq!(rule(&[Source::new(path, text)]), [""; 0], "{path}: {text}");
        }
    }
}

#[test]
fn tables_are_read_whole() {
    let readme = "| function | returns |\n|---|---|\n| `cofi_a(x)`, `cofi_b(y)` | `FLOAT` |\n| `cofi_c()` | see `cofi_d` |\n\n`cofi_e`";
    let found = texts::functions_of_readme(readme);
    let expected: BTreeSet<String> = ["cofi_a", "cofi_b", "cofi_c"].map(str::to_owned).into();
    assert_eq!(found, expected);
    let without: BTreeSet<String> = ["cofi_a", "cofi_b", "cofi_x"].map(str::to_owned).into();
    assert_eq!(
        texts::differences("function", &found, &without),
        ["function cofi_c is not there", "function cofi_x does not exist"]
    );
}
