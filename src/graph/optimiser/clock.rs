//! How far a training is, on the host: what the scalars of a step are worked out from, and what brings rows up to date that
//! missed steps.

use crate::error::Result;
use crate::graph::optimiser::rows::{
    BEFORE, LOG_BETA1, LOG_BETA2, LOG_DECAY_BEFORE, LOG_DECAY_NOW, LOG_RATIO, NOW, RowTable, TAIL, clock_name,
    log_decay_name,
};
use crate::graph::optimiser::{Optimiser, Rule, adam, first_moment, second_moment};

/// The lowest factor that a logarithm is taken of.
const LOWEST: f64 = 1e-30;
/// The highest `q` of the closed form. Closer to 1 its rounding shows, and above momentum outlives the second moment, so that
/// `eps` decides how far a row goes.
const HIGHEST_RATIO: f64 = 0.999;

/// The steps that a training has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clock {
    /// How many; exact in the rows' clocks up to 2^24, then rounded.
    steps: u64,
    /// The sum of `ln(1 - lr wd)` over them.
    log_decay: f64,
    /// What the closed form had in the last of them.
    last: Tail,
}

/// How momentum carries a row that gets no gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tail {
    /// `ln q`.
    log_ratio: f64,
    /// `step q / (1 - q)`.
    whole: f64,
    /// Beside the root of the second moment.
    epsilon: f64,
}

/// What a table of `N` rows has besides its values, row by row.
#[derive(Clone, Copy, Debug)]
pub struct RowMemory<'a> {
    /// The first moments.
    pub m: &'a [f32],
    /// The second moments; not with [`Rule::Sgd`].
    pub v: Option<&'a [f32]>,
    /// `[N]`: the steps done when each row was last written.
    pub clock: &'a [f32],
    /// `[N]`: the logarithm of all decay until then, where the table decays.
    pub log_decay: Option<&'a [f32]>,
}

impl Optimiser {
    /// Whether rows can catch up in closed form with steps of a `beta1` up to `highest_beta1`: no penalty in the gradient, and
    /// `beta1 <= 0.999 sqrt(beta2)`, of [`Rule::Sgd`] `beta1 <= 0.999`.
    pub fn has_closed_form(&self, highest_beta1: f64) -> bool {
        !self.has_penalty() && self.ratio(highest_beta1) <= HIGHEST_RATIO
    }

    /// Goes on to the next step; returns all its scalar inputs by name.
    ///
    /// With [`Reach::BatchRows`](crate::graph::optimiser::Reach::BatchRows), a step so large that it would turn the sign of a parameter (`lr wd > 1`) decays rows that miss it
    /// to nothing, and a `q` above 0.999 counts as that.
    pub fn advance(&self, clock: &mut Clock, learning_rate: f64, beta1: f64) -> Vec<(&'static str, f32)> {
        let before = *clock;
        clock.steps += 1;
        let mut scalars = self.scalars(clock.steps, learning_rate, beta1);
        if !self.catches_up() {
            return scalars;
        }
        clock.last = self.tail(clock.steps, learning_rate, beta1);
        let mut push = |name, value: f64| scalars.push((name, value as f32));
        push(BEFORE, before.steps as f64);
        push(NOW, clock.steps as f64);
        if self.weight_decay != 0.0 {
            clock.log_decay += logarithm(1.0 - learning_rate * self.weight_decay);
            push(LOG_DECAY_BEFORE, before.log_decay);
            push(LOG_DECAY_NOW, clock.log_decay);
        }
        push(LOG_BETA1, logarithm(beta1));
        if let Rule::AdamW { beta2, .. } | Rule::Adam { beta2, .. } = self.rule {
            push(LOG_BETA2, logarithm(beta2));
        }
        push(LOG_RATIO, clock.last.log_ratio);
        push(TAIL, clock.last.whole);
        scalars
    }

    /// Brings the values of a table, `[N]` or `[N, K]`, up to date: to what a step after the last would read of them.
    pub fn settle(&self, clock: &Clock, values: &mut [f32], memory: RowMemory<'_>) {
        let width = values.len() / memory.clock.len().max(1);
        if !self.catches_up() || width == 0 {
            return;
        }
        let rows = values.chunks_exact_mut(width).zip(memory.m.chunks_exact(width)).zip(memory.clock).enumerate();
        for (row, ((values, m), written)) in rows {
            let missed = clock.steps as f64 - f64::from(*written);
            if missed <= 0.0 {
                continue;
            }
            let log_decay = memory.log_decay.and_then(|log_decay| log_decay.get(row));
            let factor = log_decay.map_or(1.0, |then| (clock.log_decay - f64::from(*then)).exp());
            let way = clock.last.whole * -(missed * clock.last.log_ratio).exp_m1();
            let v = memory.v.and_then(|v| v.chunks_exact(width).nth(row));
            for (column, (value, m)) in values.iter_mut().zip(m).enumerate() {
                let root = v.and_then(|v| v.get(column)).map_or(1.0, |v| f64::from(*v).sqrt() + clock.last.epsilon);
                *value = (f64::from(*value) * factor - way * f64::from(*m) / root) as f32;
            }
        }
    }

    /// The values of a table, up to date, out of raw states that `read` gives by name.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn settled(
        &self,
        clock: &Clock,
        table: &RowTable,
        read: impl Fn(&str) -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        let mut values = read(table.name)?;
        if !self.catches_up() {
            return Ok(values);
        }
        let read_if = |is_there: bool, name: String| is_there.then(|| read(&name)).transpose();
        let m = read(&first_moment(table.name))?;
        let v = read_if(self.rule != Rule::Sgd, second_moment(table.name))?;
        let written = read(&clock_name(table.name))?;
        let log_decay = read_if(table.decays && self.weight_decay != 0.0, log_decay_name(table.name))?;
        let memory = RowMemory { m: &m, v: v.as_deref(), clock: &written, log_decay: log_decay.as_deref() };
        self.settle(clock, &mut values, memory);
        Ok(values)
    }

    fn tail(&self, step_number: u64, learning_rate: f64, beta1: f64) -> Tail {
        let (step_size, epsilon) = match self.rule {
            Rule::AdamW { beta2, eps } | Rule::Adam { beta2, eps } => {
                let [.., step_size, epsilon] = adam::moving(step_number, learning_rate, beta1, beta2, eps);
                (step_size, epsilon)
            }
            Rule::Sgd | Rule::Classic => (learning_rate, 0.0),
        };
        let ratio = self.ratio(beta1).min(HIGHEST_RATIO);
        Tail { log_ratio: ratio.ln(), whole: step_size * ratio / (1.0 - ratio), epsilon }
    }

    /// `q`: by how much a row without a gradient moves less in each step.
    fn ratio(&self, beta1: f64) -> f64 {
        let beta2 = match self.rule {
            Rule::AdamW { beta2, .. } | Rule::Adam { beta2, .. } => beta2,
            Rule::Sgd | Rule::Classic => 1.0,
        };
        beta1.max(LOWEST) / beta2.max(LOWEST).sqrt()
    }
}

/// The logarithm of a factor, of one that is not above 0 of next to nothing.
fn logarithm(factor: f64) -> f64 {
    factor.max(LOWEST).ln()
}
