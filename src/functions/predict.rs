//! `cofi_predict(user, item [, model])`: the predicted rating.

use crate::error::Result;
use crate::functions::host::{Type, Vector};
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, for_each_model, overloads};

/// Predicts a rating, on the scale of the ratings; of a classifier the expected one. NULL where the model has not seen the
/// user or the item.
pub struct Predict;

impl ScalarFunction for Predict {
    const NAME: &'static str = "cofi_predict";

    fn overloads() -> Vec<Overload> {
        overloads(2, &[], &[Type::Varchar], |_| Type::Float)
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        for_each_model(models, input, 2, output, |rows, loaded| {
            let mut pairs = std::mem::take(&mut loaded.pairs);
            pairs.look_up(input, rows, &loaded.model, output)?;
            loaded.predictor()?.predict_into(&pairs.users, &pairs.items, &mut pairs.numbers)?;
            output.set_each(pairs.rows.iter().copied().zip(pairs.numbers.iter().copied()));
            loaded.pairs = pairs;
            Ok(())
        })
    }
}
