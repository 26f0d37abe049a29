//! A value as the caller gave it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{number, quoted, shown};

/// A value as the caller gave it, before anybody has looked whether it fits. In JSON it is what it is there: null, a truth value,
/// a number, text or a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OptionValue {
    /// NULL.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<OptionValue>),
    /// Anything else, as text: no option takes it.
    Other(String),
}

impl OptionValue {
    /// The value as a number, where it is one.
    pub fn as_real(&self) -> Option<f64> {
        match self {
            OptionValue::Integer(whole) => Some(*whole as f64),
            OptionValue::Real(real) => Some(*real),
            _ => None,
        }
    }
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionValue::Null => f.write_str("NULL"),
            OptionValue::Boolean(value) => write!(f, "{value}"),
            OptionValue::Integer(value) => write!(f, "{value}"),
            OptionValue::Real(value) => f.write_str(&number(*value)),
            OptionValue::Text(value) => f.write_str(&quoted(value)),
            OptionValue::List(values) => {
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            OptionValue::Other(value) => f.write_str(&shown(value)),
        }
    }
}
