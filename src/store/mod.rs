//! How models are kept: ordinary tables in the schema `cofi_store` of the database that is current at training.
//!
//! The database is the only state. What is kept in the process is a copy, checked whenever a statement begins.

mod cache;
mod columns;
mod connections;
mod drop;
mod exit;
mod helper;
mod layers;
mod list;
mod load;
mod measured;
mod model;
mod names;
mod pulse;
mod save;
mod schema;
mod session;
mod source;
mod stored;
mod threads;
mod titles;
mod worker;

pub use columns::{NamedColumns, SourceColumns};
pub use connections::{Database, KEEP_CONNECTION, Kept};
pub use drop::drop_model;
pub use list::{list_history, list_models};
pub use measured::{MeasuredRows, read_measured};
pub use model::{Side, StoredModel};
pub use names::{ModelName, TableName, quote_identifier};
pub use save::{NewModel, save_model};
pub use schema::{ModelVersion, Store};
pub use session::{Session, Transaction, host_version, is_missing, text};
pub use source::{Relation, Source, id_type};
pub use stored::{LayerRows, ModelRows, SideRows, push_seen};
pub use threads::Threads;
pub use titles::Titles;
