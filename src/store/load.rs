//! A stored model out of the database, checked, as its tables are open to everybody.

use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use duckdb::types::Value;

use crate::error::{Error, Result};
use crate::ids::{Id, IdKind, Vocabulary};
use crate::ratings::SeenBuilder;
use crate::score::{Baseline, Classes, Embeddings, Interaction, Parts, Table};
use crate::store::layers::{Tensor, parts_of};
use crate::store::model::StoredModel;
use crate::store::schema::{ModelVersion, Store, edited};
use crate::store::session::{Session, text};
use crate::store::source::id_type;
use crate::train::Spec;

/// Reads the model that has a name now, all of it as of one moment; `None` where there is none.
///
/// # Errors
/// Tables that are not as cofi wrote them.
pub fn load_model(session: &Session, store: &Store, name: &str) -> Result<Option<StoredModel>> {
    // One transaction: a training that replaces the model meanwhile cannot be seen half.
    let transaction = session.begin()?;
    let Some(version) = store.find(&transaction, name)? else { return Ok(None) };
    let model =
        read(&transaction, store, version).map_err(|error| edited(name, "one of its tables").with_source(error))?;
    transaction.commit()?;
    Ok(Some(model))
}

fn read(session: &Session, store: &Store, version: ModelVersion) -> Result<StoredModel> {
    let id = version.id.to_string();
    let rows = session.rows(&store.sql(include_str!("../../sql/load_model.sql"), &[("id", &id)]), Vec::new())?;
    let [row] = rows.as_slice() else { return Err(Error::new("its row in cofi_store.models is gone")) };
    let [spec, Value::Double(mean), Value::Float(mu), lo, hi] = row.as_slice() else {
        return Err(Error::new("its row in cofi_store.models has other types"));
    };
    let spec = Spec::from_json(text(spec).unwrap_or_default())?;
    let range = match (lo, hi) {
        (Value::Float(lo), Value::Float(hi)) => Some((*lo, *hi)),
        (Value::Null, Value::Null) => None,
        _ => return Err(Error::new("only one of lo and hi is NULL")),
    };
    let users = read_side(session, store, &format!("users_{id}"), spec.user_width)?;
    let items = read_side(session, store, &format!("items_{id}"), spec.item_width)?;
    let (interaction, classes) = read_layers(session, store, &id, &spec)?;
    check_levels(&spec, classes.as_ref())?;
    let baseline = match (users.deviations, items.deviations) {
        (Some(users), Some(items)) => Baseline::DampedMeans { mean: *mean as f32, users, items },
        (None, None) => Baseline::OwnBiases,
        _ => return Err(Error::new("users and items need deviations both or neither, all of them")),
    };
    let embeddings = Arc::new(Embeddings::new(Parts {
        users: users.table,
        items: items.table,
        interaction,
        mu: *mu,
        range,
        classes,
        baseline,
    })?);
    let mut seen = SeenBuilder::new(users.vocabulary.len(), items.vocabulary.len());
    session.stream(&store.sql(include_str!("../../sql/load_seen.sql"), &[("id", &id)]), |batch| {
        let (users, items) = (integers(batch, 0)?, integers(batch, 1)?);
        users.iter().zip(items).try_for_each(|(user, item)| seen.push(*user as u32, *item as u32))
    })?;
    Ok(StoredModel {
        version,
        spec,
        mean: *mean,
        user_counts: users.counts,
        item_counts: items.counts,
        users: users.vocabulary,
        items: items.vocabulary,
        embeddings,
        seen: seen.finish(),
    })
}

struct SideTable {
    vocabulary: Vocabulary,
    table: Table,
    deviations: Option<Vec<f32>>,
    counts: Vec<u32>,
}

/// The distinct ratings are ascending, and those of a classifier are its classes.
fn check_levels(spec: &Spec, classes: Option<&Classes>) -> Result<()> {
    let levels = spec.levels.as_deref().unwrap_or_default();
    let is_ascending = levels.is_sorted_by(|a, b| a < b) && levels.iter().all(|level| level.is_finite());
    if is_ascending && classes.is_none_or(|classes| classes.values() == levels) {
        return Ok(());
    }
    Err(Error::new("the levels in its spec are not ascending ratings, or not its classes"))
}

fn read_side(session: &Session, store: &Store, table: &str, width: usize) -> Result<SideTable> {
    let kind = side_kind(session, store, table)?;
    let placeholders = [("table", table), ("id_type", id_type(kind)), ("width", &width.to_string())];
    let sql = store.sql(include_str!("../../sql/load_side.sql"), &placeholders);
    let (mut vocabulary, mut counts, mut factors) = (Vocabulary::new(kind), Vec::new(), Vec::new());
    let (mut biases, mut deviations) = (Column::default(), Column::default());
    session.stream(&sql, |batch| {
        push_ids(batch, &mut vocabulary)?;
        let first = counts.len() as i32;
        if integers(batch, 1)?.iter().zip(first..).any(|(index, expected)| *index != expected) {
            return Err(Error::new(format!("the indices of {table} are not 0, 1, 2, ...")));
        }
        biases.push(floats(batch, 2)?);
        deviations.push(floats(batch, 3)?);
        for count in integers(batch, 4)? {
            counts.push(u32::try_from(*count).map_err(|_| Error::new(format!("{table} has n_ratings = {count}")))?);
        }
        let lists: &FixedSizeListArray = typed(batch, 5, |column| column.as_fixed_size_list_opt())?;
        let elements = lists.values().as_primitive_opt::<Float32Type>().filter(|elements| elements.null_count() == 0);
        match elements {
            Some(elements) if lists.null_count() == 0 => {
                let start = lists.value_offset_at(0);
                factors.extend_from_slice(&elements.values()[start..start + batch.num_rows() * width]);
                Ok(())
            }
            _ => Err(Error::new(format!("{table} has factors that are NULL"))),
        }
    })?;
    let n_rows = vocabulary.len();
    let table = Table { width, factors, biases: biases.whole(n_rows)? };
    Ok(SideTable { table, deviations: deviations.whole(n_rows)?, vocabulary, counts })
}

/// The tensors of an 'mlp' or a classifier; other models have no table of them.
fn read_layers(session: &Session, store: &Store, id: &str, spec: &Spec) -> Result<(Interaction, Option<Classes>)> {
    let has_layers = spec.word("architecture") == "mlp" || spec.word("loss") == "cross_entropy";
    let mut tensors: Vec<Tensor> = Vec::new();
    if has_layers {
        let mut last = None;
        session.stream(&store.sql(include_str!("../../sql/load_layers.sql"), &[("id", id)]), |batch| {
            let (positions, columns) = (integers(batch, 0)?, integers(batch, 2)?);
            let names = texts(batch, 1)?;
            let numbers = without_null(floats(batch, 4)?)?.values();
            for (row, (position, name)) in positions.iter().zip(names).enumerate() {
                if last.replace(*position) != Some(*position) {
                    let n_columns = columns[row].max(0) as usize;
                    tensors.push(Tensor { name: name.to_owned(), values: Vec::new(), n_columns });
                }
                if let Some(tensor) = tensors.last_mut() {
                    tensor.values.push(numbers[row]);
                }
            }
            Ok(())
        })?;
    }
    let (interaction, classes) = parts_of(tensors)?;
    let is_as_told = (interaction != Interaction::Dot) == (spec.word("architecture") == "mlp")
        && classes.is_some() == (spec.word("loss") == "cross_entropy");
    if is_as_told { Ok((interaction, classes)) } else { Err(Error::new(format!("layers_{id} has lost tensors"))) }
}

/// The kind of ids that a table has.
fn side_kind(session: &Session, store: &Store, table: &str) -> Result<IdKind> {
    let described =
        session.rows(&store.sql("DESCRIBE SELECT id FROM {store}.{table}", &[("table", table)]), Vec::new())?;
    match described.first().and_then(|row| text(row.get(1)?)) {
        Some("BIGINT") => Ok(IdKind::Integer),
        Some("VARCHAR") => Ok(IdKind::Text),
        other => Err(Error::new(format!("the ids of {table} are of type {}", other.unwrap_or("unknown")))),
    }
}

/// A column that is either NULL in every row or in none.
#[derive(Default)]
struct Column {
    values: Vec<f32>,
}

impl Column {
    fn push(&mut self, values: &Float32Array) {
        self.values.extend(values.iter().flatten());
    }

    fn whole(self, n_rows: usize) -> Result<Option<Vec<f32>>> {
        match self.values.len() {
            0 => Ok(None),
            length if length == n_rows => Ok(Some(self.values)),
            _ => Err(Error::new("a bias or deviation is NULL where others are not")),
        }
    }
}

fn push_ids(batch: &RecordBatch, vocabulary: &mut Vocabulary) -> Result<()> {
    match vocabulary.kind() {
        IdKind::Integer => {
            let ids: &Int64Array = typed(batch, 0, |column| column.as_primitive_opt::<Int64Type>())?;
            without_null(ids)?.values().iter().try_for_each(|id| vocabulary.push(Id::Integer(*id)))
        }
        IdKind::Text => texts(batch, 0)?.into_iter().try_for_each(|id| vocabulary.push(Id::Text(id))),
    }
}

fn texts(batch: &RecordBatch, column: usize) -> Result<Vec<&str>> {
    // Which kind of string array comes is a setting of the host's.
    let array = batch.column(column).as_ref();
    let texts: Option<Vec<&str>> =
        match (array.as_string_opt::<i32>(), array.as_string_opt::<i64>(), array.as_string_view_opt()) {
            (Some(texts), ..) => texts.iter().collect(),
            (_, Some(texts), _) => texts.iter().collect(),
            (.., Some(texts)) => texts.iter().collect(),
            _ => {
                return Err(Error::new(format!(
                    "column {} came as {}",
                    batch.schema_ref().field(column).name(),
                    array.data_type()
                )));
            }
        };
    texts.ok_or_else(|| Error::new("a text is NULL where none can be"))
}

fn integers(batch: &RecordBatch, column: usize) -> Result<&[i32]> {
    let integers: &Int32Array = typed(batch, column, |column| column.as_primitive_opt::<Int32Type>())?;
    Ok(without_null(integers)?.values())
}

fn floats(batch: &RecordBatch, column: usize) -> Result<&Float32Array> {
    typed(batch, column, |column| column.as_primitive_opt::<Float32Type>())
}

fn typed<'a, A>(batch: &'a RecordBatch, column: usize, cast: impl Fn(&'a dyn Array) -> Option<&'a A>) -> Result<&'a A> {
    cast(batch.column(column).as_ref()).ok_or_else(|| {
        Error::new(format!(
            "column {} came as {}",
            batch.schema_ref().field(column).name(),
            batch.column(column).data_type()
        ))
    })
}

fn without_null<A: Array>(array: &A) -> Result<&A> {
    match array.null_count() {
        0 => Ok(array),
        _ => Err(Error::new("there is a NULL where none can be")),
    }
}
