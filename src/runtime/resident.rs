//! A program that keeps ratings, their order and the states on its device, and takes many steps a run.

use ort::memory::Allocator;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use crate::error::{Error, Result};
use crate::graph::{Feed, FeedValues, Order, Program, Resident, Step};
use crate::runtime::float_mode::SubnormalsAreZero;
use crate::runtime::provider::Device;
use crate::runtime::scan::{
    COUNTED, LOSSES, ORDER, RUN_OFFSETS, RUN_STARTS, STARTS, column_name, lower_order, lower_steps,
};
use crate::runtime::session::{OnnxEngine, OnnxProgram, failure, useful_threads, wait_for_inputs};
use crate::runtime::states::tensor_on;

/// A step by stock operators, and ratings that it can be taken over.
pub struct ResidentProgram {
    step: Step,
    engine: OnnxEngine,
    single: OnnxProgram,
    kept: Option<Kept>,
}

/// The ratings.
struct Kept {
    n_ratings: usize,
    columns: Vec<(String, Values)>,
    /// The rating at each place: `[N]`.
    order: Tensor<i32>,
    /// Whether it is one by now.
    is_shuffled: bool,
    /// Works out orders of runs.
    by_runs: Option<Session>,
    /// For each size of a batch that occurred what takes steps of it.
    runs: Vec<Run>,
}

enum Values {
    Floats(Tensor<f32>),
    Indices(Tensor<i32>),
}

/// Steps of batches of one size.
struct Run {
    batch: usize,
    binding: IoBinding,
    session: Session,
    /// What it is bound with for `T` steps; `None` before the first run.
    lists: Option<Lists>,
}

/// A value a step of everything that has one.
struct Lists {
    scalars: Vec<(String, Tensor<f32>)>,
    starts: Tensor<i32>,
    losses: Tensor<f32>,
}

impl ResidentProgram {
    /// From a program of the same step on the same engine, whose inputs are scalars and columns.
    pub fn new(step: &Step, engine: OnnxEngine, single: OnnxProgram) -> Self {
        Self { step: step.clone(), engine, single, kept: None }
    }
}

impl Program for ResidentProgram {
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32> {
        self.single.step(feeds)
    }

    fn resident(&mut self) -> Option<&mut dyn Resident> {
        Some(self)
    }

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        self.single.state(name)
    }
}

impl Resident for ResidentProgram {
    fn keep(&mut self, columns: &[Feed<'_>]) -> Result<()> {
        let n_ratings = self.step.graph.check_columns(columns)?;
        if i32::try_from(n_ratings).is_err() {
            return Err(Error::new(format!("graph: {n_ratings} ratings are more than 32-bit row numbers count")));
        }
        // What was kept before makes room first.
        self.kept = None;
        let kept = self.kept(n_ratings, columns).map_err(|error| self.failed("keep ratings", &error))?;
        self.kept = Some(kept);
        Ok(())
    }

    fn shuffle(&mut self, order: &Order<'_>) -> Result<()> {
        let device = self.engine.place();
        let Some(kept) = &mut self.kept else { return Err(nothing_kept()) };
        order.check(kept.n_ratings)?;
        let failed = |error: ort::Error| failure("shuffle", &device.to_string(), &error);
        match *order {
            Order::Rows(rows) => kept.write_order(rows, device),
            Order::Runs { starts, offsets, length, n_ratings } => {
                if kept.by_runs.is_none() {
                    let session = self.engine.session(&lower_order(length, n_ratings), 1, device, true);
                    kept.by_runs = Some(session.map_err(failed)?);
                }
                kept.work_out_order(starts, offsets, device)
            }
        }
        .map_err(failed)?;
        kept.is_shuffled = true;
        Ok(())
    }

    fn steps(&mut self, start: usize, batch: usize, scalars: &[Feed<'_>]) -> Result<Vec<f32>> {
        let n_steps = self.step.graph.check_scalars(scalars)?;
        let Some(kept) = self.kept.as_mut().filter(|kept| kept.is_shuffled) else { return Err(nothing_kept()) };
        let end = batch.checked_mul(n_steps).and_then(|n| n.checked_add(start));
        if batch == 0 || end.is_none_or(|end| end > kept.n_ratings) {
            return Err(Error::new(format!(
                "graph: {n_steps} steps of {batch} ratings from place {start} on, of {} ratings",
                kept.n_ratings
            )));
        }
        let device = self.engine.place();
        let failed = |what| move |error: ort::Error| failure(what, &device.to_string(), &error);
        if !kept.runs.iter().any(|run| run.batch == batch) {
            let run = kept.run(&self.step, &self.engine, batch, &mut self.single).map_err(failed("compile"))?;
            kept.runs.push(run);
        }
        let Some(run) = kept.runs.iter_mut().find(|run| run.batch == batch) else { return Err(nothing_kept()) };
        run.take(start, n_steps, scalars, device).map_err(failed("run"))
    }
}

impl ResidentProgram {
    fn kept(&self, n_ratings: usize, columns: &[Feed<'_>]) -> ort::Result<Kept> {
        let (device, allocator) = (self.engine.place(), self.single.allocator()?);
        let mut tensors = Vec::with_capacity(columns.len());
        for column in columns {
            let values = match column.values {
                FeedValues::Floats(values) => Values::Floats(tensor_on(device, &allocator, [n_ratings], values)?),
                FeedValues::Indices(values) => Values::Indices(tensor_on(device, &allocator, [n_ratings], values)?),
            };
            tensors.push((column_name(column.name), values));
        }
        let order = Tensor::<i32>::new(&allocator, [n_ratings])?;
        Ok(Kept { n_ratings, columns: tensors, order, is_shuffled: false, by_runs: None, runs: Vec::new() })
    }

    fn failed(&self, what: &str, error: &ort::Error) -> Error {
        failure(what, &self.engine.place().to_string(), error)
    }
}

impl Kept {
    fn write_order(&mut self, rows: &[i32], device: Device) -> ort::Result<()> {
        match device {
            Device::Cpu => {
                self.order.extract_tensor_mut().1.copy_from_slice(rows);
                Ok(())
            }
            Device::Cuda { .. } => {
                let here = tensor_on(Device::Cpu, &Allocator::default(), [rows.len()], rows)?;
                here.copy_into(&mut self.order)
            }
        }
    }

    fn work_out_order(&mut self, starts: &[i32], offsets: &[i32], device: Device) -> ort::Result<()> {
        let Some(session) = &mut self.by_runs else { return Ok(()) };
        let mut binding = session.create_binding()?;
        for (name, values) in [(RUN_STARTS, starts), (RUN_OFFSETS, offsets)] {
            let here = tensor_on(Device::Cpu, &Allocator::default(), [values.len()], values)?;
            binding.bind_input(name, &here)?;
        }
        binding.bind_output(ORDER, &mut self.order)?;
        wait_for_inputs(&binding, device)?;
        session.run_binding(&binding)?;
        Ok(())
    }

    /// What takes steps of batches of a size.
    fn run(&self, step: &Step, engine: &OnnxEngine, batch: usize, single: &mut OnnxProgram) -> ort::Result<Run> {
        let threads = engine.threads().min(useful_threads(&step.graph, step.graph.nodes(), batch));
        let session = engine.session(&lower_steps(step, batch), threads, engine.place(), true)?;
        let mut binding = session.create_binding()?;
        single.bind_states(&mut binding)?;
        for (name, values) in &self.columns {
            match values {
                Values::Floats(values) => binding.bind_input(name.as_str(), values)?,
                Values::Indices(values) => binding.bind_input(name.as_str(), values)?,
            }
        }
        binding.bind_input(ORDER, &self.order)?;
        let counted: Vec<i32> = (0..batch as i32).collect();
        binding.bind_input(COUNTED, &tensor_on(engine.place(), &single.allocator()?, [batch], &counted)?)?;
        Ok(Run { batch, binding, session, lists: None })
    }
}

impl Run {
    fn take(&mut self, start: usize, n_steps: usize, scalars: &[Feed<'_>], device: Device) -> ort::Result<Vec<f32>> {
        let is_new = self.lists.as_ref().is_none_or(|lists| lists.losses.shape().num_elements() != n_steps);
        if is_new {
            self.lists = None;
        }
        let lists = match &mut self.lists {
            Some(lists) => lists,
            none => none.insert(Lists::new(scalars, n_steps, &mut self.binding)?),
        };
        lists.write(scalars, start, self.batch);
        // On the CPU the session reads the lists themselves; elsewhere binding is what copies them there.
        if is_new || device != Device::Cpu {
            lists.bind(&mut self.binding)?;
            wait_for_inputs(&self.binding, device)?;
        }
        let _mode = SubnormalsAreZero::on_this_thread();
        self.session.run_binding(&self.binding)?;
        Ok(lists.losses.extract_tensor().1.to_vec())
    }
}

impl Lists {
    /// Lists of `T` values, of which the losses are bound.
    fn new(scalars: &[Feed<'_>], n_steps: usize, binding: &mut IoBinding) -> ort::Result<Self> {
        let here = Allocator::default();
        let floats = || Tensor::<f32>::new(&here, [n_steps]);
        let named = scalars.iter().map(|scalar| Ok((scalar.name.to_owned(), floats()?)));
        let scalars = named.collect::<ort::Result<Vec<_>>>()?;
        let mut losses = floats()?;
        binding.bind_output(LOSSES, &mut losses)?;
        Ok(Self { scalars, starts: Tensor::new(&here, [n_steps])?, losses })
    }

    fn write(&mut self, scalars: &[Feed<'_>], start: usize, batch: usize) {
        for (name, list) in &mut self.scalars {
            for scalar in scalars.iter().filter(|scalar| scalar.name == name) {
                if let FeedValues::Floats(values) = scalar.values {
                    list.extract_tensor_mut().1.copy_from_slice(values);
                }
            }
        }
        let starts = self.starts.extract_tensor_mut().1.iter_mut();
        starts.enumerate().for_each(|(step, place)| *place = (start + step * batch) as i32);
    }

    fn bind(&self, binding: &mut IoBinding) -> ort::Result<()> {
        for (name, list) in &self.scalars {
            binding.bind_input(name.as_str(), list)?;
        }
        binding.bind_input(STARTS, &self.starts)
    }
}

fn nothing_kept() -> Error {
    Error::new("graph: steps over ratings that are neither kept nor in an order")
}
