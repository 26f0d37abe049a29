//! Loss by epoch: how training went.

use super::axis::{Scale, drawable, extent};
use super::page::Picture;
use super::plot::{Plot, apart};
use super::svg::{Anchor, Area, Point, Svg};
use super::{EpochPoint, text};

const SIZE: Point = [552.0, 352.0];
const AREA: Area = Area { left: 52.0, top: 36.0, right: 452.0, bottom: 300.0 };

/// More points than pixels say nothing more.
const MOST_POINTS: usize = 800;

/// Up to so many epochs each has a dot of its own.
const MOST_DOTS: usize = 25;

/// The curves of both losses, or why they cannot be drawn. `unit` is that of the losses.
pub fn draw(epochs: &[EpochPoint], unit: &str) -> Result<Picture, String> {
    let train = curve(epochs, |epoch| Some(epoch.train_loss));
    let valid = curve(epochs, |epoch| epoch.valid_loss);
    let both = || train.iter().chain(&valid);
    let (Some(span), Some(losses)) = (extent(both().map(|point| point[0])), extent(both().map(|point| point[1])))
    else {
        return Err("no epoch has a finite loss".to_owned());
    };
    let heading = heading(&train, &valid);
    let mut plot = Plot {
        svg: Svg::new(SIZE[0], SIZE[1], &format!("Line chart of the loss by epoch. {heading}.")),
        area: AREA,
        x: if span[0] < span[1] {
            Scale::new(span, [AREA.left + 8.0, AREA.right - 8.0])
        } else {
            Scale::new([span[0] - 0.5, span[0] + 0.5], [AREA.left, AREA.right])
        },
        y: Scale::nice(losses, [AREA.bottom, AREA.top], 6),
    };
    plot.draw_y(6, &format!("Loss ({})", text::shorten(unit, 12.0, 320.0)));
    draw_epochs(&mut plot, span);
    draw_curve(&mut plot, &train, "quiet");
    draw_curve(&mut plot, &valid, "blue");
    if let Some([epoch, loss]) = lowest(&valid) {
        let place = [plot.x.at(epoch), plot.y.at(loss)];
        plot.svg.disc("ring", place, 5.0, &format!("Lowest validation loss: {}, epoch {epoch}", text::number(loss)));
    }
    draw_names(&mut plot, &train, &valid);
    Ok(Picture { heading, caption: caption(epochs, &train, &valid), svg: plot.svg.finish(), is_wide: false })
}

/// The points of a curve that can be drawn: epoch and loss.
fn curve(epochs: &[EpochPoint], loss: impl Fn(&EpochPoint) -> Option<f64>) -> Vec<Point> {
    let points = epochs.iter().filter_map(|epoch| Some([epoch.epoch.into(), drawable(loss(epoch)?)?]));
    points.collect()
}

/// Whole epochs only; a single one has a tick of its own.
fn draw_epochs(plot: &mut Plot, [first, last]: Point) {
    let title = "Epoch (passes over the training ratings)";
    let at_most = (last - first + 1.0).clamp(2.0, 10.0) as usize;
    if first < last {
        plot.draw_x(at_most, title);
    } else {
        plot.svg.text("tick", Anchor::Middle, [plot.x.at(first), AREA.bottom + 18.0], &first.to_string());
        plot.title_x(AREA.bottom + 40.0, title);
    }
}

fn draw_curve(plot: &mut Plot, points: &[Point], colour: &str) {
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let shown: Vec<Point> = points
        .iter()
        .enumerate()
        .filter(|(place, _)| place.is_multiple_of(stride) || *place == last)
        .map(|(_, [epoch, loss])| [plot.x.at(*epoch), plot.y.at(*loss)])
        .collect();
    if shown.len() > 1 {
        plot.svg.path(&format!("{colour}-line"), shown);
    }
    if points.len() <= MOST_DOTS {
        for [epoch, loss] in points {
            let hint = format!("Epoch {epoch}: {}", text::number(*loss));
            plot.svg.disc(&format!("{colour} dot"), [plot.x.at(*epoch), plot.y.at(*loss)], 4.0, &hint);
        }
    }
}

/// The name of each curve and its last value, right of its end.
fn draw_names(plot: &mut Plot, train: &[Point], valid: &[Point]) {
    let end = |points: &[Point]| points.last().map(|point| (plot.y.at(point[1]), point[1]));
    let (train, valid) = (end(train), end(valid));
    let places = match (train, valid) {
        (Some((train, _)), Some((valid, _))) => apart(train, valid, 36.0),
        (train, valid) => [train, valid].map(|end| end.map_or(0.0, |(place, _)| place)),
    };
    let [shift_up, shift_down] = [AREA.top - 4.0, AREA.bottom + 4.0];
    for ((end, place), (name, class)) in
        [train, valid].into_iter().zip(places).zip([("training", "note"), ("validation", "blue-text")])
    {
        if let Some((_, loss)) = end {
            let place = place.clamp(shift_up, shift_down);
            plot.svg.text(class, Anchor::Start, [AREA.right + 10.0, place - 2.0], name);
            plot.svg.text(class, Anchor::Start, [AREA.right + 10.0, place + 13.0], &text::number(loss));
        }
    }
}

fn lowest(points: &[Point]) -> Option<Point> {
    points.iter().copied().reduce(|best, point| if point[1] < best[1] { point } else { best })
}

fn heading(train: &[Point], valid: &[Point]) -> String {
    let count = |epoch: &f64| text::decimal(*epoch, 0);
    if let Some([epoch, loss]) = lowest(valid) {
        return format!("The validation loss is lowest after epoch {}, at {}", count(&epoch), text::number(loss));
    }
    match (train.first(), train.last()) {
        (Some([_, first]), Some([epoch, last])) if last < first => {
            let [first, last] = [*first, *last].map(text::number);
            format!("The training loss falls from {first} to {last} in {} epochs", count(epoch))
        }
        (_, Some([epoch, last])) => {
            format!("The training loss is {} after epoch {}", text::number(*last), count(epoch))
        }
        _ => "The loss by epoch".to_owned(),
    }
}

fn caption(epochs: &[EpochPoint], train: &[Point], valid: &[Point]) -> String {
    let mut caption = if valid.is_empty() {
        "Lower is better; without validation rows nothing shows whether the model learns by heart.".to_owned()
    } else {
        "Lower is better: while both curves fall the model still learns; a validation loss (blue, ring at its lowest) \
         that rises again shows ratings learnt by heart."
            .to_owned()
    };
    let n_losses = epochs.len() + epochs.iter().filter(|epoch| epoch.valid_loss.is_some()).count();
    let n_missing = n_losses - train.len() - valid.len();
    if n_missing > 0 {
        caption += &format!(" Left out: {}, not finite.", text::counted(n_missing, "loss", "losses"));
    }
    caption
}
