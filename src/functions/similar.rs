//! `cofi_similar(item, k [, model])` and `cofi_similar_users(user, k [, model])`: the nearest by cosine of the factors.

use crate::error::Result;
use crate::functions::host::{Type, Vector};
use crate::functions::look_up::look_up_each;
use crate::functions::ranked::{Question, answer, ranked_type, write_ranked};
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, for_each_model, overloads, read_k};
use crate::ids::{ItemIdx, UserIdx, Vocabulary};
use crate::score::{Embeddings, Scored};
use crate::store::Side;

/// The items whose factors point the same way as the given item's, itself left out; NULL for an unknown item.
pub struct Similar;

impl ScalarFunction for Similar {
    const NAME: &'static str = "cofi_similar";

    fn overloads() -> Vec<Overload> {
        overloads(1, &[Type::Bigint], &[Type::Varchar], |id| ranked_type("item", id, "similarity"))
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        rank_each(models, input, output, ("item", Side::Items), |embeddings, indices, k| {
            let items: Vec<_> = indices.iter().copied().map(ItemIdx).collect();
            embeddings.similar_items(&items, k)
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
        rank_each(models, input, output, ("user", Side::Users), |embeddings, indices, k| {
            let users: Vec<_> = indices.iter().copied().map(UserIdx).collect();
            embeddings.similar_users(&users, k)
        })
    }
}

fn rank_each(
    models: &mut Models,
    input: &Input,
    output: Vector,
    (what, side): (&str, Side),
    nearest: impl Fn(&Embeddings, &[u32], usize) -> Vec<Vec<Scored>>,
) -> Result<()> {
    for_each_model(models, input, 2, output, |rows, loaded| {
        let model = &loaded.model;
        let vocabulary: &Vocabulary = model.vocabulary(side);
        let (mut found, mut questions) = (Vec::new(), Vec::new());
        look_up_each(what, input, 0, rows, vocabulary, &mut Vec::new(), &mut found)?;
        for (&row, &index) in rows.iter().zip(&found) {
            let k = read_k(input, 1, row)?;
            match index {
                Some(_) => questions.push(Question { k, option: false, index, row }),
                None => output.set_null(row),
            }
        }
        let ask = |k, _, indices: &[Option<u32>]| {
            let indices: Vec<u32> = indices.iter().copied().flatten().collect();
            Ok(nearest(&model.embeddings, &indices, k))
        };
        answer(&mut questions, ask, |row, ranked| write_ranked(output, row, input, vocabulary, ranked))
    })
}
