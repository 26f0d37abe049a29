//! Stored tables that somebody edited: a model that is read from them answers everything with finite numbers in their order, or is refused.

use std::sync::Arc;

use cofi::error::{Error, Result};
use cofi::ids::{IdKind, ItemIdx, UserIdx, Vocabulary};
use cofi::ratings::Seen;
use cofi::score::{Embeddings, Interaction, Layers, Network, Predictor, Scored, principal_components};
use cofi::store::{LayerRows, ModelRows, ModelVersion, SideRows, StoredModel, push_seen};
use cofi::train::Spec;

use super::bytes::Bytes;
use super::tables::{Tables, printable};

/// One input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut tables = Tables::as_written(&mut bytes);
    let mut n_edits = 0;
    while !bytes.is_empty() && n_edits < 12 {
        tables.edit(&mut bytes);
        n_edits += 1;
    }
    match read(&tables) {
        Ok(model) => answers(&model),
        Err(error) => {
            printable(&error);
            assert!(n_edits > 0, "refused as it was written: {error}");
        }
    }
}

/// As `store/load.rs` reads a model, with the tables in place of a database.
fn read(tables: &Tables) -> Result<StoredModel> {
    let spec = Spec::from_json(&tables.spec)?;
    let side = |name: &str, width: usize, rows: &[arrow::array::RecordBatch]| {
        let mut side = SideRows::new(name.to_owned(), tables.kind(), width);
        rows.iter().try_for_each(|batch| side.push(batch)).map(|()| side)
    };
    let users = side("users_1", spec.user_width, &tables.users.batches())?;
    let items = side("items_1", spec.item_width, &tables.items.batches())?;
    let mut layers = LayerRows::default();
    if LayerRows::are_there(&spec) {
        tables.layers_batches().iter().try_for_each(|batch| layers.push(batch))?;
    }
    let range = match (tables.lo, tables.hi) {
        (Some(lo), Some(hi)) => Some((lo, hi)),
        (None, None) => None,
        _ => return Err(Error::new("only one of lo and hi is NULL")),
    };
    let version = ModelVersion { id: 1, created_at: 0 };
    let rows = ModelRows { version, spec, mean: tables.mean, mu: tables.mu, range, users, items, layers };
    rows.into_model(|seen| tables.seen_batches().iter().try_for_each(|batch| push_seen(batch, seen)))
}

/// Asks a model everything that SQL can ask.
fn answers(model: &StoredModel) {
    let (n_users, n_items) = (model.users.len() as u32, model.items.len() as u32);
    are_ids(&model.users);
    are_ids(&model.items);
    assert_eq!((model.user_counts.len(), model.item_counts.len()), (n_users as usize, n_items as usize));
    are_seen(&model.seen, n_users, n_items);
    let embeddings = &model.embeddings;
    let sides = |n: u32| (0..n).map(Some).chain([None]);
    for user in sides(n_users) {
        for item in sides(n_items) {
            let baseline = embeddings.baseline(user.map(UserIdx), item.map(ItemIdx));
            assert!(baseline.is_finite(), "baseline of {user:?} and {item:?}: {baseline}");
        }
    }
    are_ranked(&embeddings.best_liked(10), n_items);
    let every_item: Vec<_> = (0..n_items).map(ItemIdx).collect();
    for (item, similar) in embeddings.similar_items(&every_item, 10).iter().enumerate() {
        are_similar(similar, item, n_items);
    }
    let every_user: Vec<_> = (0..n_users).map(UserIdx).collect();
    for (user, similar) in embeddings.similar_users(&every_user, 10).iter().enumerate() {
        are_similar(similar, user, n_users);
    }
    predicts(model, &every_user);
    let parts = embeddings.parts();
    if let Ok(components) = principal_components(&parts.items.factors, parts.items.width, 2.min(parts.items.width)) {
        assert!(components.scores.iter().all(|score| score.is_finite()), "{:?}", components.scores);
        assert!(components.explained.iter().all(|share| share.is_finite()), "{:?}", components.explained);
    }
}

fn predicts(model: &StoredModel, users: &[UserIdx]) {
    let embeddings = &model.embeddings;
    let network: Option<Box<dyn Network>> = match &embeddings.parts().interaction {
        Interaction::Dot => None,
        Interaction::Layers(layers) => Some(Box::new(Plain(layers.clone(), Arc::clone(embeddings)))),
    };
    let n_items = model.items.len() as u32;
    let mut predictor = Predictor::new(Arc::clone(embeddings), network).unwrap();
    let of_user = |user: UserIdx| (vec![user.0; n_items as usize], (0..n_items).collect::<Vec<_>>());
    for user in users {
        let (users, items) = of_user(*user);
        let (ratings, scores) = (predictor.predict(&users, &items).unwrap(), predictor.scores(&users, &items).unwrap());
        assert!(ratings.iter().chain(&scores).all(|number| number.is_finite()), "{ratings:?} of {scores:?}");
        if let Some((lo, hi)) = embeddings.parts().range {
            // An end may be missed by the rounding of the span.
            let slack = (hi.abs() + lo.abs()) * f32::EPSILON;
            assert!(
                scores.iter().all(|score| *score >= lo - slack && *score <= hi + slack),
                "{scores:?} in {lo} to {hi}"
            );
        }
        if let Some(classes) = embeddings.parts().classes.as_ref() {
            let (low, high) = (classes.values()[0], classes.values()[classes.values().len() - 1]);
            let mut shares = vec![0.0; classes.values().len()];
            for (score, rating) in scores.iter().zip(&ratings) {
                classes.probabilities(*score, &mut shares);
                let sum: f32 = shares.iter().sum();
                assert!((sum - 1.0).abs() < 1e-4, "{shares:?}");
                assert!(*rating >= low && *rating <= high, "{rating} in {low} to {high}");
                assert!(classes.values().contains(&classes.most_probable(*score)));
                assert!((0..shares.len()).all(|class| classes.log_probability(*score, class) <= 0.0));
            }
        }
        let seen = model.seen.items(*user);
        let best = predictor.recommend(*user, 10, seen).unwrap();
        are_ranked(&best, n_items);
        assert!(best.iter().all(|best| !seen.contains(&best.index)));
        assert_eq!(best.len(), (n_items as usize - seen.len()).min(10));
    }
    let all = predictor.recommend_each(users, 3, &|user| model.seen.items(user)).unwrap();
    all.iter().for_each(|best| are_ranked(best, n_items));
}

fn are_ids(vocabulary: &Vocabulary) {
    for index in 0..vocabulary.len() as u32 {
        let id = vocabulary.id(index).unwrap();
        assert_eq!(vocabulary.get(id), Some(index), "{id:?}");
        assert!(matches!(vocabulary.kind(), IdKind::Integer | IdKind::Text));
    }
    assert_eq!(vocabulary.id(vocabulary.len() as u32), None);
}

fn are_seen(seen: &Seen, n_users: u32, n_items: u32) {
    assert_eq!(seen.pairs().count(), seen.len());
    assert!(seen.pairs().is_sorted_by(|one, next| one < next));
    assert!(seen.pairs().all(|(user, item)| user < n_users && item < n_items));
    assert!(seen.items(UserIdx(n_users)).is_empty());
}

fn are_ranked(best: &[Scored], n_items: u32) {
    assert!(best.iter().all(|best| best.score.is_finite() && best.index < n_items), "{best:?}");
    assert!(best.is_sorted_by(|one, next| one.score >= next.score), "{best:?}");
    let mut items: Vec<_> = best.iter().map(|best| best.index).collect();
    items.sort_unstable();
    items.dedup();
    assert_eq!(items.len(), best.len(), "{best:?}");
}

fn are_similar(similar: &[Scored], own: usize, n_rows: u32) {
    are_ranked(similar, n_rows);
    assert!(similar.iter().all(|other| other.index as usize != own && other.score.abs() <= 1.0 + 1e-5), "{similar:?}");
    assert_eq!(similar.len(), (n_rows as usize - 1).min(10));
}

/// Layers by their formula.
struct Plain(Layers, Arc<Embeddings>);

impl Network for Plain {
    fn run(&mut self, user_rows: &[f32], item_rows: &[f32]) -> Result<Vec<f32>> {
        let (users, items) = (self.1.parts().users.width, self.1.parts().items.width);
        let pairs = user_rows.chunks_exact(users).zip(item_rows.chunks_exact(items));
        Ok(pairs.map(|(user, item)| self.of_pair([user, item].concat())).collect())
    }
}

impl Plain {
    fn of_pair(&self, mut values: Vec<f32>) -> f32 {
        for (number, layer) in self.0.all().iter().enumerate() {
            let unit = |unit: usize| {
                let weights = layer.weights.iter().skip(unit).step_by(layer.n_outputs());
                values.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f32>() + layer.bias[unit]
            };
            let units: Vec<f32> = (0..layer.n_outputs()).map(unit).collect();
            let is_last = number + 1 == self.0.all().len();
            values = units.into_iter().map(|unit| if is_last { unit } else { unit.max(0.0) }).collect();
        }
        values[0]
    }
}
