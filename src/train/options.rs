//! Options through the checks of their table.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::train::presets::Preset;
use crate::train::table::{Kind, N_FACTORS, OPTIONS};
use crate::train::value::OptionValue;

/// Options on their way into a checked configuration: as given, else as a recipe or a stored model has them, else the default.
pub struct Options {
    given: BTreeMap<&'static str, OptionValue>,
    fallback: BTreeMap<String, OptionValue>,
    taken: BTreeMap<String, OptionValue>,
}

impl Options {
    /// Options by name; all names are those of [`OPTIONS`] or [`N_FACTORS`].
    pub fn new(given: BTreeMap<&'static str, OptionValue>) -> Self {
        Self { given, fallback: BTreeMap::new(), taken: BTreeMap::new() }
    }

    /// From now on an option that is not given has the value of this recipe.
    pub fn fall_back_on_preset(&mut self, preset: &Preset) {
        let defaults = preset.defaults.iter().map(|(name, default)| ((*name).to_owned(), parse_default(default)));
        self.fallback = defaults.collect();
    }

    /// From now on an option that is not given has the value that a stored model was trained with.
    pub fn fall_back_on_stored(&mut self, options: BTreeMap<String, OptionValue>) {
        self.fallback = options;
    }

    /// Makes sure that an option that the caller gave has the value that a stored model was trained with, or `other`.
    ///
    /// # Errors
    /// Another value.
    pub fn expect_unchanged(&self, name: &'static str, other: Option<&OptionValue>) -> Result<()> {
        let (Some(given), Some(stored)) = (self.given.get(name), self.fallback.get(name)) else { return Ok(()) };
        let is_same =
            |value: &OptionValue| given == value || given.as_real().is_some_and(|real| value.as_real() == Some(real));
        if is_same(stored) || other.is_some_and(is_same) {
            return Ok(());
        }
        let allowed = format!("{stored}, which the stored model was trained with");
        Err(Error::argument(name, given, allowed, "leave it out, or train without warm_start"))
    }

    /// Whether the caller gave an option.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Every option that was taken so far, by name, with the value that it has.
    pub fn taken(self) -> BTreeMap<String, OptionValue> {
        self.taken
    }

    /// A whole number.
    pub fn whole(&mut self, name: &'static str) -> Result<i64> {
        self.take(name, |kind, value| match (kind, value) {
            (Kind::Whole(low, high), OptionValue::Integer(whole)) => (low..=high).contains(&whole).then_some(*whole),
            _ => None,
        })
    }

    /// A whole number, or `None` for NULL.
    pub fn whole_or_null(&mut self, name: &'static str) -> Result<Option<i64>> {
        self.take(name, |kind, value| match (kind, value) {
            (Kind::WholeOrNull(..), OptionValue::Null) => Some(None),
            (Kind::WholeOrNull(low, high), OptionValue::Integer(whole)) => {
                (low..=high).contains(&whole).then_some(Some(*whole))
            }
            _ => None,
        })
    }

    /// A whole number, or one of the option's words.
    pub fn whole_or_word(&mut self, name: &'static str) -> Result<OneOf<i64>> {
        self.take(name, |kind, value| match (kind, value) {
            (Kind::WholeOr(_, _, words), OptionValue::Text(word)) => known_word(words, word).map(OneOf::Word),
            (Kind::WholeOr(low, high, _), OptionValue::Integer(whole)) => {
                (low..=high).contains(&whole).then_some(OneOf::Value(*whole))
            }
            _ => None,
        })
    }

    /// Whole numbers.
    pub fn wholes(&mut self, name: &'static str) -> Result<Vec<i64>> {
        self.take(name, |kind, value| match (kind, value) {
            (Kind::Wholes(most, high), OptionValue::List(values)) if (1..=*most).contains(&values.len()) => {
                let whole = |value: &OptionValue| match value {
                    OptionValue::Integer(whole) => (1..=*high).contains(whole).then_some(*whole),
                    _ => None,
                };
                values.iter().map(whole).collect()
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

    /// A number, or one of the option's words.
    pub fn real_or_word(&mut self, name: &'static str) -> Result<OneOf<f64>> {
        self.take(name, |kind, value| match (kind, value) {
            (Kind::RealOr(_, _, words), OptionValue::Text(word)) => known_word(words, word).map(OneOf::Word),
            (Kind::RealOr(low, high, _), value) => {
                value.as_real().filter(|real| real >= low && real <= high).map(OneOf::Value)
            }
            _ => None,
        })
    }

    /// A truth value.
    pub fn boolean(&mut self, name: &'static str) -> Result<bool> {
        self.take(name, |_, value| match value {
            OptionValue::Boolean(value) => Some(*value),
            _ => None,
        })
    }

    /// A truth value, or one of the option's words.
    pub fn boolean_or_word(&mut self, name: &'static str) -> Result<OneOf<bool>> {
        self.take(name, |kind, value| match (kind, value) {
            (_, OptionValue::Boolean(value)) => Some(OneOf::Value(*value)),
            (Kind::BooleanOr(words), OptionValue::Text(word)) => known_word(words, word).map(OneOf::Word),
            _ => None,
        })
    }

    /// One of the option's words.
    pub fn word(&mut self, name: &'static str) -> Result<&'static str> {
        self.take(name, |kind, value| match (kind, value) {
            (Kind::Word(words), OptionValue::Text(word)) => known_word(words, word),
            _ => None,
        })
    }

    /// One of the option's words, or `None` for NULL.
    pub fn word_or_null(&mut self, name: &'static str) -> Result<Option<&'static str>> {
        self.take(name, |kind, value| match (kind, value) {
            (Kind::WordOrNull(_), OptionValue::Null) => Some(None),
            (Kind::WordOrNull(words), OptionValue::Text(word)) => known_word(words, word).map(Some),
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
            OptionValue::Text(word) if word == "fastai" => Some(RangeOption::Fastai),
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
        let value = match (self.given.remove(name), self.fallback.get(name)) {
            (Some(value), _) => value,
            (None, Some(value)) => value.clone(),
            (None, None) => parse_default(row.default),
        };
        let Some(checked) = check(&row.kind, &value) else {
            let way_out = format!("leave it out for the default, {}", row.default);
            return Err(Error::argument(name, value, row.kind, &way_out));
        };
        self.taken.insert(name.to_owned(), value);
        Ok(checked)
    }
}

/// A value of its own kind, or a word that stands for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneOf<T> {
    /// The value.
    Value(T),
    /// The word.
    Word(&'static str),
}

fn known_word(words: &[&'static str], word: &str) -> Option<&'static str> {
    words.iter().find(|known| **known == word).copied()
}

/// The option `y_range`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RangeOption {
    /// The observed scale, padded.
    Auto,
    /// The observed scale, padded as fastai's examples have it.
    Fastai,
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
