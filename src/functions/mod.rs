//! How cofi is called: one SQL function, one file, each a set of parsed arguments and what is done with them.

mod arguments;
mod baseline;
mod caller;
mod confusion;
mod drop;
mod entities;
mod evaluate;
mod export;
mod factors;
mod files;
mod history;
mod host;
mod info;
mod look_up;
mod lr_find;
mod measured;
mod models;
mod options;
mod pca;
mod placing;
mod predict;
mod predict_proba;
mod prediction;
mod progress;
mod ranked;
mod read;
mod recommend;
mod recommend_all;
mod relation;
mod report;
mod request;
mod scalar;
mod similar;
mod table;
mod train;

use std::sync::Arc;

use duckdb::ffi;

use crate::error::Result;
use crate::store::Database;

pub use host::{c_string, contain};

/// Makes every function of cofi known to the host.
///
/// # Errors
/// A function that the host refuses.
pub fn register(connection: ffi::duckdb_connection, database: &Arc<Database>) -> Result<()> {
    table::register::<train::Train>(connection, database)?;
    scalar::register::<read::Read>(connection, database)?;
    scalar::register::<predict::Predict>(connection, database)?;
    scalar::register::<predict_proba::PredictProba>(connection, database)?;
    scalar::register::<baseline::Baseline>(connection, database)?;
    scalar::register::<similar::Similar>(connection, database)?;
    scalar::register::<similar::SimilarUsers>(connection, database)?;
    scalar::register::<recommend::Recommend>(connection, database)?;
    scalar::register::<factors::UserFactors>(connection, database)?;
    scalar::register::<factors::ItemFactors>(connection, database)?;
    table::register::<recommend_all::RecommendAll>(connection, database)?;
    table::register::<entities::Entities<entities::Users>>(connection, database)?;
    table::register::<entities::Entities<entities::Items>>(connection, database)?;
    table::register::<evaluate::Evaluate>(connection, database)?;
    table::register::<confusion::Confusion>(connection, database)?;
    table::register::<pca::Pca>(connection, database)?;
    table::register::<report::Report>(connection, database)?;
    table::register::<lr_find::LrFind>(connection, database)?;
    table::register::<models::Models>(connection, database)?;
    table::register::<history::History>(connection, database)?;
    table::register::<drop::Drop>(connection, database)?;
    table::register::<export::Export>(connection, database)?;
    table::register::<options::Options>(connection, database)?;
    table::register::<info::Info>(connection, database)
}
