//! Errors by rating: where on the scale the model is off, and to which side.

use super::axis::{Scale, drawable, extent};
use super::page::Picture;
use super::plot::{Plot, apart};
use super::svg::{Anchor, Area, Point, Svg};
use super::{RatingError, text};

const SIZE: Point = [552.0, 352.0];
const AREA: Area = Area { left: 52.0, top: 36.0, right: 452.0, bottom: 284.0 };

/// The bars and dots, or why they cannot be drawn.
pub fn draw(errors: Option<&[RatingError]>) -> Result<Picture, String> {
    let errors = errors.ok_or_else(|| "it needs validation rows".to_owned())?;
    let shown: Vec<(&RatingError, f64, f64)> = errors
        .iter()
        .filter(|error| error.rating.is_finite())
        .filter_map(|error| Some((error, drawable(error.mean_error)?, drawable(error.mae)?)))
        .collect();
    let values = shown.iter().flat_map(|(_, mean, mae)| [*mean, *mae, 0.0]);
    let (Some(domain), Some(heading)) = (extent(values), heading(&shown)) else {
        return Err("no rating has a finite error".to_owned());
    };
    let slot = (AREA.right - AREA.left) / shown.len() as f64;
    let half = slot / 2.0;
    let mut plot = Plot {
        svg: Svg::new(SIZE[0], SIZE[1], &format!("Errors of predictions by actual rating. {heading}.")),
        area: AREA,
        x: Scale {
            domain: [0.0, shown.len() as f64 - if shown.len() > 1 { 1.0 } else { 0.0 }],
            range: [AREA.left + half, AREA.right - half],
        },
        y: Scale::nice(domain, [AREA.bottom, AREA.top], 6),
    };
    if shown.len() == 1 {
        plot.x = Scale { domain: [-1.0, 1.0], range: [AREA.left, AREA.right] };
    }
    plot.draw_y(6, "Error, prediction minus rating (rating units)");
    draw_bars(&mut plot, &shown, slot);
    draw_ratings(&mut plot, &shown, slot);
    draw_names(&mut plot, &shown);
    let mut caption =
        "Bars show the mean error, above zero where the model predicts too high and below where too low; \
                       dots show how large an error is on average, whatever its sign."
            .to_owned();
    if shown.len() < errors.len() {
        caption += &format!(
            " Left out: {} whose errors are not finite.",
            text::counted(errors.len() - shown.len(), "rating", "ratings")
        );
    }
    Ok(Picture { heading, caption, svg: plot.svg.finish(), is_wide: false })
}

fn draw_bars(plot: &mut Plot, shown: &[(&RatingError, f64, f64)], slot: f64) {
    let half = (slot * 0.28).clamp(0.5, 22.0);
    for (place, (error, mean, mae)) in shown.iter().enumerate() {
        let (x, zero, end) = (plot.x.at(place as f64), plot.y.at(0.0), plot.y.at(*mean));
        let bar = Area { left: x - half, top: zero.min(end), right: x + half, bottom: zero.max(end) };
        plot.svg.rectangle(if *mean < 0.0 { "orange" } else { "blue" }, bar, &hint(error, *mean, *mae));
    }
    let zero = plot.y.at(0.0);
    plot.svg.line("zero", [AREA.left, zero], [AREA.right, zero]);
    let dots: Vec<(Point, String)> = shown
        .iter()
        .enumerate()
        .map(|(place, (error, mean, mae))| ([plot.x.at(place as f64), plot.y.at(*mae)], hint(error, *mean, *mae)))
        .collect();
    plot.svg.path("ink-line", dots.iter().map(|(place, _)| *place));
    let radius = (slot * 0.25).clamp(1.0, 5.0);
    for (place, hint) in dots {
        plot.svg.disc("ink dot", place, radius, &hint);
    }
}

/// Each rating and how often it was given; every second, third, ... where there is no room for all.
fn draw_ratings(plot: &mut Plot, shown: &[(&RatingError, f64, f64)], slot: f64) {
    let labels: Vec<_> = shown.iter().map(|(error, ..)| (text::level(error.rating), text::count(error.n))).collect();
    let widest = |label: &dyn Fn(&(String, String)) -> f64| labels.iter().map(label).fold(0.0, f64::max);
    let stride = (((widest(&|label| text::width(&label.0, 12.0)) + 6.0) / slot).ceil() as usize).max(1);
    let has_counts = widest(&|label| text::width(&label.1, 11.0)) + 4.0 <= slot * stride as f64;
    for (place, (rating, n)) in labels.iter().enumerate().step_by(stride) {
        let x = plot.x.at(place as f64);
        plot.svg.text("", Anchor::Middle, [x, AREA.bottom + 20.0], rating);
        if has_counts {
            plot.svg.text("note small", Anchor::Middle, [x, AREA.bottom + 36.0], n);
        }
    }
    if has_counts {
        plot.svg.text("note small", Anchor::Start, [AREA.right + 10.0, AREA.bottom + 36.0], "ratings");
    }
    plot.title_x(AREA.bottom + 60.0, "Actual rating (rating units)");
}

/// What bars and dots are, right of the last of them.
fn draw_names(plot: &mut Plot, shown: &[(&RatingError, f64, f64)]) {
    let Some((_, mean, mae)) = shown.last() else {
        return;
    };
    let places = apart(plot.y.at(*mean / 2.0), plot.y.at(*mae), 40.0);
    let colour = if *mean < 0.0 { "orange-text" } else { "blue-text" };
    for ((place, class), lines) in
        places.into_iter().zip([colour, ""]).zip([["mean", "error"], ["mean absolute", "error"]])
    {
        for (line, y) in lines.into_iter().zip([-2.0, 13.0]) {
            plot.svg.text(class, Anchor::Start, [AREA.right + 10.0, place + y], line);
        }
    }
}

fn hint(error: &RatingError, mean: f64, mae: f64) -> String {
    let (rating, n) = (text::level(error.rating), text::count(error.n));
    format!("Rating {rating} ({n} times): mean error {}, mean absolute error {}", text::number(mean), text::number(mae))
}

fn heading(shown: &[(&RatingError, f64, f64)]) -> Option<String> {
    let further = |worst: &(_, f64, _), error: &(_, f64, _)| error.1.abs() > worst.1.abs();
    let worst = shown.iter().copied().reduce(|worst, error| if further(&worst, &error) { error } else { worst })?;
    let (error, mean, _) = worst;
    let side = if mean < 0.0 { "low" } else { "high" };
    let (rating, size) = (text::level(error.rating), text::number(mean.abs()));
    Some(format!("Ratings of {rating} are furthest off, {size} too {side} on average"))
}
