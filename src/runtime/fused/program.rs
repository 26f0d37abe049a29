//! A training by the fused operator: the states of the graph in the operator's layout, bound in place.

use std::sync::Arc;

use ort::memory::Allocator;
use ort::operator::{Operator, OperatorDomain};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use crate::error::{Error, Result};
use crate::graph::{Feed, Other, Program};
use crate::kernels::Level;
use crate::kernels::factorisation::{Moment, Settings, Step};
use crate::model::{CLASS, ITEM, Objective, RATING, USER, WEIGHT};
use crate::runtime::float_mode::SubnormalsAreZero;
use crate::runtime::fused::beside::Beside;
use crate::runtime::fused::context::DOMAIN;
use crate::runtime::fused::given::{floats, has, indices, settings, write, write_from};
use crate::runtime::fused::operator::{self, StepOperator};
use crate::runtime::fused::past::Past;
use crate::runtime::fused::states::States;
use crate::runtime::library::Library;
use crate::runtime::recognise::Factorisation;
use crate::runtime::session::{failure, session_builder};

/// The ratings of a batch that a second thread must have to do; fewer are done before it has woken up.
pub const RATINGS_PER_THREAD: usize = 512;

/// A factorisation in training on the CPU.
pub struct FusedProgram {
    binding: IoBinding,
    session: Session,
    inputs: Inputs,
    loss: Tensor<f32>,
    states: States,
    beside: Arc<Beside>,
    /// Settles copies of rows for whoever reads a state.
    step: Step,
    history: Past,
    objective: Objective,
}

impl FusedProgram {
    /// Compiles a step that was recognised; `initial` has the values of all states of its graph, which were checked.
    ///
    /// # Errors
    /// What ONNX Runtime refuses.
    pub fn new(
        library: &'static Library,
        factorisation: &Factorisation,
        initial: &[(String, Vec<f32>)],
        batch: usize,
        threads: usize,
    ) -> Result<Self> {
        let failed = |error: ort::Error| failure("compile", "cpu", &error);
        let threads = threads.min(batch / RATINGS_PER_THREAD).max(1);
        let reach = factorisation.reach();
        let (layout, loss, penalty) = (factorisation.layout(), factorisation.loss(), factorisation.penalty);
        let constants = (factorisation.mu, factorisation.range);
        let biases = [factorisation.user_bias, factorisation.item_bias];
        let make = move || Step::new(Level::best(), layout, loss, constants, biases, penalty);
        let beside = Arc::new(Beside::default());
        let operator = StepOperator { make, reach, threads, beside: Arc::clone(&beside) };
        let session = session(library, operator, &operator::model(), threads).map_err(failed)?;
        let mut binding = session.create_binding().map_err(failed)?;
        let mut states = States::new(factorisation, initial).map_err(failed)?;
        let mut loss = Tensor::<f32>::new(&Allocator::default(), ort::value::Shape::empty(0)).map_err(failed)?;
        binding.bind_output(operator::LOSS, &mut loss).map_err(failed)?;
        states.bind(&mut binding).map_err(failed)?;
        Ok(Self {
            inputs: Inputs::default(),
            history: Past::new(reach),
            objective: factorisation.objective,
            step: make(),
            binding,
            session,
            loss,
            states,
            beside,
        })
    }
}

impl Program for FusedProgram {
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32> {
        let settings = settings(feeds)?;
        let indices = |name| indices(feeds, name);
        let (users, items) = (indices(USER)?, indices(ITEM)?);
        let (mut ratings, mut classes): (&[f32], &[i32]) = (&[], &[]);
        match self.objective {
            Objective::CrossEntropy { .. } => classes = indices(CLASS)?,
            Objective::MeanSquaredError | Objective::HalfSquaredSum => ratings = floats(feeds, RATING)?,
        }
        let weights = if has(feeds, WEIGHT) { floats(feeds, WEIGHT)? } else { &[] };
        let share = match self.objective {
            Objective::HalfSquaredSum => 0.5,
            Objective::MeanSquaredError | Objective::CrossEntropy { .. } => 1.0 / users.len() as f32,
        };
        self.states.check_rows(users, items)?;
        let failed = |error: ort::Error| failure("run", "cpu", &error);
        let now = self.history.begin(&settings);
        let given = Given { users, items, ratings, classes, weights, share, now, settings: &settings };
        self.inputs.bind(&given, self.history.past(), &mut self.binding).map_err(failed)?;
        self.session.run_binding(&self.binding).map_err(failed)?;
        self.history.end(now);
        let (_, loss) = self.loss.extract_tensor();
        loss.first().copied().ok_or_else(|| Error::new("onnx runtime answered a step without a loss"))
    }

    fn step_beside(&mut self, feeds: &[Feed<'_>], other: Other<'_>) -> Result<f32> {
        let beside = Arc::clone(&self.beside);
        beside.during(other, || self.step(feeds))
    }

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        self.states.read(
            name,
            |row, index, clock| {
                if let Some(Moment { settings, history, now }) = self.history.unsettled() {
                    self.step.settle_copy(row, index, clock, settings, history, now);
                }
            },
            |clock| self.history.log_decay(clock),
        )
    }

    fn operators(&self) -> &'static str {
        "fused"
    }
}

/// A session of the operator alone. It computes with subnormal numbers as they are, as Rust code expects it.
pub(super) fn session(
    library: &'static Library,
    operator: impl Operator + 'static,
    model: &[u8],
    threads: usize,
) -> ort::Result<Session> {
    // ONNX Runtime sets the mode of the thread that makes the process's first session: the guard puts it back.
    let _mode = SubnormalsAreZero::on_this_thread();
    session_builder(library, threads)?
        .with_operators(OperatorDomain::new(DOMAIN)?.add(operator)?)?
        .commit_from_memory(model)
}

/// What one step is given.
struct Given<'a> {
    users: &'a [i32],
    items: &'a [i32],
    ratings: &'a [f32],
    classes: &'a [i32],
    weights: &'a [f32],
    share: f32,
    now: i32,
    settings: &'a Settings,
}

/// Tensors of our own, bound once for each length and written to before every run.
#[derive(Default)]
struct Inputs {
    whole: Vec<Tensor<i32>>,
    floats: Vec<Tensor<f32>>,
}

impl Inputs {
    fn bind(&mut self, given: &Given<'_>, past: (&[f32], usize), binding: &mut IoBinding) -> ort::Result<()> {
        let now = [given.now];
        let share = [given.share];
        // Room for what is to come, so that the growing history is seldom bound anew.
        let room = past.0.len().next_power_of_two();
        let whole = [("user", given.users), ("item", given.items), ("class", given.classes), ("now", &now)];
        let floats = [
            ("rating", given.ratings),
            ("weight", given.weights),
            ("share", &share),
            ("settings", given.settings.numbers()),
        ];
        for (place, (name, values)) in whole.into_iter().enumerate() {
            write(&mut self.whole, place, name, values, values.len(), binding)?;
        }
        for (place, (name, values)) in floats.into_iter().enumerate() {
            write(&mut self.floats, place, name, values, values.len(), binding)?;
        }
        write_from(&mut self.floats, floats.len(), "history", past, room, binding)
    }
}
