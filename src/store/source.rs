//! The caller's ratings: from the name of a relation to rows in the types that training reads.

use duckdb::types::Value;

use crate::error::{Error, Result};
use crate::ids::IdKind;
use crate::store::columns::{NamedColumns, Purpose, SourceColumns, choose};
use crate::store::names::{TableName, fill, quote_identifier, quote_literal};
use crate::store::session::{Session, text};

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
    pub(super) fn to_sql(&self) -> String {
        match self {
            Self::Named(name) => name.to_sql(),
            Self::Query(query) => format!("query({})", quote_literal(query)),
        }
    }
}

/// A relation whose columns are known.
#[derive(Clone, Debug)]
pub struct Source {
    /// How users are identified.
    pub user_kind: IdKind,
    /// How items are identified.
    pub item_kind: IdKind,
    /// The columns that are read.
    pub columns: SourceColumns,
    /// What rows are ordered by in time, as SQL text.
    time: Option<String>,
    relation: Relation,
}

impl Source {
    /// Looks up the columns of ratings to learn from; `argument` names the relation in errors.
    ///
    /// # Errors
    /// No such relation, in the host's words; no such column, or columns of types that cannot be used.
    pub fn resolve(session: &Session, argument: &str, relation: Relation, named: &NamedColumns) -> Result<Self> {
        Self::resolve_for(Purpose::Training, session, argument, relation, named)
    }

    /// Looks up the columns of ratings to measure on: a weight and a time are neither needed nor read. A column named so
    /// is still not taken for another one.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve).
    pub fn resolve_to_measure(
        session: &Session,
        argument: &str,
        relation: Relation,
        named: &NamedColumns,
    ) -> Result<Self> {
        Self::resolve_for(Purpose::Measuring, session, argument, relation, named)
    }

    fn resolve_for(
        purpose: Purpose,
        session: &Session,
        argument: &str,
        relation: Relation,
        named: &NamedColumns,
    ) -> Result<Self> {
        let described = described_columns(session, argument, &relation)?;
        let columns: Vec<(&str, &str)> = described.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
        let places = choose(argument, &columns, named, purpose)?;
        let [user, item, rating] = [places.user, places.item, places.rating].map(|index| columns[index]);
        let [weight, time] = [places.weight, places.time].map(|index| index.map(|index| columns[index]));
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
        if let Some((name, other)) = weight.filter(|weight| !is_number(weight.1)) {
            return Err(Error::new(format!(
                "{argument}: the weight column {} is of type {other}: expected a number; cast it in a query, or name another column with \
                 weight_col",
                quote_identifier(name),
            )));
        }
        let name = |column: (&str, &str)| column.0.to_owned();
        Ok(Self {
            user_kind: id_kind(user.1),
            item_kind: id_kind(item.1),
            columns: SourceColumns {
                user: name(user),
                item: name(item),
                rating: name(rating),
                weight: weight.map(name),
                time: time.map(name),
            },
            time: time.map(|(name, sql_type)| in_time(name, sql_type)),
            relation,
        })
    }

    /// How many rows have a user, an item and a rating, where the host knows without reading them that there are about
    /// `at_least` rows or more in a table of this name; else `None`.
    ///
    /// # Errors
    /// A failure of the host.
    pub fn count_if_large(&self, session: &Session, at_least: u64) -> Result<Option<u64>> {
        let Relation::Named(name) = &self.relation else { return Ok(None) };
        if session.estimated_rows(name.table())?.is_none_or(|rows| rows < at_least) {
            return Ok(None);
        }
        let SourceColumns { user, item, rating, .. } = &self.columns;
        let complete = [user, item, rating].map(|name| format!("{} IS NOT NULL", quote_identifier(name))).join(" AND ");
        let sql = include_str!("../../sql/count_ratings.sql");
        let sql = fill(sql, &[("relation", &self.relation.to_sql()), ("complete", &complete)]);
        match session.rows(&sql, Vec::new())?.first().map(Vec::as_slice) {
            Some([Value::BigInt(count)]) => Ok(u64::try_from(*count).ok()),
            _ => Ok(None),
        }
    }

    /// The query that reads the ratings, ids in the kinds of a model: `user`, `item`, `rating`, `weight` where there is a
    /// column of weights, and `held_out` where there is one of times and `held_out` is the fraction above 0 of the rows
    /// that is held out, the latest ones. It is never more than the fraction: rows of one time stay together.
    ///
    /// For `held_out` the host goes through the relation twice, and holds its times in memory once.
    pub fn to_sql(&self, user_kind: IdKind, item_kind: IdKind, held_out: Option<f64>) -> String {
        let SourceColumns { user, item, rating, weight, .. } = &self.columns;
        let [user, item, rating] = [user, item, rating].map(|name| quote_identifier(name));
        let weight = weight.as_ref().map(|name| quote_identifier(name));
        let relation = self.relation.to_sql();
        let weighted = weight.as_ref().map(|weight| format!(", {weight}::DOUBLE AS \"weight\""));
        let sided = self.time.as_ref().zip(held_out).map(|(time, fraction)| {
            let read = [Some(&user), Some(&item), Some(&rating), weight.as_ref()];
            let complete: Vec<_> = read.into_iter().flatten().map(|name| format!("{name} IS NOT NULL")).collect();
            fill(
                include_str!("../../sql/read_held_out.sql"),
                &[
                    ("time", time),
                    ("fraction", &fraction.to_string()),
                    ("relation", &relation),
                    ("complete", &complete.join(" AND ")),
                ],
            )
        });
        fill(
            include_str!("../../sql/read_ratings.sql"),
            &[
                ("user", &user),
                ("item", &item),
                ("rating", &rating),
                ("user_type", id_type(user_kind)),
                ("item_type", id_type(item_kind)),
                ("weighted", &weighted.unwrap_or_default()),
                ("sided", &sided.unwrap_or_default()),
                ("relation", &relation),
            ],
        )
    }

    /// The query that brings in the ratings that [`to_sql`](Self::to_sql) reads, with [`Database::bring`](crate::store::Database::bring),
    /// which gives it its `number`.
    pub fn to_bringing_sql(&self, user_kind: IdKind, item_kind: IdKind, held_out: Option<f64>, number: u64) -> String {
        let has_sides = self.time.is_some() && held_out.is_some();
        let optional = [(self.columns.weight.is_some(), "weight"), (has_sides, "held_out")];
        let optional = optional.into_iter().filter_map(|(is_read, name)| is_read.then_some(name));
        let columns: Vec<_> = ["user", "item", "rating"].into_iter().chain(optional).map(quote_identifier).collect();
        let ratings = self.to_sql(user_kind, item_kind, held_out);
        fill(
            include_str!("../../sql/bring_ratings.sql"),
            &[("number", &number.to_string()), ("columns", &columns.join(", ")), ("ratings", &ratings)],
        )
    }
}

/// The names and types of a relation's columns; `argument` names the relation in errors.
///
/// # Errors
/// No such relation, in the host's words.
pub(super) fn described_columns(
    session: &Session,
    argument: &str,
    relation: &Relation,
) -> Result<Vec<(String, String)>> {
    let described = session.rows(&format!("DESCRIBE SELECT * FROM {}", relation.to_sql()), Vec::new());
    let described = described.map_err(|error| match relation {
        Relation::Named(_) => error,
        // The host stumbles over parameters in there, which nobody could give a value.
        Relation::Query(_) if error.to_string().starts_with("INTERNAL Error") => {
            Error::argument(argument, "the query", "a query without parameters", "write the values into it")
        }
        Relation::Query(_) if error.to_string().contains("read-only mode") => {
            let way_out = "store its result in a table first: nextval, say, writes";
            Error::argument(argument, "the query", "one that only reads", way_out).with_source(error)
        }
        Relation::Query(_) => error.context(argument),
    })?;
    let column = |row: &Vec<Value>| Some((text(row.first()?)?.to_owned(), text(row.get(1)?)?.to_owned()));
    Ok(described.iter().filter_map(column).collect())
}

/// The SQL type in which ids of a kind are stored.
pub fn id_type(kind: IdKind) -> &'static str {
    match kind {
        IdKind::Integer => "BIGINT",
        IdKind::Text => "VARCHAR",
    }
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

/// What rows are ordered by in time. Text is ordered by its bytes, as a quantile of text is in any collation; a time that is
/// not a number is none.
fn in_time(name: &str, sql_type: &str) -> String {
    let name = quote_identifier(name);
    match sql_type {
        "VARCHAR" => format!("({name} COLLATE \"binary\")"),
        "FLOAT" | "DOUBLE" => format!("nullif({name}, 'nan')"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_stands_in_parentheses() {
        let query = Relation::parse("ratings", " (SELECT 'a)' AS u) ").unwrap();
        assert_eq!(query.to_sql(), "query('(SELECT ''a)'' AS u)')");
        assert_eq!(Relation::parse("ratings", "my table").unwrap().to_sql(), "\"my table\"");
    }

    fn source(weight: Option<&str>, time: Option<(&str, &str)>) -> Source {
        let [user, item, rating] = ["u", "{item}", "r\"r"].map(str::to_owned);
        let (weight, named_time) = (weight.map(str::to_owned), time.map(|(name, _)| name.to_owned()));
        Source {
            user_kind: IdKind::Integer,
            item_kind: IdKind::Text,
            columns: SourceColumns { user, item, rating, weight, time: named_time },
            time: time.map(|(name, sql_type)| in_time(name, sql_type)),
            relation: Relation::parse("ratings", "s.t").unwrap(),
        }
    }

    /// The query without its comments, on one line.
    fn sql(source: &Source, held_out: Option<f64>) -> String {
        let sql = source.to_sql(IdKind::Integer, IdKind::Text, held_out);
        let words = sql.lines().filter(|line| !line.starts_with("--")).flat_map(str::split_whitespace);
        words.collect::<Vec<_>>().join(" ")
    }

    const THREE: &str =
        "SELECT \"u\"::BIGINT AS \"user\", \"{item}\"::VARCHAR AS \"item\", \"r\"\"r\"::DOUBLE AS \"rating\"";

    #[test]
    fn what_is_not_named_is_not_read() {
        assert_eq!(sql(&source(None, None), None), format!("{THREE} FROM \"s\".\"t\""));
        assert_eq!(sql(&source(None, None), Some(0.2)), format!("{THREE} FROM \"s\".\"t\""));
        assert_eq!(sql(&source(None, Some(("at", "DATE"))), None), format!("{THREE} FROM \"s\".\"t\""));
    }

    #[test]
    fn weights_and_sides_follow_the_ratings() {
        let weighted = source(Some("{time}"), Some(("at", "DATE")));
        let expected = format!(
            "{THREE}, \"{{time}}\"::DOUBLE AS \"weight\", \"at\" > (SELECT quantile_disc(\"at\", 1 - 0.3) FROM \"s\".\"t\" WHERE \
             \"u\" IS NOT NULL AND \"{{item}}\" IS NOT NULL AND \"r\"\"r\" IS NOT NULL AND \"{{time}}\" IS NOT NULL) AS \"held_out\" FROM \
             \"s\".\"t\""
        );
        assert_eq!(sql(&weighted, Some(0.3)), expected);
    }

    #[test]
    fn text_is_ordered_by_its_bytes_and_nan_is_no_time() {
        assert_eq!(in_time("a\"", "VARCHAR"), "(\"a\"\"\" COLLATE \"binary\")");
        assert_eq!(in_time("a", "DOUBLE"), "nullif(\"a\", 'nan')");
        assert_eq!(in_time("a", "TIMESTAMP"), "\"a\"");
    }
}
