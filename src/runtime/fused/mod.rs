//! The fused CPU operators: a whole training step of a plain factorisation as one node of a model, and what other models do with
//! their tables as two nodes of each ([`tables`]).
//!
//! The operator `FactorisationStep` of the domain `cofi` is registered with a session of its own. What a training owns lies in the
//! layout of [`kernels::factorisation`](crate::kernels::factorisation), not in the shapes of the graph; [`states`] goes between
//! them, so that states have the graph's names and shapes for whoever asks.

mod beside;
mod classic;
mod context;
mod given;
mod operator;
mod past;
mod program;
mod states;
mod tables;

pub use classic::ClassicProgram;
pub use program::FusedProgram;
pub use tables::{Tables, TablesProgram};

use crate::graph::optimiser;
use crate::kernels::factorisation::{Layout, Loss, Memory, Reach};
use crate::model::Objective;
use crate::runtime::recognise::{Factorisation, StepRule};

impl Factorisation {
    fn layout(&self) -> Layout {
        let memory = match self.rule {
            StepRule::Classic => Memory::Nothing,
            StepRule::Sgd => Memory::First,
            StepRule::AdamW | StepRule::Adam => Memory::Both,
        };
        Layout { n_users: self.n_users, n_items: self.n_items, width: self.width, memory }
    }

    fn loss(&self) -> Loss {
        match self.objective {
            Objective::MeanSquaredError | Objective::HalfSquaredSum => Loss::SquaredError,
            Objective::CrossEntropy { n_classes } => Loss::CrossEntropy(n_classes),
        }
    }

    fn reach(&self) -> Reach {
        match self.reach {
            optimiser::Reach::EveryRow => Reach::EveryRow,
            optimiser::Reach::BatchRows => Reach::BatchRows,
        }
    }
}
