//! Rows out of Arrow batches of every kind.

use std::sync::Arc;

use super::*;
use crate::ids::{IdKind, Vocabulary};
use crate::ratings::Dataset;

const NOTHING: Split = Split::Pairs { fraction: 0.0, seed: 42 };

fn batch(columns: [(&str, ArrayRef); 3]) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn push(builder: &mut DatasetBuilder, batch: &RecordBatch) -> Result<()> {
    builder.read(|_| Ok(()), |parts, take, _| take(&mut parts[0], batch))
}

fn push_validation(builder: &mut DatasetBuilder, batch: &RecordBatch) -> Result<()> {
    builder.read_validation(|_| Ok(()), |parts, take, _| take(&mut parts[0], batch))
}

fn ids(vocabulary: &Vocabulary) -> Vec<String> {
    vocabulary.iter().map(|id| id.to_string()).collect()
}

fn dataset(users: ArrayRef, kind: IdKind) -> Dataset {
    let items: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(2), None, Some(2), Some(2)]));
    let ratings: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0), Some(3.0), None, Some(4.0)]));
    let rows = batch([("rating", ratings), ("user", users), ("item", items)]);
    let mut builder = DatasetBuilder::new(kind, IdKind::Integer, NOTHING);
    push(&mut builder, &rows.slice(0, 2)).unwrap();
    push(&mut builder, &rows.slice(2, 3)).unwrap();
    push_validation(&mut builder, &rows.slice(1, 1)).unwrap();
    builder.finish().unwrap()
}

#[test]
fn all_types_of_ids_are_read_with_their_nulls() {
    let texts = [Some("b"), Some("🎬 long enough not to be inlined in a view"), Some("c"), Some("d"), None];
    let columns: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter(texts)),
        Arc::new(LargeStringArray::from_iter(texts)),
        Arc::new(StringViewArray::from_iter(texts)),
    ];
    for users in columns {
        let dataset = dataset(users, IdKind::Text);
        assert_eq!(ids(&dataset.users), ["'b'", "'🎬 long enough not to be inlined in a view'"]);
        assert_eq!(ids(&dataset.items), ["2", "9223372036854775807"]);
        assert_eq!(dataset.train.values(), [1.0, 2.0]);
        assert_eq!((dataset.valid.len(), dataset.n_rows, dataset.n_skipped), (1, 6, 3));
    }
    let numbers = Int64Array::from(vec![Some(5_000_000_000), Some(-1), Some(7), Some(7), None]);
    assert_eq!(ids(&dataset(Arc::new(numbers), IdKind::Integer).users), ["-1", "5000000000"]);
}

#[test]
fn other_columns_are_refused() {
    let numbers = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let floats = || Arc::new(Float64Array::from(vec![1.0])) as ArrayRef;
    let push_columns = |columns: [ArrayRef; 3]| {
        let [users, items, ratings] = columns;
        let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, NOTHING);
        push(&mut builder, &batch([("rating", ratings), ("user", users), ("item", items)])).unwrap_err().to_string()
    };
    assert_eq!(push_columns([floats(), numbers(), floats()]), "ratings: user column = Float64: expected Int64 or text");
    assert_eq!(push_columns([numbers(), numbers(), numbers()]), "ratings: rating column = Int64: expected Float64");
    let text = Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
    assert!(push_columns([numbers(), text, floats()]).starts_with("id 'a': expected integer ids"));
    let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, NOTHING);
    let two = RecordBatch::try_from_iter([("user", numbers()), ("item", numbers())]).unwrap();
    let message = push_validation(&mut builder, &two).unwrap_err().to_string();
    assert_eq!(message, "validation: there is no column rating");

    let push_more = |split: Split, more: &[(&str, ArrayRef)]| {
        let columns = [("user", numbers()), ("item", numbers()), ("rating", floats())];
        let all = columns.into_iter().chain(more.iter().cloned());
        let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, split);
        push(&mut builder, &RecordBatch::try_from_iter(all).unwrap()).map_err(|error| error.to_string())
    };
    let message = push_more(NOTHING, &[("weight", numbers())]).unwrap_err();
    assert_eq!(message, "ratings: weight column = Int64: expected Float64");
    assert_eq!(push_more(Split::Given, &[]).unwrap_err(), "ratings: there is no column held_out");
    let message = push_more(Split::Given, &[("held_out", floats())]).unwrap_err();
    assert_eq!(message, "ratings: held_out column = Float64: expected Boolean");
    assert_eq!(push_more(NOTHING, &[("held_out", floats())]), Ok(()));
}

#[test]
fn weights_and_sides_are_read_with_their_nulls() {
    let numbers = |numbers: [i64; 6]| Arc::new(Int64Array::from(numbers.to_vec())) as ArrayRef;
    let weights = [Some(1.0), Some(3.0), None, Some(1.0), Some(1.0), Some(2.0)];
    let sides = [Some(false), Some(false), Some(false), None, Some(true), Some(false)];
    let rows = RecordBatch::try_from_iter([
        ("held_out", Arc::new(BooleanArray::from_iter(sides)) as ArrayRef),
        ("weight", Arc::new(Float64Array::from_iter(weights))),
        ("user", numbers([1, 2, 3, 4, 5, 6])),
        ("item", numbers([1, 2, 3, 4, 5, 6])),
        ("rating", Arc::new(Float64Array::from_iter_values([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))),
    ])
    .unwrap();
    let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, Split::Given);
    push(&mut builder, &rows).unwrap();
    push_validation(&mut builder, &rows.slice(2, 1)).unwrap();
    let message = push(&mut builder, &rows.project(&[0, 2, 3, 4]).unwrap()).unwrap_err().to_string();
    assert_eq!(message, "ratings: some batches have a column of weights and others have not");
    let dataset = builder.finish().unwrap();
    assert_eq!(dataset.train.values(), [1.0, 2.0, 6.0]);
    assert_eq!(dataset.train.weights(), Some([0.5, 1.5, 1.0].as_slice()));
    assert_eq!(dataset.valid.iter().map(|row| row.value).collect::<Vec<_>>(), [3.0, 5.0]);
    assert_eq!((dataset.n_rows, dataset.n_skipped), (7, 2));
}
