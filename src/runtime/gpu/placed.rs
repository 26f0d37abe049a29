//! Whether all that a training computes has a place on a GPU: asked of ONNX Runtime for a step of each kind.

use crate::error::Result;
use crate::graph::optimiser::{Optimiser, Reach, Rule};
use crate::model::{Architecture, Biases, Mlp, Model, Objective, StepOptions, training_step};
use crate::runtime::library::Library;
use crate::runtime::provider::Device;
use crate::runtime::session::{OnnxEngine, Operators};

/// Ratings of a step; others are computed by the same operators.
const BATCH: usize = 64;

/// Makes sure that no node of a training is computed elsewhere, asked of four kinds with AdamW: product of factors with either reach, layers, classifier.
/// Of weights, penalties and the other optimisers `runtime/placement/tests.rs` knows by CUDA's published kernels.
///
/// # Errors
/// The first kind of which one is, by its name, and the node as ONNX Runtime names it.
pub fn check_placement(library: &'static Library, device: Device) -> Result<()> {
    let engine = OnnxEngine::new(library, device, 1, Operators::Stock)?;
    let mlp = || Architecture::Mlp(Mlp { hidden: vec![8, 4], dropout: 0.0 });
    let classes = Objective::CrossEntropy { n_classes: 5 };
    for (name, architecture, objective, reach) in [
        ("dot", Architecture::Dot, Objective::MeanSquaredError, Reach::EveryRow),
        ("dot, rows of the batch", Architecture::Dot, Objective::MeanSquaredError, Reach::BatchRows),
        ("mlp", mlp(), Objective::MeanSquaredError, Reach::EveryRow),
        ("classifier", Architecture::Dot, classes, Reach::EveryRow),
    ] {
        let model = Model {
            n_users: 16,
            n_items: 12,
            user_width: 8,
            item_width: 8,
            architecture,
            biases: Biases::Both,
            mu: 0.5,
            range: Some((0.5, 5.5)),
            objective,
        };
        let optimiser = Optimiser { rule: Rule::AdamW { beta2: 0.99, eps: 1e-5 }, weight_decay: 0.2, reach };
        let options = StepOptions { l2: 0.0, is_weighted: false, accumulates: false };
        let step = training_step(&model, &optimiser, options)?;
        engine.check_placement(&step, BATCH).map_err(|error| error.context(name))?;
    }
    Ok(())
}
