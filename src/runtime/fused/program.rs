//! A training by the fused operator: the states of the graph in the operator's layout, bound in place.

use ort::logging::LogLevel;
use ort::memory::Allocator;
use ort::operator::{Operator, OperatorDomain};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{IoBinding, Session};
use ort::value::{PrimitiveTensorElementType, Tensor};

use crate::error::{Error, Result};
use crate::graph::{Feed, FeedValues, Program};
use crate::kernels::Level;
use crate::kernels::factorisation::{Block, History, Reach, Settings, Step};
use crate::model::{CLASS, ITEM, Objective, RATING, USER, WEIGHT};
use crate::runtime::float_mode::SubnormalsAreZero;
use crate::runtime::fused::operator::{self, SETTLE_AFTER, StepOperator};
use crate::runtime::fused::states::States;
use crate::runtime::library::Library;
use crate::runtime::recognise::Factorisation;
use crate::runtime::session::failure;

/// The ratings of a batch that a second thread must have to do; fewer are done before it has woken up.
const RATINGS_PER_THREAD: usize = 512;

/// A factorisation in training on the CPU.
pub struct FusedProgram {
    binding: IoBinding,
    session: Session,
    inputs: Inputs,
    loss: Tensor<f32>,
    states: States,
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
        let operator = StepOperator { make, reach, threads };
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

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        self.states.read(
            name,
            |row, index, clock| self.history.settle(&self.step, row, index, clock),
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
    Session::builder(library.environment())?
        .with_operators(OperatorDomain::new(operator::DOMAIN)?.add(operator)?)?
        .with_optimization_level(GraphOptimizationLevel::Disable)?
        .with_log_level(LogLevel::Fatal)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .commit_from_memory(model)
}

/// What was in the steps so far, as rows that missed some need it.
struct Past {
    reach: Reach,
    /// Steps since the rows were last settled.
    steps: i32,
    /// Settings of each step, or the sums of the logarithms of the decay with 0 in front.
    numbers: Vec<f32>,
    last: Settings,
}

impl Past {
    fn new(reach: Reach) -> Self {
        let numbers = match reach {
            Reach::EveryRow => vec![0.0; SETTLE_AFTER as usize * Settings::LEN],
            Reach::BatchRows => vec![0.0],
        };
        Self { reach, steps: 0, numbers, last: Settings::default() }
    }

    /// Takes down a step that is about to run; returns its number.
    fn begin(&mut self, settings: &Settings) -> i32 {
        match self.reach {
            Reach::EveryRow => {
                let place = self.steps as usize * Settings::LEN;
                self.numbers[place..place + Settings::LEN].copy_from_slice(settings.numbers());
            }
            Reach::BatchRows => self.numbers.push(settings.log_decay_now),
        }
        self.last = *settings;
        self.steps += 1;
        self.steps
    }

    fn past(&self) -> &[f32] {
        &self.numbers
    }

    /// After step `now`, in which the operator may have settled all rows.
    fn end(&mut self, now: i32) {
        if self.reach == Reach::EveryRow && now == SETTLE_AFTER {
            self.steps = 0;
        }
    }

    /// The sum of the logarithms of the decay until a row's clock.
    fn log_decay(&self, clock: i32) -> f32 {
        self.numbers.get(clock as usize).copied().unwrap_or(0.0)
    }

    /// Brings a copy of a row up to date, where states are the tables as every step left them.
    fn settle(&self, step: &Step, row: &mut [Block], index: usize, clock: i32) {
        if self.reach == Reach::EveryRow {
            let steps = &Settings::each_of(&self.numbers)[..self.steps as usize];
            step.settle_copy(row, index, clock, &self.last, History::Steps(steps), self.steps);
        }
    }
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
    fn bind(&mut self, given: &Given<'_>, past: &[f32], binding: &mut IoBinding) -> ort::Result<()> {
        let now = [given.now];
        let share = [given.share];
        // Room for what is to come, so that the growing history is seldom bound anew.
        let room = past.len().next_power_of_two();
        let whole = [("user", given.users), ("item", given.items), ("class", given.classes), ("now", &now)];
        let floats = [
            ("rating", given.ratings, 0),
            ("weight", given.weights, 0),
            ("share", &share, 0),
            ("settings", given.settings.numbers(), 0),
            ("history", past, room),
        ];
        for (place, (name, values)) in whole.into_iter().enumerate() {
            write(&mut self.whole, place, name, values, values.len(), binding)?;
        }
        for (place, (name, values, room)) in floats.into_iter().enumerate() {
            write(&mut self.floats, place, name, values, room.max(values.len()), binding)?;
        }
        Ok(())
    }
}

/// Writes values into the tensor at a place, made and bound where there is none of `room` elements.
pub(super) fn write<T: PrimitiveTensorElementType + Copy + std::fmt::Debug + 'static>(
    tensors: &mut Vec<Tensor<T>>,
    place: usize,
    name: &str,
    values: &[T],
    room: usize,
    binding: &mut IoBinding,
) -> ort::Result<()> {
    let fits = |tensor: &Tensor<T>| tensor.extract_tensor().1.len() == room;
    if !tensors.get(place).is_some_and(fits) {
        let tensor = Tensor::<T>::new(&Allocator::default(), [room])?;
        binding.bind_input(name, &tensor)?;
        match tensors.get_mut(place) {
            Some(old) => *old = tensor,
            None => tensors.push(tensor),
        }
    }
    tensors[place].extract_tensor_mut().1[..values.len()].copy_from_slice(values);
    Ok(())
}

/// The numbers of a step by the names that its optimiser feeds them under.
pub(super) fn settings(feeds: &[Feed<'_>]) -> Result<Settings> {
    let mut settings = Settings { decay: 1.0, ..Settings::default() };
    for feed in feeds {
        let FeedValues::Floats(&[value]) = feed.values else { continue };
        let Some((_, name)) = feed.name.split_once('.') else { continue };
        let place = match name {
            "beta1" | "momentum" => &mut settings.beta1,
            "one_minus_beta1" | "gain" => &mut settings.gain1,
            "beta2" => &mut settings.beta2,
            "one_minus_beta2" => &mut settings.gain2,
            "step_size" | "learning_rate" => &mut settings.step_size,
            "epsilon" => &mut settings.epsilon,
            "decay" => &mut settings.decay,
            "log_beta1" => &mut settings.log_beta1,
            "log_beta2" => &mut settings.log_beta2,
            "log_ratio" => &mut settings.log_ratio,
            "tail" => &mut settings.tail,
            "log_decay_before" => &mut settings.log_decay_before,
            "log_decay_now" => &mut settings.log_decay_now,
            "before" | "now" => continue,
            other => return Err(Error::new(format!("feed {other}: the fused step has no such number"))),
        };
        *place = value;
    }
    Ok(settings)
}

pub(super) fn has(feeds: &[Feed<'_>], name: &str) -> bool {
    feeds.iter().any(|feed| feed.name == name)
}

pub(super) fn indices<'a>(feeds: &[Feed<'a>], name: &str) -> Result<&'a [i32]> {
    match feeds.iter().find(|feed| feed.name == name).map(|feed| feed.values) {
        Some(FeedValues::Indices(values)) => Ok(values),
        _ => Err(Error::new(format!("feed {name}: expected row numbers, once"))),
    }
}

pub(super) fn floats<'a>(feeds: &[Feed<'a>], name: &str) -> Result<&'a [f32]> {
    match feeds.iter().find(|feed| feed.name == name).map(|feed| feed.values) {
        Some(FeedValues::Floats(values)) => Ok(values),
        _ => Err(Error::new(format!("feed {name}: expected numbers, once"))),
    }
}
