//! A session a training: the step's model compiled for one device, its states bound in place.

use ort::ep;
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use crate::ending::{self, Call};
use crate::error::{Error, Result};
use crate::graph::{Engine, Evaluator, Feed, Graph, Node, NodeId, Op, Program, Shape, Step};
use crate::runtime::evaluator::OnnxEvaluator;
use crate::runtime::float_mode::SubnormalsAreZero;
use crate::runtime::fused::{ClassicProgram, FusedProgram, Tables, TablesProgram};
use crate::runtime::guarded::Guarded;
use crate::runtime::inputs::Inputs;
use crate::runtime::library::Library;
use crate::runtime::onnx::{LOSS, lower};
use crate::runtime::provider::Device;
use crate::runtime::recognise::{StepRule, recognise};
use crate::runtime::resident::ResidentProgram;
use crate::runtime::states::States;

/// The elements of a table that keep one thread busy for about a tenth of a millisecond an operation: on two cores a
/// second thread gained nothing below 0.4 million elements, and a third of the time from a million on.
const ELEMENTS_PER_THREAD: usize = 500_000;

/// Compiles steps for ONNX Runtime on one device.
#[derive(Clone)]
pub struct OnnxEngine {
    library: &'static Library,
    device: Device,
    name: String,
    threads: usize,
    operators: Operators,
    keeps: bool,
}

/// Which operators a step may run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operators {
    /// Fused ones for as much of the step as they can compute, where the device is the CPU, else stock ones.
    Auto,
    /// Stock ones, one for each operation.
    Stock,
}

impl OnnxEngine {
    /// An engine on a device; on the CPU every program computes on at most `threads` threads, the calling one included.
    ///
    /// # Errors
    /// Zero threads.
    pub fn new(library: &'static Library, device: Device, threads: usize, operators: Operators) -> Result<Self> {
        if threads == 0 {
            return Err(Error::argument("threads", threads, "at least 1", ""));
        }
        let keeps = device != Device::Cpu;
        Ok(Self { library, device, name: device.to_string(), threads, operators, keeps })
    }

    /// The same with programs of stock operators that can keep ratings and take many steps a run, as those on a GPU do; on the CPU it gains
    /// nothing, and shows what a GPU would compute.
    pub fn keeping(self) -> Self {
        Self { keeps: true, ..self }
    }

    /// Where it computes.
    pub fn place(&self) -> Device {
        self.device
    }

    /// The most threads of a program.
    pub fn threads(&self) -> usize {
        self.threads
    }

    fn may_fuse(&self) -> bool {
        self.operators == Operators::Auto && self.device == Device::Cpu
    }

    /// The program of fused operators that a step may run on, if any.
    fn fused(&self, step: &Step, initial: &[(String, Vec<f32>)], batch: usize) -> Result<Option<Box<dyn Program>>> {
        if !self.may_fuse() {
            return Ok(None);
        }
        if let Some(factorisation) = recognise(step) {
            if factorisation.rule == StepRule::Classic {
                let program = ClassicProgram::new(self.library, &factorisation, initial, self.threads)?;
                return Ok(Some(Box::new(program)));
            }
            let program = FusedProgram::new(self.library, &factorisation, initial, batch, self.threads)?;
            return Ok(Some(Box::new(program)));
        }
        let Some(tables) = Tables::of(step) else { return Ok(None) };
        let program = TablesProgram::new(self.library, step, &tables, initial, batch, self.threads)?;
        Ok(Some(Box::new(program)))
    }

    fn program(&self, step: &Step, initial: &[(String, Vec<f32>)], batch: usize) -> Result<Box<dyn Program>> {
        step.check_in_place()?;
        step.graph.check_states(initial)?;
        if let Some(program) = self.fused(step, initial, batch)? {
            return Ok(program);
        }
        let single = OnnxProgram::new(self, step, initial, batch)?;
        if self.keeps && step.graph.can_be_resident() {
            return Ok(Box::new(ResidentProgram::new(step, self.clone(), single)));
        }
        Ok(Box::new(single))
    }

    /// A session of stock operators alone. With `strict`, a node of the model itself, not of one inside another, that has no place on a device
    /// which is not the CPU is an error: else ONNX Runtime computes it on the CPU.
    pub fn session(&self, model: &[u8], threads: usize, device: Device, strict: bool) -> ort::Result<Session> {
        // ONNX Runtime sets the mode of the thread that makes the process's first session: the guard puts it back.
        let _mode = SubnormalsAreZero::on_this_thread();
        let mut builder = session_builder(self.library, threads)?.with_flush_to_zero()?;
        if let Device::Cuda { index } = device {
            // TensorFloat-32 would round the factors of matrix products to ten bits. By itself the arena grows by powers of two: of a large training it
            // would then take up to twice what that needs.
            let provider = ep::CUDA::default()
                .with_device_id(index as i32)
                .with_tf32(false)
                .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested);
            builder = builder.with_execution_providers([provider.build().error_on_failure()])?;
            if strict {
                builder = builder.with_disable_cpu_fallback()?;
            }
        }
        builder.commit_from_memory(model)
    }
}

impl Engine for OnnxEngine {
    fn device(&self) -> &str {
        &self.name
    }

    fn gains_by_batch_rows(&self) -> bool {
        self.may_fuse()
    }

    fn compile(&self, step: &Step, initial: &[(String, Vec<f32>)], batch: usize) -> Result<Box<dyn Program>> {
        let _call = Call::begin()?;
        let program = self.program(step, initial, batch)?;
        ending::all_is_made();
        Ok(Box::new(Guarded::new(program)))
    }

    fn evaluator(
        &self,
        graph: &Graph,
        output: NodeId,
        parameters: &[(String, Vec<f32>)],
    ) -> Result<Box<dyn Evaluator>> {
        let _call = Call::begin()?;
        let session = |model: &[u8]| self.session(model, 1, Device::Cpu, false);
        let evaluator: Box<dyn Evaluator> = Box::new(OnnxEvaluator::new(graph, output, parameters, session)?);
        Ok(Box::new(Guarded::new(evaluator)))
    }
}

/// A step a run, by stock operators.
pub struct OnnxProgram {
    device: Device,
    binding: IoBinding,
    session: Session,
    inputs: Inputs,
    states: States,
    loss: Tensor<f32>,
}

impl OnnxProgram {
    fn new(engine: &OnnxEngine, step: &Step, initial: &[(String, Vec<f32>)], batch: usize) -> Result<Self> {
        let device = engine.device;
        let failed = |error: ort::Error| failure("compile", &engine.name, &error);
        let threads = engine.threads.min(useful_threads(&step.graph, step.graph.nodes(), batch));
        let session = engine.session(&lower(step), threads, device, false).map_err(failed)?;
        let mut binding = session.create_binding().map_err(failed)?;
        let allocator = state_allocator(&session, device).map_err(failed)?;
        let mut states = States::new(step.graph.nodes(), initial, device, &allocator).map_err(failed)?;
        let mut loss = Tensor::<f32>::new(&Allocator::default(), ort::value::Shape::empty(0)).map_err(failed)?;
        binding.bind_output(LOSS, &mut loss).map_err(failed)?;
        states.bind(&mut binding).map_err(failed)?;
        let inputs = Inputs::new(&step.graph, device);
        Ok(Self { device, binding, session, inputs, states, loss })
    }

    /// Binds the states as input and output of another session, too.
    pub fn bind_states(&mut self, binding: &mut IoBinding) -> ort::Result<()> {
        self.states.bind(binding)
    }

    /// Where the states live.
    pub fn allocator(&self) -> ort::Result<Allocator> {
        state_allocator(&self.session, self.device)
    }
}

impl Program for OnnxProgram {
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32> {
        let failed = |error: ort::Error| failure("run", &self.device.to_string(), &error);
        self.inputs.bind(feeds, &mut self.binding)?.map_err(failed)?;
        wait_for_inputs(&self.binding, self.device).map_err(failed)?;
        {
            let _mode = SubnormalsAreZero::on_this_thread();
            self.session.run_binding(&self.binding).map_err(failed)?;
        }
        let (_, loss) = self.loss.extract_tensor();
        loss.first().copied().ok_or_else(|| Error::new("onnx runtime answered a step without a loss"))
    }

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        self.states.read(name)
    }
}

/// Waits until what was bound has been copied to a device that has its own memory: binding only begins that, and running does not wait for it.
pub fn wait_for_inputs(binding: &IoBinding, device: Device) -> ort::Result<()> {
    match device {
        Device::Cpu => Ok(()),
        Device::Cuda { .. } => binding.synchronize_inputs(),
    }
}

/// A session that is silent, and asleep while there is nothing to do.
///
/// The step is written as it shall run, so ONNX Runtime's optimisers gain nothing (measured), and without them it
/// computes the same whatever its version; folding constants would even keep a table of zeros for every gradient.
pub fn session_builder(library: &'static Library, threads: usize) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(library.environment())?
        .with_optimization_level(GraphOptimizationLevel::Disable)?
        .with_log_level(LogLevel::Fatal)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?)
}

/// How many threads make a step faster: waking one costs as much as an operation on a small table takes.
///
/// The results do not depend on the number of threads, so this is a matter of speed alone.
pub fn useful_threads<'a>(graph: &'a Graph, nodes: impl IntoIterator<Item = &'a Node>, batch: usize) -> usize {
    let size = |node: &Node| node.shape.sizes(batch).iter().product::<usize>();
    let work = |node: &Node| match &node.op {
        // Each element is a sum, of which eight terms take as long as an element of another operation.
        Op::MatMul { a, b, .. } => {
            let elements = [size(node), size(graph.node(*a)), size(graph.node(*b))];
            let terms = elements.iter().map(|n| *n as f64).product::<f64>().sqrt();
            size(node).max((terms / 8.0) as usize)
        }
        _ => size(node),
    };
    let largest = nodes.into_iter().map(work).max().unwrap_or(0);
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

/// A shape for ONNX Runtime.
pub fn ort_shape(shape: &Shape, batch: usize) -> ort::value::Shape {
    ort::value::Shape::new(shape.sizes(batch).into_iter().map(|size| size as i64))
}

/// The error of a call into ONNX Runtime.
pub fn failure(what: &str, device: &str, error: &ort::Error) -> Error {
    let message = error.message().trim();
    // `<file>:<line> <function> [ONNXRuntimeError] : <number> : <kind> : <reason>`, where it was an exception inside.
    let reason = match message.rsplit_once("[ONNXRuntimeError] : ") {
        Some((_, rest)) => rest.splitn(3, " : ").last().unwrap_or(rest),
        None => message,
    };
    Error::new(format!("onnx runtime could not {what} on {device}: {reason}"))
}
