//! What a training tells of an epoch.

/// One epoch, as a row of `cofi_train` and of `cofi_history`. Losses and scores are in rating units.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: u32,
    /// Mean squared error over the training ratings, each before the step that learned from it.
    pub train_loss: f64,
    /// Scores on the validation rows, where there are any.
    pub valid: Option<ValidScores>,
    /// Wall clock of the epoch, validation included.
    pub seconds: f64,
}

/// Scores on the validation rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValidScores {
    /// Mean squared error, the loss.
    pub loss: f64,
    /// Root mean squared error.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Share of rows for which the nearest observed rating is the right one; absent where ratings are a continuum.
    pub accuracy: Option<f64>,
}
