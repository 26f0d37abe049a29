//! Whether a step is plain factorisation, of which there are faster forms than the graph.
//!
//! What the step could be is guessed from its names, shapes and operations, the guess is built as
//! [`training_step`] builds it, and both are compared node by node. So nothing is believed of a name: a step is recognised where it
//! is, but for a few constants, the very graph that the description stands for.

use crate::graph::optimiser::{ADAM, ADAMW, ADAMW_DECAY, BEFORE, CLASSIC, LOG_DECAY_BEFORE, Optimiser, Reach, Rule};
use crate::graph::{Dim, Graph, Op, Step};
use crate::model::{
    Architecture, Biases, CLASS, CLASS_WEIGHTS, ITEM_BIAS, ITEM_FACTORS, Model, Objective, RATING, StepOptions,
    USER_BIAS, USER_FACTORS, WEIGHT, training_step,
};

/// The constants that a description leaves open, as the guess has them: numbers that occur nowhere else in a step.
const MU: f32 = 3.25;
const LO: f32 = 7.0;
const RANGE_WIDTH: f32 = 19.0;
const PENALTY: f32 = 11.0;

/// A step of `Architecture::Dot` without penalty in its loss and without accumulation: with its scalars, all that it computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factorisation {
    /// `U`.
    pub n_users: usize,
    /// `I`.
    pub n_items: usize,
    /// `K`.
    pub width: usize,
    /// Whether users have biases.
    pub user_bias: bool,
    /// Whether items have.
    pub item_bias: bool,
    /// The constant `mu`; 0 where nothing is added.
    pub mu: f32,
    /// `(hi - lo, lo)`, where the sum goes through a sigmoid.
    pub range: Option<(f32, f32)>,
    /// What becomes of the score.
    pub objective: Objective,
    /// Whether ratings have weights.
    pub is_weighted: bool,
    /// How parameters move.
    pub rule: StepRule,
    /// Which rows move.
    pub reach: Reach,
    /// What times a parameter that decays is added to its gradient, by Adam and SGD; else 0.
    pub penalty: f32,
    /// Whether the decay of AdamW or of the classic rule is applied.
    pub decays: bool,
}

/// A [`Rule`] without what its scalars say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepRule {
    /// [`Rule::AdamW`].
    AdamW,
    /// [`Rule::Adam`].
    Adam,
    /// [`Rule::Sgd`].
    Sgd,
    /// [`Rule::Classic`].
    Classic,
}

/// The description of a step that is plain factorisation; `None` of any other.
pub fn recognise(step: &Step) -> Option<Factorisation> {
    let guess = Factorisation::guess(&step.graph)?;
    // Whether something is added or not shows in no name.
    let penalties = match guess.rule {
        StepRule::AdamW | StepRule::Classic => [0.0, 0.0],
        StepRule::Adam | StepRule::Sgd => [0.0, PENALTY],
    };
    for mu in [0.0, MU] {
        for penalty in penalties {
            let guess = Factorisation { mu, penalty, ..guess };
            let found = guess.step().and_then(|built| constants(step, &built));
            if let Some(found) = found {
                return Some(guess.with(found));
            }
        }
    }
    None
}

impl Factorisation {
    /// The only description that can fit a graph, but for `mu` and `penalty`; the range is a placeholder.
    fn guess(graph: &Graph) -> Option<Self> {
        let has = |name: &str| graph.named_node(name).is_some();
        let uses = |is_it: fn(&Op) -> bool| graph.nodes().iter().any(|node| is_it(&node.op));
        let sizes = |name: &str| -> Option<(usize, usize)> {
            match *graph.shape(graph.named_node(name)?).dims() {
                [Dim::Fixed(n_rows), Dim::Fixed(width)] => Some((n_rows, width)),
                [Dim::Fixed(n_rows)] => Some((n_rows, 1)),
                _ => None,
            }
        };
        let ((n_users, width), (n_items, item_width)) = (sizes(USER_FACTORS)?, sizes(ITEM_FACTORS)?);
        let rule = match (has(ADAMW[0]), has(ADAM[0]), has(CLASSIC[0])) {
            (true, ..) => StepRule::AdamW,
            (_, true, _) => StepRule::Adam,
            (.., true) => StepRule::Classic,
            _ => StepRule::Sgd,
        };
        let reach = if has(BEFORE) || rule == StepRule::Classic { Reach::BatchRows } else { Reach::EveryRow };
        let decay = [ADAMW_DECAY, CLASSIC[1]].into_iter().find_map(|name| graph.named_node(name));
        let has_reader = graph.nodes().iter().any(|node| decay.is_some_and(|decay| node.op.inputs().contains(&decay)));
        let fits = width == item_width && has(CLASS) != has(RATING) && (has(USER_BIAS) || !has(ITEM_BIAS));
        let fits = fits && !(rule == StepRule::Classic && has(CLASS));
        fits.then_some(Self {
            n_users,
            n_items,
            width,
            user_bias: has(USER_BIAS),
            item_bias: has(ITEM_BIAS),
            mu: 0.0,
            range: uses(|op| matches!(op, Op::Sigmoid(_))).then_some((RANGE_WIDTH, LO)),
            objective: match sizes(CLASS_WEIGHTS) {
                Some((n_classes, _)) => Objective::CrossEntropy { n_classes },
                None if uses(|op| matches!(op, Op::Count(_))) => Objective::MeanSquaredError,
                None => Objective::HalfSquaredSum,
            },
            is_weighted: has(WEIGHT),
            rule,
            reach,
            penalty: 0.0,
            decays: has(LOG_DECAY_BEFORE) || has_reader,
        })
    }

    /// The step that it describes; `None` where there is no such step.
    fn step(&self) -> Option<Step> {
        let model = Model {
            n_users: self.n_users,
            n_items: self.n_items,
            user_width: self.width,
            item_width: self.width,
            architecture: Architecture::Dot,
            biases: match (self.user_bias, self.item_bias) {
                (false, _) => Biases::Neither,
                (true, false) => Biases::Users,
                (true, true) => Biases::Both,
            },
            mu: self.mu,
            range: self.range.map(|(width, lo)| (lo, lo + width)),
            objective: self.objective,
        };
        // Neither stands in the graph.
        let (beta2, eps) = (0.5, 0.5);
        let rule = match self.rule {
            StepRule::AdamW => Rule::AdamW { beta2, eps },
            StepRule::Adam => Rule::Adam { beta2, eps },
            StepRule::Sgd => Rule::Sgd,
            StepRule::Classic => Rule::Classic,
        };
        let weight_decay = if self.decays { 1.0 } else { f64::from(self.penalty) };
        let optimiser = Optimiser { rule, weight_decay, reach: self.reach };
        let options = StepOptions { is_weighted: self.is_weighted, ..StepOptions::default() };
        training_step(&model, &optimiser, options).ok()
    }

    /// With the constants that stand in the place of the guessed ones.
    fn with(self, found: Constants) -> Self {
        let (width, lo) = (found.range_width.unwrap_or(RANGE_WIDTH), found.lo.unwrap_or(LO));
        Self {
            mu: found.mu.unwrap_or(self.mu),
            range: self.range.map(|_| (width, lo)),
            penalty: found.penalty.unwrap_or(self.penalty),
            ..self
        }
    }
}

/// What stands in a step where a guess has its placeholders.
#[derive(Default)]
struct Constants {
    mu: Option<f32>,
    lo: Option<f32>,
    range_width: Option<f32>,
    penalty: Option<f32>,
}

impl Constants {
    /// The place of what a placeholder stands for.
    fn of(&mut self, placeholder: f32) -> Option<&mut Option<f32>> {
        [(MU, &mut self.mu), (LO, &mut self.lo), (RANGE_WIDTH, &mut self.range_width), (PENALTY, &mut self.penalty)]
            .into_iter()
            .find_map(|(known, place)| (placeholder == known).then_some(place))
    }
}

/// The constants of a step at the placeholders of another, where it is the same in everything else and they are numbers, and the same one
/// wherever a placeholder occurs.
fn constants(step: &Step, guess: &Step) -> Option<Constants> {
    let (nodes, guessed) = (step.graph.nodes(), guess.graph.nodes());
    if (nodes.len(), step.loss, &step.updates) != (guessed.len(), guess.loss, &guess.updates) {
        return None;
    }
    let mut found = Constants::default();
    for (node, guessed) in nodes.iter().zip(guessed) {
        match (&node.op, &guessed.op) {
            (Op::Constant(value), Op::Constant(placeholder)) => match found.of(*placeholder) {
                Some(place) if value.is_finite() && place.is_none_or(|known| known == *value) => *place = Some(*value),
                None if value == placeholder => {}
                _ => return None,
            },
            _ if node == guessed => {}
            _ => return None,
        }
    }
    Some(found)
}
