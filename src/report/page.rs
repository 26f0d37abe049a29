//! The page around the pictures: one file that fetches nothing and runs nothing.

use super::palette;
use super::text::escape;

/// A picture with its words, or why there is none.
pub struct Figure {
    /// The name by which a link finds it.
    pub id: &'static str,
    /// What it is about: `Loss by epoch`.
    pub subject: &'static str,
    /// The picture.
    pub content: Result<Picture, String>,
}

/// A picture with its words, which are plain text.
pub struct Picture {
    /// A sentence that says what is to be seen.
    pub heading: String,
    /// How to read it.
    pub caption: String,
    /// An `svg` element.
    pub svg: String,
    /// Whether it takes the whole width of the page and not half of it.
    pub is_wide: bool,
}

/// The whole file. Facts are names with values.
pub fn page(model: &str, facts: &[(String, String)], figures: &[Figure]) -> String {
    let (model, facts, figures) = (escape(model), facts_list(facts), arranged(figures));
    let (light, dark) = (palette::properties(|colour| colour.light), palette::properties(|colour| colour.dark));
    let (rules, grades) = (include_str!("page.css"), palette::grades());
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="cofi">
<link rel="icon" href="data:,">
<title>{model}: report of a model</title>
<style>
:root{{color-scheme:light dark;{light}}}
@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}
@media print{{:root{{color-scheme:light}}}}
{rules}{grades}</style>
</head>
<body>
<main>
<header>
<p class="kind">Report of a collaborative-filtering model</p>
<h1><bdi>{model}</bdi></h1>
{facts}</header>
<div class="figures">
{figures}</div>
<footer>Written by cofi.</footer>
</main>
</body>
</html>
"#
    )
}

fn facts_list(facts: &[(String, String)]) -> String {
    if facts.is_empty() {
        return String::new();
    }
    let rows = facts.iter().map(|(name, value)| {
        format!("<div><dt><bdi>{}</bdi></dt><dd><bdi>{}</bdi></dd></div>\n", escape(name), escape(value))
    });
    format!("<dl>\n{}</dl>\n", rows.collect::<String>())
}

/// Two narrow figures, the wide ones, the other narrow ones; then what is missing. A narrow one without a neighbour has the row.
fn arranged(figures: &[Figure]) -> String {
    let drawn = || figures.iter().filter_map(|figure| figure.content.as_ref().ok().map(|picture| (figure, picture)));
    let narrow: Vec<_> = drawn().filter(|(_, picture)| !picture.is_wide).collect();
    let (first, rest) = narrow.split_at(narrow.len().min(2));
    let mut html = row(first);
    html.extend(
        drawn().filter(|(_, picture)| picture.is_wide).map(|(figure, picture)| element(figure, picture, "wide")),
    );
    html += &row(rest);
    html.extend(figures.iter().filter_map(|figure| {
        let reason = figure.content.as_ref().err()?;
        Some(format!(
            "<p class=\"missing\" id=\"{}\"><b>{}</b> is not shown: {}.</p>\n",
            figure.id,
            escape(figure.subject),
            escape(reason)
        ))
    }));
    html
}

fn row(figures: &[(&Figure, &Picture)]) -> String {
    let class = if figures.len() == 1 { "half alone" } else { "half" };
    figures.iter().map(|(figure, picture)| element(figure, picture, class)).collect()
}

fn element(figure: &Figure, picture: &Picture, class: &str) -> String {
    let (id, svg) = (figure.id, &picture.svg);
    let [subject, heading, caption] = [figure.subject, &picture.heading, &picture.caption].map(escape);
    format!(
        r#"<figure id="{id}" class="{class}">
<p class="kind">{subject}</p>
<h2>{heading}</h2>
<div class="picture">{svg}</div>
<figcaption>{caption}</figcaption>
</figure>
"#
    )
}
