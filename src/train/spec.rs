//! What is stored of a model besides its numbers: enough to train it again, and to continue it, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::train::value::OptionValue;

/// How a model was made. Field names are part of the stored format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Every option by its name, with the value that it had.
    #[serde(flatten)]
    pub options: BTreeMap<String, OptionValue>,
    /// The ratings as the caller named them.
    pub ratings: String,
    /// The database and schema in which that name was looked up.
    pub place: (String, String),
    /// The columns that were read, by role: `user`, `item`, `rating`, and `weight` and `time` where there are such.
    pub columns: BTreeMap<String, String>,
    /// Ratings a step, as it was chosen.
    pub ratings_per_step: usize,
    /// `Ku`, the factors of each user.
    pub user_width: usize,
    /// `Ki`, the factors of each item.
    pub item_width: usize,
    /// The lowest rating that was observed.
    pub lowest: f32,
    /// The highest.
    pub highest: f32,
    /// The distinct ratings, ascending, where they are few; the classes of a classifier.
    pub levels: Option<Vec<f32>>,
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

    /// The value of an option that is text; empty where it is something else.
    pub fn word(&self, option: &str) -> &str {
        match self.options.get(option) {
            Some(OptionValue::Text(word)) => word,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_read_back_as_it_was() {
        let options = [
            ("epochs", OptionValue::Integer(5)),
            ("l2", OptionValue::Real(1.0)),
            // One that a quick parser reads one bit off.
            ("init_std", OptionValue::Real(3.909149582643822e-308)),
            ("learning_rate", OptionValue::Real(0.1 + 0.2)),
            ("seed", OptionValue::Integer(i64::MAX)),
            ("loss", OptionValue::Text("mse".to_owned())),
            ("y_range", OptionValue::List(vec![OptionValue::Integer(0), OptionValue::Real(5.5)])),
            ("validation", OptionValue::Null),
            ("bias", OptionValue::Boolean(true)),
        ];
        let spec = Spec {
            options: options.map(|(name, value)| (name.to_owned(), value)).into(),
            ratings: "ratings".to_owned(),
            place: ("memory".to_owned(), "main".to_owned()),
            columns: [("user".to_owned(), "u".to_owned())].into(),
            ratings_per_step: 64,
            user_width: 50,
            item_width: 50,
            lowest: 0.1,
            highest: f32::MAX,
            levels: Some(vec![0.1, 1.0 / 3.0]),
        };
        let json = spec.to_json().unwrap();
        assert_eq!(Spec::from_json(&json).unwrap(), spec);
        assert!(
            json.starts_with(r#"{"bias":true,"epochs":5,"init_std":3.909149582643822e-308,"l2":1.0,"learning_rate":0.30000000000000004,"loss":"mse","#),
            "{json}"
        );
        assert!(Spec::from_json("{}").is_err());
        assert_eq!((spec.word("loss"), spec.word("epochs")), ("mse", ""));
    }
}
