//! What is recognised as plain factorisation: every form of it with its constants, and nothing that differs from it in a node.

use cofi::graph::optimiser::{Optimiser, Reach, Rule};
use cofi::graph::{Graph, Node, NodeId, Op, Step};
use cofi::model::{Architecture, Biases, Mlp, Model, Objective, StepOptions, training_step};
use cofi::runtime::{Factorisation, StepRule, recognise};

use crate::fuzzed::copies::with_node;

const ADAMW: Rule = Rule::AdamW { beta2: 0.99, eps: 1e-5 };
const ADAM: Rule = Rule::Adam { beta2: 0.999, eps: 1e-8 };

/// Rule, weight decay, reach, and what is to be found: `decays`, `penalty`.
const OPTIMISERS: [(Rule, f64, Reach, StepRule, bool, f32); 9] = [
    (ADAMW, 0.2, Reach::EveryRow, StepRule::AdamW, true, 0.0),
    (ADAMW, 0.0, Reach::EveryRow, StepRule::AdamW, false, 0.0),
    (ADAMW, 0.2, Reach::BatchRows, StepRule::AdamW, true, 0.0),
    (ADAMW, 0.0, Reach::BatchRows, StepRule::AdamW, false, 0.0),
    (ADAM, 0.25, Reach::EveryRow, StepRule::Adam, false, 0.25),
    (ADAM, 0.0, Reach::BatchRows, StepRule::Adam, false, 0.0),
    (Rule::Sgd, 1.0, Reach::EveryRow, StepRule::Sgd, false, 1.0),
    (Rule::Sgd, 0.0, Reach::EveryRow, StepRule::Sgd, false, 0.0),
    (Rule::Sgd, 0.0, Reach::BatchRows, StepRule::Sgd, false, 0.0),
];

const OBJECTIVES: [Objective; 3] =
    [Objective::MeanSquaredError, Objective::HalfSquaredSum, Objective::CrossEntropy { n_classes: 5 }];

#[test]
fn every_form_is_recognised_with_its_constants() {
    let mut n_forms = 0;
    for (rule, weight_decay, reach, step_rule, decays, penalty) in OPTIMISERS {
        let optimiser = Optimiser { rule, weight_decay, reach };
        for objective in OBJECTIVES {
            for (biases, user_bias, item_bias) in
                [(Biases::Neither, false, false), (Biases::Users, true, false), (Biases::Both, true, true)]
            {
                for (mu, range) in [(0.0, None), (0.3, None), (0.0, Some((0.5, 5.5))), (-1.0, Some((0.0, 1.0)))] {
                    for is_weighted in [false, true] {
                        let model = Model { biases, mu, range, objective, ..dot() };
                        let options = StepOptions { is_weighted, ..StepOptions::default() };
                        let step = training_step(&model, &optimiser, options).unwrap();
                        let range = range.map(|(lo, hi)| (hi - lo, lo));
                        let expected = Factorisation {
                            n_users: 13,
                            n_items: 11,
                            width: 6,
                            user_bias,
                            item_bias,
                            mu,
                            range,
                            objective,
                            is_weighted,
                            rule: step_rule,
                            reach,
                            penalty,
                            decays,
                        };
                        assert_eq!(recognise(&step), Some(expected));
                        n_forms += 1;
                    }
                }
            }
        }
    }
    assert_eq!(n_forms, 9 * 3 * 3 * 4 * 2);
}

/// Whatever numbers a model has: also those that a guess has in their place, and those that other nodes have.
#[test]
fn constants_are_read_whatever_they_are() {
    let optimiser = Optimiser { rule: ADAM, weight_decay: 19.0, reach: Reach::EveryRow };
    for mu in [1.0, -1.0, 3.25, 7.0, 0.5, 1e-30] {
        for (lo, hi) in [(0.0, 1.0), (7.0, 26.0), (3.25, 14.25), (-1.0, 0.0)] {
            let model = Model { mu, range: Some((lo, hi)), ..dot() };
            let found = recognise(&training_step(&model, &optimiser, StepOptions::default()).unwrap()).unwrap();
            assert_eq!((found.mu, found.range, found.penalty), (mu, Some((hi - lo, lo)), 19.0));
        }
    }
}

#[test]
fn other_steps_are_not_recognised() {
    let adamw = Optimiser { rule: ADAMW, weight_decay: 0.2, reach: Reach::EveryRow };
    let plain = StepOptions::default();
    let mlp = Architecture::Mlp(Mlp { hidden: vec![4], dropout: 0.0 });
    for (what, model, options) in [
        ("layers", Model { architecture: mlp, ..dot() }, plain),
        ("a penalty", dot(), StepOptions { l2: 0.1, ..plain }),
        ("gradients that accumulate", dot(), StepOptions { accumulates: true, ..plain }),
    ] {
        for reach in [Reach::EveryRow, Reach::BatchRows] {
            let Ok(step) = training_step(&model, &Optimiser { reach, ..adamw }, options) else { continue };
            assert_eq!(recognise(&step), None, "{what}");
        }
    }
    let mut graph = Graph::new();
    let loss = graph.constant(1.0);
    assert_eq!(recognise(&Step { graph, loss, updates: Vec::new() }), None);
}

#[test]
fn a_step_that_differs_in_a_node_is_not_recognised() {
    for (number, (rule, weight_decay, reach, ..)) in OPTIMISERS.into_iter().enumerate() {
        let objective = OBJECTIVES[number % 3];
        let range = (number % 2 == 0).then_some((0.5, 5.5));
        let model = Model { mu: 0.3, range, objective, ..dot() };
        let optimiser = Optimiser { rule, weight_decay, reach };
        let options = StepOptions { is_weighted: number % 2 == 1, ..StepOptions::default() };
        let step = training_step(&model, &optimiser, options).unwrap();
        let known = recognise(&step).unwrap();
        let (mut n_read, mut n_changed) = (0, 0);
        for id in 0..step.graph.nodes().len() {
            let changes = changes(&step.graph, id);
            assert!(!changes.is_empty(), "{} is not changed", step.graph.nodes()[id].op.name());
            for op in changes {
                let changed = with_node(&step, id, &op).unwrap();
                match recognise(&changed) {
                    None => n_changed += 1,
                    Some(found) => {
                        assert!(matches!(op, Op::Constant(_)), "%{id} as {op:?} is taken for {found:?}");
                        assert_ne!(found, known, "%{id} as {op:?} is not seen");
                        n_read += 1;
                    }
                }
            }
        }
        // The mean and the two numbers of a range; a penalty stands at each parameter that decays, so one that differs is none.
        assert_eq!(n_read, 1 + 2 * usize::from(range.is_some()), "{rule:?} {reach:?}");
        assert!(n_changed > 2 * step.graph.nodes().len(), "{n_changed}");

        let [.., (last, _)] = step.updates[..] else { panic!("no updates") };
        let mut swapped = step.clone();
        let end = swapped.updates.len() - 1;
        swapped.updates.swap(0, end);
        let mut shorter = step.clone();
        shorter.updates.pop();
        for other in [swapped, shorter, Step { loss: last, ..step }] {
            assert_eq!(recognise(&other), None);
        }
    }
}

/// What a node might be instead: another operation or number, a name, or each operand another node of its shape; none changes
/// the shape of the result.
fn changes(graph: &Graph, id: usize) -> Vec<Op> {
    let Node { op, .. } = &graph.nodes()[id];
    let others: Vec<NodeId> = graph.iter().map(|(other, _)| other).take(id).collect();
    let alike = |operand: &NodeId| -> Option<NodeId> {
        let fits = |other: &&NodeId| {
            let (a, b) = (graph.node(**other), graph.node(*operand));
            **other != *operand && a.shape == b.shape && a.element == b.element
        };
        others.iter().rev().find(fits).copied()
    };
    let mut changes = match op.clone() {
        Op::Input { name } => vec![Op::Input { name: format!("{name}2") }],
        Op::State { name } => vec![Op::State { name: format!("{name}2") }],
        Op::Constant(value) => vec![Op::Constant(value + 0.5)],
        Op::Add(a, b) => vec![Op::Sub(a, b), Op::Mul(a, b)],
        Op::Sub(a, b) => vec![Op::Add(a, b), Op::Div(a, b)],
        Op::Mul(a, b) => vec![Op::Div(a, b), Op::Add(a, b)],
        Op::Div(a, b) => vec![Op::Mul(a, b), Op::Sub(a, b)],
        Op::Sqrt(a) => vec![Op::Exp(a), Op::Relu(a)],
        Op::Sigmoid(a) => vec![Op::Exp(a), Op::Relu(a)],
        Op::Relu(a) | Op::Sign(a) => vec![Op::Exp(a), Op::Sqrt(a)],
        Op::Exp(a) | Op::LogSoftmax(a) => vec![Op::Relu(a), Op::Sign(a)],
        Op::SumAll(a) => vec![Op::Count(a)],
        Op::Count(a) => vec![Op::SumAll(a)],
        _ => Vec::new(),
    };
    for operand in op.inputs() {
        let Some(other) = alike(&operand) else { continue };
        changes.push(mapped(op, |id| if id == operand { other } else { id }));
    }
    changes
}

/// An operation with other operands.
fn mapped(op: &Op, map: impl Fn(NodeId) -> NodeId) -> Op {
    match op.clone() {
        Op::Add(a, b) => Op::Add(map(a), map(b)),
        Op::Sub(a, b) => Op::Sub(map(a), map(b)),
        Op::Mul(a, b) => Op::Mul(map(a), map(b)),
        Op::Div(a, b) => Op::Div(map(a), map(b)),
        Op::Sqrt(a) => Op::Sqrt(map(a)),
        Op::Sigmoid(a) => Op::Sigmoid(map(a)),
        Op::Relu(a) => Op::Relu(map(a)),
        Op::Sign(a) => Op::Sign(map(a)),
        Op::Exp(a) => Op::Exp(map(a)),
        Op::LogSoftmax(a) => Op::LogSoftmax(map(a)),
        Op::SumColumns(a) => Op::SumColumns(map(a)),
        Op::SumRows(a) => Op::SumRows(map(a)),
        Op::SumAll(a) => Op::SumAll(map(a)),
        Op::Count(a) => Op::Count(map(a)),
        Op::OneHot { rows, n_columns } => Op::OneHot { rows: map(rows), n_columns },
        Op::Gather { table, rows } => Op::Gather { table: map(table), rows: map(rows) },
        Op::ScatterAdd { rows, values, n_rows } => Op::ScatterAdd { rows: map(rows), values: map(values), n_rows },
        Op::RepeatColumns { values, n_columns } => Op::RepeatColumns { values: map(values), n_columns },
        Op::RepeatRows { values, like } => Op::RepeatRows { values: map(values), like: map(like) },
        Op::Broadcast { value, like } => Op::Broadcast { value: map(value), like: map(like) },
        op => op,
    }
}

fn dot() -> Model {
    Model {
        n_users: 13,
        n_items: 11,
        user_width: 6,
        item_width: 6,
        architecture: Architecture::Dot,
        biases: Biases::Both,
        mu: 0.25,
        range: Some((0.5, 5.5)),
        objective: Objective::MeanSquaredError,
    }
}
