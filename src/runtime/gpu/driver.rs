//! NVIDIA's driver, asked which GPUs there are, in CUDA's own numbering. Nothing is computed here.

use std::error::Error as _;
use std::ffi::{CStr, c_char, c_int};

use libloading::Library;

use crate::error::{Error, Result};

/// The driver's library, which the system's loader finds: it belongs to the kernel's module and is never brought along.
const NAME: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// A GPU as the driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// What it is called: `NVIDIA H200`.
    pub name: String,
    /// All of its memory, in bytes.
    pub memory_bytes: u64,
}

/// What the driver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// The newest CUDA whose programs it runs, major and minor.
    pub cuda: (c_int, c_int),
    /// Its GPUs by number; `CUDA_VISIBLE_DEVICES` hides some and orders them.
    pub gpus: Vec<Gpu>,
}

type Code = c_int;

impl Driver {
    /// Asks the driver.
    ///
    /// # Errors
    /// No driver, or one that fails, in the loader's or its own words.
    pub fn ask() -> Result<Self> {
        // SAFETY: runs the initialisers of the system's driver library, as every program with CUDA does.
        let library = unsafe { Library::new(NAME) }
            .map_err(|error| Error::new(error.source().map_or_else(|| error.to_string(), ToString::to_string)))?;
        let api = Api { library };
        api.ask("cuInit", |init: unsafe extern "system" fn(u32) -> Code| {
            // SAFETY: declared so in cuda.h; 0 is the only value that it takes.
            unsafe { init(0) }
        })?;
        let version = api.number("cuDriverGetVersion")?;
        let gpus = (0..api.number("cuDeviceGetCount")?).map(|number| api.gpu(number)).collect::<Result<_>>()?;
        // The driver is not made for being unloaded.
        std::mem::forget(api);
        Ok(Self { cuda: (version / 1000, version % 1000 / 10), gpus })
    }
}

/// The functions of cuda.h that are needed, each looked up by its name.
struct Api {
    library: Library,
}

impl Api {
    /// Calls a function, whose type the caller answers for, and makes an error of its code.
    fn ask<F: Copy>(&self, name: &str, call: impl FnOnce(F) -> Code) -> Result<()> {
        // SAFETY: the callers below name each function with its type in cuda.h.
        let function = unsafe { self.library.get::<F>(name) };
        let function = function.map_err(|_| Error::new(format!("{NAME} has no function {name}")))?;
        match call(*function) {
            0 => Ok(()),
            code => Err(Error::new(format!("{NAME}: {name} failed: {}", self.error(code)))),
        }
    }

    fn number(&self, name: &str) -> Result<c_int> {
        let mut number = 0;
        self.ask(name, |get: unsafe extern "system" fn(*mut c_int) -> Code| {
            // SAFETY: cuDriverGetVersion and cuDeviceGetCount are declared so; the pointer is valid for the call.
            unsafe { get(&mut number) }
        })?;
        Ok(number)
    }

    fn gpu(&self, number: c_int) -> Result<Gpu> {
        let (mut device, mut memory_bytes, mut name) = (0, 0_usize, [0; 256]);
        self.ask("cuDeviceGet", |get: unsafe extern "system" fn(*mut c_int, c_int) -> Code| {
            // SAFETY: declared so in cuda.h; the pointer is valid for the call.
            unsafe { get(&mut device, number) }
        })?;
        self.ask("cuDeviceTotalMem_v2", |get: unsafe extern "system" fn(*mut usize, c_int) -> Code| {
            // SAFETY: as above.
            unsafe { get(&mut memory_bytes, device) }
        })?;
        // The last byte stays 0, whatever the driver writes.
        let length = name.len() as c_int - 1;
        self.ask("cuDeviceGetName", |get: unsafe extern "system" fn(*mut c_char, c_int, c_int) -> Code| {
            // SAFETY: as above; it writes `length` bytes at most.
            unsafe { get(name.as_mut_ptr(), length, device) }
        })?;
        // SAFETY: the array ends with a 0.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        Ok(Gpu { name, memory_bytes: memory_bytes as u64 })
    }

    /// The name of an error: `CUDA_ERROR_NO_DEVICE (100)`.
    fn error(&self, code: Code) -> String {
        type GetName = unsafe extern "system" fn(Code, *mut *const c_char) -> Code;
        // SAFETY: declared so in cuda.h.
        let Ok(get) = (unsafe { self.library.get::<GetName>("cuGetErrorName") }) else { return code.to_string() };
        let mut name = std::ptr::null();
        // SAFETY: the pointer is valid for the call.
        if unsafe { get(code, &mut name) } != 0 || name.is_null() {
            return code.to_string();
        }
        // SAFETY: a constant string of the driver's.
        format!("{} ({code})", unsafe { CStr::from_ptr(name) }.to_string_lossy())
    }
}
