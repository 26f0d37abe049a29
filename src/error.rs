//! The one error type: what was given, what is allowed, and the way out.
//!
//! Messages are lower case and end without a full stop, so that they read well behind the host's own prefix
//! (`Invalid Input Error: ...`). The cause, where there is one, is kept as [`source`](std::error::Error::source).

use std::fmt;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be done.
#[derive(Debug)]
pub struct Error {
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    is_given_up: bool,
}

impl Error {
    /// An error that the caller can only read, with its own words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, is_given_up: false }
    }

    /// An answer that is not awaited any longer. It says nothing of what was asked for, so whoever makes something else of errors
    /// hands this one on.
    pub fn given_up(message: impl Into<String>) -> Self {
        Self { is_given_up: true, ..Self::new(message) }
    }

    /// Whether it is one of [`given_up`](Self::given_up).
    pub fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// A value that an argument or option does not take.
    ///
    /// Reads `{name} = {value}: expected {allowed}; {way_out}`, or without the last part where `way_out` is empty.
    pub fn argument(name: &str, value: impl fmt::Display, allowed: impl fmt::Display, way_out: &str) -> Self {
        let tail = if way_out.is_empty() { String::new() } else { format!("; {way_out}") };
        Self::new(format!("{name} = {value}: expected {allowed}{tail}"))
    }

    /// Keeps the cause of this error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says in front of the message where it happened.
    #[must_use]
    pub fn context(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

/// The characters of a text that a message repeats.
const LONGEST_QUOTE: usize = 300;

/// A text in single quotes as a message shows it.
pub fn quoted(text: &str) -> String {
    format!("'{}'", shown(text))
}

/// A text as a message shows it: no longer than needed, and characters that a terminal would act on are spelt out.
pub fn shown(text: &str) -> String {
    let shown = text.chars().take(LONGEST_QUOTE).map(|character| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    });
    let rest = if text.chars().nth(LONGEST_QUOTE).is_some() { "..." } else { "" };
    shown.collect::<String>() + rest
}

/// The characters up to which a number is written out.
const LONGEST_NUMBER: usize = 20;

/// A number as a message shows it: the shortest text that is the same number, `1e300` where digits would go on and on.
pub fn number(value: impl fmt::Display + fmt::LowerExp) -> String {
    let plain = value.to_string();
    if plain.len() <= LONGEST_NUMBER { plain } else { format!("{value:e}") }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_the_same() {
        for (value, expected) in [
            (0.7, "0.7"),
            (-3.0, "-3"),
            (1e300, "1e300"),
            (-4e38, "-4e38"),
            (1e-30, "1e-30"),
            (1e9, "1000000000"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value), expected);
        }
        assert_eq!(number(0.7f32), "0.7");
        assert_eq!(number(f32::MAX), "3.4028235e38");
    }
}
