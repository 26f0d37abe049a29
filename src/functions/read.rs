//! `__cofi_read(number, user, item, rating[, weight][, held_out])`: how a training reads ratings.
//!
//! cofi's own query calls it for every row, so that the host's threads hand over rows side by side, out of the host's own vectors.
//! The number is one that nobody else knows; called without it the function is an error.

use std::borrow::Cow;

use crate::error::Result;
use crate::functions::host::{FixedWidth, Type, Vector};
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, overloads};
use crate::ids::IdKind;
use crate::ratings::{Columns, Ids};

/// The function.
pub struct Read;

/// The places of the arguments; the last two may be missing.
const NUMBER: usize = 0;
const USER: usize = 1;
const ITEM: usize = 2;
const RATING: usize = 3;
const WEIGHT: usize = 4;

impl ScalarFunction for Read {
    const NAME: &'static str = "__cofi_read";

    fn overloads() -> Vec<Overload> {
        let after_ids = |rest: &[Type], optional: &[Type]| overloads(2, rest, optional, |_| Type::Boolean);
        let (number, side) = (Type::Double, Type::Boolean);
        let (unweighted, weighted) = ([number.clone()], [number.clone(), number]);
        let sided = [unweighted[0].clone(), side.clone()];
        let all = [after_ids(&unweighted, &[]), after_ids(&sided, &[]), after_ids(&weighted, &[side])].concat();
        let numbered = |Overload { parameters, returns }| Overload {
            parameters: [vec![Type::Bigint], parameters].concat(),
            returns,
        };
        all.into_iter().map(numbered).collect()
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        if input.len() == 0 {
            return Ok(());
        }
        // All rows have the same.
        let number = (!input.column(NUMBER).is_null(0)).then(|| input.bigint(NUMBER, 0) as u64);
        let intake = models.intake(number)?;
        // The host fills no row of the result, and reads all.
        output.set_each((0..input.len()).map(|row| (row, true)));
        let rows = complete_rows(input);
        let n_skipped = rows.as_ref().map_or(0, |rows| input.len() - rows.len());
        let rows = rows.as_deref();
        let (users, items) = (IdColumn::read(input, USER, rows), IdColumn::read(input, ITEM, rows));
        let last = input.n_arguments() - 1;
        let weights = input.is_of(WEIGHT, &Type::Double).then(|| column::<f64>(input, WEIGHT, rows));
        let held_out = input.is_of(last, &Type::Boolean).then(|| column::<bool>(input, last, rows));
        let columns = Columns {
            users: users.ids(),
            items: items.ids(),
            ratings: &column(input, RATING, rows),
            weights: weights.as_deref(),
            held_out: held_out.as_deref(),
        };
        intake.take(models.thread, &columns, n_skipped)
    }
}

/// The rows without a NULL, where there are others too.
fn complete_rows(input: &Input) -> Option<Vec<usize>> {
    input.may_have_nulls().then(|| (0..input.len()).filter(|row| !input.any_null(*row)).collect())
}

/// The values of complete rows, where the host has them if those are all.
fn column<'a, T: FixedWidth>(input: &'a Input, argument: usize, rows: Option<&[usize]>) -> Cow<'a, [T]> {
    let column = input.column(argument);
    match rows {
        None => Cow::Borrowed(column.slice(0..input.len())),
        Some(rows) => rows.iter().map(|row| column.get(*row)).collect(),
    }
}

/// A column of ids.
enum IdColumn<'a> {
    Integers(Cow<'a, [i64]>),
    Texts(Vec<&'a [u8]>),
}

impl<'a> IdColumn<'a> {
    fn read(input: &'a Input, argument: usize, rows: Option<&[usize]>) -> Self {
        match input.id_kind(argument) {
            IdKind::Integer => Self::Integers(column(input, argument, rows)),
            IdKind::Text => {
                let column = input.column(argument);
                Self::Texts(match rows {
                    None => (0..input.len()).map(|row| column.bytes(row)).collect(),
                    Some(rows) => rows.iter().map(|row| column.bytes(*row)).collect(),
                })
            }
        }
    }

    fn ids(&self) -> Ids<'_> {
        match self {
            Self::Integers(ids) => Ids::Integers(ids),
            Self::Texts(ids) => Ids::Texts(ids),
        }
    }
}
