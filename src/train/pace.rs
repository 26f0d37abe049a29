//! Which of two places a training is faster in, found out by a few steps in each: `device := 'auto'`.

use crate::error::Result;
use crate::train::fit::Training;

/// What a GPU costs before its first step, in seconds; a training that the processor ends sooner never asks for one. It is made of CUDA's
/// libraries, of which half a gigabyte or more is read and linked (two seconds, more from a slow disk), the driver's context (a third of a second), the kernels
/// and handles that are loaded when each is first used (a second), and of the trial itself.
const OF_A_GPU: f64 = 4.0;

/// How long steps are tried in one place, in seconds.
const TRIAL: f64 = 0.3;

/// Steps that count at least, unless they are as long as [`LONG_STEP`]. Others come first: what happens but once is in the first ones, and where
/// an epoch is short, in all of its.
const LEAST_STEPS: u64 = 3;

/// A step that takes so many seconds needs no other beside it.
const LONG_STEP: f64 = 1.0;

/// Where a training runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the processor.
    Cpu,
    /// On a GPU.
    Gpu,
}

/// How fast a training is in one place, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    /// Until it is ready for its first step.
    begin: f64,
    /// A step.
    step: f64,
}

impl Pace {
    /// The whole training.
    fn seconds(self, n_steps: f64) -> f64 {
        self.begin + n_steps * self.step
    }
}

/// Where a training takes less time. `on_cpu` begins it there, to be thrown away after a few steps; `find_gpu` starts the GPU and gives what begins it on
/// that, and is called only where the processor would take longer than that alone. What it took counts no more then: it is spent. `None`, and whatever fails
/// on a GPU, mean the processor. `epochs` go over `n_train` ratings; `clock` tells seconds.
///
/// Near the threshold the answer may differ from run to run: it is measured.
///
/// # Errors
/// A training that cannot be begun, or fails, on the processor.
pub fn faster_place<OnGpu: FnOnce() -> Option<Training>>(
    (epochs, n_train): (u32, usize),
    clock: &dyn Fn() -> f64,
    on_cpu: impl FnOnce() -> Result<Training>,
    find_gpu: impl FnOnce() -> Option<OnGpu>,
) -> Result<Place> {
    let begun = clock();
    let mut training = on_cpu()?;
    let begin = clock() - begun;
    let n_steps = f64::from(epochs) * n_train.div_ceil(training.batch_size().max(1)) as f64;
    let step = seconds_a_step(&mut training, clock, |step| !is_worth_a_gpu(Pace { begin, step }, n_steps))?;
    // Two of them need not fit side by side.
    drop(training);
    let cpu = Pace { begin, step };
    if !is_worth_a_gpu(cpu, n_steps) {
        return Ok(Place::Cpu);
    }
    let Some(on_gpu) = find_gpu() else { return Ok(Place::Cpu) };
    let begun = clock();
    let Some(mut training) = on_gpu() else { return Ok(Place::Cpu) };
    let begin = clock() - begun;
    match seconds_a_step(&mut training, clock, |_| false) {
        Ok(step) => Ok(faster(cpu, Pace { begin, step }, n_steps)),
        Err(_) => Ok(Place::Cpu),
    }
}

/// Whether the processor takes longer than a GPU does to begin with. A number that is none is not.
fn is_worth_a_gpu(cpu: Pace, n_steps: f64) -> bool {
    let seconds = cpu.seconds(n_steps);
    seconds > OF_A_GPU && seconds.is_finite()
}

/// The place with less time left, both beginning anew.
fn faster(cpu: Pace, gpu: Pace, n_steps: f64) -> Place {
    if gpu.seconds(n_steps) < cpu.seconds(n_steps) { Place::Gpu } else { Place::Cpu }
}

/// The seconds of a step, as the mean of a few; ends early when `is_clear` says so of the mean so far.
fn seconds_a_step(training: &mut Training, clock: &dyn Fn() -> f64, is_clear: impl Fn(f64) -> bool) -> Result<f64> {
    // Steps and time of what does not count: the first part, and a smaller batch at the end of the first epoch, which may be compiled for by itself.
    let mut before = None;
    let mut is_first_epoch = true;
    let mut mean = f64::INFINITY;
    training.try_steps(|n_steps, ends_epoch| {
        let now = clock();
        let Some((n_before, started)) = before.filter(|_| !(ends_epoch && is_first_epoch)) else {
            is_first_epoch &= !ends_epoch;
            before = Some((n_steps, now));
            return false;
        };
        let (n, passed) = (n_steps - n_before, now - started);
        if n > 0 {
            mean = passed / n as f64;
        }
        (n >= LEAST_STEPS && (passed >= TRIAL || is_clear(mean))) || (n > 0 && mean >= LONG_STEP)
    })?;
    Ok(mean)
}

#[cfg(test)]
mod tests;
