//! The page of pictures: what it must hold, and what no text and no number may do to it.

mod html;
mod samples;

use std::collections::BTreeSet;
use std::path::Path;

use cofi::report::axis::{Scale, drawable, ticks};
use cofi::report::palette::{GRADES, PALETTE};
use cofi::report::place::{Dot, Label, labels};
use cofi::report::svg::Area;
use cofi::report::{ConfusionPicture, EpochPoint, Report, html, text};
use cofi::rng::Rng;

use html::{Element, elements, text_of};
use samples::{hostile, large, ordinary};

const IDS: [&str; 5] = ["loss", "errors", "map", "confusion", "bias"];

/// Also leaves the pages where `make report_test` opens them in a browser.
#[test]
fn every_sample_is_a_well_formed_page_with_all_pictures() {
    for (name, report) in [("ordinary", ordinary()), ("large", large()), ("hostile", hostile())] {
        let page = html(&report);
        assert_eq!(page, html(&report.clone()), "{name}: another text the second time");
        let elements = elements(&page);
        for id in IDS {
            let found = elements.iter().filter(|element| element.get("id") == Some(id)).count();
            assert_eq!(found, 1, "{name}: {id}");
        }
        let pictures: Vec<_> = elements.iter().filter(|element| element.name == "svg").collect();
        assert_eq!(pictures.len(), IDS.len(), "{name}");
        for picture in pictures {
            assert_eq!(picture.get("role"), Some("img"), "{name}");
            assert!(picture.get("aria-label").is_some_and(|label| label.len() > 20), "{name}");
        }
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}.html"));
        std::fs::write(&path, page).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn texts_are_only_text() {
    let page = html(&hostile());
    // Whoever writes an element or an attribute of his own shows up among those that the page has of itself.
    let allowed: BTreeSet<String> =
        elements(&html(&ordinary())).iter().flat_map(|element| element.signature()).collect();
    for part in elements(&page).iter().flat_map(Element::signature) {
        assert!(allowed.contains(&part), "{part}");
    }
    for character in page.chars().filter(|character| *character != '\n') {
        assert!(!character.is_control(), "{character:?}");
        assert!(!matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'), "{character:?}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("&quot; onload=&quot;alert(1)"));
}

#[test]
fn numbers_that_are_not_finite_stay_out() {
    let page = html(&hostile());
    for word in ["NaN", "inf<", "inf,", "inf ", "\"inf\"", "-inf"] {
        assert!(!page.contains(word), "{word}");
    }
    let places = ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"];
    for element in elements(&page) {
        for (name, value) in element.attributes.iter().filter(|(name, _)| places.contains(&name.as_str())) {
            // All samples of a picture lie in it or close by, drawn at full size.
            assert!(value.parse().is_ok_and(|number: f64| number.abs() < 2_000.0), "{} {name}={value}", element.name);
        }
    }
    // Of 12 numbers 3 are not finite and 2 too large to be drawn.
    assert!(page.contains("Left out: 10 losses, not finite."), "losses");
    assert!(page.contains("Left out: 5 ratings whose errors are not finite."), "errors");
    assert!(page.contains("Left out: 10 biases, not finite."), "biases");
    let mut report = ordinary();
    report.confusion.iter_mut().for_each(|confusion| confusion.levels[1] = f32::NAN);
    assert!(html(&report).contains("is not shown: not all of its levels are finite."));
    assert_eq!([f64::NAN, f64::INFINITY, 1e101, 5e-324, -2.0].map(drawable), [None, None, None, Some(0.0), Some(-2.0)]);
}

#[test]
fn what_is_missing_is_said() {
    let page = html(&Report::default());
    let parts = elements(&page);
    assert!(parts.iter().all(|element| element.name != "svg"));
    for id in IDS {
        let note = parts.iter().find(|element| element.get("id") == Some(id)).unwrap();
        assert_eq!((note.name.as_str(), note.get("class")), ("p", Some("missing")), "{id}");
    }
    assert_eq!(page.matches("is not shown: ").count(), IDS.len());

    type Removal = fn(&mut Report);
    let without: [(&str, Removal); 5] = [
        ("loss", |report| report.epochs.clear()),
        ("errors", |report| report.errors_by_rating = None),
        ("map", |report| report.map = None),
        ("confusion", |report| {
            report.confusion = Some(ConfusionPicture { levels: vec![1.0, 2.0], counts: vec![1; 3] })
        }),
        ("bias", |report| report.biases = None),
    ];
    for (id, remove) in without {
        let mut report = ordinary();
        remove(&mut report);
        let page = html(&report);
        assert!(page.contains(&format!("<p class=\"missing\" id=\"{id}\">")), "{id}");
        assert_eq!(page.matches("<svg ").count(), IDS.len() - 1, "{id}");
    }
}

#[test]
fn without_validation_the_training_loss_is_drawn_alone() {
    let epoch = |epoch, train_loss| EpochPoint { epoch, train_loss, valid_loss: None };
    let report = Report { epochs: vec![epoch(1, 2.0), epoch(2, 1.0)], ..Report::default() };
    let page = html(&report);
    assert!(page.contains("The training loss falls from 2.00 to 1.00 in 2 epochs"));
    assert!(!page.contains(">validation<") && page.contains(">training<"));
    let single = html(&Report { epochs: vec![epoch(3, 0.25)], ..Report::default() });
    assert!(single.contains("The training loss is 0.250 after epoch 3"));
}

#[test]
fn marks_lie_where_their_numbers_say() {
    let parts = elements(&html(&ordinary()));
    // Losses of 0.6 + 2^-n: every fall is half the one before, on paper too.
    let line = parts.iter().find(|element| element.get("class") == Some("quiet-line")).unwrap();
    let heights: Vec<f64> =
        line.get("points").unwrap().split(' ').map(|point| number(point.split(',').nth(1))).collect();
    let falls: Vec<f64> = heights.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(falls.len(), 5);
    for pair in falls.windows(2) {
        assert!((pair[1] / pair[0] - 0.5).abs() < 0.01, "{falls:?}");
    }
    // Bars of biases: 1.00 to 0.55 to one side, -0.5 to -1.4 to the other.
    let widths = |class: &str| -> Vec<f64> {
        let bars = parts.iter().filter(|element| element.name == "rect" && element.get("class") == Some(class));
        bars.filter(|bar| number(bar.get("height")) == 16.0).map(|bar| number(bar.get("width"))).collect()
    };
    let (blue, orange) = (widths("blue"), widths("orange"));
    assert_eq!((blue.len(), orange.len()), (10, 10));
    assert!((blue[0] / blue[9] - 1.0 / 0.55).abs() < 0.01, "{blue:?}");
    assert!((orange[9] / blue[0] - 1.4).abs() < 0.01, "{orange:?}");
}

#[test]
fn the_matrix_prints_counts_and_shares() {
    // Rows of 100: shares are the counts. On the diagonal 30 + 80 + 75 of 300.
    let page = html(&ordinary());
    assert!(page.contains("62\u{a0}% of 300 ratings are predicted at their own level"));
    let cells: Vec<String> = text_of(&page, "text").into_iter().filter(|text| text.ends_with("\u{a0}%")).collect();
    let expected = ["30", "60", "10", "5.0", "80", "15", "0", "25", "75"].map(|share| format!("{share}\u{a0}%"));
    assert_eq!(cells, expected);
    // Of the largest share, 80 %: 60 / 80 of 8 grades is 6.
    assert!(
        page.contains("class=\"heat-8\"") && page.contains("class=\"heat-6\"") && page.contains("class=\"heat-0\"")
    );
}

#[test]
fn names_on_the_map_are_drawn_or_counted() {
    for (report, at_least) in [(ordinary(), 45), (large(), 10)] {
        let page = html(&report);
        let drawn = page.matches("<text class=\"name halo\"").count();
        let left_out = page
            .split_once("found no room: ")
            .map_or(0, |(_, rest)| rest.split('.').next().and_then(|count| count.parse().ok()).unwrap_or(usize::MAX));
        assert_eq!(drawn + left_out, 60);
        assert!(drawn >= at_least, "{drawn} names");
    }
    // The most rated items have the names, whatever their order.
    let mut report = ordinary();
    let names = text_of(&html(&report), "text");
    report.map.iter_mut().for_each(|map| map.points.reverse());
    assert_eq!(text_of(&html(&report), "text"), names);
}

#[test]
fn labels_keep_apart() {
    let area = Area { left: 50.0, top: 30.0, right: 1150.0, bottom: 700.0 };
    let mut rng = Rng::new(5);
    let mut random = |n: usize, spread: f64, widest: f64| -> Vec<Dot> {
        let dot = |rng: &mut Rng| Dot {
            place: [600.0 + (rng.uniform() - 0.5) * spread, 360.0 + (rng.uniform() - 0.5) * spread * 0.6],
            radius: 3.0 + 4.0 * rng.uniform(),
            width: 10.0 + (widest - 10.0) * rng.uniform(),
        };
        (0..n).map(|_| dot(&mut rng)).collect()
    };
    let dot = |x, y, width| Dot { place: [x, y], radius: 5.0, width };
    let mut cases = vec![
        ("nothing", vec![], 0),
        ("one", vec![dot(600.0, 300.0, 80.0)], 1),
        ("all equal", vec![dot(600.0, 300.0, 80.0); 60], 4),
        ("a line", (0..60u8).map(|place| dot(60.0 + 18.0 * f64::from(place), 300.0, 120.0)).collect(), 20),
        ("the corners", vec![dot(50.0, 30.0, 100.0), dot(1150.0, 700.0, 100.0), dot(50.0, 700.0, 100.0)], 3),
        ("too wide", vec![dot(600.0, 300.0, 5_000.0); 3], 0),
        ("no width", vec![dot(600.0, 300.0, 0.0); 9], 1),
        ("outside", vec![dot(-500.0, 9_000.0, 80.0)], 0),
    ];
    for spread in [1000.0, 500.0, 200.0, 60.0, 5.0] {
        cases.push(("random", random(60, spread, 190.0), if spread > 300.0 { 40 } else { 4 }));
    }
    for (name, dots, at_least) in cases {
        let quiet: Vec<_> = dots.iter().map(|dot| [dot.place[0] + 30.0, dot.place[1]]).collect();
        let placed = labels(&dots, &quiet, 16.0, &area);
        assert_eq!(placed, labels(&dots, &quiet, 16.0, &area), "{name}: other places the second time");
        assert_eq!(placed.len(), dots.len(), "{name}");
        let n_placed = placed.iter().flatten().count();
        assert!(n_placed >= at_least, "{name}: {n_placed} labels");
        for (number, label) in placed.iter().enumerate().filter_map(|(number, label)| Some((number, label.as_ref()?))) {
            let Area { left, top, right, bottom } = label.area;
            assert!(left >= area.left && top >= area.top && right <= area.right && bottom <= area.bottom, "{name}");
            assert!((right - left - dots[number].width).abs() < 1e-9 && (bottom - top - 16.0).abs() < 1e-9, "{name}");
            let others = placed.iter().enumerate().filter(|(other, _)| *other != number);
            for other in others.filter_map(|(_, other)| other.as_ref()) {
                assert!(are_apart(&label.area, &other.area), "{name}: {label:?} over {other:?}");
                assert!(!runs_through(other, &label.area), "{name}: the line of {other:?} through {label:?}");
            }
            for dot in &dots {
                let nearest = [dot.place[0].clamp(left, right), dot.place[1].clamp(top, bottom)];
                let distance = (dot.place[0] - nearest[0]).hypot(dot.place[1] - nearest[1]);
                assert!(distance >= dot.radius - 1e-9, "{name}: {label:?} over {dot:?}");
            }
        }
    }
}

#[test]
fn ticks_are_round_numbers() {
    let cases: [(f64, f64, usize, &[f64]); 8] = [
        (0.0, 1.0, 6, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.46, 0.89, 6, &[0.5, 0.6, 0.7, 0.8]),
        (1.0, 8.0, 8, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        (1.0, 4100.0, 6, &[1000.0, 2000.0, 3000.0, 4000.0]),
        (-1.2, 1.9, 5, &[-1.0, 0.0, 1.0]),
        (1e-9, 3e-9, 4, &[1e-9, 2e-9, 3e-9]),
        (2.0, 2.0, 5, &[]),
        (0.0, f64::NAN, 5, &[]),
    ];
    for (lo, hi, at_most, expected) in cases {
        let found = ticks(lo, hi, at_most);
        assert_eq!(found.len(), expected.len(), "{lo} to {hi}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= expected.abs() * 1e-12, "{lo} to {hi}: {found} for {expected}");
        }
    }
    let mut rng = Rng::new(3);
    for _ in 0..20_000 {
        let size = 10f64.powf(rng.uniform() * 60.0 - 30.0);
        let lo = (rng.uniform() - 0.5) * size;
        let hi = lo + size * (0.001 + rng.uniform());
        let at_most = 2 + rng.below(12) as usize;
        let found = ticks(lo, hi, at_most);
        // From one step to the next are at most two and a half: no fewer than that part of what was allowed.
        let least = (at_most as f64 / 2.5).floor() as usize;
        assert!((least..=at_most).contains(&found.len()), "{lo} to {hi}, {at_most}: {found:?}");
        let slack = (hi - lo) * 1e-6;
        assert!(found.iter().all(|tick| (lo - slack..=hi + slack).contains(tick)), "{lo} to {hi}: {found:?}");
        if let [first, second, ..] = found[..] {
            let step = second - first;
            let digit = step / 10f64.powf((step.log10() + 1e-6).floor());
            assert!([1.0, 2.0, 5.0].iter().any(|round| (digit - round).abs() < 1e-4), "step {step}");
            let multiple = first / step;
            assert!((multiple - multiple.round()).abs() < 1e-3, "{first} is no multiple of {step}");
        }
    }
}

#[test]
fn scales_reach_from_end_to_end() {
    let scale = Scale::nice([0.46, 0.89], [300.0, 20.0], 6);
    assert!((scale.domain[0] - 0.4).abs() < 1e-12 && (scale.domain[1] - 0.9).abs() < 1e-12, "{scale:?}");
    assert_eq!([scale.at(scale.domain[0]), scale.at(scale.domain[1])], [300.0, 20.0]);
    let labels: Vec<_> = scale.ticks(6).into_iter().map(|(_, label)| label).collect();
    assert_eq!(labels, ["0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]);
    for flat in [0.0, 3.0, -1e-90, 1e99, 1e9] {
        let scale = Scale::nice([flat, flat], [0.0, 100.0], 5);
        assert!((0.0..=100.0).contains(&scale.at(flat)), "{scale:?}");
        let labels: BTreeSet<_> = scale.ticks(5).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels.len(), scale.ticks(5).len(), "labels that cannot be told apart: {labels:?}");
    }
}

#[test]
fn numbers_read_well() {
    let numbers = [0.0, -0.0001, 0.8154, -1.2345, 12.34, 123.4, 40_621.4, 2.5e-7, -3e9, 0.0];
    let expected =
        ["0.000", "−1.00×10⁻⁴", "0.815", "−1.23", "12.3", "123", "40,621", "2.50×10⁻⁷", "−3.00×10⁹", "0.000"];
    assert_eq!(numbers.map(text::number), expected);
    assert_eq!(
        [0.0, 0.041, 0.099, 0.0999, 0.37, 1.0].map(text::percent).map(|text| text.replace('\u{a0}', " ")),
        ["0 %", "4.1 %", "9.9 %", "10 %", "37 %", "100 %"]
    );
    assert_eq!([7, 1_000, 1_234_567].map(text::count), ["7", "1,000", "1,234,567"]);
    assert_eq!([3.0, 0.5, -2.5, 1e30].map(text::level), ["3", "0.5", "−2.5", "1.00×10³⁰"]);
    assert_eq!(
        [(-1234.5, 1), (-0.004, 2), (1e6, 0)].map(|(value, decimals)| text::decimal(value, decimals)),
        ["−1,234.5", "0.00", "1,000,000"]
    );
}

#[test]
fn shortened_texts_fit() {
    for title in samples::TITLES {
        for room in [20.0, 60.0, 150.0, 1e4] {
            let short = text::shorten(title, 12.0, room);
            assert!(text::width(&short, 12.0) <= room, "{title:?} in {room}: {short:?}");
            assert!(short.ends_with('…') || short == text::clean(title).trim(), "{title:?} in {room}: {short:?}");
        }
    }
    // An em each, at least.
    assert!(text::width("七人の侍🎬", 10.0) >= 50.0);
}

#[test]
fn everything_can_be_read_in_light_and_dark() {
    let colours = |shade: fn(&cofi::report::palette::Colour) -> &'static str| {
        move |name: &str| {
            let colour = PALETTE.iter().find(|colour| colour.name == name);
            luminance(shade(colour.unwrap_or_else(|| panic!("no colour {name}"))))
        }
    };
    let light = colours(|colour| colour.light);
    let dark = colours(|colour| colour.dark);
    let heat: Vec<(String, String)> = (0..GRADES).map(|n| (format!("on-heat-{n}"), format!("heat-{n}"))).collect();
    let on_paper = |name: &str| (name.to_owned(), "paper".to_owned());
    let mut texts = heat;
    texts.extend(["ink", "quiet", "blue", "orange"].map(on_paper));
    let marks = ["far", "blue", "orange", "quiet", "ink"].map(on_paper);
    let pairs = texts.iter().map(|pair| (pair, 4.5)).chain(marks.iter().map(|pair| (pair, 3.0)));
    for ((front, back), least) in pairs {
        for (shade, luminance) in [("light", &light as &dyn Fn(&str) -> f64), ("dark", &dark)] {
            let contrast = contrast(luminance(front), luminance(back));
            assert!(contrast >= least, "{front} on {back}, {shade}: {contrast:.2}");
        }
    }
    assert!((contrast(luminance("#000000"), luminance("#ffffff")) - 21.0).abs() < 1e-9);

    // The page uses these colours and no others, and texts only those that were checked as such.
    let page = html(&ordinary());
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let rules = style.rsplit_once("{color-scheme:light}}\n").unwrap().1;
    assert!(!rules.contains('#') && !rules.contains("rgb"), "a colour outside the palette");
    for part in rules.split("var(--").skip(1) {
        let name = part.split(')').next().unwrap();
        assert!(PALETTE.iter().any(|colour| colour.name == name), "no colour {name}");
    }
    let checked: BTreeSet<&str> = texts.iter().map(|(front, _)| front.as_str()).collect();
    for element in elements(&page).iter().filter(|element| element.name == "text") {
        for class in element.get("class").unwrap_or_default().split_whitespace() {
            let fill = rules
                .lines()
                .filter(|line| selects(line, class))
                .find_map(|line| Some(line.split_once("fill:var(--")?.1.split(')').next().unwrap_or_default()));
            assert!(fill.is_none_or(|fill| checked.contains(fill)), "text of class {class} in {fill:?}");
        }
    }
}

/// Whether a line of the style sheet is a rule for a class.
fn selects(line: &str, class: &str) -> bool {
    let selectors = line.split('{').next().unwrap_or_default();
    selectors.split(',').any(|selector| selector.trim() == format!(".{class}"))
}

/// Relative luminance of `#rrggbb` (WCAG 2.2).
fn luminance(colour: &str) -> f64 {
    let channel = |place: usize| {
        let value = f64::from(u8::from_str_radix(&colour[place..place + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

/// Contrast ratio of two luminances (WCAG 2.2), 1 to 21.
fn contrast(one: f64, other: f64) -> f64 {
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn are_apart(one: &Area, other: &Area) -> bool {
    one.right <= other.left || other.right <= one.left || one.bottom <= other.top || other.bottom <= one.top
}

/// Whether one of many points along a label's leader line lies within an area.
fn runs_through(label: &Label, area: &Area) -> bool {
    label.leader.is_some_and(|[from, to]| {
        (0..=1_000u16).map(|part| f64::from(part) / 1_000.0).any(|part| {
            let [x, y] = [0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * part);
            area.left < x && x < area.right && area.top < y && y < area.bottom
        })
    })
}

fn number(text: Option<&str>) -> f64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no number: {text:?}"))
}
