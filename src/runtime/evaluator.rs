//! A forward pass with its parameters as a session on one thread of the CPU: hosts evaluate on several threads already.

use ort::memory::Allocator;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use crate::error::{Error, Result};
use crate::graph::{Evaluator, Feed, Graph, NodeId, Shape};
use crate::runtime::float_mode::SubnormalsAreZero;
use crate::runtime::inputs::Inputs;
use crate::runtime::onnx::{lower_forward, model_bytes};
use crate::runtime::provider::Device;
use crate::runtime::session::{failure, ort_shape};

/// The output's name in the session.
const OUTPUT: &str = "#output";

/// The most bytes that a message of protobuf may have, and so a model with its parameters.
pub const LARGEST_MODEL: usize = i32::MAX as usize;

/// A compiled forward pass.
pub struct OnnxEvaluator {
    binding: IoBinding,
    session: Session,
    inputs: Inputs,
    shape: Shape,
    /// The `B` that the output is bound with; none before the first run.
    batch: Option<usize>,
    output: Tensor<f32>,
}

impl OnnxEvaluator {
    /// An evaluator of a node of floats, given the values of all states and how to make a session of a model.
    ///
    /// # Errors
    /// Values that do not fit the states, or more than a model may hold; an output of row numbers; what ONNX Runtime refuses.
    pub fn new(
        graph: &Graph,
        output: NodeId,
        parameters: &[(String, Vec<f32>)],
        session: impl FnOnce(&[u8]) -> ort::Result<Session>,
    ) -> Result<Self> {
        graph.check_states(parameters)?;
        graph.check_output(output)?;
        let model = model_bytes(lower_forward(graph, &[(output, OUTPUT)], parameters));
        if model.len() > LARGEST_MODEL {
            return Err(Error::new(format!(
                "the model has {} bytes of parameters, more than the {LARGEST_MODEL} that an ONNX model may have; train \
                 fewer factors or smaller layers",
                model.len()
            )));
        }
        let failed = |error: ort::Error| failure("compile", "cpu", &error);
        let session = session(&model).map_err(failed)?;
        let binding = session.create_binding().map_err(failed)?;
        let shape = graph.shape(output).clone();
        let inputs = Inputs::new(graph, Device::Cpu);
        let output = Tensor::<f32>::new(&Allocator::default(), ort::value::Shape::empty(0)).map_err(failed)?;
        Ok(Self { binding, session, inputs, shape, batch: None, output })
    }
}

impl Evaluator for OnnxEvaluator {
    fn run(&mut self, feeds: &[Feed<'_>]) -> Result<Vec<f32>> {
        let failed = |error: ort::Error| failure("run", "cpu", &error);
        self.inputs.bind(feeds, &mut self.binding)?.map_err(failed)?;
        let batch = self.inputs.batch();
        if let (true, Some(rows)) = (batch != self.batch, batch) {
            self.output = Tensor::new(&Allocator::default(), ort_shape(&self.shape, rows)).map_err(failed)?;
            self.binding.bind_output(OUTPUT, &mut self.output).map_err(failed)?;
            self.batch = batch;
        }
        {
            let _mode = SubnormalsAreZero::on_this_thread();
            self.session.run_binding(&self.binding).map_err(failed)?;
        }
        Ok(self.output.extract_tensor().1.to_vec())
    }
}
