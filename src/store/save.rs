//! A trained model into the database, whole or not at all.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use duckdb::types::Value;

use crate::error::{Error, Result};
use crate::ids::{Id, IdKind, Vocabulary};
use crate::ratings::Dataset;
use crate::score::{Embeddings, Table};
use crate::store::connections::Kept;
use crate::store::drop::{complete, remove};
use crate::store::layers::{record_batch, tensors_of};
use crate::store::model::{Side, side_deviations, side_table};
use crate::store::names::quote_literal;
use crate::store::schema::{FORMAT_VERSION, ModelVersion, Store};
use crate::store::session::{Session, host_version};
use crate::store::source::id_type;
use crate::train::{EpochReport, Spec};

/// Rows that go to the host at a time.
const ROWS_PER_BATCH: usize = 16_384;

/// A model that has been trained and not yet stored.
pub struct NewModel<'a> {
    /// How it was made.
    pub spec: &'a Spec,
    /// The model that had the name when the training began, which is the only one that it replaces.
    pub replaces: Option<ModelVersion>,
    /// What it was made from.
    pub dataset: &'a Dataset,
    /// What came out.
    pub embeddings: &'a Embeddings,
    /// Its epochs, at least one.
    pub history: &'a [EpochReport],
    /// The epoch, counted from 1, that the embeddings are of.
    pub stored_epoch: u32,
    /// The seed.
    pub seed: u64,
    /// Where it was trained.
    pub device: &'a str,
    /// What kind of operators trained it.
    pub operators: &'a str,
    /// Which rows each step moved, as the option `updates` has it.
    pub updates: &'a str,
    /// The version of the library that trained it.
    pub onnxruntime_version: &'a str,
}

/// Stores a model under a name in one transaction; the model that had the name when its training began is replaced.
///
/// # Errors
/// A model that another training has stored meanwhile, which stays; a database that cannot be written, or a disk that is full: then the old model is as it was.
pub fn save_model(session: &Kept<'_>, store: &Store, name: &str, model: &NewModel<'_>) -> Result<()> {
    // Trainings hold this connection while they save, so none comes between.
    if let Some(stored) = store.find_readable(session, name)?
        && model.replaces != Some(stored)
    {
        return Err(Error::new(format!(
            "model '{name}': another training has stored it while this one ran; that one stays and this one is not stored: run them one \
             after the other, or store this one under a name of its own with model := '...'"
        )));
    }
    let transaction = session.write()?;
    complete(&transaction, store)?;
    remove(&transaction, store, name)?;
    let id = next_id(&transaction, store)?;
    let (users, items) = (&model.dataset.users, &model.dataset.items);
    let placeholders = [
        ("id", id.to_string()),
        ("user_type", id_type(users.kind()).to_owned()),
        ("item_type", id_type(items.kind()).to_owned()),
        ("user_width", model.embeddings.parts().users.width.to_string()),
        ("item_width", model.embeddings.parts().items.width.to_string()),
    ];
    let placeholders = placeholders.each_ref().map(|(name, value)| (*name, value.as_str()));
    transaction.execute(&store.sql(include_str!("../../sql/create_model.sql"), &placeholders))?;
    append_side(
        &transaction,
        store,
        &format!("users_{id}"),
        Side::Users,
        users,
        &model.dataset.user_counts,
        model.embeddings,
    )?;
    append_side(
        &transaction,
        store,
        &format!("items_{id}"),
        Side::Items,
        items,
        &model.dataset.item_counts,
        model.embeddings,
    )?;
    append_seen(&transaction, store, &format!("seen_{id}"), model.dataset)?;
    append_layers(&transaction, store, id, model.embeddings)?;
    append_history(&transaction, store, id, model)?;
    insert_model(&transaction, store, id, name, model)?;
    transaction.commit()
}

fn next_id(session: &Session, store: &Store) -> Result<i64> {
    let sequence = quote_literal(&store.sql("{store}.model_ids", &[]));
    match session.rows(&format!("SELECT nextval({sequence})"), Vec::new())?.first().map(Vec::as_slice) {
        Some([Value::BigInt(id)]) => Ok(*id),
        _ => Err(Error::new("the sequence cofi_store.model_ids gave no number")),
    }
}

fn append_side(
    session: &Session,
    store: &Store,
    table: &str,
    side: Side,
    vocabulary: &Vocabulary,
    counts: &[u32],
    embeddings: &Embeddings,
) -> Result<()> {
    let Table { width, factors, biases } = side_table(embeddings, side);
    let width = *width;
    let deviations = side_deviations(embeddings, side);
    let element = Arc::new(Field::new("item", DataType::Float32, true));
    let list = DataType::FixedSizeList(Arc::clone(&element), width as i32);
    let id_kind = match vocabulary.kind() {
        IdKind::Integer => DataType::Int64,
        IdKind::Text => DataType::Utf8,
    };
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", id_kind, false),
        Field::new("idx", DataType::Int32, false),
        Field::new("bias", DataType::Float32, true),
        Field::new("deviation", DataType::Float32, true),
        Field::new("n_ratings", DataType::Int32, false),
        Field::new("factors", list, false),
    ]));
    let mut ids = vocabulary.iter();
    append(session, store, table, vocabulary.len(), |rows| {
        let optional = |values: Option<&[f32]>| match values {
            Some(values) => Arc::new(Float32Array::from(values[rows.clone()].to_vec())),
            None => Arc::new(Float32Array::new_null(rows.len())),
        };
        let elements = Float32Array::from(factors[rows.start * width..rows.end * width].to_vec());
        let columns: Vec<ArrayRef> = vec![
            id_array(vocabulary.kind(), ids.by_ref().take(rows.len())),
            Arc::new(Int32Array::from_iter_values(rows.clone().map(|index| index as i32))),
            optional(biases.as_deref()),
            optional(deviations),
            Arc::new(Int32Array::from_iter_values(counts[rows.clone()].iter().map(|count| *count as i32))),
            Arc::new(FixedSizeListArray::try_new(Arc::clone(&element), width as i32, Arc::new(elements), None)?),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns)
    })
}

fn id_array<'a>(kind: IdKind, ids: impl Iterator<Item = Id<'a>>) -> ArrayRef {
    match kind {
        IdKind::Integer => Arc::new(Int64Array::from_iter_values(ids.filter_map(|id| match id {
            Id::Integer(id) => Some(id),
            Id::Text(_) => None,
        }))),
        IdKind::Text => Arc::new(StringArray::from_iter_values(ids.filter_map(|id| match id {
            Id::Text(id) => Some(id),
            Id::Integer(_) => None,
        }))),
    }
}

fn append_seen(session: &Session, store: &Store, table: &str, dataset: &Dataset) -> Result<()> {
    let column = |name| Field::new(name, DataType::Int32, false);
    let schema = Arc::new(Schema::new(vec![column("user_idx"), column("item_idx")]));
    let mut pairs = dataset.seen.pairs();
    append(session, store, table, dataset.seen.len(), |rows| {
        let (users, items): (Vec<i32>, Vec<i32>) =
            pairs.by_ref().take(rows.len()).map(|(user, item)| (user as i32, item as i32)).unzip();
        RecordBatch::try_new(
            Arc::clone(&schema),
            vec![Arc::new(Int32Array::from(users)) as ArrayRef, Arc::new(Int32Array::from(items))],
        )
    })
}

/// The tensors of an 'mlp' or a classifier, in a table that other models do not have.
fn append_layers(session: &Session, store: &Store, id: i64, embeddings: &Embeddings) -> Result<()> {
    let tensors = tensors_of(embeddings.parts());
    if tensors.is_empty() {
        return Ok(());
    }
    let placeholders = [("id", id.to_string())];
    let placeholders = placeholders.each_ref().map(|(name, value)| (*name, value.as_str()));
    session.execute(&store.sql(include_str!("../../sql/create_layers.sql"), &placeholders))?;
    append(session, store, &format!("layers_{id}"), tensors.len(), |rows| record_batch(&tensors[rows]))
}

/// Appends `n_rows` rows to a table of the store, as many at a time as `batch` is asked for.
fn append(
    session: &Session,
    store: &Store,
    table: &str,
    n_rows: usize,
    mut batch: impl FnMut(std::ops::Range<usize>) -> std::result::Result<RecordBatch, arrow::error::ArrowError>,
) -> Result<()> {
    let mut starts = (0..n_rows).step_by(ROWS_PER_BATCH);
    let next = || match starts.next() {
        None => Ok(None),
        Some(start) => batch(start..n_rows.min(start + ROWS_PER_BATCH))
            .map(Some)
            .map_err(|error| Error::new("a batch of rows could not be built").with_source(error)),
    };
    session
        .append([store.database(), store.schema(), table], next)
        .map_err(|error| error.context(format_args!("the rows of cofi_store.{table} could not be written")))
}

fn append_history(session: &Session, store: &Store, id: i64, model: &NewModel<'_>) -> Result<()> {
    let sql = store.sql(include_str!("../../sql/insert_history.sql"), &[]);
    for report in model.history {
        let valid = report.valid;
        session.execute_with(
            &sql,
            vec![
                Value::BigInt(id),
                Value::Int(report.epoch as i32),
                Value::Double(report.train_loss),
                optional(valid.and_then(|valid| valid.loss)),
                optional(valid.map(|valid| valid.rmse)),
                optional(valid.map(|valid| valid.mae)),
                optional(valid.and_then(|valid| valid.accuracy)),
                Value::Double(report.seconds),
                Value::Text(model.device.to_owned()),
            ],
        )?;
    }
    Ok(())
}

fn insert_model(session: &Session, store: &Store, id: i64, name: &str, model: &NewModel<'_>) -> Result<()> {
    let parts = model.embeddings.parts();
    let stored = model.history.iter().find(|report| report.epoch == model.stored_epoch);
    let valid = stored.and_then(|report| report.valid);
    let dataset = model.dataset;
    session.execute_with(
        &store.sql(include_str!("../../sql/insert_model.sql"), &[]),
        vec![
            Value::BigInt(id),
            Value::Text(name.to_owned()),
            Value::BigInt(FORMAT_VERSION),
            Value::Text(model.spec.to_json()?),
            Value::BigInt(model.seed as i64),
            Value::Text(model.device.to_owned()),
            Value::Text(model.operators.to_owned()),
            Value::Text(model.updates.to_owned()),
            Value::BigInt(dataset.users.len() as i64),
            Value::BigInt(dataset.items.len() as i64),
            Value::BigInt(dataset.train.len() as i64),
            Value::BigInt(dataset.valid.len() as i64),
            Value::BigInt(dataset.n_skipped as i64),
            Value::Double(dataset.train.mean()),
            Value::Float(parts.mu),
            parts.range.map_or(Value::Null, |(lo, _)| Value::Float(lo)),
            parts.range.map_or(Value::Null, |(_, hi)| Value::Float(hi)),
            optional(valid.and_then(|valid| valid.loss)),
            optional(valid.map(|valid| valid.rmse)),
            optional(valid.map(|valid| valid.mae)),
            optional(valid.and_then(|valid| valid.accuracy)),
            Value::Text(env!("CARGO_PKG_VERSION").to_owned()),
            Value::Text(host_version()),
            Value::Text(model.onnxruntime_version.to_owned()),
        ],
    )
}

fn optional(value: Option<f64>) -> Value {
    value.map_or(Value::Null, Value::Double)
}
