//! The fused operator against stock operators, and against itself on other threads.

use cofi::graph::optimiser::{Clock, Optimiser, Reach, Rule};
use cofi::graph::{Engine, Feed, Program};
use cofi::model::{
    Architecture, Biases, CLASS, ITEM, Init, Model, Objective, RATING, StepOptions, USER, WEIGHT, training_step,
};
use cofi::rng::Rng;

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

impl Case {
    fn initial(&self) -> Vec<(String, Vec<f32>)> {
        let mut initial = self.model.initial(&Rng::new(3), Init::Normal(0.3));
        initial.extend(self.optimiser.initial(&initial));
        initial.extend(self.optimiser.clocks(&self.model.tables()));
        initial
    }

    /// Takes `n_steps` steps of `batch` ratings each; returns the losses and all states.
    fn run(
        &self,
        engine: &dyn Engine,
        n_steps: usize,
        batch: usize,
    ) -> (Vec<f32>, Vec<(String, Vec<f32>)>, &'static str) {
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
        feeds.extend(scalars(&numbers));
        program.step(&feeds).unwrap()
    }
}

/// Every combination of what a fused step can be.
fn cases() -> Vec<Case> {
    let (beta2, eps) = ADAM;
    let mut cases = Vec::new();
    for objective in
        [Objective::MeanSquaredError, Objective::HalfSquaredSum, Objective::CrossEntropy { n_classes: N_CLASSES }]
    {
        for range in [None, Some((0.5, 5.5))] {
            for mu in [0.0, 0.3] {
                for biases in [Biases::Neither, Biases::Users, Biases::Both] {
                    for (rule, weight_decay, reach) in [
                        (Rule::AdamW { beta2, eps }, 0.2, Reach::EveryRow),
                        (Rule::AdamW { beta2, eps }, 0.2, Reach::BatchRows),
                        (Rule::AdamW { beta2, eps }, 0.0, Reach::BatchRows),
                        (Rule::Adam { beta2, eps }, 0.01, Reach::EveryRow),
                        (Rule::Adam { beta2, eps }, 0.0, Reach::BatchRows),
                        (Rule::Sgd, 0.01, Reach::EveryRow),
                        (Rule::Sgd, 0.0, Reach::BatchRows),
                    ] {
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
                        let optimiser = Optimiser { rule, weight_decay, reach };
                        cases.push(Case { model, optimiser, is_weighted: cases.len() % 2 == 0 });
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn fused_and_stock_operators_learn_the_same() {
    let Some(library) = library("fused_and_stock_operators_learn_the_same") else { return };
    for case in cases() {
        let (expected_losses, expected, stock) = case.run(&engine(library, 1), 50, 16);
        let (losses, states, fused) = case.run(&fusing_engine(library, 1), 50, 16);
        assert_eq!((stock, fused), ("stock", "fused"), "{case:?}");
        assert_close(&format!("{case:?} losses"), &losses, &expected_losses, 1e-4, 1e-3);
        for ((name, found), (_, expected)) in states.iter().zip(&expected) {
            assert_close(&format!("{case:?} {name}"), found, expected, 1e-4, 1e-6);
        }
    }
}

#[test]
fn a_fused_step_has_the_same_bits_on_any_number_of_threads() {
    let Some(library) = library("a_fused_step_has_the_same_bits_on_any_number_of_threads") else { return };
    for mut case in cases().into_iter().step_by(5) {
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
    for case in cases().into_iter().step_by(11) {
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
            feeds.extend(scalars(&numbers));
            assert_eq!(program.step(&feeds).unwrap_err().to_string(), message);
        }
        for (name, initial) in case.initial() {
            assert_eq!(program.state(&name).unwrap(), initial, "{name}");
        }
    }
}
