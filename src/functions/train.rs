//! `cofi_train(ratings, n_factors, ...)`: trains a model and stores it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result, quoted};
use crate::functions::arguments::Arguments;
use crate::functions::caller::Visibility;
use crate::functions::host::{Chunk, Type};
use crate::functions::progress::Progress;
use crate::functions::table::{Call, Cell, Column, Execution, Rows, TableFunction};
use crate::model::Spec;
use crate::ratings::{Dataset, DatasetBuilder, Split};
use crate::runtime::{DeviceRequest, Library, OnnxEngine};
use crate::score::Embeddings;
use crate::store::{ModelName, NamedColumns, NewModel, Relation, Session, Source, Store, is_missing, save_model};
use crate::train::{EpochReport, OPTIONS, OptionValue, Options, RangeOption, Schedule, TrainConfig, Training};

/// A call trains until an epoch is done and this long has passed, and then returns the rows so far: a short training is
/// whole after the first call, a long one can be cancelled between calls.
const CALL_LENGTH: Duration = Duration::from_secs(2);

/// The columns of a training's rows and of its history.
pub const EPOCH_COLUMNS: [Column; 8] = [
    ("epoch", Type::Integer),
    ("train_loss", Type::Double),
    ("valid_loss", Type::Double),
    ("rmse", Type::Double),
    ("mae", Type::Double),
    ("accuracy", Type::Double),
    ("seconds", Type::Double),
    ("device", Type::Varchar),
];

/// One bound call: everything is checked, nothing is read.
pub struct Train {
    request: Arc<Request>,
}

struct Request {
    config: TrainConfig,
    model: ModelName,
    ratings: Source,
    ratings_text: String,
    validation: Option<(Source, String)>,
    validation_fraction: f64,
    device: DeviceRequest,
    /// The setting `cofi_onnxruntime`.
    library: Option<String>,
    /// The setting `threads`.
    threads: usize,
    /// The setting `enable_progress_bar`.
    show_progress: bool,
}

impl TableFunction for Train {
    const NAME: &'static str = "cofi_train";
    const POSITIONAL: &'static [&'static str] = &["ratings", "n_factors"];

    fn named() -> Vec<&'static str> {
        OPTIONS.iter().map(|row| row.name).collect()
    }

    fn bind(call: &Call<'_>, arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let request = Request::read(call, arguments)?;
        Ok((Self { request: Arc::new(request) }, EPOCH_COLUMNS.to_vec()))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        Ok(Box::new(TrainRows { request: Arc::clone(&self.request), call, running: None, is_done: false }))
    }
}

impl Request {
    fn read(call: &Call<'_>, mut arguments: Arguments) -> Result<Self> {
        let ratings_text = arguments.positional_text("ratings")?;
        let n_factors = arguments.positional("n_factors");
        let mut given = arguments.into_named();
        if n_factors != OptionValue::Null {
            given.insert("n_factors", n_factors);
        }
        let mut options = Options::new(given);
        let config = TrainConfig::take(&mut options)?;
        let validation_fraction = options.real("validation_fraction")?;
        let model = ModelName::parse(&options.text("model")?)?;
        let device = options.text("device")?.parse()?;
        let validation_text = options.optional_text("validation")?;
        let columns = NamedColumns {
            user: options.optional_text("user_col")?,
            item: options.optional_text("item_col")?,
            rating: options.optional_text("rating_col")?,
            weight: None,
            time: None,
        };
        let session = call.database.training(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        let ratings = resolve(call, &session, "ratings", &ratings_text, &columns)?;
        let validation = match validation_text {
            Some(text) => Some((resolve(call, &session, "validation", &text, &columns)?, text)),
            None => None,
        };
        let store = Store::for_model(&session, &model)?;
        if session.attached(store.database())?.is_read_only {
            return Err(Error::new(format!(
                "database '{}' is read-only: a model cannot be stored there; open it for writing, or name another attached database \
                 with model := 'database.name'",
                store.database()
            )));
        }
        let threads = call.context.setting("threads").and_then(|threads| threads.parse().ok()).unwrap_or(1);
        Ok(Self {
            config,
            model,
            ratings,
            ratings_text,
            validation_fraction: if validation.is_some() { 0.0 } else { validation_fraction },
            validation,
            device,
            library: call.context.setting("cofi_onnxruntime").filter(|path| !path.is_empty()),
            threads,
            show_progress: call.context.setting("enable_progress_bar").is_some_and(|setting| setting == "true"),
        })
    }

    /// Reads the ratings, all columns in one pass.
    fn read_ratings(&self, session: &Session) -> Result<Dataset> {
        let (user_kind, item_kind) = (self.ratings.user_kind, self.ratings.item_kind);
        let split = Split::Pairs { fraction: self.validation_fraction, seed: self.config.seed };
        let mut builder = DatasetBuilder::new(user_kind, item_kind, split);
        session.stream(&self.ratings.to_sql(user_kind, item_kind, None), |batch| builder.push(batch))?;
        if let Some((validation, _)) = &self.validation {
            session.stream(&validation.to_sql(user_kind, item_kind, None), |batch| builder.push_validation(batch))?;
        }
        let dataset = builder.finish()?;
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

    fn spec(&self, batch_size: usize) -> Spec {
        let (config, columns) = (&self.config, &self.ratings.columns);
        Spec {
            architecture: "dot".to_owned(),
            loss: "mse".to_owned(),
            optimizer: "adamw".to_owned(),
            n_factors: config.n_factors,
            bias: config.bias,
            mean: config.mean,
            y_range: match config.y_range {
                RangeOption::Fixed(lo, hi) => Some((lo, hi)),
                RangeOption::Auto | RangeOption::Off => None,
            },
            epochs: config.epochs,
            learning_rate: config.learning_rate,
            weight_decay: config.weight_decay,
            batch_size,
            schedule: match config.schedule {
                Schedule::OneCycle => "one_cycle",
                Schedule::Constant => "constant",
            }
            .to_owned(),
            betas: config.betas,
            eps: config.eps,
            init_std: config.init_std,
            validation_fraction: self.validation_fraction,
            ratings: self.ratings_text.clone(),
            validation: self.validation.as_ref().map(|(_, text)| text.clone()),
            columns: (columns.user.clone(), columns.item.clone(), columns.rating.clone()),
        }
    }
}

/// Finds a relation, or says why the one that the caller may see cannot be read.
fn resolve(call: &Call<'_>, session: &Session, argument: &str, text: &str, columns: &NamedColumns) -> Result<Source> {
    let relation = Relation::parse(argument, text)?;
    let Relation::Named(name) = &relation else {
        return Source::resolve(session, argument, relation, columns);
    };
    let name = name.clone();
    let place = session.current_place()?;
    let visible = call.context.look_up(&name, &place);
    if visible == Some(Visibility::Temporary) {
        return Err(Error::new(format!(
            "{argument} = '{name}': a temporary table or view cannot be read: cofi reads through a connection of its own, which does not \
             see it; make it a permanent one (CREATE TABLE ... AS FROM {name}), drop it if it only hides one of that name, or give its \
             query in parentheses"
        )));
    }
    Source::resolve(session, argument, relation, columns).map_err(|error| match (is_missing(&error), visible) {
        (true, Some(_)) if !session.knows(name.table()).unwrap_or(true) => Error::new(format!(
            "{argument} = '{name}': the table was created by this transaction, which is not yet committed: cofi reads through a \
             connection of its own, which does not see it; COMMIT first"
        )),
        (true, None) => Error::new(format!("{argument} = '{name}': there is no such table or view")).with_source(error),
        // A view over a table that is gone, say, in the host's own words.
        (true, Some(_)) => error.context(format_args!("{argument} = '{name}'")),
        (false, _) => error,
    })
}

/// One execution.
struct TrainRows {
    request: Arc<Request>,
    call: Execution,
    running: Option<Running>,
    is_done: bool,
}

struct Running {
    training: Training,
    dataset: Arc<Dataset>,
    device: String,
    library: &'static Library,
    history: Vec<EpochReport>,
    n_returned: usize,
    progress: Progress,
}

impl Rows for TrainRows {
    fn next(&mut self, chunk: &mut Chunk) -> Result<()> {
        if self.is_done {
            return Ok(());
        }
        let started = Instant::now();
        let running = match &mut self.running {
            Some(running) => running,
            None => self.running.insert(begin(&self.request, &self.call)?),
        };
        while !running.training.is_done() && running.history.len() - running.n_returned < Chunk::capacity() {
            let report = running.training.epoch()?;
            running.progress.show(&report);
            running.history.push(report);
            if started.elapsed() >= CALL_LENGTH {
                break;
            }
        }
        if running.training.is_done() {
            running.progress.clear();
            save(&self.request, &self.call, running)?;
            self.is_done = true;
        }
        let unseen = &running.history[running.n_returned..];
        for (row, report) in unseen.iter().enumerate() {
            for (column, cell) in cells(report, &running.device).iter().enumerate() {
                cell.write(&EPOCH_COLUMNS[column].1, chunk.column(column), row)?;
            }
        }
        chunk.set_len(unseen.len());
        running.n_returned = running.history.len();
        if self.is_done {
            // The ratings and the session are not needed while the last rows are read.
            self.running = None;
        }
        Ok(())
    }
}

fn begin(request: &Request, call: &Execution) -> Result<Running> {
    let library = Library::load(request.library.as_deref())?;
    let device = request.device.resolve(library)?;
    let dataset = {
        let session = call.database.training(call.caller.connection_id)?;
        session.use_search_path(&call.caller.search_path)?;
        Arc::new(request.read_ratings(&session)?)
    };
    let engine = OnnxEngine::new(library, device, request.threads)?;
    let training = Training::new(request.config.clone(), Arc::clone(&dataset), &engine)?;
    let progress = Progress::new(request.show_progress, request.config.epochs, dataset.train.len());
    Ok(Running { training, dataset, device: device.to_string(), library, history: Vec::new(), n_returned: 0, progress })
}

fn save(request: &Request, call: &Execution, running: &Running) -> Result<()> {
    let embeddings: Embeddings = running.training.embeddings()?;
    let spec = request.spec(running.training.batch_size());
    let model = NewModel {
        spec: &spec,
        dataset: &running.dataset,
        embeddings: &embeddings,
        history: &running.history,
        seed: request.config.seed,
        device: &running.device,
        onnxruntime_version: running.library.version(),
    };
    let session = call.database.training(call.caller.connection_id)?;
    session.use_search_path(&call.caller.search_path)?;
    let store = Store::for_model(&session, &request.model)?;
    save_model(&session, &store, &request.model.name, &model)?;
    call.database.cache().forget(&store, &request.model.name);
    Ok(())
}

fn cells(report: &EpochReport, device: &str) -> [Cell; EPOCH_COLUMNS.len()] {
    let valid = report.valid;
    [
        Cell::Integer(report.epoch as i32),
        Cell::Double(report.train_loss),
        valid.map(|valid| valid.loss).into(),
        valid.map(|valid| valid.rmse).into(),
        valid.map(|valid| valid.mae).into(),
        valid.and_then(|valid| valid.accuracy).into(),
        Cell::Double(report.seconds),
        Cell::from(device),
    ]
}
