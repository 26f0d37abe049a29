//! Ratings of pairs.

use std::sync::Arc;

use super::{Classes, Embeddings, Interaction, Parts};
use crate::error::{Error, Result};
use crate::ids::{ItemIdx, UserIdx};
use crate::kernels::{Level, all_in_range, dots};

/// Pairs that go through a network at a time: a vector of the host's rows.
pub(super) const PAIRS_AT_A_TIME: usize = 2048;

/// The layers of a model at work. Who predicts brings one along, as multiplying matrices fast is not done here.
pub trait Network: Send {
    /// What the last layer gives for `B` pairs, from the rows of their users `[B, Ku]` and of their items `[B, Ki]`: `[B]`.
    ///
    /// # Errors
    /// A failure of whatever computes it.
    fn run(&mut self, user_rows: &[f32], item_rows: &[f32]) -> Result<Vec<f32>>;
}

/// A rating that was predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The expected rating, in rating units.
    pub rating: f32,
    /// The most probable rating, where a classifier named one.
    pub level: Option<f32>,
    /// The score, which goes into the classes of a classifier; absent where a side is unknown.
    pub score: Option<f32>,
}

/// A model ready to rate pairs.
pub struct Predictor {
    pub(super) embeddings: Arc<Embeddings>,
    level: Level,
    network: Option<Box<dyn Network>>,
    user_rows: Vec<f32>,
    item_rows: Vec<f32>,
}

impl Predictor {
    /// A predictor with the network of the embeddings' layers, where they have some.
    ///
    /// # Errors
    /// Layers without a network.
    pub fn new(embeddings: Arc<Embeddings>, network: Option<Box<dyn Network>>) -> Result<Self> {
        match (&embeddings.parts().interaction, &network) {
            (Interaction::Layers(_), None) => {
                Err(Error::new("a model with layers predicts through a network, and has none"))
            }
            _ => Ok(Self { embeddings, level: Level::best(), network, user_rows: Vec::new(), item_rows: Vec::new() }),
        }
    }

    /// The rating that is expected of each pair of a [`UserIdx`] and an [`ItemIdx`], `[B]`, in rating units.
    ///
    /// # Errors
    /// A failure of the network.
    pub fn predict(&mut self, users: &[u32], items: &[u32]) -> Result<Vec<f32>> {
        let mut ratings = Vec::new();
        self.predict_into(users, items, &mut ratings)?;
        Ok(ratings)
    }

    /// The same in place of what is in `ratings`.
    ///
    /// # Errors
    /// A failure of the network.
    pub fn predict_into(&mut self, users: &[u32], items: &[u32], ratings: &mut Vec<f32>) -> Result<()> {
        self.scores_into(users, items, ratings)?;
        if let Some(classes) = self.classes() {
            ratings.iter_mut().for_each(|score| *score = classes.expected(*score));
        }
        Ok(())
    }

    /// The score of each pair, `[B]`: what goes into the classes of a classifier.
    ///
    /// # Errors
    /// A failure of the network.
    pub fn scores(&mut self, users: &[u32], items: &[u32]) -> Result<Vec<f32>> {
        let mut scores = Vec::new();
        self.scores_into(users, items, &mut scores)?;
        Ok(scores)
    }

    /// The same in place of what is in `scores`.
    ///
    /// # Errors
    /// A failure of the network.
    pub fn scores_into(&mut self, users: &[u32], items: &[u32], scores: &mut Vec<f32>) -> Result<()> {
        self.sums(users, items, scores)?;
        if let Some((lo, hi)) = self.embeddings.parts.range {
            all_in_range(self.level, scores, lo, hi);
        }
        Ok(())
    }

    /// The end of a classifier.
    pub fn classes(&self) -> Option<&Classes> {
        self.embeddings.parts().classes.as_ref()
    }

    /// Calls `each` with every row and the prediction of its pair where both sides are known, else its baseline.
    ///
    /// Memory does not depend on the number of rows.
    ///
    /// # Errors
    /// A failure of the network.
    pub fn judge<'r, T>(
        &mut self,
        rows: &'r [T],
        pair: impl Fn(&T) -> (Option<UserIdx>, Option<ItemIdx>),
        mut each: impl FnMut(&'r T, Prediction),
    ) -> Result<()> {
        let (mut users, mut items) = (Vec::new(), Vec::new());
        for block in rows.chunks(PAIRS_AT_A_TIME) {
            users.clear();
            items.clear();
            for (user, item) in block.iter().filter_map(|row| both(pair(row))) {
                users.push(user.0);
                items.push(item.0);
            }
            let mut scores = self.scores(&users, &items)?.into_iter();
            for row in block {
                let (user, item) = pair(row);
                let score = both((user, item)).and_then(|_| scores.next());
                let (rating, level) = match (score, self.classes()) {
                    (Some(score), Some(classes)) => (classes.expected(score), Some(classes.most_probable(score))),
                    (Some(score), None) => (score, None),
                    (None, _) => (self.embeddings.baseline(user, item), None),
                };
                each(row, Prediction { rating, level, score });
            }
        }
        Ok(())
    }

    /// `mu + b_u + b_i + interaction` of each pair, in place of what is in `sums`.
    pub(super) fn sums(&mut self, users: &[u32], items: &[u32], sums: &mut Vec<f32>) -> Result<()> {
        let embeddings = &self.embeddings;
        let Parts { users: user_table, items: item_table, .. } = &embeddings.parts;
        let pairs = users.iter().zip(items).map(|(user, item)| (UserIdx(*user), ItemIdx(*item)));
        sums.clear();
        let Some(network) = &mut self.network else {
            sums.resize(users.len().min(items.len()), 0.0);
            dots(self.level, &user_table.factors, users, &item_table.factors, items, user_table.width, sums);
            for (sum, (user, item)) in sums.iter_mut().zip(pairs) {
                *sum += embeddings.own_biases(Some(user), Some(item));
            }
            return Ok(());
        };
        sums.extend(pairs.map(|(user, item)| embeddings.own_biases(Some(user), Some(item))));
        let blocks = users.chunks(PAIRS_AT_A_TIME).zip(items.chunks(PAIRS_AT_A_TIME));
        for ((users, items), sums) in blocks.zip(sums.chunks_mut(PAIRS_AT_A_TIME)) {
            self.user_rows.clear();
            self.item_rows.clear();
            users.iter().for_each(|user| self.user_rows.extend_from_slice(embeddings.user_factors(UserIdx(*user))));
            items.iter().for_each(|item| self.item_rows.extend_from_slice(embeddings.item_factors(ItemIdx(*item))));
            let outputs = network.run(&self.user_rows, &self.item_rows)?;
            sums.iter_mut().zip(outputs).for_each(|(sum, output)| *sum += output);
        }
        Ok(())
    }
}

/// A pair of which both sides are known.
fn both((user, item): (Option<UserIdx>, Option<ItemIdx>)) -> Option<(UserIdx, ItemIdx)> {
    user.zip(item)
}

#[cfg(test)]
mod tests {
    use super::super::tests::parts;
    use super::super::{Baseline, Layer, Layers, Parts, Scored};
    use super::*;

    const USERS: [UserIdx; 2] = [UserIdx(0), UserIdx(1)];

    fn predictor(change: impl FnOnce(&mut Parts)) -> Predictor {
        let mut parts = parts();
        change(&mut parts);
        Predictor::new(Arc::new(Embeddings::new(parts).unwrap()), None).unwrap()
    }

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    fn assert_near(actual: f32, expected: f64) {
        assert!((f64::from(actual) - expected).abs() < 1e-6, "{actual} is not {expected}");
    }

    fn judged(model: &mut Predictor, pairs: &[(Option<UserIdx>, Option<ItemIdx>)]) -> Vec<Prediction> {
        let mut predictions = Vec::new();
        model.judge(pairs, |pair| *pair, |_, prediction| predictions.push(prediction)).unwrap();
        predictions
    }

    fn indices(scored: &[Scored]) -> Vec<u32> {
        scored.iter().map(|scored| scored.index).collect()
    }

    #[test]
    fn predictions_follow_the_formula() {
        // 0.5 + 0.25 + 0.125 + (0.5 - 0.5) and 0.5 - 0.5 - 0.375 + (-1.5 + 0.25), by hand.
        let with_range = predictor(|_| ()).predict(&[0, 1], &[0, 1]).unwrap();
        assert_near(with_range[0], 0.5 + 5.0 * sigmoid(0.875));
        assert_near(with_range[1], 0.5 + 5.0 * sigmoid(-1.625));
        assert_eq!(predictor(|parts| parts.range = None).predict(&[1], &[1]).unwrap(), [-1.625]);
        let means = Baseline::DampedMeans { mean: 3.0, users: vec![0.0; 2], items: vec![0.0; 3] };
        let mut user_bias_only = predictor(|parts| {
            (parts.range, parts.items.biases, parts.baseline) = (None, None, means);
        });
        assert_eq!(user_bias_only.predict(&[1], &[1]).unwrap(), [-1.25]);
    }

    #[test]
    fn a_classifier_expects_what_its_probabilities_say() {
        let classes = Classes::new(vec![1.0, 3.0], vec![-1.0, 1.0], vec![0.5, 0.0]).unwrap();
        let mut model = predictor(|parts| (parts.range, parts.classes) = (None, Some(classes)));
        // The score is 0.875: the logits are -0.375 and 0.875.
        let upper = sigmoid(1.25);
        assert_near(model.predict(&[0], &[0]).unwrap()[0], 1.0 + 2.0 * upper);
        assert_eq!(model.scores(&[0], &[0]).unwrap(), [0.875]);
        let judged = judged(&mut model, &[(Some(UserIdx(0)), Some(ItemIdx(0))), (None, Some(ItemIdx(0)))]);
        assert_eq!((judged[0].level, judged[1].level), (Some(3.0), None));
        assert_eq!((judged[0].score, judged[1].score), (Some(0.875), None));
        assert_eq!(indices(&model.recommend(UserIdx(1), 3, &[]).unwrap()), [0, 2, 1]);
    }

    #[test]
    fn pairs_with_an_unknown_side_have_the_baseline() {
        let mut model = predictor(|_| ());
        let embeddings = Arc::clone(&model.embeddings);
        let pairs = [(None, Some(ItemIdx(2))), (Some(UserIdx(1)), Some(ItemIdx(1))), (None, None)];
        let judged = judged(&mut model, &pairs);
        assert_eq!(judged[0].rating, embeddings.baseline(None, Some(ItemIdx(2))));
        assert_eq!(judged[1].rating, model.predict(&[1], &[1]).unwrap()[0]);
        assert_eq!(judged[2].rating, embeddings.baseline(None, None));
    }

    #[test]
    fn many_rows_keep_their_predictions_where_some_are_unknown() {
        let mut model = predictor(|_| ());
        let rows: Vec<u32> = (0..5000).collect();
        let pair = |row: &u32| (Some(UserIdx(row % 2)), (!row.is_multiple_of(7)).then_some(ItemIdx(row % 3)));
        let mut found = Vec::new();
        model.judge(&rows, pair, |row, prediction| found.push((*row, prediction.rating))).unwrap();
        let expected = rows.iter().map(|row| {
            let (user, item) = pair(row);
            let rating = match item {
                Some(item) => model.predict(&[row % 2], &[item.0]).unwrap()[0],
                None => model.embeddings.baseline(user, item),
            };
            (*row, rating)
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    /// One layer that adds up all that goes in, and counts the pairs of each call.
    struct Adder(Arc<std::sync::Mutex<Vec<usize>>>);

    impl Network for Adder {
        fn run(&mut self, user_rows: &[f32], item_rows: &[f32]) -> Result<Vec<f32>> {
            self.0.lock().unwrap().push(user_rows.len() / 2);
            let rows = user_rows.chunks(2).zip(item_rows.chunks(3));
            Ok(rows.map(|(user, item)| user.iter().chain(item).sum()).collect())
        }
    }

    #[test]
    fn layers_rate_many_pairs_at_a_time() {
        let layers = Layers::new(vec![Layer { weights: vec![1.0; 5], bias: vec![0.0] }]).unwrap();
        let mut parts = parts();
        parts.interaction = Interaction::Layers(layers);
        (parts.items.width, parts.items.factors) = (3, vec![1.0, 0.5, 0.0, -0.75, 1.0, 0.0, 0.0, 0.0, 0.25]);
        parts.range = None;
        let embeddings = Arc::new(Embeddings::new(parts).unwrap());
        assert!(Predictor::new(Arc::clone(&embeddings), None).is_err());
        let calls = Arc::default();
        let mut model = Predictor::new(embeddings, Some(Box::new(Adder(Arc::clone(&calls))))).unwrap();
        // mu + b_u + b_i + all factors
        let expected = [0.5 + 0.25 + 0.125 - 0.5 + 1.5, 0.5 - 0.5 + 1.0 + 2.25 + 0.25];
        assert_eq!(model.predict(&[0, 1], &[0, 2]).unwrap(), expected);
        let many = model.predict(&[0; 5000], &[0; 5000]).unwrap();
        assert!(many.len() == 5000 && many.iter().all(|rating| *rating == expected[0]));
        assert_eq!(*calls.lock().unwrap(), [2, 2048, 2048, 904]);
        assert_eq!(indices(&model.recommend(UserIdx(0), 2, &[2]).unwrap()), [0, 1]);
    }

    #[test]
    fn recommendations_are_the_highest_predictions() {
        let mut model = predictor(|_| ());
        for user in USERS {
            let ratings = model.predict(&[user.0; 3], &[0, 1, 2]).unwrap();
            let mut ratings: Vec<_> = (0..3).zip(ratings).collect();
            ratings.sort_by(|a, b| b.1.total_cmp(&a.1));
            let best = model.recommend(user, 9, &[]).unwrap();
            assert_eq!(best.iter().map(|best| (best.index, best.score)).collect::<Vec<_>>(), ratings);
            assert_eq!(model.recommend(user, 1, &[]).unwrap()[0].index, ratings[0].0);
        }
    }

    #[test]
    fn excluded_items_are_left_out() {
        let mut model = predictor(|_| ());
        let mut best = |k, exclude: &[u32]| indices(&model.recommend(UserIdx(1), k, exclude).unwrap());
        assert_eq!(best(9, &[0, 2]), [1]);
        assert_eq!(best(9, &[1, 7]), [0, 2]);
        assert!(best(9, &[0, 1, 2]).is_empty());
        assert!(best(0, &[]).is_empty());
    }

    #[test]
    fn items_rank_by_the_sum_where_ratings_saturate() {
        let mut model = predictor(|parts| {
            (parts.users.biases, parts.items.biases) = (Some(vec![60.0, 0.0]), Some(vec![1.0, 3.0, 2.0]));
        });
        let best = model.recommend(UserIdx(0), 3, &[]).unwrap();
        assert!(best.iter().all(|best| best.score == 5.5), "{best:?}");
        assert_eq!(indices(&best), [2, 1, 0]);
    }
}
