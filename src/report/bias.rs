//! The items with the highest and the lowest bias: liked more, or less, than the users and factors explain.

use super::axis::{Scale, drawable};
use super::page::Picture;
use super::plot::Plot;
use super::svg::{Anchor, Area, Point, Svg};
use super::{BiasPicture, text};

const WIDTH: f64 = 552.0;
const ROW: f64 = 22.0;
const TOP: f64 = 12.0;

/// Between the highest and the lowest.
const GAP: f64 = 16.0;

/// The most items of either end.
const MOST: usize = 10;

/// The bars, or why they cannot be drawn.
pub fn draw(picture: Option<&BiasPicture>) -> Result<Picture, String> {
    let picture = picture.ok_or_else(|| "the model has no item biases".to_owned())?;
    let (best, worst) = (finite(&picture.best), finite(&picture.worst));
    let rows: Vec<_> = best.iter().chain(&worst).copied().collect();
    let largest = rows.iter().fold(0.0, |largest: f64, (_, bias)| largest.max(bias.abs()));
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err("no item has a finite bias".to_owned());
    };
    let gap = if best.is_empty() || worst.is_empty() { 0.0 } else { GAP };
    let area = Area { left: 8.0, top: TOP, right: WIDTH - 8.0, bottom: TOP + ROW * rows.len() as f64 + gap + 4.0 };
    let heading = heading(first.0, last.0, rows.len());
    let mut plot = Plot {
        svg: Svg::new(WIDTH, area.bottom + 48.0, &format!("Bar chart of item biases. {heading}.")),
        area,
        // The whole width for the largest bar and its value, the other side for its name.
        x: Scale::new([-largest, largest], [area.left + 36.0, area.right - 36.0]),
        y: Scale::new([0.0, 1.0], [area.bottom, area.top]),
    };
    plot.draw_x(7, &format!("Item bias ({})", text::shorten(&picture.unit, 12.0, 400.0)));
    for (place, (title, bias)) in rows.into_iter().enumerate() {
        let top = TOP + ROW * place as f64 + if place < best.len() { 0.0 } else { gap };
        draw_bar(&mut plot, top, title, bias, &printed(bias, largest));
    }
    let n_missing = picture.best.len().min(MOST) + picture.worst.len().min(MOST) - best.len() - worst.len();
    let mut caption = format!("{} The highest biases are above, the lowest below.", picture.meaning);
    if n_missing > 0 {
        caption += &format!(" Left out: {}, not finite.", text::counted(n_missing, "bias", "biases"));
    }
    Ok(Picture { heading, caption, svg: plot.svg.finish(), is_wide: false })
}

/// A bar from zero, its value at its end, its name on the other side of zero.
fn draw_bar(plot: &mut Plot, top: f64, title: &str, bias: f64, value: &str) {
    let (zero, end) = (plot.x.at(0.0), plot.x.at(bias));
    let (base, middle) = (top + ROW / 2.0 + 4.0, [zero.min(end), zero.max(end)]);
    let hint = format!("{title}: {value}");
    let bar = Area { left: middle[0], top: top + 3.0, right: middle[1], bottom: top + ROW - 3.0 };
    let (class, value_place, value_anchor, name_place, name_anchor): (_, Point, _, Point, _) = if bias < 0.0 {
        ("orange", [end - 5.0, base], Anchor::End, [zero + 8.0, base], Anchor::Start)
    } else {
        ("blue", [end + 5.0, base], Anchor::Start, [zero - 8.0, base], Anchor::End)
    };
    plot.svg.rectangle(class, bar, &hint);
    plot.svg.text("note small halo", value_anchor, value_place, value);
    let room = (plot.area.right - plot.area.left) / 2.0 - 8.0;
    plot.svg.hinted_text("halo", name_anchor, name_place, &text::shorten(title, 12.0, room), &hint);
}

/// A bias with its sign, and with the decimals that give the largest one three digits.
fn printed(bias: f64, largest: f64) -> String {
    let text = if (1e-3..1e4).contains(&largest) {
        text::decimal(bias, (2.0 - largest.log10().floor()).max(0.0) as usize)
    } else {
        text::number(bias)
    };
    if bias > 0.0 { format!("+{text}") } else { text }
}

fn finite(items: &[(String, f32)]) -> Vec<(&str, f64)> {
    let items = items.iter().take(MOST);
    items.filter_map(|(title, bias)| Some((title.as_str(), drawable((*bias).into())?))).collect()
}

fn heading(first: &str, last: &str, n: usize) -> String {
    let [first, last] = [first, last].map(|title| text::shorten(title, 1.0, 30.0));
    if n > 1 {
        format!("“{first}” has the highest bias, “{last}” the lowest")
    } else {
        format!("“{first}” is the only item with a bias")
    }
}
