//! A training whose tables our operators read and move; the rest is stock operators in the same session.

use ort::memory::Allocator;
use ort::operator::OperatorDomain;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use crate::error::{Error, Result};
use crate::graph::{Feed, Op, Program, Step};
use crate::kernels::factorisation::Settings;
use crate::runtime::float_mode::SubnormalsAreZero;
use crate::runtime::fused::context::DOMAIN;
use crate::runtime::fused::given::{indices, settings, write, write_from};
use crate::runtime::fused::past::Past;
use crate::runtime::fused::program::RATINGS_PER_THREAD;
use crate::runtime::fused::tables::lower::{HISTORY, NOW, SETTINGS, lower, stock_nodes};
use crate::runtime::fused::tables::operators::{LearnOperator, Plan, ReadOperator, WholeOperator};
use crate::runtime::fused::tables::recognise::Tables;
use crate::runtime::fused::tables::states::{SideStates, check_rows};
use crate::runtime::inputs::Inputs;
use crate::runtime::library::Library;
use crate::runtime::onnx::LOSS;
use crate::runtime::provider::Device;
use crate::runtime::session::{failure, session_builder, useful_threads};
use crate::runtime::states::States;

/// A model with tables in training on the CPU.
pub struct TablesProgram {
    binding: IoBinding,
    session: Session,
    inputs: Inputs,
    /// Number, settings and history of a step.
    now: Vec<Tensor<i32>>,
    numbers: Vec<Tensor<f32>>,
    sides: Vec<SideStates>,
    states: States,
    loss: Tensor<f32>,
    past: Past,
    decays: bool,
}

impl TablesProgram {
    /// Compiles a step whose tables were recognised; `initial` has the values of all states of its graph, which were checked.
    ///
    /// # Errors
    /// What ONNX Runtime refuses.
    pub fn new(
        library: &'static Library,
        step: &Step,
        tables: &Tables,
        initial: &[(String, Vec<f32>)],
        batch: usize,
        threads: usize,
    ) -> Result<Self> {
        let failed = |error: ort::Error| failure("compile", "cpu", &error);
        let reach = tables.reach;
        let of_rest = useful_threads(&step.graph, stock_nodes(step, tables), batch);
        let of_tables = (batch / RATINGS_PER_THREAD).max(1);
        let plan = Plan {
            tables: tables.sides.iter().map(|side| (side.layout, side.biases.is_some(), side.penalty)).collect(),
            whole: tables.whole.iter().map(|whole| whole.decay).collect(),
            memory: tables.memory,
            reach,
            threads: threads.min(of_tables),
        };
        let session = || -> ort::Result<Session> {
            let domain = OperatorDomain::new(DOMAIN)?
                .add(ReadOperator(plan.clone()))?
                .add(LearnOperator(plan.clone()))?
                .add(WholeOperator(plan.clone()))?;
            session_builder(library, threads.min(of_rest.max(of_tables)))?
                .with_flush_to_zero()?
                .with_operators(domain)?
                .commit_from_memory(&lower(step, tables))
        };
        let session = {
            // ONNX Runtime sets the mode of the thread that makes the process's first session: the guard puts it back.
            let _mode = SubnormalsAreZero::on_this_thread();
            session().map_err(failed)?
        };
        let mut binding = session.create_binding().map_err(failed)?;
        let mut sides = Vec::new();
        for (number, side) in tables.sides.iter().enumerate() {
            let table = plan.table(number).ok_or_else(|| Error::new("graph: a step has tables of two sides"))?;
            let mut states = SideStates::new(side, reach, table, initial).map_err(failed)?;
            states.bind(&mut binding).map_err(failed)?;
            sides.push(states);
        }
        let is_rest = |op: &Op| matches!(op, Op::State { name } if !tables.have(name));
        let nodes = step.graph.nodes().iter().filter(|node| is_rest(&node.op));
        let mut states = States::new(nodes, initial, Device::Cpu, &Allocator::default()).map_err(failed)?;
        states.bind(&mut binding).map_err(failed)?;
        let mut loss = Tensor::<f32>::new(&Allocator::default(), ort::value::Shape::empty(0)).map_err(failed)?;
        binding.bind_output(LOSS, &mut loss).map_err(failed)?;
        Ok(Self {
            binding,
            session,
            inputs: Inputs::new(&step.graph, Device::Cpu),
            now: Vec::new(),
            numbers: Vec::new(),
            sides,
            states,
            loss,
            past: Past::new(reach),
            decays: tables.decays,
        })
    }

    fn write(&mut self, settings: &Settings, now: i32) -> ort::Result<()> {
        let past = self.past.past();
        // Room for what is to come, so that the growing history is seldom bound anew.
        let room = past.0.len().next_power_of_two();
        write(&mut self.now, 0, NOW, &[now], 1, &mut self.binding)?;
        write(&mut self.numbers, 0, SETTINGS, settings.numbers(), Settings::LEN, &mut self.binding)?;
        write_from(&mut self.numbers, 1, HISTORY, past, room, &mut self.binding)
    }
}

impl Program for TablesProgram {
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32> {
        let failed = |error: ort::Error| failure("run", "cpu", &error);
        self.inputs.bind(feeds, &mut self.binding)?.map_err(failed)?;
        for side in &self.sides {
            let (index, n_rows) = side.rows();
            check_rows(index, indices(feeds, index)?, n_rows)?;
        }
        let mut settings = settings(feeds)?;
        if !self.decays {
            settings.decay = 1.0;
        }
        let now = self.past.begin(&settings);
        self.write(&settings, now).map_err(failed)?;
        {
            let _mode = SubnormalsAreZero::on_this_thread();
            self.session.run_binding(&self.binding).map_err(failed)?;
        }
        self.past.end(now);
        let (_, loss) = self.loss.extract_tensor();
        loss.first().copied().ok_or_else(|| Error::new("onnx runtime answered a step without a loss"))
    }

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        match self.sides.iter().find_map(|side| side.read(name, &self.past)) {
            Some(values) => Ok(values),
            None => self.states.read(name),
        }
    }

    fn operators(&self) -> &'static str {
        "fused tables"
    }
}
