//! A trained model in pictures: one HTML file that fetches nothing and runs nothing.
//!
//! Data in, text out. Owns what the pictures look like, not where their numbers come from. Numbers that are not finite are
//! left out, and the captions say how many; texts may hold anything.

pub mod axis;
mod bias;
mod confusion;
mod errors;
mod loss;
mod map;
mod page;
pub mod palette;
pub mod place;
mod plot;
pub mod svg;
pub mod text;

use page::Figure;

/// What is to be shown of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Its name.
    pub model: String,
    /// Names and values of what describes it: ratings, users, items, loss, seed, scores.
    pub facts: Vec<(String, String)>,
    /// The losses by epoch, ascending.
    pub epochs: Vec<EpochPoint>,
    /// The unit of the losses: "squared rating units", "nats".
    pub loss_unit: String,
    /// The confusion matrix, of ratings with few levels.
    pub confusion: Option<ConfusionPicture>,
    /// The item factors in two dimensions.
    pub map: Option<ItemMap>,
    /// The ends of the ranking by bias.
    pub biases: Option<BiasPicture>,
    /// The errors of predictions by actual rating, ascending.
    pub errors_by_rating: Option<Vec<RatingError>>,
}

/// The losses of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochPoint {
    /// Counted from 1.
    pub epoch: u32,
    /// On the training ratings.
    pub train_loss: f64,
    /// On the validation ratings, where there are any.
    pub valid_loss: Option<f64>,
}

/// How often which rating was predicted as which, `C` by `C`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusionPicture {
    /// The distinct ratings, ascending, `C` of them, 2 to 20.
    pub levels: Vec<f32>,
    /// Numbers of ratings, row by row: a row is an actual level, a column a predicted one.
    pub counts: Vec<u64>,
}

/// Items by the first two principal components of their factors.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemMap {
    /// The items. The 60 most rated ones get names, the next ones, up to 500 in all, small dots.
    pub points: Vec<MapPoint>,
    /// The shares of the variance of the factors that both components hold, 0 to 1.
    pub explained: [f64; 2],
}

/// An item on the map.
#[derive(Clone, Debug, PartialEq)]
pub struct MapPoint {
    /// Its title, or its id.
    pub label: String,
    /// First principal component.
    pub x: f64,
    /// Second principal component.
    pub y: f64,
    /// How often it was rated.
    pub n_ratings: u64,
}

/// The items with the highest and the lowest bias; up to 10 of each are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct BiasPicture {
    /// Titles and biases, the highest first.
    pub best: Vec<(String, f32)>,
    /// Titles and biases, so that the lowest comes last.
    pub worst: Vec<(String, f32)>,
    /// The unit of the biases: "rating units", or "before the range" where a sigmoid follows.
    pub unit: String,
    /// What a bar is, a sentence.
    pub meaning: String,
}

/// How far predictions of one rating value are off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatingError {
    /// The rating.
    pub rating: f32,
    /// How many such ratings were predicted.
    pub n: u64,
    /// Mean of prediction minus rating, in rating units.
    pub mean_error: f64,
    /// Mean of its magnitude, in rating units.
    pub mae: f64,
}

/// The whole file. The same report gives the same text, byte for byte.
pub fn html(report: &Report) -> String {
    let figures = [
        Figure { id: "loss", subject: "Loss by epoch", content: loss::draw(&report.epochs, &report.loss_unit) },
        Figure { id: "errors", subject: "Errors by rating", content: errors::draw(report.errors_by_rating.as_deref()) },
        Figure { id: "map", subject: "Map of items", content: map::draw(report.map.as_ref()) },
        Figure { id: "confusion", subject: "Confusion matrix", content: confusion::draw(report.confusion.as_ref()) },
        Figure { id: "bias", subject: "Best and worst items by bias", content: bias::draw(report.biases.as_ref()) },
    ];
    page::page(&report.model, &report.facts, &figures)
}
