//! What a GPU needs besides ONNX Runtime: whether it is there, and how it is got where it is not; and its memory.

mod driver;
mod placed;

use std::fs;
use std::path::{Path, PathBuf};

use libloading::Library;

use crate::error::Result;

pub use driver::{Driver, Gpu};
pub use placed::check_placement;

/// How CUDA's own libraries are got with ONNX Runtime's build for CUDA.
pub(super) const GET_BUILD: &str = "pip install 'onnxruntime-gpu[cuda,cudnn]', and name its onnxruntime/capi/libonnxruntime.so.* with SET cofi_onnxruntime \
                                    = '/path' or in the environment variable ORT_DYLIB_PATH before the first training (`make gpu` in cofi's sources fetches \
                                    all into one folder)";

/// Everything that surely keeps a GPU from being used, each with the way to get it; `has_provider` is whether the library was built for CUDA.
pub(super) fn missing(driver: &Result<Driver>, library: &Path, has_provider: bool, index: u32) -> Vec<String> {
    let mut missing = Vec::new();
    match driver {
        Err(reason) => missing.push(format!(
            "NVIDIA's driver ({reason}): install the one of your GPU (Debian: apt-get install nvidia-driver, Ubuntu: ubuntu-drivers install), \
             or start the container with --gpus all"
        )),
        Ok(driver) if index as usize >= driver.gpus.len() => {
            missing.push(format!("a GPU {index}: the driver shows {}, counted from 0", driver.gpus.len()));
        }
        Ok(_) => {}
    }
    let provider = provider_file(library);
    if !has_provider {
        missing.push(format!("an ONNX Runtime built for CUDA ({} is for the CPU): {GET_BUILD}", library.display()));
    } else if !provider.is_file() {
        missing.push(format!("{}, which belongs beside the library: {GET_BUILD}", provider.display()));
    }
    missing
}

/// Where the part of ONNX Runtime lies that computes with CUDA, if it is there.
pub(super) fn provider_file(library: &Path) -> PathBuf {
    library.with_file_name(match cfg!(windows) {
        true => "onnxruntime_providers_cuda.dll",
        false => "libonnxruntime_providers_cuda.so",
    })
}

/// Whether a message, of ONNX Runtime's or of CUDA's libraries, says that a GPU has no memory left.
///
/// The arena's (`Failed to allocate memory for requested buffer of size ...`), the driver's (`CUDA failure 2: out of memory`), those of cuBLAS and
/// cuDNN (`CUBLAS_STATUS_ALLOC_FAILED`), and calls of `cudaMalloc` that are named as such.
pub fn is_out_of_memory(message: &str) -> bool {
    const SIGNS: [&str; 5] = [
        "Failed to allocate memory",
        "out of memory",
        "STATUS_ALLOC_FAILED",
        "cudaMalloc",
        "cudaErrorMemoryAllocation",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
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
    use crate::error::Error;

    #[test]
    fn a_gpu_without_memory_is_told_from_other_failures() {
        for message in [
            "Failed to allocate memory for requested buffer of size 5368709120",
            "CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size)",
            "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        ] {
            assert!(is_out_of_memory(message), "{message}");
        }
        for message in
            ["CUDA failure 999: unknown error", "feed user: expected 64 values", "CUDNN_STATUS_NOT_SUPPORTED"]
        {
            assert!(!is_out_of_memory(message), "{message}");
        }
    }

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
        let none = Err(Error::new("it is not there"));
        let last = |has_provider| missing(&none, library, has_provider, 0).pop().unwrap_or_default();
        assert!(last(false).starts_with("an ONNX Runtime built for CUDA (/nowhere/libonnxruntime.so is for the CPU)"));
        assert!(
            last(true).starts_with("/nowhere/libonnxruntime_providers_cuda.so, which belongs beside") || cfg!(windows)
        );
    }
}
