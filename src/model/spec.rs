//! What is stored of a model besides its numbers: enough to train it again, as JSON.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a model was made. Field names are part of the stored format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The formula of the prediction: `dot`.
    pub architecture: String,
    /// What training minimised: `mse`.
    pub loss: String,
    /// How: `adamw`.
    pub optimizer: String,
    /// `K`, the latent factors of each user and item.
    pub n_factors: usize,
    /// Whether each user and item has a bias.
    pub bias: bool,
    /// Whether `mu` was set so that the untrained model predicts the mean.
    pub mean: bool,
    /// The interval that was asked for, in rating units; absent where it was `'auto'` or switched off.
    pub y_range: Option<(f64, f64)>,
    /// Passes over the training ratings.
    pub epochs: u32,
    /// The highest step size.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Ratings a step, as it was chosen.
    pub batch_size: usize,
    /// `one_cycle` or `constant`.
    pub schedule: String,
    /// Decay of Adam's moments.
    pub betas: (f64, f64),
    /// Adam's epsilon.
    pub eps: f64,
    /// Standard deviation of the initial factors and biases.
    pub init_std: f64,
    /// The share of ratings held out.
    pub validation_fraction: f64,
    /// The ratings as the caller named them.
    pub ratings: String,
    /// The separate validation ratings, as the caller named them.
    pub validation: Option<String>,
    /// The columns of user, item and rating.
    pub columns: (String, String, String),
}

impl Spec {
    /// The stored form.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::new("the model's spec could not be written").with_source(error))
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// Text that is not such JSON: somebody edited it.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            Error::new("the stored spec is not one that cofi wrote; train the model again").with_source(error)
        })
    }
}
