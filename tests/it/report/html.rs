//! A strict reader of the pages: every element is closed in its order, every attribute quoted, every `<` and `&` meant.

/// An element's start.
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

impl Element {
    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The name, and the name with that of each attribute.
    pub fn signature(&self) -> Vec<String> {
        let attributes = self.attributes.iter().map(|(name, _)| format!("{} {name}", self.name));
        std::iter::once(self.name.clone()).chain(attributes).collect()
    }
}

/// All elements of a page in their order; fails where it is not well formed.
pub fn elements(page: &str) -> Vec<Element> {
    const VOID: [&str; 2] = ["meta", "link"];
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    let (mut found, mut open): (Vec<Element>, Vec<String>) = (Vec::new(), Vec::new());
    while let Some((text, tail)) = rest.split_once('<') {
        check_text(text);
        let (tag, tail) = tail.split_once('>').expect("an end of the tag");
        rest = tail;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed out of order");
            continue;
        }
        let (tag, is_closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(!name.is_empty() && name.chars().all(char::is_alphanumeric), "<{name}");
        found.push(Element { name: name.to_owned(), attributes: attributes_of(attributes) });
        if !is_closed && !VOID.contains(&name) {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty() && rest == "\n", "left open: {open:?}, {rest:?}");
    found
}

/// The texts of all elements with a name that hold nothing but text, or a `title` before it.
pub fn text_of(page: &str, name: &str) -> Vec<String> {
    let start = format!("<{name} ");
    let texts = page.split(&start).skip(1).map(|rest| {
        let inside = rest.split_once(&format!("</{name}>")).expect("an end").0.split_once('>').expect("a start").1;
        inside.rsplit_once('>').map_or(inside, |(_, text)| text).to_owned()
    });
    texts.collect()
}

fn attributes_of(mut text: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").expect("a quoted value");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
        let (value, rest) = rest.split_once('"').expect("a closing quote");
        check_text(value);
        attributes.push((name.to_owned(), value.to_owned()));
        text = rest.strip_prefix(' ').unwrap_or(rest);
    }
    attributes
}

/// Every `&` begins one of the five references.
fn check_text(text: &str) {
    for rest in text.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|name| rest.starts_with(name)), "&{rest}");
    }
}
