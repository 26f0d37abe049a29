//! `cofi_export(model, path)`: a stored model as an ONNX file that takes ids and gives ratings.

use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::files::OutputFile;
use crate::functions::host::Type;
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction};
use crate::ids::{Id, IdKind, Vocabulary};
use crate::model::{ITEM, USER, inference};
use crate::runtime::{IdInput, Keys, OnnxFile};
use crate::store::{ModelName, StoredModel, id_type};

/// The columns of the answer.
const COLUMNS: [Column; 5] = [
    ("path", Type::Varchar),
    ("bytes", Type::Bigint),
    ("user_type", Type::Varchar),
    ("item_type", Type::Varchar),
    ("outputs", Type::Varchar),
];

/// The output of every model, `[B]`.
const RATING: &str = "rating";
/// The output of a classifier, `[B, C]`.
const PROBABILITIES: &str = "probabilities";

/// Writes the file when the statement runs, and returns what it takes and gives.
pub struct Export {
    model: ModelName,
    file: OutputFile,
}

impl TableFunction for Export {
    const NAME: &'static str = "cofi_export";
    const POSITIONAL: &'static [&'static str] = &["model", "path"];

    fn bind(call: &Call<'_>, mut arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let model = ModelName::parse(&arguments.positional_text("model")?)?;
        let file = OutputFile::new(call, arguments.positional_text("path")?)?;
        Ok((Self { model, file }, COLUMNS.to_vec()))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let model = call.database.model(call.caller.connection_id, &call.caller.search_path, &self.model)?;
        let (bytes, outputs) = onnx(&model, &self.model.name)?;
        self.file.write(&call, &bytes)?;
        Ok(Cells::rows(
            &COLUMNS,
            vec![vec![
                Cell::from(self.file.path()),
                Cell::Bigint(bytes.len() as i64),
                Cell::from(id_type(model.users.kind())),
                Cell::from(id_type(model.items.kind())),
                Cell::Text(outputs),
            ]],
        ))
    }
}

/// The bytes of a model's file, and the names of its outputs.
fn onnx(model: &StoredModel, name: &str) -> Result<(Vec<u8>, String)> {
    let inference = inference(&model.embeddings)?;
    let mut outputs = vec![(inference.rating, RATING)];
    outputs.extend(inference.probabilities.map(|probabilities| (probabilities, PROBABILITIES)));
    let mut metadata = vec![
        ("cofi_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("model", name.to_owned()),
        ("created", utc(model.version.created_at)),
        ("user_type", id_type(model.users.kind()).to_owned()),
        ("item_type", id_type(model.items.kind()).to_owned()),
    ];
    if let Some(classes) = &model.embeddings.parts().classes {
        let values: Vec<String> = classes.values().iter().map(f32::to_string).collect();
        metadata.push(("classes", format!("[{}]", values.join(", "))));
    }
    let file = OnnxFile {
        graph: &inference.graph,
        outputs: &outputs,
        parameters: &inference.parameters,
        ids: vec![IdInput { name: USER, keys: keys(&model.users) }, IdInput { name: ITEM, keys: keys(&model.items) }],
        formula: &inference.formula,
        metadata,
    };
    let names: Vec<&str> = outputs.iter().map(|(_, name)| *name).collect();
    Ok((file.into_bytes()?, names.join(", ")))
}

fn keys(vocabulary: &Vocabulary) -> Keys<'_> {
    let number = |id| match id {
        Id::Integer(number) => Some(number),
        Id::Text(_) => None,
    };
    let text = |id| match id {
        Id::Integer(_) => None,
        Id::Text(text) => Some(text),
    };
    match vocabulary.kind() {
        IdKind::Integer => Keys::Integers(vocabulary.iter().filter_map(number).collect()),
        IdKind::Text => Keys::Texts(vocabulary.iter().filter_map(text).collect()),
    }
}

/// Microseconds since 1970 as `2026-01-31T12:00:00Z`.
///
/// The days of March to February are counted in years and 400-year cycles of the Gregorian calendar: leap days come last.
fn utc(microseconds: i64) -> String {
    let seconds = microseconds.div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // From 1 March of the year 0.
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = 400 * cycle + year + next_year;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        // From `date -u -d @...`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds * 1_000_000 + 999_999), expected);
        }
    }
}
