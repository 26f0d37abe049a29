//! NVIDIA's driver, asked which GPUs there are, in CUDA's own numbering, and how much of their memory is free. Nothing is computed here.

use std::error::Error as _;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::ManuallyDrop;

use libloading::Library;

use crate::error::{Error, Result};

/// The driver's library, which the system's loader finds: it belongs to the kernel's module and is never brought along.
const NAME: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// A GPU as the driver describes it.
#[derive(Debug)]
pub struct Gpu {
    /// What it is called: `NVIDIA H200`.
    pub name: String,
    /// All of its memory, in bytes.
    pub memory_bytes: u64,
    /// The driver's own number of it.
    device: c_int,
}

/// What the driver says.
#[derive(Debug)]
pub struct Driver {
    /// The newest CUDA whose programs it runs, major and minor.
    pub cuda: (c_int, c_int),
    /// Its GPUs by number; `CUDA_VISIBLE_DEVICES` hides some and orders them.
    pub gpus: Vec<Gpu>,
    api: Api,
}

type Code = c_int;
/// `CUcontext`.
type Context = *mut c_void;

impl Driver {
    /// Asks the driver.
    ///
    /// # Errors
    /// No driver, or one that fails, in the loader's or its own words.
    pub fn ask() -> Result<Self> {
        // SAFETY: runs the initialisers of the system's driver library, as every program with CUDA does.
        let library = unsafe { Library::new(NAME) }
            .map_err(|error| Error::new(error.source().map_or_else(|| error.to_string(), ToString::to_string)))?;
        let api = Api { library: ManuallyDrop::new(library) };
        api.ask("cuInit", |init: unsafe extern "system" fn(u32) -> Code| {
            // SAFETY: declared so in cuda.h; 0 is the only value that it takes.
            unsafe { init(0) }
        })?;
        let version = api.number("cuDriverGetVersion")?;
        let gpus = (0..api.number("cuDeviceGetCount")?).map(|number| api.gpu(number)).collect::<Result<_>>()?;
        Ok(Self { cuda: (version / 1000, version % 1000 / 10), gpus, api })
    }

    /// Whether something of this process computes on a GPU already: it then has the context of the process there, of which there is one.
    ///
    /// # Errors
    /// A driver that fails, or has no such GPU.
    pub fn is_in_use(&self, index: u32) -> Result<bool> {
        let (device, mut flags, mut active) = (self.gpu(index)?.device, 0, 0);
        type GetState = unsafe extern "system" fn(c_int, *mut c_uint, *mut c_int) -> Code;
        self.api.ask("cuDevicePrimaryCtxGetState", |get: GetState| {
            // SAFETY: declared so in cuda.h; the pointers are valid for the call.
            unsafe { get(device, &mut flags, &mut active) }
        })?;
        Ok(active != 0)
    }

    /// The free bytes of a GPU.
    ///
    /// Where nothing of this process computes there yet, that takes a third of a second and, for as long, some 300 MB of the GPU: it begins a
    /// context and ends it. Beside one that is there it takes microseconds.
    ///
    /// # Errors
    /// As for [`is_in_use`](Self::is_in_use).
    pub fn free_bytes(&self, index: u32) -> Result<u64> {
        let device = self.gpu(index)?.device;
        let mut context: Context = std::ptr::null_mut();
        self.api.ask(
            "cuDevicePrimaryCtxRetain",
            |retain: unsafe extern "system" fn(*mut Context, c_int) -> Code| {
                // SAFETY: declared so in cuda.h; the pointer is valid for the call.
                unsafe { retain(&mut context, device) }
            },
        )?;
        let free = self.api.free_bytes_in(context);
        let released =
            self.api.ask("cuDevicePrimaryCtxRelease_v2", |release: unsafe extern "system" fn(c_int) -> Code| {
                // SAFETY: declared so in cuda.h; it was retained above, once.
                unsafe { release(device) }
            });
        released.and(free)
    }

    fn gpu(&self, index: u32) -> Result<&Gpu> {
        let none = || Error::new(format!("the driver shows no GPU {index}, but {}, counted from 0", self.gpus.len()));
        self.gpus.get(index as usize).ok_or_else(none)
    }
}

/// The functions of cuda.h that are needed, each looked up by its name. The driver is not made for being unloaded.
#[derive(Debug)]
struct Api {
    library: ManuallyDrop<Library>,
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
        Ok(Gpu { name, memory_bytes: memory_bytes as u64, device })
    }

    /// The free bytes of the GPU of a context, which is this thread's for the time being.
    fn free_bytes_in(&self, context: Context) -> Result<u64> {
        self.ask("cuCtxPushCurrent_v2", |push: unsafe extern "system" fn(Context) -> Code| {
            // SAFETY: declared so in cuda.h; the caller has retained the context.
            unsafe { push(context) }
        })?;
        let (mut free, mut all, mut popped) = (0_usize, 0_usize, context);
        let told = self.ask("cuMemGetInfo_v2", |get: unsafe extern "system" fn(*mut usize, *mut usize) -> Code| {
            // SAFETY: declared so in cuda.h; the pointers are valid for the call.
            unsafe { get(&mut free, &mut all) }
        });
        let ended = self.ask("cuCtxPopCurrent_v2", |pop: unsafe extern "system" fn(*mut Context) -> Code| {
            // SAFETY: as above; it takes away what was pushed.
            unsafe { pop(&mut popped) }
        });
        told.and(ended).map(|()| free as u64)
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
