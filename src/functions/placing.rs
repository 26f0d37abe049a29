//! Where a training runs, and whether it fits there: the option `device` as of a training whose ratings are known.

use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::graph::Engine;
use crate::graph::optimiser::Rule;
use crate::ratings::Dataset;
use crate::runtime::{Device, DeviceRequest, Library, OnnxEngine, Operators, is_out_of_memory};
use crate::train::{self, DeviceNeeds, Place, Room, Sizes, TrainConfig, Training, WarmStart, faster_place};

/// All that a training begins with but its place.
pub struct Placing<'a> {
    /// What computes.
    pub library: &'static Library,
    /// At most so many on the processor.
    pub threads: usize,
    /// What the numbers depend on.
    pub config: &'a TrainConfig,
    /// What is learned from.
    pub dataset: &'a Arc<Dataset>,
    /// The stored model that is continued.
    pub warm_start: Option<&'a WarmStart<'a>>,
}

/// A training in its place.
pub struct Placed {
    /// The training.
    pub training: Training,
    /// Where it computes.
    pub device: Device,
    /// What it needs and had there.
    pub memory: Memory,
}

/// What a training needs of the memory of its device, beside what there was; nothing where that is the processor's.
pub struct Memory(Option<(DeviceNeeds, Room)>);

impl Memory {
    /// An error of the training, with need and size where it says that the device has no memory left.
    pub fn explain(&self, error: Error) -> Error {
        match &self.0 {
            Some((needs, room)) if is_out_of_memory(&error.to_string()) => needs.explained(room, error),
            _ => error,
        }
    }
}

impl Placing<'_> {
    /// Begins the training on the device that was named and found, or where none was, where it takes less time. A GPU is asked for nothing, not even
    /// whether it is there, before the processor is known to take longer than a GPU does to begin with.
    ///
    /// # Errors
    /// A GPU that was named and has too little memory; those of [`Training::new`].
    pub fn begin(&self, named: Option<Device>) -> Result<Placed> {
        let begin = |device| self.begin_on(device);
        if let Some(device) = named {
            return begin(device);
        }
        // Single ratings, one after the other, are nothing for a GPU.
        if self.config.optimiser.rule == Rule::Classic || !DeviceRequest::may_find_gpu() {
            return begin(Device::Cpu);
        }
        let started = Instant::now();
        let mut gpu = None;
        let place = faster_place(
            (self.config.epochs, self.dataset.train.len()),
            &|| started.elapsed().as_secs_f64(),
            || Ok(begin(Device::Cpu)?.training),
            || {
                let device = DeviceRequest::Auto.resolve(self.library).ok().filter(|device| *device != Device::Cpu)?;
                gpu = Some(device);
                Some(move || Some(begin(device).ok()?.training))
            },
        )?;
        match (place, gpu) {
            // What has fitted once may not fit twice, as others use the GPU, too.
            (Place::Gpu, Some(device)) => begin(device).or_else(|_| begin(Device::Cpu)),
            _ => begin(Device::Cpu),
        }
    }

    fn begin_on(&self, device: Device) -> Result<Placed> {
        let memory = self.memory_of(device)?;
        let operators = match self.config.operators {
            train::Operators::Auto => Operators::Auto,
            train::Operators::Stock => Operators::Stock,
        };
        let engine: Arc<dyn Engine> = Arc::new(OnnxEngine::new(self.library, device, self.threads, operators)?);
        let training = Training::new(self.config.clone(), Arc::clone(self.dataset), engine, self.warm_start)
            .map_err(|error| memory.explain(error))?;
        Ok(Placed { training, device, memory })
    }

    /// Makes sure that the training can fit, before anything is brought there. Where the driver does not say how much is free, an allocation will.
    fn memory_of(&self, device: Device) -> Result<Memory> {
        if device == Device::Cpu {
            return Ok(Memory(None));
        }
        let stored = self.warm_start.map(|stored| stored.embeddings.parts());
        let widths = stored.map(|stored| (stored.users.width, stored.items.width));
        let needs = DeviceNeeds::of(self.config, Sizes::of(self.dataset), widths);
        let Ok(Some(memory)) = device.memory() else {
            needs.check_counts(&device.to_string())?;
            return Ok(Memory(None));
        };
        let room = Room { device: device.to_string(), name: memory.name, free: memory.free, total: memory.total };
        needs.check(&room)?;
        needs.check_counts(&room.device)?;
        Ok(Memory(Some((needs, room))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Options;

    #[test]
    fn need_and_size_are_told_where_memory_is_what_lacks() {
        let config = TrainConfig::take(&mut Options::new(Default::default())).unwrap();
        let needs =
            DeviceNeeds::of(&config, Sizes { n_train: 1000, n_users: 10, n_items: 10, ..Sizes::default() }, None);
        let room = Room { device: "cuda:1".to_owned(), name: "Abacus".to_owned(), free: 1 << 30, total: 8 << 30 };
        let (gpu, cpu) = (Memory(Some((needs, room))), Memory(None));
        let error = || {
            Error::new(
                "onnx runtime could not run on cuda:1: Failed to allocate memory for requested buffer of size 4096",
            )
        };
        let told = gpu.explain(error()).to_string();
        assert!(
            told.starts_with(&format!("device = 'cuda:1': out of memory: {}; the training needs at least", error())),
            "{told}"
        );
        assert!(told.contains("Abacus has 1.0 GiB free of 8.0 GiB"), "{told}");
        assert_eq!(gpu.explain(Error::new("a loss that is none")).to_string(), "a loss that is none");
        assert_eq!(cpu.explain(error()).to_string(), error().to_string());
    }
}
