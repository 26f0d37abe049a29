//! Places for the labels of dots: none overlaps another label or a labelled dot, each lies within the picture.
//!
//! Greedy, in the order of the dots: near places first, further ones with a leader line; then those without a place have
//! one neighbour moved. A label that still finds none is left out. The same dots always give the same places.

use super::svg::{Area, Point};

/// A dot that may get a label.
#[derive(Clone, Copy, Debug)]
pub struct Dot {
    /// Its middle.
    pub place: Point,
    /// Its radius.
    pub radius: f64,
    /// The most that its label is wide.
    pub width: f64,
}

/// Where a label stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    /// The room that it takes.
    pub area: Area,
    /// How its text is aligned in it: -1 at the left side, 0 in the middle, 1 at the right side.
    pub side: i8,
    /// The line from the dot to the label, where they are not side by side.
    pub leader: Option<[Point; 2]>,
}

impl Label {
    /// How long the leader line is.
    fn length(&self) -> f64 {
        self.leader.map_or(0.0, |[start, end]| (end[0] - start[0]).hypot(end[1] - start[1]))
    }
}

/// From the rim of a dot to its label, in pixels: first side by side, then further away.
const DISTANCES: [f64; 11] = [2.0, 9.0, 16.0, 25.0, 36.0, 50.0, 66.0, 84.0, 104.0, 128.0, 156.0];

/// Above this distance there is a leader line.
const NEAR: f64 = 6.0;

/// Directions in sixteenths of a turn, clockwise from the right, as they please the eye: right, left, then the corners.
const DIRECTIONS: [u8; 16] = [0, 8, 14, 2, 10, 6, 15, 1, 9, 7, 12, 4, 13, 3, 11, 5];

/// A label beside another dot than its own is as bad as so many covered places.
const DOUBT: usize = 4;

/// So many labels around one without a place are asked to move.
const NEIGHBOURS: usize = 16;

/// Between labels, and between labels and lines.
const MARGIN: f64 = 2.0;

/// The place of each dot's label, `height` high and within `area`; `quiet` places are better left free, but may be covered.
pub fn labels(dots: &[Dot], quiet: &[Point], height: f64, area: &Area) -> Vec<Option<Label>> {
    let room = Room { dots, quiet, height, area };
    let mut placed = vec![None; dots.len()];
    for number in 0..dots.len() {
        let found = room.find(number, &placed);
        place(&mut placed, number, found);
    }
    for number in 0..dots.len() {
        if placed.get(number) == Some(&None) {
            room.make_way(number, &mut placed);
        }
    }
    placed
}

/// Where labels are placed.
struct Room<'a> {
    dots: &'a [Dot],
    quiet: &'a [Point],
    height: f64,
    area: &'a Area,
}

impl Room<'_> {
    /// The best free place of a dot's label beside those that are placed.
    fn find(&self, number: usize, placed: &[Option<Label>]) -> Option<Label> {
        let dot = self.dots.get(number)?;
        let others = || self.dots.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, dot)| dot);
        let is_free = |label: &Label| {
            self.area.contains(&label.area)
                && placed.iter().flatten().all(|other| keep_apart(label, other))
                && others().all(|other| avoids(label, dot, other))
                && !label.area.overlaps(&around(dot, 0.0))
        };
        let burden = |label: &Label| {
            let covered = self.quiet.iter().filter(|place| label.area.nearest(**place) == **place).count();
            // Beside another dot a label may be taken for that one's.
            let near = label.area.grown(NEAR);
            covered + DOUBT * others().filter(|other| near.overlaps(&around(other, 0.0))).count()
        };
        DISTANCES.iter().find_map(|distance| {
            let candidates = DIRECTIONS.iter().map(|direction| candidate(dot, *direction, *distance, self.height));
            candidates.filter(is_free).min_by_key(burden)
        })
    }

    /// Places a label that found no place by moving one neighbour's to another one: the neighbour with which both end up
    /// nearest to their dots.
    fn make_way(&self, number: usize, placed: &mut [Option<Label>]) {
        let mut best: Option<(f64, usize, Label, Label)> = None;
        for neighbour in self.neighbours(number) {
            let before = placed.get(neighbour).copied().flatten();
            if before.is_none() {
                continue;
            }
            place(placed, neighbour, None);
            if let Some(label) = self.find(number, placed) {
                place(placed, number, Some(label));
                if let Some(moved) = self.find(neighbour, placed) {
                    let length = label.length() + moved.length();
                    if best.as_ref().is_none_or(|(shortest, ..)| length < *shortest) {
                        best = Some((length, neighbour, label, moved));
                    }
                }
                place(placed, number, None);
            }
            place(placed, neighbour, before);
        }
        if let Some((_, neighbour, label, moved)) = best {
            place(placed, number, Some(label));
            place(placed, neighbour, Some(moved));
        }
    }

    /// The dots around one, the nearest first.
    fn neighbours(&self, number: usize) -> Vec<usize> {
        let Some(dot) = self.dots.get(number) else {
            return Vec::new();
        };
        let mut others: Vec<_> = (0..self.dots.len()).filter(|other| *other != number).collect();
        let distance = |other: &Dot| (other.place[0] - dot.place[0]).hypot(other.place[1] - dot.place[1]);
        others.sort_by(|one, other| f64::total_cmp(&distance(&self.dots[*one]), &distance(&self.dots[*other])));
        others.truncate(NEIGHBOURS);
        others
    }
}

fn place(placed: &mut [Option<Label>], number: usize, label: Option<Label>) {
    if let Some(slot) = placed.get_mut(number) {
        *slot = label;
    }
}

fn candidate(dot: &Dot, direction: u8, distance: f64, height: f64) -> Label {
    let turn = f64::from(direction) / 16.0 * std::f64::consts::TAU;
    let (right, down) = (turn.cos(), turn.sin());
    let ([x, y], reach) = (dot.place, dot.radius + distance);
    let near = [x + right * reach, y + down * reach];
    // Right of the dot the left side of the label is near it, above it the middle of the lower side, and so on.
    let lean = |part: f64| (part * std::f64::consts::SQRT_2).clamp(-1.0, 1.0);
    let left = near[0] - dot.width * (1.0 - lean(right)) / 2.0;
    let top = near[1] - height * (1.0 - lean(down)) / 2.0;
    let area = Area { left, top, right: left + dot.width, bottom: top + height };
    let side = if right > 0.3 { -1 } else { i8::from(right < -0.3) };
    let end = area.nearest(dot.place);
    let length = (end[0] - x).hypot(end[1] - y);
    let leader = (distance > NEAR && length > dot.radius).then(|| {
        let start = dot.radius / length;
        [[x + (end[0] - x) * start, y + (end[1] - y) * start], end]
    });
    Label { area, side, leader }
}

/// Whether two labels, and their leader lines, keep off each other.
fn keep_apart(one: &Label, other: &Label) -> bool {
    let crosses = |line: Option<[Point; 2]>, label: &Label| {
        line.is_some_and(|[start, end]| label.area.grown(MARGIN).is_crossed(start, end))
    };
    let lines_cross = one.leader.zip(other.leader).is_some_and(|(one, other)| cross(one, other));
    !one.area.grown(MARGIN).overlaps(&other.area)
        && !crosses(one.leader, other)
        && !crosses(other.leader, one)
        && !lines_cross
}

/// Whether the label of a dot keeps off another dot; a line may leave a dot that lies under its own.
fn avoids(label: &Label, dot: &Dot, obstacle: &Dot) -> bool {
    let distance = (dot.place[0] - obstacle.place[0]).hypot(dot.place[1] - obstacle.place[1]);
    let lies_under = distance < obstacle.radius;
    let crosses = label.leader.is_some_and(|[start, end]| around(obstacle, 1.0).is_crossed(start, end));
    !label.area.overlaps(&around(obstacle, 1.0)) && (lies_under || !crosses)
}

fn around(dot: &Dot, margin: f64) -> Area {
    let [x, y] = dot.place;
    Area { left: x, top: y, right: x, bottom: y }.grown(dot.radius + margin)
}

/// Whether two lines meet: the ends of each lie on different sides of the other.
fn cross([a, b]: [Point; 2], [c, d]: [Point; 2]) -> bool {
    let side = |[px, py]: Point, [qx, qy]: Point, [rx, ry]: Point| (qx - px) * (ry - py) - (qy - py) * (rx - px);
    side(a, b, c) * side(a, b, d) <= 0.0 && side(c, d, a) * side(c, d, b) <= 0.0
}
