//! ONNX Runtime: finding and loading the library, choosing where to compute, and running steps there.
//!
//! Owns the one thing that is global to the process, the loaded library. A step graph becomes an ONNX model of stock
//! operators, or of a fused one where the step is a plain factorisation, and a session of it with the states bound in place is a
//! [`Program`](crate::graph::Program); a forward graph with its parameters is an [`Evaluator`](crate::graph::Evaluator), or an [`OnnxFile`] for others to compute.

mod bundle;
mod cache;
mod elf;
mod evaluator;
mod export;
mod float_mode;
mod forced;
mod fused;
mod gpu;
mod guarded;
mod inputs;
mod library;
mod memory;
mod onnx;
mod placement;
mod product;
mod proto;
mod provider;
mod recognise;
mod resident;
mod scan;
mod session;
mod states;
mod trial;

pub use export::{IdInput, Keys, OnnxFile};
pub use forced::panic_if_asked;
pub use gpu::{Driver, Gpu, check_placement, is_out_of_memory};
pub use library::{Library, Source, Wanted};
pub use onnx::lower;
pub use provider::{Device, DeviceMemory, DeviceRequest, provider_library, usable_devices};
pub use recognise::{Factorisation, StepRule, recognise};
pub use scan::{lower_order, lower_steps};
pub use session::{OnnxEngine, Operators};
pub use trial::try_engine;
