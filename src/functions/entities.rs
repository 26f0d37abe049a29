//! `cofi_users([model :=])` and `cofi_items([model :=])`: every user or item with its bias and factors.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::functions::arguments::Arguments;
use crate::functions::host::{Chunk, Type};
use crate::functions::table::{Call, Column, Execution, Rows, TableFunction, id_column};
use crate::ids::Id;
use crate::score::Table;
use crate::store::{ModelName, Side, StoredModel};

/// Which of the two functions.
pub trait Which: Send + Sync + 'static {
    /// The SQL name.
    const NAME: &'static str;
    /// Whose rows it returns.
    const SIDE: Side;
}

/// `cofi_users`.
pub struct Users;

impl Which for Users {
    const NAME: &'static str = "cofi_users";
    const SIDE: Side = Side::Users;
}

/// `cofi_items`.
pub struct Items;

impl Which for Items {
    const NAME: &'static str = "cofi_items";
    const SIDE: Side = Side::Items;
}

/// The users or items of a model, in ascending order of id.
pub struct Entities<W> {
    name: ModelName,
    columns: Vec<Column>,
    which: PhantomData<W>,
}

impl<W: Which> TableFunction for Entities<W> {
    const NAME: &'static str = W::NAME;
    const POSITIONAL: &'static [&'static str] = &[];

    fn named() -> Vec<&'static str> {
        vec!["model"]
    }

    fn bind(call: &Call<'_>, mut arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let name = arguments.model()?;
        let columns =
            columns(&*call.database.model(call.caller.connection_id, &call.caller.search_path, &name)?, W::SIDE);
        Ok((Self { name, columns: columns.clone(), which: PhantomData }, columns))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let model = call.database.model(call.caller.connection_id, &call.caller.search_path, &self.name)?;
        if columns(&model, W::SIDE) != self.columns {
            return Err(Error::new(format!(
                "model '{}' has been trained again with other ids or another number of factors since this statement was prepared; \
                 prepare it again",
                self.name
            )));
        }
        Ok(Box::new(EntityRows { model, side: W::SIDE, next: 0 }))
    }
}

fn columns(model: &StoredModel, side: Side) -> Vec<Column> {
    let id = id_column(model.vocabulary(side).kind());
    vec![
        ("id", id),
        ("bias", Type::Float),
        ("n_ratings", Type::Bigint),
        ("factors", Type::FloatArray(model.table(side).width)),
    ]
}

struct EntityRows {
    model: Arc<StoredModel>,
    side: Side,
    next: usize,
}

impl Rows for EntityRows {
    fn next(&mut self, chunk: &mut Chunk) -> Result<()> {
        let vocabulary = self.model.vocabulary(self.side);
        let Table { width, factors, biases } = self.model.table(self.side);
        let n_rows = (vocabulary.len() - self.next).min(Chunk::capacity());
        let rows = self.next..self.next + n_rows;
        for (row, index) in rows.clone().enumerate() {
            match vocabulary.id(index as u32) {
                Some(Id::Integer(id)) => chunk.column(0).set(row, id),
                Some(Id::Text(id)) => chunk.column(0).set_text(row, id),
                None => chunk.column(0).set_null(row),
            }
            match biases {
                Some(biases) => chunk.column(1).set(row, biases[index]),
                None => chunk.column(1).set_null(row),
            }
            chunk.column(2).set(row, i64::from(self.model.counts(self.side)[index]));
        }
        chunk.column(3).array_child().set_slice(0, &factors[rows.start * width..rows.end * width]);
        chunk.set_len(n_rows);
        self.next = rows.end;
        Ok(())
    }
}
