//! The layers of a trained model at work on an engine.

use std::sync::Arc;

use crate::error::Result;
use crate::graph::{Dim, Element, Engine, Evaluator, Feed, FeedValues, Graph, Shape};
use crate::model::Mlp;
use crate::score::{Embeddings, Interaction, Layers, Network, Predictor};

/// The input `[B, Ku]` of the rows of the users.
const USER_ROWS: &str = "user_rows";
/// The input `[B, Ki]` of the rows of the items.
const ITEM_ROWS: &str = "item_rows";

/// A predictor for a trained model; an engine is only asked for where the model has layers.
///
/// # Errors
/// Those of `engine`, and an engine that cannot compile the layers.
pub fn predictor(embeddings: Arc<Embeddings>, engine: impl FnOnce() -> Result<Arc<dyn Engine>>) -> Result<Predictor> {
    let parts = embeddings.parts();
    let network = match &parts.interaction {
        Interaction::Dot => None,
        Interaction::Layers(layers) => Some(network(engine()?.as_ref(), layers, parts.users.width, parts.items.width)?),
    };
    Predictor::new(embeddings, network)
}

fn network(engine: &dyn Engine, layers: &Layers, user_width: usize, item_width: usize) -> Result<Box<dyn Network>> {
    let mut graph = Graph::new();
    let user_rows = graph.input(USER_ROWS, Shape::matrix(Dim::Batch, user_width), Element::Float)?;
    let item_rows = graph.input(ITEM_ROWS, Shape::matrix(Dim::Batch, item_width), Element::Float)?;
    let mlp = Mlp::of(layers);
    let states = mlp.states(&mut graph, user_width, item_width)?;
    let output = mlp.interaction(&mut graph, &states, &[], user_rows, item_rows)?;
    let evaluator = engine.evaluator(&graph, output, &Mlp::states_of(layers, user_width))?;
    Ok(Box::new(LayerNetwork { evaluator }))
}

struct LayerNetwork {
    evaluator: Box<dyn Evaluator>,
}

impl Network for LayerNetwork {
    fn run(&mut self, user_rows: &[f32], item_rows: &[f32]) -> Result<Vec<f32>> {
        self.evaluator.run(&[
            Feed { name: USER_ROWS, values: FeedValues::Floats(user_rows) },
            Feed { name: ITEM_ROWS, values: FeedValues::Floats(item_rows) },
        ])
    }
}
