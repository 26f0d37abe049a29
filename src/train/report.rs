//! What a training tells of an epoch.

/// One epoch, as a row of `cofi_train` and of `cofi_history`. Scores and squared losses are in rating units, cross-entropy in nats.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: u32,
    /// What is minimised, penalties included, over the training ratings, each before the step that learned from it.
    pub train_loss: f64,
    /// Scores on the validation rows, where there are any.
    pub valid: Option<ValidScores>,
    /// Wall clock of the epoch, validation included.
    pub seconds: f64,
}

/// Scores on the validation rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValidScores {
    /// What is minimised, without penalties; of a classifier absent where no row's rating is a class.
    pub loss: Option<f64>,
    /// Root mean squared error.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Share of rows for which the nearest observed rating, of a classifier the most probable one, is right; absent where
    /// ratings are a continuum.
    pub accuracy: Option<f64>,
}
