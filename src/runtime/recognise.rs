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
