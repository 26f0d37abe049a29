//! Ratings to measure a stored model on.

use crate::error::Result;
use crate::ratings::{HeldOutRating, Split, for_each_rating};
use crate::store::model::StoredModel;
use crate::store::session::Session;
use crate::store::source::Source;

/// Which ratings of a relation are measured on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MeasuredRows {
    /// All.
    All,
    /// Those that this split holds out.
    HeldOut(Split),
    /// This share of them, the latest.
    Latest(f64),
}

/// Reads ratings with the users and items that a model knows by dense index; rows with a NULL are left out.
///
/// # Errors
/// A query that fails; ids that are not of the model's kind; ratings that are not finite.
pub fn read_measured(
    session: &Session,
    source: &Source,
    rows: MeasuredRows,
    model: &StoredModel,
) -> Result<Vec<HeldOutRating>> {
    let (split, fraction) = match rows {
        MeasuredRows::All => (None, None),
        MeasuredRows::HeldOut(split) => (Some(split), None),
        MeasuredRows::Latest(fraction) => (Some(Split::Given), Some(fraction)),
    };
    let mut found = Vec::new();
    session.stream(&source.to_sql(model.users.kind(), model.items.kind(), fraction), |batch| {
        for_each_rating(batch, split, |user, item, value| {
            found.push(HeldOutRating { user: model.user(user), item: model.item(item), value });
            Ok(())
        })
    })?;
    Ok(found)
}
