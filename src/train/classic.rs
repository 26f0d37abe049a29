//! What the optimiser `classic_sgd` can be combined with.

use crate::error::{Error, Result};
use crate::graph::optimiser::Rule;
use crate::train::config::{BatchSize, Loss, TrainConfig, Updates};

/// Refuses options that a step of a single rating has no room for.
///
/// # Errors
/// The first such option.
pub(super) fn check(config: &TrainConfig) -> Result<()> {
    if config.optimiser.rule != Rule::Classic {
        return Ok(());
    }
    let refused = |option: &str, value: String, allowed: &str, way_out: &str| {
        let allowed = format!("{allowed} with optimizer := 'classic_sgd', which learns from one rating at a time");
        Err(Error::argument(option, value, allowed, way_out))
    };
    let another_rule = "leave it out, or take another optimizer";
    match config.batch_size {
        BatchSize::Auto | BatchSize::Fixed(1) => {}
        BatchSize::Full => return refused("batch_size", "'full'".to_owned(), "'auto' or 1", another_rule),
        BatchSize::Fixed(size) => return refused("batch_size", size.to_string(), "'auto' or 1", another_rule),
    }
    if config.accumulate > 1 {
        return refused("accumulate", config.accumulate.to_string(), "1", another_rule);
    }
    if config.l2 > 0.0 {
        return refused("l2", config.l2.to_string(), "0", "give weight_decay, or take another optimizer");
    }
    if config.mlp.is_some() {
        return refused("architecture", "'mlp'".to_owned(), "'dot'", "take another optimizer");
    }
    if config.loss == Loss::CrossEntropy {
        return refused("loss", "'cross_entropy'".to_owned(), "'mse' or 'half_sse'", "take another optimizer");
    }
    if config.updates == Updates::Dense {
        return refused("updates", "'dense'".to_owned(), "'auto' or 'sparse'", another_rule);
    }
    Ok(())
}
