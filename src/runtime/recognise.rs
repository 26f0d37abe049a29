//! Tells whether a step is that of a plain factorisation.

use crate::graph::optimiser::{Reach, Rule};
use crate::model::Objective;

/// A step of a plain factorisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Factorisation {
    pub n_users: usize,
    pub n_items: usize,
    pub width: usize,
    pub user_bias: bool,
    pub item_bias: bool,
    pub mu: f32,
    pub range: Option<(f32, f32)>,
    pub objective: Objective,
    pub is_weighted: bool,
    pub rule: Rule,
    pub reach: Reach,
    pub penalty: f32,
    pub decays: bool,
}

/// PROVISIONAL
pub fn recognise(step: &crate::graph::Step) -> Option<Factorisation> {
    use crate::graph::{Dim, Op};
    use crate::model::*;
    let graph = &step.graph;
    let shape = |name: &str| graph.named_node(name).map(|id| graph.shape(id).dims().to_vec());
    if graph.named_node("layer1.bias").is_some() || graph.named_node("share.data").is_some() {
        return None;
    }
    let (Dim::Fixed(n_users), Dim::Fixed(width)) = (shape(USER_FACTORS)?[0], shape(USER_FACTORS)?[1]) else {
        return None;
    };
    let Dim::Fixed(n_items) = shape(ITEM_FACTORS)?[0] else { return None };
    let mut mu = 0.0;
    let mut range = None;
    let consts: Vec<(usize, f32)> = graph
        .iter()
        .filter_map(|(id, n)| match n.op {
            Op::Constant(c) => Some((id.index(), c)),
            _ => None,
        })
        .collect();
    let sig = graph.iter().find(|(_, n)| matches!(n.op, Op::Sigmoid(_))).map(|(id, _)| id.index());
    let rating = graph.named_node(RATING).or(graph.named_node(CLASS)).unwrap().index();
    for (at, c) in consts.iter().filter(|c| c.0 < rating) {
        if sig.is_none_or(|s| *at < s) {
            mu = *c
        }
    }
    if let Some(s) = sig {
        let after: Vec<f32> = consts.iter().filter(|c| c.0 > s).map(|c| c.1).collect();
        range = Some((after[0], after[1]));
    }
    let has = |name: &str| graph.named_node(name).is_some();
    let objective = match shape(CLASS_WEIGHTS) {
        Some(d) => match d[0] {
            Dim::Fixed(n_classes) => Objective::CrossEntropy { n_classes },
            _ => return None,
        },
        None => Objective::MeanSquaredError,
    };
    Some(Factorisation {
        n_users,
        n_items,
        width,
        user_bias: has(USER_BIAS),
        item_bias: has(ITEM_BIAS),
        mu,
        range,
        objective,
        is_weighted: has(WEIGHT),
        rule: if has("adamw.beta1") {
            Rule::AdamW { beta2: 0.0, eps: 0.0 }
        } else if has("adam.beta1") {
            Rule::Adam { beta2: 0.0, eps: 0.0 }
        } else {
            Rule::Sgd
        },
        reach: if has("user_factors.clock") { Reach::BatchRows } else { Reach::EveryRow },
        penalty: 0.0,
        decays: true,
    })
}
