//! Tells whether a step does with its tables nothing but what our operators do: looks rows up and moves them by their gradients.
//!
//! A small graph is built of the look-ups and updates alone, by the same optimiser, and compared with the step node by node. What
//! lies between look-ups and gradients may be anything that touches no table.

use crate::graph::optimiser::{Lookup, Optimiser, Reach, RowUpdates, Rule};
use crate::graph::{Dim, Element, Graph, NodeId, Op, Shape, Step};
use crate::kernels::factorisation::{self, Layout, Memory};
use crate::model::{ITEM, ITEM_BIAS, ITEM_FACTORS, USER, USER_BIAS, USER_FACTORS};

/// The tables of a step, of users and of items.
pub struct Tables {
    /// Each side.
    pub sides: [Side; 2],
    /// Which rows move.
    pub reach: factorisation::Reach,
    /// Whether factors decay beside their gradients.
    pub decays: bool,
    /// The states that belong to the tables.
    states: Vec<String>,
}

/// A table of factors, with the table of biases of the same rows where there is one.
pub struct Side {
    /// The input of its row numbers.
    pub index: &'static str,
    /// How its rows lie.
    pub layout: Layout,
    /// What a factor's own value adds to its gradient.
    pub penalty: f32,
    /// The factors.
    pub values: Column,
    /// The biases.
    pub biases: Option<Column>,
}

/// A state that is looked up by the rows of a batch.
pub struct Column {
    /// The name of the state.
    pub name: &'static str,
    /// What is looked up: `[B]` or `[B, K]`.
    pub lookup: NodeId,
    /// The slope of the loss in that.
    pub slope: NodeId,
}

/// The names of a side: row numbers, factors, biases.
const SIDES: [(&str, &str, &str); 2] = [(USER, USER_FACTORS, USER_BIAS), (ITEM, ITEM_FACTORS, ITEM_BIAS)];

impl Tables {
    /// The tables of a step; none where one of them is used for something else or moved in another way.
    pub fn of(step: &Step) -> Option<Self> {
        // The numbers of a rule come with each step, so any will do here; but for a decay inside the gradient, which is a constant.
        let rules = [Rule::AdamW { beta2: 0.5, eps: 0.5 }, Rule::Adam { beta2: 0.5, eps: 0.5 }, Rule::Sgd];
        let mut decays = vec![0.0];
        for node in step.graph.nodes() {
            if let Op::Constant(value) = node.op
                && !decays.contains(&value)
            {
                decays.push(value);
            }
        }
        let optimisers = rules.into_iter().flat_map(|rule| {
            [Reach::EveryRow, Reach::BatchRows].map(|reach| Optimiser { rule, weight_decay: 0.0, reach })
        });
        optimisers.into_iter().find_map(|optimiser| {
            let decayed = |decay: &f32| Optimiser { weight_decay: f64::from(*decay), ..optimiser };
            decays.iter().find_map(|decay| Template::new(&step.graph, decayed(decay))?.tables(step))
        })
    }

    /// Whether a state belongs to the tables.
    pub fn have(&self, state: &str) -> bool {
        self.states.iter().any(|name| name == state)
    }

    /// What is looked up, by the name of its state.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.sides.iter().flat_map(|side| [&side.values].into_iter().chain(&side.biases))
    }
}

/// A graph of look-ups and updates alone, with the slopes as inputs.
struct Template {
    optimiser: Optimiser,
    graph: Graph,
    columns: Vec<TemplateColumn>,
    updates: Vec<(NodeId, NodeId)>,
}

struct TemplateColumn {
    name: &'static str,
    index: NodeId,
    state: NodeId,
    /// What is looked up.
    prepared: NodeId,
    slope: NodeId,
}

impl Template {
    fn new(step: &Graph, optimiser: Optimiser) -> Option<Self> {
        let mut graph = Graph::new();
        let mut rows = match optimiser.reach {
            Reach::EveryRow => None,
            Reach::BatchRows => Some(RowUpdates::begin(&optimiser, &mut graph).ok()?),
        };
        let mut columns = Vec::new();
        let indices = SIDES.map(|(index, ..)| graph.input(index, Shape::vector(Dim::Batch), Element::Index).ok());
        // In the order of a model: both factors, then both biases.
        let factors = SIDES.map(|(_, factors, _)| (factors, true));
        let biases = SIDES.map(|(.., biases)| (biases, false));
        for ((name, decays), index) in factors.into_iter().chain(biases).zip(indices.into_iter().cycle()) {
            let (Some(index), Some(real)) = (index, step.named_node(name)) else { continue };
            let state = graph.state(name, step.shape(real).clone()).ok()?;
            let prepared = match &mut rows {
                Some(rows) => rows.catch_up(&mut graph, Lookup { table: state, rows: index, decays }).ok()?,
                None => state,
            };
            let looked_up = graph.gather(prepared, index).ok()?;
            let shape = graph.shape(looked_up).clone();
            let slope = graph.input(&format!("#slope of {name}"), shape, Element::Float).ok()?;
            columns.push(TemplateColumn { name, index, state, prepared, slope });
        }
        let mut pairs = [Vec::new(), Vec::new()];
        for column in &columns {
            let Dim::Fixed(n_rows) = *graph.shape(column.state).dims().first()? else { return None };
            let gradient = graph.scatter_add(column.index, column.slope, n_rows).ok()?;
            let is_factor = SIDES.iter().any(|(_, factors, _)| *factors == column.name);
            pairs[usize::from(!is_factor)].push((column.state, gradient));
        }
        let [decayed, undecayed] = pairs;
        let updates = match &rows {
            Some(rows) => rows.attach(&mut graph, &decayed, &undecayed),
            None => optimiser.attach(&mut graph, &decayed, &undecayed),
        };
        Some(Self { optimiser, columns, updates: updates.ok()?, graph })
    }

    /// The tables of a step whose look-ups and updates are these.
    fn tables(&self, step: &Step) -> Option<Tables> {
        let mut same = Same { template: &self.graph, step: &step.graph, found: vec![None; self.graph.nodes().len()] };
        for (state, next) in &self.updates {
            let name = self.graph.label(*state);
            let (_, real) = step.updates.iter().find(|(state, _)| step.graph.label(*state) == name)?;
            if !same.check(*next, *real) {
                return None;
            }
        }
        let column = |name: &str| -> Option<Column> {
            let column = self.columns.iter().find(|column| column.name == name)?;
            let of = |id: NodeId| same.found[id.index()];
            let (table, rows) = (of(column.prepared)?, of(column.index)?);
            let (lookup, _) = step.graph.iter().find(|(_, node)| node.op == Op::Gather { table, rows })?;
            Some(Column { name: column.name, lookup, slope: of(column.slope)? })
        };
        let has = |name: &str| self.columns.iter().any(|column| column.name == name);
        let side = |(index, factors, biases): (&'static str, &str, &str)| -> Option<Side> {
            let values = column(factors)?;
            let biases = if has(biases) { Some(column(biases)?) } else { None };
            let shape = step.graph.shape(step.graph.named_node(factors)?);
            let [Dim::Fixed(n_rows), Dim::Fixed(width)] = *shape.dims() else { return None };
            let (memory, penalty) = match self.optimiser.rule {
                Rule::AdamW { .. } => (Memory::Both, 0.0),
                Rule::Adam { .. } => (Memory::Both, self.optimiser.weight_decay as f32),
                Rule::Sgd => (Memory::First, self.optimiser.weight_decay as f32),
            };
            let layout = Layout { n_users: n_rows, n_items: 0, width, memory };
            (n_rows > 0 && width > 0).then_some(Side { index, layout, penalty, values, biases })
        };
        let [users, items] = SIDES.map(side);
        let tables = Tables {
            sides: [users?, items?],
            reach: match self.optimiser.reach {
                Reach::EveryRow => factorisation::Reach::EveryRow,
                Reach::BatchRows => factorisation::Reach::BatchRows,
            },
            decays: self.optimiser.weight_decay != 0.0,
            states: self.updates.iter().map(|(state, _)| self.graph.label(*state)).collect(),
        };
        tables.leave_the_rest_alone(step).then_some(tables)
    }
}

impl Tables {
    /// Whether what remains of the step reads the tables through the look-ups alone.
    fn leave_the_rest_alone(&self, step: &Step) -> bool {
        let mut seen = vec![false; step.graph.nodes().len()];
        self.columns().for_each(|column| seen[column.lookup.index()] = true);
        let others = step.updates.iter().filter(|(state, _)| !self.have(&step.graph.label(*state)));
        let mut open: Vec<NodeId> = others.map(|(_, next)| *next).collect();
        open.push(step.loss);
        open.extend(self.columns().map(|column| column.slope));
        while let Some(id) = open.pop() {
            let node = step.graph.node(id);
            if matches!(&node.op, Op::State { name } if self.have(name)) {
                return false;
            }
            if !std::mem::replace(&mut seen[id.index()], true) {
                open.extend(node.op.inputs());
            }
        }
        true
    }
}

/// Which nodes of a step are those of a template.
struct Same<'a> {
    template: &'a Graph,
    step: &'a Graph,
    /// For each node of the template.
    found: Vec<Option<NodeId>>,
}

impl Same<'_> {
    /// Whether two nodes compute the same of the same; a slope may be any value of its shape, the same wherever it is read.
    fn check(&mut self, template: NodeId, step: NodeId) -> bool {
        if let Some(known) = self.found[template.index()] {
            return known == step;
        }
        let (expected, found) = (self.template.node(template), self.step.node(step));
        if (&expected.shape, expected.element) != (&found.shape, found.element) {
            return false;
        }
        let is_same = match (&expected.op, &found.op) {
            (Op::Input { name }, _) if name.starts_with('#') => true,
            (Op::Input { .. } | Op::State { .. }, _) => expected.op == found.op,
            // Each use has a constant of its own.
            (Op::Constant(_), _) => return expected.op == found.op,
            // The shapes hold all else that an operation of a template is told.
            (Op::MatMul { .. }, _) => false,
            (expected, found) if expected.name() == found.name() => {
                let pairs = expected.inputs().into_iter().zip(found.inputs());
                pairs.into_iter().all(|(template, step)| self.check(template, step))
            }
            _ => false,
        };
        if is_same {
            self.found[template.index()] = Some(step);
        }
        is_same
    }
}
