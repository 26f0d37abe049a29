//! External ids and dense indices: what users call things, and what numeric code calls them.
//!
//! An external id ([`Id`]) is an integer or a text, as the ratings have it. A dense index ([`UserIdx`], [`ItemIdx`]) is
//! a row of an embedding table. A [`Vocabulary`] translates between them, and nothing else does: external ids never
//! enter numeric code, and dense indices never leave it.

mod builder;
mod integers;
mod lookup;
mod slots;
mod texts;
mod vocabulary;

use std::fmt;

use crate::error::{Error, Result, quoted};

pub use builder::{InOrder, VocabularyBuilder};
pub use vocabulary::{Texts, Vocabulary};

/// A user's row in the embedding tables, below `U`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserIdx(pub u32);

impl UserIdx {
    /// The row as a position in a slice.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An item's row in the embedding tables, below `I`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemIdx(pub u32);

impl ItemIdx {
    /// The row as a position in a slice.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the ids of one side of the ratings are, and are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// `BIGINT`.
    Integer,
    /// `VARCHAR`.
    Text,
}

/// An external id. Integers are ordered by number, texts by their UTF-8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id<'a> {
    /// An id of [`IdKind::Integer`].
    Integer(i64),
    /// An id of [`IdKind::Text`].
    Text(&'a str),
}

impl Id<'_> {
    /// Which kind of id this is.
    pub fn kind(&self) -> IdKind {
        match self {
            Id::Integer(_) => IdKind::Integer,
            Id::Text(_) => IdKind::Text,
        }
    }
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdKind::Integer => "integer",
            IdKind::Text => "text",
        })
    }
}

/// As a SQL literal: `42`, `'O''Hara'`.
impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Integer(number) => write!(f, "{number}"),
            Id::Text(text) => f.write_str(&quoted(&text.replace('\'', "''"))),
        }
    }
}

/// The index after `len` others. Row numbers are fed to the engine as `i32`, which is what bounds them.
fn next_index(len: usize) -> Result<u32> {
    match i32::try_from(len) {
        Ok(index) if index < i32::MAX => Ok(index as u32),
        _ => Err(Error::new(format!("more than {} distinct ids; filter or group the ids before training", i32::MAX))),
    }
}

fn wrong_kind(expected: IdKind, id: Id<'_>) -> Error {
    Error::new(format!("id {id}: expected {expected} ids, as all before it are; cast the column to one type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_as_sql_literals() {
        assert_eq!(Id::Integer(i64::MIN).to_string(), "-9223372036854775808");
        assert_eq!(Id::Text("It's 🎬").to_string(), "'It''s 🎬'");
    }

    #[test]
    fn indices_end_where_row_numbers_do() {
        assert_eq!(next_index(0).unwrap(), 0);
        assert_eq!(next_index(i32::MAX as usize - 1).unwrap(), i32::MAX as u32 - 1);
        for len in [i32::MAX as usize, u32::MAX as usize, usize::MAX] {
            assert!(next_index(len).unwrap_err().to_string().starts_with("more than 2147483647 distinct ids"));
        }
    }
}
