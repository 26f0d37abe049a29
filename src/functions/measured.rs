//! What the functions that measure a stored model share: the model, ratings of the caller's choice, and a predictor.

use std::sync::Arc;

use crate::error::{Error, Result, quoted};
use crate::functions::arguments::Arguments;
use crate::functions::prediction::predictor_of;
use crate::functions::relation::{Purpose, resolve};
use crate::functions::table::{Call, Execution};
use crate::ratings::MeasuredRating;
use crate::score::Predictor;
use crate::store::{MeasuredRows, ModelName, NamedColumns, Source, StoredModel, read_measured};

/// The named arguments of a function that measures, without its own.
pub const MEASURED_ARGUMENTS: [&str; 4] = ["model", "user_col", "item_col", "rating_col"];

/// A model and ratings to measure it on, found and not yet read.
pub struct Measured {
    model: ModelName,
    ratings: Source,
    text: String,
    /// The setting `cofi_onnxruntime`.
    library: Option<String>,
}

/// What was found.
pub struct Found {
    /// The model, of one moment.
    pub model: Arc<StoredModel>,
    /// Predicts by it.
    pub predictor: Predictor,
    /// The ratings, at least one.
    pub rows: Vec<MeasuredRating>,
}

impl Measured {
    /// Takes the arguments `ratings` and those of [`MEASURED_ARGUMENTS`].
    ///
    /// # Errors
    /// Ratings that cannot be found.
    pub fn take(call: &Call<'_>, arguments: &mut Arguments) -> Result<Self> {
        let text = arguments.positional_text("ratings")?;
        let model = arguments.model()?;
        let columns = NamedColumns {
            user: arguments.named_text("user_col")?,
            item: arguments.named_text("item_col")?,
            rating: arguments.named_text("rating_col")?,
            ..NamedColumns::default()
        };
        let session = call.database.training(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        let ratings = resolve(call, &session, "ratings", &text, &columns, Purpose::Measuring)?;
        let library = call.context.library();
        Ok(Self { model, ratings, text, library })
    }

    /// Reads the model and the ratings.
    ///
    /// # Errors
    /// A model that is not there; ratings of which none is whole.
    pub fn read(&self, call: &Execution) -> Result<Found> {
        let model = call.database.model(call.caller.connection_id, &call.caller.search_path, &self.model)?;
        let predictor = predictor_of(&model, || call.library(self.library.as_deref()))?;
        let session = call.database.training(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        let rows = read_measured(&session, &self.ratings, MeasuredRows::All, &model)?;
        if rows.is_empty() {
            return Err(Error::argument("ratings", quoted(&self.text), "at least one row without a NULL", ""));
        }
        Ok(Found { model, predictor, rows })
    }
}
