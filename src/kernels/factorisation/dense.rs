//! Parameters that every step moves as a whole.

use super::layout::Block;
use super::rule::{Settings, adam, sgd};
use super::step::OutOfTable;
use crate::kernels::level::per_level;
use crate::kernels::memory::SharedRows;
use crate::kernels::{LANES, Level, Pool};

/// Parameters a piece of work.
const PIECE: usize = 1 << 14;

/// `N` parameters with what the rule remembers of each.
pub struct Dense<'a> {
    /// The parameters.
    pub p: &'a mut [f32],
    /// The first moments.
    pub m: &'a mut [f32],
    /// The second moments, where the rule has them.
    pub v: Option<&'a mut [f32]>,
}

/// What the rule does with them beside their gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decay {
    /// Whether they decay by [`Settings::decay`].
    pub decays: bool,
    /// What a parameter's own value adds to its gradient.
    pub penalty: f32,
}

impl Dense<'_> {
    /// Moves the parameters by their gradient `[N]`.
    ///
    /// # Errors
    /// Lengths that do not fit: nothing was changed.
    pub fn learn(
        self,
        level: Level,
        gradient: &[f32],
        decay: Decay,
        settings: &Settings,
        pool: &dyn Pool,
    ) -> Result<(), OutOfTable> {
        let n = self.p.len();
        if gradient.len() != n || self.m.len() != n || self.v.as_ref().is_some_and(|v| v.len() != n) {
            return Err(OutOfTable);
        }
        let parts = self.p.chunks_mut(PIECE).zip(self.m.chunks_mut(PIECE)).zip(gradient.chunks(PIECE));
        let mut seconds = self.v.map(|v| v.chunks_mut(PIECE));
        let mut parts: Vec<_> = parts.map(|((p, m), g)| (p, m, seconds.as_mut().and_then(Iterator::next), g)).collect();
        let parts = SharedRows::new(&mut parts, 1);
        pool.for_each(parts.len(), &|piece| {
            // SAFETY: below the number of pieces; each is called for once.
            let (p, m, v, g) = unsafe { &mut parts.row_mut(piece)[0] };
            match v {
                Some(v) => learn_adam(level, p, m, v, g, decay, settings),
                None => learn_sgd(level, p, m, g, decay, settings),
            }
        });
        Ok(())
    }
}

per_level! {
    fn learn_adam(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], decay: Decay, settings: &Settings) = adam_body;
    fn learn_sgd(p: &mut [f32], m: &mut [f32], g: &[f32], decay: Decay, settings: &Settings) = sgd_body;
}

#[inline(always)]
fn adam_body(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], decay: Decay, settings: &Settings) {
    let decayed = [if decay.decays { 1.0 } else { 0.0 }; LANES];
    let step = |p: &mut Block, m: &mut Block, v: &mut Block, g: &Block| {
        let slope = penalised(g, p, decay);
        adam(p, m, v, &slope, &decayed, settings);
    };
    let (p_blocks, p_rest) = p.as_chunks_mut();
    let (m_blocks, m_rest) = m.as_chunks_mut();
    let (v_blocks, v_rest) = v.as_chunks_mut();
    let (g_blocks, g_rest) = g.as_chunks();
    for (((p, m), v), g) in p_blocks.iter_mut().zip(m_blocks).zip(v_blocks).zip(g_blocks) {
        step(p, m, v, g);
    }
    let (mut p, mut m, mut v) = (filled(p_rest), filled(m_rest), filled(v_rest));
    step(&mut p, &mut m, &mut v, &filled(g_rest));
    p_rest.copy_from_slice(&p[..p_rest.len()]);
    m_rest.copy_from_slice(&m[..m_rest.len()]);
    v_rest.copy_from_slice(&v[..v_rest.len()]);
}

#[inline(always)]
fn sgd_body(p: &mut [f32], m: &mut [f32], g: &[f32], decay: Decay, settings: &Settings) {
    let step = |p: &mut Block, m: &mut Block, g: &Block| {
        let slope = penalised(g, p, decay);
        sgd(p, m, &slope, settings);
    };
    let (p_blocks, p_rest) = p.as_chunks_mut();
    let (m_blocks, m_rest) = m.as_chunks_mut();
    let (g_blocks, g_rest) = g.as_chunks();
    for ((p, m), g) in p_blocks.iter_mut().zip(m_blocks).zip(g_blocks) {
        step(p, m, g);
    }
    let (mut p, mut m) = (filled(p_rest), filled(m_rest));
    step(&mut p, &mut m, &filled(g_rest));
    p_rest.copy_from_slice(&p[..p_rest.len()]);
    m_rest.copy_from_slice(&m[..m_rest.len()]);
}

/// Less than a block of numbers as a block.
#[inline(always)]
fn filled(values: &[f32]) -> Block {
    std::array::from_fn(|lane| values.get(lane).copied().unwrap_or(0.0))
}

#[inline(always)]
fn penalised(gradient: &Block, p: &Block, decay: Decay) -> Block {
    let mut slope = *gradient;
    for lane in 0..LANES {
        slope[lane] += decay.penalty * p[lane];
    }
    slope
}
