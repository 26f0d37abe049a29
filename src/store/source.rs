//! The caller's ratings: from the name of a relation to rows in the types that training reads.

use crate::error::{Error, Result, quoted};
use crate::ids::IdKind;
use crate::store::names::{TableName, fill, quote_identifier, quote_literal};
use crate::store::session::{Session, text};

/// Column names that are taken for users where none is given.
const USER_NAMES: &[&str] =
    &["user", "user_id", "userid", "users", "customer", "customer_id", "customerid", "reader", "reader_id"];

/// Column names that are taken for items where none is given.
const ITEM_NAMES: &[&str] = &[
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

/// A table, a view, or a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Something with a name.
    Named(TableName),
    /// The text of one query in parentheses.
    Query(String),
}

impl Relation {
    /// Reads what the caller gave for `argument`: a name, or a query in parentheses.
    pub fn parse(argument: &str, given: &str) -> Result<Self> {
        let trimmed = given.trim();
        if trimmed.starts_with('(') {
            return Ok(Self::Query(trimmed.to_owned()));
        }
        TableName::parse(argument, trimmed).map(Self::Named)
    }

    /// The relation as SQL text. A query goes through the host's `query()`, which takes one SELECT and nothing else.
    fn to_sql(&self) -> String {
        match self {
            Self::Named(name) => name.to_sql(),
            Self::Query(query) => format!("query({})", quote_literal(query)),
        }
    }
}

/// The columns that the caller named.
#[derive(Clone, Debug, Default)]
pub struct NamedColumns {
    /// `user_col`.
    pub user: Option<String>,
    /// `item_col`.
    pub item: Option<String>,
    /// `rating_col`.
    pub rating: Option<String>,
}

/// A relation whose columns are known.
#[derive(Clone, Debug)]
pub struct Source {
    /// How users are identified.
    pub user_kind: IdKind,
    /// How items are identified.
    pub item_kind: IdKind,
    /// The names of the columns of user, item and rating.
    pub columns: (String, String, String),
    relation: Relation,
}

impl Source {
    /// Looks the relation's columns up; `argument` names it in errors.
    ///
    /// # Errors
    /// No such relation, in the host's words; no such column, or columns of types that cannot be used.
    pub fn resolve(session: &Session, argument: &str, relation: Relation, named: &NamedColumns) -> Result<Self> {
        let described = session.rows(&format!("DESCRIBE SELECT * FROM {}", relation.to_sql()), Vec::new());
        let described = described.map_err(|error| match &relation {
            Relation::Named(_) => error,
            // The host stumbles over parameters in there, which nobody could give a value.
            Relation::Query(_) if error.to_string().starts_with("INTERNAL Error") => {
                Error::argument(argument, "the query", "a query without parameters", "write the values into it")
            }
            Relation::Query(_) => error.context(argument),
        })?;
        let columns: Vec<(&str, &str)> =
            described.iter().filter_map(|row| Some((text(row.first()?)?, text(row.get(1)?)?))).collect();
        let found = choose(argument, &columns, named)?;
        let [user, item, rating] = found.map(|index| columns[index]);
        if !is_number(rating.1) {
            return Err(Error::new(format!(
                "{argument}: the rating column {} is of type {}: expected a number; cast it in a query, as in '(SELECT {}, {}, {}::DOUBLE \
                 AS rating FROM ...)', or name another column with rating_col",
                quote_identifier(rating.0),
                rating.1,
                quote_identifier(user.0),
                quote_identifier(item.0),
                quote_identifier(rating.0),
            )));
        }
        Ok(Self {
            user_kind: id_kind(user.1),
            item_kind: id_kind(item.1),
            columns: (user.0.to_owned(), item.0.to_owned(), rating.0.to_owned()),
            relation,
        })
    }

    /// The query that reads the ratings, ids in the kinds of a model.
    pub fn to_sql(&self, user_kind: IdKind, item_kind: IdKind) -> String {
        let (user, item, rating) = &self.columns;
        fill(
            include_str!("../../sql/read_ratings.sql"),
            &[
                ("user", &quote_identifier(user)),
                ("item", &quote_identifier(item)),
                ("rating", &quote_identifier(rating)),
                ("user_type", id_type(user_kind)),
                ("item_type", id_type(item_kind)),
                ("relation", &self.relation.to_sql()),
            ],
        )
    }
}

/// The SQL type in which ids of a kind are stored.
pub fn id_type(kind: IdKind) -> &'static str {
    match kind {
        IdKind::Integer => "BIGINT",
        IdKind::Text => "VARCHAR",
    }
}

/// The positions of user, item and rating: by the caller's names, else by the usual ones, else by place.
fn choose(argument: &str, columns: &[(&str, &str)], named: &NamedColumns) -> Result<[usize; 3]> {
    let roles = [
        ("user_col", &named.user, USER_NAMES),
        ("item_col", &named.item, ITEM_NAMES),
        ("rating_col", &named.rating, RATING_NAMES),
    ];
    let mut found = [None; 3];
    for (slot, (option, given, _)) in found.iter_mut().zip(&roles) {
        if let Some(name) = given {
            *slot = Some(position(columns, name).ok_or_else(|| {
                Error::argument(option, quoted(name), format!("a column of {argument}: {}", list(columns)), "")
            })?);
        }
    }
    for role in 0..roles.len() {
        if found[role].is_none() {
            let usual = roles[role].2.iter().find_map(|name| position(columns, name));
            found[role] = usual.filter(|index| !found.contains(&Some(*index)));
        }
    }
    for role in 0..roles.len() {
        let in_place = columns
            .get(role)
            .is_some_and(|(name, _)| role < 2 || !NEVER_RATINGS.iter().any(|never| never.eq_ignore_ascii_case(name)));
        if found[role].is_none() && in_place && !found.contains(&Some(role)) {
            found[role] = Some(role);
        }
    }
    match found {
        [Some(user), Some(item), Some(rating)] if user != item && user != rating && item != rating => {
            Ok([user, item, rating])
        }
        [Some(_), Some(_), Some(_)] => Err(Error::new(format!(
            "{argument}: user, item and rating must be three different columns; name them with user_col, item_col and rating_col; there \
             are: {}",
            list(columns)
        ))),
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

fn position(columns: &[(&str, &str)], name: &str) -> Option<usize> {
    columns.iter().position(|(column, _)| column.eq_ignore_ascii_case(name))
}

fn list(columns: &[(&str, &str)]) -> String {
    columns.iter().map(|(name, kind)| format!("{} {kind}", quote_identifier(name))).collect::<Vec<_>>().join(", ")
}

/// Integers that always fit a BIGINT are integers; everything else is known by its text.
fn id_kind(sql_type: &str) -> IdKind {
    match sql_type {
        "TINYINT" | "SMALLINT" | "INTEGER" | "BIGINT" | "UTINYINT" | "USMALLINT" | "UINTEGER" => IdKind::Integer,
        _ => IdKind::Text,
    }
}

fn is_number(sql_type: &str) -> bool {
    id_kind(sql_type) == IdKind::Integer
        || matches!(sql_type, "UBIGINT" | "HUGEINT" | "UHUGEINT" | "FLOAT" | "DOUBLE")
        || sql_type.starts_with("DECIMAL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(columns: &[&str], named: &NamedColumns) -> Result<[usize; 3]> {
        let columns: Vec<_> = columns.iter().map(|name| (*name, "INTEGER")).collect();
        choose("ratings", &columns, named)
    }

    #[test]
    fn columns_are_found_by_given_name_then_usual_name_then_place() {
        let none = NamedColumns::default();
        assert_eq!(chosen(&["a", "b", "c"], &none).unwrap(), [0, 1, 2]);
        assert_eq!(chosen(&["rating", "Title", "USER_ID"], &none).unwrap(), [2, 1, 0]);
        assert_eq!(chosen(&["userId", "movieId", "rating", "timestamp"], &none).unwrap(), [0, 1, 2]);
        assert_eq!(chosen(&["user", "item", "stars_given"], &none).unwrap(), [0, 1, 2]);
        let named = NamedColumns { rating: Some("X".into()), ..NamedColumns::default() };
        assert_eq!(chosen(&["u", "i", "rating", "x"], &named).unwrap(), [0, 1, 3]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let none = NamedColumns::default();
        let message = |columns: &[&str], named| chosen(columns, named).unwrap_err().to_string();
        assert!(message(&["user", "item"], &none).contains("no rating column"));
        assert!(message(&["user", "item", "timestamp"], &none).contains("no rating column"));
        assert!(message(&["a"], &none).contains("found: \"a\" INTEGER"));
        let named = NamedColumns { user: Some("who".into()), ..NamedColumns::default() };
        assert!(message(&["a", "b", "c"], &named).contains("user_col = 'who'"));
        let twice = NamedColumns { user: Some("a".into()), item: Some("a".into()), rating: None };
        assert!(message(&["a", "b", "c"], &twice).contains("three different columns"));
    }

    #[test]
    fn a_query_stands_in_parentheses() {
        let query = Relation::parse("ratings", " (SELECT 'a)' AS u) ").unwrap();
        assert_eq!(query.to_sql(), "query('(SELECT ''a)'' AS u)')");
        assert_eq!(Relation::parse("ratings", "my table").unwrap().to_sql(), "\"my table\"");
    }
}
