//! Options through the checks of their table.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::train::table::{Kind, N_FACTORS, OPTIONS};
use crate::train::value::OptionValue;

/// Options on their way into a checked configuration.
pub struct Options {
    given: BTreeMap<&'static str, OptionValue>,
}

impl Options {
    /// Options by name; all names are those of [`OPTIONS`] or [`N_FACTORS`].
    pub fn new(given: BTreeMap<&'static str, OptionValue>) -> Self {
        Self { given }
    }

    /// A whole number.
    pub fn whole(&mut self, name: &'static str) -> Result<i64> {
        self.take(name, |kind, value| match (kind, value) {
            (Kind::Whole(low, high), OptionValue::Integer(whole)) => (low..=high).contains(&whole).then_some(*whole),
            _ => None,
        })
    }

    /// A whole number, or `None` for `'auto'`.
    pub fn whole_or_auto(&mut self, name: &'static str) -> Result<Option<i64>> {
        self.take(name, |kind, value| match (kind, value) {
            (Kind::WholeOrAuto(..), OptionValue::Text(word)) if word == "auto" => Some(None),
            (Kind::WholeOrAuto(low, high), OptionValue::Integer(whole)) => {
                (low..=high).contains(&whole).then_some(Some(*whole))
            }
            _ => None,
        })
    }

    /// A number.
    pub fn real(&mut self, name: &'static str) -> Result<f64> {
        self.take(name, |kind, value| {
            let real = value.as_real()?;
            let fits = match kind {
                Kind::Real(low, high) => real >= *low && real <= *high,
                Kind::Positive(low, high) => real > *low && real <= *high,
                Kind::Below(low, high) => real >= *low && real < *high,
                _ => false,
            };
            fits.then_some(real)
        })
    }

    /// A truth value.
    pub fn boolean(&mut self, name: &'static str) -> Result<bool> {
        self.take(name, |_, value| match value {
            OptionValue::Boolean(value) => Some(*value),
            _ => None,
        })
    }

    /// One of the option's words.
    pub fn word(&mut self, name: &'static str) -> Result<String> {
        self.take(name, |kind, value| match (kind, value) {
            (Kind::Word(words), OptionValue::Text(word)) => words.contains(&word.as_str()).then(|| word.clone()),
            _ => None,
        })
    }

    /// Text.
    pub fn text(&mut self, name: &'static str) -> Result<String> {
        self.take(name, |_, value| match value {
            OptionValue::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// Text, or `None` for NULL.
    pub fn optional_text(&mut self, name: &'static str) -> Result<Option<String>> {
        self.take(name, |_, value| match value {
            OptionValue::Text(text) => Some(Some(text.clone())),
            OptionValue::Null => Some(None),
            _ => None,
        })
    }

    /// `[beta1, beta2]`.
    pub fn betas(&mut self, name: &'static str) -> Result<(f64, f64)> {
        self.take(name, |_, value| {
            let (first, second) = pair(value)?;
            let fits = |beta: f64| (0.0..1.0).contains(&beta);
            (fits(first) && fits(second)).then_some((first, second))
        })
    }

    /// The interval of predictions.
    pub fn range(&mut self, name: &'static str) -> Result<RangeOption> {
        self.take(name, |_, value| match value {
            OptionValue::Null => Some(RangeOption::Off),
            OptionValue::Text(word) if word == "auto" => Some(RangeOption::Auto),
            other => {
                let (low, high) = pair(other)?;
                let fits = low < high
                    && (high - low).is_finite()
                    && low.abs() <= f64::from(f32::MAX)
                    && high.abs() <= f64::from(f32::MAX);
                fits.then_some(RangeOption::Fixed(low, high))
            }
        })
    }

    /// Takes an option's value, or its default, through `check`.
    fn take<T>(&mut self, name: &'static str, check: impl Fn(&Kind, &OptionValue) -> Option<T>) -> Result<T> {
        let row = OPTIONS
            .iter()
            .chain([&N_FACTORS])
            .find(|row| row.name == name)
            .ok_or_else(|| Error::new(format!("there is no option {name}")))?;
        let value = match self.given.remove(name) {
            Some(value) => value,
            None => parse_default(row.default),
        };
        check(&row.kind, &value).ok_or_else(|| {
            Error::argument(name, value, row.kind, &format!("leave it out for the default, {}", row.default))
        })
    }
}

/// The option `y_range`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RangeOption {
    /// The observed scale, padded.
    Auto,
    /// No range.
    Off,
    /// From the first to the second.
    Fixed(f64, f64),
}

/// Both numbers of a list of two.
fn pair(value: &OptionValue) -> Option<(f64, f64)> {
    match value {
        OptionValue::List(values) => match values.as_slice() {
            [first, second] => Some((first.as_real()?, second.as_real()?)),
            _ => None,
        },
        _ => None,
    }
}

/// A default of the table as a value: the little SQL that the table uses.
fn parse_default(text: &str) -> OptionValue {
    if let Some(word) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return OptionValue::Text(word.to_owned());
    }
    if let Some(list) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return OptionValue::List(list.split(", ").map(parse_default).collect());
    }
    match (text, text.parse::<i64>(), text.parse::<f64>()) {
        ("NULL", ..) => OptionValue::Null,
        ("true" | "false", ..) => OptionValue::Boolean(text == "true"),
        (_, Ok(whole), _) => OptionValue::Integer(whole),
        (_, _, Ok(real)) => OptionValue::Real(real),
        _ => OptionValue::Other(text.to_owned()),
    }
}
