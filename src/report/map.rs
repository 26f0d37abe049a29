//! The map of items: the first two principal components of their factors, the most rated ones with their names.

use super::axis::{Scale, drawable, extent};
use super::page::Picture;
use super::place::{Dot, Label, labels};
use super::plot::Plot;
use super::svg::{Anchor, Area, Point, Svg};
use super::{ItemMap, MapPoint, text};

const WIDTH: f64 = 1160.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 36.0;
const LOWEST: f64 = 560.0;
const HIGHEST: f64 = 860.0;

/// The size of the names and the height that they take: ascent and descent of the tallest font in use.
const SIZE: f64 = 12.0;
const HEIGHT: f64 = 16.5;
const ASCENT: f64 = 12.8;

/// The widest name.
const WIDEST: f64 = 190.0;

/// The most rated items have names, the next ones only dots.
const MOST_NAMES: usize = 60;
const MOST_DOTS: usize = 500;

/// A point that can be drawn, in components and then on the page.
struct Item<'a> {
    point: &'a MapPoint,
    place: Point,
}

/// The map, or why it cannot be drawn.
pub fn draw(map: Option<&ItemMap>) -> Result<Picture, String> {
    let map = map.ok_or_else(|| "the model has no item factors with two components".to_owned())?;
    let items = most_rated(&map.points);
    let (Some(x), Some(y)) =
        (extent(items.iter().map(|item| item.place[0])), extent(items.iter().map(|item| item.place[1])))
    else {
        return Err("no item has finite components".to_owned());
    };
    let heading = heading(map.explained);
    let mut plot = frame(x, y, &heading);
    plot.draw_y(9, &title("Second", map.explained[1]));
    plot.draw_x(12, &title("First", map.explained[0]));
    let items: Vec<_> = items
        .into_iter()
        .map(|Item { point, place: [x, y] }| Item { point, place: [plot.x.at(x), plot.y.at(y)] })
        .collect();
    let (named, quiet) = items.split_at(items.len().min(MOST_NAMES));
    for item in quiet {
        plot.svg.disc("far", item.place, 1.75, &hint(item.point));
    }
    let most = named.first().map_or(1, |item| item.point.n_ratings).max(1);
    let least = named.last().map_or(0, |item| item.point.n_ratings);
    let names: Vec<_> = named.iter().map(|item| text::shorten(&item.point.label, SIZE, WIDEST)).collect();
    let dots: Vec<_> = named
        .iter()
        .zip(&names)
        .map(|(item, name)| Dot {
            place: item.place,
            radius: 3.0 + 4.0 * (item.point.n_ratings as f64 / most as f64).sqrt(),
            width: text::width(name, SIZE),
        })
        .collect();
    let quiet: Vec<_> = quiet.iter().map(|item| item.place).collect();
    let labels = labels(&dots, &quiet, HEIGHT, &plot.area);
    draw_items(&mut plot.svg, named, &names, &dots, &labels);
    let n_nameless = labels.iter().filter(|label| label.is_none()).count();
    let n_missing = map.points.iter().filter(|point| components(point).is_none()).count();
    let caption = caption([least, most], [quiet.len(), n_nameless, n_missing]);
    Ok(Picture { heading, caption, svg: plot.svg.finish(), is_wide: true })
}

/// The points that can be drawn, the most rated first; among equals, as given.
fn most_rated(points: &[MapPoint]) -> Vec<Item<'_>> {
    let mut items: Vec<_> = points.iter().filter_map(|point| Some(Item { point, place: components(point)? })).collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.point.n_ratings));
    items.truncate(MOST_DOTS);
    items
}

fn components(point: &MapPoint) -> Option<Point> {
    Some([drawable(point.x)?, drawable(point.y)?])
}

/// A unit is as long on both axes, so that distances can be compared; the picture is as high as the points then need.
fn frame(x: [f64; 2], y: [f64; 2], heading: &str) -> Plot {
    let padded = |extent: [f64; 2], part: f64| {
        let [lo, hi] = Scale::new(extent, [0.0, 1.0]).domain;
        [lo - (hi - lo) * part, hi + (hi - lo) * part]
    };
    let (x, y) = (padded(x, 0.06), padded(y, 0.05));
    let (width, spans) = (WIDTH - LEFT - 8.0, [x[1] - x[0], y[1] - y[0]]);
    let height = (width / spans[0] * spans[1]).clamp(LOWEST, HIGHEST);
    let unit = (spans[0] / width).max(spans[1] / height);
    let around = |[lo, hi]: [f64; 2], length: f64| {
        let (middle, half) = (lo / 2.0 + hi / 2.0, unit * length / 2.0);
        [middle - half, middle + half]
    };
    let area = Area { left: LEFT, top: TOP, right: LEFT + width, bottom: TOP + height };
    Plot {
        svg: Svg::new(WIDTH, area.bottom + 46.0, &format!("Scatter plot of the most rated items. {heading}.")),
        area,
        x: Scale::new(around(x, width), [area.left, area.right]),
        y: Scale::new(around(y, height), [area.bottom, area.top]),
    }
}

fn draw_items(svg: &mut Svg, items: &[Item], names: &[String], dots: &[Dot], labels: &[Option<Label>]) {
    for [start, end] in labels.iter().flatten().filter_map(|label| label.leader) {
        svg.line("leader", start, end);
    }
    // Small dots on large ones.
    for (item, dot) in items.iter().zip(dots) {
        svg.disc("blue dot", dot.place, dot.radius, &hint(item.point));
    }
    for ((item, name), label) in items.iter().zip(names).zip(labels) {
        let Some(Label { area, side, .. }) = label else {
            continue;
        };
        let (anchor, x) = match side {
            -1 => (Anchor::Start, area.left),
            0 => (Anchor::Middle, (area.left + area.right) / 2.0),
            _ => (Anchor::End, area.right),
        };
        svg.hinted_text("name halo", anchor, [x, area.top + ASCENT], name, &hint(item.point));
    }
}

fn hint(point: &MapPoint) -> String {
    format!("{}: {} ratings", point.label, text::count(point.n_ratings))
}

fn heading([first, second]: [f64; 2]) -> String {
    match share(first).zip(share(second)) {
        Some((first, second)) => {
            let both = text::percent((first + second).min(1.0));
            format!("Two directions hold {both} of what tells the items apart")
        }
        None => "The items along the two directions that tell them apart most".to_owned(),
    }
}

fn title(which: &str, explained: f64) -> String {
    let share =
        share(explained).map_or_else(String::new, |share| format!("{} of the variance, ", text::percent(share)));
    format!("{which} principal component of the item factors ({share}factor units)")
}

fn share(explained: f64) -> Option<f64> {
    (0.0..=1.0).contains(&explained).then_some(explained)
}

fn caption([least, most]: [u64; 2], [n_quiet, n_nameless, n_missing]: [usize; 3]) -> String {
    let (least, most) = (text::count(least), text::count(most));
    let mut caption = format!(
        "Items that the same users like lie close together; the area of a blue dot grows with its number of ratings \
         ({least} to {most})."
    );
    if n_quiet > 0 {
        caption += &format!(" Grey dots are the {} next most rated items.", text::count(n_quiet as u64));
    }
    if n_nameless > 0 {
        caption += &format!(" Names left out because they found no room: {n_nameless}.");
    }
    if n_missing > 0 {
        caption += &format!(" Items left out because their components are not finite: {n_missing}.");
    }
    caption
}
