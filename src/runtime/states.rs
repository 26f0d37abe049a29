//! States of a graph as tensors of their own, input and output of a session at once.

use std::fmt::Debug;

use ort::memory::{AllocationDevice, Allocator};
use ort::session::IoBinding;
use ort::value::{PrimitiveTensorElementType, Tensor};

use crate::error::{Error, Result};
use crate::graph::{Node, Op};
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
            states.push(State {
                name: name.clone(),
                tensor: tensor_on(device, allocator, ort_shape(&node.shape, 1), values)?,
            });
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

/// A tensor of a shape and its values on a device, of which the allocator is.
pub fn tensor_on<T: PrimitiveTensorElementType + Copy + Debug>(
    device: Device,
    allocator: &Allocator,
    sizes: impl Into<ort::value::Shape>,
    values: &[T],
) -> ort::Result<Tensor<T>> {
    let sizes = sizes.into();
    let mut here = Tensor::<T>::new(&Allocator::default(), sizes.clone())?;
    here.extract_tensor_mut().1.copy_from_slice(values);
    match device {
        Device::Cpu => Ok(here),
        Device::Cuda { .. } => {
            let mut there = Tensor::<T>::new(allocator, sizes)?;
            here.copy_into(&mut there)?;
            Ok(there)
        }
    }
}
