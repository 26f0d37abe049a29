//! A model beside the simplest things that could stand in its place, on ratings of anybody's choice.

use std::collections::{BTreeMap, HashSet};

use crate::error::Result;
use crate::ids::{ItemIdx, UserIdx};
use crate::metrics::{Judged, Ranking, RankingTotals, Scores, Tally};
use crate::ratings::{MeasuredItem, MeasuredRating, Seen};
use crate::score::{Embeddings, Prediction, Predictor, most_rated};

/// What is compared: the model; the mean of its training ratings; what is known of each side on its own; for rankings, the items
/// with the most training ratings.
pub const CONTENDERS: [&str; 4] = ["model", "global_mean", "biases", "popular"];

/// A metric of each of the [`CONTENDERS`]; absent where it does not apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name; of a ranking metric with `@k` behind it.
    pub name: String,
    /// Its values.
    pub values: [Option<f64>; 4],
    /// Who is best, several where they are equal; absent where nothing is better or worse.
    pub winner: Option<String>,
}

/// What is known of a model besides how it predicts.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its numbers.
    pub embeddings: &'a Embeddings,
    /// The mean of its training ratings.
    pub mean: f64,
    /// The distinct ratings that it was trained on, where they are few.
    pub levels: Option<&'a [f32]>,
    /// The number of training ratings of each item, `[I]`.
    pub item_counts: &'a [u32],
    /// What each user has rated.
    pub seen: &'a Seen,
}

/// Which rankings are judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankingOptions {
    /// Items that are recommended to each user.
    pub k: usize,
    /// Ratings from which on an item is relevant; `None`: all that are rated.
    pub relevant_from: Option<f64>,
}

/// Rating metrics over all rows, those with an unknown side by the model's baseline; none where there are no rows.
///
/// # Errors
/// A failure of the predictor's network.
pub fn rating_metrics(predictor: &mut Predictor, subject: Subject<'_>, rows: &[MeasuredRating]) -> Result<Vec<Metric>> {
    let [mut model, mut mean, mut biases] = [Tally::new(subject.levels); 3];
    let mut n_known = 0;
    predictor.judge(
        rows,
        |row| (row.user, row.item.known()),
        |row, Prediction { rating, level, score }| {
            model.add(Judged { rating: row.value, prediction: rating, level });
            n_known += usize::from(score.is_some());
        },
    )?;
    for row in rows {
        let plain = |prediction| Judged { rating: row.value, prediction, level: None };
        mean.add(plain(subject.mean as f32));
        biases.add(plain(subject.embeddings.baseline(row.user, row.item.known())));
    }
    let [Some(model), Some(mean), Some(biases)] = [model, mean, biases].map(|tally| tally.scores()) else {
        return Ok(Vec::new());
    };
    let metric = |name: &str, of: &dyn Fn(&Scores) -> Option<f64>, better: Better| {
        Metric::new(name, [of(&model), of(&mean), of(&biases), None], better)
    };
    let mut metrics = vec![
        metric("n", &|scores| Some(scores.n as f64), Better::Neither),
        metric("mse", &|scores| Some(scores.mse), Better::Lower),
        metric("rmse", &|scores| Some(scores.rmse()), Better::Lower),
        metric("mae", &|scores| Some(scores.mae), Better::Lower),
        metric("accuracy", &|scores| scores.accuracy, Better::Higher),
    ];
    let coverage = n_known as f64 / rows.len() as f64;
    metrics.push(Metric::new("coverage", [Some(coverage), Some(1.0), Some(1.0), None], Better::Neither));
    Ok(metrics)
}

/// Ranking metrics, means over the users that the model knows and that have a relevant item among the rows. To each user all items are
/// recommended but those that the user has rated and that are not among the rows. A relevant item that the model does not know
/// cannot be found.
///
/// Formulas and sources: [`Ranking`].
///
/// # Errors
/// A failure of the predictor's network.
pub fn ranking_metrics(
    predictor: &mut Predictor,
    subject: Subject<'_>,
    rows: &[MeasuredRating],
    options: RankingOptions,
) -> Result<Vec<Metric>> {
    let n_items = subject.item_counts.len();
    let by_baseline: Vec<u32> = subject.embeddings.best_liked(n_items).iter().map(|item| item.index).collect();
    let by_count = most_rated(subject.item_counts);

    let mut totals: [_; 3] = std::array::from_fn(|_| RankingTotals::new(options.k));
    for (user, of_user) in by_user(rows) {
        let relevant: HashSet<MeasuredItem> = of_user.relevant(options.relevant_from);
        let excluded: Vec<u32> = excluded(subject.seen.items(user), &of_user);
        let best = |order: &[u32]| -> Vec<MeasuredItem> {
            let left = order.iter().filter(|item| excluded.binary_search(item).is_err());
            left.take(options.k).map(|item| MeasuredItem::Known(ItemIdx(*item))).collect()
        };
        if relevant.is_empty() {
            continue;
        }
        let recommended = predictor.recommend(user, options.k, &excluded)?;
        let recommended: Vec<MeasuredItem> =
            recommended.iter().map(|item| MeasuredItem::Known(ItemIdx(item.index))).collect();
        totals[0].add(&recommended, &relevant);
        totals[1].add(&best(&by_baseline), &relevant);
        totals[2].add(&best(&by_count), &relevant);
    }
    let means = totals.each_ref().map(RankingTotals::means);
    let metric = |name: &str, of: fn(&Ranking) -> f64| {
        let [model, biases, popular] = means.each_ref().map(|means| means.as_ref().map(of));
        Metric::new(&format!("{name}@{}", options.k), [model, None, biases, popular], Better::Higher)
    };
    let n_users = totals[0].n_users() as f64;
    let [model, biases, popular] = totals.each_ref().map(|totals| totals.coverage(n_items));
    let name = format!("item_coverage@{}", options.k);
    Ok(vec![
        Metric::new("n_users", [Some(n_users), None, Some(n_users), Some(n_users)], Better::Neither),
        metric("precision", |means| means.precision),
        metric("recall", |means| means.recall),
        metric("ndcg", |means| means.ndcg),
        metric("map", |means| means.map),
        metric("hit_rate", |means| means.hit_rate),
        Metric::new(&name, [model, None, biases, popular], Better::Higher),
    ])
}

#[derive(Clone, Copy, PartialEq)]
enum Better {
    Lower,
    Higher,
    Neither,
}

impl Metric {
    fn new(name: &str, values: [Option<f64>; 4], better: Better) -> Self {
        let known = values.iter().flatten().copied();
        let best = match better {
            Better::Lower => known.reduce(f64::min),
            Better::Higher => known.reduce(f64::max),
            Better::Neither => None,
        };
        let winners = CONTENDERS.iter().zip(&values).filter(|(_, value)| best.is_some() && **value == best);
        let winners: Vec<&str> = winners.map(|(contender, _)| *contender).collect();
        Self { name: name.to_owned(), values, winner: (!winners.is_empty()).then(|| winners.join(", ")) }
    }
}

/// The rows of one user: item and rating.
#[derive(Default)]
struct OfUser(Vec<(MeasuredItem, f32)>);

impl OfUser {
    fn relevant(&self, from: Option<f64>) -> HashSet<MeasuredItem> {
        // Compared as the ratings are kept: a rating of 0.7 reaches 0.7.
        let is_relevant = |rating: f32| from.is_none_or(|from| rating >= from as f32);
        self.0.iter().filter(|(_, rating)| is_relevant(*rating)).map(|(item, _)| *item).collect()
    }
}

/// The rows of each known user, in the order of their indices.
fn by_user(rows: &[MeasuredRating]) -> BTreeMap<UserIdx, OfUser> {
    let mut users: BTreeMap<UserIdx, OfUser> = BTreeMap::new();
    for row in rows {
        if let Some(user) = row.user {
            users.entry(user).or_default().0.push((row.item, row.value));
        }
    }
    users
}

/// What a user has rated, ascending, without the items of the rows.
fn excluded(seen: &[u32], of_user: &OfUser) -> Vec<u32> {
    let asked: HashSet<MeasuredItem> = of_user.0.iter().map(|(item, _)| *item).collect();
    seen.iter().copied().filter(|item| !asked.contains(&MeasuredItem::Known(ItemIdx(*item)))).collect()
}
