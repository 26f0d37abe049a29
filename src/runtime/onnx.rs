//! Lowers graphs to ONNX models: stock operators only, one arm per operation.
//!
//! The inputs of a step's model are the step's inputs and states under their own names, its outputs [`LOSS`] and for each state
//! [`next_name`]. The batch size stays symbolic. What nothing reads is left out.

use prost::Message;

use crate::graph::{Dim, Element, Graph, Node, NodeId, Op, Shape, Step};
use crate::runtime::proto::{
    AttributeProto, DimensionProto, FLOAT, GraphProto, INT32, INT64, ModelProto, OperatorSetIdProto, ValueInfoProto,
    integer_attribute, named_dimension, node_proto, string_attribute, tensor, tensor_attribute, value_info_proto,
};

/// The output that holds the loss of the batch. Names of users of the graph have no `#`.
pub const LOSS: &str = "#loss";

/// The operator set: the first whose `ScatterElements` adds and whose `ReduceSum` takes its axes as an input.
const OPSET_VERSION: i64 = 18;
/// The version of the format that came with that operator set; every ONNX Runtime since 1.14 reads it.
const IR_VERSION: i64 = 8;
/// The symbolic dimension.
const BATCH: &str = "B";

/// The output that holds the value of a state after the step.
pub fn next_name(state: &str) -> String {
    format!("{state}#next")
}

/// The bytes of the model of a step that passes [`Step::check_in_place`].
pub fn lower(step: &Step) -> Vec<u8> {
    let mut outputs = vec![(step.loss, LOSS.to_owned())];
    outputs.extend(step.updates.iter().map(|(state, next)| (*next, next_name(&step.graph.label(*state)))));
    model_bytes(graph_proto(&step.graph, "step", outputs, &[], &[], None))
}

/// A whole step of batches of one size, from values that somebody else gives under these names, those of all inputs and states, to the
/// given outputs. What it knows of the size is constant: nothing in it asks for a shape.
pub fn lower_body(
    graph: &Graph,
    given: &[(NodeId, String)],
    outputs: Vec<(NodeId, String)>,
    batch: usize,
) -> GraphProto {
    graph_proto(graph, "body", outputs, &[], given, Some(batch))
}

/// A part of a step: from nodes whose values somebody else gives, under these names, to the given outputs. Its inputs are those of
/// the graph.
pub fn lower_part(graph: &Graph, given: &[(NodeId, String)], outputs: Vec<(NodeId, String)>) -> GraphProto {
    graph_proto(graph, "step", outputs, &[], given, None)
}

/// A forward pass with the given outputs, the values of its states written into it. Its inputs are those of the graph, under
/// their own names; names with a `#` are its own.
pub fn lower_forward(graph: &Graph, outputs: &[(NodeId, &str)], parameters: &[(String, Vec<f32>)]) -> GraphProto {
    let outputs = outputs.iter().map(|(id, name)| (*id, (*name).to_owned())).collect();
    graph_proto(graph, "forward", outputs, parameters, &[], None)
}

/// The bytes of a model of one graph.
pub fn model_bytes(graph: GraphProto) -> Vec<u8> {
    model_proto(graph).encode_to_vec()
}

/// A model of one graph.
pub fn model_proto(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some("cofi".to_owned()),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET_VERSION) }],
        ..ModelProto::default()
    }
}

/// A graph as ONNX has it; a state that `parameters` have values of is a constant, else an input. `given` are values of others. `batch`
/// is `B` where it is always the same.
fn graph_proto(
    graph: &Graph,
    name: &str,
    outputs: Vec<(NodeId, String)>,
    parameters: &[(String, Vec<f32>)],
    given: &[(NodeId, String)],
    batch: Option<usize>,
) -> GraphProto {
    let values = vec![String::new(); graph.nodes().len()];
    let mut writer = Writer { graph, batch, values, proto: GraphProto::default() };
    let live = live_nodes(graph, &outputs, given);
    for (id, node) in graph.iter() {
        if let Some((_, name)) = given.iter().find(|(other, _)| *other == id) {
            writer.values[id.index()].clone_from(name);
            continue;
        }
        match &node.op {
            Op::Input { name } | Op::State { name } => {
                match parameters.iter().find(|(other, _)| matches!(node.op, Op::State { .. }) && other == name) {
                    Some((_, values)) => writer.parameter(id, name, node, values),
                    None => writer.input(id, name, node),
                }
            }
            _ if live[id.index()] => writer.node(id, node),
            _ => {}
        }
    }
    for (id, name) in outputs {
        writer.output(id, name);
    }
    writer.proto.name = Some(name.to_owned());
    writer.proto
}

/// For each node whether an output depends on it, as far as that is not given.
pub fn live_nodes(graph: &Graph, outputs: &[(NodeId, String)], given: &[(NodeId, String)]) -> Vec<bool> {
    let mut live = vec![false; graph.nodes().len()];
    for (id, _) in outputs {
        live[id.index()] = true;
    }
    for (index, node) in graph.nodes().iter().enumerate().rev() {
        if live[index] && !given.iter().any(|(id, _)| id.index() == index) {
            for input in node.op.inputs() {
                live[input.index()] = true;
            }
        }
    }
    live
}

/// Writes a graph as ONNX, node by node.
pub struct Writer<'a> {
    /// What is written.
    pub graph: &'a Graph,
    /// `B`, where it is known.
    batch: Option<usize>,
    /// The name of each node's value, filled in graph order.
    values: Vec<String>,
    proto: GraphProto,
}

impl Writer<'_> {
    fn node(&mut self, id: NodeId, node: &Node) {
        let value = match &node.op {
            Op::Input { .. } | Op::State { .. } => return,
            Op::Constant(value) => self.floats(&[], &[*value]),
            Op::Add(a, b) => self.binary("Add", *a, *b),
            Op::Sub(a, b) => self.binary("Sub", *a, *b),
            Op::Mul(a, b) => self.binary("Mul", *a, *b),
            Op::Div(a, b) => self.binary("Div", *a, *b),
            Op::Sqrt(a) => self.unary("Sqrt", *a),
            Op::Sigmoid(a) => self.unary("Sigmoid", *a),
            Op::Gather { table, rows } => self.binary("Gather", *table, *rows),
            Op::ScatterAdd { rows, values, .. } => self.scatter_add(*rows, *values, &node.shape),
            Op::Relu(a) => self.unary("Relu", *a),
            Op::Sign(a) => self.unary("Sign", *a),
            Op::Exp(a) => self.unary("Exp", *a),
            Op::MatMul { a, b, transpose_a, transpose_b } => self.matmul((*a, *transpose_a), (*b, *transpose_b)),
            Op::LogSoftmax(a) => self.apply("LogSoftmax", &[&self.value(*a)], vec![integer_attribute("axis", 1)]),
            Op::OneHot { rows, n_columns } => self.one_hot(*rows, *n_columns),
            Op::SumColumns(a) => self.sum(*a, 1),
            Op::SumRows(a) => self.sum(*a, 0),
            Op::SumAll(a) => self.apply("ReduceSum", &[&self.value(*a)], vec![integer_attribute("keepdims", 0)]),
            Op::RepeatColumns { values, n_columns } => self.repeat_columns(*values, *n_columns),
            Op::RepeatRows { values, like } => self.expand(*values, *like),
            Op::Broadcast { value, like } => self.expand(*value, *like),
            Op::Count(a) => self.count(*a),
        };
        self.values[id.index()] = value;
    }

    fn one_hot(&mut self, rows: NodeId, n_columns: usize) -> String {
        let depth = self.initializer(&[], INT32, &(n_columns as i32).to_le_bytes());
        let values = self.floats(&[2], &[0.0, 1.0]);
        self.apply("OneHot", &[&self.value(rows), &depth, &values], vec![integer_attribute("axis", 1)])
    }

    /// The sum over one dimension.
    fn sum(&mut self, a: NodeId, axis: i64) -> String {
        let axes = self.integers(&[axis]);
        self.apply("ReduceSum", &[&self.value(a), &axes], vec![integer_attribute("keepdims", 0)])
    }

    /// Zeros, then `ScatterElements`: the CPU's `ScatterND` loses additions to a repeated row when it has several
    /// threads (seen in ONNX Runtime 1.31), so the row numbers are repeated along the columns instead.
    fn scatter_add(&mut self, rows: NodeId, values: NodeId, shape: &Shape) -> String {
        let sizes: Vec<i64> = shape.sizes(0).iter().map(|size| *size as i64).collect();
        let sizes_name = self.integers(&sizes);
        let zero = tensor("value", &[1], FLOAT, &0f32.to_le_bytes());
        let zeros = self.apply("ConstantOfShape", &[&sizes_name], vec![tensor_attribute(zero)]);
        let indices = match shape.dims() {
            [_, Dim::Fixed(n_columns)] => self.repeat_columns(rows, *n_columns),
            _ => self.value(rows),
        };
        let attributes = vec![integer_attribute("axis", 0), string_attribute("reduction", "add")];
        self.apply("ScatterElements", &[&zeros, &indices, &self.value(values)], attributes)
    }

    /// `[B]` to `[B, n_columns]`.
    fn repeat_columns(&mut self, values: NodeId, n_columns: usize) -> String {
        let axes = self.integers(&[1]);
        let column = self.apply("Unsqueeze", &[&self.value(values), &axes], vec![]);
        let shape = self.integers(&[1, n_columns as i64]);
        self.apply("Expand", &[&column, &shape], vec![])
    }

    /// A value in the shape of `like`.
    fn expand(&mut self, value: NodeId, like: NodeId) -> String {
        let shape = self.shape_of(like);
        self.apply("Expand", &[&self.value(value), &shape], vec![])
    }

    fn count(&mut self, a: NodeId) -> String {
        match self.sizes(a) {
            Some(sizes) => self.floats(&[], &[sizes.iter().product::<i64>() as f32]),
            None => {
                let size = self.unary("Size", a);
                self.apply("Cast", &[&size], vec![integer_attribute("to", FLOAT.into())])
            }
        }
    }

    /// The name of a value that holds the sizes of a node.
    fn shape_of(&mut self, a: NodeId) -> String {
        match self.sizes(a) {
            Some(sizes) => self.integers(&sizes),
            None => self.unary("Shape", a),
        }
    }

    /// The sizes of a node, where all are known.
    fn sizes(&self, a: NodeId) -> Option<Vec<i64>> {
        let shape = self.graph.shape(a);
        let batch = if shape.dims().contains(&Dim::Batch) { self.batch? } else { 0 };
        Some(shape.sizes(batch).into_iter().map(|size| size as i64).collect())
    }

    fn unary(&mut self, operator: &str, a: NodeId) -> String {
        self.apply(operator, &[&self.value(a)], vec![])
    }

    fn binary(&mut self, operator: &str, a: NodeId, b: NodeId) -> String {
        self.apply(operator, &[&self.value(a), &self.value(b)], vec![])
    }

    /// The name of a node's value.
    pub fn value(&self, id: NodeId) -> String {
        self.values[id.index()].clone()
    }

    fn input(&mut self, id: NodeId, name: &str, node: &Node) {
        self.proto.input.push(value_info(name, node));
        self.values[id.index()] = name.to_owned();
    }

    fn parameter(&mut self, id: NodeId, name: &str, node: &Node, values: &[f32]) {
        let sizes: Vec<i64> = node.shape.sizes(0).iter().map(|size| *size as i64).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.proto.initializer.push(tensor(name, &sizes, FLOAT, &bytes));
        self.values[id.index()] = name.to_owned();
    }

    /// Gives a node's value to the caller. The operation that computes it writes there itself, where one does: a copy of
    /// every state would cost as much as an operation on it.
    fn output(&mut self, id: NodeId, name: String) {
        let value = self.value(id);
        self.proto.output.push(value_info(&name, self.graph.node(id)));
        let computed = self.proto.node.iter().any(|node| node.output.contains(&value));
        let given = self.proto.output.iter().any(|output| output.name.as_ref() == Some(&value));
        if computed && !given {
            self.rename(&value, &name);
            self.values[id.index()] = name;
        } else {
            self.proto.node.push(node_proto("Identity", &[&value], &name, vec![]));
        }
    }

    fn rename(&mut self, before: &str, after: &str) {
        let names = self.proto.node.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
        for name in names.filter(|name| *name == before) {
            after.clone_into(name);
        }
    }

    /// The name of the value of one operator more.
    pub fn apply(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("#{}", self.proto.node.len());
        self.proto.node.push(node_proto(operator, inputs, &output, attributes));
        output
    }

    fn floats(&mut self, sizes: &[i64], values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(sizes, FLOAT, &bytes)
    }

    /// The name of a list of numbers.
    pub fn integers(&mut self, values: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(&[values.len() as i64], INT64, &bytes)
    }

    fn initializer(&mut self, sizes: &[i64], data_type: i32, bytes: &[u8]) -> String {
        let name = format!("#constant{}", self.proto.initializer.len());
        self.proto.initializer.push(tensor(&name, sizes, data_type, bytes));
        name
    }
}

/// A node's value under a name.
pub fn value_info(name: &str, node: &Node) -> ValueInfoProto {
    let dim = node.shape.dims().iter().map(|dim| match dim {
        Dim::Fixed(size) => DimensionProto { dim_value: Some(*size as i64), dim_param: None },
        Dim::Batch => named_dimension(BATCH),
    });
    value_info_proto(name, element_type(node.element), dim.collect())
}

/// What ONNX calls the elements of a tensor.
pub fn element_type(element: Element) -> i32 {
    match element {
        Element::Float => FLOAT,
        Element::Index => INT32,
    }
}
