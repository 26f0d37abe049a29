//! The layers of a model that has some: what they are, not how they are computed.

use super::{check_length, largest_magnitude};
use crate::error::{Error, Result};

/// One linear layer: `y = x W + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// `W`, row by row: `[inputs, outputs]`.
    pub weights: Vec<f32>,
    /// `b`: `[outputs]`.
    pub bias: Vec<f32>,
}

impl Layer {
    /// The numbers that go in.
    pub fn n_inputs(&self) -> usize {
        self.weights.len() / self.bias.len().max(1)
    }

    /// The numbers that come out.
    pub fn n_outputs(&self) -> usize {
        self.bias.len()
    }
}

/// A stack of linear layers with `max(x, 0)` between them: the rows of a user and an item, one behind the other, go in, a single
/// number comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers(Vec<Layer>);

impl Layers {
    /// Checks the layers, as somebody may have edited the table that they were stored in.
    ///
    /// # Errors
    /// No layer; lengths that do not fit together; a last layer with several outputs; a number that is not finite.
    pub fn new(layers: Vec<Layer>) -> Result<Self> {
        for (index, layer) in layers.iter().enumerate() {
            let name = |what: &str| format!("{what} of layer {}", index + 1);
            let inputs = match index.checked_sub(1).and_then(|before| layers.get(before)) {
                Some(before) => before.n_outputs(),
                None => layer.n_inputs(),
            };
            check_length(&name("weights"), layer.weights.len(), inputs * layer.n_outputs())?;
            largest_magnitude(&name("weights"), &layer.weights)?;
            largest_magnitude(&name("bias"), &layer.bias)?;
        }
        match layers.last().map(Layer::n_outputs) {
            Some(1) if layers[0].n_inputs() > 0 => Ok(Self(layers)),
            _ => Err(Error::new("layers: the last one has to give a single number")),
        }
    }

    /// The layers in order, at least one.
    pub fn all(&self) -> &[Layer] {
        &self.0
    }

    /// The numbers that go in: the widths of both tables together.
    pub fn n_inputs(&self) -> usize {
        self.0.first().map_or(0, Layer::n_inputs)
    }

    /// What no number inside or at the end is larger than, where none that goes in is larger than `input`.
    pub(super) fn bound(&self, input: f64) -> f64 {
        let mut bound = input;
        let mut highest = input;
        for layer in &self.0 {
            let column = |output: usize| {
                let weights = layer.weights.iter().skip(output).step_by(layer.n_outputs());
                weights.map(|weight| f64::from(weight.abs())).sum::<f64>() * bound + f64::from(layer.bias[output].abs())
            };
            bound = (0..layer.n_outputs()).map(column).fold(0.0, f64::max);
            highest = highest.max(bound);
        }
        highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(weights: &[f32], bias: &[f32]) -> Layer {
        Layer { weights: weights.to_vec(), bias: bias.to_vec() }
    }

    #[test]
    fn layers_fit_together() {
        let layers = Layers::new(vec![layer(&[1.0; 6], &[0.0; 2]), layer(&[1.0, -2.0], &[0.5])]).unwrap();
        assert_eq!((layers.n_inputs(), layers.all().len()), (3, 2));
        for wrong in [
            vec![],
            vec![layer(&[1.0; 6], &[0.0; 2])],
            vec![layer(&[1.0; 5], &[0.0; 2]), layer(&[1.0; 2], &[0.0])],
            vec![layer(&[1.0; 6], &[0.0; 2]), layer(&[1.0; 3], &[0.0])],
            vec![layer(&[], &[0.0])],
            vec![layer(&[f32::NAN], &[0.0])],
            vec![layer(&[1.0], &[f32::INFINITY])],
        ] {
            assert!(Layers::new(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_bound_holds_for_the_worst_input() {
        // |x| <= 2: the hidden units reach 2 + 2 + 0.5 and 6; the end 4.5 + 2 * 6 + 1.
        let layers =
            Layers::new(vec![layer(&[1.0, 3.0, -1.0, 0.0], &[0.5, 0.0]), layer(&[1.0, -2.0], &[-1.0])]).unwrap();
        assert_eq!(layers.bound(2.0), 19.0);
        assert_eq!(Layers::new(vec![layer(&[0.0], &[0.0])]).unwrap().bound(7.0), 7.0);
    }
}
