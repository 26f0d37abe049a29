//! The rows of a stored model as the host gives them, checked, as its tables are open to everybody.
//!
//! Nothing here asks the host for anything, so that it can be fed with whatever a table might hold.

use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};

use crate::error::{Error, Result, number};
use crate::ids::{Id, IdKind, Vocabulary};
use crate::ratings::SeenBuilder;
use crate::score::{Baseline, Classes, Embeddings, Interaction, Parts, Table};
use crate::store::layers::{Tensor, parts_of};
use crate::store::model::StoredModel;
use crate::store::schema::ModelVersion;
use crate::train::Spec;

/// All rows of a model but the pairs that were seen, of which there are the most.
pub struct ModelRows {
    /// Which model it is.
    pub version: ModelVersion,
    /// How it was made.
    pub spec: Spec,
    /// The mean of its training ratings.
    pub mean: f64,
    /// The constant before the range.
    pub mu: f32,
    /// `lo` and `hi`; `None` in a model without a range.
    pub range: Option<(f32, f32)>,
    /// The table `users_n`.
    pub users: SideRows,
    /// The table `items_n`.
    pub items: SideRows,
    /// The table `layers_n`; without a row where the model has no such table.
    pub layers: LayerRows,
}

impl ModelRows {
    /// Puts the model together; `read_seen` hands the table `seen_n` to [`push_seen`].
    ///
    /// # Errors
    /// Tables that do not fit together; whatever `read_seen` fails with.
    pub fn into_model(self, read_seen: impl FnOnce(&mut SeenBuilder) -> Result<()>) -> Result<StoredModel> {
        let Self { version, spec, mean, mu, range, users, items, layers } = self;
        if !(mean as f32).is_finite() {
            return Err(Error::argument("mean", number(mean), "a finite number", "train the model again"));
        }
        let (users, items) = (users.finish()?, items.finish()?);
        let (interaction, classes) = layers.finish(&spec)?;
        check_levels(&spec, classes.as_ref())?;
        let baseline = match (users.deviations, items.deviations) {
            (Some(users), Some(items)) => Baseline::DampedMeans { mean: mean as f32, users, items },
            (None, None) => Baseline::OwnBiases,
            _ => return Err(Error::new("users and items need deviations both or neither, all of them")),
        };
        let embeddings = Arc::new(Embeddings::new(Parts {
            users: users.table,
            items: items.table,
            interaction,
            mu,
            range,
            classes,
            baseline,
        })?);
        let mut seen = SeenBuilder::new(users.vocabulary.len(), items.vocabulary.len());
        read_seen(&mut seen)?;
        Ok(StoredModel {
            version,
            spec,
            mean,
            user_counts: users.counts,
            item_counts: items.counts,
            users: users.vocabulary,
            items: items.vocabulary,
            embeddings,
            seen: seen.finish(),
        })
    }
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

/// The rows of the table `users_n` or `items_n`.
pub struct SideRows {
    /// The table's name, for errors.
    name: String,
    width: usize,
    vocabulary: Vocabulary,
    counts: Vec<u32>,
    factors: Vec<f32>,
    biases: Column,
    deviations: Column,
}

struct SideTable {
    vocabulary: Vocabulary,
    table: Table,
    deviations: Option<Vec<f32>>,
    counts: Vec<u32>,
}

impl SideRows {
    /// No row yet of a table of ids of a kind and so many factors a row.
    pub fn new(name: String, kind: IdKind, width: usize) -> Self {
        let (biases, deviations) = (Column::default(), Column::default());
        Self {
            name,
            width,
            vocabulary: Vocabulary::new(kind),
            counts: Vec::new(),
            factors: Vec::new(),
            biases,
            deviations,
        }
    }

    /// Takes the next rows, with the columns of `sql/load_side.sql`.
    ///
    /// # Errors
    /// Columns of other types, NULLs where none can be, ids or indices that do not ascend one by one.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        push_ids(batch, &mut self.vocabulary)?;
        let first = self.counts.len() as i32;
        if integers(batch, 1)?.iter().zip(first..).any(|(index, expected)| *index != expected) {
            return Err(Error::new(format!("the indices of {} are not 0, 1, 2, ...", self.name)));
        }
        self.biases.push(floats(batch, 2)?);
        self.deviations.push(floats(batch, 3)?);
        for count in integers(batch, 4)? {
            let count =
                u32::try_from(*count).map_err(|_| Error::new(format!("{} has n_ratings = {count}", self.name)))?;
            self.counts.push(count);
        }
        let lists: &FixedSizeListArray = typed(batch, 5, |column| column.as_fixed_size_list_opt())?;
        let elements = lists.values().as_primitive_opt::<Float32Type>().filter(|elements| elements.null_count() == 0);
        let Some(elements) = elements.filter(|_| lists.null_count() == 0) else {
            return Err(Error::new(format!("{} has factors that are NULL", self.name)));
        };
        if usize::try_from(lists.value_length()) != Ok(self.width) {
            return Err(Error::new(format!("{} has not {} factors a row", self.name, self.width)));
        }
        let start = lists.value_offset_at(0);
        self.factors.extend_from_slice(&elements.values()[start..start + batch.num_rows() * self.width]);
        Ok(())
    }

    fn finish(self) -> Result<SideTable> {
        let n_rows = self.vocabulary.len();
        let table = Table { width: self.width, factors: self.factors, biases: self.biases.whole(n_rows)? };
        Ok(SideTable {
            table,
            deviations: self.deviations.whole(n_rows)?,
            vocabulary: self.vocabulary,
            counts: self.counts,
        })
    }
}

/// The rows of the table `layers_n`, tensor by tensor.
#[derive(Default)]
pub struct LayerRows {
    tensors: Vec<Tensor>,
    last: Option<i32>,
}

impl LayerRows {
    /// Whether a model has such a table.
    pub fn are_there(spec: &Spec) -> bool {
        spec.word("architecture") == "mlp" || spec.word("loss") == "cross_entropy"
    }

    /// Takes the next rows, with the columns of `sql/load_layers.sql`.
    ///
    /// # Errors
    /// Columns of other types, NULLs where none can be.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let (positions, columns) = (integers(batch, 0)?, integers(batch, 2)?);
        let names = texts(batch, 1)?;
        let numbers = without_null(floats(batch, 4)?)?.values();
        for (row, (position, name)) in positions.iter().zip(names).enumerate() {
            if self.last.replace(*position) != Some(*position) {
                let n_columns = columns[row].max(0) as usize;
                self.tensors.push(Tensor { name: name.to_owned(), values: Vec::new(), n_columns });
            }
            if let Some(tensor) = self.tensors.last_mut() {
                tensor.values.push(numbers[row]);
            }
        }
        Ok(())
    }

    fn finish(self, spec: &Spec) -> Result<(Interaction, Option<Classes>)> {
        let (interaction, classes) = parts_of(self.tensors)?;
        let is_as_told = (interaction != Interaction::Dot) == (spec.word("architecture") == "mlp")
            && classes.is_some() == (spec.word("loss") == "cross_entropy");
        if is_as_told { Ok((interaction, classes)) } else { Err(Error::new("its layers have lost tensors")) }
    }
}

/// Takes the next rows of the table `seen_n`, with the columns of `sql/load_seen.sql`.
///
/// # Errors
/// Columns of other types, NULLs, pairs that do not ascend or that the model does not have.
pub fn push_seen(batch: &RecordBatch, seen: &mut SeenBuilder) -> Result<()> {
    let (users, items) = (integers(batch, 0)?, integers(batch, 1)?);
    // A negative number becomes one that no model has.
    users.iter().zip(items).try_for_each(|(user, item)| seen.push(*user as u32, *item as u32))
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
