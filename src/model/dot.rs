//! Factorisation with biases: `prediction = range(mu + b_u + b_i + p_u . q_i)`.
//!
//! Koren, Bell and Volinsky, Matrix Factorization Techniques for Recommender Systems (2009), equation 4, with fastai's
//! `y_range`. The card in `models/dot/` tells where it differs from both.

use crate::error::Result;
use crate::graph::{Dim, Element, Graph, NodeId, Shape};
use crate::model::{Forward, ITEM, USER};
use crate::rng::Rng;

/// The state `[U, K]` of user factors `p`.
pub const USER_FACTORS: &str = "user_factors";
/// The state `[I, K]` of item factors `q`.
pub const ITEM_FACTORS: &str = "item_factors";
/// The state `[U]` of user biases `b_u`.
pub const USER_BIAS: &str = "user_bias";
/// The state `[I]` of item biases `b_i`.
pub const ITEM_BIAS: &str = "item_bias";

/// The sizes and constants of a factorisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    /// `U`, the rows of the user tables.
    pub n_users: usize,
    /// `I`, the rows of the item tables.
    pub n_items: usize,
    /// `K`, the columns of the factor tables.
    pub n_factors: usize,
    /// Whether users and items have a bias; without, `b_u` and `b_i` are left out.
    pub bias: bool,
    /// The constant `mu`, before [`range`](Self::range) is applied; 0 leaves it out.
    pub mu: f32,
    /// `(lo, hi)`: the sum `x` becomes `lo + (hi - lo) sigmoid(x)`. None leaves it as it is.
    pub range: Option<(f32, f32)>,
}

impl Dot {
    /// Adds the inputs [`USER`] and [`ITEM`], the states and the prediction to a graph.
    ///
    /// # Errors
    /// A graph that has inputs or states of these names already.
    pub fn forward(&self, graph: &mut Graph) -> Result<Forward> {
        let user = graph.input(USER, Shape::vector(Dim::Batch), Element::Index)?;
        let item = graph.input(ITEM, Shape::vector(Dim::Batch), Element::Index)?;
        let user_factors = graph.state(USER_FACTORS, Shape::matrix(Dim::Fixed(self.n_users), self.n_factors))?;
        let item_factors = graph.state(ITEM_FACTORS, Shape::matrix(Dim::Fixed(self.n_items), self.n_factors))?;
        let mut biases = Vec::new();

        let p = graph.gather(user_factors, user)?;
        let q = graph.gather(item_factors, item)?;
        let products = graph.mul(p, q)?;
        let mut sum = graph.sum_columns(products)?;
        if self.bias {
            let sides = [(USER_BIAS, self.n_users, user), (ITEM_BIAS, self.n_items, item)];
            for (name, n_rows, rows) in sides {
                let table = graph.state(name, Shape::vector(Dim::Fixed(n_rows)))?;
                let bias = graph.gather(table, rows)?;
                sum = graph.add(sum, bias)?;
                biases.push(table);
            }
        }
        let mu = graph.constant(self.mu);
        let sum = graph.add(sum, mu)?;
        let prediction = self.ranged(graph, sum)?;
        Ok(Forward { prediction, factors: vec![user_factors, item_factors], biases })
    }

    /// Fresh parameters by name: factors and biases alike from a normal distribution of which `std` is the deviation
    /// before it is truncated at two deviations. Each table has a generator of its own.
    pub fn initial(&self, rng: &Rng, std: f32) -> Vec<(String, Vec<f32>)> {
        let mut tables =
            vec![(USER_FACTORS, self.n_users * self.n_factors), (ITEM_FACTORS, self.n_items * self.n_factors)];
        if self.bias {
            tables.extend([(USER_BIAS, self.n_users), (ITEM_BIAS, self.n_items)]);
        }
        tables
            .into_iter()
            .map(|(name, length)| {
                let mut draws = rng.fork(name);
                (name.to_owned(), (0..length).map(|_| draws.truncated_normal(f64::from(std)) as f32).collect())
            })
            .collect()
    }

    /// `lo + (hi - lo) sigmoid(x)`, or `x`.
    fn ranged(&self, graph: &mut Graph, x: NodeId) -> Result<NodeId> {
        let Some((lo, hi)) = self.range else { return Ok(x) };
        let share = graph.sigmoid(x)?;
        let width = graph.constant(hi - lo);
        let above = graph.mul(share, width)?;
        let floor = graph.constant(lo);
        graph.add(above, floor)
    }
}
