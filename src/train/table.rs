//! The table of options: documentation, default and check at once.

use std::fmt;

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number in a range, both ends included.
    Whole(i64, i64),
    /// A whole number in a range, or one of some words.
    WholeOr(i64, i64, &'static [&'static str]),
    /// A whole number in a range, or NULL.
    WholeOrNull(i64, i64),
    /// A number from the first to the second, both included.
    Real(f64, f64),
    /// A number from the first to the second, both included, or one of some words.
    RealOr(f64, f64, &'static [&'static str]),
    /// A number above the first and up to the second.
    Positive(f64, f64),
    /// A number from the first up to, but without, the second.
    Below(f64, f64),
    /// `true` or `false`.
    Boolean,
    /// `true`, `false`, or one of some words.
    BooleanOr(&'static [&'static str]),
    /// One of some words.
    Word(&'static [&'static str]),
    /// One of some words, or NULL.
    WordOrNull(&'static [&'static str]),
    /// A list of up to so many whole numbers, each from 1 up to the second number.
    Wholes(usize, i64),
    /// Two numbers, each from 0 up to, but without, 1.
    Betas,
    /// Two numbers in rising order, `'auto'`, `'fastai'` or NULL.
    Range,
    /// Text, checked by who uses it: what it may be, in words.
    Text(&'static str),
}

impl Kind {
    /// The SQL type in `cofi_options()`.
    pub fn sql_type(&self) -> &'static str {
        match self {
            Kind::Whole(..) | Kind::WholeOrNull(..) => "BIGINT",
            Kind::WholeOr(..) => "BIGINT or VARCHAR",
            Kind::RealOr(..) => "DOUBLE or VARCHAR",
            Kind::Real(..) | Kind::Positive(..) | Kind::Below(..) => "DOUBLE",
            Kind::Boolean => "BOOLEAN",
            Kind::BooleanOr(_) => "BOOLEAN or VARCHAR",
            Kind::Word(_) | Kind::WordOrNull(_) | Kind::Text(_) => "VARCHAR",
            Kind::Wholes(..) => "BIGINT[]",
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
            Kind::WholeOr(low, high, words) => {
                write!(f, "a whole number from {low} to {high}, or {}", quoted_words(words))
            }
            Kind::WholeOrNull(low, high) => write!(f, "a whole number from {low} to {high}, or NULL"),
            Kind::Real(low, high) => write!(f, "a number from {low} to {high}"),
            Kind::RealOr(low, high, words) => write!(f, "a number from {low} to {high}, or {}", quoted_words(words)),
            Kind::Positive(low, high) => write!(f, "a number above {low} and up to {high}"),
            Kind::Below(low, high) => write!(f, "a number from {low} to below {high}"),
            Kind::Boolean => f.write_str("true or false"),
            Kind::BooleanOr(words) => write!(f, "true, false or {}", quoted_words(words)),
            Kind::Word(words) => f.write_str(&quoted_words(words)),
            Kind::WordOrNull(words) => write!(f, "{} or NULL", quoted_words(words)),
            Kind::Wholes(most, high) => write!(f, "a list of 1 to {most} whole numbers, each from 1 to {high}"),
            Kind::Betas => f.write_str("two numbers [beta1, beta2], each from 0 to below 1"),
            Kind::Range => f.write_str("two numbers [lo, hi] with lo below hi, 'auto', 'fastai', or NULL for no range"),
            Kind::Text(meaning) => f.write_str(meaning),
        }
    }
}

fn quoted_words(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    words.join(" or ")
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

/// The most hidden layers, and the most units of one.
const MOST_LAYERS: usize = 16;

/// Every option of `cofi_train`.
pub const OPTIONS: &[OptionRow] = &[
    row(
        "model",
        Kind::Text("a name of 1 to 200 printable characters, or 'database.name'"),
        "'default'",
        "the name to store the model under; a model of that name is replaced",
    ),
    row(
        "preset",
        Kind::WordOrNull(&["fastai", "dot", "dot_range", "mlp", "cross_entropy", "cofi_cost"]),
        "NULL",
        "a recipe: other defaults for the options below; an option given beside it wins",
    ),
    row("epochs", Kind::Whole(1, 1_000_000), "5", "passes over the training ratings"),
    row("learning_rate", Kind::Positive(0.0, 10.0), "0.005", "the highest step size of the schedule"),
    row(
        "architecture",
        Kind::Word(&["dot", "mlp"]),
        "'dot'",
        "what factors are put through: 'dot' is their product, 'mlp' hidden layers",
    ),
    row(
        "layers",
        Kind::Wholes(MOST_LAYERS, MOST_FACTORS),
        "[100, 50]",
        "units of each hidden layer of an 'mlp', the one above the factors first",
    ),
    row("dropout", Kind::Below(0.0, 1.0), "0", "share of hidden units of an 'mlp' that each training step leaves out"),
    row(
        "loss",
        Kind::Word(&["mse", "cross_entropy", "half_sse"]),
        "'mse'",
        "'mse': mean squared error; 'cross_entropy': each rating value is a class, up to 100 of them; 'half_sse': half the sum of squares, ratings as they are",
    ),
    row(
        "weight_decay",
        Kind::RealOr(0.0, 100.0, &["auto"]),
        "'auto'",
        "decay of factors and of layers' weights, not of biases: decoupled for 'adamw', added to the gradient for the others; 'auto' is 0.2 for 'adamw', 0.1 for 'classic_sgd', else 0",
    ),
    row(
        "l2",
        Kind::Real(0.0, 1e6),
        "0",
        "half of it times the sum of all squared factors is added to the loss of each step",
    ),
    row(
        "optimizer",
        Kind::Word(&["adamw", "adam", "sgd", "classic_sgd"]),
        "'adamw'",
        "the rule of a step, as PyTorch has it; the momentum of 'sgd' is the first of betas; 'classic_sgd' learns from one rating at a time, betas and eps do not count: try learning_rate := 0.02, epochs := 16",
    ),
    row(
        "updates",
        Kind::Word(&["auto", "dense", "sparse"]),
        "'auto'",
        "rows of factors and biases that a step moves: 'dense' all, 'sparse' those of its batch, each after catching up with the steps that it missed; 'auto' is 'sparse' where operators are fused, users and items are more than batch_size, and neither l2, accumulate nor a decay in the gradient needs all",
    ),
    row(
        "schedule",
        Kind::Word(&["one_cycle", "one_cycle_torch", "constant"]),
        "'one_cycle'",
        "'one_cycle': cosine from a 25th of the rate up to it over the first quarter and down to a 100000th, beta1 from 0.95 to 0.85 and back; 'one_cycle_torch': PyTorch's, up over 0.3, down to a 250000th",
    ),
    row(
        "betas",
        Kind::Betas,
        "[0.9, 0.99]",
        "decay of Adam's two moments; the first, also the momentum of 'sgd', counts only where the schedule is 'constant'",
    ),
    row("eps", Kind::Positive(0.0, 1.0), "0.00001", "Adam's epsilon, added outside the square root"),
    row(
        "batch_size",
        Kind::WholeOr(1, 1 << 24, &["auto", "full"]),
        "'auto'",
        "ratings a step; 'auto' is the power of two with which an epoch stays near 500 steps, from 8 to 16384, and 1 for 'classic_sgd'; 'full' is all of them",
    ),
    row(
        "accumulate",
        Kind::Whole(1, 1 << 20),
        "1",
        "parts in which a batch is run, for less memory: their gradients are added up before the step",
    ),
    row(
        "y_range",
        Kind::Range,
        "'auto'",
        "the interval that scores stay in, by a sigmoid; 'auto' pads the observed scale by an eighth of its span, 'fastai' by a quarter below ([0, 5.5] for 1 to 5), NULL switches the sigmoid off",
    ),
    row("bias", Kind::BooleanOr(&["user"]), "true", "a bias for each user and each item, or for users alone"),
    row(
        "mean",
        Kind::Boolean,
        "true",
        "a constant that makes the untrained model predict the mean rating; of a classifier, the share of each class",
    ),
    row(
        "init",
        Kind::Word(&["truncated_normal", "normal", "kaiming_uniform"]),
        "'truncated_normal'",
        "distribution of the initial factors and biases: normal, cut at two deviations or whole, or uniform in 1/sqrt(factors)",
    ),
    row("init_std", Kind::Positive(0.0, 10.0), "0.01", "standard deviation of the normal distributions of init"),
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
    row(
        "time_col",
        Kind::Text("the name of a column"),
        "NULL",
        "a column of any type that can be sorted: the latest ratings are held out instead of random ones",
    ),
    row(
        "patience",
        Kind::WholeOrNull(1, 1_000_000),
        "NULL",
        "epochs without a better valid_loss after which training stops; the best epoch's model is stored",
    ),
    row(
        "warm_start",
        Kind::Boolean,
        "false",
        "continue the stored model of this name: its factors, its split and its options, where none are given",
    ),
    row("seed", Kind::Whole(0, i64::MAX), "42", "makes split, initial values and order repeatable"),
    row(
        "device",
        Kind::Text("'auto', 'cpu', 'cuda' or 'cuda:N'"),
        "'auto'",
        "where to train; a device asked for by name works or the statement fails",
    ),
    row(
        "operators",
        Kind::Word(&["auto", "stock"]),
        "'auto'",
        "what a step is computed with: 'auto' takes fused operators of cofi's own on the CPU where the step is such, 'stock' ONNX's alone",
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
    row(
        "weight_col",
        Kind::Text("the name of a column"),
        "NULL",
        "a column of what each rating counts in the loss, 0 or more; only their proportions matter",
    ),
];

const fn row(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> OptionRow {
    OptionRow { name, kind, default, meaning }
}

/// The number of factors, the second argument of `cofi_train`.
pub const N_FACTORS: OptionRow = row(
    "n_factors",
    Kind::WholeOrNull(1, MOST_FACTORS),
    "NULL",
    "latent factors of each user and item; NULL is 50, and for an 'mlp' a width of its own for each side",
);
