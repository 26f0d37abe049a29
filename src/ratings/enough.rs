//! Whether there is enough to learn from, and what is missing.

use super::{HeldOutRating, Ratings, Split};
use crate::error::{Error, Result, number};
use crate::ids::Vocabulary;

/// How much was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    pub(super) n_train: usize,
    pub(super) n_held_out: usize,
    pub(super) n_skipped: u64,
    pub(super) weighted: bool,
    pub(super) split: Split,
}

/// Refuses too few rows, whatever they say.
pub(super) fn check_rows(totals: Totals) -> Result<()> {
    let n_ratings = totals.n_train + totals.n_held_out;
    let reason = match (n_ratings, totals.n_train, totals.n_skipped) {
        (0, _, 0) => "no rows; expected at least two ratings".to_owned(),
        (0, _, skipped) => {
            format!("no row has {}; {skipped} with a NULL were skipped", needed(totals))
        }
        (1, ..) => "only one rating; expected at least two".to_owned(),
        (_, 0, _) => format!("all {n_ratings} rows fell to the validation side; use a smaller validation_fraction"),
        _ if totals.split == Split::Given && totals.n_held_out == 0 => {
            "no row is held out by its time: none is later than the others, or those of the latest time are more than \
             validation_fraction of all; use a finer time_col, a larger validation_fraction, or 0 to train on all rows"
                .to_owned()
        }
        _ => return Ok(()),
    };
    Err(Error::new(format!("ratings: {reason}")))
}

/// What a row must have, in words.
fn needed(totals: Totals) -> &'static str {
    match (totals.weighted, totals.split) {
        (false, Split::Pairs { .. }) => "a user, an item and a rating",
        (true, Split::Pairs { .. }) => "a user, an item, a rating and a weight",
        (false, Split::Given) => "a user, an item, a rating and a time",
        (true, Split::Given) => "a user, an item, a rating, a weight and a time",
    }
}

/// From here on neighbouring 32-bit floats are so far apart that ratings of one value may have been several.
const COARSE: f32 = 1e6;

/// Refuses ratings that have nothing to learn from, in their indices; `held_out` are those that a split took away.
pub(super) fn check_training_side(
    train: &Ratings,
    held_out: &[HeldOutRating],
    users: &Vocabulary,
    items: &Vocabulary,
) -> Result<()> {
    let first = |vocabulary: &Vocabulary| vocabulary.id(0).map(|id| id.to_string()).unwrap_or_default();
    let value = train.values.first().copied().unwrap_or_default();
    let n_ratings = train.len();
    let (only, is_split_to_blame) = if users.len() < 2 {
        (format!("user, {}", first(users)), held_out.iter().any(|rating| rating.user.is_none()))
    } else if items.len() < 2 {
        (format!("item, {}", first(items)), held_out.iter().any(|rating| rating.item.is_none()))
    } else if train.values.iter().all(|other| *other == value) {
        (format!("value, {}", number(value)), held_out.iter().any(|rating| rating.value != value))
    } else {
        return Ok(());
    };
    let way_out = if is_split_to_blame {
        "; validation_fraction := 0 trains on all rows"
    } else if only.starts_with("value") && (value == 0.0 || value.abs() >= COARSE) {
        "; as 32-bit floats, that is: where they differ by less, subtract a constant from the ratings or multiply them by one"
    } else {
        ""
    };
    Err(Error::new(format!(
        "ratings: the {n_ratings} training ratings have only one {only}; expected at least two{way_out}"
    )))
}

/// Refuses weights that leave nothing to learn from.
pub(super) fn check_weights(train: &Ratings) -> Result<()> {
    if train.weights().is_some_and(|weights| weights.iter().all(|weight| *weight == 0.0)) {
        return Err(Error::new(format!(
            "ratings: all {} training ratings have the weight 0; expected at least one above 0; without weight_col all \
             count alike",
            train.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;
    use crate::ratings::DatasetBuilder;
    use crate::ratings::builder::tests::{NOTHING, builder, weighted};

    fn refused(builder: DatasetBuilder) -> String {
        builder.finish().unwrap_err().to_string()
    }

    #[test]
    fn too_little_is_refused_with_the_reason() {
        assert_eq!(refused(builder(NOTHING, &[])), "ratings: no rows; expected at least two ratings");
        let mut nulls = builder(NOTHING, &[]);
        nulls.push_row(None, None, None).unwrap();
        let expected = "ratings: no row has a user, an item and a rating; 1 with a NULL were skipped";
        assert_eq!(refused(nulls), expected);
        assert_eq!(refused(builder(NOTHING, &[(1, 1, 1.0)])), "ratings: only one rating; expected at least two");

        let only = |what: &str| format!("ratings: the 2 training ratings have only one {what}; expected at least two");
        assert_eq!(refused(builder(NOTHING, &[(1, 1, 1.0), (1, 2, 2.0)])), only("user, 1"));
        assert_eq!(refused(builder(NOTHING, &[(1, 3, 1.0), (2, 3, 2.0)])), only("item, 3"));
        assert_eq!(refused(builder(NOTHING, &[(1, 1, 4.5), (2, 2, 4.5)])), only("value, 4.5"));

        let nearly_all = Split::Pairs { fraction: 1.0 - 1e-12, seed: 1 };
        let expected = "ratings: all 2 rows fell to the validation side; use a smaller validation_fraction";
        assert_eq!(refused(builder(nearly_all, &[(1, 1, 1.0), (2, 2, 2.0)])), expected);
    }

    #[test]
    fn a_split_that_leaves_too_little_says_how_to_keep_all() {
        let split = Split::Pairs { fraction: 0.5, seed: 1 };
        let held_out = |user: &i64| split.holds_out(Id::Integer(*user), Id::Integer(*user)) == Some(true);
        let out = (0..).find(held_out).unwrap();
        let kept = (0..).find(|user| !held_out(user)).unwrap();
        let message = refused(builder(split, &[(kept, kept, 1.0), (kept, kept, 2.0), (out, out, 3.0)]));
        assert!(message.contains("only one user"), "{message}");
        assert!(message.ends_with("expected at least two; validation_fraction := 0 trains on all rows"), "{message}");
    }

    #[test]
    fn a_way_out_that_does_not_lead_out_is_not_named() {
        // One user, one item, one value in all of the table: training on all rows would not help.
        let split = Split::Pairs { fraction: 0.5, seed: 1 };
        let sides =
            |out: bool| move |pair: &(i64, i64)| split.holds_out(Id::Integer(pair.0), Id::Integer(pair.1)) == Some(out);
        let tail = "expected at least two";
        type PairOf = fn(i64) -> (i64, i64);
        let cases: [(PairOf, &str); 3] =
            [(|n| (1, n), "only one user, 1"), (|n| (n, 1), "only one item, 1"), (|n| (n, n), "only one value, 3")];
        for (pair, what) in cases {
            let kept = (0..).map(pair).filter(sides(false)).take(3);
            let out = (0..).map(pair).filter(sides(true)).take(3);
            let rows: Vec<_> = kept.chain(out).map(|(user, item)| (user, item, 3.0)).collect();
            let message = refused(builder(split, &rows));
            assert!(message.contains(what) && message.ends_with(tail), "{message}");
        }
        let coarse = refused(builder(NOTHING, &[(1, 1, 1e9 + 1.0), (2, 2, 1e9 + 5.0)]));
        assert!(coarse.contains("only one value, 1000000000;") && coarse.contains("as 32-bit floats"), "{coarse}");
        let vanishing = refused(builder(NOTHING, &[(1, 1, 1e-300), (2, 2, 3e-300)]));
        assert!(vanishing.contains("only one value, 0;") && vanishing.contains("multiply them by one"), "{vanishing}");
    }

    #[test]
    fn weights_of_nothing_are_refused() {
        let none = [(1, 1, 1.0, 0.0, Some(false)), (2, 2, 2.0, 0.0, Some(false)), (1, 2, 1.0, 5.0, Some(true))];
        let expected = "ratings: all 2 training ratings have the weight 0; expected at least one above 0; without \
                        weight_col all count alike";
        assert_eq!(refused(weighted(NOTHING, &none[..2])), expected);
        assert_eq!(refused(weighted(Split::Given, &none)), expected);

        let mut late = builder(NOTHING, &[(1, 1, 1.0)]);
        let message = late.parts[0].expect_weights(true).unwrap_err().to_string();
        assert_eq!(message, "some rows have weights and others have none");
        late.parts[0].expect_weights(false).unwrap();
    }

    #[test]
    fn times_that_hold_out_nothing_are_refused() {
        let rows = [(1, 1, 1.0, 1.0, Some(false)), (2, 2, 2.0, 1.0, Some(false))];
        let message = refused(weighted(Split::Given, &rows));
        assert!(
            message.starts_with("ratings: no row is held out by its time: none is later than the others"),
            "{message}"
        );
        let unknown = [(1, 1, 1.0, 1.0, None), (2, 2, 2.0, 1.0, None)];
        let expected = "ratings: no row has a user, an item, a rating, a weight and a time; 2 with a NULL were skipped";
        assert_eq!(refused(weighted(Split::Given, &unknown)), expected);
    }
}
