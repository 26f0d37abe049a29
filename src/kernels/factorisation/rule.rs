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

/// What is the same for all rows of a side.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    /// 1 in the lanes that are learned, else 0: `[W]` in blocks.
    learned: Vec<Block>,
    /// 1 in the lanes that decay.
    decayed: Vec<Block>,
    /// What a parameter's own value adds to its gradient.
    penalty: Vec<Block>,
    has_penalty: bool,
}

impl Lanes {
    pub(super) fn new(layout: &Layout, side: Side, has_bias: bool, penalty: f32) -> Self {
        let blocks = |value: &dyn Fn(usize) -> f32| -> Vec<Block> {
            (0..layout.blocks()).map(|block| std::array::from_fn(|lane| value(block * LANES + lane))).collect()
        };
        let is_factor = |lane: usize| lane < layout.width;
        let is_learned = |lane: usize| is_factor(lane) || (has_bias && lane == layout.bias_lane(side));
        Self {
            learned: blocks(&|lane| if is_learned(lane) { 1.0 } else { 0.0 }),
            decayed: blocks(&|lane| if is_factor(lane) { 1.0 } else { 0.0 }),
            penalty: blocks(&|lane| if is_factor(lane) { penalty } else { 0.0 }),
            has_penalty: penalty != 0.0,
        }
    }

    /// What is learned and what decays of a block of a row, where there is such a block.
    pub(super) fn of_block(&self, block: usize) -> Option<(Block, Block)> {
        self.learned.get(block).copied().zip(self.decayed.get(block).copied())
    }

    /// Lanes of a row of `C` parameters that has no side.
    pub(super) fn plain(n: usize, decays: bool, penalty: f32) -> Self {
        let blocks = |value: f32| -> Vec<Block> {
            let lane = |lane: usize| if lane < n { value } else { 0.0 };
            (0..n.div_ceil(LANES)).map(|block| std::array::from_fn(|each| lane(block * LANES + each))).collect()
        };
        let share = if decays { 1.0 } else { 0.0 };
        Self {
            learned: blocks(1.0),
            decayed: blocks(share),
            penalty: blocks(share * penalty),
            has_penalty: decays && penalty != 0.0,
        }
    }
}

/// Moments below these are nothing, and would only be slow to reckon with as subnormal numbers.
const FAINT: (f32, f32) = (1e-20, 1e-30);

/// Brings a row up to date with the steps that it missed since step `clock`; `now` is the number of the present step.
#[inline(always)]
pub(super) fn catch_up(
    row: &mut [Block],
    memory: Memory,
    lanes: &Lanes,
    settings: &Settings,
    history: History<'_>,
    clock: i32,
    now: i32,
) {
    if clock + 1 >= now {
        return;
    }
    match history {
        History::Steps(steps) => {
            let missed = &steps[clock as usize..now as usize - 1];
            match memory {
                Memory::Both => replay_adam(row, lanes, missed),
                Memory::First => replay_sgd(row, lanes, missed),
                // Only the pass over single ratings remembers nothing, and it misses nothing.
                Memory::Nothing => {}
            }
        }
        History::LogDecays(logs) => {
            let n = (now - 1 - clock) as f32;
            let mut exponents = [0.0; LANES];
            exponents[0] = settings.log_decay_before - logs[clock as usize];
            exponents[1] = n * settings.log_beta1;
            exponents[2] = n * settings.log_beta2;
            exponents[3] = n * settings.log_ratio;
            let [decay, beta1, beta2, ratio, ..] = exp_each(exponents);
            let tail = settings.tail * (1.0 - ratio);
            match memory {
                Memory::Both => leap_adam(row, lanes, [decay, beta1, beta2, tail, settings.epsilon]),
                Memory::First => leap_sgd(row, lanes, [beta1, tail]),
                Memory::Nothing => {}
            }
        }
    }
}

/// Steps without a gradient, one by one.
#[inline(always)]
fn replay_adam(row: &mut [Block], lanes: &Lanes, missed: &[Settings]) {
    let (p, m, v) = three(row);
    for block in 0..p.len() {
        let (mut p_now, mut m_now, mut v_now) = (p[block], m[block], v[block]);
        for lane in 0..LANES {
            if m_now[lane].abs() < FAINT.0 {
                m_now[lane] = 0.0;
            }
            if v_now[lane] < FAINT.1 {
                v_now[lane] = 0.0;
            }
        }
        for settings in missed {
            if lanes.has_penalty {
                let mut g = [0.0; LANES];
                for lane in 0..LANES {
                    g[lane] = lanes.penalty[block][lane] * p_now[lane];
                }
                adam(&mut p_now, &mut m_now, &mut v_now, &g, &lanes.decayed[block], settings);
            } else {
                for lane in 0..LANES {
                    m_now[lane] *= settings.beta1;
                    v_now[lane] *= settings.beta2;
                    let kept = p_now[lane] * (1.0 + lanes.decayed[block][lane] * (settings.decay - 1.0));
                    p_now[lane] = kept - settings.step_size * m_now[lane] / (v_now[lane].sqrt() + settings.epsilon);
                }
            }
        }
        (p[block], m[block], v[block]) = (p_now, m_now, v_now);
    }
}

#[inline(always)]
fn replay_sgd(row: &mut [Block], lanes: &Lanes, missed: &[Settings]) {
    let (p, m) = row.split_at_mut(row.len() / 2);
    for block in 0..p.len() {
        let (mut p_now, mut m_now) = (p[block], m[block]);
        for settings in missed {
            for lane in 0..LANES {
                let g = lanes.penalty[block][lane] * p_now[lane];
                m_now[lane] = settings.beta1 * m_now[lane] + settings.gain1 * g;
                p_now[lane] -= settings.step_size * m_now[lane];
            }
        }
        (p[block], m[block]) = (p_now, m_now);
    }
}

#[inline(always)]
fn leap_adam(row: &mut [Block], lanes: &Lanes, [decay, beta1, beta2, tail, epsilon]: [f32; 5]) {
    let (p, m, v) = three(row);
    for block in 0..p.len() {
        for lane in 0..LANES {
            let kept = p[block][lane] * (1.0 + lanes.decayed[block][lane] * (decay - 1.0));
            p[block][lane] = kept - tail * m[block][lane] / (v[block][lane].sqrt() + epsilon);
            m[block][lane] *= beta1;
            v[block][lane] *= beta2;
        }
    }
}

#[inline(always)]
fn leap_sgd(row: &mut [Block], _lanes: &Lanes, [beta1, tail]: [f32; 2]) {
    let (p, m) = row.split_at_mut(row.len() / 2);
    for block in 0..p.len() {
        for lane in 0..LANES {
            p[block][lane] -= tail * m[block][lane];
            m[block][lane] *= beta1;
        }
    }
}

/// Moves a row that is up to date by its gradient.
#[inline(always)]
pub(super) fn update(row: &mut [Block], gradient: &[Block], memory: Memory, lanes: &Lanes, settings: &Settings) {
    match memory {
        Memory::Both => {
            let (p, m, v) = three(row);
            for block in 0..p.len() {
                let mut g = gradient[block];
                for lane in 0..LANES {
                    g[lane] = g[lane] * lanes.learned[block][lane] + lanes.penalty[block][lane] * p[block][lane];
                }
                adam(&mut p[block], &mut m[block], &mut v[block], &g, &lanes.decayed[block], settings);
            }
        }
        Memory::Nothing => {
            for block in 0..row.len() {
                for lane in 0..LANES {
                    let own = lanes.penalty[block][lane] * row[block][lane];
                    let g = gradient[block][lane] * lanes.learned[block][lane] + own;
                    row[block][lane] -= settings.step_size * g;
                }
            }
        }
        Memory::First => {
            let (p, m) = row.split_at_mut(row.len() / 2);
            for block in 0..p.len() {
                for lane in 0..LANES {
                    let own = lanes.penalty[block][lane] * p[block][lane];
                    let g = gradient[block][lane] * lanes.learned[block][lane] + own;
                    m[block][lane] = settings.beta1 * m[block][lane] + settings.gain1 * g;
                    p[block][lane] -= settings.step_size * m[block][lane];
                }
            }
        }
    }
}

#[inline(always)]
fn adam(p: &mut Block, m: &mut Block, v: &mut Block, g: &Block, decayed: &Block, settings: &Settings) {
    for lane in 0..LANES {
        m[lane] = settings.beta1 * m[lane] + settings.gain1 * g[lane];
        v[lane] = settings.beta2 * v[lane] + settings.gain2 * (g[lane] * g[lane]);
        let kept = p[lane] * (1.0 + decayed[lane] * (settings.decay - 1.0));
        p[lane] = kept - settings.step_size * m[lane] / (v[lane].sqrt() + settings.epsilon);
    }
}

#[inline(always)]
fn three(row: &mut [Block]) -> (&mut [Block], &mut [Block], &mut [Block]) {
    let blocks = row.len() / 3;
    let (p, rest) = row.split_at_mut(blocks);
    let (m, v) = rest.split_at_mut(blocks);
    (p, m, v)
}
