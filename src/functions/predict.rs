//! `cofi_predict(user, item [, model])`: the predicted rating.

use crate::error::Result;
use crate::functions::host::{Type, Vector};
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, expect_kind, for_each_row, overloads};

/// Predicts a rating, on the scale of the ratings; NULL where the model has not seen the user or the item.
pub struct Predict;

impl ScalarFunction for Predict {
    const NAME: &'static str = "cofi_predict";

    fn overloads() -> Vec<Overload> {
        overloads(2, &[], &[Type::Varchar], |_| Type::Float)
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        for_each_row(models, input, 2, output, |row, model| {
            expect_kind("user", input.id_kind(0), model.users.kind())?;
            expect_kind("item", input.id_kind(1), model.items.kind())?;
            match (model.user(input.id(0, row)?), model.item(input.id(1, row)?)) {
                (Some(user), Some(item)) => output.set(row, model.embeddings.predict(user, item)),
                _ => output.set_null(row),
            }
            Ok(())
        })
    }
}
