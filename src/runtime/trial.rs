//! Whether an engine computes at all: a few steps of a training of one number, as trainings take them.

use crate::error::{Error, Result};
use crate::graph::{Dim, Element, Engine, Feed, FeedValues, Graph, Order, Shape, Step};
use crate::runtime::session::OnnxEngine;

const X: &str = "x";
const VALUE: &str = "value";
const RATE: &str = "rate";

/// Takes two steps one by one, and where the engine's programs keep ratings, two in a run and one in another; each begins where the last one ended.
///
/// # Errors
/// What the engine cannot do; numbers that are others than they should be.
pub fn try_engine(engine: &OnnxEngine) -> Result<()> {
    let mut program = engine.compile(&step()?, &[(X.to_owned(), vec![1.0])], 1)?;
    let mut found = Vec::new();
    for _ in 0..2 {
        found.push(program.step(&[floats(VALUE, &[1.0]), floats(RATE, &[1.0])])?);
    }
    found.extend(program.state(X)?);
    expect(engine, &found, &[2.0, 3.0, 3.0])?;
    let Some(resident) = program.resident() else { return Ok(()) };
    resident.keep(&[floats(VALUE, &[1.0, 2.0, 4.0, 8.0])])?;
    resident.shuffle(&Order::Rows(&[3, 1, 0, 2]))?;
    let mut found = resident.steps(0, 1, &[floats(RATE, &[1.0, 0.5])])?;
    found.extend(resident.steps(2, 1, &[floats(RATE, &[2.0])])?);
    found.extend(program.state(X)?);
    // 3 + 8, then half of 2, then twice 1.
    expect(engine, &found, &[11.0, 12.0, 14.0, 14.0])
}

/// `x` becomes `x + rate * value`; the loss is the new `x`.
fn step() -> Result<Step> {
    let mut graph = Graph::new();
    let x = graph.state(X, Shape::vector(Dim::Fixed(1)))?;
    let value = graph.input(VALUE, Shape::vector(Dim::Batch), Element::Float)?;
    let rate = graph.input(RATE, Shape::scalar(), Element::Float)?;
    let value = graph.sum_all(value)?;
    let change = graph.mul(rate, value)?;
    let next = graph.add(x, change)?;
    let loss = graph.sum_all(next)?;
    Ok(Step { graph, loss, updates: vec![(x, next)] })
}

fn expect(engine: &OnnxEngine, found: &[f32], expected: &[f32]) -> Result<()> {
    let is_right = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
    if is_right {
        return Ok(());
    }
    Err(Error::new(format!("{} computed {found:?} where {expected:?} is right", engine.place())))
}

fn floats<'a>(name: &'a str, values: &'a [f32]) -> Feed<'a> {
    Feed { name, values: FeedValues::Floats(values) }
}
