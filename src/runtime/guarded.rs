//! What ONNX Runtime has made, as long as the process has not ended.

use std::mem::ManuallyDrop;

use crate::ending::Call;
use crate::error::{Error, Result};
use crate::graph::{Blocks, Evaluator, Feed, Order, Other, Program, Resident};

/// What the library has made: used and dropped in calls, and left as it is when the process ends.
pub struct Guarded<T>(ManuallyDrop<T>);

impl<T> Guarded<T> {
    /// Guards a value that a call has made.
    pub fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        if let Ok(_call) = Call::begin() {
            // SAFETY: the value is dropped here alone, and nobody uses it afterwards.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

impl Program for Guarded<Box<dyn Program>> {
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32> {
        let _call = Call::begin()?;
        self.0.step(feeds)
    }

    fn each(&mut self, feeds: &[Feed<'_>], blocks: &Blocks<'_>) -> Result<f32> {
        let _call = Call::begin()?;
        self.0.each(feeds, blocks)
    }

    fn step_beside(&mut self, feeds: &[Feed<'_>], other: Other<'_>) -> Result<f32> {
        let _call = Call::begin()?;
        self.0.step_beside(feeds, other)
    }

    fn each_beside(&mut self, feeds: &[Feed<'_>], blocks: &Blocks<'_>, other: Other<'_>) -> Result<f32> {
        let _call = Call::begin()?;
        self.0.each_beside(feeds, blocks, other)
    }

    fn resident(&mut self) -> Option<&mut dyn Resident> {
        self.0.resident().is_some().then_some(self as &mut dyn Resident)
    }

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        let _call = Call::begin()?;
        self.0.state(name)
    }

    fn operators(&self) -> &'static str {
        self.0.operators()
    }
}

impl Resident for Guarded<Box<dyn Program>> {
    fn keep(&mut self, columns: &[Feed<'_>]) -> Result<()> {
        let _call = Call::begin()?;
        self.kept()?.keep(columns)
    }

    fn shuffle(&mut self, order: &Order<'_>) -> Result<()> {
        let _call = Call::begin()?;
        self.kept()?.shuffle(order)
    }

    fn steps(&mut self, start: usize, batch: usize, scalars: &[Feed<'_>]) -> Result<Vec<f32>> {
        let _call = Call::begin()?;
        self.kept()?.steps(start, batch, scalars)
    }
}

impl Guarded<Box<dyn Program>> {
    fn kept(&mut self) -> Result<&mut dyn Resident> {
        self.0.resident().ok_or_else(|| Error::new("a program that keeps no ratings"))
    }
}

impl Evaluator for Guarded<Box<dyn Evaluator>> {
    fn run(&mut self, feeds: &[Feed<'_>]) -> Result<Vec<f32>> {
        let _call = Call::begin()?;
        self.0.run(feeds)
    }
}
