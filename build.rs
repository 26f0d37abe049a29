//! Embeds ONNX Runtime where a folder that `scripts/onnxruntime.py` made is named by `COFI_ONNXRUNTIME_DIR`.
//!
//! Without it nothing is embedded, and the library is looked for at run time. Nothing is ever downloaded here.

use std::path::{Path, PathBuf};
use std::{env, fs};

const FOLDER: &str = "COFI_ONNXRUNTIME_DIR";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={FOLDER}");
    println!("cargo::rustc-check-cfg=cfg(bundled_onnxruntime)");
    let Some(folder) = env::var_os(FOLDER).filter(|folder| !folder.is_empty()) else { return };
    let root = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let folder = root.join(folder);
    if !folder.is_dir() {
        // So that linting needs no library. Cargo asks again at every build until the folder is there.
        println!("cargo::rerun-if-changed={}", folder.display());
        println!("cargo::warning=no ONNX Runtime is embedded: there is no folder {}", folder.display());
    } else if let Err(reason) = embed(&folder) {
        println!("cargo::error={FOLDER}: {reason}; scripts/onnxruntime.py makes such a folder");
    }
}

fn embed(folder: &Path) -> Result<(), String> {
    let manifest = file(folder, "manifest.txt")?;
    println!("cargo::rustc-env=COFI_BUNDLE_LIBRARY={}", file(folder, "libonnxruntime.zst")?.display());
    println!("cargo::rustc-env=COFI_BUNDLE_NOTICES={}", file(folder, "notices.zst")?.display());
    let text = fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
    for key in ["version", "sha256"] {
        let value = text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| *name == key);
        let (_, value) = value.ok_or_else(|| format!("{} has no line {key}=...", manifest.display()))?;
        println!("cargo::rustc-env=COFI_BUNDLE_{}={}", key.to_uppercase(), value.trim());
    }
    println!("cargo::rustc-cfg=bundled_onnxruntime");
    Ok(())
}

/// A file of the folder; the build runs again when it changes.
fn file(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    println!("cargo::rerun-if-changed={}", path.display());
    if path.is_file() { Ok(path) } else { Err(format!("there is no file {}", path.display())) }
}
