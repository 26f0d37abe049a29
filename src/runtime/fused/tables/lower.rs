//! The model of a step with its tables in our operators.

use prost::Message;

use crate::graph::{Node, NodeId, Step};
use crate::runtime::fused::context::DOMAIN;
use crate::runtime::fused::tables::operators::{LEARN, NUMBER, READ, WHOLE};
use crate::runtime::fused::tables::recognise::{Column, Tables, Whole};
use crate::runtime::onnx::{self, LOSS, lower_part, model_proto, next_name};
use crate::runtime::proto::{
    FLOAT, INT32, NodeProto, OperatorSetIdProto, ValueInfoProto, integer_attribute, named_dimension, value_info_proto,
};

/// The input of the number of a step.
pub const NOW: &str = "#now";
/// The input of its numbers.
pub const SETTINGS: &str = "#settings";
/// The input of what was before it.
pub const HISTORY: &str = "#history";

/// What a training owns of a side: the names of an input and of the outputs of both operators.
pub struct Owned {
    /// What the step finds.
    pub before: String,
    /// The same, with the rows of the batch up to date.
    pub read: String,
    /// What the step leaves.
    pub after: String,
}

impl Owned {
    fn new(what: &str, index: &str) -> Self {
        let name = |when: &str| format!("#{what} of {index}{when}");
        Self { before: name(""), read: name(", read"), after: name(", learned") }
    }

    /// The rows of the side of this input of row numbers.
    pub fn rows(index: &str) -> Self {
        Self::new("rows", index)
    }

    /// Their clocks.
    pub fn clocks(index: &str) -> Self {
        Self::new("clocks", index)
    }
}

/// The bytes of the model of a step.
pub fn lower(step: &Step, tables: &Tables) -> Vec<u8> {
    let (given, outputs) = (given(tables), outputs(step, tables));
    let mut proto = lower_part(&step.graph, &given, outputs);
    // What only our operators read is nobody's input or output.
    let is_named =
        |value: &ValueInfoProto, names: &[String]| value.name.as_ref().is_some_and(|name| names.contains(name));
    let of_columns = tables.columns().map(|column| slope_name(column.name));
    let slopes: Vec<String> = of_columns.chain(tables.whole.iter().map(gradient_name)).collect();
    proto.output.retain(|output| !is_named(output, &slopes));
    proto.input.retain(|input| !input.name.as_ref().is_some_and(|name| tables.have(name)));
    for (number, whole) in tables.whole.iter().enumerate() {
        let nexts = whole.states.iter().map(|state| next_name(state));
        let inputs = whole.states.iter().cloned().chain([gradient_name(whole), SETTINGS.to_owned()]);
        proto.node.push(node(WHOLE, number, inputs.collect(), nexts.collect()));
        let states = proto.input.iter().filter(|input| is_named(input, &whole.states));
        let after = |name: &String| Some(next_name(name));
        let nexts = states.map(|state| ValueInfoProto { name: state.name.as_ref().and_then(after), ..state.clone() });
        proto.output.extend(nexts.collect::<Vec<_>>());
    }
    let mut reads = Vec::new();
    for (number, side) in tables.sides.iter().enumerate() {
        let (rows, clocks) = (Owned::rows(side.index), Owned::clocks(side.index));
        let common = [side.index.to_owned(), NOW.to_owned(), SETTINGS.to_owned(), HISTORY.to_owned()];
        let name = |name: fn(&str) -> String| {
            [name(side.values.name), side.biases.as_ref().map(|biases| name(biases.name)).unwrap_or_default()]
        };
        let read_inputs = [rows.before.clone(), clocks.before.clone()].into_iter().chain(common.clone());
        let read_outputs = [rows.read.clone(), clocks.read.clone()].into_iter().chain(name(lookup_name));
        reads.push(node(READ, number, read_inputs.collect(), read_outputs.collect()));
        let learn_inputs = [rows.read.clone(), clocks.read.clone()].into_iter().chain(common).chain(name(slope_name));
        proto.node.push(node(LEARN, number, learn_inputs.collect(), vec![rows.after.clone(), clocks.after.clone()]));
        for (owned, element) in [(rows, FLOAT), (clocks, INT32)] {
            proto.input.push(value(&owned.before, element));
            proto.output.extend([value(&owned.read, element), value(&owned.after, element)]);
        }
    }
    proto.node.splice(0..0, reads);
    proto.input.extend([value(NOW, INT32), value(SETTINGS, FLOAT), value(HISTORY, FLOAT)]);
    let mut model = model_proto(proto);
    model.opset_import.push(OperatorSetIdProto { domain: Some(DOMAIN.to_owned()), version: Some(1) });
    model.encode_to_vec()
}

/// The nodes that are left to stock operators, states and inputs among them.
pub fn stock_nodes<'a>(step: &'a Step, tables: &Tables) -> impl Iterator<Item = &'a Node> {
    let live = live_nodes(step, tables);
    step.graph.nodes().iter().zip(live).filter(|(_, is_live)| *is_live).map(|(node, _)| node)
}

/// For each node whether it is left to them.
pub fn live_nodes(step: &Step, tables: &Tables) -> Vec<bool> {
    let given = given(tables);
    let mut live = onnx::live_nodes(&step.graph, &outputs(step, tables), &given);
    given.iter().for_each(|(id, _)| live[id.index()] = false);
    live
}

/// What our operators compute for them.
fn given(tables: &Tables) -> Vec<(NodeId, String)> {
    tables.columns().map(|column| (column.lookup, lookup_name(column.name))).collect()
}

/// What they compute.
fn outputs(step: &Step, tables: &Tables) -> Vec<(NodeId, String)> {
    let is_ours =
        |state: &str| tables.have(state) || tables.whole.iter().any(|whole| whole.states.iter().any(|s| s == state));
    let updates = step.updates.iter().map(|(state, next)| (*next, step.graph.label(*state)));
    let mut outputs = vec![(step.loss, LOSS.to_owned())];
    outputs.extend(updates.filter(|(_, state)| !is_ours(state)).map(|(next, state)| (next, next_name(&state))));
    outputs.extend(tables.columns().map(|column: &Column| (column.slope, slope_name(column.name))));
    outputs.extend(tables.whole.iter().map(|whole| (whole.gradient, gradient_name(whole))));
    outputs
}

fn lookup_name(table: &str) -> String {
    format!("#{table} of the batch")
}

fn slope_name(table: &str) -> String {
    format!("#slope of {table}")
}

fn gradient_name(whole: &Whole) -> String {
    whole.states.first().map(|parameter| slope_name(parameter)).unwrap_or_default()
}

fn node(operator: &str, number: usize, input: Vec<String>, output: Vec<String>) -> NodeProto {
    NodeProto {
        input,
        output,
        op_type: Some(operator.to_owned()),
        domain: Some(DOMAIN.to_owned()),
        attribute: vec![integer_attribute(NUMBER, number as i64)],
        ..NodeProto::default()
    }
}

/// A list of numbers, however long.
fn value(name: &str, elem_type: i32) -> ValueInfoProto {
    value_info_proto(name, elem_type, vec![named_dimension(&format!("size of {name}"))])
}
