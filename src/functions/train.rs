//! `cofi_train(ratings, n_factors, ...)`: trains a model and stores it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::host::{Chunk, Type};
use crate::functions::progress::Progress;
use crate::functions::request::{Begun, Request};
use crate::functions::table::{Call, Cell, Column, Execution, Rows, TableFunction};
use crate::graph::optimiser::Reach;
use crate::store::{ModelVersion, NewModel, Store, save_model};
use crate::train::{EpochReport, OPTIONS};

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

impl TableFunction for Train {
    const NAME: &'static str = "cofi_train";
    const POSITIONAL: &'static [&'static str] = &["ratings", "n_factors"];

    fn named() -> Vec<&'static str> {
        OPTIONS.iter().map(|row| row.name).collect()
    }

    fn bind(call: &Call<'_>, arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let request = Request::read(call, arguments)?;
        request.check_store(call)?;
        Ok((Self { request: Arc::new(request) }, EPOCH_COLUMNS.to_vec()))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        Ok(Box::new(TrainRows { request: Arc::clone(&self.request), call, running: None, is_done: false }))
    }
}

/// One execution.
struct TrainRows {
    request: Arc<Request>,
    call: Execution,
    running: Option<Running>,
    is_done: bool,
}

struct Running {
    begun: Begun,
    /// The model that had the name when the training began.
    replaces: Option<ModelVersion>,
    device: String,
    history: Vec<EpochReport>,
    n_returned: usize,
    progress: Progress,
}

impl Rows for TrainRows {
    fn next(&mut self, chunk: &mut Chunk) -> Result<()> {
        if self.is_done {
            return Ok(());
        }
        self.call.database.check_pulse()?;
        let started = Instant::now();
        let running = match &mut self.running {
            Some(running) => running,
            None => self.running.insert(Running::begin(&self.request, &self.call)?),
        };
        while !running.begun.training.is_done() && running.history.len() - running.n_returned < Chunk::capacity() {
            let Begun { training, memory, .. } = &mut running.begun;
            let report = training.epoch().map_err(|error| memory.explain(error))?;
            running.progress.show(&report);
            running.history.push(report);
            if started.elapsed() >= CALL_LENGTH {
                break;
            }
        }
        if running.begun.training.is_done() {
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

impl Running {
    fn begin(request: &Request, call: &Execution) -> Result<Self> {
        let replaces = stored_now(request, call)?;
        let begun = request.begin(call)?;
        let progress = Progress::new(request.show_progress, request.config.epochs, begun.dataset.train.len());
        Ok(Self { device: begun.device.to_string(), begun, replaces, history: Vec::new(), n_returned: 0, progress })
    }
}

/// The model that has the name.
fn stored_now(request: &Request, call: &Execution) -> Result<Option<ModelVersion>> {
    let session = call.database.reading(call.caller.connection_id)?;
    session.use_search_path(&call.caller.search_path)?;
    let store = Store::for_model(&session, &request.model)?;
    store.find_readable(&session, &request.model.name)
}

fn save(request: &Request, call: &Execution, running: &Running) -> Result<()> {
    let Begun { training, dataset, library, memory, .. } = &running.begun;
    let embeddings = training.embeddings().map_err(|error| memory.explain(error))?;
    let model = NewModel {
        spec: &request.spec(training),
        replaces: running.replaces,
        dataset,
        embeddings: &embeddings,
        history: &running.history,
        stored_epoch: training.stored_epoch(),
        seed: request.config.seed,
        device: &running.device,
        operators: training.operators(),
        updates: match training.reach() {
            Reach::EveryRow => "dense",
            Reach::BatchRows => "sparse",
        },
        onnxruntime_version: library.version(),
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
        valid.and_then(|valid| valid.loss).into(),
        valid.map(|valid| valid.rmse).into(),
        valid.map(|valid| valid.mae).into(),
        valid.and_then(|valid| valid.accuracy).into(),
        Cell::Double(report.seconds),
        Cell::from(device),
    ]
}
