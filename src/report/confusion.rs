//! The confusion matrix as a heat map: which ratings are taken for which.

use super::page::Picture;
use super::palette::GRADES;
use super::svg::{Anchor, Area, Svg};
use super::{ConfusionPicture, text};

/// The most levels that fit half a page.
const MOST_NARROW: usize = 7;

/// Room for the names of the rows and of the columns.
const LEFT: f64 = 104.0;
const TOP: f64 = 52.0;

const GAP: f64 = 2.0;

/// The matrix, or why it cannot be drawn.
pub fn draw(picture: Option<&ConfusionPicture>) -> Result<Picture, String> {
    let ConfusionPicture { levels, counts } =
        picture.ok_or_else(|| "it needs validation rows, and ratings that take 2 to 20 values".to_owned())?;
    let side = levels.len();
    if !(2..=20).contains(&side) || counts.len() != side * side {
        return Err(format!("{side} levels with {} counts are no matrix of 2 to 20 levels", counts.len()));
    }
    let is_wide = side > MOST_NARROW;
    let width = if is_wide { 1160.0 } else { 552.0 };
    if !levels.iter().all(|level| level.is_finite()) {
        return Err("not all of its levels are finite".to_owned());
    }
    let cell_width = ((width - LEFT) / side as f64).min(110.0);
    let cell_height = if is_wide { 40.0 } else { cell_width.min(84.0) };
    let total = sum(counts);
    let n_right: u64 = sum(&counts.iter().copied().step_by(side + 1).collect::<Vec<_>>());
    let heading = heading(n_right, total);
    let height = TOP + cell_height * side as f64 + 8.0;
    let mut svg = Svg::new(width, height, &format!("Heat map of actual against predicted ratings. {heading}."));
    draw_heads(&mut svg, levels, cell_width);
    let largest = counts.chunks(side).flat_map(|row| row.iter().map(|n| share(*n, sum(row)))).fold(0.0, f64::max);
    for ((row, (level, counts)), top) in levels.iter().zip(counts.chunks(side)).enumerate().zip(tops(cell_height)) {
        let of_row = sum(counts);
        let middle = top + cell_height / 2.0;
        svg.text("large", Anchor::End, [LEFT - 14.0, middle - 1.0], &text::level(*level));
        svg.text("note small", Anchor::End, [LEFT - 14.0, middle + 14.0], &format!("n = {}", short(of_row)));
        for (column, n) in counts.iter().enumerate() {
            let left = LEFT + cell_width * column as f64;
            let cell = Area { left, top, right: left + cell_width - GAP, bottom: top + cell_height - GAP };
            let hint = hint(*level, levels.get(column).copied(), *n, of_row);
            let grade = grade(share(*n, of_row), largest);
            draw_cell(&mut svg, cell, *n, of_row, grade, &hint);
            if row == column {
                svg.rectangle(&format!("frame-{grade}"), cell.grown(-3.0), &hint);
            }
        }
    }
    let caption = "Each row holds the ratings of one actual value and the share of them predicted at each level; the \
                   stronger the colour the larger the share, and framed cells are right."
        .to_owned();
    Ok(Picture { heading, caption, svg: svg.finish(), is_wide })
}

fn draw_heads(svg: &mut Svg, levels: &[f32], cell_width: f64) {
    let middle = LEFT + cell_width * levels.len() as f64 / 2.0;
    svg.text("axis", Anchor::Middle, [middle, 14.0], "Predicted rating (nearest level)");
    svg.text("axis", Anchor::End, [LEFT - 14.0, 14.0], "Actual rating");
    for (column, level) in levels.iter().enumerate() {
        let x = LEFT + cell_width * (column as f64 + 0.5) - GAP / 2.0;
        svg.text("large", Anchor::Middle, [x, TOP - 10.0], &text::level(*level));
    }
}

/// A cell with its share of the row above its count.
fn draw_cell(svg: &mut Svg, cell: Area, n: u64, of_row: u64, grade: usize, hint: &str) {
    svg.rectangle(&format!("heat-{grade}"), cell, hint);
    let (x, y) = ((cell.left + cell.right) / 2.0, (cell.top + cell.bottom) / 2.0);
    let ink = format!("on-heat-{grade}");
    if of_row > 0 {
        svg.text(&ink, Anchor::Middle, [x, y - 2.0], &text::percent(share(n, of_row)));
    }
    svg.text(&format!("small {ink}"), Anchor::Middle, [x, y + 13.0], &short(n));
}

fn tops(cell_height: f64) -> impl Iterator<Item = f64> {
    (0..).map(move |row: u32| TOP + cell_height * f64::from(row))
}

fn heading(n_right: u64, total: u64) -> String {
    if total == 0 {
        return "No rating has been predicted".to_owned();
    }
    let (share, total) = (text::percent(share(n_right, total)), text::count(total));
    format!("{share} of {total} ratings are predicted at their own level")
}

fn hint(actual: f32, predicted: Option<f32>, n: u64, of_row: u64) -> String {
    let predicted = predicted.map_or_else(String::new, text::level);
    let share = text::percent(share(n, of_row));
    format!("Rating {}, predicted {predicted}: {} ({share} of the row)", text::level(actual), text::count(n))
}

/// The strength of a colour: shares are told apart up to the largest there is.
fn grade(share: f64, largest: f64) -> usize {
    let strength = if largest > 0.0 { share / largest } else { 0.0 };
    ((strength * (GRADES - 1) as f64).round() as usize).min(GRADES - 1)
}

/// A count that fits a cell: `12,345`, `1.2M`.
fn short(n: u64) -> String {
    match n {
        0..100_000 => text::count(n),
        100_000..1_000_000 => format!("{}k", n / 1000),
        1_000_000..1_000_000_000 => format!("{:.1}M", n as f64 / 1e6),
        _ => text::scientific(n as f64, 1),
    }
}

fn share(n: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { n as f64 / of as f64 }
}

fn sum(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum: u64, n| sum.saturating_add(*n))
}
