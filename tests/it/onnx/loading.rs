//! Everything that can be wrong with the library. A process can load one only, so most of it happens in children.

use std::io::Write;
use std::path::Path;
use std::process::{self, Command};
use std::{env, fs, io};

use cofi::graph::Engine;
use cofi::rng::Rng;
use cofi::runtime::{Library, Source, Wanted};

use super::{engine, library, random_step};
use crate::support::{floats, indices};

/// The variables that make [`child`] do something: what to try first, and what then has to work.
const FIRST: &str = "COFI_TEST_FIRST_LIBRARY";
const THEN: &str = "COFI_TEST_THEN_LIBRARY";

/// Runs in a process of its own, since a process can load one library: prints what loading a first one answers, then
/// loads another and computes with it.
#[test]
fn child() {
    let (Ok(first), Ok(then)) = (env::var(FIRST), env::var(THEN)) else { return };
    let answer = |library: cofi::error::Result<&Library>| match library {
        Ok(library) => format!("loaded {} from {}", library.version(), library.source()),
        Err(error) => error.to_string(),
    };
    let mut out = io::stdout();
    writeln!(out, "\nfirst: {}", answer(Library::load(&Wanted::named(&first)))).unwrap();
    let Ok(library) = Library::load(&Wanted::named(&then)) else { return };
    writeln!(out, "then: {}", answer(Ok(library))).unwrap();
    let (step, initial, ..) = random_step(&mut Rng::new(1));
    let mut program = engine(library, 2).compile(&step, &initial, 1).unwrap();
    let outside = [floats("x", &[0.5]), indices("rows", &[1000]), floats("rate", &[0.1])];
    writeln!(out, "outside: {}", program.step(&outside).is_err()).unwrap();
    writeln!(out, "again: {}", answer(Library::load(&Wanted::default()))).unwrap();
}

/// What [`child`] printed, by the word in front. Its stderr has to be empty, the library's own log included, and nothing
/// may be written to its home folder: ONNX Runtime's telemetry would be.
fn run_child(first: &Path, then: &Path) -> impl Fn(&str) -> String + use<> {
    let (_, module) = module_path!().split_once("::").unwrap();
    let home = env::temp_dir().join(format!("cofi-home-{}", process::id()));
    fs::create_dir_all(&home).unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1", &format!("{module}::child")])
        .env(FIRST, first)
        .env(THEN, then)
        .env("HOME", &home)
        .env("XDG_CACHE_HOME", &home)
        .env_remove("ORT_DISABLE_TELEMETRY")
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stderr, "");
    assert!(fs::read_dir(&home).unwrap().next().is_none(), "something was written to {}", home.display());
    fs::remove_dir_all(&home).unwrap();
    move |word| {
        let line = stdout.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {word} in {stdout}")).to_owned()
    }
}

#[test]
fn wrong_libraries_are_refused_and_the_next_one_loads() {
    let name = "wrong_libraries_are_refused_and_the_next_one_loads";
    let Some(library) = library(name) else { return };
    assert_eq!(library.source(), Source::Environment);
    let folder = env::temp_dir().join(format!("cofi-libraries-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (text, missing) = (folder.join("text.so"), folder.join("missing.so"));
    fs::write(&text, "not a library").unwrap();
    let mut cases = vec![
        (missing, "there is no such file".to_owned()),
        (folder.clone(), "that is a folder".to_owned()),
        (text, "it cannot be loaded: ".to_owned()),
    ];
    let wrong = r#"
        typedef struct { const void *(*get_api)(unsigned); const char *(*get_version)(void); } Base;
        static const void *get_api(unsigned number) { (void)number; return 0; }
        static const char *get_version(void) { return VERSION; }
        static const Base base = { get_api, get_version };
        const Base *NAME(void) { return &base; }"#;
    for (file, version, function, reason) in [
        ("other.so", "1.31.1", "SomethingElse", "it has no function OrtGetApiBase"),
        ("old.so", "1.20.3", "OrtGetApiBase", "its version 1.20.3 is too old"),
        ("odd.so", "nightly", "OrtGetApiBase", "its version nightly is too old"),
        ("liar.so", "1.99.0", "OrtGetApiBase", "its version 1.99.0 is too old"),
    ] {
        let (source, target) = (folder.join("wrong.c"), folder.join(file));
        fs::write(&source, wrong.replace("VERSION", &format!("{version:?}")).replace("NAME", function)).unwrap();
        match Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&target).arg(&source).status() {
            Ok(status) if status.success() => cases.push((target, reason.to_owned())),
            _ => writeln!(io::stderr(), "skipped {name}, the case {file}: no C compiler").unwrap(),
        }
    }
    for (path, reason) in cases {
        let said = run_child(&path, library.path());
        let first = said("first");
        let path = fs::canonicalize(&path).unwrap_or(path);
        let start = format!("onnx runtime library {} (the setting cofi_onnxruntime): ", path.display());
        assert!(first.starts_with(&start) && first.contains(&reason), "{reason} is not in: {first}");
        assert!(first.contains("SET cofi_onnxruntime = '"), "no way out in: {first}");
        assert_eq!(said("then"), format!("loaded {} from the setting cofi_onnxruntime", library.version()));
        assert_eq!((said("outside"), said("again")), ("true".to_owned(), said("then")));
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_second_library_is_refused_and_the_first_one_under_another_name_is_not() {
    let name = "a_second_library_is_refused_and_the_first_one_under_another_name_is_not";
    let Some(library) = library(name) else { return };
    let path = library.path().to_str().unwrap();
    assert!(Library::load(&Wanted::named(path)).is_ok() && Library::load(&Wanted::named("  ")).is_ok());
    let detour = library.path().parent().unwrap().join(".").join(library.path().file_name().unwrap());
    assert!(Library::load(&Wanted::named(detour.to_str().unwrap())).is_ok());
    // Where files are closed the loaded one may still be named, and no other.
    let closed = |path: &str| Wanted { closed_by: Some("locked is true"), ..Wanted::named(path) };
    assert!(Library::load(&closed(path)).is_ok());
    let error = Library::load(&closed("/elsewhere/libonnxruntime.so")).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("no library is loaded by its name while the setting locked is true"), "{error}");
    let error = Library::load(&Wanted::named("/elsewhere/libonnxruntime.so")).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("cofi_onnxruntime = '/elsewhere/libonnxruntime.so': this process has loaded"), "{error}");
    assert!(error.contains(path), "{error}");
}
