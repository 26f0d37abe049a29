//! Finds, checks and loads the ONNX Runtime library: once a process, since its environment is the process's.

use std::error::Error as _;
use std::ffi::CStr;
use std::fs::{self, File};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::{env, fmt, io};

use ort::environment::Environment;
use ort::sys;

use crate::ending::{self, Call};
use crate::error::{Error, Result};
use crate::runtime::bundle::{self, BUNDLE, Bundle};
use crate::runtime::{cache, elf};

/// The environment variable that names a library.
const VARIABLE: &str = "ORT_DYLIB_PATH";
/// How the user gets out of any trouble with the library.
const WAY_OUT: &str = "name an ONNX Runtime library, 1.21 or newer, with SET cofi_onnxruntime = \
                       '/path/libonnxruntime.so' or in the environment variable ORT_DYLIB_PATH (the PyPI package \
                       onnxruntime has one in onnxruntime/capi)";

static LOADED: OnceLock<Library> = OnceLock::new();
/// The path that the process is tied to as soon as `ort` has opened it, even if the environment then failed.
static TIED: OnceLock<PathBuf> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// The library of this process.
pub struct Library {
    path: PathBuf,
    version: String,
    source: Source,
    environment: Environment,
    /// Keeps the path of a library in memory alive.
    _memory: Option<File>,
}

/// Which of the places had the library; they are searched in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The setting `cofi_onnxruntime`.
    Setting,
    /// The environment variable `ORT_DYLIB_PATH`.
    Environment,
    /// A file in the folder of the extension's own file.
    BesideExtension,
    /// The copy inside the extension.
    Embedded,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Setting => "the setting cofi_onnxruntime",
            Source::Environment => "the environment variable ORT_DYLIB_PATH",
            Source::BesideExtension => "beside the extension",
            Source::Embedded => "embedded in the extension",
        })
    }
}

/// What a caller says about the library.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The path in the setting `cofi_onnxruntime`.
    pub named: Option<String>,
    /// The host's setting, in words, that keeps the caller from all files: none is loaded by name then, and none is written.
    pub closed_by: Option<&'static str>,
}

impl Wanted {
    /// This very library, by a caller who may have any.
    pub fn named(path: &str) -> Self {
        Self { named: Some(path.to_owned()), closed_by: None }
    }
}

impl Library {
    /// The library of this process, loaded now if none is.
    ///
    /// A failed attempt leaves it possible to load another one.
    ///
    /// # Errors
    /// No library anywhere; a file that is missing, no library, none of ONNX Runtime, of another machine, or too old;
    /// a setting that names another library than the loaded one, or any where the caller is kept from files.
    pub fn load(wanted: &Wanted) -> Result<&'static Library> {
        let setting = wanted.named.as_deref().map(str::trim).filter(|path| !path.is_empty()).map(Path::new);
        let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = LOADED.get();
        let is_loaded = |path: &Path| loaded.is_some_and(|loaded| same_file(path, &loaded.path));
        match (setting, wanted.closed_by) {
            (Some(path), Some(setting)) if !is_loaded(path) => return Err(closed(path, setting)),
            _ => {}
        }
        if let Some(loaded) = loaded {
            return match setting {
                Some(path) if !is_loaded(path) => Err(tied_to(&loaded.path, path)),
                _ => Ok(loaded),
            };
        }
        turn_telemetry_off();
        let found = find(setting, wanted.closed_by.is_none())?;
        if let Some(tied) = TIED.get()
            && *tied != found.path
        {
            return Err(tied_to(tied, &found.path));
        }
        let library = found.load()?;
        Ok(LOADED.get_or_init(|| library))
    }

    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// ONNX Runtime's version, as the library says it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where it was found.
    pub fn source(&self) -> Source {
        self.source
    }

    /// What sessions are made in.
    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// A file that passed every check, opened but not yet tied to the process.
struct Found {
    path: PathBuf,
    version: String,
    source: Source,
    memory: Option<File>,
    /// Closing it before `ort` has opened the file too would load it twice.
    opened: libloading::Library,
}

impl Found {
    fn new(path: PathBuf, source: Source, memory: Option<File>) -> Result<Self> {
        match check(&path) {
            Ok((opened, version)) => Ok(Self { path, version, source, memory, opened }),
            Err(reason) => {
                Err(Error::new(format!("onnx runtime library {} ({source}): {reason}; {WAY_OUT}", path.display())))
            }
        }
    }

    fn load(self) -> Result<Library> {
        let Self { path, version, source, memory, opened } = self;
        let _call = Call::begin()?;
        // `ort` panics where it cannot go on; nothing of ours is half done when it does.
        let environment = panic::catch_unwind(AssertUnwindSafe(|| environment(&path)))
            .unwrap_or_else(|_| Err("it cannot be initialised".to_owned()))
            .map_err(|reason| Error::new(format!("onnx runtime library {}: {reason}; {WAY_OUT}", path.display())))?;
        drop(opened);
        ending::wait_at_exit();
        Ok(Library { path, version, source, environment, _memory: memory })
    }
}

/// Ties the process to a checked library.
fn environment(path: &Path) -> std::result::Result<Environment, String> {
    let builder = ort::init_from(path).map_err(|error| error.to_string())?;
    TIED.get_or_init(|| path.to_owned());
    // Without a logger of ours ONNX Runtime's log would go to the host's stderr; errors come back as results.
    let silent = Arc::new(|_: ort::logging::LogLevel, _: &str, _: &str, _: &str, _: &str| {});
    let builder = builder.with_name("cofi").with_telemetry(false).with_logger(silent);
    builder.build().map_err(|error| error.message().to_owned())
}

fn find(setting: Option<&Path>, may_write: bool) -> Result<Found> {
    let named = setting.map(|path| (path.to_owned(), Source::Setting));
    let named = named.or_else(|| {
        let path = env::var_os(VARIABLE).filter(|path| !path.is_empty())?;
        Some((PathBuf::from(path), Source::Environment))
    });
    if let Some((path, source)) = named.or_else(|| Some((beside_extension()?, Source::BesideExtension))) {
        // The real file: providers are looked for beside it, and two names of one file are one library.
        let path = fs::canonicalize(&path).unwrap_or(path);
        return Found::new(path, source, None);
    }
    match &BUNDLE {
        Some(bundle) => unpack(bundle, may_write),
        None => Err(Error::new(format!("no onnx runtime library: this build of cofi has none inside; {WAY_OUT}"))),
    }
}

/// The embedded library from the cache folder, or from memory where that folder cannot be used (no home, read-only,
/// full, or mounted so that nothing in it may be executed) or may not be written and has no right copy yet.
fn unpack(bundle: &'static Bundle, may_write: bool) -> Result<Found> {
    let folder = cache::user_folder().ok_or_else(|| Error::new("the environment names no home folder"));
    let in_folder = folder
        .and_then(|folder| if may_write { cache::unpacked(bundle, &folder) } else { cache::present(bundle, &folder) })
        .and_then(|path| Found::new(path, Source::Embedded, None));
    in_folder.or_else(|reason| {
        let nor_in_memory = |error| Error::new(format!("{reason}; and as a file in memory: {error}; {WAY_OUT}"));
        let (path, file) = bundle::in_memory(bundle).map_err(nor_in_memory)?;
        Found::new(path, Source::Embedded, Some(file)).map_err(|error| error.context(&reason))
    })
}

/// Opens the file and asks it for its version, before `ort` and with it the process is tied to it.
fn check(path: &Path) -> std::result::Result<(libloading::Library, String), String> {
    // A bare name is the system loader's to find, as for every library.
    let is_path = path.components().nth(1).is_some();
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_path => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("there is no such file".to_owned()),
        Err(error) => return Err(error.to_string()),
        Ok(metadata) if metadata.is_dir() => return Err("that is a folder".to_owned()),
        Ok(_) => elf::check_is_whole(path)?,
    }
    // SAFETY: runs the initialisers of a library that the user named as ONNX Runtime, or that is embedded and checked.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| {
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        format!("it cannot be loaded: {reason}")
    })?;
    let not_ours = || "it is not an ONNX Runtime library (it has no function OrtGetApiBase)".to_owned();
    let old = |version: &str| format!("its version {version} is too old");
    // SAFETY: every library with a function of this name declares it so: that is ONNX Runtime's entry point.
    let base = unsafe { library.get::<unsafe extern "C" fn() -> *const sys::OrtApiBase>(b"OrtGetApiBase\0") };
    // SAFETY: the function takes nothing and returns a pointer to a table that lives as long as the library, or null.
    let base = unsafe { base.map_err(|_| not_ours())?().as_ref() }.ok_or_else(not_ours)?;
    // SAFETY: the table's function returns a C string that lives as long as the library.
    let version = unsafe { CStr::from_ptr((base.GetVersionString)()) }.to_string_lossy().into_owned();
    // Asked for a version that it does not have, the library would complain on stderr: so the text comes first.
    if !is_new_enough(&version) {
        return Err(old(&version));
    }
    // SAFETY: the table's function takes any number and returns null for one that it does not know.
    let api = unsafe { (base.GetApi)(sys::ORT_API_VERSION) };
    if api.is_null() { Err(old(&version)) } else { Ok((library, version)) }
}

/// Whether a version such as `1.31.1` has the API that `ort` was built for.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(1), Some(minor)) => minor >= sys::ORT_API_VERSION,
        _ => false,
    }
}

/// `libonnxruntime.so`, or a versioned name of it, in the folder of the file that this code was loaded from.
fn beside_extension() -> Option<PathBuf> {
    let folder = own_file()?.parent()?.to_owned();
    let plain = format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    if folder.join(&plain).is_file() {
        return Some(folder.join(plain));
    }
    let versioned = |name: &str| match env::consts::DLL_SUFFIX {
        ".so" => name.starts_with("libonnxruntime.so."),
        suffix => name.starts_with("libonnxruntime.") && name.ends_with(suffix),
    };
    let names = fs::read_dir(&folder).ok()?.flatten().map(|entry| entry.path());
    names.filter(|path| path.file_name().is_some_and(|name| versioned(&name.to_string_lossy()))).max()
}

/// Official builds of ONNX Runtime report to Microsoft, and keep a number of the machine and a database of events in the
/// user's cache folder, from the moment that the environment is made: this variable alone prevents it, the call that
/// `ort` has for it comes too late. A choice that the user has made stays.
fn turn_telemetry_off() {
    const SWITCH: &str = "ORT_DISABLE_TELEMETRY";
    if env::var_os(SWITCH).is_none() {
        // SAFETY: once a process, and the standard library keeps Rust code from reading meanwhile. C code of the host that
        // reads the environment on another thread in this moment is safe with glibc since 2.41; with an older one the
        // table may move under it, the risk that Python's os.environ takes too. There is no other switch.
        unsafe { env::set_var(SWITCH, "1") };
    }
}

/// The file that this code was loaded from.
#[cfg(unix)]
fn own_file() -> Option<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: the address is one of this library's own, and the structure is there to be filled in.
    let known = unsafe { libc::dladdr(own_file as *const libc::c_void, &mut info) } != 0;
    if !known || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's name of a loaded file is a C string that lives as long as the file is loaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    fs::canonicalize(OsStr::from_bytes(name.to_bytes())).ok()
}

/// Elsewhere the way to ask is another, and the other three places are searched.
#[cfg(not(unix))]
fn own_file() -> Option<PathBuf> {
    None
}

fn same_file(path: &Path, loaded: &Path) -> bool {
    path == loaded || fs::canonicalize(path).is_ok_and(|path| path == loaded)
}

fn closed(path: &Path, setting: &str) -> Error {
    Error::new(format!(
        "cofi_onnxruntime = '{}': no library is loaded by its name while the setting {setting}; load it before that, with FROM \
         cofi_info(), or leave the setting empty for the copy inside cofi",
        path.display()
    ))
}

fn tied_to(loaded: &Path, other: &Path) -> Error {
    Error::new(format!(
        "cofi_onnxruntime = '{}': this process has loaded the onnx runtime library {} already, and can load only one; \
         restart the process to use another",
        other.display(),
        loaded.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(WAY_OUT.contains(&format!(" 1.{} or newer", sys::ORT_API_VERSION)), "{WAY_OUT}");
        for version in ["1.21.0", "1.22", "1.31.1", "1.100.0-dev"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["1.20.9", "1.9.1", "0.31.1", "2.0.0", "1", "", "one.22"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
