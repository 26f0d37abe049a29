//! The tables of a small model, as cofi writes them, and what somebody may do to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use cofi::error::Error;
use cofi::ids::IdKind;
use cofi::train::{OptionValue, Spec};

use super::bytes::Bytes;

/// Rows that come in one batch: few, so that there are several.
const ROWS_A_BATCH: usize = 3;

/// All tables of one model.
pub struct Tables {
    /// The column `spec` of its row in `models`.
    pub spec: String,
    /// Other columns of that row.
    pub mean: f64,
    /// The constant.
    pub mu: f32,
    /// The range's lower end.
    pub lo: Option<f32>,
    /// The range's upper end.
    pub hi: Option<f32>,
    /// The table `users_1`.
    pub users: Side,
    /// The table `items_1`.
    pub items: Side,
    /// The table `layers_1`: position, name, number of columns, number.
    layers: Vec<(Option<i32>, String, i32, Option<f32>)>,
    /// The table `seen_1`.
    seen: Vec<(Option<i32>, Option<i32>)>,
    is_text: bool,
}

/// One of the tables `users_1` and `items_1`.
pub struct Side {
    is_text: bool,
    width: usize,
    rows: Vec<Row>,
}

#[derive(Clone)]
struct Row {
    id: Option<i64>,
    idx: Option<i32>,
    bias: Option<f32>,
    deviation: Option<f32>,
    n_ratings: Option<i32>,
    factors: Vec<Option<f32>>,
}

impl Tables {
    /// A model that nobody has edited.
    pub fn as_written(bytes: &mut Bytes<'_>) -> Self {
        let shape = bytes.byte();
        let (is_text, is_mlp, is_classifier) = (shape & 1 > 0, shape & 2 > 0, shape & 4 > 0);
        // An 'mlp' and a classifier have no biases that are a baseline.
        let has_deviations = shape & 8 > 0 || is_mlp || is_classifier;
        let (n_users, n_items, width) = (1 + bytes.below(5), 1 + bytes.below(6), 1 + bytes.below(3));
        let word = |name: &str, word: &str| (name.to_owned(), OptionValue::Text(word.to_owned()));
        let values = [1.0, 2.5, 4.0];
        let spec = Spec {
            options: BTreeMap::from([
                word("architecture", if is_mlp { "mlp" } else { "dot" }),
                word("loss", if is_classifier { "cross_entropy" } else { "mse" }),
            ]),
            ratings: "ratings".to_owned(),
            place: ("memory".to_owned(), "main".to_owned()),
            columns: BTreeMap::from([("user".to_owned(), "u".to_owned())]),
            ratings_per_step: 8,
            user_width: width,
            item_width: width,
            lowest: 1.0,
            highest: 4.0,
            levels: (is_classifier || shape & 16 > 0).then(|| values.to_vec()),
        };
        let mut layers = Vec::new();
        let mut tensor = |name: &str, n_columns: usize, numbers: &[f32]| {
            let position = 1 + layers.last().map_or(0, |(position, ..): &(Option<i32>, _, _, _)| position.unwrap_or(0));
            layers.extend(numbers.iter().map(|n| (Some(position), name.to_owned(), n_columns as i32, Some(*n))));
        };
        if is_mlp {
            tensor("layer1.weights", 2, &vec![0.5; 4 * width]);
            tensor("layer1.bias", 2, &[0.125, -0.25]);
            tensor("layer2.weights", 1, &[1.0, -1.0]);
            tensor("layer2.bias", 1, &[0.5]);
        }
        if is_classifier {
            tensor("class_values", 3, &values);
            tensor("class_weights", 3, &[-1.0, 0.0, 1.0]);
            tensor("class_offsets", 3, &[0.0, 0.5, 0.0]);
        }
        let seen = (0..n_users * n_items).filter(|pair| pair % 3 != 0);
        let range = (shape & 32 == 0).then_some((0.5, 5.5));
        Self {
            spec: spec.to_json().unwrap(),
            mean: 3.0,
            mu: 0.25,
            lo: range.map(|(lo, _)| lo),
            hi: range.map(|(_, hi)| hi),
            users: Side::as_written(is_text, n_users, width, has_deviations),
            items: Side::as_written(is_text, n_items, width, has_deviations),
            layers,
            seen: seen.map(|pair| (Some((pair / n_items) as i32), Some((pair % n_items) as i32))).collect(),
            is_text,
        }
    }

    /// The kind of both sides' ids.
    pub fn kind(&self) -> IdKind {
        if self.is_text { IdKind::Text } else { IdKind::Integer }
    }

    /// One edit.
    pub fn edit(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(12) {
            0..3 => self.users.edit(bytes),
            3..6 => self.items.edit(bytes),
            6 | 7 => edit_row(&mut self.layers, bytes, |row, bytes| match bytes.below(4) {
                0 => row.0 = rarely_none(bytes, |bytes| bytes.whole() as i32),
                1 => row.1 = bytes.text(),
                2 => row.2 = bytes.whole() as i32,
                _ => row.3 = rarely_none(bytes, |bytes| bytes.real() as f32),
            }),
            8 => edit_row(&mut self.seen, bytes, |row, bytes| {
                let number = rarely_none(bytes, |bytes| bytes.whole() as i32);
                *(if bytes.rarely() { &mut row.0 } else { &mut row.1 }) = number;
            }),
            9 => self.edit_spec(bytes),
            10 => {
                let number = bytes.real();
                match bytes.below(4) {
                    0 => self.mean = number,
                    1 => self.mu = number as f32,
                    2 => self.lo = (!bytes.rarely()).then_some(number as f32),
                    _ => self.hi = (!bytes.rarely()).then_some(number as f32),
                }
            }
            _ => {
                self.lo = None;
                self.hi = None;
            }
        }
    }

    /// Another number in place of one, or other text in place of some.
    fn edit_spec(&mut self, bytes: &mut Bytes<'_>) {
        let words: Vec<_> = self.spec.match_indices(':').map(|(place, _)| place + 1).collect();
        if !words.is_empty() && !bytes.rarely() {
            let start = words[bytes.below(words.len())];
            let end = self.spec[start..].find([',', '}']).map_or(self.spec.len(), |length| start + length);
            let new = match bytes.below(6) {
                0 => bytes.whole().to_string(),
                1 => bytes.real().to_string(),
                2 => "null".to_owned(),
                3 => "\"mlp\"".to_owned(),
                4 => "[1.0, 2.5, 4.0]".to_owned(),
                _ => bytes.text(),
            };
            self.spec.replace_range(start..end, &new);
            return;
        }
        let boundaries: Vec<_> = self.spec.char_indices().map(|(place, _)| place).chain([self.spec.len()]).collect();
        let mut place = || boundaries[(bytes.byte() as usize * 256 + bytes.byte() as usize) % boundaries.len()];
        let (one, other) = (place(), place());
        let text = bytes.text();
        self.spec.replace_range(one.min(other)..one.max(other), &text);
    }

    /// The rows of `layers_1` as they are read.
    pub fn layers_batches(&self) -> Vec<RecordBatch> {
        let batch = |rows: &[(Option<i32>, String, i32, Option<f32>)]| {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(rows.iter().map(|row| row.0).collect::<Int32Array>()),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.1))),
                Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int32Array>()),
                Arc::new((0..rows.len() as i32).map(Some).collect::<Int32Array>()),
                Arc::new(rows.iter().map(|row| row.3).collect::<Float32Array>()),
            ];
            record_batch(columns)
        };
        self.layers.chunks(ROWS_A_BATCH).map(batch).collect()
    }

    /// The rows of `seen_1` as they are read.
    pub fn seen_batches(&self) -> Vec<RecordBatch> {
        let column = |numbers: Vec<Option<i32>>| -> ArrayRef { Arc::new(Int32Array::from(numbers)) };
        let batch = |rows: &[(Option<i32>, Option<i32>)]| {
            let (users, items) = rows.iter().copied().unzip();
            record_batch(vec![column(users), column(items)])
        };
        self.seen.chunks(ROWS_A_BATCH).map(batch).collect()
    }
}

impl Side {
    fn as_written(is_text: bool, n_rows: usize, width: usize, has_deviations: bool) -> Self {
        let row = |index: usize| Row {
            id: Some(10 * index as i64),
            idx: Some(index as i32),
            bias: Some(0.125 * index as f32),
            deviation: has_deviations.then_some(0.25),
            n_ratings: Some(2),
            factors: (0..width).map(|k| Some((index as f32 - 1.5) * (k as f32 + 0.5))).collect(),
        };
        Self { is_text, width, rows: (0..n_rows).map(row).collect() }
    }

    fn edit(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(20) {
            0 => self.rows.iter_mut().for_each(|row| row.bias = None),
            1 => self.rows.iter_mut().for_each(|row| row.deviation = row.bias.map(|_| 0.5)),
            2 => {
                self.width = bytes.below(5);
                self.rows.iter_mut().for_each(|row| row.factors.resize(self.width, Some(1.0)));
            }
            _ => edit_row(&mut self.rows, bytes, |row, bytes| match bytes.below(6) {
                0 => row.id = rarely_none(bytes, |bytes| bytes.whole()),
                1 => row.idx = rarely_none(bytes, |bytes| bytes.whole() as i32),
                2 => row.bias = rarely_none(bytes, |bytes| bytes.real() as f32),
                3 => row.deviation = rarely_none(bytes, |bytes| bytes.real() as f32),
                4 => row.n_ratings = rarely_none(bytes, |bytes| bytes.whole() as i32),
                _ => {
                    let place = bytes.below(8);
                    let number = rarely_none(bytes, |bytes| bytes.real() as f32);
                    if let Some(factor) = row.factors.get_mut(place) {
                        *factor = number;
                    }
                }
            }),
        }
    }

    /// The rows as they are read.
    pub fn batches(&self) -> Vec<RecordBatch> {
        self.rows.chunks(ROWS_A_BATCH).map(|rows| self.batch(rows)).collect()
    }

    fn batch(&self, rows: &[Row]) -> RecordBatch {
        let ids: ArrayRef = match self.is_text {
            true => Arc::new(rows.iter().map(|row| row.id.map(|id| format!("{id:05}"))).collect::<StringArray>()),
            false => Arc::new(rows.iter().map(|row| row.id).collect::<Int64Array>()),
        };
        let factors: Float32Array = rows.iter().flat_map(|row| row.factors.iter().copied()).collect();
        let field = Arc::new(Field::new("item", DataType::Float32, true));
        let lists =
            FixedSizeListArray::try_new_with_length(field, self.width as i32, Arc::new(factors), None, rows.len());
        record_batch(vec![
            ids,
            Arc::new(rows.iter().map(|row| row.idx).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|row| row.bias).collect::<Float32Array>()),
            Arc::new(rows.iter().map(|row| row.deviation).collect::<Float32Array>()),
            Arc::new(rows.iter().map(|row| row.n_ratings).collect::<Int32Array>()),
            Arc::new(lists.unwrap()),
        ])
    }
}

/// Changes a row, takes it out, puts it in twice, or has it change places.
fn edit_row<R: Clone>(rows: &mut Vec<R>, bytes: &mut Bytes<'_>, change: impl FnOnce(&mut R, &mut Bytes<'_>)) {
    if rows.is_empty() {
        return;
    }
    let place = bytes.below(rows.len().min(256));
    match bytes.below(12) {
        0 => drop(rows.remove(place)),
        1 => rows.insert(place, rows[place].clone()),
        2 => rows.swap(place, 0),
        3 => rows.truncate(place),
        _ => change(&mut rows[place], bytes),
    }
}

fn rarely_none<T>(bytes: &mut Bytes<'_>, some: impl FnOnce(&mut Bytes<'_>) -> T) -> Option<T> {
    if bytes.rarely() { None } else { Some(some(bytes)) }
}

fn record_batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let fields = columns.iter().enumerate();
    let fields: Vec<_> =
        fields.map(|(place, column)| Field::new(format!("c{place}"), column.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The text of an error and its causes, which a terminal can show.
pub fn printable(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    assert!(!text.chars().any(char::is_control), "{text:?}");
    text
}
