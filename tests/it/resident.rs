//! Steps over ratings that are kept, many a run, against the same steps one by one: both are ONNX Runtime's stock operators on the CPU,
//! and agree to the bit.

use std::sync::Arc;

use cofi::graph::optimiser::{Clock, Optimiser, Reach, Rule};
use cofi::graph::{Engine, Feed, Interpreter, Order, Program};
use cofi::ids::IdKind;
use cofi::model::{
    Architecture, Biases, CLASS, ITEM, Init, Mlp, Model, Objective, RATING, StepOptions, USER, WEIGHT, training_step,
};
use cofi::ratings::{Columns, Dataset, DatasetBuilder, Ids, Split};
use cofi::rng::Rng;
use cofi::runtime::{Device, Library, try_engine};
use cofi::train::{OptionValue, Options, TrainConfig, Training, preset};

use crate::onnx::{engine, library};
use crate::support::{floats, indices};

const N_USERS: usize = 30;
const N_ITEMS: usize = 40;
const N_CLASSES: usize = 5;

/// A model, its optimiser and what its step has besides.
struct Case {
    name: String,
    model: Model,
    optimiser: Optimiser,
    options: StepOptions,
}

/// Ratings of random pairs.
struct Pairs {
    users: Vec<i32>,
    items: Vec<i32>,
    ratings: Vec<f32>,
    classes: Vec<i32>,
    weights: Vec<f32>,
}

#[test]
fn many_steps_a_run_compute_what_single_steps_do() {
    let Some(library) = library("many_steps_a_run_compute_what_single_steps_do") else { return };
    for case in cases() {
        // Sizes that divide the ratings and that do not, one that is all of them, single ratings.
        for (n_ratings, batch) in [(96, 32), (100, 32), (7, 7), (3, 1), (150, 64)] {
            agree(library, &case, n_ratings, batch, |order| Order::Rows(order));
        }
    }
}

#[test]
fn steps_over_runs_take_each_rating_where_the_order_says() {
    let Some(library) = library("steps_over_runs_take_each_rating_where_the_order_says") else { return };
    let case = &cases()[0];
    for (n_runs, length, rest) in [(1, 64, 0), (5, 64, 0), (5, 64, 63), (9, 4, 1), (3, 1, 0)] {
        let n_ratings = n_runs * length + rest;
        let mut rng = Rng::new(n_ratings as u64);
        let mut starts: Vec<u32> = (0..n_runs as u32).collect();
        rng.shuffle(&mut starts);
        let starts: Vec<i32> = starts.iter().map(|run| (*run as usize * length) as i32).collect();
        let offsets: Vec<i32> = starts.iter().map(|_| rng.below(length as u32) as i32).collect();
        // By another way than the code under test goes: each run turned, then all of them read across.
        let turned = |run: usize| {
            let mut ratings: Vec<i32> = (0..length as i32).map(|place| starts[run] + place).collect();
            ratings.rotate_left(offsets[run] as usize);
            ratings
        };
        let turned: Vec<Vec<i32>> = (0..n_runs).map(turned).collect();
        let mut expected: Vec<i32> = (0..length).flat_map(|round| turned.iter().map(move |run| run[round])).collect();
        expected.extend((n_runs * length) as i32..n_ratings as i32);
        let order = Order::Runs { starts: &starts, offsets: &offsets, length, n_ratings };
        compare(library, case, n_ratings, 16, &expected, &order);
    }
}

#[test]
fn steps_are_refused_where_their_ratings_are_not_there() {
    let Some(library) = library("steps_are_refused_where_their_ratings_are_not_there") else { return };
    let case = &cases()[0];
    let columns = columns(10);
    let mut program = compiled(&engine(library, 1).keeping(), case, 4);
    let lists = scalars(case, 2, &mut (Clock::default(), 0));
    let lists = feeds_of(&lists);
    let resident = program.resident().unwrap();
    let message = |error: cofi::error::Error| error.to_string();
    let nothing = "graph: steps over ratings that are neither kept nor in an order";
    assert_eq!(message(resident.steps(0, 4, &lists).unwrap_err()), nothing);
    assert_eq!(message(resident.shuffle(&Order::Rows(&[0])).unwrap_err()), nothing);
    resident.keep(&columns.feeds(case)).unwrap();
    assert_eq!(message(resident.steps(0, 4, &lists).unwrap_err()), nothing);
    assert!(message(resident.shuffle(&Order::Rows(&[0])).unwrap_err()).starts_with("graph: an order of 1 ratings"));
    resident.shuffle(&Order::Rows(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])).unwrap();
    assert_eq!(resident.steps(2, 4, &lists).unwrap().len(), 2);
    let too_many = message(resident.steps(3, 4, &lists).unwrap_err());
    assert_eq!(too_many, "graph: 2 steps of 4 ratings from place 3 on, of 10 ratings");
    assert!(resident.steps(0, 0, &lists).is_err() && resident.steps(0, usize::MAX, &lists).is_err());
    assert!(message(resident.steps(0, 4, &lists[1..]).unwrap_err()).starts_with("feed "));
    assert!(message(resident.keep(&columns.feeds(case)[1..]).unwrap_err()).starts_with("feed "));
}

#[test]
fn ratings_are_kept_where_that_was_asked_for_and_their_inputs_allow_it() {
    let Some(library) = library("ratings_are_kept_where_that_was_asked_for_and_their_inputs_allow_it") else { return };
    let keeping = engine(library, 1).keeping();
    let [case, .., with_dropout] = &mut cases()[..] else { return };
    assert!(compiled(&keeping, case, 4).resident().is_some());
    assert!(compiled(&engine(library, 1), case, 4).resident().is_none());
    assert!(compiled(&Interpreter, case, 4).resident().is_none());
    let mlp = Mlp { hidden: vec![4], dropout: 0.5 };
    with_dropout.model.architecture = Architecture::Mlp(mlp);
    assert!(compiled(&keeping, with_dropout, 4).resident().is_none());
    // All is where it should be on the CPU.
    assert_eq!(keeping.place(), Device::Cpu);
    let step = training_step(&case.model, &case.optimiser, case.options).unwrap();
    keeping.check_placement(&step, 4).unwrap();
}

#[test]
fn what_is_tried_on_a_gpu_holds_on_the_cpu() {
    let Some(library) = library("what_is_tried_on_a_gpu_holds_on_the_cpu") else { return };
    for engine in [engine(library, 1), engine(library, 1).keeping()] {
        try_engine(&engine).unwrap();
    }
}

#[test]
fn a_training_over_kept_ratings_is_the_same_training() {
    let Some(library) = library("a_training_over_kept_ratings_is_the_same_training") else { return };
    let text = |word: &str| OptionValue::Text(word.to_owned());
    let (plain, weighted) = (dataset(3_000, false), dataset(3_000, true));
    assert!(plain.train.weights().is_none() && weighted.train.weights().is_some());
    for given in [
        vec![],
        vec![("updates", text("sparse")), ("batch_size", OptionValue::Integer(100))],
        vec![("loss", text("cross_entropy")), ("batch_size", text("full"))],
        vec![("loss", text("half_sse")), ("optimizer", text("sgd")), ("batch_size", OptionValue::Integer(1))],
        vec![("architecture", text("mlp")), ("dropout", OptionValue::Real(0.0)), ("bias", OptionValue::Boolean(false))],
        // These two are fed.
        vec![("architecture", text("mlp")), ("dropout", OptionValue::Real(0.1)), ("bias", OptionValue::Boolean(false))],
        vec![("accumulate", OptionValue::Integer(3))],
    ] {
        let of = |dataset: &Arc<Dataset>| {
            let [fed, kept] = [engine(library, 1), engine(library, 1).keeping()]
                .map(|engine| train(Arc::new(engine), &given, dataset));
            // Losses, too, are summed up one by one, however many steps a run takes.
            assert!(kept == fed, "{given:?}: {:?}, not {:?}", kept.0, fed.0);
            kept
        };
        assert!(of(&plain) != of(&weighted), "{given:?}");
    }
}

/// More than fit a cache: the order is one of runs, the batches are others, and the losses as good as the same.
#[test]
fn many_kept_ratings_teach_as_much_as_when_they_are_fed() {
    let Some(library) = library("many_kept_ratings_teach_as_much_as_when_they_are_fed") else { return };
    let dataset = dataset((1 << 20) + 20_000, false);
    assert!(dataset.train.len() > 1 << 20);
    let given = [("epochs", OptionValue::Integer(3)), ("learning_rate", OptionValue::Real(0.02))];
    let [(fed_losses, fed), (kept_losses, kept)] =
        [engine(library, 2), engine(library, 2).keeping()].map(|engine| train(Arc::new(engine), &given, &dataset));
    assert!(fed != kept && fed_losses.len() == 3);
    for (kept, fed) in kept_losses.iter().zip(&fed_losses) {
        assert!((kept / fed - 1.0).abs() < 0.01, "{kept_losses:?}, not {fed_losses:?}");
    }
    // The noise is 0.25, and the variance of the ratings 2.5.
    assert!(kept_losses[2] < 0.3, "{kept_losses:?}");
}

/// The loss of each epoch, and the bits of what was learned.
fn train(
    engine: Arc<dyn Engine>,
    given: &[(&'static str, OptionValue)],
    dataset: &Arc<Dataset>,
) -> (Vec<f64>, Vec<u32>) {
    let common = [("n_factors", OptionValue::Integer(4)), ("epochs", OptionValue::Integer(2))];
    let all = common.into_iter().chain(given.iter().cloned());
    let mut options = Options::new(all.collect());
    options.fall_back_on_preset(preset("fastai").unwrap());
    let config = TrainConfig::take(&mut options).unwrap();
    let mut training = Training::new(config, Arc::clone(dataset), engine, None).unwrap();
    let mut losses = Vec::new();
    while !training.is_done() {
        losses.push(training.epoch().unwrap().train_loss);
    }
    let embeddings = training.embeddings().unwrap();
    let parts = embeddings.parts();
    (losses, bits(&[parts.users.factors.as_slice(), &parts.items.factors].concat()))
}

/// Ratings that even and odd users and items agree about, and some noise.
fn dataset(n_ratings: usize, is_weighted: bool) -> Arc<Dataset> {
    let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, Split::Pairs { fraction: 0.01, seed: 5 });
    let mut rng = Rng::new(4);
    let (mut users, mut items, mut ratings) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n_ratings {
        let (user, item) = (i64::from(rng.below(500)), i64::from(rng.below(300)));
        users.push(user);
        items.push(item);
        ratings.push(if user % 2 == item % 2 { 4.0 } else { 1.0 } + f64::from(rng.below(2)));
    }
    let weights: Vec<f64> = (0..n_ratings).map(|row| 0.5 + (row % 3) as f64).collect();
    let (users, items) = (Ids::Integers(&users), Ids::Integers(&items));
    let weights = is_weighted.then_some(weights.as_slice());
    let rows = Columns { users, items, ratings: &ratings, weights, held_out: None };
    builder.read(|_| Ok(()), |intake| intake.take(0, &rows, 0)).unwrap();
    Arc::new(builder.finish().unwrap())
}

/// Compares an epoch in a random order.
fn agree(library: &'static Library, case: &Case, n_ratings: usize, batch: usize, order: fn(&[i32]) -> Order<'_>) {
    let mut rows: Vec<u32> = (0..n_ratings as u32).collect();
    Rng::new(8).shuffle(&mut rows);
    let rows: Vec<i32> = rows.into_iter().map(|row| row as i32).collect();
    compare(library, case, n_ratings, batch, &rows, &order(&rows));
}

/// Three epochs of single steps over ratings in the order of `rows`, and of runs of some steps over ratings that are kept.
fn compare(library: &'static Library, case: &Case, n_ratings: usize, batch: usize, rows: &[i32], order: &Order<'_>) {
    let name = format!("{}, {n_ratings} ratings by {batch}", case.name);
    let columns = columns(n_ratings);
    let (mut single, mut many) =
        (compiled(&engine(library, 1), case, batch), compiled(&engine(library, 2).keeping(), case, batch));
    many.resident().unwrap().keep(&columns.feeds(case)).unwrap();
    let (mut clock, mut other_clock) = ((Clock::default(), 0), (Clock::default(), 0));
    for epoch in 0..3 {
        let mut expected = Vec::new();
        for part in rows.chunks(batch) {
            let part = columns.part(part);
            let numbers = scalars(case, 1, &mut clock);
            let feeds: Vec<Feed<'_>> = part.feeds(case).into_iter().chain(feeds_of(&numbers)).collect();
            expected.push(single.step(&feeds).unwrap());
        }
        let resident = many.resident().unwrap();
        resident.shuffle(order).unwrap();
        let mut found = Vec::new();
        let n_whole = n_ratings / batch;
        let mut done = 0;
        // Runs of one, two and more steps.
        for n_steps in [1 + epoch, 2, n_whole].map(|n| n.min(n_whole)) {
            let n_steps = n_steps.min(n_whole - done);
            if n_steps > 0 {
                let numbers = scalars(case, n_steps, &mut other_clock);
                found.extend(resident.steps(done * batch, batch, &feeds_of(&numbers)).unwrap());
                done += n_steps;
            }
        }
        if !n_ratings.is_multiple_of(batch) {
            let numbers = scalars(case, 1, &mut other_clock);
            found.extend(resident.steps(done * batch, n_ratings % batch, &feeds_of(&numbers)).unwrap());
        }
        assert_eq!(bits(&found), bits(&expected), "{name}: losses of epoch {epoch}");
        for (state, _) in initial(case) {
            let (found, expected) = (many.state(&state).unwrap(), single.state(&state).unwrap());
            assert!(bits(&found) == bits(&expected), "{name}: {state} after epoch {epoch}");
        }
        // Single steps go on where runs ended.
        let part = columns.part(&rows[..1]);
        let numbers = scalars(case, 1, &mut clock);
        let _ = scalars(case, 1, &mut other_clock);
        let feeds: Vec<Feed<'_>> = part.feeds(case).into_iter().chain(feeds_of(&numbers)).collect();
        assert_eq!(
            many.step(&feeds).unwrap().to_bits(),
            single.step(&feeds).unwrap().to_bits(),
            "{name}: a single step"
        );
    }
}

/// All kinds of models, rules and reaches; the last has layers.
fn cases() -> Vec<Case> {
    let dot = Model {
        n_users: N_USERS,
        n_items: N_ITEMS,
        user_width: 7,
        item_width: 7,
        architecture: Architecture::Dot,
        biases: Biases::Both,
        mu: 0.3,
        range: Some((0.5, 5.5)),
        objective: Objective::MeanSquaredError,
    };
    let bare = Model { biases: Biases::Neither, mu: 0.0, range: None, ..dot.clone() };
    let summed = Model { biases: Biases::Users, range: None, objective: Objective::HalfSquaredSum, ..dot.clone() };
    let classes = Model { objective: Objective::CrossEntropy { n_classes: N_CLASSES }, ..dot.clone() };
    let layers = Architecture::Mlp(Mlp { hidden: vec![16, 8], dropout: 0.0 });
    let mlp = Model { architecture: layers, item_width: 5, ..dot.clone() };
    let adamw = Rule::AdamW { beta2: 0.99, eps: 1e-5 };
    let adam = Rule::Adam { beta2: 0.99, eps: 1e-5 };
    let optimiser = |rule, weight_decay, reach| Optimiser { rule, weight_decay, reach };
    let plain = StepOptions::default();
    let weighted = StepOptions { is_weighted: true, ..plain };
    let penalised = StepOptions { l2: 0.01, ..plain };
    let (every, batch) = (Reach::EveryRow, Reach::BatchRows);
    let case = |name: &str, model: &Model, optimiser, options| Case {
        name: name.to_owned(),
        model: model.clone(),
        optimiser,
        options,
    };
    vec![
        case("dot, adamw", &dot, optimiser(adamw, 0.1, every), plain),
        case("dot, adamw, rows of the batch", &dot, optimiser(adamw, 0.1, batch), weighted),
        case("dot, adam", &dot, optimiser(adam, 0.01, every), weighted),
        case("bare, sgd", &bare, optimiser(Rule::Sgd, 0.01, every), penalised),
        case("bare, sgd, rows of the batch", &bare, optimiser(Rule::Sgd, 0.0, batch), plain),
        case("half of the sum, adam, rows of the batch", &summed, optimiser(adam, 0.0, batch), weighted),
        case("classes, adamw", &classes, optimiser(adamw, 0.1, every), weighted),
        case("classes, adamw, rows of the batch", &classes, optimiser(adamw, 0.1, batch), plain),
        case("layers, adamw, rows of the batch", &mlp, optimiser(adamw, 0.1, batch), plain),
        case("layers, adamw", &mlp, optimiser(adamw, 0.1, every), weighted),
    ]
}

fn columns(n_ratings: usize) -> Pairs {
    let mut rng = Rng::new(6);
    let mut draw = |n: usize| (0..n_ratings).map(|_| rng.below(n as u32) as i32).collect::<Vec<_>>();
    let (mut users, items, classes, weights) = (draw(N_USERS), draw(N_ITEMS), draw(N_CLASSES), draw(4));
    // Half of the ratings are of one user: its row comes up many times in every batch.
    users.iter_mut().step_by(2).for_each(|user| *user = 1);
    let ratings = classes.iter().map(|class| *class as f32 + 1.0).collect();
    let weights = weights.into_iter().map(|weight| weight as f32 * 0.7).collect();
    Pairs { users, items, ratings, classes, weights }
}

impl Pairs {
    fn part(&self, rows: &[i32]) -> Pairs {
        fn of<T: Copy>(values: &[T], rows: &[i32]) -> Vec<T> {
            rows.iter().map(|row| values[*row as usize]).collect()
        }
        Pairs {
            users: of(&self.users, rows),
            items: of(&self.items, rows),
            ratings: of(&self.ratings, rows),
            classes: of(&self.classes, rows),
            weights: of(&self.weights, rows),
        }
    }

    fn feeds(&self, case: &Case) -> Vec<Feed<'_>> {
        let mut feeds = vec![indices(USER, &self.users), indices(ITEM, &self.items)];
        feeds.push(match case.model.objective {
            Objective::CrossEntropy { .. } => indices(CLASS, &self.classes),
            _ => floats(RATING, &self.ratings),
        });
        if case.options.is_weighted {
            feeds.push(floats(WEIGHT, &self.weights));
        }
        feeds
    }
}

/// The scalars of the next steps, by name.
fn scalars(case: &Case, n_steps: usize, (clock, taken): &mut (Clock, u32)) -> Vec<(&'static str, Vec<f32>)> {
    let mut lists: Vec<(&str, Vec<f32>)> = Vec::new();
    for step in 0..n_steps {
        let share = f64::from(*taken % 7);
        *taken += 1;
        let numbers = case.optimiser.advance(clock, 5e-3 + 1e-4 * share, 0.9 - 0.01 * share);
        for (place, (name, value)) in numbers.into_iter().enumerate() {
            if step == 0 {
                lists.push((name, Vec::new()));
            }
            lists[place].1.push(value);
        }
    }
    lists
}

fn feeds_of<'a>(lists: &'a [(&'static str, Vec<f32>)]) -> Vec<Feed<'a>> {
    lists.iter().map(|(name, values)| floats(name, values)).collect()
}

fn initial(case: &Case) -> Vec<(String, Vec<f32>)> {
    let mut initial = case.model.initial(&Rng::new(5), Init::TruncatedNormal(0.1));
    initial.extend(case.optimiser.initial(&initial));
    initial.extend(case.optimiser.clocks(&case.model.tables()));
    initial
}

fn compiled(engine: &dyn Engine, case: &Case, batch: usize) -> Box<dyn Program> {
    let step = training_step(&case.model, &case.optimiser, case.options).unwrap();
    engine.compile(&step, &initial(case), batch).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
