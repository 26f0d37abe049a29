//! How a model is learned: options become a checked configuration, and a configuration with ratings becomes a training.
//!
//! Training drives an [`Engine`](crate::graph::Engine) and does not know which one: who starts it chooses.

mod classic;
mod config;
mod deal;
mod device_memory;
mod feeds;
mod fit;
mod kept;
mod memory;
mod options;
mod pace;
mod plan;
mod presets;
mod rates;
mod report;
mod scale;
mod schedule;
mod sense;
mod spec;
mod states;
mod table;
mod tails;
mod validate;
mod valley;
mod value;

pub use config::{Operators, TrainConfig};
pub use device_memory::{DeviceNeeds, Room};
pub use fit::Training;
pub use memory::{Needs, Sizes, in_units};
pub use options::{OneOf, Options, RangeOption};
pub use pace::{Place, faster_place};
pub use plan::WarmStart;
pub use presets::{PRESETS, Preset, preset};
pub use rates::{Rates, find_rates};
pub use report::{EpochReport, ValidScores};
pub use schedule::{Schedule, StepSettings};
pub use spec::Spec;
pub use table::{Kind, N_FACTORS, OPTIONS, OptionRow};
pub use value::OptionValue;
