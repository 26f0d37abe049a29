//! Graphs that nobody would write, and steps that somebody changed: what is written as ONNX is a whole model, which ONNX Runtime, where there is one,
//! computes as the interpreter does; what differs from plain factorisation is not taken for it.

use std::env;
use std::sync::LazyLock;

use cofi::error::Result;
use cofi::graph::optimiser::{Optimiser, Reach, Rule};
use cofi::graph::{
    Dim, Element, Engine, Evaluator, Feed, FeedValues, Graph, Interpreter, NodeId, Op, Order, Shape, Step, gradients,
};
use cofi::model::{Architecture, Biases, Mlp, Model, Objective, StepOptions, training_step};
use cofi::runtime::{
    Device, IdInput, Keys, Library, OnnxEngine, OnnxFile, Operators, Wanted, lower, lower_order, lower_steps, recognise,
};

use super::bytes::Bytes;
use super::copies::with_node;
use super::tables::printable;

/// The states of a random graph: `[4, 3]`, `[4]`, `[3, 2]`, `[2]`.
const STATES: [(&str, usize); 4] = [("table", 12), ("vector", 4), ("weights", 6), ("bias", 2)];
/// Feeds of five ratings.
const ROWS: [[i32; 5]; 2] = [[0, 3, 1, 1, 2], [2, 2, 0, 3, 3]];
const X: [f32; 5] = [-1.5, 0.25, 2.0, 0.75, -0.5];

static ENGINE: LazyLock<Option<OnnxEngine>> = LazyLock::new(engine);
/// The same, keeping ratings.
static KEEPING: LazyLock<Option<OnnxEngine>> = LazyLock::new(|| engine().map(OnnxEngine::keeping));

fn engine() -> Option<OnnxEngine> {
    env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty())?;
    Some(OnnxEngine::new(Library::load(&Wanted::default()).unwrap(), Device::Cpu, 1, Operators::Stock).unwrap())
}

/// One input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.byte() {
        224.. => kept_steps(&mut bytes),
        other => match other % 4 {
            0 => changed_step(&mut bytes),
            1 => written_step(&mut bytes),
            2 => written_file(&mut bytes),
            _ => computed(&mut bytes),
        },
    }
}

/// A training step, recognised where it is plain factorisation, and not any more once a node of it is another.
fn changed_step(bytes: &mut Bytes<'_>) {
    let Ok((step, is_plain)) = some_step(bytes) else { return };
    let outputs: Vec<_> = step.updates.iter().map(|(state, _)| format!("{}#next", step.graph.label(*state))).collect();
    let outputs: Vec<_> = ["#loss"].into_iter().chain(outputs.iter().map(String::as_str)).collect();
    super::protobuf::is_whole(&lower(&step), &outputs);
    let known = recognise(&step);
    assert_eq!(known.is_some(), is_plain, "{step:?}");
    let n_nodes = step.graph.nodes().len();
    let changed = (usize::from(bytes.byte()) * 256 + usize::from(bytes.byte())) % n_nodes;
    let op = &step.graph.nodes()[changed].op;
    // Any earlier node in place of one that is read, another name, another number.
    let ids: Vec<NodeId> = step.graph.iter().map(|(id, _)| id).take(changed).collect();
    let mut other = |id: NodeId| if ids.is_empty() || bytes.rarely() { id } else { ids[bytes.below(ids.len())] };
    let op = match op.clone() {
        Op::Input { name } => Op::Input { name: format!("{name}2") },
        Op::State { name } => Op::State { name: format!("{name}2") },
        Op::Constant(value) => Op::Constant(value + 1.0),
        Op::Add(a, b) => Op::Sub(other(a), b),
        Op::Sub(a, b) => Op::Sub(other(a), other(b)),
        Op::Mul(a, b) => Op::Mul(other(a), other(b)),
        Op::Div(a, b) => Op::Div(a, other(b)),
        Op::Sqrt(a) | Op::Sigmoid(a) | Op::Relu(a) | Op::Sign(a) | Op::Exp(a) => Op::Sqrt(other(a)),
        Op::Gather { table, rows } => Op::Gather { table: other(table), rows: other(rows) },
        Op::ScatterAdd { rows, values, n_rows } => Op::ScatterAdd { rows: other(rows), values: other(values), n_rows },
        Op::SumColumns(a) | Op::SumRows(a) | Op::SumAll(a) => Op::SumAll(other(a)),
        same => same,
    };
    let is_constant = matches!(op, Op::Constant(_));
    let Ok(step_changed) = with_node(&step, changed, &op) else { return };
    if step_changed.graph != step.graph {
        let found = recognise(&step_changed);
        assert!(found.is_none() || is_constant && found != known, "node {changed} as {op:?} is taken for {found:?}");
    }
}

/// A step that `cofi_train` could ask for, and whether it is plain factorisation.
fn some_step(bytes: &mut Bytes<'_>) -> Result<(Step, bool)> {
    let width = 1 + bytes.below(5);
    let is_mlp = bytes.rarely();
    let hidden = (0..1 + bytes.below(2)).map(|_| 1 + bytes.below(4)).collect();
    let dropout = if bytes.rarely() { 0.5 } else { 0.0 };
    let reach = bytes.one_of(&[Reach::EveryRow, Reach::BatchRows]);
    let rule = match bytes.below(4) {
        0 => Rule::AdamW { beta2: 0.99, eps: 1e-5 },
        1 => Rule::Adam { beta2: 0.99, eps: 1e-5 },
        2 => Rule::Sgd,
        _ => Rule::Classic,
    };
    let weight_decay = bytes.one_of(&[0.0, 0.25]);
    let objective = bytes.one_of(&[
        Objective::MeanSquaredError,
        Objective::HalfSquaredSum,
        Objective::CrossEntropy { n_classes: 3 },
    ]);
    let model = Model {
        n_users: 1 + bytes.below(4),
        n_items: 1 + bytes.below(4),
        user_width: width,
        item_width: if is_mlp { 1 + bytes.below(4) } else { width },
        architecture: if is_mlp { Architecture::Mlp(Mlp { hidden, dropout }) } else { Architecture::Dot },
        biases: bytes.one_of(&[Biases::Neither, Biases::Users, Biases::Both]),
        mu: bytes.one_of(&[0.0, 0.5, 3.25, -1.0]),
        range: bytes.one_of(&[None, Some((0.5, 5.5)), Some((7.0, 26.0))]),
        objective,
    };
    let options = StepOptions {
        l2: if bytes.rarely() { 0.5 } else { 0.0 },
        is_weighted: bytes.rarely(),
        accumulates: bytes.rarely(),
    };
    let step = training_step(&model, &Optimiser { rule, weight_decay, reach }, options)?;
    step.check_in_place()?;
    let is_classifier = matches!(objective, Objective::CrossEntropy { .. });
    let is_plain = !is_mlp && options.l2 == 0.0 && !options.accumulates && (rule != Rule::Classic || !is_classifier);
    Ok((step, is_plain))
}

/// Any graph's gradients as a step.
fn written_step(bytes: &mut Bytes<'_>) {
    let step = random_step(bytes);
    assert_eq!(recognise(&step), None);
    super::protobuf::is_whole(&lower(&step), &["#loss", "table#next", "vector#next", "weights#next", "bias#next"]);
}

/// Steps in one run over ratings that are kept, and where there is ONNX Runtime, beside the same steps one by one.
fn kept_steps(bytes: &mut Bytes<'_>) {
    let length = 1 + bytes.below(70);
    super::protobuf::is_whole(&lower_order(length, length * (1 + bytes.below(3)) + bytes.below(length)), &["#order"]);

    let n_ratings = ROWS[0].len();
    let batch = 1 + bytes.below(n_ratings);
    let mut order: Vec<usize> = (0..n_ratings).collect();
    (1..n_ratings).for_each(|place| order.swap(place, bytes.below(place + 1)));
    // A session takes a hundred times as long as all the rest.
    let has_session = bytes.below(4) == 0;
    let step = random_step(bytes);
    let outputs = ["table#next", "vector#next", "weights#next", "bias#next", "#losses"];
    super::protobuf::is_whole(&lower_steps(&step, batch), &outputs);
    let (Some(engine), Some(keeping), true) = (&*ENGINE, &*KEEPING, has_session) else { return };

    let [mut single, mut many] = [engine, keeping].map(|engine| engine.compile(&step, &parameters(), batch).unwrap());
    let resident = many.resident().unwrap();
    let scale = |values| Feed { name: "scale", values: FeedValues::Floats(values) };
    let rows: Vec<i32> = order.iter().map(|rating| *rating as i32).collect();
    resident.keep(&pairs(&ROWS[0], &ROWS[1], &X)).unwrap();
    resident.shuffle(&Order::Rows(&rows)).unwrap();
    let n_steps = n_ratings / batch;
    let scales = vec![0.75; n_steps];
    let found = resident.steps(0, batch, &[scale(&scales)]).unwrap();
    let expected = order.chunks_exact(batch).map(|part| {
        let [users, items] = ROWS.map(|rows| part.iter().map(|rating| rows[*rating]).collect::<Vec<_>>());
        let x: Vec<f32> = part.iter().map(|rating| X[*rating]).collect();
        single.step(&[&pairs(&users, &items, &x)[..], &[scale(&[0.75])]].concat()).unwrap()
    });
    assert_eq!(bits(&found), bits(&expected.collect::<Vec<_>>()), "the losses of {n_steps} steps");
    for (state, _) in STATES {
        let [found, expected] = [&many, &single].map(|program| bits(&program.state(state).unwrap()));
        assert_eq!(found, expected, "{state} after {n_steps} steps");
    }
}

/// Any graph's gradients, taken off its states.
fn random_step(bytes: &mut Bytes<'_>) -> Step {
    let Random { mut graph, floats, read } = Random::graph(bytes, |graph, state| graph.snapshot(state).unwrap());
    let mut loss = graph.sum_all(floats[bytes.byte() as usize % floats.len()]).unwrap();
    // Squares, as the gradient of a state has to read it: whoever reads it otherwise may do so too late.
    for values in read {
        let squares = graph.mul(values, values).unwrap();
        let sum = graph.sum_all(squares).unwrap();
        loss = graph.add(loss, sum).unwrap();
    }
    let states: Vec<_> = STATES.iter().filter_map(|(name, _)| graph.named_node(name)).collect();
    let gradients = gradients(&mut graph, loss, &states).unwrap();
    let mut updates = Vec::new();
    for (state, gradient) in states.iter().zip(gradients) {
        assert_eq!(graph.shape(*state), graph.shape(gradient), "the gradient of {}", graph.label(*state));
        updates.push((*state, graph.sub(*state, gradient).unwrap()));
    }
    let step = Step { graph, loss, updates };
    step.check_in_place().unwrap();
    step
}

fn pairs<'a>(users: &'a [i32], items: &'a [i32], x: &'a [f32]) -> [Feed<'a>; 3] {
    let feed = |name, values| Feed { name, values };
    [
        feed("user", FeedValues::Indices(users)),
        feed("item", FeedValues::Indices(items)),
        feed("x", FeedValues::Floats(x)),
    ]
}

/// All that is no number is one thing.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN } else { *value }.to_bits()).collect()
}

/// Any graph and any ids as a file for others.
fn written_file(bytes: &mut Bytes<'_>) {
    let Random { graph, floats, .. } = Random::graph(bytes, |_, state| state);
    let of_batch = |id: &&NodeId| graph.shape(**id).dims().first() == Some(&Dim::Batch);
    let outputs: Vec<_> = floats.iter().rev().filter(of_batch).take(1 + bytes.below(2)).copied().collect();
    let outputs: Vec<_> = outputs.into_iter().zip(["rating", "probabilities"]).collect();
    let n_ids = bytes.below(6);
    let texts: Vec<String> = (0..n_ids).map(|_| bytes.text()).collect();
    let numbers: Vec<i64> = (0..n_ids).map(|_| bytes.whole()).collect();
    let name = bytes.text();
    let ids = vec![
        IdInput { name: "user", keys: Keys::Integers(numbers) },
        IdInput { name: "item", keys: Keys::Texts(texts.iter().map(String::as_str).collect()) },
    ];
    let metadata = vec![("model", name.clone())];
    let file = OnnxFile { graph: &graph, outputs: &outputs, parameters: &parameters(), ids, formula: &name, metadata };
    match file.into_bytes() {
        Ok(file) => {
            let names: Vec<_> = outputs.iter().map(|(_, name)| *name).collect();
            super::protobuf::is_whole(&file, &names);
        }
        Err(error) => drop(printable(&error)),
    }
}

/// Any graph, computed by ONNX Runtime, where there is one.
fn computed(bytes: &mut Bytes<'_>) {
    // A session takes a hundred times as long as all the rest.
    let has_session = bytes.below(4) == 0;
    let Random { graph, floats, .. } = Random::graph(bytes, |_, state| state);
    let output = floats[floats.len() - 1 - bytes.byte() as usize % floats.len()];
    let mut truth = Interpreter.evaluator(&graph, output, &parameters()).unwrap();
    let expected = answer(&mut truth).unwrap();
    let sizes: usize = graph.shape(output).sizes(ROWS[0].len()).iter().product();
    assert_eq!(expected.len(), sizes);
    let engine = if has_session { ENGINE.as_ref() } else { None };
    let (Some(engine), Some(tolerance)) = (engine, tolerance(&graph)) else { return };
    let mut evaluator = engine.evaluator(&graph, output, &parameters()).unwrap();
    let found = answer(&mut evaluator).unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= tolerance, "{found} for {expected}: {}", graph.label(output));
    }
}

/// How far off single precision may be; `None` where a number is so large, or so close to where a function jumps, that nobody can say.
fn tolerance(graph: &Graph) -> Option<f32> {
    let mut largest = 1f32;
    for (id, node) in graph.iter().filter(|(_, node)| node.element == Element::Float) {
        let mut truth = Interpreter.evaluator(graph, id, &parameters()).ok()?;
        let values = answer(&mut truth).ok()?;
        largest = values.iter().fold(largest, |largest, value| largest.max(value.abs()));
        if !values.iter().all(|value| value.abs() < 1e3) {
            return None;
        }
        let reads_near_zero = |read: &NodeId| {
            let mut truth = Interpreter.evaluator(graph, *read, &parameters()).ok()?;
            Some(answer(&mut truth).ok()?.iter().any(|value| value.abs() < 1e-2))
        };
        let risky = match &node.op {
            Op::Sign(a) | Op::Sqrt(a) => reads_near_zero(a)?,
            Op::Div(_, b) => reads_near_zero(b)?,
            _ => false,
        };
        if risky {
            return None;
        }
    }
    Some(1e-3 * largest)
}

fn answer(evaluator: &mut Box<dyn Evaluator>) -> Result<Vec<f32>> {
    let scale = Feed { name: "scale", values: FeedValues::Floats(&[0.75]) };
    evaluator.run(&[&pairs(&ROWS[0], &ROWS[1], &X)[..], &[scale]].concat())
}

fn parameters() -> Vec<(String, Vec<f32>)> {
    let numbers = |n: usize| (0..n).map(|place| (place * 7 % 11) as f32 / 4.0 - 1.125).collect();
    STATES.iter().map(|(name, n)| ((*name).to_owned(), numbers(*n))).collect()
}

/// A graph of operations in any order.
struct Random {
    graph: Graph,
    /// Its nodes of floats.
    floats: Vec<NodeId>,
    /// What reads each state.
    read: [NodeId; 4],
}

impl Random {
    /// `read` makes what the operations have of a state.
    fn graph(bytes: &mut Bytes<'_>, read: fn(&mut Graph, NodeId) -> NodeId) -> Self {
        let mut graph = Graph::new();
        let rows = ["user", "item"].map(|name| graph.input(name, Shape::vector(Dim::Batch), Element::Index).unwrap());
        let x = graph.input("x", Shape::vector(Dim::Batch), Element::Float).unwrap();
        let scale = graph.input("scale", Shape::scalar(), Element::Float).unwrap();
        let shapes = [
            Shape::matrix(Dim::Fixed(4), 3),
            Shape::vector(Dim::Fixed(4)),
            Shape::matrix(Dim::Fixed(3), 2),
            Shape::vector(Dim::Fixed(2)),
        ];
        let mut shapes = shapes.into_iter();
        let states = STATES.map(|(name, _)| graph.state(name, shapes.next().unwrap()).unwrap());
        let read = states.map(|state| read(&mut graph, state));
        let mut floats = vec![x, scale];
        floats.extend(read);
        for _ in 0..24 {
            if bytes.is_empty() {
                break;
            }
            let rows = bytes.one_of(&rows);
            if let Ok(added) = operation(&mut graph, &floats, rows, bytes) {
                floats.push(added);
            }
        }
        // Something of the batch, so that there is an output.
        floats.push(graph.gather(read[0], rows[0]).unwrap());
        Self { graph, floats, read }
    }
}

fn operation(graph: &mut Graph, floats: &[NodeId], rows: NodeId, bytes: &mut Bytes<'_>) -> Result<NodeId> {
    let kind = bytes.below(24);
    let a = floats[bytes.byte() as usize % floats.len()];
    // The second operand: of the same shape, where one is, as others are mostly refused.
    let alike: Vec<_> = floats.iter().copied().filter(|id| graph.shape(*id) == graph.shape(a)).collect();
    let b = match bytes.byte() {
        pick @ 0..192 => alike[pick as usize % alike.len()],
        pick => floats[pick as usize % floats.len()],
    };
    match kind {
        0 => Ok(graph.constant((bytes.byte() as f32 - 128.0) / 16.0)),
        1 => graph.add(a, b),
        2 => graph.sub(a, b),
        3 => graph.mul(a, b),
        4 => graph.div(a, b),
        5 => graph.sqrt(a),
        6 => graph.sigmoid(a),
        7 => graph.relu(a),
        8 => graph.sign(a),
        9 => graph.exp(a),
        10..13 => {
            let flags = bytes.byte();
            let b = floats[bytes.byte() as usize % floats.len()];
            graph.matmul(a, b, flags & 1 > 0, flags & 2 > 0)
        }
        13 => graph.log_softmax(a),
        14 => graph.one_hot(rows, 4 + bytes.below(3)),
        // Row numbers go up to 3.
        15 => match graph.shape(a).dims().first() {
            Some(Dim::Fixed(n_rows)) if *n_rows >= 4 => graph.gather(a, rows),
            _ => graph.sum_all(a),
        },
        16 => graph.scatter_add(rows, a, 4 + bytes.below(3)),
        17 => graph.sum_columns(a),
        18 => graph.repeat_columns(a, 1 + bytes.below(4)),
        19 => graph.sum_rows(a),
        20 => {
            let like = floats[bytes.byte() as usize % floats.len()];
            graph.repeat_rows(a, like)
        }
        21 => graph.sum_all(a),
        22 => {
            let like = floats[bytes.byte() as usize % floats.len()];
            graph.broadcast(a, like)
        }
        _ => Ok(graph.count(a)),
    }
}
