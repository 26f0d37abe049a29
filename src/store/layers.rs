//! The table `layers_n`: what a model has besides the rows of its users and items.
//!
//! A row for each tensor, in the order in which data goes through them: weights and bias of each layer, then values, weights
//! and offsets of the classes.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Int32Array, ListArray, RecordBatch, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

use crate::error::{Error, Result, quoted};
use crate::score::{Classes, Interaction, Layer, Layers, Parts};

const WEIGHTS: &str = "weights";
const BIAS: &str = "bias";
const CLASS_VALUES: &str = "class_values";
const CLASS_WEIGHTS: &str = "class_weights";
const CLASS_OFFSETS: &str = "class_offsets";

/// A named tensor of two dimensions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    /// What it is.
    pub name: String,
    /// Row by row.
    pub values: Vec<f32>,
    /// Its columns; a vector is one row.
    pub n_columns: usize,
}

/// The tensors of a model; none for a product of factors that is no classifier.
pub(super) fn tensors_of(parts: &Parts) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    let mut push = |name: String, values: &[f32], n_columns: usize| {
        tensors.push(Tensor { name, values: values.to_vec(), n_columns });
    };
    if let Interaction::Layers(layers) = &parts.interaction {
        for (layer, number) in layers.all().iter().zip(1..) {
            push(layer_tensor(number, WEIGHTS), &layer.weights, layer.n_outputs());
            push(layer_tensor(number, BIAS), &layer.bias, layer.n_outputs());
        }
    }
    if let Some(classes) = &parts.classes {
        for (name, values) in
            [(CLASS_VALUES, classes.values()), (CLASS_WEIGHTS, classes.weights()), (CLASS_OFFSETS, classes.offsets())]
        {
            push(name.to_owned(), values, values.len());
        }
    }
    tensors
}

/// What the tensors of a table stand for.
///
/// # Errors
/// Tensors that do not fit together, or that nobody knows: somebody edited the table.
pub(super) fn parts_of(mut tensors: Vec<Tensor>) -> Result<(Interaction, Option<Classes>)> {
    let mut take = |name: &str, n_columns: Option<usize>| -> Result<Option<Vec<f32>>> {
        let Some(place) = tensors.iter().position(|tensor| tensor.name == name) else { return Ok(None) };
        let tensor = tensors.remove(place);
        match tensor.n_columns == n_columns.unwrap_or(tensor.values.len()) {
            true => Ok(Some(tensor.values)),
            false => Err(Error::new(format!("{name} has n_columns = {}", tensor.n_columns))),
        }
    };
    let mut layers = Vec::new();
    while let Some(bias) = take(&layer_tensor(layers.len() + 1, BIAS), None)? {
        let weights = take(&layer_tensor(layers.len() + 1, WEIGHTS), Some(bias.len()))?
            .ok_or_else(|| Error::new(format!("layer {} has no weights", layers.len() + 1)))?;
        layers.push(Layer { weights, bias });
    }
    let classes = match (take(CLASS_VALUES, None)?, take(CLASS_WEIGHTS, None)?, take(CLASS_OFFSETS, None)?) {
        (Some(values), Some(weights), Some(offsets)) => Some(Classes::new(values, weights, offsets)?),
        (None, None, None) => None,
        _ => return Err(Error::new("the classes have lost a tensor")),
    };
    if let Some(Tensor { name, .. }) = tensors.first() {
        return Err(Error::new(format!("there is a tensor {} that no model has", quoted(name))));
    }
    let interaction = if layers.is_empty() { Interaction::Dot } else { Interaction::Layers(Layers::new(layers)?) };
    Ok((interaction, classes))
}

/// The tensors as rows of the table.
pub(super) fn record_batch(tensors: &[Tensor]) -> std::result::Result<RecordBatch, ArrowError> {
    let element = Arc::new(Field::new("item", DataType::Float32, true));
    let schema = Schema::new(vec![
        Field::new("position", DataType::Int32, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("n_columns", DataType::Int32, false),
        Field::new("values", DataType::List(Arc::clone(&element)), false),
    ]);
    let values: Float32Array = tensors.iter().flat_map(|tensor| tensor.values.iter().copied()).collect();
    let offsets = OffsetBuffer::from_lengths(tensors.iter().map(|tensor| tensor.values.len()));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(1..=tensors.len() as i32)),
        Arc::new(StringArray::from_iter_values(tensors.iter().map(|tensor| &tensor.name))),
        Arc::new(Int32Array::from_iter_values(tensors.iter().map(|tensor| tensor.n_columns as i32))),
        Arc::new(ListArray::try_new(element, offsets, Arc::new(values), None)?),
    ];
    RecordBatch::try_new(Arc::new(schema), columns)
}

fn layer_tensor(number: usize, what: &str) -> String {
    format!("layer{number}.{what}")
}
