//! Which function is learned: the parts of a model as graph fragments, and how they become a training step.
//!
//! Every model gives a pair of a user and an item a score, `s = range(mu + b_u + b_i + interaction(p_u, q_i))`. What the
//! interaction is, is its architecture, one a file; what becomes of the score is its [`Objective`]. Cards with formulas,
//! defaults and sources are in `models/`.

mod classes;
mod dot;
mod inference;
mod init;
mod mlp;
mod network;
mod objective;

pub use classes::{CLASS_OFFSETS, CLASS_WEIGHTS};
pub use inference::{CLASS_VALUES, Inference, inference};
pub use init::Init;
pub use mlp::{Mlp, embedding_width};
pub use network::predictor;
pub use objective::{CLASS, DATA_SHARE, Objective, PENALTY_SHARE, RATING, StepOptions, WEIGHT, training_step};

use crate::error::Result;
use crate::graph::optimiser::{Lookup, RowTable};
use crate::graph::{Dim, Element, Graph, NodeId, Shape};
use crate::rng::Rng;

/// The input `[B]` of row numbers of the users of a batch.
pub const USER: &str = "user";
/// The input `[B]` of row numbers of the items of a batch.
pub const ITEM: &str = "item";

/// The state `[U, Ku]` of user factors `p`.
pub const USER_FACTORS: &str = "user_factors";
/// The state `[I, Ki]` of item factors `q`.
pub const ITEM_FACTORS: &str = "item_factors";
/// The state `[U]` of user biases `b_u`.
pub const USER_BIAS: &str = "user_bias";
/// The state `[I]` of item biases `b_i`.
pub const ITEM_BIAS: &str = "item_bias";

/// The sizes and constants of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// `U`, the rows of the user tables.
    pub n_users: usize,
    /// `I`, the rows of the item tables.
    pub n_items: usize,
    /// `Ku`, the columns of the user factors.
    pub user_width: usize,
    /// `Ki`, the columns of the item factors.
    pub item_width: usize,
    /// What a pair of rows is worth.
    pub architecture: Architecture,
    /// Whose biases are added.
    pub biases: Biases,
    /// The constant `mu`, before [`range`](Self::range) is applied; 0 leaves it out.
    pub mu: f32,
    /// `(lo, hi)`: the sum `x` becomes `lo + (hi - lo) sigmoid(x)`. None leaves it as it is.
    pub range: Option<(f32, f32)>,
    /// What becomes of the score.
    pub objective: Objective,
}

/// What the rows of a user and an item are worth together.
#[derive(Clone, Debug, PartialEq)]
pub enum Architecture {
    /// `p_u . q_i`; both widths are equal.
    Dot,
    /// Both rows through hidden layers.
    Mlp(Mlp),
}

/// Which sides have a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Biases {
    /// None.
    Neither,
    /// Users alone.
    Users,
    /// Users and items.
    Both,
}

/// The end of a forward pass.
#[derive(Clone, Debug)]
struct Forward {
    /// `[B]`: the score of each pair.
    score: NodeId,
    /// The factor tables: what a penalty counts.
    factors: Vec<NodeId>,
    /// The states that are to be learned with weight decay, the factors first.
    decayed: Vec<NodeId>,
    /// The states that are to be learned without it. Biases: decayed, they would say less than the ratings do of users
    /// and items of which much is known, and the factors would have to make up for it.
    undecayed: Vec<NodeId>,
}

impl Model {
    /// Adds the inputs [`USER`] and [`ITEM`] and those of the architecture, the states and the score to a graph, with or without a
    /// step that updates the states while they are still read. Rows are looked up in what `prepare` makes of a table.
    ///
    /// # Errors
    /// A graph that has inputs or states of these names already; widths that the interaction cannot join; those of `prepare`.
    fn pass(
        &self,
        graph: &mut Graph,
        has_step: bool,
        mut prepare: impl FnMut(&mut Graph, Lookup) -> Result<NodeId>,
    ) -> Result<Forward> {
        let mut look_up = |graph: &mut Graph, table: NodeId, rows: NodeId, decays: bool| {
            let prepared = prepare(graph, Lookup { table, rows, decays })?;
            graph.gather(prepared, rows)
        };
        let user = graph.input(USER, Shape::vector(Dim::Batch), Element::Index)?;
        let item = graph.input(ITEM, Shape::vector(Dim::Batch), Element::Index)?;
        let user_factors = graph.state(USER_FACTORS, Shape::matrix(Dim::Fixed(self.n_users), self.user_width))?;
        let item_factors = graph.state(ITEM_FACTORS, Shape::matrix(Dim::Fixed(self.n_items), self.item_width))?;
        let factors = vec![user_factors, item_factors];
        let (mut decayed, mut undecayed) = (factors.clone(), Vec::new());

        let p = look_up(graph, user_factors, user, true)?;
        let q = look_up(graph, item_factors, item, true)?;
        let mut sum = match &self.architecture {
            Architecture::Dot => dot::interaction(graph, p, q)?,
            Architecture::Mlp(mlp) => {
                let masks = mlp.masks(graph)?;
                let states = mlp.states(graph, self.user_width, self.item_width)?;
                decayed.extend(states.iter().flat_map(|layer| &layer.weights));
                undecayed.extend(states.iter().map(|layer| layer.bias));
                let layers = match has_step {
                    true => states.iter().map(|layer| layer.snapshot(graph)).collect::<Result<Vec<_>>>()?,
                    false => states,
                };
                mlp.interaction(graph, &layers, &masks, p, q)?
            }
        };
        for (name, n_rows, rows) in
            self.bias_tables().zip([user, item]).map(|((name, n_rows), rows)| (name, n_rows, rows))
        {
            let table = graph.state(name, Shape::vector(Dim::Fixed(n_rows)))?;
            let bias = look_up(graph, table, rows, false)?;
            sum = graph.add(sum, bias)?;
            undecayed.push(table);
        }
        if self.mu != 0.0 {
            let mu = graph.constant(self.mu);
            sum = graph.add(sum, mu)?;
        }
        let score = self.ranged(graph, sum)?;
        Ok(Forward { score, factors, decayed, undecayed })
    }

    /// Fresh parameters by name, without those of the optimiser. Each has a generator of its own.
    ///
    /// Factors and biases are drawn as `init` says; layers from the uniform distribution in `+-1 / sqrt(inputs)`, as
    /// PyTorch's linear layers are.
    pub fn initial(&self, rng: &Rng, init: Init) -> Vec<(String, Vec<f32>)> {
        let factors = [(USER_FACTORS, self.n_users, self.user_width), (ITEM_FACTORS, self.n_items, self.item_width)];
        let mut states: Vec<_> = factors
            .iter()
            .map(|&(name, n_rows, width)| (name.to_owned(), init.draw(&mut rng.fork(name), n_rows * width, width)))
            .collect();
        states.extend(
            self.bias_tables()
                .map(|(name, n_rows)| (name.to_owned(), init.draw(&mut rng.fork(name), n_rows, self.user_width))),
        );
        if let Architecture::Mlp(mlp) = &self.architecture {
            states.extend(mlp.initial(rng, self.user_width, self.item_width));
        }
        if let Objective::CrossEntropy { n_classes } = self.objective {
            states.extend(classes::initial(n_classes));
        }
        states
    }

    /// The states that are looked up by rows.
    pub fn tables(&self) -> Vec<RowTable> {
        let factors = [(USER_FACTORS, self.n_users), (ITEM_FACTORS, self.n_items)];
        let table = |decays| move |(name, n_rows)| RowTable { name, n_rows, decays };
        factors.into_iter().map(table(true)).chain(self.bias_tables().map(table(false))).collect()
    }

    fn bias_tables(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let n_tables = match self.biases {
            Biases::Neither => 0,
            Biases::Users => 1,
            Biases::Both => 2,
        };
        [(USER_BIAS, self.n_users), (ITEM_BIAS, self.n_items)].into_iter().take(n_tables)
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
