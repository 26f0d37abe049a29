//! Whether all of a training over kept ratings runs on its device.

use crate::ending::Call;
use crate::error::Result;
use crate::graph::Step;
use crate::runtime::provider::Device;
use crate::runtime::scan::{lower_flat, lower_order, lower_steps};
use crate::runtime::session::{OnnxEngine, failure};

/// A run of neighbours, and ratings of which some are behind the runs.
const RUN: (usize, usize) = (64, 1_000);

impl OnnxEngine {
    /// Compiles what a training of `step` with kept ratings runs, in batches of `batch`, and fails where ONNX Runtime would compute a node
    /// of it on the CPU though the device is another. On the CPU every node is where it should be.
    ///
    /// ONNX Runtime itself refuses only nodes of the outermost graph, so the step is compiled by itself, too: it places nodes graph by
    /// graph, and those of the step in the same way.
    ///
    /// # Errors
    /// A node on the CPU; a model that cannot be compiled.
    pub fn check_placement(&self, step: &Step, batch: usize) -> Result<()> {
        let device = self.place();
        if device == Device::Cpu {
            return Ok(());
        }
        let _call = Call::begin()?;
        for (what, model) in [
            ("place a step", lower_flat(step, batch)),
            ("place steps", lower_steps(step, batch)),
            ("place the order of an epoch", lower_order(RUN.0, RUN.1)),
        ] {
            self.session(&model, 1, device, true).map_err(|error| failure(what, &device.to_string(), &error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
