//! `cofi_user_factors(user [, model])` and `cofi_item_factors(item [, model])`: an embedding as a list.

use crate::error::Result;
use crate::functions::host::{Type, Vector};
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, expect_kind, for_each_row, overloads};

/// The factors of a user, `FLOAT[]` of length `K`; NULL for an unknown user.
pub struct UserFactors;

impl ScalarFunction for UserFactors {
    const NAME: &'static str = "cofi_user_factors";

    fn overloads() -> Vec<Overload> {
        overloads(1, &[], &[Type::Varchar], |_| Type::FloatList)
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        for_each_row(models, input, 1, output, |row, loaded| {
            let model = &loaded.model;
            expect_kind("user", input.id_kind(0), model.users.kind())?;
            write_factors(output, row, model.user(input.id(0, row)?).map(|user| model.embeddings.user_factors(user)))
        })
    }
}

/// The factors of an item, `FLOAT[]` of length `K`; NULL for an unknown item.
pub struct ItemFactors;

impl ScalarFunction for ItemFactors {
    const NAME: &'static str = "cofi_item_factors";

    fn overloads() -> Vec<Overload> {
        overloads(1, &[], &[Type::Varchar], |_| Type::FloatList)
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        for_each_row(models, input, 1, output, |row, loaded| {
            let model = &loaded.model;
            expect_kind("item", input.id_kind(0), model.items.kind())?;
            write_factors(output, row, model.item(input.id(0, row)?).map(|item| model.embeddings.item_factors(item)))
        })
    }
}

fn write_factors(output: Vector, row: usize, factors: Option<&[f32]>) -> Result<()> {
    match factors {
        Some(factors) => {
            let (child, first) = output.push_list(row, factors.len())?;
            child.set_slice(first, factors);
        }
        None => output.set_null(row),
    }
    Ok(())
}
