//! The fused operators against stock operators, and against themselves on other threads.

use cofi::graph::optimiser::{Clock, Optimiser, Reach, Rule, accumulators};
use cofi::graph::{Engine, Feed, Program, Step};
use cofi::model::{
    Architecture, Biases, CLASS, ITEM, Init, Mlp, Model, Objective, RATING, StepOptions, USER, WEIGHT, training_step,
};
use cofi::rng::Rng;
use cofi::runtime::Library;

use crate::onnx::{engine, fusing_engine, library};
use crate::support::{assert_close, floats, indices, scalars};

const ADAM: (f64, f64) = (0.99, 1e-5);
const N_CLASSES: usize = 5;

/// A step with what it starts from.
#[derive(Clone, Debug)]
struct Case {
    model: Model,
    optimiser: Optimiser,
    is_weighted: bool,
}

/// Losses, states by name, and which operators ran.
type Run = (Vec<f32>, Vec<(String, Vec<f32>)>, &'static str);

impl Case {
    fn initial(&self) -> Vec<(String, Vec<f32>)> {
        let mut initial = self.model.initial(&Rng::new(3), Init::Normal(0.3));
        initial.extend(self.optimiser.initial(&initial));
        initial.extend(self.optimiser.clocks(&self.model.tables()));
        initial
    }

    /// Takes `n_steps` steps of `batch` ratings each; returns the losses and all states.
    fn run(&self, engine: &dyn Engine, n_steps: usize, batch: usize) -> Run {
        let options = StepOptions { is_weighted: self.is_weighted, ..StepOptions::default() };
        let step = training_step(&self.model, &self.optimiser, options).unwrap();
        let initial = self.initial();
        let mut program = engine.compile(&step, &initial, batch).unwrap();
        let (mut rng, mut clock) = (Rng::new(9), Clock::default());
        let losses =
            (0..n_steps).map(|number| self.step(program.as_mut(), &mut rng, &mut clock, number, batch)).collect();
        let states = initial.iter().map(|(name, _)| (name.clone(), program.state(name).unwrap())).collect();
        (losses, states, program.operators())
    }

    fn step(&self, program: &mut dyn Program, rng: &mut Rng, clock: &mut Clock, number: usize, batch: usize) -> f32 {
        // Rows of low number often, some of high number never.
        let mut rows = |n: usize| -> Vec<i32> {
            (0..batch).map(|_| (rng.uniform() * rng.uniform() * (n as f64 - 1.0)) as i32).collect()
        };
        let (users, items) = (rows(self.model.n_users), rows(self.model.n_items));
        let classes: Vec<i32> = (0..batch).map(|_| rng.below(N_CLASSES as u32) as i32).collect();
        let ratings: Vec<f32> = classes.iter().map(|class| *class as f32 + 1.0).collect();
        let weights: Vec<f32> = (0..batch).map(|_| 0.5 + rng.uniform() as f32).collect();
        let masks: Vec<(String, Vec<f32>)> = match &self.model.architecture {
            Architecture::Dot => Vec::new(),
            Architecture::Mlp(mlp) => mlp.mask_inputs().into_iter().map(|(n, w)| (n, mask(rng, batch * w))).collect(),
        };
        let beta1 = 0.85 + 0.001 * (number % 50) as f64;
        let numbers = self.optimiser.advance(clock, 0.02 / (1.0 + 0.01 * number as f64), beta1);
        let mut feeds: Vec<Feed<'_>> = vec![indices(USER, &users), indices(ITEM, &items)];
        match self.model.objective {
            Objective::CrossEntropy { .. } => feeds.push(indices(CLASS, &classes)),
            _ => feeds.push(floats(RATING, &ratings)),
        }
        if self.is_weighted {
            feeds.push(floats(WEIGHT, &weights));
        }
        feeds.extend(masks.iter().map(|(name, values)| floats(name, values)));
        feeds.extend(scalars(&numbers));
        let mut n_others = 0;
        let loss = program.step_beside(&feeds, &mut || n_others += 1).unwrap();
        assert_eq!(n_others, 1);
        loss
    }
}

/// Four in five are left, and count for those that are not.
fn mask(rng: &mut Rng, length: usize) -> Vec<f32> {
    (0..length).map(|_| if rng.below(5) > 0 { 1.25 } else { 0.0 }).collect()
}

/// Every rule with what it may be told and the rows that it may move.
fn optimisers() -> [Optimiser; 7] {
    let (beta2, eps) = ADAM;
    [
        (Rule::AdamW { beta2, eps }, 0.2, Reach::EveryRow),
        (Rule::AdamW { beta2, eps }, 0.2, Reach::BatchRows),
        (Rule::AdamW { beta2, eps }, 0.0, Reach::BatchRows),
        (Rule::Adam { beta2, eps }, 0.01, Reach::EveryRow),
        (Rule::Adam { beta2, eps }, 0.0, Reach::BatchRows),
        (Rule::Sgd, 0.01, Reach::EveryRow),
        (Rule::Sgd, 0.0, Reach::BatchRows),
    ]
    .map(|(rule, weight_decay, reach)| Optimiser { rule, weight_decay, reach })
}

/// Every combination of what a fused step can be.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for objective in
        [Objective::MeanSquaredError, Objective::HalfSquaredSum, Objective::CrossEntropy { n_classes: N_CLASSES }]
    {
        for range in [None, Some((0.5, 5.5))] {
            for mu in [0.0, 0.3] {
                for biases in [Biases::Neither, Biases::Users, Biases::Both] {
                    for optimiser in optimisers() {
                        // Sizes on both sides of a block's border, weights in every second case.
                        let width = [5, 13, 14, 15, 32][cases.len() % 5];
                        let model = Model {
                            n_users: 60,
                            n_items: 41,
                            user_width: width,
                            item_width: width,
                            architecture: Architecture::Dot,
                            biases,
                            mu,
                            range,
                            objective,
                        };
                        cases.push(Case { model, optimiser, is_weighted: cases.len() % 2 == 0 });
                    }
                }
            }
        }
    }
    cases
}

/// Every combination of what a step with hidden layers can be, as far as its tables are concerned.
fn layered_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for objective in
        [Objective::MeanSquaredError, Objective::HalfSquaredSum, Objective::CrossEntropy { n_classes: N_CLASSES }]
    {
        for biases in [Biases::Neither, Biases::Users, Biases::Both] {
            for optimiser in optimisers() {
                let number = cases.len();
                // Sizes on both sides of a block's border.
                let (user_width, item_width) = [(5, 15), (14, 13), (16, 3), (32, 14), (7, 7)][number % 5];
                let hidden = if number % 2 == 0 { vec![9] } else { vec![11, 6] };
                let dropout = if number % 3 == 0 { 0.0 } else { 0.2 };
                let model = Model {
                    n_users: 60,
                    n_items: 41,
                    user_width,
                    item_width,
                    architecture: Architecture::Mlp(Mlp { hidden, dropout }),
                    biases,
                    mu: [0.0, 0.3][number / 2 % 2],
                    range: [None, Some((0.5, 5.5))][number / 3 % 2],
                    objective,
                };
                cases.push(Case { model, optimiser, is_weighted: number / 5 % 2 == 0 });
            }
        }
    }
    cases
}

#[test]
fn fused_and_stock_operators_learn_the_same() {
    let Some(library) = library("fused_and_stock_operators_learn_the_same") else { return };
    for case in cases() {
        assert_same(&case, library, "fused");
    }
}

#[test]
fn fused_tables_and_stock_operators_learn_the_same() {
    let Some(library) = library("fused_tables_and_stock_operators_learn_the_same") else { return };
    for case in layered_cases() {
        assert_same(&case, library, "fused tables");
    }
}

/// Rows of few ratings wait for the end of a count of steps.
#[test]
fn fused_tables_that_move_every_row_go_on_after_a_few_hundred_steps() {
    let Some(library) = library("fused_tables_that_move_every_row_go_on_after_a_few_hundred_steps") else { return };
    for case in layered_cases().into_iter().filter(|case| case.optimiser.reach == Reach::EveryRow).step_by(5) {
        assert_same_after(&case, library, "fused tables", 300, 3);
    }
}

#[test]
fn what_does_more_with_its_tables_runs_on_stock_operators() {
    let Some(library) = library("what_does_more_with_its_tables_runs_on_stock_operators") else { return };
    for case in layered_cases().into_iter().filter(|case| case.optimiser.reach == Reach::EveryRow).step_by(4) {
        let compile = |options: StepOptions| {
            let step = training_step(&case.model, &case.optimiser, options).unwrap();
            let mut initial = case.initial();
            if options.accumulates {
                initial.extend(accumulators(&case.model.initial(&Rng::new(3), Init::Normal(0.3))));
            }
            fusing_engine(library, 1).compile(&step, &initial, 1).unwrap().operators()
        };
        assert_eq!(compile(StepOptions::default()), "fused tables");
        assert_eq!(compile(StepOptions { l2: 0.1, ..StepOptions::default() }), "stock");
        assert_eq!(compile(StepOptions { accumulates: true, ..StepOptions::default() }), "stock");
        // A table that the loss reads beside its look-ups, and one whose moment is changed on the way.
        let step = training_step(&case.model, &case.optimiser, StepOptions::default()).unwrap();
        let compile = |step: &Step| fusing_engine(library, 1).compile(step, &case.initial(), 1).unwrap().operators();
        let mut read = step.clone();
        let next = read.updates.iter().find(|(state, _)| read.graph.label(*state) == "item_factors").unwrap().1;
        let sum = read.graph.sum_all(next).unwrap();
        read.loss = read.graph.add(read.loss, sum).unwrap();
        assert_eq!(compile(&read), "stock");
        let mut moved = step;
        let moment = moved.updates.iter_mut().find(|(state, _)| moved.graph.label(*state) == "user_factors.m").unwrap();
        moment.1 = moved.graph.snapshot(moment.1).unwrap();
        assert_eq!(compile(&moved), "stock");
    }
}

/// Compares all states after 50 steps.
fn assert_same(case: &Case, library: &'static Library, operators: &str) {
    assert_same_after(case, library, operators, 50, 16);
}

fn assert_same_after(case: &Case, library: &'static Library, operators: &str, n_steps: usize, batch: usize) {
    let (expected_losses, expected, stock) = case.run(&engine(library, 1), n_steps, batch);
    let (losses, states, fused) = case.run(&fusing_engine(library, 1), n_steps, batch);
    assert_eq!((stock, fused), ("stock", operators), "{case:?}");
    assert_close(&format!("{case:?} losses"), &losses, &expected_losses, 1e-4, 1e-3);
    for ((name, found), (_, expected)) in states.iter().zip(&expected) {
        assert_close(&format!("{case:?} {name}"), found, expected, 1e-4, 1e-6);
    }
}

#[test]
fn a_fused_step_has_the_same_bits_on_any_number_of_threads() {
    let Some(library) = library("a_fused_step_has_the_same_bits_on_any_number_of_threads") else { return };
    for mut case in cases().into_iter().step_by(5).chain(layered_cases().into_iter().step_by(4)) {
        (case.model.n_users, case.model.n_items) = (3_000, 700);
        let bits = |threads| {
            let (losses, states, _) = case.run(&fusing_engine(library, threads), 12, 4_096);
            let values = states.into_iter().flat_map(|(_, values)| values);
            losses.into_iter().chain(values).map(f32::to_bits).collect::<Vec<_>>()
        };
        let one = bits(1);
        for threads in [2, 3, 4] {
            assert!(bits(threads) == one, "{case:?}: {threads} threads");
        }
    }
}

#[test]
fn rows_that_are_not_there_are_refused_before_anything_changes() {
    let Some(library) = library("rows_that_are_not_there_are_refused_before_anything_changes") else { return };
    for case in cases().into_iter().step_by(11).chain(layered_cases().into_iter().step_by(5)) {
        let options = StepOptions::default();
        let case = Case { is_weighted: false, ..case };
        let step = training_step(&case.model, &case.optimiser, options).unwrap();
        let mut program = fusing_engine(library, 1).compile(&step, &case.initial(), 1).unwrap();
        for (user, item, message) in [
            (60, 0, "feed user: row 60 is not below 60"),
            (-1, 0, "feed user: row -1 is not below 60"),
            (0, 41, "feed item: row 41 is not below 41"),
            (0, i32::MIN, "feed item: row -2147483648 is not below 41"),
        ] {
            let numbers = case.optimiser.advance(&mut Clock::default(), 0.1, 0.9);
            let (users, items) = ([1, user], [1, item]);
            let mut feeds = vec![indices(USER, &users), indices(ITEM, &items)];
            match case.model.objective {
                Objective::CrossEntropy { .. } => feeds.push(indices(CLASS, &[0, 1])),
                _ => feeds.push(floats(RATING, &[1.0, 2.0])),
            }
            let ones = [1.0; 2 * 11];
            if let Architecture::Mlp(mlp) = &case.model.architecture {
                for (name, width) in mlp.mask_inputs() {
                    feeds.push(floats(if name == "dropout1" { "dropout1" } else { "dropout2" }, &ones[..2 * width]));
                }
            }
            feeds.extend(scalars(&numbers));
            assert_eq!(program.step(&feeds).unwrap_err().to_string(), message);
        }
        for (name, initial) in case.initial() {
            assert_eq!(program.state(&name).unwrap(), initial, "{name}");
        }
    }
}
