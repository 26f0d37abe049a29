//! `cofi_recommend(user, k [, model [, remove_seen]])`: the items that a user would rate highest.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::functions::host::{Type, Vector};
use crate::functions::ranked::{ranked_type, write_ranked};
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, expect_kind, for_each_row, overloads, read_k};
use crate::ids::IdKind;

/// Items by predicted rating, those that the user has rated left out unless `remove_seen` is false; for an unknown user
/// what is best liked overall.
pub struct Recommend;

impl ScalarFunction for Recommend {
    const NAME: &'static str = "cofi_recommend";

    fn overloads() -> Vec<Overload> {
        overloads(1, &[Type::Bigint], &[Type::Varchar, Type::Boolean], |id| ranked_type("item", id, "score"))
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        for_each_row(models, input, 2, output, |row, loaded| {
            let model = Arc::clone(&loaded.model);
            expect_kind("user", input.id_kind(0), model.users.kind())?;
            if input.id_kind(0) == IdKind::Integer && model.items.kind() == IdKind::Text {
                return Err(Error::new(
                    "the items of this model are text, and items come in the type of the user argument, which is an integer; cast \
                     it: user::VARCHAR",
                ));
            }
            let k = read_k(input, 1, row)?;
            let remove_seen = input.n_arguments() < 4 || input.boolean(3, row);
            let ranked = match model.user(input.id(0, row)?) {
                Some(user) => {
                    let seen = if remove_seen { model.seen.items(user) } else { &[] };
                    loaded.predictor()?.recommend(user, k, seen)?
                }
                None => model.embeddings.best_liked(k),
            };
            write_ranked(output, row, input, &model.items, &ranked)
        })
    }
}
