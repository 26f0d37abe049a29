//! Every operation's gradient against central differences on random shapes, and how differentiation fails.
//!
//! The differences are those of the interpreter, which computes in `f64`; the gradients are those of every engine.

use std::collections::BTreeSet;

use cofi::error::Result;
use cofi::graph::{Dim, Element, Engine, Feed, Graph, Interpreter, NodeId, Shape, Step, gradients, loss};
use cofi::rng::Rng;

use crate::support::{assert_close, draws, engines, floats, indices};

/// Half the distance of two evaluations. Of a loss of some 10 rounded to `f32`, the quotient is off by about 1e-4; the third
/// derivatives here are around 1, which adds about 1e-5.
const HALF_STEP: f32 = 5e-3;
/// Relative to the largest element of a gradient, or to 1.
const TOLERANCE: f32 = 1e-3;
const ROUNDS: u64 = 4;
/// `W`, which is large.
const WIDTH: usize = 300;

/// The sizes of one round.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    rows: usize,
    columns: usize,
}

/// Where an operand's values come from.
#[derive(Clone, Copy)]
enum Draw {
    /// Around zero.
    Any,
    /// In `[0.5, 2.5]`, for what is divided by or under a root.
    Positive,
    /// At least 0.1 from zero, where a slope jumps.
    Apart,
}

/// An operation on operands of the given shapes (`B`, `N`, `K`, `W` as letters; empty for a scalar).
struct Case {
    operands: &'static [(&'static str, Draw)],
    build: fn(&mut Graph, &[NodeId], NodeId, Sizes) -> Result<NodeId>,
}

/// The third argument is an input `[B]` of row numbers below `N`, with repetitions.
#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { operands: &[("BK", Draw::Any), ("BK", Draw::Any)], build: |g, x, _, _| g.add(x[0], x[1]) },
    Case { operands: &[("", Draw::Any), ("B", Draw::Any)], build: |g, x, _, _| g.add(x[0], x[1]) },
    Case { operands: &[("BK", Draw::Any), ("", Draw::Any)], build: |g, x, _, _| g.add(x[0], x[1]) },
    Case { operands: &[("NK", Draw::Any), ("NK", Draw::Any)], build: |g, x, _, _| g.sub(x[0], x[1]) },
    Case { operands: &[("", Draw::Any), ("BK", Draw::Any)], build: |g, x, _, _| g.sub(x[0], x[1]) },
    Case { operands: &[("N", Draw::Any), ("", Draw::Any)], build: |g, x, _, _| g.sub(x[0], x[1]) },
    Case { operands: &[("BK", Draw::Any), ("BK", Draw::Any)], build: |g, x, _, _| g.mul(x[0], x[1]) },
    Case { operands: &[("", Draw::Any), ("NK", Draw::Any)], build: |g, x, _, _| g.mul(x[0], x[1]) },
    Case { operands: &[("B", Draw::Any), ("", Draw::Any)], build: |g, x, _, _| g.mul(x[0], x[1]) },
    Case { operands: &[("B", Draw::Any)], build: |g, x, _, _| g.mul(x[0], x[0]) },
    Case { operands: &[("BK", Draw::Any), ("BK", Draw::Positive)], build: |g, x, _, _| g.div(x[0], x[1]) },
    Case { operands: &[("", Draw::Any), ("B", Draw::Positive)], build: |g, x, _, _| g.div(x[0], x[1]) },
    Case { operands: &[("NK", Draw::Any), ("", Draw::Positive)], build: |g, x, _, _| g.div(x[0], x[1]) },
    Case { operands: &[("", Draw::Any), ("", Draw::Positive)], build: |g, x, _, _| g.div(x[0], x[1]) },
    Case { operands: &[("BK", Draw::Positive)], build: |g, x, _, _| g.sqrt(x[0]) },
    Case { operands: &[("BK", Draw::Any)], build: |g, x, _, _| g.sigmoid(x[0]) },
    Case { operands: &[("NK", Draw::Any)], build: |g, x, rows, _| g.gather(x[0], rows) },
    Case { operands: &[("N", Draw::Any)], build: |g, x, rows, _| g.gather(x[0], rows) },
    Case { operands: &[("BK", Draw::Any)], build: |g, x, rows, sizes| g.scatter_add(rows, x[0], sizes.rows) },
    Case { operands: &[("B", Draw::Any)], build: |g, x, rows, sizes| g.scatter_add(rows, x[0], sizes.rows) },
    Case { operands: &[("BK", Draw::Any)], build: |g, x, _, _| g.sum_columns(x[0]) },
    Case { operands: &[("B", Draw::Any)], build: |g, x, _, sizes| g.repeat_columns(x[0], sizes.columns) },
    Case { operands: &[("NK", Draw::Any)], build: |g, x, _, _| g.sum_all(x[0]) },
    Case { operands: &[("", Draw::Any), ("BK", Draw::Any)], build: |g, x, _, _| {
        // Only the shape of `like` is read, so its gradient comes from the sum.
        let wide = g.broadcast(x[0], x[1])?;
        g.add(wide, x[1])
    } },
    Case { operands: &[("BK", Draw::Any)], build: |g, x, _, _| {
        let count = g.count(x[0]);
        g.div(x[0], count)
    } },
    Case { operands: &[("B", Draw::Any)], build: |g, x, _, _| g.mean(x[0]) },
    Case { operands: &[("BK", Draw::Any), ("KN", Draw::Any)], build: |g, x, _, _| g.matmul(x[0], x[1], false, false) },
    Case { operands: &[("BK", Draw::Any), ("NK", Draw::Any)], build: |g, x, _, _| g.matmul(x[0], x[1], false, true) },
    Case { operands: &[("BK", Draw::Any), ("BN", Draw::Any)], build: |g, x, _, _| g.matmul(x[0], x[1], true, false) },
    Case { operands: &[("KN", Draw::Any), ("BK", Draw::Any)], build: |g, x, _, _| g.matmul(x[0], x[1], true, true) },
    Case { operands: &[("NK", Draw::Any)], build: |g, x, _, _| g.matmul(x[0], x[0], true, false) },
    Case { operands: &[("BK", Draw::Any), ("KW", Draw::Any)], build: |g, x, _, _| {
        // More terms than are summed in one go.
        let wide = g.matmul(x[0], x[1], false, false)?;
        g.matmul(wide, x[1], false, true)
    } },
    Case { operands: &[("BK", Draw::Apart)], build: |g, x, _, _| g.relu(x[0]) },
    Case { operands: &[("B", Draw::Apart)], build: |g, x, _, _| {
        let sign = g.sign(x[0])?;
        g.mul(x[0], sign)
    } },
    Case { operands: &[("BK", Draw::Any)], build: |g, x, _, _| g.exp(x[0]) },
    Case { operands: &[("BK", Draw::Any)], build: |g, x, _, _| g.log_softmax(x[0]) },
    Case { operands: &[("NK", Draw::Any)], build: |g, x, rows, sizes| {
        let chosen = g.one_hot(rows, sizes.rows)?;
        g.matmul(chosen, x[0], false, false)
    } },
    Case { operands: &[("BK", Draw::Any)], build: |g, x, _, _| g.sum_rows(x[0]) },
    Case { operands: &[("K", Draw::Any), ("BK", Draw::Any)], build: |g, x, _, _| {
        let wide = g.repeat_rows(x[0], x[1])?;
        g.mul(wide, x[1])
    } },
    Case { operands: &[("BK", Draw::Any), ("B", Draw::Any)], build: |g, x, _, _| {
        let sums = g.sum_columns(x[0])?;
        loss::squared_errors(g, sums, x[1])
    } },
    Case { operands: &[("BN", Draw::Any)], build: |g, x, rows, _| loss::cross_entropies(g, x[0], rows) },
    Case { operands: &[("NK", Draw::Any), ("BK", Draw::Any)], build: |g, x, _, _| {
        loss::half_square_penalty(g, x, 0.7)
    } },
    // A diamond: two ways from one node to the loss add up.
    Case { operands: &[("BK", Draw::Any)], build: |g, x, _, _| {
        let squashed = g.sigmoid(x[0])?;
        let squared = g.mul(squashed, squashed)?;
        g.sub(squared, x[0])
    } },
];

#[test]
fn gradients_agree_with_central_differences() {
    for (number, case) in CASES.iter().enumerate() {
        for round in 0..ROUNDS {
            check(case, &mut Rng::new(round).fork(&number.to_string()));
        }
    }
}

/// The names of the operations as `src/graph/op.rs` spells them: an operation added there fails here without a case.
#[test]
fn every_operation_has_a_case() {
    let source = include_str!("../../src/graph/op.rs");
    let names = source.split("pub fn name(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let mut missing: BTreeSet<&str> = names.split('"').skip(1).step_by(2).collect();
    assert!(missing.len() >= 16 && missing.contains("gather"), "the list is not where it was: {missing:?}");
    for leaf in ["input", "state", "constant"] {
        assert!(missing.remove(leaf));
    }
    for case in CASES {
        let built = Built::new(case, Sizes { batch: 2, rows: 2, columns: 2 });
        let forward = built.step.graph.nodes().iter().take(built.result.index() + 1);
        forward.for_each(|node| {
            missing.remove(node.op.name());
        });
    }
    assert!(missing.is_empty(), "operations without a case: {missing:?}");
}

#[test]
fn a_parameter_without_influence_is_named() {
    let mut graph = Graph::new();
    let used = graph.state("used", Shape::vector(Dim::Fixed(2))).unwrap();
    let unused = graph.state("unused", Shape::vector(Dim::Fixed(2))).unwrap();
    let loss = graph.sum_all(used).unwrap();
    let error = gradients(&mut graph, loss, &[used, unused]).unwrap_err().to_string();
    assert_eq!(error, "graph: the loss does not depend on unused, so it has no gradient");
    // Only the number of elements is read.
    let count = graph.count(unused);
    assert!(gradients(&mut graph, count, &[unused]).unwrap_err().to_string().contains("depend on unused"));
    // What stands behind the loss has no part in it.
    let later = graph.add(used, loss).unwrap();
    assert!(gradients(&mut graph, loss, &[later]).unwrap_err().to_string().contains("(add)"));
}

#[test]
fn a_loss_is_a_scalar() {
    let mut graph = Graph::new();
    let table = graph.state("table", Shape::matrix(Dim::Fixed(2), 3)).unwrap();
    let error = gradients(&mut graph, table, &[table]).unwrap_err().to_string();
    assert_eq!(error, "graph: a loss is a scalar, not of shape [2, 3]");
}

#[test]
fn nothing_is_appended_for_operands_that_lead_nowhere() {
    let mut graph = Graph::new();
    let x = graph.input("x", Shape::vector(Dim::Batch), Element::Float).unwrap();
    let mean = graph.mean(x).unwrap();
    let before = graph.nodes().len();
    gradients(&mut graph, mean, &[x]).unwrap();
    let names: Vec<&str> = graph.nodes()[before..].iter().map(|node| node.op.name()).collect();
    assert_eq!(names, ["constant", "div", "broadcast"]);
}

#[test]
fn the_interpreter_refuses_row_numbers_outside_the_table() {
    let case = Case { operands: &[("N", Draw::Any)], build: |g, x, rows, _| g.gather(x[0], rows) };
    let built = Built::new(&case, Sizes { batch: 2, rows: 3, columns: 1 });
    let table = vec![vec![0.0; 3]];
    let run = |rows: [i32; 2]| built.try_run(&Interpreter, &table, &[1.0, 1.0], &rows).map(|(loss, _)| loss);
    assert_eq!(run([0, 2]).unwrap(), 0.0);
    let too_high = run([0, 3]).unwrap_err().to_string();
    assert_eq!(too_high, "interpreter: row number 3 in a table of 3 rows");
    assert_eq!(run([-1, 0]).unwrap_err().to_string(), "feed rows: row number -1 is negative");
}

fn check(case: &Case, rng: &mut Rng) {
    let mut size = |most: u32| 1 + rng.below(most) as usize;
    let sizes = Sizes { batch: size(7), rows: size(5), columns: size(4) };
    let built = Built::new(case, sizes);
    let mut operands: Vec<Vec<f32>> = Vec::new();
    for (letters, draw) in case.operands {
        let values = draws(rng, shape(letters, sizes).sizes(sizes.batch).iter().product());
        operands.push(match draw {
            Draw::Any => values,
            Draw::Positive => values.into_iter().map(|value| 0.5 + value.abs()).collect(),
            Draw::Apart => values.into_iter().map(|value| value + 0.1f32.copysign(value)).collect(),
        });
    }
    let weights = draws(rng, built.step.graph.shape(built.result).sizes(sizes.batch).iter().product());
    let rows: Vec<i32> = (0..sizes.batch).map(|_| rng.below(sizes.rows as u32) as i32).collect();
    let loss = |operands: &[Vec<f32>]| built.try_run(&Interpreter, operands, &weights, &rows).unwrap().0;

    let differences: Vec<Vec<f32>> = (0..operands.len())
        .map(|operand| {
            (0..operands[operand].len())
                .map(|place| {
                    let mut shifted = operands.clone();
                    let value = shifted[operand][place];
                    let (above, below) = (value + HALF_STEP, value - HALF_STEP);
                    shifted[operand][place] = above;
                    let loss_above = loss(&shifted);
                    shifted[operand][place] = below;
                    (loss_above - loss(&shifted)) / (above - below)
                })
                .collect()
        })
        .collect();
    for (engine_name, engine) in engines() {
        let (found, slopes) = built.try_run(engine.as_ref(), &operands, &weights, &rows).unwrap();
        assert_close(&format!("{engine_name}: loss of\n{}", built.step), &[found], &[loss(&operands)], 1e-5, 1.0);
        for (number, (found, expected)) in slopes.iter().zip(&differences).enumerate() {
            let label = format!("{engine_name}: operand {number} of\n{}", built.step);
            assert_close(&label, found, expected, TOLERANCE, 1.0);
        }
    }
}

/// A case as a step: the loss is the sum of the result times random weights, and the gradients of the operands are kept
/// in states.
struct Built {
    step: Step,
    sizes: Sizes,
    result: NodeId,
}

impl Built {
    fn new(case: &Case, sizes: Sizes) -> Self {
        let mut graph = Graph::new();
        let rows = graph.input("rows", Shape::vector(Dim::Batch), Element::Index).unwrap();
        let positions = graph.input("positions", Shape::vector(Dim::Batch), Element::Index).unwrap();
        let operands: Vec<NodeId> = (0..)
            .zip(case.operands)
            .map(|(number, (letters, _))| {
                graph.input(&operand_name(number), shape(letters, sizes), Element::Float).unwrap()
            })
            .collect();
        let result = (case.build)(&mut graph, &operands, rows, sizes).unwrap();
        let weights = graph.input("weights", graph.shape(result).clone(), Element::Float).unwrap();
        let weighted = graph.mul(result, weights).unwrap();
        let loss = graph.sum_all(weighted).unwrap();
        let slopes = gradients(&mut graph, loss, &operands).unwrap();
        let one = graph.constant(1.0);
        let mut updates = Vec::new();
        for (number, slope) in slopes.into_iter().enumerate() {
            assert_eq!(graph.shape(slope), graph.shape(operands[number]));
            // A node may be the value of one state only, and a state's size is fixed: this round's.
            let kept = match graph.shape(slope).dims().first() {
                Some(Dim::Batch) => graph.scatter_add(positions, slope, sizes.batch).unwrap(),
                _ => graph.mul(slope, one).unwrap(),
            };
            let keeper = graph.state(&gradient_name(number), graph.shape(kept).clone()).unwrap();
            updates.push((keeper, kept));
        }
        Self { step: Step { graph, loss, updates }, sizes, result }
    }

    /// The loss and the gradients of the operands.
    fn try_run(
        &self,
        engine: &dyn Engine,
        operands: &[Vec<f32>],
        weights: &[f32],
        rows: &[i32],
    ) -> Result<(f32, Vec<Vec<f32>>)> {
        let zeros: Vec<(String, Vec<f32>)> =
            operands.iter().enumerate().map(|(number, v)| (gradient_name(number), vec![0.0; v.len()])).collect();
        let mut program = engine.compile(&self.step, &zeros, self.sizes.batch)?;
        let positions: Vec<i32> = (0..self.sizes.batch as i32).collect();
        let names: Vec<String> = (0..operands.len()).map(operand_name).collect();
        let mut feeds: Vec<Feed<'_>> = names.iter().zip(operands).map(|(name, values)| floats(name, values)).collect();
        feeds.extend([indices("rows", rows), indices("positions", &positions), floats("weights", weights)]);
        let loss = program.step(&feeds)?;
        let slopes = zeros.iter().map(|(name, _)| program.state(name)).collect::<Result<_>>()?;
        Ok((loss, slopes))
    }
}

fn operand_name(number: usize) -> String {
    format!("x{number}")
}

fn gradient_name(number: usize) -> String {
    format!("gradient of x{number}")
}

fn shape(letters: &str, sizes: Sizes) -> Shape {
    let size = |letter| match letter {
        'N' => sizes.rows,
        'K' => sizes.columns,
        'W' => WIDTH,
        other => panic!("{other} is no size"),
    };
    let mut letters = letters.chars();
    let rows = letters.next().map(|letter| if letter == 'B' { Dim::Batch } else { Dim::Fixed(size(letter)) });
    match (rows, letters.next()) {
        (None, _) => Shape::scalar(),
        (Some(rows), None) => Shape::vector(rows),
        (Some(rows), Some(columns)) => Shape::matrix(rows, size(columns)),
    }
}
