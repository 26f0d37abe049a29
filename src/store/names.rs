//! Names on their way into SQL text: the one place where identifiers and strings are quoted.

use std::fmt;

use crate::error::{Error, Result, quoted};

/// The longest model name, in characters.
const LONGEST_MODEL_NAME: usize = 200;

/// An identifier as SQL text, whatever characters it has.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string as an SQL literal.
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A file of `sql/` with its `{placeholders}` filled, in one pass: a value that has braces itself stays as it is. No
/// placeholder stands in a comment, where a value with a line break would end it.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut sql = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        sql.push_str(before);
        let filled =
            values.iter().find_map(|(name, value)| Some((value, after.strip_prefix(name)?.strip_prefix('}')?)));
        rest = match filled {
            Some((value, tail)) => {
                sql.push_str(value);
                tail
            }
            None => {
                sql.push('{');
                after
            }
        };
    }
    sql + rest
}

/// A model as the caller named it: `name`, or `database.name` for one in another attached database.
///
/// A model's own name has no dot, so what stands before the last dot is the database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelName {
    /// The database that holds the model; `None` is the caller's current one.
    pub database: Option<String>,
    /// The name within `cofi_store.models`.
    pub name: String,
}

impl ModelName {
    /// The name used where none is given.
    pub const DEFAULT: &'static str = "default";

    /// Reads `name` or `database.name`.
    ///
    /// # Errors
    /// An empty part, a control character, or more than 200 characters.
    pub fn parse(text: &str) -> Result<Self> {
        let (database, name) = match text.rsplit_once('.') {
            Some((database, name)) => (Some(database.to_owned()), name.to_owned()),
            None => (None, text.to_owned()),
        };
        let well_formed = !name.is_empty()
            && name.chars().count() <= LONGEST_MODEL_NAME
            && !text.chars().any(char::is_control)
            && database.as_ref().is_none_or(|database| !database.is_empty());
        if !well_formed {
            return Err(Error::argument(
                "model",
                quoted(text),
                format!("a name of 1 to {LONGEST_MODEL_NAME} printable characters, or 'database.name'"),
                "leave it out for 'default'",
            ));
        }
        Ok(Self { database, name })
    }
}

impl Default for ModelName {
    fn default() -> Self {
        Self { database: None, name: Self::DEFAULT.to_owned() }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Some(database) => write!(f, "{database}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A table or view as the caller named it: one to three parts, each plain or in double quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    parts: Vec<String>,
}

impl TableName {
    /// Reads `table`, `schema.table` or `database.schema.table`.
    ///
    /// # Errors
    /// An empty part, an unclosed quote, text behind a closing quote, or more than three parts.
    pub fn parse(argument: &str, text: &str) -> Result<Self> {
        split_parts(text).filter(|parts| (1..=3).contains(&parts.len()) && parts.iter().all(|part| !part.is_empty())).map_or_else(
            || {
                Err(Error::argument(
                    argument,
                    quoted(text),
                    "the name of a table or view (table, schema.table or database.schema.table), or a query in parentheses",
                    "put a name with dots or quotes in double quotes",
                ))
            },
            |parts| Ok(Self { parts }),
        )
    }

    /// The last part: the table's own name.
    pub fn table(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    /// The parts in front of the table's own name: none, a schema or database, or both.
    pub fn qualifiers(&self) -> &[String] {
        &self.parts[..self.parts.len().saturating_sub(1)]
    }

    /// The name as SQL text.
    pub fn to_sql(&self) -> String {
        self.parts.iter().map(|part| quote_identifier(part)).collect::<Vec<_>>().join(".")
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.join("."))
    }
}

/// The parts of a dotted name, with doubled quotes inside quotes undone; `None` for a stray or unclosed quote.
fn split_parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let part;
        (part, rest) = match rest.strip_prefix('"') {
            Some(quoted) => take_quoted(quoted)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (plain, rest) = rest.split_at(end);
                if plain.contains('"') {
                    return None;
                }
                (plain.to_owned(), rest)
            }
        };
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None if rest.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// The text up to the closing quote, and what follows it.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                part.push('"');
                rest = next;
            }
            None => return Some((part, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_doubles_the_quote() {
        assert_eq!(quote_identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
    }

    #[test]
    fn placeholders_are_filled_once() {
        let values = [("a", "{b}"), ("b", "x")];
        assert_eq!(fill("{a} {b} {c} {", &values), "{b} x {c} {");
    }

    #[test]
    fn a_model_is_named_alone_or_behind_its_database() {
        assert_eq!(ModelName::parse("default").unwrap(), ModelName::default());
        let other = ModelName::parse("my.db.films").unwrap();
        assert_eq!((other.database.as_deref(), other.name.as_str()), (Some("my.db"), "films"));
        for wrong in ["", ".", "db.", ".films", "a\0b", &"x".repeat(201)] {
            assert!(ModelName::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_table_has_one_to_three_parts() {
        let sql = |text| TableName::parse("ratings", text).map(|name| name.to_sql());
        assert_eq!(sql("ratings").unwrap(), "\"ratings\"");
        assert_eq!(sql("a.b.c").unwrap(), "\"a\".\"b\".\"c\"");
        assert_eq!(sql("\"a.b\".\"c\"\"d\"").unwrap(), "\"a.b\".\"c\"\"d\"");
        assert_eq!(sql("two words").unwrap(), "\"two words\"");
        assert_eq!(sql("x; drop table y").unwrap(), "\"x; drop table y\"");
        for wrong in ["", "a..b", "a.", "\"a", "\"a\"b", "a\"b", "a.b.c.d"] {
            assert!(sql(wrong).is_err(), "{wrong:?}");
        }
    }
}
