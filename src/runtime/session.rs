//! A session a training: the step's model compiled for one device, its states bound in place.

use ort::ep;
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use crate::error::{Error, Result};
use crate::graph::{Element, Engine, Feed, FeedValues, Op, Program, Shape, Step};
use crate::runtime::float_mode::SubnormalsAreZero;
use crate::runtime::library::Library;
use crate::runtime::onnx::{LOSS, lower, next_name};
use crate::runtime::provider::Device;

/// The elements of a table that keep one thread busy for about a tenth of a millisecond an operation: on two cores a
/// second thread gained nothing below 0.4 million elements, and a third of the time from a million on.
const ELEMENTS_PER_THREAD: usize = 500_000;

/// Compiles steps for ONNX Runtime on one device.
pub struct OnnxEngine {
    library: &'static Library,
    device: Device,
    name: String,
    threads: usize,
}

impl OnnxEngine {
    /// An engine on a device; on the CPU every program computes on at most `threads` threads, the calling one included.
    ///
    /// # Errors
    /// Zero threads.
    pub fn new(library: &'static Library, device: Device, threads: usize) -> Result<Self> {
        if threads == 0 {
            return Err(Error::argument("threads", threads, "at least 1", ""));
        }
        Ok(Self { library, device, name: device.to_string(), threads })
    }

    /// A session that is silent, and asleep while there is nothing to do.
    ///
    /// The step is written as it shall run, so ONNX Runtime's optimisers gain nothing (measured), and without them it
    /// computes the same whatever its version; folding constants would even keep a table of zeros for every gradient.
    fn session(&self, model: &[u8], threads: usize) -> ort::Result<Session> {
        // ONNX Runtime sets the mode of the thread that makes the process's first session: the guard puts it back.
        let _mode = SubnormalsAreZero::on_this_thread();
        let mut builder = Session::builder(self.library.environment())?
            .with_optimization_level(GraphOptimizationLevel::Disable)?
            .with_log_level(LogLevel::Fatal)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_flush_to_zero()?;
        if let Device::Cuda { index } = self.device {
            let provider = ep::CUDA::default().with_device_id(index as i32).build().error_on_failure();
            builder = builder.with_execution_providers([provider])?;
        }
        builder.commit_from_memory(model)
    }
}

impl Engine for OnnxEngine {
    fn device(&self) -> &str {
        &self.name
    }

    fn compile(&self, step: &Step, initial: &[(String, Vec<f32>)]) -> Result<Box<dyn Program>> {
        step.check_in_place()?;
        step.check_initial(initial)?;
        let model = lower(step);
        let failed = |error: ort::Error| failure("compile", &self.name, &error);
        let session = self.session(&model, self.threads.min(useful_threads(step))).map_err(failed)?;
        let mut binding = session.create_binding().map_err(failed)?;
        let allocator = state_allocator(&session, self.device).map_err(failed)?;
        let mut inputs = Vec::new();
        let mut states = Vec::new();
        for (_, node) in step.graph.iter() {
            match &node.op {
                Op::Input { name } => inputs.push(Input {
                    name: name.clone(),
                    shape: node.shape.clone(),
                    tensor: InputTensor::new(node.element, &node.shape, 0).map_err(failed)?,
                }),
                Op::State { name } => {
                    let values = initial.iter().find(|(other, _)| other == name).map_or(&[][..], |(_, values)| values);
                    let tensor = state_tensor(&allocator, self.device, &node.shape, values).map_err(failed)?;
                    states.push(State { name: name.clone(), tensor });
                }
                _ => {}
            }
        }
        let mut loss = Tensor::<f32>::new(&Allocator::default(), ort::value::Shape::empty(0)).map_err(failed)?;
        binding.bind_output(LOSS, &mut loss).map_err(failed)?;
        for state in &mut states {
            binding.bind_input(state.name.as_str(), &state.tensor).map_err(failed)?;
            binding.bind_output(next_name(&state.name), &mut state.tensor).map_err(failed)?;
        }
        let step = step.clone();
        Ok(Box::new(OnnxProgram { step, device: self.device, binding, session, inputs, batch: 0, states, loss }))
    }
}

struct OnnxProgram {
    step: Step,
    device: Device,
    binding: IoBinding,
    session: Session,
    inputs: Vec<Input>,
    /// The `B` that the inputs are bound with; 0 before the first step.
    batch: usize,
    states: Vec<State>,
    loss: Tensor<f32>,
}

struct Input {
    name: String,
    shape: Shape,
    tensor: InputTensor,
}

struct State {
    name: String,
    /// Input and output of the session at once.
    tensor: Tensor<f32>,
}

enum InputTensor {
    Floats(Tensor<f32>),
    Indices(Tensor<i32>),
}

impl Program for OnnxProgram {
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32> {
        let batch = self.step.check_feeds(feeds)?;
        let failed = |error: ort::Error| failure("run", &self.device.to_string(), &error);
        for input in &mut self.inputs {
            let fresh = batch != self.batch;
            if fresh {
                input.tensor = InputTensor::new(input.tensor.element(), &input.shape, batch).map_err(failed)?;
            }
            for feed in feeds.iter().filter(|feed| feed.name == input.name) {
                input.tensor.write(feed.values);
            }
            // On the CPU the session reads the tensor itself; elsewhere binding is what copies it there.
            if fresh || self.device != Device::Cpu {
                input.tensor.bind(&mut self.binding, &input.name).map_err(failed)?;
            }
        }
        self.batch = batch;
        {
            let _mode = SubnormalsAreZero::on_this_thread();
            self.session.run_binding(&self.binding).map_err(failed)?;
        }
        let (_, loss) = self.loss.extract_tensor();
        loss.first().copied().ok_or_else(|| Error::new("onnx runtime answered a step without a loss"))
    }

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        let state = self
            .states
            .iter()
            .find(|state| state.name == name)
            .ok_or_else(|| Error::new(format!("graph: there is no state named {name}")))?;
        let failed = |error: ort::Error| failure("read a state", &self.device.to_string(), &error);
        let values = match self.device {
            Device::Cpu => state.tensor.extract_tensor().1.to_vec(),
            Device::Cuda { .. } => {
                let copy = state.tensor.to(AllocationDevice::CPU, 0).map_err(failed)?;
                copy.extract_tensor().1.to_vec()
            }
        };
        Ok(values)
    }
}

impl InputTensor {
    fn new(element: Element, shape: &Shape, batch: usize) -> ort::Result<Self> {
        let sizes = ort_shape(shape, batch);
        let allocator = Allocator::default();
        match element {
            Element::Float => Tensor::new(&allocator, sizes).map(Self::Floats),
            Element::Index => Tensor::new(&allocator, sizes).map(Self::Indices),
        }
    }

    fn element(&self) -> Element {
        match self {
            Self::Floats(_) => Element::Float,
            Self::Indices(_) => Element::Index,
        }
    }

    /// Copies values in; [`Step::check_feeds`] has made sure that kind and number are right.
    fn write(&mut self, values: FeedValues<'_>) {
        match (self, values) {
            (Self::Floats(tensor), FeedValues::Floats(values)) => tensor.extract_tensor_mut().1.copy_from_slice(values),
            (Self::Indices(tensor), FeedValues::Indices(values)) => {
                tensor.extract_tensor_mut().1.copy_from_slice(values);
            }
            _ => {}
        }
    }

    fn bind(&self, binding: &mut IoBinding, name: &str) -> ort::Result<()> {
        match self {
            Self::Floats(tensor) => binding.bind_input(name, tensor),
            Self::Indices(tensor) => binding.bind_input(name, tensor),
        }
    }
}

/// How many threads make a step faster: waking one costs as much as an operation on a small table takes.
///
/// The results do not depend on the number of threads, so this is a matter of speed alone.
fn useful_threads(step: &Step) -> usize {
    let states = step.graph.nodes().iter().filter(|node| matches!(node.op, Op::State { .. }));
    let largest: usize = states.map(|node| node.shape.sizes(1).iter().product()).max().unwrap_or(0);
    (largest / ELEMENTS_PER_THREAD).max(1)
}

/// Where the states of a session live.
fn state_allocator(session: &Session, device: Device) -> ort::Result<Allocator> {
    match device {
        Device::Cpu => Ok(Allocator::default()),
        Device::Cuda { index } => {
            let place =
                MemoryInfo::new(AllocationDevice::CUDA, index as i32, AllocatorType::Device, MemoryType::Default)?;
            Allocator::new(session, place)
        }
    }
}

fn state_tensor(allocator: &Allocator, device: Device, shape: &Shape, values: &[f32]) -> ort::Result<Tensor<f32>> {
    let mut here = Tensor::<f32>::new(&Allocator::default(), ort_shape(shape, 1))?;
    here.extract_tensor_mut().1.copy_from_slice(values);
    match device {
        Device::Cpu => Ok(here),
        Device::Cuda { .. } => {
            let mut there = Tensor::<f32>::new(allocator, ort_shape(shape, 1))?;
            here.copy_into(&mut there)?;
            Ok(there)
        }
    }
}

fn ort_shape(shape: &Shape, batch: usize) -> ort::value::Shape {
    ort::value::Shape::new(shape.sizes(batch).into_iter().map(|size| size as i64))
}

fn failure(what: &str, device: &str, error: &ort::Error) -> Error {
    let message = error.message().trim();
    // `<file>:<line> <function> [ONNXRuntimeError] : <number> : <kind> : <reason>`, where it was an exception inside.
    let reason = match message.rsplit_once("[ONNXRuntimeError] : ") {
        Some((_, rest)) => rest.splitn(3, " : ").last().unwrap_or(rest),
        None => message,
    };
    Error::new(format!("onnx runtime could not {what} on {device}: {reason}"))
}
