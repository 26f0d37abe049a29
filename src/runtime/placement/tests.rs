//! Whether the CUDA provider has a kernel for every node that a training over kept ratings runs, by its published table; what a GPU says
//! itself is [`OnnxEngine::check_placement`].

use std::collections::BTreeMap;

use super::*;
use crate::graph::optimiser::{Optimiser, Reach, Rule};
use crate::model::{Architecture, Biases, Mlp, Model, Objective, StepOptions, training_step};
use crate::runtime::onnx::model_proto;
use crate::runtime::proto::{FLOAT, GraphProto, INT32, INT64, node_proto, tensor};
use crate::runtime::scan::{order_proto, steps_proto};

const KERNELS: &str = include_str!("../../../tests/fixtures/cuda_kernels.tsv");

/// A line of the table.
struct Kernel<'a> {
    operator: &'a str,
    first: i64,
    last: i64,
    /// The elements of each input, and whether it is read in the CPU's memory.
    inputs: Vec<(Vec<&'a str>, bool)>,
}

#[test]
fn cuda_has_a_kernel_for_every_node() {
    let kernels = kernels();
    let mut seen = BTreeMap::new();
    for (name, step) in steps() {
        for batch in [1, 7, 16_384] {
            let missing = missing(&steps_proto(&step, batch), &BTreeMap::new(), &kernels, &mut seen);
            assert!(missing.is_empty(), "{name}, {batch}: {missing:#?}");
        }
    }
    for n_ratings in [1_000, 1_024] {
        let missing = missing(&order_proto(64, n_ratings), &BTreeMap::new(), &kernels, &mut seen);
        assert!(missing.is_empty(), "the order of {n_ratings}: {missing:#?}");
    }
    // The steps here have all there is: what layers and classes need, too.
    for operator in ["Scan", "OneHot", "LogSoftmax", "Gemm", "Slice", "ScatterElements", "Sign", "Mod", "Concat"] {
        assert!(seen.contains_key(operator), "{operator} is in none of the steps");
    }
}

#[test]
fn a_node_without_a_kernel_is_found() {
    let found = |operator: &str, inputs: &[&str]| {
        let mut proto = order_proto(64, 1_000);
        proto.initializer.push(tensor("#float", &[], FLOAT, &0f32.to_le_bytes()));
        proto.initializer.push(tensor("#long", &[1], INT64, &0i64.to_le_bytes()));
        proto.node.push(node_proto(operator, inputs, "#planted", vec![]));
        missing(&proto, &BTreeMap::new(), &kernels(), &mut BTreeMap::new())
    };
    assert!(found("Add", &["#float", "#float"]).is_empty());
    for (operator, inputs) in [
        ("Shape", &["#order"][..]),
        ("Where", &["#float", "#float", "#float"]),
        ("Exp", &["#order"]),
        ("Gather", &["#order", "#float"]),
        // A shape that is computed.
        ("Expand", &["#float", "#order"]),
        // One of the three combinations alone.
        ("OneHot", &["#order", "#long", "#float"]),
    ] {
        let missing = found(operator, inputs);
        assert!(missing.len() == 1 && missing[0].starts_with(operator), "{missing:?}");
    }
}

/// What a graph, and those inside it, have that no kernel computes; `outer` are the elements of values around it, `seen` gets the operators.
fn missing(
    graph: &GraphProto,
    outer: &BTreeMap<String, i32>,
    kernels: &[Kernel<'_>],
    seen: &mut BTreeMap<String, ()>,
) -> Vec<String> {
    let mut elements = outer.clone();
    for value in graph.input.iter().chain(&graph.output) {
        let tensor = value.r#type.as_ref().and_then(|declared| declared.tensor_type.as_ref()).unwrap();
        elements.insert(value.name.clone().unwrap(), tensor.elem_type.unwrap());
    }
    let constants: BTreeMap<_, _> = graph
        .initializer
        .iter()
        .map(|constant| (constant.name.clone().unwrap(), constant.data_type.unwrap()))
        .collect();
    elements.extend(constants.clone());
    let mut missing = Vec::new();
    for node in &graph.node {
        let operator = node.op_type.as_deref().unwrap();
        seen.insert(operator.to_owned(), ());
        for inside in node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()) {
            missing.extend(self::missing(inside, &elements, kernels, seen));
        }
        let found: Vec<i32> = node.input.iter().map(|input| elements[input]).collect();
        let opset = model_proto(GraphProto::default()).opset_import[0].version.unwrap();
        let computes = |kernel: &&Kernel<'_>| {
            let inputs = node.input.iter().zip(&found).enumerate().all(|(place, (input, element))| {
                let of_all = kernel.inputs.len() == 1;
                let Some((elements, on_cpu)) = kernel.inputs.get(if of_all { 0 } else { place }) else { return false };
                elements.contains(&element_name(*element)) && (!on_cpu || constants.contains_key(input))
            });
            kernel.operator == operator && (kernel.first..=kernel.last).contains(&opset) && inputs
        };
        if !kernels.iter().any(|kernel| computes(&kernel)) {
            let of: Vec<_> = node.input.iter().zip(&found).map(|(name, of)| (name, element_name(*of))).collect();
            missing.push(format!("{operator} {:?} of {of:?}", node.output));
        }
        let result = match operator {
            "ConstantOfShape" => FLOAT,
            "OneHot" => found[2],
            _ => found[0],
        };
        for output in &node.output {
            elements.entry(output.clone()).or_insert(result);
        }
    }
    missing
}

fn element_name(element: i32) -> &'static str {
    match element {
        FLOAT => "float",
        INT32 => "int32",
        INT64 => "int64",
        _ => "another",
    }
}

fn kernels() -> Vec<Kernel<'static>> {
    let lines = KERNELS.lines().filter(|line| !line.starts_with('#'));
    let kernel = |line: &'static str| {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap();
        let (operator, first, last) = (next(), next().parse().unwrap(), next());
        let input = |field: &'static str| {
            let (elements, on_cpu) = field.strip_suffix(" cpu").map_or((field, false), |elements| (elements, true));
            (elements.split(',').collect(), on_cpu)
        };
        let last = if last == "-" { i64::MAX } else { last.parse().unwrap() };
        Kernel { operator, first, last, inputs: fields.map(input).collect() }
    };
    lines.map(kernel).collect()
}

/// Steps of all models, rules and reaches.
fn steps() -> Vec<(String, Step)> {
    let dot = Model {
        n_users: 30,
        n_items: 40,
        user_width: 7,
        item_width: 7,
        architecture: Architecture::Dot,
        biases: Biases::Both,
        mu: 0.3,
        range: Some((0.5, 5.5)),
        objective: Objective::MeanSquaredError,
    };
    let summed =
        Model { range: None, mu: 0.0, biases: Biases::Users, objective: Objective::HalfSquaredSum, ..dot.clone() };
    let classes = Model { objective: Objective::CrossEntropy { n_classes: 5 }, ..dot.clone() };
    let layers = |hidden: &[usize]| Architecture::Mlp(Mlp { hidden: hidden.to_vec(), dropout: 0.0 });
    let mlp = Model { architecture: layers(&[16, 8]), item_width: 5, ..dot.clone() };
    // More terms than are summed in one go.
    let wide = Model { architecture: layers(&[300, 140]), user_width: 150, ..dot.clone() };
    let (beta2, eps) = (0.99, 1e-5);
    let mut steps = Vec::new();
    for (name, model) in [("dot", dot), ("sum", summed), ("classes", classes), ("mlp", mlp), ("wide mlp", wide)] {
        for (rule, weight_decay, reach) in [
            (Rule::AdamW { beta2, eps }, 0.1, Reach::EveryRow),
            (Rule::AdamW { beta2, eps }, 0.1, Reach::BatchRows),
            (Rule::Adam { beta2, eps }, 0.1, Reach::EveryRow),
            (Rule::Sgd, 0.1, Reach::EveryRow),
            (Rule::Sgd, 0.0, Reach::BatchRows),
        ] {
            let l2 = if reach == Reach::EveryRow { 0.01 } else { 0.0 };
            let options = StepOptions { l2, is_weighted: reach == Reach::BatchRows, accumulates: false };
            let step = training_step(&model, &Optimiser { rule, weight_decay, reach }, options).unwrap();
            assert!(step.graph.can_be_resident());
            steps.push((format!("{name}, {rule:?}, {reach:?}"), step));
        }
    }
    steps
}
