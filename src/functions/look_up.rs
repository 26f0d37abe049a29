//! The ids of a chunk by dense index, looked up side by side.

use crate::error::Result;
use crate::functions::host::{ReadColumn, Vector};
use crate::functions::scalar::{Input, expect_kind};
use crate::ids::{IdKind, Texts, Vocabulary};
use crate::store::StoredModel;

/// The pairs of a chunk that a model knows, by dense index, and room to look them up in.
#[derive(Default)]
pub struct KnownPairs {
    /// Where they stand in the chunk.
    pub rows: Vec<usize>,
    /// `[B]`.
    pub users: Vec<u32>,
    /// `[B]`.
    pub items: Vec<u32>,
    /// Room for what is computed of each.
    pub numbers: Vec<f32>,
    found_users: Vec<Option<u32>>,
    found_items: Vec<Option<u32>>,
    integers: Vec<i64>,
}

impl KnownPairs {
    /// Looks up the users and items, the first two arguments of `rows`; rows that the model does not know become NULL.
    ///
    /// # Errors
    /// Integers where the model's ids are text.
    pub fn look_up(&mut self, input: &Input, rows: &[usize], model: &StoredModel, output: Vector) -> Result<()> {
        let Self { users, items, found_users, found_items, integers, .. } = self;
        look_up_each("user", input, 0, rows, &model.users, integers, found_users)?;
        look_up_each("item", input, 1, rows, &model.items, integers, found_items)?;
        self.rows.clear();
        users.clear();
        items.clear();
        for (row, pair) in rows.iter().zip(found_users.iter().zip(found_items.iter())) {
            if let (Some(user), Some(item)) = pair {
                self.rows.push(*row);
                users.push(*user);
                items.push(*item);
            } else {
                output.set_null(*row);
            }
        }
        Ok(())
    }
}

/// The index of the id that each of some rows has as an argument, in place of what is in `found`; `None` where the model does not
/// know it. `integers` is room.
///
/// # Errors
/// Integers where the model's ids, called `what`, are text.
pub fn look_up_each(
    what: &str,
    input: &Input,
    argument: usize,
    rows: &[usize],
    vocabulary: &Vocabulary,
    integers: &mut Vec<i64>,
    found: &mut Vec<Option<u32>>,
) -> Result<()> {
    expect_kind(what, input.id_kind(argument), vocabulary.kind())?;
    found.clear();
    let column = input.column(argument);
    match input.id_kind(argument) {
        IdKind::Text => vocabulary.get_texts(&ColumnTexts { column, rows }, found),
        IdKind::Integer => match rows {
            [] => {}
            [first, .., last] if last - first + 1 == rows.len() => {
                vocabulary.get_integers(column.slice(*first..*last + 1), found);
            }
            _ => {
                integers.clear();
                integers.extend(rows.iter().map(|row| column.get::<i64>(*row)));
                vocabulary.get_integers(integers, found);
            }
        },
    }
    Ok(())
}

/// The texts that some rows of a column have.
struct ColumnTexts<'a> {
    column: &'a ReadColumn,
    rows: &'a [usize],
}

impl Texts for ColumnTexts<'_> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self, place: usize) -> &[u8] {
        self.column.bytes(self.rows[place])
    }

    fn repeats(&self, place: usize) -> bool {
        self.column.is_same_text(self.rows[place], self.rows[place - 1])
    }
}
