//! How a model is learned: options become a checked configuration, and a configuration with ratings becomes a training.
//!
//! Training drives an [`Engine`](crate::graph::Engine) and does not know which one: who starts it chooses.

mod config;
mod fit;
mod options;
mod report;
mod scale;
mod schedule;
mod table;
mod valley;
mod value;

pub use config::TrainConfig;
pub use fit::Training;
pub use options::{Options, RangeOption};
pub use report::{EpochReport, ValidScores};
pub use schedule::{Schedule, StepSettings};
pub use table::{Kind, N_FACTORS, OPTIONS, OptionRow};
pub use valley::valley;
pub use value::OptionValue;
