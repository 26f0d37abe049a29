//! Lowers a step to a model that takes many of them in one run over ratings that are kept: ONNX's `Scan`, whose body is the step.
//!
//! A `Scan`, not a `Loop`: how often it runs is the length of what it is given, where a `Loop` asks a condition on the CPU after each
//! round, for which ONNX Runtime waits for the device. States go round the body, scalars come from lists of which each round has an element,
//! and losses are put into a list. Ratings and their order are values around the body, which it reads where they are. The size of a batch
//! is a constant: so no node needs to know a shape, which would be computed on the CPU.

use crate::graph::{Dim, Node, NodeId, Op, Step};
use crate::runtime::onnx::{LOSS, element_type, lower_body, model_bytes, next_name, value_info};
use crate::runtime::proto::{
    DimensionProto, GraphProto, INT32, INT64, NodeProto, ValueInfoProto, graph_attribute, integer_attribute,
    named_dimension, node_proto, tensor, value_info_proto,
};

/// The input of the place at which each step begins: `[T]`.
pub const STARTS: &str = "#starts";
/// The input of the rating at each place, and the output of the model of [`lower_order`]: `[N]`.
pub const ORDER: &str = "#order";
/// The output of the losses: `[T]`.
pub const LOSSES: &str = "#losses";
/// The input of 0, 1 and so on, a number for each rating of a batch: `[B]`.
pub const COUNTED: &str = "#counted";
/// The inputs of [`lower_order`]: the first rating of each run, and which of its ratings comes first.
pub const RUN_STARTS: &str = "#run_starts";
/// See [`RUN_STARTS`].
pub const RUN_OFFSETS: &str = "#run_offsets";

/// The input that holds the values of all ratings for an input of the step.
pub fn column_name(input: &str) -> String {
    format!("{input}#all")
}

/// The bytes of the model that takes `T` steps of `batch` ratings. Its inputs are the states under their names, the scalars as lists under
/// theirs, `#starts`, `#order`, `#counted` and, with `#all` behind the name of its input, each column; its outputs the states after the last
/// step, named as those of a step, and `#losses`.
pub fn lower_steps(step: &Step, batch: usize) -> Vec<u8> {
    model_bytes(steps_proto(step, batch))
}

/// The bytes of the body alone, as a model of its own: one step whose nodes ONNX Runtime places as it does in the body.
pub fn lower_flat(step: &Step, batch: usize) -> Vec<u8> {
    let mut body = body_proto(step, batch);
    body.input.extend(around(step, batch));
    model_bytes(body)
}

/// The bytes of the model that works out [`Order::Runs`](crate::graph::Order::Runs): each of `length` rounds has a rating of every run, and
/// fewer than `length` ratings come behind them. Its integers are of 32 bits, as all row numbers are.
pub fn lower_order(length: usize, n_ratings: usize) -> Vec<u8> {
    model_bytes(order_proto(length, n_ratings))
}

pub(super) fn steps_proto(step: &Step, batch: usize) -> GraphProto {
    let body = body_proto(step, batch);
    let mut proto = GraphProto { name: Some("steps".to_owned()), ..GraphProto::default() };
    let (mut read, mut written) = (Vec::new(), Vec::new());
    for (name, node) in states(step) {
        proto.input.push(value_info(name, node));
        proto.output.push(value_info(&next_name(name), node));
        read.push(name.to_owned());
        written.push(next_name(name));
    }
    let lists: Vec<_> = scalars(step).map(|(name, node)| (name, element_type(node.element))).collect();
    for (name, element) in lists.iter().copied().chain([(STARTS, INT32)]) {
        proto.input.push(value_info_proto(name, element, vec![named_dimension("T")]));
        read.push(name.to_owned());
    }
    proto.input.extend(around(step, batch));
    let losses = vec![named_dimension("T")];
    proto.output.push(value_info_proto(LOSSES, element_type(step.graph.node(step.loss).element), losses));
    written.push(LOSSES.to_owned());
    let n_lists = integer_attribute("num_scan_inputs", lists.len() as i64 + 1);
    let attribute = vec![graph_attribute("body", body), n_lists];
    let (op_type, name) = (Some("Scan".to_owned()), Some("Scan#steps".to_owned()));
    proto.node.push(NodeProto { input: read, output: written, name, op_type, attribute, domain: None });
    proto
}

/// The step, in front of it what looks its ratings up.
fn body_proto(step: &Step, batch: usize) -> GraphProto {
    let inputs = step.graph.iter().filter_map(|(id, node)| match &node.op {
        Op::Input { name } | Op::State { name } => Some((id, inner(name))),
        _ => None,
    });
    let given: Vec<(NodeId, String)> = inputs.collect();
    let updates = step.updates.iter().map(|(state, next)| (*next, inner(&next_name(&step.graph.label(*state)))));
    let outputs = updates.chain([(step.loss, inner(LOSS))]).collect();
    let mut body = lower_body(&step.graph, &given, outputs, batch);

    let start = value_info_proto(&inner(STARTS), INT32, Vec::new());
    let own = states(step).chain(scalars(step)).map(|(name, node)| value_info(&inner(name), node));
    body.input = own.chain([start]).collect();

    let [places, ratings] = ["#places", "#ratings"];
    let mut look_ups = vec![
        node_proto("Add", &[COUNTED, &inner(STARTS)], places, vec![]),
        node_proto("Gather", &[ORDER, places], ratings, vec![]),
    ];
    look_ups.extend(
        columns(step).map(|(name, _)| node_proto("Gather", &[&column_name(name), ratings], &inner(name), vec![])),
    );
    body.node.splice(..0, look_ups);
    body
}

pub(super) fn order_proto(length: usize, n_ratings: usize) -> GraphProto {
    let [rounds, turned, wrapped, rating, runs, whole, of_runs, rest] =
        ["#rounds", "#turned", "#wrapped", "#rating", "#runs", "#whole", "#of_runs", "#rest"];
    let n_runs = n_ratings.checked_div(length).unwrap_or(0);
    let list = |name| value_info_proto(name, INT32, vec![named_dimension("R")]);
    let rest_first = (n_runs * length) as i32;
    let rest_bytes: Vec<u8> = (rest_first..n_ratings as i32).flat_map(i32::to_le_bytes).collect();
    let counted_bytes: Vec<u8> = (0..length as i32).flat_map(i32::to_le_bytes).collect();
    let mut proto = GraphProto {
        name: Some("order".to_owned()),
        input: vec![list(RUN_STARTS), list(RUN_OFFSETS)],
        output: vec![value_info_proto(ORDER, INT32, vec![named_dimension("N")])],
        initializer: vec![
            tensor(rounds, &[length as i64, 1], INT32, &counted_bytes),
            tensor(runs, &[], INT32, &(length as i32).to_le_bytes()),
            tensor(whole, &[1], INT64, &(-1i64).to_le_bytes()),
        ],
        node: vec![
            node_proto("Add", &[RUN_OFFSETS, rounds], turned, vec![]),
            node_proto("Mod", &[turned, runs], wrapped, vec![]),
            node_proto("Add", &[RUN_STARTS, wrapped], rating, vec![]),
        ],
    };
    if rest_bytes.is_empty() {
        proto.node.push(node_proto("Reshape", &[rating, whole], ORDER, vec![]));
    } else {
        let n_rest = n_ratings - n_runs * length;
        proto.initializer.push(tensor(rest, &[n_rest as i64], INT32, &rest_bytes));
        proto.node.push(node_proto("Reshape", &[rating, whole], of_runs, vec![]));
        proto.node.push(node_proto("Concat", &[of_runs, rest], ORDER, vec![integer_attribute("axis", 0)]));
    }
    proto
}

/// What the body reads of the graph around it.
fn around(step: &Step, batch: usize) -> impl Iterator<Item = ValueInfoProto> {
    let n = || vec![named_dimension("N")];
    let columns =
        columns(step).map(move |(name, node)| value_info_proto(&column_name(name), element_type(node.element), n()));
    // Not a constant: a batch may be all ratings, and a model's size is bounded.
    let of_batch = vec![DimensionProto { dim_value: Some(batch as i64), dim_param: None }];
    columns.chain([value_info_proto(ORDER, INT32, n()), value_info_proto(COUNTED, INT32, of_batch)])
}

/// A name inside the body: what is around it has the name itself.
fn inner(name: &str) -> String {
    format!("#of_step {name}")
}

fn states(step: &Step) -> impl Iterator<Item = (&str, &Node)> {
    let state = |(id, _): &(NodeId, NodeId)| named(step.graph.node(*id));
    step.updates.iter().filter_map(state)
}

fn scalars(step: &Step) -> impl Iterator<Item = (&str, &Node)> {
    inputs(step).filter(|(_, node)| node.shape.dims().is_empty())
}

fn columns(step: &Step) -> impl Iterator<Item = (&str, &Node)> {
    inputs(step).filter(|(_, node)| node.shape.dims() == [Dim::Batch])
}

fn inputs(step: &Step) -> impl Iterator<Item = (&str, &Node)> {
    step.graph.nodes().iter().filter(|node| matches!(node.op, Op::Input { .. })).filter_map(named)
}

fn named(node: &Node) -> Option<(&str, &Node)> {
    match &node.op {
        Op::Input { name } | Op::State { name } => Some((name, node)),
        _ => None,
    }
}
