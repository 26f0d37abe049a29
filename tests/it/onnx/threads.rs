//! The number of threads changes no bit: layers, class probabilities, sums over whole batches, gradients of repeated rows.

use cofi::graph::loss::{cross_entropies, half_square_penalty};
use cofi::graph::optimiser::{Optimiser, Reach, Rule};
use cofi::graph::{Dim, Element, Engine, Feed, Graph, Shape, Step, gradients};
use cofi::rng::Rng;

use super::{bits, engine, library};
use crate::support::{draws, floats, indices, scalars};

/// Two layers over gathered rows, and the classes of the result.
struct Layers {
    rows: usize,
    columns: usize,
    hidden: usize,
    classes: usize,
    batch: usize,
}

/// Tables of a million elements, so that every case is worth four threads whatever its batch.
const CASES: [Layers; 6] = [
    // The sizes of a small training; more columns than rows; one hidden unit, and many; a small batch; the smallest.
    Layers { rows: 12_000, columns: 175, hidden: 100, classes: 5, batch: 12_000 },
    Layers { rows: 20_000, columns: 100, hidden: 175, classes: 10, batch: 700 },
    Layers { rows: 12_000, columns: 200, hidden: 1, classes: 2, batch: 3_000 },
    Layers { rows: 8_000, columns: 300, hidden: 513, classes: 100, batch: 250 },
    Layers { rows: 12_000, columns: 175, hidden: 300, classes: 5, batch: 64 },
    Layers { rows: 500_000, columns: 4, hidden: 3, classes: 2, batch: 300_000 },
];

#[test]
fn layers_and_classes_give_the_same_bits() {
    let Some(library) = library("layers_and_classes_give_the_same_bits") else { return };
    for layers in CASES {
        let expected = layers.train(&engine(library, 1));
        for threads in [2, 3, 4] {
            for (name, found) in layers.train(&engine(library, threads)) {
                let same = bits(&found) == bits(&expected.iter().find(|(other, _)| *other == name).unwrap().1);
                let Layers { columns, hidden, batch, .. } = layers;
                assert!(same, "{name} differs with {threads} threads (B = {batch}, {columns} to {hidden})");
            }
        }
    }
}

/// Sums over every form of a product, of lengths known and not: shares of threads have another shape than the whole.
#[test]
fn products_give_the_same_bits() {
    let Some(library) = library("products_give_the_same_bits") else { return };
    let known = [(2, 1000, 100), (16, 300, 175), (64, 5000, 1), (700, 100, 1), (175, 129, 513), (1, 1000, 513)];
    let batch =
        [(2, 20_000, 2), (2, 20_000, 5), (100, 2_000, 175), (175, 2_000, 100), (1, 20_000, 64), (64, 20_000, 1)];
    for (sizes, inner) in
        known.map(|sizes| (sizes, Dim::Fixed(sizes.1))).into_iter().chain(batch.map(|s| (s, Dim::Batch)))
    {
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            if inner == Dim::Batch && (!transpose_a || transpose_b) {
                continue;
            }
            let result = |threads| product(&engine(library, threads), sizes, inner, (transpose_a, transpose_b));
            let expected = result(1);
            for threads in [2, 3, 4] {
                assert!(result(threads) == expected, "{sizes:?} {transpose_a} {transpose_b}, {threads} threads");
            }
        }
    }
}

/// The bits of a random product `[M, K] [K, N]`, with as many threads as the engine may take.
fn product(engine: &dyn Engine, (m, k, n): (usize, usize, usize), inner: Dim, transposed: (bool, bool)) -> Vec<u32> {
    let mut graph = Graph::new();
    let mut operand = |name: &str, (rows, columns), transposed| {
        let (first, second) = if transposed { (columns, rows) } else { (rows, columns) };
        let Dim::Fixed(second) = second else { panic!("{name}: only rows may be B") };
        graph.input(name, Shape::matrix(first, second), Element::Float).unwrap()
    };
    let a = operand("a", (Dim::Fixed(m), inner), transposed.0);
    let b = operand("b", (inner, Dim::Fixed(n)), transposed.1);
    let y = graph.matmul(a, b, transposed.0, transposed.1).unwrap();
    let state = graph.state("y", graph.shape(y).clone()).unwrap();
    // Nothing reads it; its size alone makes all threads worth while.
    if inner != Dim::Batch {
        graph.input("large", Shape::vector(Dim::Batch), Element::Float).unwrap();
    }
    let loss = graph.constant(0.0);
    let step = Step { graph, loss, updates: vec![(state, y)] };
    let mut program = engine.compile(&step, &[("y".to_owned(), vec![0.0; m * n])], 10_000_000).unwrap();
    let mut rng = Rng::new(1);
    let (a, b) = (draws(&mut rng, m * k), draws(&mut rng, k * n));
    let mut feeds = vec![floats("a", &a), floats("b", &b)];
    if inner != Dim::Batch {
        feeds.push(floats("large", &[0.0]));
    }
    program.step(&feeds).unwrap();
    bits(&program.state("y").unwrap())
}

impl Layers {
    /// The losses and the states after three steps, the last of another batch size.
    fn train(&self, engine: &dyn Engine) -> Vec<(String, Vec<f32>)> {
        let optimiser = Optimiser { rule: Rule::Sgd, weight_decay: 0.1, reach: Reach::EveryRow };
        let (step, parameters) = self.step(&optimiser);
        let mut rng = Rng::new(1);
        let mut states: Vec<(String, Vec<f32>)> =
            parameters.iter().map(|(name, length)| (name.clone(), draws(&mut rng, *length))).collect();
        states.extend(optimiser.initial(&states));
        let mut program = engine.compile(&step, &states, self.batch).unwrap();
        let losses = [self.batch, self.batch, self.batch / 2 + 1].map(|batch| {
            let rows: Vec<i32> = (0..batch).map(|_| rng.below(self.rows as u32 / 2) as i32).collect();
            let classes: Vec<i32> = (0..batch).map(|_| rng.below(self.classes as u32) as i32).collect();
            let values = optimiser.scalars(1, 1e-3, 0.9);
            let feeds: Vec<Feed<'_>> =
                scalars(&values).chain([indices("rows", &rows), indices("class", &classes)]).collect();
            program.step(&feeds).unwrap()
        });
        let mut found = vec![("the loss".to_owned(), losses.to_vec())];
        found.extend(states.into_iter().map(|(name, _)| (name.clone(), program.state(&name).unwrap())));
        found
    }

    fn step(&self, optimiser: &Optimiser) -> (Step, Vec<(String, usize)>) {
        let mut graph = Graph::new();
        let g = &mut graph;
        let rows = g.input("rows", Shape::vector(Dim::Batch), Element::Index).unwrap();
        let class = g.input("class", Shape::vector(Dim::Batch), Element::Index).unwrap();
        let table = g.state("table", Shape::matrix(Dim::Fixed(self.rows), self.columns)).unwrap();
        let first = g.state("first", Shape::matrix(Dim::Fixed(self.columns), self.hidden)).unwrap();
        let bias = g.state("bias", Shape::vector(Dim::Fixed(self.hidden))).unwrap();
        let second = g.state("second", Shape::matrix(Dim::Fixed(self.classes), self.hidden)).unwrap();

        let [first_read, second_read] = [first, second].map(|weights| g.snapshot(weights).unwrap());
        let x = g.gather(table, rows).unwrap();
        let hidden = g.matmul(x, first_read, false, false).unwrap();
        let shifts = g.repeat_rows(bias, hidden).unwrap();
        let hidden = g.add(hidden, shifts).unwrap();
        let hidden = g.relu(hidden).unwrap();
        let logits = g.matmul(hidden, second_read, false, true).unwrap();
        let entropies = cross_entropies(g, logits, class).unwrap();
        let error = g.mean(entropies).unwrap();
        let squares = g.mul(x, x).unwrap();
        let size = g.mean(squares).unwrap();
        let penalty = half_square_penalty(g, &[table, first], 1e-4).unwrap();
        let loss = g.add(error, size).unwrap();
        let loss = g.add(loss, penalty).unwrap();

        let learned = [table, first, bias, second];
        let slopes = gradients(g, loss, &learned).unwrap();
        let pairs: Vec<_> = learned.into_iter().zip(slopes).collect();
        let updates = optimiser.attach(g, &pairs[..1], &pairs[1..]).unwrap();
        let sizes = learned.map(|state| (g.label(state), g.shape(state).sizes(0).iter().product()));
        (Step { graph, loss, updates }, sizes.to_vec())
    }
}
