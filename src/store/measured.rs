//! Ratings to measure a stored model on.

use crate::error::Result;
use crate::ratings::{HeldOutRating, for_each_rating};
use crate::store::model::StoredModel;
use crate::store::session::Session;
use crate::store::source::Source;

/// Reads ratings with the users and items that a model knows by dense index; rows with a NULL are left out.
///
/// # Errors
/// A query that fails; ids that are not of the model's kind; ratings that are not finite.
pub fn read_measured(session: &Session, source: &Source, model: &StoredModel) -> Result<Vec<HeldOutRating>> {
    let mut rows = Vec::new();
    session.stream(&source.to_sql(model.users.kind(), model.items.kind(), None), |batch| {
        for_each_rating(batch, |user, item, value| {
            rows.push(HeldOutRating { user: model.user(user), item: model.item(item), value });
            Ok(())
        })
    })?;
    Ok(rows)
}
