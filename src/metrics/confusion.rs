//! Which level was predicted for which rating.

use crate::metrics::Judged;

/// How often each level was predicted for each rating, added up one prediction at a time.
///
/// The table is full: a row for each level and for each rating that occurred and is no level (an evaluation may hold
/// ratings that training never saw), a column for each level and for each that a predictor named besides. Memory: 8
/// bytes a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusion {
    levels: Vec<f32>,
    /// Ascending, each with a count for each of `predicted`.
    actual: Vec<(f32, Vec<u64>)>,
    /// Ascending.
    predicted: Vec<f32>,
}

/// A cell of a confusion table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// What was rated.
    pub actual: f32,
    /// The level that was predicted.
    pub predicted: f32,
    /// How often.
    pub n: u64,
}

impl Confusion {
    /// An empty table over levels: distinct ratings, ascending, finite.
    pub fn new(levels: &[f32]) -> Self {
        let actual = levels.iter().map(|&level| (level, vec![0; levels.len()])).collect();
        Self { levels: levels.to_vec(), actual, predicted: levels.to_vec() }
    }

    /// Counts a prediction; whether it was counted, which fails only where there are no levels and it names none
    /// either.
    pub fn add(&mut self, judged: Judged) -> bool {
        let Some(level) = judged.predicted_level(&self.levels) else { return false };
        let column = self.column(level);
        let row = self.row(judged.rating);
        if let Some(n) = self.actual.get_mut(row).and_then(|(_, counts)| counts.get_mut(column)) {
            *n += 1;
        }
        true
    }

    /// All cells, those of 0 too, by `actual`, then by `predicted`.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        self.actual.iter().flat_map(|(actual, counts)| {
            self.predicted.iter().zip(counts).map(|(&predicted, &n)| Cell { actual: *actual, predicted, n })
        })
    }

    fn row(&mut self, rating: f32) -> usize {
        match self.actual.binary_search_by(|(actual, _)| order(*actual, rating)) {
            Ok(row) => row,
            Err(row) => {
                self.actual.insert(row, (rating, vec![0; self.predicted.len()]));
                row
            }
        }
    }

    fn column(&mut self, level: f32) -> usize {
        match self.predicted.binary_search_by(|predicted| order(*predicted, level)) {
            Ok(column) => column,
            Err(column) => {
                self.predicted.insert(column, level);
                self.actual.iter_mut().for_each(|(_, counts)| counts.insert(column, 0));
                column
            }
        }
    }
}

/// By number; -0 and 0 are the same one.
fn order(one: f32, other: f32) -> std::cmp::Ordering {
    (one + 0.0).total_cmp(&(other + 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(confusion: &Confusion) -> Vec<(f32, f32, u64)> {
        confusion.cells().map(|cell| (cell.actual, cell.predicted, cell.n)).collect()
    }

    fn judged(rating: f32, prediction: f32) -> Judged {
        Judged { rating, prediction, level: None }
    }

    #[test]
    fn cells_of_nothing_are_there() {
        let mut confusion = Confusion::new(&[1.0, 2.0]);
        for one in [judged(2.0, 1.9), judged(2.0, 1.5), judged(2.0, 7.0), judged(1.0, -3.0)] {
            assert!(confusion.add(one));
        }
        assert_eq!(table(&confusion), [(1.0, 1.0, 1), (1.0, 2.0, 0), (2.0, 1.0, 1), (2.0, 2.0, 2)]);
    }

    #[test]
    fn a_rating_that_is_no_level_has_a_row_of_its_own() {
        let mut confusion = Confusion::new(&[0.0, 2.0]);
        for one in [judged(1.5, 1.9), judged(-1.0, 0.1), judged(1.5, 0.2), judged(-0.0, 0.0)] {
            assert!(confusion.add(one));
        }
        let expected = [(-1.0, 1, 0), (0.0, 1, 0), (1.5, 1, 1), (2.0, 0, 0)];
        let expected = expected.map(|(actual, low, high)| [(actual, 0.0, low), (actual, 2.0, high)]).concat();
        assert_eq!(table(&confusion), expected);
    }

    #[test]
    fn a_level_that_is_named_counts_for_the_nearest() {
        let mut confusion = Confusion::new(&[1.0, 3.0]);
        assert!(confusion.add(Judged { level: Some(1.0), ..judged(3.0, 2.9) }));
        assert!(confusion.add(judged(3.0, 2.9)));
        assert!(confusion.add(Judged { level: Some(2.0), ..judged(1.0, 2.9) }));
        let expected = [(1.0, 1.0, 0), (1.0, 2.0, 1), (1.0, 3.0, 0), (3.0, 1.0, 1), (3.0, 2.0, 0), (3.0, 3.0, 1)];
        assert_eq!(table(&confusion), expected);
    }

    #[test]
    fn without_any_level_nothing_is_counted() {
        let mut confusion = Confusion::new(&[]);
        assert!(!confusion.add(judged(1.0, 1.0)));
        assert_eq!(table(&confusion), []);
    }
}
