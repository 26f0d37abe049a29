//! `cofi_recommend(user, k [, model [, remove_seen]])`: the items that a user would rate highest.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::functions::host::{Type, Vector};
use crate::functions::look_up::look_up_each;
use crate::functions::ranked::{Question, answer, ranked_type, write_ranked};
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, for_each_model, overloads, read_k};
use crate::ids::{IdKind, UserIdx};

/// Items by predicted rating, those that the user has rated left out unless `remove_seen` is false; for an unknown user
/// what is best liked overall.
pub struct Recommend;

impl ScalarFunction for Recommend {
    const NAME: &'static str = "cofi_recommend";

    fn overloads() -> Vec<Overload> {
        overloads(1, &[Type::Bigint], &[Type::Varchar, Type::Boolean], |id| ranked_type("item", id, "score"))
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        for_each_model(models, input, 2, output, |rows, loaded| {
            let model = Arc::clone(&loaded.model);
            let mut found = Vec::new();
            look_up_each("user", input, 0, rows, &model.users, &mut Vec::new(), &mut found)?;
            if input.id_kind(0) == IdKind::Integer && model.items.kind() == IdKind::Text {
                return Err(Error::new(
                    "the items of this model are text, and items come in the type of the user argument, which is an integer; cast \
                     it: user::VARCHAR",
                ));
            }
            let mut questions = Vec::with_capacity(rows.len());
            for (&row, &index) in rows.iter().zip(&found) {
                let remove_seen = input.n_arguments() < 4 || input.boolean(3, row);
                questions.push(Question { k: read_k(input, 1, row)?, option: remove_seen, index, row });
            }
            let ask = |k, remove_seen, indices: &[Option<u32>]| {
                let users: Vec<_> = indices.iter().copied().flatten().map(UserIdx).collect();
                let seen = |user| if remove_seen { model.seen.items(user) } else { &[] };
                let mut answers = Vec::with_capacity(indices.len());
                // Of all indices the unknown one comes first, once.
                answers.extend(indices.first().filter(|index| index.is_none()).map(|_| model.embeddings.best_liked(k)));
                if !users.is_empty() {
                    answers.extend(loaded.predictor()?.recommend_each(&users, k, &seen)?);
                }
                Ok(answers)
            };
            answer(&mut questions, ask, |row, ranked| write_ranked(output, row, input, &model.items, ranked))
        })
    }
}
