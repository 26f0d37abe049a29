//! What the kernels of all our operators need of a run: their inputs, what a training owns, and threads.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use ort::operator::ComputeContext;
use ort::value::{PrimitiveTensorElementType, TensorElementType, ValueRefMut};

use crate::kernels::Pool;
use crate::kernels::factorisation::{History, Reach, Settings};
use crate::runtime::float_mode::SubnormalsCount;
use crate::runtime::forced::panic_if_asked;
use crate::runtime::fused::beside::Beside;

/// The domain of our operators.
pub const DOMAIN: &str = "cofi";

/// The elements of an input or output.
pub fn element(is_whole: bool) -> TensorElementType {
    if is_whole { TensorElementType::Int32 } else { TensorElementType::Float32 }
}

/// Runs a kernel in the float mode that Rust code expects. A panic must not reach the runtime, which would end the host's process.
pub fn contain(operator: &str, run: impl FnOnce() -> ort::Result<()>) -> ort::Result<()> {
    let _mode = SubnormalsCount::on_this_thread();
    let asked = || {
        panic_if_asked(operator, "kernel");
        run()
    };
    match catch_unwind(AssertUnwindSafe(asked)) {
        Ok(done) => done,
        Err(_) => Err(ort::Error::new("the fused operator came to an unexpected end")),
    }
}

/// The error of an input that is not as it must be.
pub fn misfit(what: &str) -> ort::Error {
    ort::Error::new(format!("the fused operator was given a {what} that does not fit its tables"))
}

/// The history of `n_steps` steps.
pub fn history(reach: Reach, past: &[f32], n_steps: usize) -> ort::Result<History<'_>> {
    let found = match reach {
        Reach::BatchRows => past.get(..=n_steps).map(History::LogDecays),
        Reach::EveryRow => Settings::each_of(past).get(..n_steps).map(History::Steps),
    };
    found.ok_or_else(|| misfit("history"))
}

/// The numbers of an input that the training does not own.
pub fn input<'c, T: PrimitiveTensorElementType>(
    context: &'c ComputeContext,
    place: usize,
    name: &str,
) -> ort::Result<&'c [T]> {
    let value = context.input(place)?.ok_or_else(|| misfit(name))?;
    let (_, values) = value.try_extract_tensor::<T>()?;
    // SAFETY: `value` is a handle; the numbers belong to the session's caller or to another node, and stay as they are until this run
    // of the kernel, which is what `context` stands for, has ended. What a training owns is not asked for here.
    Ok(unsafe { std::slice::from_raw_parts(values.as_ptr(), values.len()) })
}

/// The output that an owned input becomes, with the input's numbers in it: the caller has bound both to one place.
pub fn owned<T: PrimitiveTensorElementType + Copy>(
    context: &ComputeContext,
    input: usize,
    output: usize,
) -> ort::Result<ValueRefMut<'_>> {
    let before = context.input(input)?.ok_or_else(|| misfit("state"))?;
    let (shape, before) = before.try_extract_tensor::<T>()?;
    let (source, n) = (before.as_ptr(), before.len());
    let mut after = context.output(output, shape.clone())?.ok_or_else(|| misfit("state"))?;
    match after.try_extract_tensor_mut::<T>()?.1 {
        same if same.as_ptr() == source && same.len() == n => Ok(after),
        _ => Err(misfit("state")),
    }
}

/// The threads of the session.
pub struct Threads<'a> {
    context: &'a ComputeContext,
    threads: usize,
    beside: Option<&'a Beside>,
}

impl<'a> Threads<'a> {
    /// At most `threads` of them.
    pub fn new(context: &'a ComputeContext, threads: usize) -> Self {
        Self { context, threads, beside: None }
    }

    /// The same, who also do what waits there.
    pub fn with(self, beside: &'a Beside) -> Self {
        Self { beside: Some(beside), ..self }
    }
}

impl Pool for Threads<'_> {
    fn threads(&self) -> usize {
        self.threads
    }

    fn for_each(&self, n: usize, piece: &(dyn Fn(usize) + Sync)) {
        if self.threads == 1 || n <= 1 {
            return (0..n).for_each(piece);
        }
        // A panic must not reach the threads of the runtime, and nothing may go on that relies on what was not done: it is raised
        // again here, inside of `contain`.
        let has_failed = &AtomicBool::new(false);
        let guarded = |index: usize| {
            let _mode = SubnormalsCount::on_this_thread();
            let asked = || {
                panic_if_asked("thread", "kernel");
                piece(index);
            };
            if catch_unwind(AssertUnwindSafe(asked)).is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
        };
        // As many batches as pieces: of fewer, each would be a fixed run of pieces, and a thread that is done with its own would wait.
        if self.context.par_for(n, n, guarded).is_err() || has_failed.load(Ordering::Relaxed) {
            resume_unwind(Box::new("a piece of work came to an unexpected end"));
        }
    }

    fn for_most(&self, n: usize, piece: &(dyn Fn(usize) + Sync)) {
        match self.beside {
            // It may take longer than a piece, so it is begun first.
            Some(beside) if self.threads > 1 && n > 1 => self.for_each(n + 1, &|number| match number.checked_sub(1) {
                None => beside.work(),
                Some(number) => piece(number),
            }),
            _ => self.for_each(n, piece),
        }
    }
}
