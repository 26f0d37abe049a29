//! A writer of SVG: places are finite, texts are escaped, colours come from classes of the page's style sheet.

use std::fmt::Write;

use super::text;

/// A place in a picture, from its upper left corner, in pixels at full size.
pub type Point = [f64; 2];

/// A rectangle with its sides parallel to the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The left side.
    pub left: f64,
    /// The upper side.
    pub top: f64,
    /// The right side.
    pub right: f64,
    /// The lower side.
    pub bottom: f64,
}

/// Which point of a text its place is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Anchor {
    /// The left end of the line.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

/// A picture that is being written.
pub struct Svg {
    size: Point,
    label: String,
    body: String,
}

impl Svg {
    /// An empty picture; `label` says in words what it shows, for those who do not see it.
    pub fn new(width: f64, height: f64, label: &str) -> Self {
        Self { size: [width, height], label: text::escape(label), body: String::new() }
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, [x1, y1]: Point, [x2, y2]: Point) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(coordinate);
        self.write(format_args!(r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#));
    }

    /// A line through points.
    pub fn path(&mut self, class: &str, points: impl IntoIterator<Item = Point>) {
        let points: Vec<_> = points.into_iter().map(|[x, y]| format!("{},{}", coordinate(x), coordinate(y))).collect();
        self.write(format_args!(r#"<polyline class="{class}" points="{}"/>"#, points.join(" ")));
    }

    /// A rectangle, with a text that shows while the pointer rests on it.
    pub fn rectangle(&mut self, class: &str, area: Area, hint: &str) {
        let [x, y] = [area.left, area.top].map(coordinate);
        let [width, height] = [area.right - area.left, area.bottom - area.top].map(|side| coordinate(side.max(0.0)));
        let hint = text::escape(hint);
        self.write(format_args!(
            r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"><title>{hint}</title></rect>"#
        ));
    }

    /// A disc, with a text that shows while the pointer rests on it.
    pub fn disc(&mut self, class: &str, [x, y]: Point, radius: f64, hint: &str) {
        let ([x, y, radius], hint) = ([x, y, radius].map(coordinate), text::escape(hint));
        self.write(format_args!(
            r#"<circle class="{class}" cx="{x}" cy="{y}" r="{radius}"><title>{hint}</title></circle>"#
        ));
    }

    /// A line of text whose base line is at `y`.
    pub fn text(&mut self, class: &str, anchor: Anchor, place: Point, words: &str) {
        self.hinted_text(class, anchor, place, words, "");
    }

    /// A line of text, with another, longer one that shows while the pointer rests on it.
    pub fn hinted_text(&mut self, class: &str, anchor: Anchor, [x, y]: Point, words: &str, hint: &str) {
        let ([x, y], words) = ([x, y].map(coordinate), text::escape(words));
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let hint = if hint.is_empty() { String::new() } else { format!("<title>{}</title>", text::escape(hint)) };
        self.write(format_args!(r#"<text class="{class}" x="{x}" y="{y}"{anchor}>{hint}{words}</text>"#));
    }

    /// The whole element.
    pub fn finish(self) -> String {
        let ([width, height], label, body) = (self.size.map(coordinate), self.label, self.body);
        format!(r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{body}</svg>"#)
    }

    fn write(&mut self, element: std::fmt::Arguments<'_>) {
        // A `String` takes whatever is written to it.
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }
}

/// A number as SVG takes it, to a hundredth of a pixel. What is not finite has been left out before; if not, it is 0 here.
fn coordinate(value: f64) -> String {
    let rounded = if value.is_finite() { (value.clamp(-1e6, 1e6) * 100.0).round() / 100.0 } else { 0.0 };
    // Adding 0 turns a negative zero into a plain one.
    (rounded + 0.0).to_string()
}

impl Area {
    /// Whether a rectangle lies within this one.
    pub fn contains(&self, other: &Self) -> bool {
        self.left <= other.left && self.top <= other.top && other.right <= self.right && other.bottom <= self.bottom
    }

    /// Whether the insides of two rectangles meet.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    /// The rectangle grown by `margin` on every side.
    pub fn grown(&self, margin: f64) -> Self {
        Self {
            left: self.left - margin,
            top: self.top - margin,
            right: self.right + margin,
            bottom: self.bottom + margin,
        }
    }

    /// The point of the rectangle that is nearest to another.
    pub fn nearest(&self, [x, y]: Point) -> Point {
        [x.clamp(self.left, self.right), y.clamp(self.top, self.bottom)]
    }

    /// Whether the line between two points meets the rectangle (Liang and Barsky's clipping, 1984).
    pub fn is_crossed(&self, [x1, y1]: Point, [x2, y2]: Point) -> bool {
        let ([dx, dy], mut enter, mut leave) = ([x2 - x1, y2 - y1], 0.0f64, 1.0f64);
        let sides = [(-dx, x1 - self.left), (dx, self.right - x1), (-dy, y1 - self.top), (dy, self.bottom - y1)];
        for (slope, distance) in sides {
            if slope == 0.0 {
                if distance < 0.0 {
                    return false;
                }
            } else if slope < 0.0 {
                enter = enter.max(distance / slope);
            } else {
                leave = leave.min(distance / slope);
            }
        }
        enter <= leave
    }
}
