//! One row on its way in: what it must have, and what it may be.

use super::Split;
use crate::error::{Error, Result, number};
use crate::ids::Id;

/// A row as it is read: a field is absent where it is NULL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) user: Option<Id<'a>>,
    pub(super) item: Option<Id<'a>>,
    pub(super) rating: Option<f64>,
    /// 1 where the rows have no weights.
    pub(super) weight: Option<f64>,
    /// Asked only where the rows say their side.
    pub(super) held_out: Option<bool>,
}

/// A row that has everything, in the types that a training keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CompleteRow<'a> {
    pub(super) user: Id<'a>,
    pub(super) item: Id<'a>,
    pub(super) value: f32,
    pub(super) weight: f32,
    pub(super) is_held_out: bool,
}

impl<'a> Row<'a> {
    /// The row if nothing that counts is NULL.
    ///
    /// # Errors
    /// A rating or weight that is not a finite number or not in the range of `f32`; a weight below 0.
    pub(super) fn complete(self, split: Split) -> Result<Option<CompleteRow<'a>>> {
        let (Some(user), Some(item), Some(rating), Some(weight)) = (self.user, self.item, self.rating, self.weight)
        else {
            return Ok(None);
        };
        let Some(is_held_out) = split.holds_out(user, item).or(self.held_out) else { return Ok(None) };
        let values = check_rating(rating).and_then(|value| Ok((value, check_weight(weight)?)));
        let (value, weight) = values.map_err(|error| error.context(place(user, item)))?;
        Ok(Some(CompleteRow { user, item, value, weight, is_held_out }))
    }
}

/// Where a number is wrong.
pub(super) fn place(user: Id<'_>, item: Id<'_>) -> String {
    format!("user {user}, item {item}")
}

/// A rating in the type that a training keeps.
///
/// # Errors
/// No finite number, or none in the range of `f32`.
#[inline]
pub(super) fn check_rating(rating: f64) -> Result<f32> {
    let refused = |allowed: &str, way_out: &str| Err(Error::argument("rating", number(rating), allowed, way_out));
    if !rating.is_finite() {
        return refused("a finite number", "leave such rows out with WHERE isfinite(rating)");
    }
    if rating.abs() > f64::from(f32::MAX) {
        return refused("a number from -3.4e38 to 3.4e38", "divide the ratings by a constant");
    }
    // Adding 0 makes one value of the two zeros.
    Ok(rating as f32 + 0.0)
}

/// A weight in the type that a training keeps.
///
/// # Errors
/// As for [`check_rating`], or a number below 0.
#[inline]
pub(super) fn check_weight(weight: f64) -> Result<f32> {
    let refused = |allowed: &str, way_out: &str| Err(Error::argument("weight", number(weight), allowed, way_out));
    if !(weight.is_finite() && weight >= 0.0) {
        return refused("a finite number of at least 0", "leave such rows out, or give them the weight 0");
    }
    if !(weight == 0.0 || (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&weight)) {
        return refused("0 or a number from 1.2e-38 to 3.4e38", "multiply all weights by a constant");
    }
    Ok(weight as f32 + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Split = Split::Pairs { fraction: 0.0, seed: 1 };
    const ROW: Row<'_> = Row {
        user: Some(Id::Integer(5)),
        item: Some(Id::Text("it's")),
        rating: Some(3.5),
        weight: Some(0.25),
        held_out: Some(true),
    };

    fn refused(row: Row<'_>) -> String {
        row.complete(ALL).unwrap_err().to_string()
    }

    #[test]
    fn a_row_with_everything_is_complete() {
        let expected =
            CompleteRow { user: Id::Integer(5), item: Id::Text("it's"), value: 3.5, weight: 0.25, is_held_out: false };
        assert_eq!(ROW.complete(ALL).unwrap(), Some(expected));
        let held_out = CompleteRow { is_held_out: true, ..expected };
        assert_eq!(ROW.complete(Split::Given).unwrap(), Some(held_out));
        assert_eq!(Row { held_out: None, ..ROW }.complete(ALL).unwrap(), Some(expected));
    }

    #[test]
    fn a_null_leaves_a_row_out_whatever_else_is_wrong_with_it() {
        let wrong = Row { rating: Some(f64::NAN), weight: Some(-1.0), ..ROW };
        for row in [
            Row { user: None, ..wrong },
            Row { item: None, ..wrong },
            Row { rating: None, ..wrong },
            Row { weight: None, ..wrong },
            Row { held_out: None, ..wrong },
        ] {
            assert_eq!(row.complete(Split::Given).unwrap(), None, "{row:?}");
        }
    }

    #[test]
    fn ratings_that_are_no_numbers_are_refused_by_name() {
        let rating = |rating| refused(Row { rating: Some(rating), ..ROW });
        let finite = "expected a finite number; leave such rows out with WHERE isfinite(rating)";
        assert_eq!(rating(f64::NAN), format!("user 5, item 'it''s': rating = NaN: {finite}"));
        assert_eq!(rating(f64::NEG_INFINITY), format!("user 5, item 'it''s': rating = -inf: {finite}"));
        assert!(rating(1e300).starts_with("user 5, item 'it''s': rating = 1e300: "));
        assert!(rating(4e38).ends_with("expected a number from -3.4e38 to 3.4e38; divide the ratings by a constant"));
    }

    #[test]
    fn weights_that_cannot_count_are_refused_by_name() {
        let weight = |weight| refused(Row { weight: Some(weight), ..ROW });
        let allowed = "expected a finite number of at least 0; leave such rows out, or give them the weight 0";
        for (wrong, shown) in [(-0.5, "-0.5"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            assert_eq!(weight(wrong), format!("user 5, item 'it''s': weight = {shown}: {allowed}"));
        }
        for wrong in [4e38, 1e-38] {
            let tail = "expected 0 or a number from 1.2e-38 to 3.4e38; multiply all weights by a constant";
            assert!(weight(wrong).ends_with(tail), "{wrong}");
        }
        let zero = Row { weight: Some(-0.0), ..ROW }.complete(ALL).unwrap().unwrap().weight;
        assert!(zero == 0.0 && zero.is_sign_positive());
    }
}
