//! Files that a function writes, under the host's rules.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, quoted};
use crate::functions::caller::Caller;
use crate::functions::table::{Call, Execution};
use crate::store::Database;

/// The most files of a writer that was broken off that are stepped over.
const MOST_LEFTOVERS: u32 = 1000;

/// A place to write a file to; the caller may.
pub struct OutputFile {
    path: String,
}

impl OutputFile {
    /// Checks that the caller's settings allow files, and that the text names one.
    ///
    /// # Errors
    /// `enable_external_access` is off, or the host's local files are; an empty path, or one of a folder.
    pub fn new(call: &Call<'_>, path: String) -> Result<Self> {
        let file = Self { path };
        file.check_open(call.database, call.caller)?;
        if file.path.is_empty() || file.path.ends_with(std::path::is_separator) {
            return Err(file.refused());
        }
        Ok(file)
    }

    /// The path as the caller gave it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Writes the file whole or not at all: under a temporary name beside it, which then becomes its own. A file of that
    /// name is replaced; a link stays, and what it points to is replaced.
    ///
    /// # Errors
    /// Settings that do not allow files any more; a folder or device of that name; whatever the operating system says.
    pub fn write(&self, call: &Execution, bytes: &[u8]) -> Result<()> {
        // Asked again: the statement may have been prepared before.
        self.check_open(&call.database, &call.caller)?;
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| PathBuf::from(&self.path));
        if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
            return Err(self.refused());
        }
        let failed = |error: io::Error| self.refused().with_source(error);
        let (part, mut file) = create_beside(&target).map_err(failed)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&part, &target));
        written.map_err(|error| {
            // What went wrong first is what the caller should hear.
            let _ = fs::remove_file(&part);
            failed(error)
        })
    }

    fn check_open(&self, database: &Database, caller: &Caller) -> Result<()> {
        match database.reading(caller.connection_id)?.files_closed_by()? {
            None => Ok(()),
            Some(setting) => Err(Error::new(format!(
                "path = {}: no file is written while the setting {setting}, which lasts until the database is opened anew",
                quoted(&self.path)
            ))),
        }
    }

    fn refused(&self) -> Error {
        Error::argument(
            "path",
            quoted(&self.path),
            "the path of a file, in a folder that exists and can be written",
            "",
        )
    }
}

/// A new file in the folder of another, under a name of this process's own.
fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 0;
    loop {
        let part = target.with_file_name(format!(".cofi-{}-{number}.part", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&part) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < MOST_LEFTOVERS => number += 1,
            other => return other.map(|file| (part, file)),
        }
    }
}
