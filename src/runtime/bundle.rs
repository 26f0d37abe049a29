//! The copy of ONNX Runtime that a release build carries along.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use ruzstd::decoding::StreamingDecoder;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// A library in Zstandard, with the licence and the notices that go where it goes.
pub struct Bundle {
    /// The shared library, compressed.
    pub library: &'static [u8],
    /// Its licence and third-party notices as one text, compressed.
    pub notices: &'static [u8],
    /// ONNX Runtime's version.
    pub version: &'static str,
    /// SHA-256 of the library uncompressed, in hexadecimal.
    pub sha256: &'static str,
}

/// What this build carries; nothing where the build was not given a library.
#[cfg(bundled_onnxruntime)]
pub static BUNDLE: Option<Bundle> = Some(Bundle {
    library: include_bytes!(env!("COFI_BUNDLE_LIBRARY")),
    notices: include_bytes!(env!("COFI_BUNDLE_NOTICES")),
    version: env!("COFI_BUNDLE_VERSION"),
    sha256: env!("COFI_BUNDLE_SHA256"),
});

/// What this build carries; nothing where the build was not given a library.
#[cfg(not(bundled_onnxruntime))]
pub static BUNDLE: Option<Bundle> = None;

impl Bundle {
    /// The bytes of the library, decompressed as they are read.
    fn read_library(&self) -> Result<impl Read + use<>> {
        decoder(self.library)
    }

    /// The bytes of the notices, decompressed as they are read.
    ///
    /// # Errors
    /// A damaged frame.
    pub fn read_notices(&self) -> Result<impl Read + use<>> {
        decoder(self.notices)
    }

    /// Whether a file holds exactly the library.
    pub fn is_in(&self, file: &mut File) -> bool {
        let mut hash = Hashing { copy: io::sink(), hash: Sha256::new() };
        io::copy(file, &mut hash).is_ok() && self.is_hash(hash.hash)
    }

    /// Writes the library to a new file and makes sure that it is the right one.
    ///
    /// # Errors
    /// A full disk, say, or damaged bytes.
    pub fn write_library(&self, file: &mut File) -> Result<()> {
        let mut hash = Hashing { copy: file, hash: Sha256::new() };
        io::copy(&mut self.read_library()?, &mut hash).map_err(|error| damaged(&error))?;
        if self.is_hash(hash.hash) {
            Ok(())
        } else {
            Err(Error::new("the embedded onnx runtime library is not the one that was embedded (its SHA-256 differs)"))
        }
    }

    fn is_hash(&self, hash: Sha256) -> bool {
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        hex == self.sha256
    }
}

/// The library as an anonymous file in memory, for accounts without a usable cache folder, and the path it is opened
/// by as long as the file lives.
///
/// # Errors
/// A kernel that refuses such files, too little memory.
#[cfg(target_os = "linux")]
pub fn in_memory(bundle: &Bundle) -> Result<(PathBuf, File)> {
    use std::os::fd::{AsRawFd, FromRawFd};

    // Kernels since 6.3 want to be told that the file will be executed, older ones do not know the flag.
    let descriptor = [libc::MFD_CLOEXEC | libc::MFD_EXEC, libc::MFD_CLOEXEC].into_iter().find_map(|flags| {
        // SAFETY: the name is a C string that outlives the call, and the call has no other effect than a descriptor.
        let descriptor = unsafe { libc::memfd_create(c"onnxruntime".as_ptr(), flags) };
        (descriptor >= 0).then_some(descriptor)
    });
    let descriptor = descriptor.ok_or_else(|| {
        let reason = io::Error::last_os_error();
        Error::new(format!("no anonymous file in memory for the onnx runtime library: {reason}"))
    })?;
    // SAFETY: the descriptor was made right above and nobody else owns it.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    bundle.write_library(&mut file)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())), file))
}

/// Only Linux has files in memory that can be loaded as a library.
#[cfg(not(target_os = "linux"))]
pub fn in_memory(_bundle: &Bundle) -> Result<(PathBuf, File)> {
    Err(Error::new("without a usable cache folder the embedded onnx runtime library can only be loaded on Linux"))
}

fn decoder(frame: &'static [u8]) -> Result<impl Read> {
    StreamingDecoder::new(frame).map_err(|error| damaged(&error))
}

fn damaged(error: &dyn std::error::Error) -> Error {
    Error::new(format!("cannot unpack the embedded onnx runtime library: {error}"))
}

/// Hashes what it passes on.
struct Hashing<W> {
    copy: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.copy.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.copy.flush()
    }
}
