//! The options of a training: one table that is documentation, default and check at once.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result, quoted};

/// A value as the caller gave it, before anybody has looked whether it fits.
#[derive(Clone, Debug, PartialEq)]
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
            OptionValue::Real(value) => write!(f, "{value}"),
            OptionValue::Text(value) => f.write_str(&quoted(value)),
            OptionValue::List(values) => {
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            OptionValue::Other(value) => f.write_str(value),
        }
    }
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number in a range, both ends included.
    Whole(i64, i64),
    /// A whole number in a range, or `'auto'`.
    WholeOrAuto(i64, i64),
    /// A number from the first to the second, both included.
    Real(f64, f64),
    /// A number above the first and up to the second.
    Positive(f64, f64),
    /// A number from the first up to, but without, the second.
    Below(f64, f64),
    /// `true` or `false`.
    Boolean,
    /// One of some words.
    Word(&'static [&'static str]),
    /// Two numbers, each from 0 up to, but without, 1.
    Betas,
    /// Two numbers in rising order, `'auto'` or NULL.
    Range,
    /// Text, checked by who uses it: what it may be, in words.
    Text(&'static str),
}

impl Kind {
    /// The SQL type in `cofi_options()`.
    pub fn sql_type(&self) -> &'static str {
        match self {
            Kind::Whole(..) => "BIGINT",
            Kind::WholeOrAuto(..) => "BIGINT or VARCHAR",
            Kind::Real(..) | Kind::Positive(..) | Kind::Below(..) => "DOUBLE",
            Kind::Boolean => "BOOLEAN",
            Kind::Word(_) | Kind::Text(_) => "VARCHAR",
            Kind::Betas => "DOUBLE[]",
            Kind::Range => "DOUBLE[] or VARCHAR",
        }
    }
}

/// What is allowed, in words: for errors and for `cofi_options()`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Whole(low, high) => write!(f, "a whole number from {low} to {high}"),
            Kind::WholeOrAuto(low, high) => write!(f, "a whole number from {low} to {high}, or 'auto'"),
            Kind::Real(low, high) => write!(f, "a number from {low} to {high}"),
            Kind::Positive(low, high) => write!(f, "a number above {low} and up to {high}"),
            Kind::Below(low, high) => write!(f, "a number from {low} to below {high}"),
            Kind::Boolean => f.write_str("true or false"),
            Kind::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
                f.write_str(&words.join(" or "))
            }
            Kind::Betas => f.write_str("two numbers [beta1, beta2], each from 0 to below 1"),
            Kind::Range => f.write_str("two numbers [lo, hi] with lo below hi, 'auto', or NULL for no range"),
            Kind::Text(meaning) => f.write_str(meaning),
        }
    }
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct OptionRow {
    /// The name in SQL.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default as SQL text.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// The most factors a model can have.
pub const MOST_FACTORS: i64 = 4096;

/// Every option of `cofi_train`.
pub const OPTIONS: &[OptionRow] = &[
    row(
        "model",
        Kind::Text("a name of 1 to 200 printable characters, or 'database.name'"),
        "'default'",
        "the name to store the model under; a model of that name is replaced",
    ),
    row("epochs", Kind::Whole(1, 10_000), "5", "passes over the training ratings"),
    row("learning_rate", Kind::Positive(0.0, 10.0), "0.005", "the highest step size of the schedule"),
    row(
        "weight_decay",
        Kind::Real(0.0, 100.0),
        "0.2",
        "decoupled weight decay (AdamW) of the factors; biases do not decay",
    ),
    row(
        "batch_size",
        Kind::WholeOrAuto(1, 1 << 24),
        "'auto'",
        "ratings a step; 'auto' is the power of two with which an epoch stays near 1250 steps, at least 8",
    ),
    row(
        "y_range",
        Kind::Range,
        "'auto'",
        "the interval that predictions stay in, by a sigmoid; 'auto' pads the observed scale by an eighth of its span, NULL switches the sigmoid off",
    ),
    row("bias", Kind::Boolean, "true", "a bias for each user and each item"),
    row("mean", Kind::Boolean, "true", "a constant that makes the untrained model predict the mean rating"),
    row(
        "schedule",
        Kind::Word(&["one_cycle", "constant"]),
        "'one_cycle'",
        "'one_cycle': cosine from a 25th of the rate up to it over the first quarter and down to a 100000th, beta1 from 0.95 to 0.85 and back",
    ),
    row(
        "betas",
        Kind::Betas,
        "[0.9, 0.99]",
        "decay of Adam's two moments; the first counts only where the schedule does not set it",
    ),
    row("eps", Kind::Positive(0.0, 1.0), "0.00001", "Adam's epsilon, added outside the square root"),
    row(
        "init_std",
        Kind::Positive(0.0, 10.0),
        "0.01",
        "standard deviation of the initial factors and biases, truncated at two deviations",
    ),
    row(
        "validation_fraction",
        Kind::Below(0.0, 1.0),
        "0.2",
        "share of the ratings held out to validate on, chosen by user, item and seed; 0 trains on everything",
    ),
    row(
        "validation",
        Kind::Text("the name of a table or view, or a query in parentheses"),
        "NULL",
        "ratings to validate on instead of a fraction",
    ),
    row("seed", Kind::Whole(0, i64::MAX), "42", "makes split, initial values and order repeatable"),
    row(
        "device",
        Kind::Text("'auto', 'cpu', 'cuda' or 'cuda:N'"),
        "'auto'",
        "where to train; a device asked for by name works or the statement fails",
    ),
    row(
        "user_col",
        Kind::Text("the name of a column"),
        "NULL",
        "the column of users; else one named user, user_id, ..., else the first",
    ),
    row(
        "item_col",
        Kind::Text("the name of a column"),
        "NULL",
        "the column of items; else one named item, item_id, movie, title, ..., else the second",
    ),
    row(
        "rating_col",
        Kind::Text("the name of a column"),
        "NULL",
        "the column of ratings; else one named rating, score, ..., else the third",
    ),
];

const fn row(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> OptionRow {
    OptionRow { name, kind, default, meaning }
}

/// The number of factors, the second argument of `cofi_train`.
pub const N_FACTORS: OptionRow =
    row("n_factors", Kind::Whole(1, MOST_FACTORS), "50", "latent factors of each user and item; NULL for the default");

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
