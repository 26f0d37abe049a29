//! The updates of [`Reach::BatchRows`]: tables that are looked up by rows, of which a step reads and writes those of its batch.
//!
//! For each table the graph keeps two numbers a row: `<table>.clock`, the steps done when the row was last written, and, where the
//! table decays, `<table>.log_decay`, the logarithm of all decay until then. The difference to now is what the row missed.
//!
//! As a graph of whole tables this is the statement of the rule, not a fast form of it: rows that are not in the batch pass through
//! with factors of 1 and summands of 0, and keep their bits.

use crate::error::{Error, Result};
use crate::graph::optimiser::{
    Optimiser, Parameter, Rule, Scalars, first_moment, parameter_name, scalar_input, second_moment,
};
use crate::graph::{Dim, Graph, NodeId, Shape};

/// Steps done before this one.
pub const BEFORE: &str = "rows.before";
/// Steps done after this one.
pub const NOW: &str = "rows.now";
/// The logarithm of the decay of all steps before this one.
pub const LOG_DECAY_BEFORE: &str = "rows.log_decay_before";
/// The same after this one.
pub const LOG_DECAY_NOW: &str = "rows.log_decay_now";
/// The logarithm of `beta1`.
pub const LOG_BETA1: &str = "rows.log_beta1";
/// The logarithm of `beta2`.
pub const LOG_BETA2: &str = "rows.log_beta2";
/// The logarithm of `q`.
pub const LOG_RATIO: &str = "rows.log_ratio";
/// `step q / (1 - q)`: how far momentum carries a row in endless steps without a gradient.
pub const TAIL: &str = "rows.tail";

/// A table that a model looks up by rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowTable {
    /// The name of its state.
    pub name: &'static str,
    /// `N`.
    pub n_rows: usize,
    /// Whether it is learned with weight decay.
    pub decays: bool,
}

/// A look-up that a forward pass is about to make.
#[derive(Clone, Copy, Debug)]
pub struct Lookup {
    /// The state, `[N]` or `[N, K]`.
    pub table: NodeId,
    /// `[B]`, each below `N`.
    pub rows: NodeId,
    /// Whether the table is learned with weight decay.
    pub decays: bool,
}

/// The updates of a step that moves the rows of its batch: begun before the forward pass, which reads what
/// [`catch_up`](Self::catch_up) makes of each table, and attached behind the gradients.
pub struct RowUpdates {
    optimiser: Optimiser,
    scalars: Scalars,
    clock: Moved,
    log_decay: Option<Moved>,
    log_beta1: NodeId,
    /// With the rules of Adam.
    log_beta2: Option<NodeId>,
    log_ratio: NodeId,
    tail: NodeId,
    /// (row numbers, `N`, 1 for each row among them and else 0 `[N]`).
    touched: Vec<(NodeId, usize, NodeId)>,
    tables: Vec<CaughtUp>,
}

/// What all rows of the batch are moved to, and what all rows were to be at before.
struct Moved {
    before: NodeId,
    now: NodeId,
}

/// A table whose rows of the batch are as if they had taken part in all steps so far.
struct CaughtUp {
    name: String,
    state: NodeId,
    decays: bool,
    touched: NodeId,
    /// In the shape of the state.
    parameter: NodeId,
    /// (state, caught up).
    m: (NodeId, NodeId),
    v: Option<(NodeId, NodeId)>,
    /// (state, value after the step) of the clocks.
    clocks: Vec<(NodeId, NodeId)>,
}

impl RowUpdates {
    /// Adds the scalar inputs that [`Optimiser::advance`] feeds.
    ///
    /// # Errors
    /// A rule that adds a penalty to the gradient: what a row missed then depends on where it was in each of the steps. A
    /// second call on the same graph; [`Rule::Classic`].
    pub fn begin(optimiser: &Optimiser, graph: &mut Graph) -> Result<Self> {
        if optimiser.has_penalty() {
            return Err(Error::new(
                "graph: a weight decay inside the gradient has no closed form for rows that missed steps; move every row",
            ));
        }
        if optimiser.rule == Rule::Classic {
            return Err(Error::new(
                "graph: rows that remember nothing have nothing to catch up with; attach the classic rule",
            ));
        }
        let has_second = optimiser.rule != Rule::Sgd;
        let mut input = |name| scalar_input(graph, name);
        let clock = Moved { before: input(BEFORE)?, now: input(NOW)? };
        let log_decay = match optimiser.weight_decay != 0.0 {
            true => Some(Moved { before: input(LOG_DECAY_BEFORE)?, now: input(LOG_DECAY_NOW)? }),
            false => None,
        };
        let log_beta1 = input(LOG_BETA1)?;
        let log_beta2 = if has_second { Some(input(LOG_BETA2)?) } else { None };
        let (log_ratio, tail) = (input(LOG_RATIO)?, input(TAIL)?);
        let scalars = Scalars::new(graph, optimiser.rule)?;
        let (touched, tables) = (Vec::new(), Vec::new());
        let optimiser = *optimiser;
        Ok(Self { optimiser, scalars, clock, log_decay, log_beta1, log_beta2, log_ratio, tail, touched, tables })
    }

    /// The table with the rows of the batch caught up: what the forward pass looks up, and what
    /// [`attach`](Self::attach) wants the gradient of.
    ///
    /// Adds the moments of the table and its clocks as states.
    ///
    /// # Errors
    /// A table that is no state with a fixed number of rows, a second look-up in the same table.
    pub fn catch_up(&mut self, graph: &mut Graph, lookup: Lookup) -> Result<NodeId> {
        let Lookup { table: state, rows, decays } = lookup;
        let name = parameter_name(graph, state, state)?;
        let shape = graph.shape(state).clone();
        let Some(Dim::Fixed(n_rows)) = shape.dims().first().copied() else {
            return Err(Error::new(format!("graph: {name} of shape {shape} has no fixed number of rows to look up")));
        };
        let touched = self.touched(graph, rows, n_rows)?;
        let m = graph.state(&first_moment(&name), shape.clone())?;
        let v = self.log_beta2.map(|_| graph.state(&second_moment(&name), shape.clone())).transpose()?;

        let (missed, clock) = self.clock.pass(graph, &clock_name(&name), touched, n_rows)?;
        let mut clocks = vec![clock];
        // p d, with d the decay missed
        let mut decayed = state;
        if let Some(log_decay) = self.log_decay.as_ref().filter(|_| decays) {
            let (missed, log_decay) = log_decay.pass(graph, &log_decay_name(&name), touched, n_rows)?;
            clocks.push(log_decay);
            let factor = graph.exp(missed)?;
            let factor = widened(graph, factor, state)?;
            decayed = graph.mul(state, factor)?;
        }
        // step (q + ... + q^n) = tail (1 - q^n)
        let powers = power(graph, missed, self.log_ratio)?;
        let one = graph.constant(1.0);
        let rest = graph.sub(one, powers)?;
        let way = graph.mul(rest, self.tail)?;
        let way = widened(graph, way, state)?;
        let pace = match (&self.scalars, v) {
            (Scalars::Adam(scalars), Some(v)) => {
                let root = graph.sqrt(v)?;
                let denominator = graph.add(root, scalars.epsilon)?;
                graph.div(m, denominator)?
            }
            _ => m,
        };
        let carried = graph.mul(way, pace)?;
        let parameter = graph.sub(decayed, carried)?;
        let mut faded = |moment: NodeId, log_beta: NodeId| -> Result<(NodeId, NodeId)> {
            let factor = power(graph, missed, log_beta)?;
            let factor = widened(graph, factor, state)?;
            Ok((moment, graph.mul(moment, factor)?))
        };
        let m = faded(m, self.log_beta1)?;
        let v = v.zip(self.log_beta2).map(|(v, log_beta2)| faded(v, log_beta2)).transpose()?;
        self.tables.push(CaughtUp { name, state, decays, touched, parameter, m, v, clocks });
        Ok(parameter)
    }

    /// What the gradient is to be taken of: a table that was looked up as it is caught up, any other parameter itself.
    pub fn read(&self, parameter: NodeId) -> NodeId {
        self.table(parameter).map_or(parameter, |table| table.parameter)
    }

    /// Appends the updates, as [`Optimiser::attach`] does: of the tables that were looked up those of the rows of the batch, with their
    /// clocks, of other parameters those of all rows.
    ///
    /// # Errors
    /// A parameter that is not a state, a gradient of another shape, a table that decays here and not in its look-up or the other way
    /// round.
    pub fn attach(
        &self,
        graph: &mut Graph,
        decayed: &[(NodeId, NodeId)],
        undecayed: &[(NodeId, NodeId)],
    ) -> Result<Vec<(NodeId, NodeId)>> {
        let mut updates = Vec::new();
        for parameter in self.optimiser.parameters(graph, decayed, undecayed)? {
            let Some(table) = self.table(parameter.state) else {
                updates.extend(self.scalars.update(graph, &parameter)?);
                continue;
            };
            if table.decays != decayed.iter().any(|(state, _)| *state == parameter.state) {
                return Err(Error::new(format!(
                    "graph: {} decays in its look-up or its update, not in both",
                    table.name
                )));
            }
            updates.extend(self.update(graph, table, &parameter)?);
            updates.extend(&table.clocks);
        }
        Ok(updates)
    }

    /// The update of the rows of the batch, as [`Scalars::update`] has it for all.
    fn update(&self, graph: &mut Graph, table: &CaughtUp, parameter: &Parameter) -> Result<Vec<(NodeId, NodeId)>> {
        let (touched, gradient) = (table.touched, parameter.gradient);
        let at_rows = |graph: &mut Graph, scalar: NodeId| {
            let there = graph.mul(touched, scalar)?;
            widened(graph, there, table.state)
        };
        match &self.scalars {
            Scalars::Adam(scalars) => {
                let Some(v) = table.v else {
                    return Err(Error::new(format!("graph: {} has no second moment", table.name)));
                };
                // m' = beta1 m + (1 - beta1) g
                let kept = multiplied_there(graph, table.m.1, touched, scalars.beta1)?;
                let added = graph.mul(gradient, scalars.one_minus_beta1)?;
                let new_m = graph.add(kept, added)?;
                // v' = beta2 v + (1 - beta2) g^2
                let kept = multiplied_there(graph, v.1, touched, scalars.beta2)?;
                let square = graph.mul(gradient, gradient)?;
                let added = graph.mul(square, scalars.one_minus_beta2)?;
                let new_v = graph.add(kept, added)?;
                // p' = decay p - step_size m' / (sqrt(v') + epsilon)
                let kept = match scalars.decay.filter(|_| parameter.decay.is_some()) {
                    Some(decay) => multiplied_there(graph, table.parameter, touched, decay)?,
                    None => table.parameter,
                };
                let root = graph.sqrt(new_v)?;
                let denominator = graph.add(root, scalars.epsilon)?;
                let step_size = at_rows(graph, scalars.step_size)?;
                let numerator = graph.mul(new_m, step_size)?;
                let change = graph.div(numerator, denominator)?;
                let new_parameter = graph.sub(kept, change)?;
                Ok(vec![(table.state, new_parameter), (table.m.0, new_m), (v.0, new_v)])
            }
            Scalars::Classic(scalars) => scalars.update(graph, parameter),
            Scalars::Sgd(scalars) => {
                // m' = momentum m + gain g
                let kept = multiplied_there(graph, table.m.1, touched, scalars.momentum)?;
                let added = graph.mul(gradient, scalars.gain)?;
                let new_m = graph.add(kept, added)?;
                // p' = p - learning_rate m'
                let learning_rate = at_rows(graph, scalars.learning_rate)?;
                let change = graph.mul(new_m, learning_rate)?;
                let new_parameter = graph.sub(table.parameter, change)?;
                Ok(vec![(table.state, new_parameter), (table.m.0, new_m)])
            }
        }
    }

    fn table(&self, state: NodeId) -> Option<&CaughtUp> {
        self.tables.iter().find(|table| table.state == state)
    }

    /// 1 for each of `n_rows` rows that is among `rows`, else 0.
    fn touched(&mut self, graph: &mut Graph, rows: NodeId, n_rows: usize) -> Result<NodeId> {
        let known = self.touched.iter().find(|(other, n, _)| (*other, *n) == (rows, n_rows));
        if let Some((.., touched)) = known {
            return Ok(*touched);
        }
        let one = graph.constant(1.0);
        let ones = graph.broadcast(one, rows)?;
        let counts = graph.scatter_add(rows, ones, n_rows)?;
        let touched = graph.sign(counts)?;
        self.touched.push((rows, n_rows, touched));
        Ok(touched)
    }
}

impl Moved {
    /// Adds a state `[N]` of what each row was last at; returns what rows of the batch are behind `before`, 0 elsewhere, and (state,
    /// value after the step): `now` there, as it was elsewhere.
    fn pass(
        &self,
        graph: &mut Graph,
        name: &str,
        touched: NodeId,
        n_rows: usize,
    ) -> Result<(NodeId, (NodeId, NodeId))> {
        let at = graph.state(name, Shape::vector(Dim::Fixed(n_rows)))?;
        let behind = graph.sub(self.before, at)?;
        let missed = graph.mul(touched, behind)?;
        let own = graph.sub(self.now, self.before)?;
        let own = graph.mul(touched, own)?;
        let way = graph.add(missed, own)?;
        Ok((missed, (at, graph.add(at, way)?)))
    }
}

impl Optimiser {
    /// The clocks of the tables at the beginning, by name: zeros; none with [`Reach::EveryRow`](super::Reach::EveryRow) and [`Rule::Classic`].
    pub fn clocks(&self, tables: &[RowTable]) -> Vec<(String, Vec<f32>)> {
        if !self.catches_up() {
            return Vec::new();
        }
        let mut clocks = Vec::new();
        for table in tables {
            clocks.push((clock_name(table.name), vec![0.0; table.n_rows]));
            if table.decays && self.weight_decay != 0.0 {
                clocks.push((log_decay_name(table.name), vec![0.0; table.n_rows]));
            }
        }
        clocks
    }

    /// Whether the weight decay is added to the gradient.
    pub(super) fn has_penalty(&self) -> bool {
        !matches!(self.rule, Rule::AdamW { .. }) && self.weight_decay != 0.0
    }
}

pub(super) fn clock_name(table: &str) -> String {
    format!("{table}.clock")
}

pub(super) fn log_decay_name(table: &str) -> String {
    format!("{table}.log_decay")
}

/// `base^exponent` of each row.
fn power(graph: &mut Graph, exponents: NodeId, log_base: NodeId) -> Result<NodeId> {
    let product = graph.mul(exponents, log_base)?;
    graph.exp(product)
}

/// `[N]` in the shape of a table, `[N]` or `[N, K]`.
pub(super) fn widened(graph: &mut Graph, values: NodeId, table: NodeId) -> Result<NodeId> {
    match *graph.shape(table).dims() {
        [_, Dim::Fixed(width)] => graph.repeat_columns(values, width),
        _ => Ok(values),
    }
}

/// A table with its touched rows multiplied by a factor.
fn multiplied_there(graph: &mut Graph, table: NodeId, touched: NodeId, factor: NodeId) -> Result<NodeId> {
    let one = graph.constant(1.0);
    let change = graph.sub(factor, one)?;
    let there = graph.mul(touched, change)?;
    let one = graph.constant(1.0);
    let factors = graph.add(there, one)?;
    let factors = widened(graph, factors, table)?;
    graph.mul(table, factors)
}
