//! What a GPU needs besides ONNX Runtime: whether it is there, and how it is got where it is not.

mod driver;

use std::fs;
use std::path::{Path, PathBuf};

use libloading::Library;

pub use driver::{Driver, Gpu};

/// How CUDA's own libraries are got with ONNX Runtime's build for CUDA.
pub(super) const GET_BUILD: &str = "pip install 'onnxruntime-gpu[cuda,cudnn]', and name its onnxruntime/capi/libonnxruntime.so.* with SET cofi_onnxruntime \
                                    = '/path' or in the environment variable ORT_DYLIB_PATH before the first training (`make gpu` in cofi's sources fetches \
                                    all into one folder)";

/// Everything that surely keeps a GPU from being used, each with the way to get it; `has_provider` is whether the library was built for CUDA.
pub(super) fn missing(library: &Path, has_provider: bool, index: u32) -> Vec<String> {
    let mut missing = Vec::new();
    match Driver::ask() {
        Err(reason) => missing.push(format!(
            "NVIDIA's driver ({reason}): install the one of your GPU (Debian: apt-get install nvidia-driver, Ubuntu: ubuntu-drivers install), \
             or start the container with --gpus all"
        )),
        Ok(driver) if index as usize >= driver.gpus.len() => {
            missing.push(format!("a GPU {index}: the driver shows {}, counted from 0", driver.gpus.len()));
        }
        Ok(_) => {}
    }
    let provider = library.with_file_name(provider_name());
    if !has_provider {
        missing.push(format!("an ONNX Runtime built for CUDA ({} is for the CPU): {GET_BUILD}", library.display()));
    } else if !provider.is_file() {
        missing.push(format!("{}, which belongs beside the library: {GET_BUILD}", provider.display()));
    }
    missing
}

fn provider_name() -> &'static str {
    if cfg!(windows) { "onnxruntime_providers_cuda.dll" } else { "libonnxruntime_providers_cuda.so" }
}

/// The library that the system's loader did not find, by its own message: `libcublas.so.13: cannot open shared object file`.
pub(super) fn not_found(message: &str) -> Option<&str> {
    let (before, _) = message.split_once(": cannot open shared object file")?;
    let name = before.rsplit([' ', '\'', '"']).next()?;
    (name.contains(".so") && !name.contains('/')).then_some(name)
}

/// Loads a library of CUDA's for good, where it lies beside ONNX Runtime or where pip puts it; whatever needs it next finds it loaded.
/// Whether it did.
pub(super) fn preload(name: &str, onnxruntime: &Path) -> bool {
    let Some(path) = places(onnxruntime).into_iter().map(|folder| folder.join(name)).find(|path| path.is_file()) else {
        return false;
    };
    // SAFETY: runs the initialisers of a library that lies where the user put or installed it with the one that was named.
    match unsafe { Library::new(&path) } {
        Ok(library) => {
            std::mem::forget(library);
            true
        }
        Err(_) => false,
    }
}

/// `onnxruntime/capi` of Python's packages has `nvidia/cu13/lib` and the like beside it.
fn places(onnxruntime: &Path) -> Vec<PathBuf> {
    let Some(own) = onnxruntime.parent() else { return Vec::new() };
    let packages = own.ancestors().nth(2).map(|packages| packages.join("nvidia"));
    let folders = packages.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = folders.map(|folder| folder.path().join("lib")).collect();
    folders.sort();
    folders.insert(0, own.to_owned());
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_names_what_it_did_not_find() {
        let message = "Failed to load library /a b/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file: No such file";
        assert_eq!(not_found(message), Some("libcublasLt.so.13"));
        for other in
            ["out of memory", "/a/libx.so: cannot open shared object file", "it: cannot open shared object file"]
        {
            assert_eq!(not_found(other), None, "{other}");
        }
    }

    #[test]
    fn the_build_for_the_cpu_and_a_missing_provider_are_told_apart() {
        let library = Path::new("/nowhere/libonnxruntime.so");
        let last = |has_provider| missing(library, has_provider, 0).pop().unwrap_or_default();
        assert!(last(false).starts_with("an ONNX Runtime built for CUDA (/nowhere/libonnxruntime.so is for the CPU)"));
        assert!(
            last(true).starts_with("/nowhere/libonnxruntime_providers_cuda.so, which belongs beside") || cfg!(windows)
        );
    }
}
