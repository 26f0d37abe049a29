//! `cofi_predict(user, item [, model])`: the predicted rating.

use crate::error::Result;
use crate::functions::host::{Type, Vector};
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, expect_kind, for_each_model, overloads};
use crate::store::StoredModel;

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
            let known = known_pairs(input, rows, &loaded.model, output)?;
            let ratings = loaded.predictor()?.predict(&known.users, &known.items)?;
            output.set_each(known.rows.into_iter().zip(ratings));
            Ok(())
        })
    }
}

/// The pairs of a chunk that a model knows, by dense index.
pub struct KnownPairs {
    /// Where they stand in the chunk.
    pub rows: Vec<usize>,
    /// `[B]`.
    pub users: Vec<u32>,
    /// `[B]`.
    pub items: Vec<u32>,
}

/// Looks up the users and items, the first two arguments of `rows`; rows that the model does not know become NULL.
///
/// # Errors
/// Integers where the model's ids are text.
pub fn known_pairs(input: &Input, rows: &[usize], model: &StoredModel, output: Vector) -> Result<KnownPairs> {
    expect_kind("user", input.id_kind(0), model.users.kind())?;
    expect_kind("item", input.id_kind(1), model.items.kind())?;
    let room = || Vec::with_capacity(rows.len());
    let mut known = KnownPairs { rows: Vec::with_capacity(rows.len()), users: room(), items: room() };
    for &row in rows {
        match (model.user(input.id(0, row)?), model.item(input.id(1, row)?)) {
            (Some(user), Some(item)) => {
                known.rows.push(row);
                known.users.push(user.0);
                known.items.push(item.0);
            }
            _ => output.set_null(row),
        }
    }
    Ok(known)
}
