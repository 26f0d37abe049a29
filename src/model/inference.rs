//! A trained model as a forward graph from row numbers to ratings, to be computed elsewhere.

use crate::error::Result;
use crate::graph::{Dim, Graph, NodeId, Shape};
use crate::model::{
    Architecture, Biases, CLASS_OFFSETS, CLASS_WEIGHTS, Forward, ITEM_BIAS, ITEM_FACTORS, Mlp, Model, Objective,
    USER_BIAS, USER_FACTORS, classes,
};
use crate::score::{Classes, Embeddings, Interaction};

/// The state `[C]` of the rating values of a classifier.
pub const CLASS_VALUES: &str = "class_values";

/// A forward pass with the numbers that it was trained to.
#[derive(Clone, Debug)]
pub struct Inference {
    /// Its inputs are [`USER`](crate::model::USER) and [`ITEM`](crate::model::ITEM), `[B]`.
    pub graph: Graph,
    /// `[B]`: the rating that is expected of each pair, in rating units.
    pub rating: NodeId,
    /// `[B, C]`: how probable each rating value is; of a classifier alone.
    pub probabilities: Option<NodeId>,
    /// The values of all states.
    pub parameters: Vec<(String, Vec<f32>)>,
    /// The same for readers, in the names of the states.
    pub formula: String,
}

/// The forward graph of trained embeddings: what [`Predictor`](crate::score::Predictor) answers, with 32-bit rounding between the steps.
///
/// # Errors
/// Sizes that the operations refuse.
pub fn inference(embeddings: &Embeddings) -> Result<Inference> {
    let model = model_of(embeddings);
    let mut parameters = parameters_of(embeddings, model.biases);
    let mut graph = Graph::new();
    let Forward { score, .. } = model.pass(&mut graph, false, |_, lookup| Ok(lookup.table))?;
    let sum = formula_of(&model);
    let Some(classes) = &embeddings.parts().classes else {
        let formula = format!("rating = {sum}");
        return Ok(Inference { graph, rating: score, probabilities: None, parameters, formula });
    };
    let (rating, probabilities) = expectation(&mut graph, score, classes)?;
    for (name, values) in
        [(CLASS_WEIGHTS, classes.weights()), (CLASS_OFFSETS, classes.offsets()), (CLASS_VALUES, classes.values())]
    {
        parameters.push((name.to_owned(), values.to_vec()));
    }
    let formula = format!(
        "score = {sum}; probabilities = softmax(score * {CLASS_WEIGHTS} + {CLASS_OFFSETS}); \
         rating = sum({CLASS_VALUES} * probabilities)"
    );
    Ok(Inference { graph, rating, probabilities: Some(probabilities), parameters, formula })
}

/// The rating `[B]` and the probabilities `[B, C]` of scores `[B]`.
fn expectation(graph: &mut Graph, score: NodeId, classes: &Classes) -> Result<(NodeId, NodeId)> {
    let n_classes = classes.values().len();
    let logits = classes::logits(graph, score, n_classes)?.logits;
    let logarithms = graph.log_softmax(logits)?;
    let probabilities = graph.exp(logarithms)?;
    let values = graph.state(CLASS_VALUES, Shape::vector(Dim::Fixed(n_classes)))?;
    let repeated = graph.repeat_rows(values, probabilities)?;
    let shares = graph.mul(probabilities, repeated)?;
    Ok((graph.sum_columns(shares)?, probabilities))
}

fn model_of(embeddings: &Embeddings) -> Model {
    let parts = embeddings.parts();
    Model {
        n_users: embeddings.n_users(),
        n_items: embeddings.n_items(),
        user_width: parts.users.width,
        item_width: parts.items.width,
        architecture: match &parts.interaction {
            Interaction::Dot => Architecture::Dot,
            Interaction::Layers(layers) => Architecture::Mlp(Mlp::of(layers)),
        },
        biases: match (&parts.users.biases, &parts.items.biases) {
            (None, None) => Biases::Neither,
            (Some(_), None) => Biases::Users,
            (_, Some(_)) => Biases::Both,
        },
        mu: parts.mu,
        range: parts.range,
        objective: match &parts.classes {
            None => Objective::MeanSquaredError,
            Some(classes) => Objective::CrossEntropy { n_classes: classes.values().len() },
        },
    }
}

/// The values of the states of [`model_of`], without those of the classes.
fn parameters_of(embeddings: &Embeddings, biases: Biases) -> Vec<(String, Vec<f32>)> {
    let parts = embeddings.parts();
    let (users, items) = (&parts.users, &parts.items);
    let mut parameters =
        vec![(USER_FACTORS.to_owned(), users.factors.clone()), (ITEM_FACTORS.to_owned(), items.factors.clone())];
    if biases != Biases::Neither {
        // Edited tables may have biases of items alone.
        let of_users = users.biases.clone().unwrap_or_else(|| vec![0.0; embeddings.n_users()]);
        parameters.push((USER_BIAS.to_owned(), of_users));
    }
    parameters.extend(items.biases.iter().map(|biases| (ITEM_BIAS.to_owned(), biases.clone())));
    if let Interaction::Layers(layers) = &parts.interaction {
        parameters.extend(Mlp::states_of(layers, users.width));
    }
    parameters
}

/// The score of a pair, spelt out.
fn formula_of(model: &Model) -> String {
    let (p, q) = (format!("{USER_FACTORS}[u]"), format!("{ITEM_FACTORS}[i]"));
    let mut terms = vec![match &model.architecture {
        Architecture::Dot => format!("{p} . {q}"),
        Architecture::Mlp(_) => format!("layers({p}, {q})"),
    }];
    terms.extend(model.bias_tables().map(|(name, _)| {
        let row = if name == USER_BIAS { "u" } else { "i" };
        format!("{name}[{row}]")
    }));
    if model.mu != 0.0 {
        terms.push(model.mu.to_string());
    }
    let sum = terms.join(" + ");
    match model.range {
        Some((lo, hi)) => format!("{lo} + ({hi} - {lo}) * sigmoid({sum})"),
        None => sum,
    }
}
