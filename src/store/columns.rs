//! Which columns of a relation are read: by the caller's names, else by the usual ones, else by place.

use crate::error::{Error, Result, quoted};
use crate::store::names::quote_identifier;

/// Column names that are taken for users where none is given.
const USER_NAMES: &[&str] =
    &["user", "user_id", "userid", "users", "customer", "customer_id", "customerid", "reader", "reader_id"];

/// Column names that are taken for items where none is given.
pub(super) const ITEM_NAMES: &[&str] = &[
    "item",
    "item_id",
    "itemid",
    "movie",
    "movie_id",
    "movieid",
    "title",
    "product",
    "product_id",
    "productid",
    "book",
    "book_id",
    "song",
    "song_id",
    "track",
    "track_id",
    "artist",
    "artist_id",
    "isbn",
];

/// Column names that are taken for ratings where none is given.
const RATING_NAMES: &[&str] = &["rating", "ratings", "score", "stars", "rate"];

/// Column names that are never taken for ratings by their place alone.
const NEVER_RATINGS: &[&str] = &["timestamp", "time", "ts", "date", "created_at", "rated_at", "unixtime"];

/// The columns that the caller named.
#[derive(Clone, Debug, Default)]
pub struct NamedColumns {
    /// `user_col`.
    pub user: Option<String>,
    /// `item_col`.
    pub item: Option<String>,
    /// `rating_col`.
    pub rating: Option<String>,
    /// `weight_col`.
    pub weight: Option<String>,
    /// `time_col`.
    pub time: Option<String>,
}

/// The columns that are read, as the relation spells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceColumns {
    /// Who rated.
    pub user: String,
    /// What was rated.
    pub item: String,
    /// How.
    pub rating: String,
    /// How much the rating counts; only where the caller named it.
    pub weight: Option<String>,
    /// When; only where the caller named it.
    pub time: Option<String>,
}

/// What ratings are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To learn from: the weight and the time that the caller named must be there.
    Training,
    /// To measure on: neither is looked for. Where they are there, they are still no users, items or ratings.
    Measuring,
}

/// The places of the columns that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) user: usize,
    pub(super) item: usize,
    pub(super) rating: usize,
    pub(super) weight: Option<usize>,
    pub(super) time: Option<usize>,
}

/// Chooses among columns, each with its name and type; `argument` names the relation in errors.
///
/// A column of weights or times is only one that the caller named, and is then never taken for anything else: what
/// counts as the first three columns are the first three others.
pub(super) fn choose(
    argument: &str,
    columns: &[(&str, &str)],
    named: &NamedColumns,
    purpose: Purpose,
) -> Result<Places> {
    let find = |option: &str, given: &Option<String>| match given {
        Some(name) => position(columns, name).map(Some).ok_or_else(|| {
            Error::argument(option, quoted(name), format!("a column of {argument}: {}", list(columns)), "")
        }),
        None => Ok(None),
    };
    let mut found =
        [find("user_col", &named.user)?, find("item_col", &named.item)?, find("rating_col", &named.rating)?];
    let extra = |option: &str, given: &Option<String>| match purpose {
        Purpose::Training => find(option, given),
        Purpose::Measuring => Ok(given.as_ref().and_then(|name| position(columns, name))),
    };
    let (weight, time) = (extra("weight_col", &named.weight)?, extra("time_col", &named.time)?);
    check_distinct(columns, [found[0], found[1], found[2], weight, time])?;

    let is_other = |index: &usize| ![weight, time].contains(&Some(*index));
    for (role, usual_names) in [USER_NAMES, ITEM_NAMES, RATING_NAMES].into_iter().enumerate() {
        if found[role].is_none() {
            let mut usual = usual_names.iter().filter_map(|name| position(columns, name)).filter(is_other);
            found[role] = usual.find(|index| !found.contains(&Some(*index)));
        }
    }
    let others: Vec<usize> = (0..columns.len()).filter(is_other).collect();
    for role in 0..found.len() {
        let in_place = others.get(role).copied().filter(|index| {
            role < 2 || !NEVER_RATINGS.iter().any(|never| never.eq_ignore_ascii_case(columns[*index].0))
        });
        if found[role].is_none() && !found.contains(&in_place) {
            found[role] = in_place;
        }
    }
    match found {
        [Some(user), Some(item), Some(rating)] => Ok(match purpose {
            Purpose::Training => Places { user, item, rating, weight, time },
            Purpose::Measuring => Places { user, item, rating, weight: None, time: None },
        }),
        [Some(_), Some(_), None] => Err(Error::new(format!(
            "{argument}: no rating column found among: {}; name it with rating_col (ratings without a rating column, implicit feedback, \
             are not trained yet)",
            list(columns)
        ))),
        _ => Err(Error::new(format!(
            "{argument}: expected columns of users, items and ratings, found: {}; name them with user_col, item_col and rating_col",
            list(columns)
        ))),
    }
}

/// Refuses two names for one column; the places are those of the options in their order.
fn check_distinct(columns: &[(&str, &str)], named: [Option<usize>; 5]) -> Result<()> {
    const OPTIONS: [&str; 5] = ["user_col", "item_col", "rating_col", "weight_col", "time_col"];
    for (place, option) in named.iter().zip(OPTIONS) {
        let Some(index) = place else { continue };
        let before = named.iter().zip(OPTIONS).take_while(|(_, other)| *other != option);
        if let Some((_, other)) = before.into_iter().find(|(other, _)| *other == place) {
            let allowed = format!("another column than that of {other}; there are: {}", list(columns));
            return Err(Error::argument(option, quoted(columns[*index].0), allowed, ""));
        }
    }
    Ok(())
}

pub(super) fn position(columns: &[(&str, &str)], name: &str) -> Option<usize> {
    columns.iter().position(|(column, _)| column.eq_ignore_ascii_case(name))
}

pub(super) fn list(columns: &[(&str, &str)]) -> String {
    columns.iter().map(|(name, kind)| format!("{} {kind}", quote_identifier(name))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(columns: &[&str], named: &NamedColumns, purpose: Purpose) -> Result<Places> {
        let columns: Vec<_> = columns.iter().map(|name| (*name, "INTEGER")).collect();
        choose("ratings", &columns, named, purpose)
    }

    fn three(columns: &[&str], named: &NamedColumns) -> [usize; 3] {
        let places = chosen(columns, named, Purpose::Training).unwrap();
        [places.user, places.item, places.rating]
    }

    fn refused(columns: &[&str], named: &NamedColumns) -> String {
        chosen(columns, named, Purpose::Training).unwrap_err().to_string()
    }

    fn weight_and_time(weight: &str, time: &str) -> NamedColumns {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        NamedColumns { weight: named(weight), time: named(time), ..NamedColumns::default() }
    }

    #[test]
    fn columns_are_found_by_given_name_then_usual_name_then_place() {
        let none = NamedColumns::default();
        assert_eq!(three(&["a", "b", "c"], &none), [0, 1, 2]);
        assert_eq!(three(&["rating", "Title", "USER_ID"], &none), [2, 1, 0]);
        assert_eq!(three(&["userId", "movieId", "rating", "timestamp"], &none), [0, 1, 2]);
        assert_eq!(three(&["user", "item", "stars_given"], &none), [0, 1, 2]);
        let named = NamedColumns { rating: Some("X".into()), ..NamedColumns::default() };
        assert_eq!(three(&["u", "i", "rating", "x"], &named), [0, 1, 3]);
    }

    #[test]
    fn weights_and_times_are_found_by_given_name_alone() {
        let columns = ["user", "item", "rating", "weight", "timestamp"];
        let none = chosen(&columns, &NamedColumns::default(), Purpose::Training).unwrap();
        assert_eq!((none.weight, none.time), (None, None));
        let both = chosen(&columns, &weight_and_time("WEIGHT", "timestamp"), Purpose::Training).unwrap();
        assert_eq!(both, Places { user: 0, item: 1, rating: 2, weight: Some(3), time: Some(4) });
        assert_eq!(
            refused(&columns, &weight_and_time("w", "")).split(": \"").next(),
            Some("weight_col = 'w': expected a column of ratings")
        );
        assert!(
            refused(&columns, &weight_and_time("", "t"))
                .contains("time_col = 't': expected a column of ratings: \"user\"")
        );
    }

    #[test]
    fn what_is_named_as_weight_or_time_is_nothing_else() {
        // By usual name the weight would be the rating, by place the time the user.
        assert_eq!(three(&["user", "item", "rating", "score"], &weight_and_time("rating", "")), [0, 1, 3]);
        assert_eq!(three(&["at", "a", "b", "c"], &weight_and_time("", "at")), [1, 2, 3]);
        assert_eq!(three(&["a", "w", "b", "at", "c"], &weight_and_time("w", "at")), [0, 2, 4]);
        let message = refused(&["user", "item", "rating"], &weight_and_time("rating", ""));
        assert!(message.contains("no rating column"), "{message}");
    }

    #[test]
    fn ratings_to_measure_on_need_no_weight_and_no_time() {
        let named = weight_and_time("rating", "at");
        let places = |columns: &[&str]| chosen(columns, &named, Purpose::Measuring).unwrap();
        let none = Places { user: 0, item: 1, rating: 2, weight: None, time: None };
        assert_eq!(places(&["user", "item", "score"]), none);
        // The column that is the weight of the other table is no rating here.
        assert_eq!(places(&["user", "item", "rating", "score"]), Places { rating: 3, ..none });
    }

    #[test]
    fn what_is_missing_is_said() {
        let none = NamedColumns::default();
        assert!(refused(&["user", "item"], &none).contains("no rating column"));
        assert!(refused(&["user", "item", "timestamp"], &none).contains("no rating column"));
        assert!(refused(&["a"], &none).contains("found: \"a\" INTEGER"));
        let named = NamedColumns { user: Some("who".into()), ..NamedColumns::default() };
        assert!(refused(&["a", "b", "c"], &named).contains("user_col = 'who'"));
    }

    #[test]
    fn no_column_is_two_things() {
        let columns = ["a", "b", "c", "d", "e"];
        let names = ["a", "b", "c", "d", "e"].map(|name| Some(name.to_owned()));
        let options = ["user_col", "item_col", "rating_col", "weight_col", "time_col"];
        for first in 0..5 {
            for second in first + 1..5 {
                let mut names = names.clone();
                names[second] = names[first].as_ref().map(|name| name.to_uppercase());
                let [user, item, rating, weight, time] = names;
                let message = refused(&columns, &NamedColumns { user, item, rating, weight, time });
                let expected = format!(
                    "{} = '{}': expected another column than that of {}; there are: \"a\" INTEGER, ",
                    options[second], columns[first], options[first]
                );
                assert!(message.starts_with(&expected), "{message}");
            }
        }
    }
}
