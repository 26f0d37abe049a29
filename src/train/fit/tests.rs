use super::*;
use crate::graph::{Evaluator, Feed, Graph, Interpreter, NodeId, Step};
use crate::ids::{Id, IdKind};
use crate::ratings::{DatasetBuilder, Split};
use crate::train::{OptionValue, Options};

/// The interpreter, whose states say something else in the end.
struct Broken {
    state: fn() -> Result<f32>,
}

struct BrokenProgram {
    inner: Box<dyn Program>,
    state: fn() -> Result<f32>,
}

impl Engine for Broken {
    fn device(&self) -> &str {
        "broken"
    }

    fn compile(&self, step: &Step, initial: &[(String, Vec<f32>)], batch: usize) -> Result<Box<dyn Program>> {
        Ok(Box::new(BrokenProgram { inner: Interpreter.compile(step, initial, batch)?, state: self.state }))
    }

    fn evaluator(&self, _: &Graph, _: NodeId, _: &[(String, Vec<f32>)]) -> Result<Box<dyn Evaluator>> {
        Err(Error::new("not here"))
    }
}

impl Program for BrokenProgram {
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32> {
        self.inner.step(feeds)
    }

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        let number = (self.state)()?;
        Ok(self.inner.state(name)?.iter().map(|_| number).collect())
    }
}

/// What the model of a training is, whose states are read.
fn message(given: &[(&'static str, OptionValue)], state: fn() -> Result<f32>) -> String {
    let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, Split::Pairs { fraction: 0.0, seed: 1 });
    for pair in 0..20 {
        builder.push_row(Some(Id::Integer(pair % 4)), Some(Id::Integer(pair / 4)), Some((pair % 5) as f64)).unwrap();
    }
    let common = [("n_factors", OptionValue::Integer(2)), ("epochs", OptionValue::Integer(1))];
    let given = common.into_iter().chain(given.iter().cloned());
    let config = TrainConfig::take(&mut Options::new(given.collect())).unwrap();
    let dataset = Arc::new(builder.finish().unwrap());
    let mut training = Training::new(config, dataset, Arc::new(Broken { state }), None).unwrap();
    match training.epoch().and_then(|_| training.embeddings()) {
        Ok(_) => "a model".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn states_that_cannot_be_read_are_no_divergence() {
    let word = |text: &str| OptionValue::Text(text.to_owned());
    for given in [&[][..], &[("loss", word("cross_entropy"))]] {
        let unread = message(given, || Err(Error::new("onnx runtime could not read a state on cuda:0: no room")));
        assert_eq!(unread, "onnx runtime could not read a state on cuda:0: no room");
        assert!(
            message(given, || Ok(f32::NAN)).starts_with("the training diverged in epoch 1: its numbers are no longer")
        );
        assert_eq!(message(given, || Ok(0.5)), "a model");
    }
}
