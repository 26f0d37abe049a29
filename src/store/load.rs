//! A stored model out of the database, checked, as its tables are open to everybody.

use arrow::array::{Array, AsArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use duckdb::types::Value;

use crate::error::{Error, Result};
use crate::ids::{Id, IdKind, Vocabulary};
use crate::model::Spec;
use crate::ratings::SeenBuilder;
use crate::score::{Baseline, Embeddings, Parts};
use crate::store::model::StoredModel;
use crate::store::schema::{ModelVersion, Store, edited};
use crate::store::session::{Session, text};
use crate::store::source::id_type;

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
    let users = read_side(session, store, &format!("users_{id}"), spec.n_factors)?;
    let items = read_side(session, store, &format!("items_{id}"), spec.n_factors)?;
    let (biases, baseline) = match (users.biases, items.biases, users.deviations, items.deviations) {
        (Some(users), Some(items), _, _) => (Some((users, items)), Baseline::OwnBiases),
        (None, None, Some(users), Some(items)) => (None, Baseline::DampedMeans { mean: *mean as f32, users, items }),
        _ => return Err(Error::new("users and items need either biases or deviations, all of them")),
    };
    let embeddings = Embeddings::new(Parts {
        n_factors: spec.n_factors,
        user_factors: users.factors,
        item_factors: items.factors,
        biases,
        mu: *mu,
        range,
        baseline,
    })?;
    let mut seen = SeenBuilder::new(users.vocabulary.len(), items.vocabulary.len());
    session.stream(&store.sql(include_str!("../../sql/load_seen.sql"), &[("id", &id)]), |batch| {
        let (users, items) = (integers(batch, 0)?, integers(batch, 1)?);
        users.iter().zip(items).try_for_each(|(user, item)| seen.push(*user as u32, *item as u32))
    })?;
    Ok(StoredModel {
        version,
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
    biases: Option<Vec<f32>>,
    deviations: Option<Vec<f32>>,
    counts: Vec<u32>,
    factors: Vec<f32>,
}

fn read_side(session: &Session, store: &Store, table: &str, n_factors: usize) -> Result<SideTable> {
    let kind = side_kind(session, store, table)?;
    let placeholders = [("table", table), ("id_type", id_type(kind)), ("n_factors", &n_factors.to_string())];
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
                factors.extend_from_slice(&elements.values()[start..start + batch.num_rows() * n_factors]);
                Ok(())
            }
            _ => Err(Error::new(format!("{table} has factors that are NULL"))),
        }
    })?;
    let n_rows = vocabulary.len();
    Ok(SideTable { biases: biases.whole(n_rows), deviations: deviations.whole(n_rows), vocabulary, counts, factors })
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

    fn whole(self, n_rows: usize) -> Option<Vec<f32>> {
        (self.values.len() == n_rows).then_some(self.values)
    }
}

fn push_ids(batch: &RecordBatch, vocabulary: &mut Vocabulary) -> Result<()> {
    match vocabulary.kind() {
        IdKind::Integer => {
            let ids: &Int64Array = typed(batch, 0, |column| column.as_primitive_opt::<Int64Type>())?;
            without_null(ids)?.values().iter().try_for_each(|id| vocabulary.push(Id::Integer(*id)))
        }
        IdKind::Text => {
            // Which kind of string array comes is a setting of the host's.
            let column = batch.column(0).as_ref();
            let mut push = |id: Option<&str>| vocabulary.push(Id::Text(id.ok_or_else(|| Error::new("an id is NULL"))?));
            match (column.as_string_opt::<i32>(), column.as_string_opt::<i64>(), column.as_string_view_opt()) {
                (Some(ids), ..) => ids.iter().try_for_each(&mut push),
                (_, Some(ids), _) => ids.iter().try_for_each(&mut push),
                (.., Some(ids)) => ids.iter().try_for_each(&mut push),
                _ => Err(Error::new(format!("column id came as {}", column.data_type()))),
            }
        }
    }
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
