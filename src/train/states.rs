//! Between the states of a training, on its working scale, and embeddings in rating units: both ways, side by side.
//!
//! Where a range squashes the sum, `lo` and `hi` carry the unit; in a classifier the classes do. Else the sum itself is scaled:
//! biases and the last layer by the unit, factors of both sides by its root, so that their product is.

use crate::error::{Error, Result};
use crate::model::{
    Architecture, Biases, CLASS_OFFSETS, CLASS_WEIGHTS, ITEM_BIAS, ITEM_FACTORS, Mlp, Model, Objective, USER_BIAS,
    USER_FACTORS,
};
use crate::score::{Baseline, Classes, Embeddings, Interaction, Parts, Table};
use crate::train::scale::Scale;

/// The embeddings that the states of `model`, which `read` gives by name, stand for; `levels` are the classes of a classifier.
///
/// # Errors
/// Those of `read`; numbers that are not finite.
pub(super) fn embeddings(
    model: &Model,
    scale: &Scale,
    levels: &[f32],
    baseline: Baseline,
    read: impl Fn(&str) -> Result<Vec<f32>>,
) -> Result<Embeddings> {
    let factors = Factors::of(model, scale);
    let multiplied = |name: &str, factor: f64| -> Result<Vec<f32>> {
        let mut values = read(name)?;
        values.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
        Ok(values)
    };
    let bias = |name: &str, is_there: bool| is_there.then(|| multiplied(name, factors.sum)).transpose();
    let classes = match model.objective {
        Objective::CrossEntropy { .. } => {
            Some(Classes::new(levels.to_vec(), read(CLASS_WEIGHTS)?, read(CLASS_OFFSETS)?)?)
        }
        _ => None,
    };
    Embeddings::new(Parts {
        users: Table {
            width: model.user_width,
            factors: multiplied(USER_FACTORS, factors.tables)?,
            biases: bias(USER_BIAS, model.biases != Biases::Neither)?,
        },
        items: Table {
            width: model.item_width,
            factors: multiplied(ITEM_FACTORS, factors.tables)?,
            biases: bias(ITEM_BIAS, model.biases == Biases::Both)?,
        },
        interaction: match &model.architecture {
            Architecture::Dot => Interaction::Dot,
            Architecture::Mlp(mlp) => {
                Interaction::Layers(mlp.layers(model.user_width, model.item_width, factors.sum, &read)?)
            }
        },
        mu: if factors.is_free { scale.rating_value(f64::from(model.mu)) as f32 } else { model.mu },
        range: match (&classes, model.range) {
            (Some(_), range) => range,
            (None, _) => scale.range().map(|(lo, hi)| (lo as f32, hi as f32)),
        },
        classes,
        baseline,
    })
}

/// The constant `mu` that stored embeddings had on the working scale.
pub(super) fn working_mu(model: &Model, scale: &Scale, stored: f32) -> f32 {
    if Factors::of(model, scale).is_free { scale.working_value(f64::from(stored)) as f32 } else { stored }
}

/// Writes what stored embeddings know into fresh states: rows of users and items by `user_rows` and `item_rows`, the row that each
/// has in the stored model, where it has one.
///
/// # Errors
/// Stored embeddings of another form than the model's, by the option that says so.
pub(super) fn continue_from(
    stored: &Embeddings,
    model: &Model,
    scale: &Scale,
    rows: [&[Option<u32>]; 2],
    states: &mut [(String, Vec<f32>)],
) -> Result<()> {
    check_form(stored, model, scale)?;
    let parts = stored.parts();
    let factors = Factors::of(model, scale);
    let [user_rows, item_rows] = rows;
    let mut put = |name: &str, values: &[f32], rows: Option<&[Option<u32>]>, width: usize, factor: f64| {
        let state = states.iter_mut().find(|(other, _)| other == name).map(|(_, state)| state);
        let fits = state.as_ref().is_some_and(|state| match rows {
            Some(rows) => state.len() == rows.len() * width,
            None => state.len() == values.len(),
        });
        let (Some(state), true) = (state, fits) else { return Err(another_form(name)) };
        let divided = |value: &f32| (f64::from(*value) / factor) as f32;
        match rows {
            None => state.iter_mut().zip(values).for_each(|(state, value)| *state = divided(value)),
            Some(rows) => {
                for (state, row) in state.chunks_exact_mut(width).zip(rows) {
                    let Some(row) = row else { continue };
                    let known = &values[*row as usize * width..][..width];
                    state.iter_mut().zip(known).for_each(|(state, value)| *state = divided(value));
                }
            }
        }
        Ok(())
    };
    for (name, table, rows) in [(USER_FACTORS, &parts.users, user_rows), (ITEM_FACTORS, &parts.items, item_rows)] {
        put(name, &table.factors, Some(rows), table.width, factors.tables)?;
    }
    for (name, table, rows) in [(USER_BIAS, &parts.users, user_rows), (ITEM_BIAS, &parts.items, item_rows)] {
        if let Some(biases) = &table.biases {
            put(name, biases, Some(rows), 1, factors.sum)?;
        }
    }
    if let Interaction::Layers(layers) = &parts.interaction {
        let last = layers.all().len();
        for (name, values) in Mlp::states_of(layers, parts.users.width) {
            let is_last = name.starts_with(&format!("layer{last}."));
            put(&name, &values, None, 1, if is_last { factors.sum } else { 1.0 })?;
        }
    }
    if let Some(classes) = &parts.classes {
        put(CLASS_WEIGHTS, classes.weights(), None, 1, 1.0)?;
        put(CLASS_OFFSETS, classes.offsets(), None, 1, 1.0)?;
    }
    Ok(())
}

/// Refuses stored embeddings of another form than the model's, by the option that says so.
fn check_form(stored: &Embeddings, model: &Model, scale: &Scale) -> Result<()> {
    let parts = stored.parts();
    let n_stored = |biases: &Option<Vec<f32>>| usize::from(biases.is_some());
    let has_same_layers = match (&model.architecture, &parts.interaction) {
        (Architecture::Mlp(mlp), Interaction::Layers(layers)) => mlp.hidden == Mlp::of(layers).hidden,
        _ => true,
    };
    let same_form = [
        ("architecture", matches!(model.architecture, Architecture::Dot) == (parts.interaction == Interaction::Dot)),
        ("layers", has_same_layers),
        ("n_factors", (model.user_width, model.item_width) == (parts.users.width, parts.items.width)),
        ("loss", matches!(model.objective, Objective::CrossEntropy { .. }) == parts.classes.is_some()),
        ("bias", model.biases as usize == n_stored(&parts.users.biases) + n_stored(&parts.items.biases)),
        ("y_range", embeddings_range(model, scale) == parts.range),
    ];
    match same_form.into_iter().find(|(_, is_same)| !is_same) {
        Some((option, _)) => Err(another_form(option)),
        None => Ok(()),
    }
}

fn embeddings_range(model: &Model, scale: &Scale) -> Option<(f32, f32)> {
    match model.objective {
        Objective::CrossEntropy { .. } => model.range,
        _ => scale.range().map(|(lo, hi)| (lo as f32, hi as f32)),
    }
}

fn another_form(what: &str) -> Error {
    Error::new(format!(
        "warm_start: the stored model is of another form in {what}; leave out the options that say what a model is (n_factors, \
         architecture, layers, loss, bias, y_range), or train without warm_start"
    ))
}

/// What working values are multiplied by to become stored ones.
struct Factors {
    /// Whether the sum itself is in rating units.
    is_free: bool,
    /// Of biases and the last layer.
    sum: f64,
    /// Of both factor tables.
    tables: f64,
}

impl Factors {
    fn of(model: &Model, scale: &Scale) -> Self {
        let is_free = model.range.is_none() && !matches!(model.objective, Objective::CrossEntropy { .. });
        let sum = if is_free { scale.unit() } else { 1.0 };
        let tables = match model.architecture {
            Architecture::Dot => sum.sqrt(),
            Architecture::Mlp(_) => 1.0,
        };
        Self { is_free, sum, tables }
    }
}
