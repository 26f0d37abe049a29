//! The inputs of a session: tensors of our own, bound once a batch size and written to before every run.

use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::value::Tensor;

use crate::error::Result;
use crate::graph::{Element, Feed, FeedValues, Graph, Op, Shape};
use crate::runtime::provider::Device;
use crate::runtime::session::ort_shape;

/// The inputs of a graph.
pub struct Inputs {
    graph: Graph,
    device: Device,
    tensors: Vec<(String, InputTensor)>,
    /// The `B` that the inputs are bound with; none before the first run.
    batch: Option<usize>,
}

enum InputTensor {
    Floats(Tensor<f32>),
    Indices(Tensor<i32>),
}

impl Inputs {
    /// The inputs of a graph for a session on a device; nothing is bound yet.
    pub fn new(graph: &Graph, device: Device) -> Self {
        Self { graph: graph.clone(), device, tensors: Vec::new(), batch: None }
    }

    /// The `B` that the inputs are bound with; none before the first run.
    pub fn batch(&self) -> Option<usize> {
        self.batch
    }

    /// Writes what is fed where the session reads it.
    ///
    /// # Errors
    /// Feeds that are not those of the graph; inside, what ONNX Runtime refuses.
    pub fn bind(&mut self, feeds: &[Feed<'_>], binding: &mut IoBinding) -> Result<ort::Result<()>> {
        let batch = self.graph.check_feeds(feeds)?;
        Ok(self.write(batch, feeds, binding))
    }

    fn write(&mut self, batch: usize, feeds: &[Feed<'_>], binding: &mut IoBinding) -> ort::Result<()> {
        let fresh = self.batch != Some(batch);
        if fresh {
            self.batch = None;
            self.tensors.clear();
            for node in self.graph.nodes() {
                if let Op::Input { name } = &node.op {
                    self.tensors.push((name.clone(), InputTensor::new(node.element, &node.shape, batch)?));
                }
            }
        }
        for (name, tensor) in &mut self.tensors {
            for feed in feeds.iter().filter(|feed| feed.name == name) {
                tensor.write(feed.values);
            }
            // On the CPU the session reads the tensor itself; elsewhere binding is what copies it there.
            if fresh || self.device != Device::Cpu {
                tensor.bind(binding, name)?;
            }
        }
        self.batch = Some(batch);
        Ok(())
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

    /// Copies values in; [`Graph::check_feeds`] has made sure that kind and number are right.
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
