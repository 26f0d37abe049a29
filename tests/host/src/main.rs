//! Runs every `tests/sql/*.test` (sqllogictest) in real DuckDB hosts: what the user sees is tested in SQL.
//!
//! A trial is one file in one host, with a fresh database. A host is a Python environment that `make configure` set up
//! with one version of DuckDB; a child process (`tests/host/engine.py`) drives it. What is missing fails by name:
//! nothing is skipped. The extension is `COFI_EXTENSION`, or else the release build.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use sqllogictest::{DBOutput, DefaultColumnType, ExpectedError, QueryExpect, Record, Runner, StatementExpect};

/// The versions of DuckDB, and the environments that have them.
const HOSTS: [(&str, &str); 2] = [("2.0.0", "configure/venv"), ("1.5.6", "configure/venv-1.5")];

fn main() {
    let arguments = Arguments::from_args();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let extension = std::env::var_os("COFI_EXTENSION")
        .map_or_else(|| root.join("build/release/cofi.duckdb_extension"), |path| root.join(path));
    let mut trials = Vec::new();
    for file in test_files(root) {
        for (version, environment) in HOSTS {
            let python = root.join(environment).join("bin/python");
            let (file, extension) = (file.clone(), extension.clone());
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let name = format!("{stem} [duckdb {version}]");
            trials.push(Trial::test(name, move || run_file(&file, &python, &extension)));
        }
    }
    assert!(!trials.is_empty(), "tests/sql has no file with the ending .test");
    libtest_mimic::run(&arguments, trials).exit();
}

fn test_files(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root.join("tests/sql")).expect("tests/sql can be read");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry of tests/sql can be read").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "test"));
    files.sort();
    files
}

fn run_file(file: &Path, python: &Path, extension: &Path) -> Result<(), Failed> {
    for (what, path) in [("the host", python), ("the extension", extension)] {
        if !path.exists() {
            return Err(format!("{what} is missing: {} (make configure release)", path.display()).into());
        }
    }
    let records = sqllogictest::parse_file(file)?;
    if let Some(sql) = records.iter().find_map(error_without_text) {
        return Err(format!("an expected error has no text to compare with: {sql}").into());
    }
    let host = Arc::new(Mutex::new(Host::start(python, extension)?));
    let next_number = AtomicUsize::new(0);
    let mut runner = Runner::new(|| {
        let number = next_number.fetch_add(1, Ordering::Relaxed);
        let connection = Connection { host: Arc::clone(&host), number };
        async move { Ok(connection) }
    });
    runner.with_column_validator(sqllogictest::strict_column_validator);
    Ok(runner.run_multi(records)?)
}

/// The SQL of a record that expects an error and does not say which.
fn error_without_text(record: &Record<DefaultColumnType>) -> Option<&str> {
    match record {
        Record::Statement { sql, expected: StatementExpect::Error(ExpectedError::Empty), .. }
        | Record::Query { sql, expected: QueryExpect::Error(ExpectedError::Empty), .. } => Some(sql),
        _ => None,
    }
}

/// The child process around a DuckDB; it ends when its standard input does.
struct Host {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Host {
    fn start(python: &Path, extension: &Path) -> Result<Self, HostError> {
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("engine.py"))
            .arg(extension)
            // The copy of ONNX Runtime inside the extension is what is to be tested.
            .env_remove("ORT_DYLIB_PATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| HostError(format!("{} does not start: {error}", python.display())))?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or_else(|| HostError("no pipe to the host".into()))?);
        Ok(Self { child, requests, answers })
    }

    fn ask(&mut self, request: &Value) -> Result<Value, HostError> {
        let sent = self.requests.as_mut().map(|requests| writeln!(requests, "{request}"));
        let mut line = String::new();
        let received = self.answers.read_line(&mut line);
        match (sent, received) {
            (Some(Ok(())), Ok(1..)) => {
                serde_json::from_str(&line).map_err(|error| HostError(format!("{error}: {line}")))
            }
            _ => Err(HostError(match self.child.wait() {
                Ok(status) => format!("the host process ended: {status}"),
                Err(error) => format!("the host process cannot be reached: {error}"),
            })),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.requests.take());
        // A host that has crashed has been reported by the statement that it did not answer.
        let _ = self.child.wait();
    }
}

/// One connection to the database of a host.
struct Connection {
    host: Arc<Mutex<Host>>,
    number: usize,
}

impl sqllogictest::DB for Connection {
    type Error = HostError;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, HostError> {
        let mut host = self.host.lock().map_err(|_| HostError("an earlier statement panicked".into()))?;
        let answer = host.ask(&json!({ "connection": self.number, "sql": sql }))?;
        if let Some(error) = answer["error"].as_str() {
            return Err(HostError(error.into()));
        }
        let types = answer["types"].as_str().unwrap_or_default();
        let types = types.chars().filter_map(<DefaultColumnType as sqllogictest::ColumnType>::from_char).collect();
        let rows = serde_json::from_value(answer["rows"].clone()).map_err(|error| HostError(error.to_string()))?;
        Ok(DBOutput::Rows { types, rows })
    }
}

/// What DuckDB said, or why it could not be asked.
#[derive(Debug)]
struct HostError(String);

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HostError {}
