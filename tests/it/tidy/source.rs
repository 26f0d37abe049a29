//! A file of `src/` as the checks read it: its tests left out, comments and texts told from code.

use std::fs;

use crate::support::repository_file;

/// A file, or what a test plants in place of one. All three forms have the same lines.
pub struct Source {
    /// From `src/`: `store/names.rs`.
    pub path: String,
    /// Without its tests.
    pub text: String,
    /// Without its tests and comments, and without what its string and character literals say.
    pub code: String,
    /// What the string literals say, with the line of each, from 0.
    pub literals: Vec<(usize, String)>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (whole, _) = split(text);
        let text = without_tests(text, &whole);
        let (code, literals) = split(&text);
        Self { path: path.to_owned(), text, code, literals }
    }

    /// The top-level module that the file belongs to.
    pub fn module(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Whether `super` is the root of the crate here.
    pub fn is_top_level(&self) -> bool {
        !self.path.contains('/') || self.path.matches('/').count() == 1 && self.path.ends_with("/mod.rs")
    }
}

/// All files of `src/` that are not tests altogether.
pub fn all() -> Vec<Source> {
    let mut folders = vec![String::new()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(repository_file("src").join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                folders.push(format!("{path}/"));
            } else if path.ends_with(".rs") && !path.ends_with("/tests.rs") {
                sources.push(Source::new(&path, &fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    assert!(sources.len() > 50, "src/ has {} files", sources.len());
    sources
}

/// Blanks every item under `#[cfg(test)]`; `code` is the text with comments and literals blanked.
fn without_tests(text: &str, code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let code: Vec<char> = code.chars().collect();
    let mark: Vec<char> = MARK.chars().collect();
    let mut kept: Vec<char> = text.chars().collect();
    let mut place = 0;
    while place + mark.len() <= code.len() {
        if code[place..].starts_with(&mark) {
            let end = end_of_item(&code, place + mark.len());
            kept[place..end].iter_mut().filter(|character| **character != '\n').for_each(|character| *character = ' ');
            place = end;
        } else {
            place += 1;
        }
    }
    kept.into_iter().collect()
}

/// Behind the `;` or the closing brace that ends the item after `start`.
fn end_of_item(code: &[char], start: usize) -> usize {
    let mut depth = 0;
    for (place, character) in code.iter().enumerate().skip(start) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(character, ';' | '}') {
            return place + 1;
        }
    }
    code.len()
}

/// The code with comments and literals blanked character by character, and what the string literals say.
fn split(text: &str) -> (String, Vec<(usize, String)>) {
    let text: Vec<char> = text.chars().collect();
    let mut code = text.clone();
    let mut literals = Vec::new();
    let (mut place, mut line) = (0, 0);
    while place < text.len() {
        let rest = &text[place..];
        let before = place.checked_sub(1).map(|before| text[before]);
        let is_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let end = match rest {
            ['/', '/', ..] => place + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => place + end_of_comment(rest),
            ['r', '#' | '"', ..]
                if raw_hashes(rest).is_some() && (!is_word(before) || matches!(before, Some('b' | 'c'))) =>
            {
                let hashes = raw_hashes(rest).unwrap_or(0);
                let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let inside = &rest[hashes + 2..];
                let length = inside.windows(close.len()).position(|window| window == close).unwrap_or(inside.len());
                literals.push((line, inside[..length].iter().collect()));
                (place + hashes + 2 + length + close.len()).min(text.len())
            }
            ['"', inside @ ..] => {
                let length = end_of_literal(inside, '"');
                literals.push((line, inside[..length].iter().collect()));
                (place + length + 2).min(text.len())
            }
            ['\'', '\\', ..] => place + end_of_literal(&rest[1..], '\'') + 2,
            ['\'', _, '\'', ..] => place + 3,
            _ => place + 1,
        };
        if end > place + 1 {
            code[place..end].iter_mut().filter(|character| **character != '\n').for_each(|character| *character = ' ');
        }
        line += text[place..end].iter().filter(|character| **character == '\n').count();
        place = end;
    }
    (code.into_iter().collect(), literals)
}

/// Comments nest.
fn end_of_comment(text: &[char]) -> usize {
    let (mut depth, mut place) = (0, 0);
    while place < text.len() {
        match text[place..] {
            ['/', '*', ..] => (depth, place) = (depth + 1, place + 2),
            ['*', '/', ..] => (depth, place) = (depth - 1, place + 2),
            _ => place += 1,
        }
        if depth == 0 {
            break;
        }
    }
    place
}

/// How many `#` stand between the `r` and the quote of a raw string.
fn raw_hashes(text: &[char]) -> Option<usize> {
    let hashes = text.iter().skip(1).take_while(|character| **character == '#').count();
    (text.get(hashes + 1) == Some(&'"')).then_some(hashes)
}

/// Where a literal ends whose text begins here: the position of its closing quote.
fn end_of_literal(text: &[char], quote: char) -> usize {
    let mut place = 0;
    while place < text.len() && text[place] != quote {
        place += if text[place] == '\\' { 2 } else { 1 };
    }
    place.min(text.len())
}
