//! Hidden layers: the interaction is a stack of linear layers over both rows, `max(x, 0)` between them.
//!
//! He et al., Neural Collaborative Filtering (2017), section 3.3, in the form of fastai's `EmbeddingNN`. The card in
//! `models/mlp/` tells where it differs from both.

use crate::error::{Error, Result};
use crate::graph::{Dim, Element, Graph, NodeId, Shape};
use crate::model::init::uniform;
use crate::rng::Rng;
use crate::score::{Layer, Layers};

/// The sizes of the hidden layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// `H` of each hidden layer, the first above the embeddings first; at least one.
    pub hidden: Vec<usize>,
    /// The share of each hidden layer's outputs that a training step leaves out; 0 leaves out none.
    pub dropout: f64,
}

/// The states of one linear layer.
#[derive(Clone)]
pub(super) struct LayerStates {
    /// `[inputs, outputs]`; of the first layer two parts, for the rows of users and of items, so that both rows never
    /// need to be put behind one another.
    pub weights: Vec<NodeId>,
    /// `[outputs]`.
    pub bias: NodeId,
}

impl LayerStates {
    /// The same with weights that stay as they are while a step updates the states: the reverse pass still reads them.
    pub(super) fn snapshot(&self, graph: &mut Graph) -> Result<Self> {
        let weights = self.weights.iter().map(|weights| graph.snapshot(*weights)).collect::<Result<_>>()?;
        Ok(Self { weights, bias: self.bias })
    }
}

/// The width of the embeddings of `n_ids` users or items where none is asked for: `min(600, round(1.6 n^0.56))`, fastai's
/// rule, which counts one more for the unknown id.
pub fn embedding_width(n_ids: usize) -> usize {
    ((1.6 * (n_ids as f64 + 1.0).powf(0.56)).round() as usize).min(600)
}

impl Mlp {
    /// The name and width of the mask of each hidden layer: an input `[B, H]` of numbers that its outputs are multiplied
    /// by, 0 or `1 / (1 - dropout)`. None without dropout.
    pub fn mask_inputs(&self) -> Vec<(String, usize)> {
        let named = self.hidden.iter().enumerate().map(|(index, width)| (format!("dropout{}", index + 1), *width));
        named.filter(|_| self.dropout > 0.0).collect()
    }

    /// Adds the inputs of the masks.
    pub(super) fn masks(&self, graph: &mut Graph) -> Result<Vec<NodeId>> {
        let mask =
            |(name, width): (String, usize)| graph.input(&name, Shape::matrix(Dim::Batch, width), Element::Float);
        self.mask_inputs().into_iter().map(mask).collect()
    }

    /// Adds the states of all layers.
    pub(super) fn states(&self, graph: &mut Graph, user_width: usize, item_width: usize) -> Result<Vec<LayerStates>> {
        let layer = |layer: LayerShape| {
            let matrix =
                |(name, inputs): &(String, usize)| graph.state(name, Shape::matrix(Dim::Fixed(*inputs), layer.outputs));
            let weights = layer.weights.iter().map(matrix).collect::<Result<_>>()?;
            let bias = graph.state(&layer.bias, Shape::vector(Dim::Fixed(layer.outputs)))?;
            Ok(LayerStates { weights, bias })
        };
        self.shapes(user_width, item_width).into_iter().map(layer).collect()
    }

    /// What the last layer gives for each pair of rows `[B, Ku]` and `[B, Ki]`: `[B]`.
    pub(super) fn interaction(
        &self,
        graph: &mut Graph,
        layers: &[LayerStates],
        masks: &[NodeId],
        p: NodeId,
        q: NodeId,
    ) -> Result<NodeId> {
        let mut inputs = vec![p, q];
        for (index, layer) in layers.iter().enumerate() {
            let mut sum = None;
            for (input, weights) in inputs.iter().zip(&layer.weights) {
                let product = graph.matmul(*input, *weights, false, false)?;
                sum = Some(match sum {
                    Some(sum) => graph.add(sum, product)?,
                    None => product,
                });
            }
            let sum = sum.ok_or_else(|| Error::new("model: a layer without weights"))?;
            let bias = graph.repeat_rows(layer.bias, sum)?;
            let mut output = graph.add(sum, bias)?;
            if index + 1 < layers.len() {
                output = graph.relu(output)?;
                if let Some(mask) = masks.get(index) {
                    output = graph.mul(output, *mask)?;
                }
            }
            inputs = vec![output];
        }
        // One column is left.
        graph.sum_columns(inputs[0])
    }

    /// Fresh layers by name.
    pub(super) fn initial(&self, rng: &Rng, user_width: usize, item_width: usize) -> Vec<(String, Vec<f32>)> {
        let mut states = Vec::new();
        for layer in self.shapes(user_width, item_width) {
            let n_inputs: usize = layer.weights.iter().map(|(_, inputs)| inputs).sum();
            let lengths = layer.weights.into_iter().map(|(name, inputs)| (name, inputs * layer.outputs));
            for (name, length) in lengths.chain([(layer.bias, layer.outputs)]) {
                let mut draws = rng.fork(&name);
                states.push((name, (0..length).map(|_| uniform(&mut draws, n_inputs) as f32).collect()));
            }
        }
        states
    }

    /// The layers out of states that `read` gives by name, the last one's output multiplied by `factor`.
    ///
    /// # Errors
    /// Those of `read`; numbers that are not finite.
    pub fn layers(
        &self,
        user_width: usize,
        item_width: usize,
        factor: f64,
        mut read: impl FnMut(&str) -> Result<Vec<f32>>,
    ) -> Result<Layers> {
        let mut layers = Vec::new();
        for shape in self.shapes(user_width, item_width) {
            let mut weights = Vec::new();
            for (name, _) in &shape.weights {
                weights.extend(read(name)?);
            }
            layers.push(Layer { weights, bias: read(&shape.bias)? });
        }
        if let Some(last) = layers.last_mut() {
            let numbers = last.weights.iter_mut().chain(&mut last.bias);
            numbers.for_each(|number| *number = (f64::from(*number) * factor) as f32);
        }
        Layers::new(layers)
    }

    /// The states by name that [`layers`](Self::layers) gives these layers for, with a factor of 1.
    pub fn states_of(layers: &Layers, user_width: usize) -> Vec<(String, Vec<f32>)> {
        let mut states = Vec::new();
        for (index, layer) in layers.all().iter().enumerate() {
            let names = weight_names(index);
            let border = if index == 0 { user_width * layer.n_outputs() } else { layer.weights.len() };
            let (first, second) = layer.weights.split_at(border);
            states.extend(names.into_iter().zip([first.to_vec(), second.to_vec()]));
            states.push((bias_name(index), layer.bias.clone()));
        }
        states
    }

    /// The layers' hidden widths.
    pub fn of(layers: &Layers) -> Self {
        let hidden = layers.all().iter().map(Layer::n_outputs).take(layers.all().len() - 1).collect();
        Self { hidden, dropout: 0.0 }
    }

    fn shapes(&self, user_width: usize, item_width: usize) -> Vec<LayerShape> {
        let outputs = self.hidden.iter().copied().chain([1]);
        let mut inputs = vec![user_width, item_width];
        let shape = |(index, outputs): (usize, usize)| {
            let inputs = std::mem::replace(&mut inputs, vec![outputs]);
            LayerShape {
                weights: weight_names(index).into_iter().zip(inputs).collect(),
                bias: bias_name(index),
                outputs,
            }
        };
        outputs.enumerate().map(shape).collect()
    }
}

struct LayerShape {
    /// Name and number of inputs of each part.
    weights: Vec<(String, usize)>,
    bias: String,
    outputs: usize,
}

fn weight_names(index: usize) -> Vec<String> {
    match index {
        0 => vec!["layer1.user".to_owned(), "layer1.item".to_owned()],
        _ => vec![format!("layer{}.weight", index + 1)],
    }
}

fn bias_name(index: usize) -> String {
    format!("layer{}.bias", index + 1)
}
