//! States of a graph as tensors of their own, input and output of a session at once.

use ort::memory::{AllocationDevice, Allocator};
use ort::session::IoBinding;
use ort::value::Tensor;

use crate::error::{Error, Result};
use crate::graph::{Node, Op, Shape};
use crate::runtime::onnx::next_name;
use crate::runtime::provider::Device;
use crate::runtime::session::{failure, ort_shape};

/// The states of a program.
pub struct States {
    device: Device,
    states: Vec<State>,
}

struct State {
    name: String,
    tensor: Tensor<f32>,
}

impl States {
    /// Those among the nodes of a graph, with their initial values.
    pub fn new<'a>(
        nodes: impl IntoIterator<Item = &'a Node>,
        initial: &[(String, Vec<f32>)],
        device: Device,
        allocator: &Allocator,
    ) -> ort::Result<Self> {
        let mut states = Vec::new();
        for node in nodes {
            let Op::State { name } = &node.op else { continue };
            let values = initial.iter().find(|(other, _)| other == name).map_or(&[][..], |(_, values)| values);
            states.push(State { name: name.clone(), tensor: state_tensor(allocator, device, &node.shape, values)? });
        }
        Ok(Self { device, states })
    }

    /// Binds each as input and output.
    pub fn bind(&mut self, binding: &mut IoBinding) -> ort::Result<()> {
        for state in &mut self.states {
            binding.bind_input(state.name.as_str(), &state.tensor)?;
            binding.bind_output(next_name(&state.name), &mut state.tensor)?;
        }
        Ok(())
    }

    /// A state, row by row.
    ///
    /// # Errors
    /// An unknown name; what ONNX Runtime refuses.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let state = self
            .states
            .iter()
            .find(|state| state.name == name)
            .ok_or_else(|| Error::new(format!("graph: there is no state named {name}")))?;
        match self.device {
            Device::Cpu => Ok(state.tensor.extract_tensor().1.to_vec()),
            Device::Cuda { .. } => {
                let copy = state.tensor.to(AllocationDevice::CPU, 0);
                let copy = copy.map_err(|error| failure("read a state", &self.device.to_string(), &error))?;
                Ok(copy.extract_tensor().1.to_vec())
            }
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
