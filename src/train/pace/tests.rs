use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

use super::*;
use crate::error::Error;
use crate::graph::{Engine, Evaluator, Feed, FeedValues, Graph, Interpreter, NodeId, Order, Program, Resident, Step};
use crate::ids::{Id, IdKind};
use crate::ratings::{Dataset, DatasetBuilder, Split};
use crate::train::{OptionValue, Options, TrainConfig};

/// A clock that only moves when something is computed, in microseconds.
type Clock = Arc<AtomicU64>;

/// What a place takes, in milliseconds.
#[derive(Clone, Copy, Default)]
struct Costs {
    /// Until it is found; of the processor nothing.
    start: u64,
    compile: u64,
    first_step: u64,
    step: u64,
    /// To compile for a size of a batch, where ratings are kept.
    size: Option<u64>,
}

impl From<(u64, u64, u64)> for Costs {
    fn from((compile, first_step, step): (u64, u64, u64)) -> Self {
        Self { compile, first_step, step, ..Self::default() }
    }
}

/// The interpreter, that takes as long as it says.
struct Timed {
    clock: Clock,
    costs: Costs,
    fails_at: Option<u32>,
}

struct TimedProgram {
    inner: Box<dyn Program>,
    clock: Clock,
    costs: Costs,
    fails_at: Option<u32>,
    n: u32,
    /// The sizes of batches that occurred.
    sizes: Vec<usize>,
}

fn pass(clock: &Clock, milliseconds: u64) {
    clock.fetch_add(milliseconds * 1000, atomic::Ordering::Relaxed);
}

impl Engine for Timed {
    fn device(&self) -> &str {
        "timed"
    }

    fn compile(&self, step: &Step, initial: &[(String, Vec<f32>)], batch: usize) -> Result<Box<dyn Program>> {
        pass(&self.clock, self.costs.compile);
        Ok(Box::new(TimedProgram {
            inner: Interpreter.compile(step, initial, batch)?,
            clock: Arc::clone(&self.clock),
            costs: self.costs,
            fails_at: self.fails_at,
            n: 0,
            sizes: Vec::new(),
        }))
    }

    fn evaluator(&self, _: &Graph, _: NodeId, _: &[(String, Vec<f32>)]) -> Result<Box<dyn Evaluator>> {
        Err(Error::new("not here"))
    }
}

impl Program for TimedProgram {
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32> {
        if self.fails_at == Some(self.n) {
            return Err(Error::new("out of memory"));
        }
        self.pass_a_step();
        self.inner.step(feeds)
    }

    fn resident(&mut self) -> Option<&mut dyn Resident> {
        self.costs.size.is_some().then_some(self as &mut dyn Resident)
    }

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        self.inner.state(name)
    }
}

impl TimedProgram {
    fn pass_a_step(&mut self) {
        pass(&self.clock, if self.n == 0 { self.costs.first_step } else { self.costs.step });
        self.n += 1;
    }
}

/// Takes time, and nothing else.
impl Resident for TimedProgram {
    fn keep(&mut self, _: &[Feed<'_>]) -> Result<()> {
        Ok(())
    }

    fn shuffle(&mut self, _: &Order<'_>) -> Result<()> {
        Ok(())
    }

    fn steps(&mut self, _: usize, batch: usize, scalars: &[Feed<'_>]) -> Result<Vec<f32>> {
        if !self.sizes.contains(&batch) {
            pass(&self.clock, self.costs.size.unwrap());
            self.sizes.push(batch);
        }
        let FeedValues::Floats(values) = scalars[0].values else { return Err(Error::new("numbers that are none")) };
        values.iter().for_each(|_| self.pass_a_step());
        Ok(vec![0.0; values.len()])
    }
}

/// 40 training ratings in batches of 10: 4 steps an epoch.
fn dataset() -> Arc<Dataset> {
    let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, Split::Pairs { fraction: 0.0, seed: 1 });
    for pair in 0..40 {
        builder.push_row(Some(Id::Integer(pair % 8)), Some(Id::Integer(pair / 8)), Some((pair % 5) as f64)).unwrap();
    }
    Arc::new(builder.finish().unwrap())
}

/// What a choice among two engines is, and how many steps each took.
struct Choice {
    place: Place,
    seconds: f64,
    asked_for_gpu: bool,
}

/// Milliseconds: (to compile, the first step, a step) of each, in batches of 10.
fn choose(epochs: i64, cpu: (u64, u64, u64), gpu: Option<(u64, u64, u64)>, fails_at: Option<u32>) -> Choice {
    choose_by((epochs, 10), cpu.into(), gpu.map(Costs::from), fails_at)
}

fn choose_by((epochs, batch): (i64, i64), cpu: Costs, gpu: Option<Costs>, fails_at: Option<u32>) -> Choice {
    let given = [
        ("n_factors", OptionValue::Integer(2)),
        ("epochs", OptionValue::Integer(epochs)),
        ("batch_size", OptionValue::Integer(batch)),
    ];
    let config = TrainConfig::take(&mut Options::new(given.into_iter().collect())).unwrap();
    let (clock, dataset) = (Clock::default(), dataset());
    let begin = |costs, fails_at| {
        let engine = Timed { clock: Arc::clone(&clock), costs, fails_at };
        Training::new(config.clone(), Arc::clone(&dataset), Arc::new(engine), None)
    };
    let now = || clock.load(atomic::Ordering::Relaxed) as f64 / 1e6;
    let mut asked_for_gpu = false;
    let place = faster_place(
        (epochs as u32, dataset.train.len()),
        &now,
        || begin(cpu, None),
        || {
            asked_for_gpu = true;
            let gpu = gpu?;
            pass(&clock, gpu.start);
            Some(move || begin(gpu, fails_at).ok())
        },
    );
    Choice { place: place.unwrap(), seconds: now(), asked_for_gpu }
}

#[test]
fn the_decision_from_numbers() {
    let pace = |begin, step| Pace { begin, step };
    // 4 seconds are no reason, more are.
    assert!(!is_worth_a_gpu(pace(0.0, 0.004), 1000.0) && is_worth_a_gpu(pace(0.0, 0.0041), 1000.0));
    assert!(is_worth_a_gpu(pace(3.0, 0.0011), 1000.0));
    assert!(!is_worth_a_gpu(pace(0.0, f64::NAN), 1000.0) && !is_worth_a_gpu(pace(0.0, f64::INFINITY), 1000.0));
    // The step decides where there are many, what it takes to begin where there are few.
    let (cpu, gpu) = (pace(0.1, 0.010), pace(2.0, 0.001));
    assert_eq!(
        [100.0, 211.0, 212.0, 1e6].map(|n| faster(cpu, gpu, n)),
        [Place::Cpu, Place::Cpu, Place::Gpu, Place::Gpu]
    );
    assert_eq!(faster(cpu, cpu, 1e6), Place::Cpu);
    assert_eq!(faster(cpu, pace(f64::NAN, 0.0), 1e6), Place::Cpu);
}

#[test]
fn a_short_training_never_asks_for_a_gpu() {
    // 4 x 100 steps of 9 ms. What the first step takes besides does not count.
    let found = choose(100, (10, 5_000, 9), Some((0, 0, 0)), None);
    assert_eq!((found.place, found.asked_for_gpu), (Place::Cpu, false));
    // Three steps are enough to know.
    assert!((found.seconds - (0.010 + 5.0 + 3.0 * 0.009)).abs() < 1e-9, "{}", found.seconds);
}

#[test]
fn the_faster_place_is_taken_with_what_it_takes_to_begin() {
    // 4 x 200 steps of 10 ms are 8 s.
    let found = choose(200, (10, 10, 10), Some((1_000, 3_000, 1)), None);
    assert_eq!((found.place, found.asked_for_gpu), (Place::Gpu, true));
    assert_eq!(choose(200, (10, 10, 10), Some((1_000, 3_000, 9)), None).place, Place::Cpu);
    assert_eq!(choose(200, (10, 10, 10), Some((8_000, 1, 1)), None).place, Place::Cpu);
    assert_eq!(choose(200, (10, 10, 10), Some((10, 10, 11)), None).place, Place::Cpu);
    assert_eq!(choose(200, (10, 10, 10), None, None).place, Place::Cpu);
}

#[test]
fn a_trial_ends_in_time() {
    // 30 steps of 10 ms beside those of the first epoch, which is short; of 2 s, one.
    let found = choose(200, (0, 0, 10), None, None);
    assert!((found.seconds - 0.33).abs() < 0.0101, "{}", found.seconds);
    let found = choose(200, (0, 2_000, 2_000), None, None);
    assert!((found.seconds - 4.0).abs() < 1e-9, "{}", found.seconds);
}

#[test]
fn a_gpu_that_fails_is_not_taken() {
    for fails_at in [0, 1, 4] {
        assert_eq!(choose(200, (10, 10, 10), Some((10, 10, 1)), Some(fails_at)).place, Place::Cpu);
    }
}

#[test]
fn runs_of_many_steps_are_tried_as_soon() {
    // 40 steps an epoch, of 11 ms, by runs of 1, 2, 4, 8 and 16: 28 of them are enough. A run is shorter where the machine is slow just then.
    let kept = |step| Costs { step, first_step: step, size: Some(0), ..Costs::default() };
    let found = choose_by((200, 1), kept(11), None, None);
    assert!(found.asked_for_gpu && found.seconds > 0.3 && found.seconds <= 44.0 * 0.0111, "{}", found.seconds);
    // Of 2 s three at most, as nobody knows yet how long they are.
    let found = choose_by((200, 1), kept(2_000), None, None);
    assert!(found.asked_for_gpu && found.seconds <= 6.0, "{}", found.seconds);
}

#[test]
fn a_smaller_last_batch_that_is_compiled_for_is_no_slow_step() {
    // 3 steps of 12 ratings and one of 4 an epoch.
    let gpu = Costs { step: 1, size: Some(5_000), ..Costs::default() };
    assert_eq!(choose_by((200, 12), (10, 10, 10).into(), Some(gpu), None).place, Place::Gpu);
}

#[test]
fn what_was_spent_to_find_the_gpu_is_not_held_against_it() {
    let gpu = |start, compile| Costs { start, compile, step: 1, ..Costs::default() };
    // 8 s on the processor.
    assert_eq!(choose_by((200, 10), (10, 10, 10).into(), Some(gpu(60_000, 0)), None).place, Place::Gpu);
    assert_eq!(choose_by((200, 10), (10, 10, 10).into(), Some(gpu(0, 60_000)), None).place, Place::Cpu);
}
