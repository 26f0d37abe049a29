//! The table of options: documentation, default and check at once.

use std::fmt;

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
