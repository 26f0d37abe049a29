//! What a step is fed, as our operators want it.

use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::value::{PrimitiveTensorElementType, Tensor};

use crate::error::{Error, Result};
use crate::graph::{Feed, FeedValues};
use crate::kernels::factorisation::Settings;

/// Writes values into the tensor at a place, made and bound where there is none of `room` elements.
pub fn write<T: PrimitiveTensorElementType + Copy + std::fmt::Debug + 'static>(
    tensors: &mut Vec<Tensor<T>>,
    place: usize,
    name: &str,
    values: &[T],
    room: usize,
    binding: &mut IoBinding,
) -> ort::Result<()> {
    write_from(tensors, place, name, (values, 0), room, binding)
}

/// The same, where the values before the second number are there already unless the tensor is made anew.
pub fn write_from<T: PrimitiveTensorElementType + Copy + std::fmt::Debug + 'static>(
    tensors: &mut Vec<Tensor<T>>,
    place: usize,
    name: &str,
    (values, mut known): (&[T], usize),
    room: usize,
    binding: &mut IoBinding,
) -> ort::Result<()> {
    let fits = |tensor: &Tensor<T>| tensor.extract_tensor().1.len() == room;
    if !tensors.get(place).is_some_and(fits) {
        let tensor = Tensor::<T>::new(&Allocator::default(), [room])?;
        binding.bind_input(name, &tensor)?;
        match tensors.get_mut(place) {
            Some(old) => *old = tensor,
            None => tensors.push(tensor),
        }
        known = 0;
    }
    tensors[place].extract_tensor_mut().1[known..values.len()].copy_from_slice(&values[known..]);
    Ok(())
}

/// The numbers of a step by the names that its optimiser feeds them under.
pub fn settings(feeds: &[Feed<'_>]) -> Result<Settings> {
    let mut settings = Settings { decay: 1.0, ..Settings::default() };
    for feed in feeds {
        let FeedValues::Floats(&[value]) = feed.values else { continue };
        let Some((_, name)) = feed.name.split_once('.') else { continue };
        let place = match name {
            "beta1" | "momentum" => &mut settings.beta1,
            "one_minus_beta1" | "gain" => &mut settings.gain1,
            "beta2" => &mut settings.beta2,
            "one_minus_beta2" => &mut settings.gain2,
            "step_size" | "learning_rate" => &mut settings.step_size,
            "epsilon" => &mut settings.epsilon,
            "decay" => &mut settings.decay,
            "log_beta1" => &mut settings.log_beta1,
            "log_beta2" => &mut settings.log_beta2,
            "log_ratio" => &mut settings.log_ratio,
            "tail" => &mut settings.tail,
            "log_decay_before" => &mut settings.log_decay_before,
            "log_decay_now" => &mut settings.log_decay_now,
            "before" | "now" => continue,
            other => return Err(Error::new(format!("feed {other}: the fused step has no such number"))),
        };
        *place = value;
    }
    Ok(settings)
}

/// Whether there is a feed of this name.
pub fn has(feeds: &[Feed<'_>], name: &str) -> bool {
    feeds.iter().any(|feed| feed.name == name)
}

/// The row numbers of this name.
pub fn indices<'a>(feeds: &[Feed<'a>], name: &str) -> Result<&'a [i32]> {
    match feeds.iter().find(|feed| feed.name == name).map(|feed| feed.values) {
        Some(FeedValues::Indices(values)) => Ok(values),
        _ => Err(Error::new(format!("feed {name}: expected row numbers, once"))),
    }
}

/// The numbers of this name.
pub fn floats<'a>(feeds: &[Feed<'a>], name: &str) -> Result<&'a [f32]> {
    match feeds.iter().find(|feed| feed.name == name).map(|feed| feed.values) {
        Some(FeedValues::Floats(values)) => Ok(values),
        _ => Err(Error::new(format!("feed {name}: expected numbers, once"))),
    }
}
