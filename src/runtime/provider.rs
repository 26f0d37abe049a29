//! Where a training runs: what was asked for, what can be used, and why the rest cannot.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ort::ep::{self, ExecutionProvider};

use crate::ending::Call;
use crate::error::{Error, Result, quoted};
use crate::runtime::gpu::{self, Driver};
use crate::runtime::library::Library;
use crate::runtime::session::{OnnxEngine, Operators};
use crate::runtime::trial::try_engine;

/// A place that computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// A CUDA GPU.
    Cuda {
        /// Its number, from 0.
        index: u32,
    },
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda { index } => write!(f, "cuda:{index}"),
        }
    }
}

/// The memory of a device that has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// What the device is called.
    pub name: String,
    /// The bytes that nobody uses.
    pub free: u64,
    /// All bytes.
    pub total: u64,
}

impl Device {
    /// The memory of a GPU as it is now; `None` for the processor.
    ///
    /// # Errors
    /// A driver that does not answer.
    pub fn memory(self) -> Result<Option<DeviceMemory>> {
        let Device::Cuda { index } = self else { return Ok(None) };
        let driver = Driver::ask()?;
        let free = driver.free_bytes(index)?;
        Ok(driver.gpus.into_iter().nth(index as usize).map(|gpu| DeviceMemory {
            name: gpu.name,
            free,
            total: gpu.memory_bytes,
        }))
    }
}

/// What the option `device` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceRequest {
    /// The first GPU where it can be used and is worth while, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA GPU; the first one where no number is given.
    Cuda(Option<u32>),
}

impl FromStr for DeviceRequest {
    type Err = Error;

    /// Reads `auto`, `cpu`, `cuda` or `cuda:1`.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_ascii_lowercase();
        let request = match lower.as_str() {
            "auto" => Some(DeviceRequest::Auto),
            "cpu" => Some(DeviceRequest::Cpu),
            "cuda" => Some(DeviceRequest::Cuda(None)),
            other => other.strip_prefix("cuda:").and_then(gpu_number).map(|index| DeviceRequest::Cuda(Some(index))),
        };
        request.ok_or_else(|| {
            Error::argument("device", quoted(text), "'auto', 'cpu', 'cuda' or a numbered GPU ('cuda:1')", "")
        })
    }
}

impl DeviceRequest {
    /// Whether `auto` may find a GPU: ONNX Runtime was built for one. Nobody is asked for a driver where it would not help.
    pub fn may_find_gpu() -> bool {
        has_provider()
    }

    /// The device that this request gets; of `auto` the GPU that it could be, whose worth is for the caller to find out.
    ///
    /// # Errors
    /// A device asked for by name that cannot be used, with the reason and the way out; only `auto` falls back.
    pub fn resolve(self, library: &'static Library) -> Result<Device> {
        let device = match self {
            DeviceRequest::Cpu => return Ok(Device::Cpu),
            DeviceRequest::Auto if !Self::may_find_gpu() => return Ok(Device::Cpu),
            DeviceRequest::Auto => Device::Cuda { index: 0 },
            DeviceRequest::Cuda(index) => Device::Cuda { index: index.unwrap_or(0) },
        };
        match (try_device(library, device, &Driver::ask()), self) {
            (Ok(()), _) => Ok(device),
            (Err(_), DeviceRequest::Auto) => Ok(Device::Cpu),
            (Err(reason), _) => Err(reason.context(format_args!("device = '{device}'"))),
        }
    }
}

/// For each kind of device whether it can be used, or why not: a few steps of a tiny training run on it. `driver` is what NVIDIA's said.
pub fn usable_devices(library: &'static Library, driver: &Result<Driver>) -> Vec<(Device, Result<()>)> {
    [Device::Cpu, Device::Cuda { index: 0 }]
        .into_iter()
        .map(|device| (device, try_device(library, device, driver)))
        .collect()
}

/// The file of ONNX Runtime's that computes with CUDA, if the library was built for it.
pub fn provider_library(library: &Library) -> Option<PathBuf> {
    has_provider().then(|| gpu::provider_file(library.path()))
}

fn has_provider() -> bool {
    Call::begin().is_ok_and(|_call| ep::CUDA::is_available().unwrap_or(false))
}

/// ONNX Runtime numbers devices with a C `int`.
fn gpu_number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| plain && *number <= i32::MAX as u32)
}

fn try_device(library: &'static Library, device: Device, driver: &Result<Driver>) -> Result<()> {
    match device {
        Device::Cpu => few_steps(library, device),
        Device::Cuda { index } => few_steps_with_cuda(library, device, index, driver),
    }
}

/// The libraries of CUDA's that are loaded at most because the system's loader did not find them.
const MOST_LIBRARIES: usize = 32;

/// As [`few_steps`], with all that is missing in the error.
fn few_steps_with_cuda(library: &'static Library, device: Device, index: u32, driver: &Result<Driver>) -> Result<()> {
    let missing = gpu::missing(driver, library.path(), has_provider(), index);
    if !missing.is_empty() {
        return Err(Error::new(format!("missing: {}; or use device := 'cpu'", missing.join("; and "))));
    }
    let mut tried = few_steps(library, device);
    for _ in 0..MOST_LIBRARIES {
        let text = tried.as_ref().err().map(ToString::to_string).unwrap_or_default();
        match gpu::not_found(&text) {
            Some(name) if gpu::preload(name, library.path()) => tried = few_steps(library, device),
            Some(name) => {
                return Err(Error::new(format!(
                    "missing: {name}, a library of CUDA's: {}; or use device := 'cpu'",
                    gpu::GET_BUILD
                )));
            }
            None => break,
        }
    }
    tried.map_err(|reason| Error::new(format!("{reason}; without a GPU that works use device := 'cpu'")))
}

fn few_steps(library: &'static Library, device: Device) -> Result<()> {
    try_engine(&OnnxEngine::new(library, device, 1, Operators::Stock)?)
}
