//! `cofi_similar(item, k [, model])` and `cofi_similar_users(user, k [, model])`: the nearest by cosine of the factors.

use crate::error::Result;
use crate::functions::host::{Type, Vector};
use crate::functions::ranked::{ranked_type, write_ranked};
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, expect_kind, for_each_row, overloads, read_k};

/// The items whose factors point the same way as the given item's, itself left out; NULL for an unknown item.
pub struct Similar;

impl ScalarFunction for Similar {
    const NAME: &'static str = "cofi_similar";

    fn overloads() -> Vec<Overload> {
        overloads(1, &[Type::Bigint], &[Type::Varchar], |id| ranked_type("item", id, "similarity"))
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        for_each_row(models, input, 2, output, |row, loaded| {
            let model = &loaded.model;
            expect_kind("item", input.id_kind(0), model.items.kind())?;
            let k = read_k(input, 1, row)?;
            match model.item(input.id(0, row)?) {
                Some(item) => write_ranked(output, row, input, &model.items, &model.embeddings.similar_items(item, k)),
                None => {
                    output.set_null(row);
                    Ok(())
                }
            }
        })
    }
}

/// The users whose factors point the same way as the given user's, themselves left out; NULL for an unknown user.
pub struct SimilarUsers;

impl ScalarFunction for SimilarUsers {
    const NAME: &'static str = "cofi_similar_users";

    fn overloads() -> Vec<Overload> {
        overloads(1, &[Type::Bigint], &[Type::Varchar], |id| ranked_type("user", id, "similarity"))
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        for_each_row(models, input, 2, output, |row, loaded| {
            let model = &loaded.model;
            expect_kind("user", input.id_kind(0), model.users.kind())?;
            let k = read_k(input, 1, row)?;
            match model.user(input.id(0, row)?) {
                Some(user) => write_ranked(output, row, input, &model.users, &model.embeddings.similar_users(user, k)),
                None => {
                    output.set_null(row);
                    Ok(())
                }
            }
        })
    }
}
