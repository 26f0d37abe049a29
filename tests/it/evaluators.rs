//! Forward passes that learn nothing, on every engine: values, batch sizes, and what does not fit.

use std::sync::Arc;

use cofi::error::Result;
use cofi::graph::{Dim, Element, Engine, Evaluator, Graph, Interpreter, NodeId, Shape};
use cofi::rng::Rng;

use crate::support::{assert_close, draws, engines, floats, indices};

/// `relu(table[rows] w + b)` of five rows, three columns and `hidden` units, and its log-probabilities.
fn layers(hidden: usize) -> (Graph, NodeId, Vec<(String, Vec<f32>)>) {
    let mut graph = Graph::new();
    let g = &mut graph;
    let rows = g.input("rows", Shape::vector(Dim::Batch), Element::Index).unwrap();
    let scale = g.input("scale", Shape::scalar(), Element::Float).unwrap();
    let table = g.state("table", Shape::matrix(Dim::Fixed(5), 3)).unwrap();
    let weights = g.state("weights", Shape::matrix(Dim::Fixed(3), hidden)).unwrap();
    let bias = g.state("bias", Shape::vector(Dim::Fixed(hidden))).unwrap();
    let x = g.gather(table, rows).unwrap();
    let product = g.matmul(x, weights, false, false).unwrap();
    let shifts = g.repeat_rows(bias, product).unwrap();
    let sum = g.add(product, shifts).unwrap();
    let scaled = g.mul(sum, scale).unwrap();
    let units = g.relu(scaled).unwrap();
    let output = g.log_softmax(units).unwrap();
    let mut rng = Rng::new(2);
    let states = [("table", 15), ("weights", 3 * hidden), ("bias", hidden)];
    let parameters = states.map(|(name, length)| (name.to_owned(), draws(&mut rng, length))).to_vec();
    (graph, output, parameters)
}

#[test]
fn evaluators_agree_for_every_batch_size() {
    for hidden in [1, 4] {
        let (graph, output, parameters) = layers(hidden);
        let mut truth = Interpreter.evaluator(&graph, output, &parameters).unwrap();
        for (name, engine) in engines() {
            let mut evaluator = engine.evaluator(&graph, output, &parameters).unwrap();
            for rows in [&[0, 4, 1][..], &[2], &[1, 1, 3, 0, 2, 4, 4], &[3, 3, 3]] {
                let run = |evaluator: &mut Box<dyn Evaluator>| -> Vec<f32> {
                    evaluator.run(&[indices("rows", rows), floats("scale", &[0.5])]).unwrap()
                };
                let (found, expected) = (run(&mut evaluator), run(&mut truth));
                assert_eq!(found.len(), rows.len() * hidden);
                assert_close(&name, &found, &expected, 1e-5, 1.0);
            }
        }
    }
}

/// One unit has probability 1, two equal ones half each: no engine is asked.
#[test]
fn a_few_outputs_are_known() {
    let mut graph = Graph::new();
    let rows = graph.input("rows", Shape::vector(Dim::Batch), Element::Index).unwrap();
    let table = graph.state("table", Shape::matrix(Dim::Fixed(2), 2)).unwrap();
    let x = graph.gather(table, rows).unwrap();
    let logs = graph.log_softmax(x).unwrap();
    let parameters = [("table".to_owned(), vec![1000.0, 1000.0, 0.0, 3f32.ln()])];
    for (name, engine) in engines() {
        let mut evaluator = engine.evaluator(&graph, logs, &parameters).unwrap();
        let found = evaluator.run(&[indices("rows", &[1, 0])]).unwrap();
        let expected = [0.25f32.ln(), 0.75f32.ln(), 0.5f32.ln(), 0.5f32.ln()];
        assert_close(&name, &found, &expected, 1e-6, 1.0);
        // An input or a parameter may be the output, and a state that nothing else reads.
        let mut whole = engine.evaluator(&graph, table, &parameters).unwrap();
        assert_eq!(whole.run(&[indices("rows", &[0])]).unwrap(), parameters[0].1, "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_the_evaluator_lives_on() {
    let (graph, output, parameters) = layers(2);
    let rows = graph.named_node("rows").unwrap();
    for (name, engine) in engines() {
        let message = |result: Result<Box<dyn Evaluator>>| result.err().unwrap().to_string();
        let missing = message(engine.evaluator(&graph, output, &parameters[..2]));
        assert_eq!(missing, "state bias: given 0 times, not once", "{name}");
        let row_numbers = message(engine.evaluator(&graph, rows, &parameters));
        assert_eq!(row_numbers, "graph: rows has row numbers, not floats", "{name}");
        let mut evaluator = engine.evaluator(&graph, output, &parameters).unwrap();
        let scale = floats("scale", &[1.0]);
        assert_eq!(evaluator.run(&[scale]).unwrap_err().to_string(), "feed rows: expected once", "{name}");
        assert!(evaluator.run(&[indices("rows", &[0, 5]), scale]).is_err(), "{name}");
        assert_eq!(evaluator.run(&[indices("rows", &[0, 4]), scale]).unwrap().len(), 4, "{name}");
    }
}

#[test]
fn an_engine_is_shared_among_threads() {
    let (graph, output, parameters) = layers(3);
    for (name, engine) in engines() {
        let feeds = |evaluator: &mut dyn Evaluator| evaluator.run(&[indices("rows", &[4, 0]), floats("scale", &[1.0])]);
        let expected = feeds(engine.evaluator(&graph, output, &parameters).unwrap().as_mut()).unwrap();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (engine, graph, parameters) = (Arc::clone(&engine), graph.clone(), parameters.clone());
                std::thread::spawn(move || {
                    let mut evaluator = engine.evaluator(&graph, output, &parameters).unwrap();
                    evaluator.run(&[indices("rows", &[4, 0]), floats("scale", &[1.0])]).unwrap()
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), expected, "{name}");
        }
    }
}
