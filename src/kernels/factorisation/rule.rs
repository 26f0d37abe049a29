//! How one row moves: what it missed, and what its gradient does.

use super::layout::{Block, Layout, Memory, Side};
use crate::kernels::LANES;
use crate::kernels::exp::exp_each;

/// How gradients move parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Adam; with decoupled decay where [`Settings::decay`] is not 1.
    Adam,
    /// Gradient descent with momentum.
    Sgd,
}

/// Which rows a step moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All. A row that is not in the batch is left as it is and makes up for it, step by step, when it is next in one.
    EveryRow,
    /// Those of the batch; before they are read they catch up, in closed form, with what their momentum and decay would have done.
    BatchRows,
}

/// The numbers of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Settings {
    /// The decay of the first moment; the momentum.
    pub beta1: f32,
    /// What the gradient is multiplied by before it enters the first moment.
    pub gain1: f32,
    /// The decay of the second moment.
    pub beta2: f32,
    /// What the squared gradient is multiplied by.
    pub gain2: f32,
    /// What the update is multiplied by.
    pub step_size: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// What parameters that decay are multiplied by.
    pub decay: f32,
    /// The logarithm of `beta1`.
    pub log_beta1: f32,
    /// The logarithm of `beta2`.
    pub log_beta2: f32,
    /// The logarithm of the ratio by which a missed step's move shrinks.
    pub log_ratio: f32,
    /// The sum of all moves that a row could miss, in units of its last move.
    pub tail: f32,
    /// The sum of the logarithms of `decay` over all steps before this one.
    pub log_decay_before: f32,
    /// The same with this step.
    pub log_decay_now: f32,
}

impl Settings {
    /// How many numbers settings are.
    pub const LEN: usize = size_of::<Self>() / size_of::<f32>();

    /// Numbers as settings, in the order of the fields; what is left at the end belongs to none.
    pub fn each_of(numbers: &[f32]) -> &[Self] {
        let n = numbers.len() / Self::LEN;
        // SAFETY: settings are `LEN` numbers without gaps, any of which are fine, and `n` times as many are there.
        unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), n) }
    }

    /// The numbers, in the order of the fields.
    pub fn numbers(&self) -> &[f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), Self::LEN) }
    }
}

/// What rows that missed steps need to know of them; the clock of a row is the number of the last step that it took part in,
/// counted from 1, or 0.
#[derive(Clone, Copy, Debug)]
pub enum History<'a> {
    /// For [`Reach::EveryRow`]: the settings of every step before this one, the first one's first.
    Steps(&'a [Settings]),
    /// For [`Reach::BatchRows`]: [`Settings::log_decay_now`] of every step before this one, with 0 in front.
    LogDecays(&'a [f32]),
}

/// What is the same for all rows of a side: for each block of a plane.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    blocks: Vec<LaneBlock>,
    has_penalty: bool,
}

#[derive(Clone, Debug)]
struct LaneBlock {
    /// 1 in the lanes that are learned, else 0.
    learned: Block,
    /// 1 in the lanes that decay.
    decayed: Block,
    /// What a parameter's own value adds to its gradient.
    penalty: Block,
}

impl Lanes {
    /// Lanes of the rows of a side.
    pub(super) fn new(layout: &Layout, side: Side, has_bias: bool, penalty: f32) -> Self {
        let is_factor = |lane: usize| lane < layout.width;
        let is_bias = |lane: usize| has_bias && lane == layout.bias_lane(side);
        Self::of(layout.blocks(), |lane| is_factor(lane) || is_bias(lane), is_factor, penalty)
    }

    /// What is learned and what decays of a block of a row, where there is such a block.
    pub(super) fn of_block(&self, block: usize) -> Option<(Block, Block)> {
        self.blocks.get(block).map(|block| (block.learned, block.decayed))
    }

    /// Lanes of a row of `n` parameters that has no side.
    pub(super) fn plain(n: usize, decays: bool, penalty: f32) -> Self {
        Self::of(n.div_ceil(LANES), |lane| lane < n, |lane| decays && lane < n, penalty)
    }

    fn of(n_blocks: usize, is_learned: impl Fn(usize) -> bool, decays: impl Fn(usize) -> bool, penalty: f32) -> Self {
        let block =
            |block: usize, value: &dyn Fn(usize) -> f32| std::array::from_fn(|lane| value(block * LANES + lane));
        let share = |is_one: bool| if is_one { 1.0 } else { 0.0 };
        let blocks = (0..n_blocks).map(|number| LaneBlock {
            learned: block(number, &|lane| share(is_learned(lane))),
            decayed: block(number, &|lane| share(decays(lane))),
            penalty: block(number, &|lane| share(decays(lane)) * penalty),
        });
        Self { blocks: blocks.collect(), has_penalty: penalty != 0.0 }
    }
}

/// Moments below these are nothing, and would only be slow to reckon with as subnormal numbers.
const FAINT: (f32, f32) = (1e-20, 1e-36);

/// What a row missed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Missed<'a> {
    /// These steps, to be taken one by one.
    Steps(&'a [Settings]),
    /// So much in closed form.
    Leap(Leap),
}

/// What rows missed in closed form.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leap {
    /// What parameters that decay are multiplied by.
    decay: f32,
    /// What the first moments are multiplied by.
    beta1: f32,
    /// What the second moments are multiplied by.
    beta2: f32,
    /// The way that the last move goes on, in units of it.
    tail: f32,
}

/// What up to so many rows missed, of which these are the clocks, before step `now`.
#[inline(always)]
pub(super) fn missed<'a>(
    clocks: &[i32; LANES],
    settings: &Settings,
    history: History<'a>,
    now: i32,
) -> [Missed<'a>; LANES] {
    let mut all = [Missed::Steps(&[]); LANES];
    match history {
        History::Steps(steps) => {
            for (missed, clock) in all.iter_mut().zip(clocks) {
                *missed = Missed::Steps(&steps[*clock as usize..now as usize - 1]);
            }
        }
        History::LogDecays(logs) => {
            // Each exponential of all rows at once.
            let (mut decay, mut n) = ([0.0; LANES], [0.0; LANES]);
            for lane in 0..LANES {
                decay[lane] = settings.log_decay_before - logs[clocks[lane] as usize];
                n[lane] = (now - 1 - clocks[lane]) as f32;
            }
            let times = |factor: f32| {
                let mut product = n;
                for product in &mut product {
                    *product *= factor;
                }
                exp_each(product)
            };
            let decay = exp_each(decay);
            let (beta1, beta2, ratio) =
                (times(settings.log_beta1), times(settings.log_beta2), times(settings.log_ratio));
            for (lane, missed) in all.iter_mut().enumerate() {
                if n[lane] > 0.0 {
                    let tail = settings.tail * (1.0 - ratio[lane]);
                    *missed = Missed::Leap(Leap { decay: decay[lane], beta1: beta1[lane], beta2: beta2[lane], tail });
                }
            }
        }
    }
    all
}

/// The same of one row.
#[inline(always)]
pub(super) fn missed_since<'a>(clock: i32, settings: &Settings, history: History<'a>, now: i32) -> Missed<'a> {
    if clock + 1 >= now {
        return Missed::Steps(&[]);
    }
    let [missed, ..] = missed(&[clock; LANES], settings, history, now);
    missed
}

/// Brings a row up to date with what it missed.
#[inline(always)]
pub(super) fn catch_up(row: &mut [Block], memory: Memory, lanes: &Lanes, settings: &Settings, missed: Missed<'_>) {
    match (missed, memory) {
        // Only the pass over single ratings remembers nothing, and it misses nothing.
        (Missed::Steps([]), _) | (_, Memory::Nothing) => {}
        (Missed::Steps(steps), Memory::Both) => replay_adam(row, lanes, steps),
        (Missed::Steps(steps), Memory::First) => replay_sgd(row, lanes, steps),
        (Missed::Leap(leap), Memory::Both) => leap_adam(row, lanes, leap, settings.epsilon),
        (Missed::Leap(leap), Memory::First) => leap_sgd(row, leap),
    }
}

/// Steps without a gradient, one by one.
#[inline(always)]
fn replay_adam(row: &mut [Block], lanes: &Lanes, missed: &[Settings]) {
    let (p, m, v) = three(row);
    for (((p, m), v), own) in p.iter_mut().zip(m).zip(v).zip(&lanes.blocks) {
        let (mut p_now, mut m_now, mut v_now) = (*p, *m, *v);
        for lane in 0..LANES {
            // The first goes with the second: over nothing but epsilon it would leap.
            let is_faint = v_now[lane] < FAINT.1;
            m_now[lane] = if is_faint || m_now[lane].abs() < FAINT.0 { 0.0 } else { m_now[lane] };
            v_now[lane] = if is_faint { 0.0 } else { v_now[lane] };
        }
        for settings in missed {
            if lanes.has_penalty {
                let g = scaled(&p_now, &own.penalty);
                adam(&mut p_now, &mut m_now, &mut v_now, &g, &own.decayed, settings);
            } else {
                for lane in 0..LANES {
                    m_now[lane] *= settings.beta1;
                    v_now[lane] *= settings.beta2;
                    let kept = p_now[lane] * (1.0 + own.decayed[lane] * (settings.decay - 1.0));
                    p_now[lane] = kept - settings.step_size * m_now[lane] / (v_now[lane].sqrt() + settings.epsilon);
                }
            }
        }
        (*p, *m, *v) = (p_now, m_now, v_now);
    }
}

#[inline(always)]
fn replay_sgd(row: &mut [Block], lanes: &Lanes, missed: &[Settings]) {
    let (p, m) = row.split_at_mut(row.len() / 2);
    for ((p, m), own) in p.iter_mut().zip(m).zip(&lanes.blocks) {
        let (mut p_now, mut m_now) = (*p, *m);
        for settings in missed {
            let g = scaled(&p_now, &own.penalty);
            sgd(&mut p_now, &mut m_now, &g, settings);
        }
        (*p, *m) = (p_now, m_now);
    }
}

#[inline(always)]
fn leap_adam(row: &mut [Block], lanes: &Lanes, leap: Leap, epsilon: f32) {
    let (p, m, v) = three(row);
    for (((p, m), v), own) in p.iter_mut().zip(m).zip(v).zip(&lanes.blocks) {
        let (mut p_now, mut m_now, mut v_now) = (*p, *m, *v);
        for lane in 0..LANES {
            let kept = p_now[lane] * (1.0 + own.decayed[lane] * (leap.decay - 1.0));
            p_now[lane] = kept - leap.tail * m_now[lane] / (v_now[lane].sqrt() + epsilon);
            m_now[lane] *= leap.beta1;
            v_now[lane] *= leap.beta2;
        }
        (*p, *m, *v) = (p_now, m_now, v_now);
    }
}

#[inline(always)]
fn leap_sgd(row: &mut [Block], leap: Leap) {
    let (p, m) = row.split_at_mut(row.len() / 2);
    for (p, m) in p.iter_mut().zip(m) {
        for lane in 0..LANES {
            p[lane] -= leap.tail * m[lane];
            m[lane] *= leap.beta1;
        }
    }
}

/// Moves a row that is up to date by its gradient.
#[inline(always)]
pub(super) fn update(row: &mut [Block], gradient: &[Block], memory: Memory, lanes: &Lanes, settings: &Settings) {
    let slope = |gradient: &Block, p: &Block, own: &LaneBlock| {
        let mut g = scaled(gradient, &own.learned);
        if lanes.has_penalty {
            for lane in 0..LANES {
                g[lane] += own.penalty[lane] * p[lane];
            }
        }
        g
    };
    match memory {
        Memory::Both => {
            let (p, m, v) = three(row);
            for ((((p, m), v), own), gradient) in p.iter_mut().zip(m).zip(v).zip(&lanes.blocks).zip(gradient) {
                let (mut p_now, mut m_now, mut v_now) = (*p, *m, *v);
                let g = slope(gradient, &p_now, own);
                adam(&mut p_now, &mut m_now, &mut v_now, &g, &own.decayed, settings);
                (*p, *m, *v) = (p_now, m_now, v_now);
            }
        }
        Memory::Nothing => {
            for ((p, own), gradient) in row.iter_mut().zip(&lanes.blocks).zip(gradient) {
                let (mut p_now, g) = (*p, slope(gradient, p, own));
                for lane in 0..LANES {
                    p_now[lane] -= settings.step_size * g[lane];
                }
                *p = p_now;
            }
        }
        Memory::First => {
            let (p, m) = row.split_at_mut(row.len() / 2);
            for (((p, m), own), gradient) in p.iter_mut().zip(m).zip(&lanes.blocks).zip(gradient) {
                let g = slope(gradient, p, own);
                sgd(p, m, &g, settings);
            }
        }
    }
}

/// A step of a block of parameters.
#[inline(always)]
pub(super) fn adam(p: &mut Block, m: &mut Block, v: &mut Block, g: &Block, decayed: &Block, settings: &Settings) {
    for lane in 0..LANES {
        m[lane] = settings.beta1 * m[lane] + settings.gain1 * g[lane];
        v[lane] = settings.beta2 * v[lane] + settings.gain2 * (g[lane] * g[lane]);
        let kept = p[lane] * (1.0 + decayed[lane] * (settings.decay - 1.0));
        p[lane] = kept - settings.step_size * m[lane] / (v[lane].sqrt() + settings.epsilon);
    }
}

/// The same with [`Rule::Sgd`].
#[inline(always)]
pub(super) fn sgd(p: &mut Block, m: &mut Block, g: &Block, settings: &Settings) {
    for lane in 0..LANES {
        m[lane] = settings.beta1 * m[lane] + settings.gain1 * g[lane];
        p[lane] -= settings.step_size * m[lane];
    }
}

#[inline(always)]
fn scaled(a: &Block, b: &Block) -> Block {
    let mut product = *a;
    for lane in 0..LANES {
        product[lane] *= b[lane];
    }
    product
}

#[inline(always)]
fn three(row: &mut [Block]) -> (&mut [Block], &mut [Block], &mut [Block]) {
    let blocks = row.len() / 3;
    let (p, rest) = row.split_at_mut(blocks);
    let (m, v) = rest.split_at_mut(blocks);
    (p, m, v)
}
