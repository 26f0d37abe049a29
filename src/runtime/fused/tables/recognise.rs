//! Tells whether a step does with its tables nothing but what our operators do: looks rows up and moves them by their gradients.
//!
//! What lies between look-ups and gradients may be anything that touches no table.

use crate::graph::optimiser::{Lookup, Optimiser, Reach, RowUpdates, Rule};
use crate::graph::{Dim, Element, Graph, NodeId, Op, Shape, Step};
use crate::kernels::factorisation::{self, Decay, Layout, Memory};
use crate::model::{ITEM, ITEM_BIAS, ITEM_FACTORS, USER, USER_BIAS, USER_FACTORS};
use crate::runtime::fused::tables::lower::live_nodes;
use crate::runtime::fused::tables::template::{Template, anything};

/// What of a step our operators take over.
pub struct Tables {
    /// The tables of users and of items.
    pub sides: [Side; 2],
    /// Which rows move.
    pub reach: factorisation::Reach,
    /// What follows the parameters.
    pub memory: Memory,
    /// Whether something decays beside its gradient.
    pub decays: bool,
    /// The parameters that move as a whole.
    pub whole: Vec<Whole>,
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

/// A parameter that every step moves as a whole.
pub struct Whole {
    /// Its name and those of its moments.
    pub states: Vec<String>,
    /// Its gradient, of the same shape.
    pub gradient: NodeId,
    /// How it decays.
    pub decay: Decay,
    /// The nodes that our operator replaces.
    replaced: Vec<NodeId>,
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
        let mut optimisers = rules.into_iter().flat_map(|rule| {
            [Reach::EveryRow, Reach::BatchRows].map(|reach| Optimiser { rule, weight_decay: 0.0, reach })
        });
        optimisers.find_map(|optimiser| {
            let decayed = |decay: &f32| Optimiser { weight_decay: f64::from(*decay), ..optimiser };
            decays.iter().find_map(|decay| tables(step, &decayed(decay)))
        })
    }

    /// Whether a state belongs to the tables.
    pub fn have(&self, state: &str) -> bool {
        self.states.iter().any(|name| name == state)
    }

    /// All that is looked up.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.sides.iter().flat_map(|side| [&side.values].into_iter().chain(&side.biases))
    }

    /// Whether what is left to stock operators reads the tables through the look-ups alone, and nothing that is replaced.
    fn leave_the_rest_alone(&self, step: &Step) -> bool {
        let live = live_nodes(step, self);
        let is_free = |id: NodeId| match &step.graph.node(id).op {
            Op::State { name } => !self.have(name) && !self.whole.iter().any(|whole| whole.states[1..].contains(name)),
            _ => !self.whole.iter().any(|whole| whole.replaced.contains(&id)),
        };
        step.graph.iter().all(|(id, _)| !live[id.index()] || is_free(id))
    }
}

/// The tables of a step that this optimiser moves.
fn tables(step: &Step, optimiser: &Optimiser) -> Option<Tables> {
    let TableTemplate { template, columns } = TableTemplate::new(&step.graph, optimiser)?;
    let found = template.find(step)?;
    let column = |name: &str| -> Option<Column> {
        let column = columns.iter().find(|column| column.name == name)?;
        let (table, rows) = (found.node(column.prepared)?, found.node(column.index)?);
        let (lookup, _) = step.graph.iter().find(|(_, node)| node.op == Op::Gather { table, rows })?;
        Some(Column { name: column.name, lookup, slope: found.node(column.slope)? })
    };
    let (memory, penalty) = match optimiser.rule {
        Rule::AdamW { .. } => (Memory::Both, 0.0),
        Rule::Adam { .. } => (Memory::Both, optimiser.weight_decay as f32),
        Rule::Sgd => (Memory::First, optimiser.weight_decay as f32),
        // One rating at a time is for models without layers.
        Rule::Classic => return None,
    };
    let side = |(index, factors, biases): (&'static str, &str, &str)| -> Option<Side> {
        let values = column(factors)?;
        let biases = if step.graph.named_node(biases).is_some() { Some(column(biases)?) } else { None };
        let [Dim::Fixed(n_rows), Dim::Fixed(width)] = *step.graph.shape(step.graph.named_node(factors)?).dims() else {
            return None;
        };
        let layout = Layout { n_users: n_rows, n_items: 0, width, memory };
        (n_rows > 0 && width > 0).then_some(Side { index, layout, penalty, values, biases })
    };
    let [users, items] = SIDES.map(side);
    let reach = match optimiser.reach {
        Reach::EveryRow => factorisation::Reach::EveryRow,
        Reach::BatchRows => factorisation::Reach::BatchRows,
    };
    let (states, decays) = (template.states().collect(), optimiser.weight_decay != 0.0);
    let mut tables = Tables { sides: [users?, items?], reach, memory, decays, whole: Vec::new(), states };
    let others = step.updates.iter().map(|(state, _)| *state).filter(|id| !tables.have(&step.graph.label(*id)));
    tables.whole = others.filter_map(|state| whole(step, optimiser, state, penalty)).collect();
    if !tables.leave_the_rest_alone(step) {
        tables.whole.clear();
    }
    tables.leave_the_rest_alone(step).then_some(tables)
}

/// A parameter that this optimiser moves, with or without decay.
fn whole(step: &Step, optimiser: &Optimiser, state: NodeId, penalty: f32) -> Option<Whole> {
    let name = step.graph.label(state);
    [true, false].into_iter().find_map(|decays| {
        let mut graph = Graph::new();
        let shape = step.graph.shape(state);
        let parameter = graph.state(&name, shape.clone()).ok()?;
        let gradient = anything(&mut graph, "gradient", shape.clone())?;
        let pair = [(parameter, gradient)];
        let (decayed, undecayed) = if decays { (&pair[..], &[][..]) } else { (&[][..], &pair[..]) };
        let updates = optimiser.attach(&mut graph, decayed, undecayed).ok()?;
        let template = Template { graph, updates };
        let found = template.find(step)?;
        let decay = match optimiser.rule {
            Rule::AdamW { .. } => Decay { decays, penalty: 0.0 },
            Rule::Adam { .. } | Rule::Sgd | Rule::Classic => {
                Decay { decays: false, penalty: if decays { penalty } else { 0.0 } }
            }
        };
        let (gradient, states) = (found.node(gradient)?, template.states().collect());
        Some(Whole { states, gradient, decay, replaced: template.computed(&found) })
    })
}

/// A graph of look-ups and updates alone, with the slopes as inputs.
struct TableTemplate {
    template: Template,
    columns: Vec<TemplateColumn>,
}

struct TemplateColumn {
    name: &'static str,
    index: NodeId,
    state: NodeId,
    /// What is looked up.
    prepared: NodeId,
    slope: NodeId,
}

impl TableTemplate {
    /// Of the tables that a graph has.
    fn new(step: &Graph, optimiser: &Optimiser) -> Option<Self> {
        let mut graph = Graph::new();
        let mut rows = match optimiser.reach {
            Reach::EveryRow => None,
            Reach::BatchRows => Some(RowUpdates::begin(optimiser, &mut graph).ok()?),
        };
        let indices = SIDES.map(|(index, ..)| graph.input(index, Shape::vector(Dim::Batch), Element::Index).ok());
        // In the order of a model: both factors, then both biases.
        let tables = SIDES.map(|(_, factors, _)| (factors, true)).into_iter();
        let tables = tables.chain(SIDES.map(|(.., biases)| (biases, false)));
        let mut columns = Vec::new();
        let mut pairs = [Vec::new(), Vec::new()];
        for ((name, decays), index) in tables.zip(indices.into_iter().cycle()) {
            let (index, Some(real)) = (index?, step.named_node(name)) else { continue };
            let state = graph.state(name, step.shape(real).clone()).ok()?;
            let prepared = match &mut rows {
                Some(rows) => rows.catch_up(&mut graph, Lookup { table: state, rows: index, decays }).ok()?,
                None => state,
            };
            let looked_up = graph.gather(prepared, index).ok()?;
            let shape = graph.shape(looked_up).clone();
            let slope = anything(&mut graph, name, shape)?;
            columns.push(TemplateColumn { name, index, state, prepared, slope });
        }
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
        let template = Template { updates: updates.ok()?, graph };
        Some(Self { template, columns })
    }
}
