//! The slow and obvious engine: one ndarray expression for each operation, in `f64`.
//!
//! It is the truth in tests: what another engine's result differs from it is that engine's rounding, or its fault. It
//! allocates every tensor anew at every step, so trainings of any size belong elsewhere.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayD, ArrayView2, Axis, Ix2, IxDyn, arr0};

use crate::error::{Error, Result};
use crate::graph::engine::{Engine, Evaluator, Feed, FeedValues, Program, Step};
use crate::graph::{Graph, NodeId, Op};

/// Runs steps on ndarray; its device is `interpreter`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interpreter;

impl Engine for Interpreter {
    fn device(&self) -> &str {
        "interpreter"
    }

    fn compile(&self, step: &Step, initial: &[(String, Vec<f32>)], _batch: usize) -> Result<Box<dyn Program>> {
        step.check_in_place()?;
        let states = states(&step.graph, initial)?;
        Ok(Box::new(Interpretation { step: step.clone(), states }))
    }

    fn evaluator(
        &self,
        graph: &Graph,
        output: NodeId,
        parameters: &[(String, Vec<f32>)],
    ) -> Result<Box<dyn Evaluator>> {
        graph.check_output(output)?;
        let states = states(graph, parameters)?;
        Ok(Box::new(Evaluation { graph: graph.clone(), output, states }))
    }
}

/// The values of states by name.
type States = BTreeMap<String, ArrayD<f64>>;

/// A step with its states.
struct Interpretation {
    step: Step,
    states: States,
}

/// A forward pass with its parameters.
struct Evaluation {
    graph: Graph,
    output: NodeId,
    states: States,
}

/// What a node computed.
enum Value {
    Floats(ArrayD<f64>),
    Rows(Vec<usize>),
}

impl Program for Interpretation {
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32> {
        let values = run(&self.step.graph, &self.states, feeds)?;
        for (state, value) in &self.step.updates {
            if let Op::State { name } = &self.step.graph.node(*state).op {
                self.states.insert(name.clone(), floats(&values, *value)?.clone());
            }
        }
        Ok(floats(&values, self.step.loss)?.sum() as f32)
    }

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        let values = self.states.get(name).ok_or_else(|| unknown_state(name))?;
        Ok(values.iter().map(|value| *value as f32).collect())
    }
}

impl Evaluator for Evaluation {
    fn run(&mut self, feeds: &[Feed<'_>]) -> Result<Vec<f32>> {
        let values = run(&self.graph, &self.states, feeds)?;
        Ok(floats(&values, self.output)?.iter().map(|value| *value as f32).collect())
    }
}

/// The value of every node.
fn run(graph: &Graph, states: &States, feeds: &[Feed<'_>]) -> Result<Vec<Value>> {
    let batch = graph.check_feeds(feeds)?;
    let run = Run { graph, states, batch };
    let mut values: Vec<Value> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let value = match &node.op {
            Op::Input { name } => fed(name, feeds, &node.shape.sizes(batch))?,
            op => Value::Floats(run.evaluate(op, &values)?),
        };
        values.push(value);
    }
    Ok(values)
}

/// What an operation may need besides its operands.
struct Run<'a> {
    graph: &'a Graph,
    states: &'a States,
    batch: usize,
}

impl Run<'_> {
    /// The value of an operation whose operands, all before it, have theirs in `values`.
    fn evaluate(&self, op: &Op, values: &[Value]) -> Result<ArrayD<f64>> {
        let get = |id: &NodeId| floats(values, *id);
        let sizes = |id: &NodeId| self.graph.shape(*id).sizes(self.batch);
        Ok(match op {
            Op::Input { name } | Op::State { name } => {
                self.states.get(name).cloned().ok_or_else(|| unknown_state(name))?
            }
            Op::Constant(value) => arr0(f64::from(*value)).into_dyn(),
            Op::Add(a, b) => get(a)? + get(b)?,
            Op::Sub(a, b) => get(a)? - get(b)?,
            Op::Mul(a, b) => get(a)? * get(b)?,
            Op::Div(a, b) => get(a)? / get(b)?,
            Op::Sqrt(a) => get(a)?.mapv(f64::sqrt),
            Op::Sigmoid(a) => get(a)?.mapv(|x| 1.0 / (1.0 + (-x).exp())),
            // What is not a number stays so.
            Op::Relu(a) => get(a)?.mapv(|x| if x < 0.0 { 0.0 } else { x }),
            Op::Sign(a) => get(a)?.mapv(|x| f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))),
            Op::Exp(a) => get(a)?.mapv(f64::exp),
            Op::MatMul { a, b, transpose_a, transpose_b } => {
                matrix(values, *a, *transpose_a)?.dot(&matrix(values, *b, *transpose_b)?).into_dyn()
            }
            Op::LogSoftmax(a) => {
                let mut logs = matrix(values, *a, false)?.to_owned();
                for mut row in logs.rows_mut() {
                    let highest = row.fold(f64::NEG_INFINITY, |highest, x| highest.max(*x));
                    let sum: f64 = row.iter().map(|x| (x - highest).exp()).sum();
                    row -= highest + sum.ln();
                }
                logs.into_dyn()
            }
            Op::OneHot { rows, n_columns } => {
                let rows = row_numbers(values, *rows, *n_columns)?;
                let ones = Array2::from_shape_fn((rows.len(), *n_columns), |(n, c)| f64::from(u8::from(rows[n] == c)));
                ones.into_dyn()
            }
            Op::Gather { table, rows } => {
                let table = get(table)?;
                table.select(Axis(0), row_numbers(values, *rows, table.len_of(Axis(0)))?)
            }
            Op::ScatterAdd { rows, values: added, n_rows } => {
                let added = get(added)?;
                let mut sizes = added.shape().to_vec();
                sizes[0] = *n_rows;
                let mut sums = ArrayD::zeros(IxDyn(&sizes));
                for (position, row) in row_numbers(values, *rows, *n_rows)?.iter().enumerate() {
                    let mut sum = sums.index_axis_mut(Axis(0), *row);
                    sum += &added.index_axis(Axis(0), position);
                }
                sums
            }
            Op::SumColumns(a) => get(a)?.sum_axis(Axis(1)),
            Op::RepeatColumns { values: repeated, n_columns } => {
                let column = get(repeated)?.clone().insert_axis(Axis(1));
                &column + &ArrayD::<f64>::zeros(IxDyn(&[column.len(), *n_columns]))
            }
            Op::SumRows(a) => get(a)?.sum_axis(Axis(0)),
            Op::RepeatRows { values: repeated, like } => get(repeated)? + &ArrayD::<f64>::zeros(IxDyn(&sizes(like))),
            Op::SumAll(a) => arr0(get(a)?.sum()).into_dyn(),
            Op::Broadcast { value, like } => get(value)? + &ArrayD::<f64>::zeros(IxDyn(&sizes(like))),
            Op::Count(a) => arr0(sizes(a).iter().product::<usize>() as f64).into_dyn(),
        })
    }
}

/// The values fed to an input; [`Graph::check_feeds`] has passed, so it is there, and of its size.
fn fed(name: &str, feeds: &[Feed<'_>], sizes: &[usize]) -> Result<Value> {
    match feeds.iter().find(|feed| feed.name == name).map(|feed| feed.values) {
        Some(FeedValues::Floats(values)) => Ok(Value::Floats(array(sizes, values)?)),
        Some(FeedValues::Indices(rows)) => rows
            .iter()
            .map(|row| {
                usize::try_from(*row).map_err(|_| Error::new(format!("feed {name}: row number {row} is negative")))
            })
            .collect::<Result<_>>()
            .map(Value::Rows),
        None => Err(Error::new(format!("feed {name}: missing"))),
    }
}

/// The states of a graph with their values, which have to fit.
fn states(graph: &Graph, given: &[(String, Vec<f32>)]) -> Result<States> {
    graph.check_states(given)?;
    let mut states = States::new();
    for (name, values) in given {
        if let Some(id) = graph.named_node(name) {
            states.insert(name.clone(), array(&graph.shape(id).sizes(0), values)?);
        }
    }
    Ok(states)
}

fn array(sizes: &[usize], values: &[f32]) -> Result<ArrayD<f64>> {
    let values = values.iter().map(|value| f64::from(*value)).collect();
    ArrayD::from_shape_vec(IxDyn(sizes), values)
        .map_err(|error| Error::new("interpreter: values that do not fill their shape").with_source(error))
}

fn floats(values: &[Value], id: NodeId) -> Result<&ArrayD<f64>> {
    match values.get(id.index()) {
        Some(Value::Floats(array)) => Ok(array),
        _ => Err(Error::new(format!("interpreter: {id} has no floats"))),
    }
}

fn matrix(values: &[Value], id: NodeId, transposed: bool) -> Result<ArrayView2<'_, f64>> {
    let array = floats(values, id)?.view().into_dimensionality::<Ix2>();
    let matrix = array.map_err(|error| Error::new(format!("interpreter: {id} is not of rank 2")).with_source(error))?;
    Ok(if transposed { matrix.reversed_axes() } else { matrix })
}

fn row_numbers(values: &[Value], id: NodeId, n_rows: usize) -> Result<&[usize]> {
    let Some(Value::Rows(rows)) = values.get(id.index()) else {
        return Err(Error::new(format!("interpreter: {id} has no row numbers")));
    };
    match rows.iter().find(|row| **row >= n_rows) {
        Some(row) => Err(Error::new(format!("interpreter: row number {row} in a table of {n_rows} rows"))),
        None => Ok(rows),
    }
}

fn unknown_state(name: &str) -> Error {
    Error::new(format!("interpreter: there is no state named {name}"))
}
