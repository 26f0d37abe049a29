//! `cofi_predict_proba(user, item [, model])`: how probable each rating is.

use crate::error::{Error, Result};
use crate::functions::host::{Type, Vector};
use crate::functions::prediction::as_double;
use crate::functions::scalar::{Input, Models, Overload, ScalarFunction, for_each_model, overloads};

/// The rating values of a classifier, each with its probability; NULL where the model has not seen the user or the item.
pub struct PredictProba;

impl ScalarFunction for PredictProba {
    const NAME: &'static str = "cofi_predict_proba";

    fn overloads() -> Vec<Overload> {
        overloads(2, &[], &[Type::Varchar], |_| Type::Map(Box::new(Type::Double), Box::new(Type::Float)))
    }

    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()> {
        for_each_model(models, input, 2, output, |rows, loaded| {
            let Some(classes) = loaded.model.embeddings.parts().classes.clone() else {
                return Err(Error::new(
                    "this model has no probabilities: it was trained with loss := 'mse' or 'half_sse'; train one with loss := 'cross_entropy'",
                ));
            };
            let mut pairs = std::mem::take(&mut loaded.pairs);
            pairs.look_up(input, rows, &loaded.model, output)?;
            loaded.predictor()?.scores_into(&pairs.users, &pairs.items, &mut pairs.numbers)?;
            let values: Vec<f64> = classes.values().iter().copied().map(as_double).collect();
            let mut probabilities = vec![0.0; values.len()];
            for (&row, &score) in pairs.rows.iter().zip(&pairs.numbers) {
                classes.probabilities(score, &mut probabilities);
                let (entries, first) = output.push_list(row, values.len())?;
                let (keys, shares) = (entries.field(0), entries.field(1));
                for (class, (value, probability)) in values.iter().zip(&probabilities).enumerate() {
                    keys.set(first + class, *value);
                    shares.set(first + class, *probability);
                }
            }
            loaded.pairs = pairs;
            Ok(())
        })
    }
}
