//! What a training is asked for: the arguments of a call, checked; nothing is read of the ratings yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result, quoted};
use crate::functions::arguments::Arguments;
use crate::functions::placing::{Memory, Placed, Placing};
use crate::functions::relation::{Purpose, resolve};
use crate::functions::table::{Call, Execution};
use crate::ratings::{Dataset, DatasetBuilder, Held, Split};
use crate::runtime::{Device, DeviceRequest, Library};
use crate::store::{Database, Kept, ModelName, NamedColumns, Source, Store, Threads};
use crate::train::{Needs, OptionValue, Options, Sizes, Spec, TrainConfig, Training, WarmStart, preset};

/// Bytes that a rating takes at some time, on whichever side it is.
const LEAST_OF_A_RATING: u64 = 12;

/// A training that can be begun any number of times.
pub struct Request {
    /// What the numbers depend on.
    pub config: TrainConfig,
    /// Where the model is stored, and found for a warm start.
    pub model: ModelName,
    /// Whether the stored model is continued.
    warm_start: bool,
    ratings: Source,
    ratings_text: String,
    validation: Option<(Source, String)>,
    validation_fraction: f64,
    device: DeviceRequest,
    /// Every option with its value.
    options: BTreeMap<String, OptionValue>,
    /// The database and schema in which names without them are looked up.
    place: (String, String),
    /// The setting `cofi_onnxruntime`.
    library: Option<String>,
    /// The setting `threads`.
    threads: usize,
    /// The setting `memory_limit` in bytes.
    memory_limit: Option<u64>,
    /// The setting `enable_progress_bar`.
    pub show_progress: bool,
}

/// A training that is ready for its first epoch.
pub struct Begun {
    /// The training.
    pub training: Training,
    /// What it learns from.
    pub dataset: Arc<Dataset>,
    /// Where it computes.
    pub device: Device,
    /// The library that it computes with.
    pub library: &'static Library,
    /// What it needs of the memory there.
    pub memory: Memory,
}

impl Request {
    /// Reads and checks the arguments `ratings`, `n_factors` and the options.
    ///
    /// # Errors
    /// An argument that does not fit, by its name; ratings that cannot be found; a stored model that is not there to be continued.
    pub fn read(call: &Call<'_>, mut arguments: Arguments) -> Result<Self> {
        let ratings_text = arguments.positional_text("ratings")?;
        let n_factors = arguments.positional("n_factors");
        let mut given = arguments.into_named();
        if n_factors != OptionValue::Null {
            given.insert("n_factors", n_factors);
        }
        let mut options = Options::new(given);
        let model = ModelName::parse(&options.text("model")?)?;
        let recipe = options.word_or_null("preset")?;
        let warm_start = options.boolean("warm_start")?;
        match (recipe, warm_start) {
            (Some(name), true) => {
                return Err(Error::argument(
                    "preset",
                    quoted(name),
                    "no recipe beside warm_start := true, which goes on with the stored model's options",
                    "leave one of them out",
                ));
            }
            (Some(name), false) => preset(name).into_iter().for_each(|preset| options.fall_back_on_preset(preset)),
            (None, true) => {
                let stored = call.database.model(call.caller.connection_id, &call.caller.search_path, &model)?;
                options.fall_back_on_stored(stored.spec.options.clone());
                // Another split would validate on what the stored model has learned from.
                for name in ["seed", "time_col", "mean"] {
                    options.expect_unchanged(name, None)?;
                }
                options.expect_unchanged("validation_fraction", Some(&OptionValue::Integer(0)))?;
            }
            (None, false) => {}
        }
        let config = TrainConfig::take(&mut options)?;
        let validation_fraction = options.real("validation_fraction")?;
        let device = options.text("device")?.parse()?;
        let validation_text = options.optional_text("validation")?;
        let columns = NamedColumns {
            user: options.optional_text("user_col")?,
            item: options.optional_text("item_col")?,
            rating: options.optional_text("rating_col")?,
            weight: options.optional_text("weight_col")?,
            time: options.optional_text("time_col")?,
        };
        if let (Some(time), Some(_)) = (&columns.time, &validation_text) {
            return Err(Error::argument(
                "time_col",
                quoted(time),
                "no column where validation names a table: both say what is held out",
                "give one of them, and NULL for the other where a stored model has it",
            ));
        }
        let session = call.database.training(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        let place = session.current_place()?;
        let ratings = resolve(call, &session, "ratings", &ratings_text, &columns, Purpose::Training)?;
        let validation = match validation_text {
            Some(text) => Some((resolve(call, &session, "validation", &text, &columns, Purpose::Measuring)?, text)),
            None => None,
        };
        let threads = call.context.setting("threads").and_then(|threads| threads.parse().ok()).unwrap_or(1);
        Ok(Self {
            config,
            model,
            warm_start,
            ratings,
            ratings_text,
            validation_fraction: if validation.is_some() { 0.0 } else { validation_fraction },
            validation,
            device,
            options: options.taken(),
            place,
            library: call.context.library(),
            threads,
            memory_limit: call.context.memory_limit(),
            show_progress: call.context.setting("enable_progress_bar").is_some_and(|setting| setting == "true"),
        })
    }

    /// Makes sure that a model can be stored.
    ///
    /// # Errors
    /// A database that is not there or read-only.
    pub fn check_store(&self, call: &Call<'_>) -> Result<()> {
        let session = call.database.training(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        Store::writable(&session, &self.model).map(drop)
    }

    /// Loads the library, reads the ratings and compiles the training step.
    ///
    /// # Errors
    /// A device that is not there, ratings that cannot be learned from, a stored model that cannot be continued.
    pub fn begin(&self, call: &Execution) -> Result<Begun> {
        let library = Library::load(&call.library(self.library.as_deref())?)?;
        // One that is named is there, or nothing is read.
        let named = match self.device {
            DeviceRequest::Auto => None,
            named => Some(named.resolve(library)?),
        };
        let stored = match self.warm_start {
            true => Some(call.database.model(call.caller.connection_id, &call.caller.search_path, &self.model)?),
            false => None,
        };
        let warm_start = stored.as_ref().map(|stored| WarmStart {
            users: &stored.users,
            items: &stored.items,
            embeddings: &stored.embeddings,
            observed: (stored.spec.lowest, stored.spec.highest),
        });
        let dataset = {
            let session = call.database.training(call.caller.connection_id)?;
            session.use_search_path(&call.caller.search_path)?;
            Arc::new(self.read_ratings(&call.database, &session)?)
        };
        let (config, threads) = (&self.config, self.threads);
        let placing = Placing { library, threads, config, dataset: &dataset, warm_start: warm_start.as_ref() };
        let Placed { training, device, memory } = placing.begin(named)?;
        Ok(Begun { training, dataset, device, library, memory })
    }

    /// What is stored of a training beside its numbers.
    pub fn spec(&self, training: &Training) -> Spec {
        let columns = &self.ratings.columns;
        let (user_width, item_width) = training.widths();
        let (lowest, highest) = training.observed();
        let by_role = [
            ("user", Some(&columns.user)),
            ("item", Some(&columns.item)),
            ("rating", Some(&columns.rating)),
            ("weight", columns.weight.as_ref()),
            ("time", columns.time.as_ref()),
        ];
        Spec {
            options: self.options.clone(),
            ratings: self.ratings_text.clone(),
            place: self.place.clone(),
            columns: by_role.into_iter().filter_map(|(role, name)| Some((role.to_owned(), name?.clone()))).collect(),
            ratings_per_step: training.batch_size(),
            user_width,
            item_width,
            lowest,
            highest,
            levels: training.levels(),
        }
    }

    /// Reads the ratings, all columns in one pass, as long as the training can fit in `memory_limit`.
    fn read_ratings(&self, database: &Database, session: &Kept<'_>) -> Result<Dataset> {
        let (user_kind, item_kind) = (self.ratings.user_kind, self.ratings.item_kind);
        let by_time = self.ratings.columns.time.is_some() && self.validation_fraction > 0.0;
        let split = match by_time {
            true => Split::Given,
            false => Split::Pairs { fraction: self.validation_fraction, seed: self.config.seed },
        };
        let held_out = by_time.then_some(self.validation_fraction);
        let mut config = self.config.clone();
        if self.warm_start {
            // Where no width is given, the stored one stays, which is not known here.
            config.n_factors.get_or_insert(1);
        }
        let memory_limit = self.memory_limit;
        let fits = move |sizes: Sizes| match memory_limit {
            Some(limit) => Needs::of(&config, sizes).check(limit),
            None => Ok(()),
        };
        // Fewer ratings than these fit whatever else there is.
        let hopeless = self.memory_limit.unwrap_or(u64::MAX) / LEAST_OF_A_RATING;
        if let Some(n_train) = self.ratings.count_if_large(session, hopeless)? {
            fits(Sizes { n_train: n_train as usize, ..Sizes::default() })?;
        }
        let mut builder = DatasetBuilder::new(user_kind, item_kind, split).in_parts(self.threads);
        let watch = {
            let fits = fits.clone();
            move |held: Held| {
                fits(held.into())
                    .map_err(|error| Error::new(format!("{error}; the ratings were not read to their end")))
            }
        };
        let sql = |source: &Source, held_out| {
            let source = source.clone();
            move |number| source.to_bringing_sql(user_kind, item_kind, held_out, number)
        };
        let of_ratings = sql(&self.ratings, held_out);
        builder.read(watch.clone(), |intake| database.bring(session, intake, of_ratings))?;
        if let Some((validation, _)) = &self.validation {
            let of_validation = sql(validation, None);
            builder.read_validation(watch, |intake| database.bring(session, intake, of_validation))?;
        }
        let dataset = builder.finish_on(&Threads(self.threads))?;
        fits(Sizes::of(&dataset))?;
        match &self.validation {
            Some((_, text)) if dataset.valid.is_empty() => Err(Error::argument(
                "validation",
                quoted(text),
                "at least one row without a NULL",
                "leave it out to hold out a fraction",
            )),
            _ => Ok(dataset),
        }
    }
}
