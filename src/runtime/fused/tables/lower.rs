//! The model of a step with its tables in our operators.

use prost::Message;

use crate::graph::{Node, NodeId, Step};
use crate::runtime::fused::context::DOMAIN;
use crate::runtime::fused::tables::operators::{LEARN, READ, SIDE};
use crate::runtime::fused::tables::recognise::{Column, Tables};
use crate::runtime::onnx::{LOSS, live_nodes, lower_part, model_proto, next_name};
use crate::runtime::proto::{
    DimensionProto, FLOAT, INT32, NodeProto, OperatorSetIdProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto, integer_attribute,
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
    let slopes: Vec<String> = tables.columns().map(|column| slope_name(column)).collect();
    proto.output.retain(|output| !output.name.as_ref().is_some_and(|name| slopes.contains(name)));
    let mut reads = Vec::new();
    for (number, side) in tables.sides.iter().enumerate() {
        let (rows, clocks) = (Owned::rows(side.index), Owned::clocks(side.index));
        let common = [side.index.to_owned(), NOW.to_owned(), SETTINGS.to_owned(), HISTORY.to_owned()];
        let name = |name: fn(&Column) -> String| {
            [name(&side.values), side.biases.as_ref().map(name).unwrap_or_default()].into_iter()
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
    let live = live_nodes(&step.graph, &outputs(step, tables), &given(tables));
    step.graph.nodes().iter().zip(live).filter(|(_, is_live)| *is_live).map(|(node, _)| node)
}

fn given(tables: &Tables) -> Vec<(NodeId, String)> {
    tables.columns().map(|column| (column.lookup, lookup_name(column))).collect()
}

/// What the stock operators compute.
fn outputs(step: &Step, tables: &Tables) -> Vec<(NodeId, String)> {
    let label = |state: NodeId| step.graph.label(state);
    let others = step.updates.iter().filter(|(state, _)| !tables.have(&label(*state)));
    let mut outputs = vec![(step.loss, LOSS.to_owned())];
    outputs.extend(others.map(|(state, next)| (*next, next_name(&label(*state)))));
    outputs.extend(tables.columns().map(|column| (column.slope, slope_name(column))));
    outputs
}

fn lookup_name(column: &Column) -> String {
    format!("#{} of the batch", column.name)
}

fn slope_name(column: &Column) -> String {
    format!("#slope of {}", column.name)
}

fn node(operator: &str, side: usize, input: Vec<String>, output: Vec<String>) -> NodeProto {
    NodeProto {
        input,
        output,
        op_type: Some(operator.to_owned()),
        domain: Some(DOMAIN.to_owned()),
        attribute: vec![integer_attribute(SIDE, side as i64)],
        ..NodeProto::default()
    }
}

/// A list of numbers, however long.
fn value(name: &str, elem_type: i32) -> ValueInfoProto {
    let dim = vec![DimensionProto { dim_value: None, dim_param: Some(format!("size of {name}")) }];
    let tensor_type = TensorTypeProto { elem_type: Some(elem_type), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}
