//! Reports to look at: an ordinary one, a large one, and one whose texts and numbers mean harm.

use cofi::report::{BiasPicture, ConfusionPicture, EpochPoint, ItemMap, MapPoint, RatingError, Report};
use cofi::rng::Rng;

/// Titles that break a page which does not escape, measure or clean them.
pub const TITLES: [&str; 12] = [
    "<script>alert(1)</script>",
    "\" onload=\"alert(1)",
    "' & &amp; ]]> <!-- -->",
    "</title></svg><img src=x onerror=alert(1)>",
    "tab\there, bell\u{7}, null\u{0}, escape\u{1b}[31m, line\nfeed",
    "مرحبا بالعالم",
    "\u{202e}desrever\u{202c} and \u{2067}isolated\u{2069}",
    "👩‍👩‍👧‍👦🎬🎬🎬🎬🎬🎬🎬🎬🎬🎬🎬🎬",
    "七人の侍と隠し砦の三悪人と用心棒と椿三十郎と赤ひげ",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
    "",
    "Z̶̢̛͉̝a̷̡͎̎̚l̴̝͗͜g̵̖̈́o̶͙͐ﷺ﷽",
];

/// A report with every part, as a small training gives.
pub fn ordinary() -> Report {
    let mut rng = Rng::new(7);
    let epochs = (1..=6).map(|epoch| {
        let rest = 0.5f64.powi(epoch);
        EpochPoint { epoch: epoch as u32, train_loss: 0.6 + rest, valid_loss: Some(0.82 + rest / 3.0) }
    });
    let titles = |range: std::ops::Range<u32>| range.map(|number| format!("The Film with Number {number}, Part Two"));
    let points = titles(0..400).enumerate().map(|(place, label)| MapPoint {
        label,
        x: rng.truncated_normal(1.0),
        y: rng.truncated_normal(0.6),
        n_ratings: 500 - place as u64,
    });
    let errors = [(1.0, 110, 1.4), (2.0, 210, 0.9), (3.0, 520, 0.3), (4.0, 680, -0.25), (5.0, 430, -0.8)];
    Report {
        model: "default".to_owned(),
        facts: [("Ratings", "100,000"), ("Architecture", "dot"), ("RMSE", "0.902")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        epochs: epochs.collect(),
        loss_unit: "squared rating units".to_owned(),
        confusion: Some(ConfusionPicture {
            levels: vec![1.0, 2.0, 3.0],
            counts: vec![30, 60, 10, 5, 80, 15, 0, 25, 75],
        }),
        map: Some(ItemMap { points: points.collect(), explained: [0.12, 0.07] }),
        biases: Some(BiasPicture {
            best: titles(0..10).zip(0u8..).map(|(title, place)| (title, 1.0 - f32::from(place) * 0.05)).collect(),
            worst: titles(10..20).zip(0u8..).map(|(title, place)| (title, -0.5 - f32::from(place) * 0.1)).collect(),
            unit: "rating units".to_owned(),
            meaning: "A bar is what the model adds to every prediction of the item.".to_owned(),
        }),
        errors_by_rating: Some(
            errors
                .map(|(rating, n, mean_error)| RatingError { rating, n, mean_error, mae: f64::abs(mean_error) + 0.3 })
                .to_vec(),
        ),
    }
}

/// As much of everything as there can be: 20 levels, thousands of epochs, items in one heap, huge counts.
pub fn large() -> Report {
    let mut rng = Rng::new(8);
    let levels: Vec<f32> = (1..=20u8).map(|level| f32::from(level) / 2.0).collect();
    let counts = (0..400).map(|_| u64::from(rng.below(900_000))).collect();
    let points = (0..2_000u64).map(|number| MapPoint {
        label: format!("Item {number} with a name that is far too long to be shown in full"),
        // One far out keeps all others on a fifth of the width.
        x: if number == 1_999 { 900.0 } else { rng.truncated_normal(100.0) },
        y: rng.truncated_normal(60.0),
        n_ratings: 1_000_000 + number,
    });
    let errors = levels.iter().map(|rating| RatingError {
        rating: *rating,
        n: 1_234_567,
        mean_error: f64::from(5.0 - rating) / 3.0,
        mae: f64::from((5.0 - rating).abs()) / 3.0 + 0.2,
    });
    let loss = |epoch: u32, end: f64| 40_621.0 * (-f64::from(epoch) / 900.0).exp() + end;
    let epochs = (1..=4_100).map(|epoch| EpochPoint {
        epoch,
        train_loss: loss(epoch, 5_000.0),
        valid_loss: Some(loss(epoch, 5_400.0)),
    });
    Report {
        model: "a model whose name is long enough to need more than a line of the page's heading, whatever its width"
            .to_owned(),
        epochs: epochs.collect(),
        loss_unit: "cost".to_owned(),
        errors_by_rating: Some(errors.collect()),
        confusion: Some(ConfusionPicture { levels, counts }),
        map: Some(ItemMap { points: points.collect(), explained: [0.5, 0.5] }),
        ..ordinary()
    }
}

/// Every text from [`TITLES`], and among the numbers all that are not finite or hardly so.
pub fn hostile() -> Report {
    let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308, 5e-324, 0.0, 1.0, -1.0, 2.0, 1.5, 0.5];
    let titled = || TITLES.into_iter().cycle().zip(numbers.into_iter().cycle());
    let biases = |n| titled().take(n).map(|(title, bias)| (title.to_owned(), bias as f32)).collect();
    let points = titled().take(120).enumerate().map(|(place, (title, number))| MapPoint {
        label: title.to_owned(),
        x: number,
        y: numbers[place / 7 % numbers.len()],
        n_ratings: if place == 0 { u64::MAX } else { 3 },
    });
    let epochs = (0..12u8).zip(numbers).map(|(epoch, loss)| EpochPoint {
        epoch: epoch.into(),
        train_loss: loss,
        valid_loss: Some(-loss),
    });
    let errors = numbers.map(|number| RatingError { rating: number as f32, n: u64::MAX, mean_error: number, mae: 1.0 });
    Report {
        model: TITLES.concat(),
        facts: titled().take(12).map(|(title, _)| (title.to_owned(), title.to_owned())).collect(),
        epochs: epochs.collect(),
        loss_unit: TITLES[0].to_owned(),
        confusion: Some(ConfusionPicture { levels: vec![-1e30, 1e30], counts: vec![u64::MAX; 4] }),
        map: Some(ItemMap { points: points.collect(), explained: [f64::NAN, 7.0] }),
        biases: Some(BiasPicture {
            best: biases(12),
            worst: biases(12),
            unit: TITLES[3].to_owned(),
            meaning: TITLES[3].to_owned(),
        }),
        errors_by_rating: Some(errors.to_vec()),
    }
}
