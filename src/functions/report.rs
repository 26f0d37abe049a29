//! `cofi_report(model, path, ...)`: a model in pictures, as one file.

use std::collections::HashMap;

use duckdb::types::Value;

use crate::error::{Error, Result};
use crate::functions::arguments::Arguments;
use crate::functions::files::OutputFile;
use crate::functions::host::Type;
use crate::functions::prediction::predictor_of;
use crate::functions::relation::{Purpose, find, resolve};
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction};
use crate::ids::Id;
use crate::metrics::{Confusion, Judged, Scores};
use crate::ratings::{MeasuredRating, Split};
use crate::report::text::count;
use crate::report::{
    BiasPicture, ConfusionPicture, EpochPoint, ItemMap, MapPoint, RatingError, Report as Pictures, html,
};
use crate::runtime::Wanted;
use crate::score::{Baseline, Prediction, most_rated, principal_components};
use crate::store::{
    MeasuredRows, ModelName, NamedColumns, Relation, Session, Source, StoredModel, Titles, list_history, read_measured,
};
use crate::train::OptionValue;

/// The columns of the answer.
const COLUMNS: [Column; 2] = [("path", Type::Varchar), ("bytes", Type::Bigint)];

/// Items on the map.
const MOST_POINTS: usize = 500;

/// Items at each end of the ranking by bias.
const MOST_BIASES: usize = 10;

/// The most rating values that a confusion matrix and the errors are drawn for.
const MOST_LEVELS: usize = 20;

/// A page with the pictures of a model.
pub struct Report {
    model: ModelName,
    file: OutputFile,
    titles: Option<Titles>,
    ratings: Option<Source>,
    /// The setting `cofi_onnxruntime`.
    library: Option<String>,
}

impl TableFunction for Report {
    const NAME: &'static str = "cofi_report";
    const POSITIONAL: &'static [&'static str] = &["model", "path"];

    fn named() -> Vec<&'static str> {
        vec!["titles", "ratings"]
    }

    fn bind(call: &Call<'_>, mut arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let model = ModelName::parse(&arguments.positional_text("model")?)?;
        let file = OutputFile::new(call, arguments.positional_text("path")?)?;
        let (titles, ratings) = (arguments.named_text("titles")?, arguments.named_text("ratings")?);
        let session = call.database.training(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        let titles = match titles {
            Some(text) => Some(find(call, &session, "titles", &text, |relation| Titles::resolve(&session, relation))?),
            None => None,
        };
        let columns = NamedColumns::default();
        let ratings = match ratings {
            Some(text) => Some(resolve(call, &session, "ratings", &text, &columns, Purpose::Measuring)?),
            None => None,
        };
        let library = call.context.library();
        Ok((Self { model, file, titles, ratings, library }, COLUMNS.to_vec()))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let page = html(&self.pictures(&call)?);
        self.file.write(&call, page.as_bytes())?;
        let row = vec![Cell::from(self.file.path()), Cell::Bigint(page.len() as i64)];
        Ok(Cells::rows(&COLUMNS, vec![row]))
    }
}

impl Report {
    fn pictures(&self, call: &Execution) -> Result<Pictures> {
        let model = call.database.model(call.caller.connection_id, &call.caller.search_path, &self.model)?;
        let session = call.database.training(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        let titles = match &self.titles {
            Some(titles) => titles.read(&session, &model)?,
            None => HashMap::new(),
        };
        let epochs = epochs(&session, &self.model)?;
        let rows = self.rows(&session, &model)?;
        // Predicting may take long, and a training may be waiting.
        drop(session);
        let judged = judged(&rows, &model, || call.library(self.library.as_deref()))?;
        let names = Names { model: &model, titles };
        let levels = model.spec.levels.as_deref().filter(|levels| (2..=MOST_LEVELS).contains(&levels.len()));
        Ok(Pictures {
            model: self.model.to_string(),
            facts: facts(&model, &judged),
            epochs,
            loss_unit: match model.spec.word("loss") {
                "cross_entropy" => "nats",
                "half_sse" => "half the sum of squared rating units",
                _ => "squared rating units",
            }
            .to_owned(),
            confusion: levels.and_then(|levels| confusion(levels, &judged)),
            map: map(&names)?,
            biases: biases(&names),
            errors_by_rating: levels.and_then(|levels| errors_by_rating(levels, &judged)),
        })
    }

    /// The ratings that the caller names, or else those that the training held out, where they are still there.
    fn rows(&self, session: &Session, model: &StoredModel) -> Result<Vec<MeasuredRating>> {
        match &self.ratings {
            Some(source) => read_measured(session, source, MeasuredRows::All, model),
            // The table may be gone since, or changed: then there is nothing to judge by, and the page says so.
            None => held_out(session, model).or_else(|error| match error.is_given_up() {
                true => Err(error),
                false => Ok(Vec::new()),
            }),
        }
    }
}

fn judged(
    rows: &[MeasuredRating],
    model: &StoredModel,
    wanted: impl FnOnce() -> Result<Wanted>,
) -> Result<Vec<Judged>> {
    let mut judged = Vec::with_capacity(rows.len());
    predictor_of(model, wanted)?.judge(
        rows,
        |row| (row.user, row.item.known()),
        |row, Prediction { rating, level, .. }| {
            judged.push(Judged { rating: row.value, prediction: rating, level });
        },
    )?;
    Ok(judged)
}

/// The ratings that the training of a model held out, read again.
fn held_out(session: &Session, model: &StoredModel) -> Result<Vec<MeasuredRating>> {
    let spec = &model.spec;
    session.use_place(&spec.place)?;
    let column = |role: &str| spec.columns.get(role).cloned();
    let columns = NamedColumns {
        user: column("user"),
        item: column("item"),
        rating: column("rating"),
        weight: column("weight"),
        time: column("time"),
    };
    if !spec.word("validation").is_empty() {
        let relation = Relation::parse("validation", spec.word("validation"))?;
        let source = Source::resolve_to_measure(session, "validation", relation, &columns)?;
        return read_measured(session, &source, MeasuredRows::All, model);
    }
    let fraction = spec.options.get("validation_fraction").and_then(OptionValue::as_real).unwrap_or(0.0);
    let seed = match spec.options.get("seed") {
        Some(OptionValue::Integer(seed)) => *seed as u64,
        _ => return Err(Error::new("the stored spec has no seed")),
    };
    let rows = match columns.time {
        Some(_) => MeasuredRows::Latest(fraction),
        None => MeasuredRows::HeldOut(Split::Pairs { fraction, seed }),
    };
    if fraction <= 0.0 {
        return Ok(Vec::new());
    }
    let source = Source::resolve(session, "ratings", Relation::parse("ratings", &spec.ratings)?, &columns)?;
    read_measured(session, &source, rows, model)
}

/// What items are called.
struct Names<'a> {
    model: &'a StoredModel,
    titles: HashMap<u32, String>,
}

impl Names<'_> {
    fn of(&self, item: u32) -> String {
        match (self.titles.get(&item), self.model.items.id(item)) {
            (Some(title), _) => title.clone(),
            (None, Some(Id::Integer(id))) => id.to_string(),
            (None, Some(Id::Text(id))) => id.to_owned(),
            (None, None) => String::new(),
        }
    }
}

fn epochs(session: &Session, model: &ModelName) -> Result<Vec<EpochPoint>> {
    let rows = list_history(session, model)?;
    let point = |row: &Vec<Value>| match row.as_slice() {
        [Value::Int(epoch), Value::Double(train_loss), valid_loss, ..] => Some(EpochPoint {
            epoch: u32::try_from(*epoch).ok()?,
            train_loss: *train_loss,
            valid_loss: match valid_loss {
                Value::Double(loss) => Some(*loss),
                _ => None,
            },
        }),
        _ => None,
    };
    Ok(rows.iter().filter_map(point).collect())
}

fn facts(model: &StoredModel, judged: &[Judged]) -> Vec<(String, String)> {
    let spec = &model.spec;
    let n_ratings: u64 = model.user_counts.iter().map(|count| u64::from(*count)).sum();
    let factors = match (spec.user_width, spec.item_width) {
        (users, items) if users == items => users.to_string(),
        (users, items) => format!("{users} for users, {items} for items"),
    };
    let mut facts = vec![
        ("Training ratings", count(n_ratings)),
        ("Users", count(model.users.len() as u64)),
        ("Items", count(model.items.len() as u64)),
        ("Architecture", spec.word("architecture").to_owned()),
        ("Loss", spec.word("loss").replace('_', " ")),
        ("Optimizer", spec.word("optimizer").to_owned()),
        ("Factors", factors),
    ];
    if let Some(seed) = spec.options.get("seed") {
        facts.push(("Seed", seed.to_string()));
    }
    if let Some(scores) = Scores::of(judged.iter().copied(), spec.levels.as_deref()) {
        facts.push(("Ratings judged", count(scores.n as u64)));
        facts.push(("RMSE", format!("{:.4}", scores.rmse())));
        facts.push(("MAE", format!("{:.4}", scores.mae)));
        if let Some(accuracy) = scores.accuracy {
            facts.push(("Accuracy", format!("{:.1} %", 100.0 * accuracy)));
        }
    }
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn confusion(levels: &[f32], judged: &[Judged]) -> Option<ConfusionPicture> {
    let mut counts = Confusion::new(levels);
    let known = judged.iter().filter(|judged| levels.contains(&judged.rating));
    let n_counted = known.filter(|judged| counts.add(**judged)).count();
    let counts = counts.cells().map(|cell| cell.n).collect();
    (n_counted > 0).then(|| ConfusionPicture { levels: levels.to_vec(), counts })
}

fn errors_by_rating(levels: &[f32], judged: &[Judged]) -> Option<Vec<RatingError>> {
    let errors = levels.iter().filter_map(|level| {
        let errors: Vec<f64> = judged
            .iter()
            .filter(|judged| judged.rating == *level)
            .map(|judged| f64::from(judged.prediction) - f64::from(judged.rating))
            .collect();
        let n = errors.len() as f64;
        (!errors.is_empty()).then(|| RatingError {
            rating: *level,
            n: errors.len() as u64,
            mean_error: errors.iter().sum::<f64>() / n,
            mae: errors.iter().map(|error| error.abs()).sum::<f64>() / n,
        })
    });
    let errors: Vec<_> = errors.collect();
    (!errors.is_empty()).then_some(errors)
}

/// The most rated items on their first two principal components.
fn map(names: &Names<'_>) -> Result<Option<ItemMap>> {
    let table = &names.model.embeddings.parts().items;
    if table.width < 2 {
        return Ok(None);
    }
    let counts = &names.model.item_counts;
    let mut items = most_rated(counts);
    items.truncate(MOST_POINTS);
    let components = principal_components(&table.factors_of(&items), table.width, 2)?;
    let points = items.iter().zip(components.scores.chunks_exact(2)).map(|(item, scores)| MapPoint {
        label: names.of(*item),
        x: f64::from(scores[0]),
        y: f64::from(scores[1]),
        n_ratings: u64::from(counts[*item as usize]),
    });
    Ok(Some(ItemMap { points: points.collect(), explained: [components.explained[0], components.explained[1]] }))
}

/// The ends of the ranking of items by bias; where the model has none, by the deviation of their ratings.
fn biases(names: &Names<'_>) -> Option<BiasPicture> {
    let parts = names.model.embeddings.parts();
    let added = "A bar is what the model adds to every prediction of the item, whoever the user is.";
    let (biases, unit, meaning) = match (&parts.items.biases, &parts.baseline) {
        (Some(biases), _) if parts.range.is_some() => (biases, "before the range", added),
        (Some(biases), _) => (biases, "rating units", added),
        (None, Baseline::DampedMeans { items, .. }) => (
            items,
            "rating units",
            "The model has no item biases: a bar is how far the item's ratings are from the mean, drawn towards it where they are few.",
        ),
        (None, Baseline::OwnBiases) => return None,
    };
    let mut order: Vec<u32> = (0..biases.len() as u32).collect();
    order.sort_by(|a, b| biases[*b as usize].total_cmp(&biases[*a as usize]).then(a.cmp(b)));
    let named = |item: &u32| (names.of(*item), biases[*item as usize]);
    let best: Vec<_> = order.iter().take(MOST_BIASES).map(named).collect();
    let n_worst = MOST_BIASES.min(order.len() - best.len());
    let worst = order[order.len() - n_worst..].iter().map(named).collect();
    Some(BiasPicture { best, worst, unit: unit.to_owned(), meaning: meaning.to_owned() })
}
