//! The frame that the pictures with numeric axes share: thin grid lines, round numbers, titles with units.

use super::axis::Scale;
use super::svg::{Anchor, Area, Svg};

/// A picture with a plot area in it, and the scales along it.
pub struct Plot {
    /// The picture.
    pub svg: Svg,
    /// Where the scales end.
    pub area: Area,
    /// Along the page.
    pub x: Scale,
    /// Up the page.
    pub y: Scale,
}

impl Plot {
    /// Horizontal grid lines with their numbers on the left, and the title above them.
    pub fn draw_y(&mut self, at_most: usize, title: &str) {
        let Area { left, top, right, .. } = self.area;
        for (value, label) in self.y.ticks(at_most) {
            let y = self.y.at(value);
            let class = if value == 0.0 { "zero" } else { "grid" };
            self.svg.line(class, [left, y], [right, y]);
            self.svg.text("tick", Anchor::End, [left - 8.0, y + 4.0], &label);
        }
        self.svg.text("axis", Anchor::Start, [0.0, top - 18.0], title);
    }

    /// Vertical grid lines with their numbers below, and the title under them.
    pub fn draw_x(&mut self, at_most: usize, title: &str) {
        let Area { top, bottom, .. } = self.area;
        for (value, label) in self.x.ticks(at_most) {
            let x = self.x.at(value);
            let class = if value == 0.0 { "zero" } else { "grid" };
            self.svg.line(class, [x, top], [x, bottom]);
            self.svg.text("tick", Anchor::Middle, [x, bottom + 18.0], &label);
        }
        self.title_x(bottom + 40.0, title);
    }

    /// The title of the axis along the page, with its base line at `y`.
    pub fn title_x(&mut self, y: f64, title: &str) {
        let Area { left, right, .. } = self.area;
        self.svg.text("axis", Anchor::Middle, [(left + right) / 2.0, y], title);
    }
}

/// Heights moved apart by the least that leaves `room` between them, without their order changed.
pub fn apart(first: f64, second: f64, room: f64) -> [f64; 2] {
    let missing = room - (first - second).abs();
    let shift = if missing > 0.0 { missing / 2.0 } else { 0.0 };
    if first <= second { [first - shift, second + shift] } else { [first + shift, second - shift] }
}
