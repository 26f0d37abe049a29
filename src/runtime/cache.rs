//! The user's cache folder, where the embedded library is unpacked once.
//!
//! The file's name has the version and the start of the SHA-256, so that versions live side by side. It is checked
//! before every use, and written under another name, checked and renamed: two processes may do that at once, and one
//! that is killed leaves only a file that a later one removes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, process};

use crate::error::{Error, Result};
use crate::runtime::bundle::Bundle;

/// The ending of a file that is being written.
const PART: &str = ".part";
/// After this long nobody is writing it any more.
const PART_AGE: Duration = Duration::from_secs(60 * 60);

/// Where this account's caches of cofi belong; `None` where the environment does not say.
pub fn user_folder() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        absolute("HOME").map(|home| home.join("Library/Caches"))
    } else {
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
    };
    caches.map(|caches| caches.join("cofi"))
}

/// The path of the unpacked library in `folder`, unpacked now if it is not there or not right.
///
/// # Errors
/// A folder that cannot be made, is not this user's own, or cannot be written.
pub fn unpacked(bundle: &Bundle, folder: &Path) -> Result<PathBuf> {
    let unusable = |error: io::Error| Error::new(format!("cache folder {}: {error}", folder.display()));
    make_private(folder).map_err(unusable)?;
    let library = folder.join(file_name(bundle));
    if is_there(bundle, &library) {
        return Ok(library);
    }
    remove_old_parts(folder);
    replace(&folder.join(format!("NOTICES.{}.txt", edition(bundle))), |file| {
        io::copy(&mut bundle.read_notices()?, file).map_err(unusable)?;
        Ok(())
    })?;
    replace(&library, |file| {
        bundle.write_library(file).map_err(|error| error.context(format!("cache folder {}", folder.display())))
    })?;
    Ok(library)
}

/// The path of the library in `folder` where it was unpacked before; nothing is written.
///
/// # Errors
/// A folder that is not this user's own alone, or has no right copy.
pub fn present(bundle: &Bundle, folder: &Path) -> Result<PathBuf> {
    let unusable = |error: io::Error| Error::new(format!("cache folder {}: {error}", folder.display()));
    let library = folder.join(file_name(bundle));
    match check_private(folder).map_err(unusable)? && is_there(bundle, &library) {
        true => Ok(library),
        false => {
            Err(Error::new(format!("cache folder {}: it has no copy yet and nothing may be written", folder.display())))
        }
    }
}

fn edition(bundle: &Bundle) -> String {
    format!("{}-{}", bundle.version, bundle.sha256.get(..16).unwrap_or(bundle.sha256))
}

fn file_name(bundle: &Bundle) -> String {
    format!("libonnxruntime.{}{}", edition(bundle), env::consts::DLL_SUFFIX)
}

fn is_there(bundle: &Bundle, library: &Path) -> bool {
    open_plain(library).is_ok_and(|mut file| bundle.is_in(&mut file))
}

/// Writes a file beside `path`, and puts it there when it is complete.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let unique = format!(".{}-{}{PART}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let mut part = path.as_os_str().to_owned();
    part.push(unique);
    let part = PathBuf::from(part);
    let failed = |error: io::Error| Error::new(format!("cannot write {}: {error}", path.display()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private_file(&mut options);
    let written = options.open(&part).map_err(failed).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&part, path).map_err(failed)
    });
    if written.is_err() {
        // Best effort: the error that is reported is the one that came first.
        let _ = fs::remove_file(&part);
    }
    written
}

/// What killed processes left behind. Best effort: such files are harmless.
fn remove_old_parts(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_part = entry.file_name().to_string_lossy().ends_with(PART);
        let age = entry.metadata().ok().and_then(|metadata| metadata.modified().ok()?.elapsed().ok());
        if is_part && age.is_some_and(|age| age > PART_AGE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes the folder with all above it, for this user alone.
#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if !check_private(folder)? {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Whether nobody else can look into a folder of this user's own.
///
/// # Errors
/// A folder that somebody else owns, or could put another one in the place of.
#[cfg(unix)]
fn check_private(folder: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let refused = |reason: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != user() {
        return refused("not a folder of this user's own");
    }
    if let Some(above) = folder.parent() {
        // What is renamed in there may be a link on the way: who may rename is what counts.
        let above = fs::metadata(above)?;
        let [is_sticky, is_for_all] = [0o1000, 0o002].map(|bit| above.mode() & bit != 0);
        if ![0, user()].contains(&above.uid()) || is_for_all && !is_sticky {
            return refused("others may rename what is in the folder above it");
        }
    }
    Ok(found.mode() & 0o077 == 0)
}

#[cfg(unix)]
fn user() -> u32 {
    // SAFETY: asks for a number and cannot fail.
    unsafe { libc::geteuid() }
}

/// Makes the folder with all above it; what is below the user's profile is private already.
#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(folder)
}

#[cfg(not(unix))]
fn check_private(folder: &Path) -> io::Result<bool> {
    fs::metadata(folder).map(|found| found.is_dir())
}

/// Opens an ordinary file that nobody else could change after it was checked, and no link to one.
fn open_plain(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    private_file(&mut options);
    let file = options.open(path)?;
    if is_own(&file.metadata()?) { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// A folder that was open to all may hold what others own, have open, or know by another name.
#[cfg(unix)]
fn is_own(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    file.is_file() && file.uid() == user() && file.nlink() == 1 && file.mode() & 0o022 == 0
}

#[cfg(not(unix))]
fn is_own(file: &fs::Metadata) -> bool {
    file.is_file()
}

/// Follows no link; a new file is for this user alone. (A named pipe put there must not block the opening either.)
#[cfg(unix)]
fn private_file(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;

    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
}

#[cfg(not(unix))]
fn private_file(_options: &mut OpenOptions) {}

#[cfg(test)]
mod tests;
