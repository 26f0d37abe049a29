//! Ratings to measure a stored model on.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::ids::IdKind;
use crate::ratings::{MeasuredItem, MeasuredRating, Split, for_each_rating};
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
/// Ids are looked up as the scalar functions look them up: text that spells an integer is one of integer ids.
///
/// # Errors
/// A query that fails; ratings that are not finite; too many unknown items.
pub fn read_measured(
    session: &Session,
    source: &Source,
    rows: MeasuredRows,
    model: &StoredModel,
) -> Result<Vec<MeasuredRating>> {
    let (split, fraction) = match rows {
        MeasuredRows::All => (None, None),
        MeasuredRows::HeldOut(split) => (Some(split), None),
        MeasuredRows::Latest(fraction) => (Some(Split::Given), Some(fraction)),
    };
    let kind = |of_model: IdKind, of_source: IdKind| match (of_model, of_source) {
        (IdKind::Integer, IdKind::Integer) => IdKind::Integer,
        _ => IdKind::Text,
    };
    let (users, items) = (kind(model.users.kind(), source.user_kind), kind(model.items.kind(), source.item_kind));
    let mut unknown: HashMap<String, u32> = HashMap::new();
    let mut found = Vec::new();
    session.stream(&source.to_sql(users, items, fraction), |batch| {
        for_each_rating(batch, split, |user, item, value| {
            let item = match model.item(item) {
                Some(item) => MeasuredItem::Known(item),
                None => {
                    let next = u32::try_from(unknown.len())
                        .map_err(|_| Error::new("ratings: too many items that the model does not know"))?;
                    MeasuredItem::Unknown(*unknown.entry(item.to_string()).or_insert(next))
                }
            };
            found.push(MeasuredRating { user: model.user(user), item, value });
            Ok(())
        })
    })?;
    Ok(found)
}
