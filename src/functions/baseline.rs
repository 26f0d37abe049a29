//! `cofi_baseline(user, item [, model])`: the rating expected without looking at the taste of the user.

use crate::error::Result;
use crate::functions::host::{Type, Vector};
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, expect_kind, for_each_row, overloads};

/// The mean plus the biases of the sides that are known; never NULL for arguments that are not NULL.
pub struct Baseline;

impl ScalarFunction for Baseline {
    const NAME: &'static str = "cofi_baseline";

    fn overloads() -> Vec<Overload> {
        overloads(2, &[], &[Type::Varchar], |_| Type::Float)
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        for_each_row(models, input, 2, output, |row, loaded| {
            let model = &loaded.model;
            expect_kind("user", input.id_kind(0), model.users.kind())?;
            expect_kind("item", input.id_kind(1), model.items.kind())?;
            let (user, item) = (model.user(input.id(0, row)?), model.item(input.id(1, row)?));
            output.set(row, model.embeddings.baseline(user, item));
            Ok(())
        })
    }
}
