//! Arguments and options as a caller may give them: what is accepted is what its table allows, is the same when it is read back from a stored
//! model, and can be computed with; what is refused is told with the option's name and in printable characters.

use std::collections::BTreeMap;

use cofi::error::Error;
use cofi::runtime::DeviceRequest;
use cofi::store::{ModelName, TableName, quote_identifier};
use cofi::train::{
    Kind, N_FACTORS, Needs, OPTIONS, OptionRow, OptionValue, Options, PRESETS, RangeOption, Sizes, Spec, TrainConfig,
};

use super::bytes::Bytes;
use super::tables::printable;

/// One input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.below(4) {
        0 => names(&mut bytes),
        _ => options(&mut bytes),
    }
}

/// Names on their way into SQL.
fn names(bytes: &mut Bytes<'_>) {
    let text = bytes.text();
    check(ModelName::parse(&text), "model", |name| {
        assert_eq!(ModelName::parse(&name.to_string()).unwrap(), *name);
    });
    check(TableName::parse("ratings", &text), "ratings", |name| {
        assert!((1..=3).contains(&(name.qualifiers().len() + 1)) && !name.table().is_empty());
        let sql = name.to_sql();
        assert_eq!(TableName::parse("ratings", &sql).unwrap(), *name, "{sql}");
        assert_eq!(
            unquoted(&sql).as_deref(),
            Some([name.qualifiers(), &[name.table().to_owned()]].concat().as_slice())
        );
    });
    assert_eq!(unquoted(&quote_identifier(&text)), Some(vec![text.clone()]));
    check(text.parse::<DeviceRequest>(), "device", |_| ());
}

/// The parts of a name in SQL, each in quotes, as SQL reads it.
fn unquoted(sql: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut characters = sql.chars().peekable();
    loop {
        let mut part = String::new();
        characters.next_if_eq(&'"')?;
        loop {
            match characters.next()? {
                '"' if characters.next_if_eq(&'"').is_some() => part.push('"'),
                '"' => break,
                other => part.push(other),
            }
        }
        parts.push(part);
        match characters.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}

fn options(bytes: &mut Bytes<'_>) {
    let preset = bytes.rarely().then(|| bytes.one_of(&PRESETS));
    let sizes = Sizes {
        n_train: (bytes.long() >> 24) as usize,
        weighted: bytes.rarely(),
        n_valid: (bytes.long() >> 24) as usize,
        n_seen: (bytes.long() >> 24) as usize,
        n_users: (bytes.long() >> 32) as usize,
        n_items: (bytes.long() >> 32) as usize,
    };
    let mut given = BTreeMap::new();
    while !bytes.is_empty() && given.len() < 16 {
        let row = bytes.below(OPTIONS.len() + 1);
        let row = OPTIONS.get(row).unwrap_or(&N_FACTORS);
        given.insert(row.name, value(bytes, row));
    }
    let mut options = Options::new(given.clone());
    preset.iter().for_each(|preset| options.fall_back_on_preset(preset));
    // What the table has and the configuration does not read.
    for row in OPTIONS {
        let read = match row.kind {
            Kind::Text(_) if row.default == "NULL" => options.optional_text(row.name).map(drop),
            Kind::Text(_) => options.text(row.name).map(drop),
            Kind::Below(..) if row.name == "validation_fraction" => options.real(row.name).map(drop),
            _ => Ok(()),
        };
        check(read, row.name, |()| ());
    }
    let config = TrainConfig::take(&mut options);
    let config = match config {
        Err(error) => {
            let text = printable(&error);
            let is_named = OPTIONS.iter().chain([&N_FACTORS]).any(|row| text.starts_with(row.name));
            return assert!(is_named, "names no option: {text}");
        }
        Ok(config) => config,
    };
    is_sound(&config);
    is_read_back(&config, options.taken(), given);
    let needs = Needs::of(&config, sizes);
    assert!(needs.total() >= needs.ordering.max(needs.saving) && needs.check(u64::MAX).is_ok());
    let batch = config.batch_size_for(sizes.n_train.max(1));
    assert!(batch >= 1 && (1..=4096).contains(&config.width_for(sizes.n_users)));
    for step in [0, sizes.n_train as u64 / 2, sizes.n_train as u64] {
        let now = config.schedule.at(step, sizes.n_train.max(1) as u64, config.learning_rate, config.betas);
        assert!(
            now.learning_rate >= 0.0 && now.learning_rate <= config.learning_rate * 1.000_001,
            "{now:?} of {config:?}"
        );
        assert!((0.0..1.0).contains(&now.beta1), "{now:?}");
    }
}

/// A value that an option takes, nearly takes, or does not.
fn value(bytes: &mut Bytes<'_>, row: &OptionRow) -> OptionValue {
    let words: &[&str] = match row.kind {
        Kind::Word(words) | Kind::WordOrNull(words) | Kind::BooleanOr(words) => words,
        Kind::WholeOr(_, _, words) | Kind::RealOr(_, _, words) => words,
        Kind::Range => &["auto", "fastai"],
        _ => &["auto", "default", "ratings", "cpu"],
    };
    match bytes.below(16) {
        0 => OptionValue::Null,
        1 => OptionValue::Boolean(bytes.rarely()),
        2..6 => OptionValue::Integer(bytes.whole()),
        6..9 => OptionValue::Real(bytes.real()),
        9..12 => OptionValue::Text(bytes.one_of(words).to_owned()),
        12 => OptionValue::Text(bytes.text()),
        13 => OptionValue::Other(bytes.text()),
        _ => {
            let length = bytes.below(20);
            let mut values = Vec::new();
            while values.len() < length && !bytes.is_empty() {
                values.push(value(bytes, row));
            }
            OptionValue::List(values)
        }
    }
}

/// What is told of each number in `cofi_options()`, said once more.
fn is_sound(config: &TrainConfig) {
    let TrainConfig { mlp, n_factors, l2, optimiser, epochs, learning_rate, betas, accumulate, y_range, .. } = config;
    assert!((1..=1_000_000).contains(epochs) && (1..=1 << 20).contains(accumulate));
    assert!(*learning_rate > 0.0 && *learning_rate <= 10.0 && (0.0..=1e6).contains(l2));
    assert!((0.0..=100.0).contains(&optimiser.weight_decay));
    assert!((0.0..1.0).contains(&betas.0) && (0.0..1.0).contains(&betas.1));
    assert!(n_factors.is_none_or(|width| (1..=4096).contains(&width)));
    assert!(config.patience.is_none_or(|epochs| epochs >= 1) && config.seed <= i64::MAX as u64);
    if let Some(mlp) = mlp {
        assert!((1..=16).contains(&mlp.hidden.len()) && mlp.hidden.iter().all(|width| (1..=4096).contains(width)));
        assert!((0.0..1.0).contains(&mlp.dropout));
    }
    if let RangeOption::Fixed(lo, hi) = y_range {
        assert!(lo < hi && (*lo as f32).is_finite() && (*hi as f32).is_finite(), "{lo} to {hi}");
    }
}

/// A stored model's options are those that it was trained with, and giving them again changes nothing.
fn is_read_back(
    config: &TrainConfig,
    taken: BTreeMap<String, OptionValue>,
    given: BTreeMap<&'static str, OptionValue>,
) {
    let spec = Spec {
        options: taken,
        ratings: "ratings".to_owned(),
        place: ("memory".to_owned(), "main".to_owned()),
        columns: BTreeMap::new(),
        ratings_per_step: 1,
        user_width: 1,
        item_width: 1,
        lowest: 1.0,
        highest: 5.0,
        levels: None,
    };
    let stored = Spec::from_json(&spec.to_json().unwrap()).unwrap();
    // Text comes back as text, whatever it was: no option takes what is neither.
    assert_eq!(stored, spec);
    let mut again = Options::new(BTreeMap::new());
    again.fall_back_on_stored(stored.options.clone());
    assert_eq!(TrainConfig::take(&mut again).unwrap(), *config);
    let names: Vec<_> = given.keys().copied().filter(|name| stored.options.contains_key(*name)).collect();
    let mut again = Options::new(given);
    again.fall_back_on_stored(stored.options);
    for name in names {
        again.expect_unchanged(name, None).unwrap();
    }
}

/// What is refused is told with its name.
fn check<T>(result: Result<T, Error>, name: &str, accepted: impl FnOnce(&T)) {
    match result {
        Ok(value) => accepted(&value),
        Err(error) => {
            let text = printable(&error);
            assert!(text.starts_with(&format!("{name} = ")), "{text}");
        }
    }
}
