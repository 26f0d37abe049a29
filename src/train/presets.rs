//! Recipes: sets of defaults under a name.

/// One recipe.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The name in SQL.
    pub name: &'static str,
    /// Options by name, with their defaults as SQL text.
    pub defaults: &'static [(&'static str, &'static str)],
    /// What it is for.
    pub meaning: &'static str,
}

/// Every recipe, in the order of the words of the option `preset`.
pub const PRESETS: [Preset; 6] = [
    Preset {
        name: "fastai",
        defaults: &[("weight_decay", "0.1"), ("batch_size", "64"), ("y_range", "'fastai'"), ("mean", "false")],
        meaning: "fastai's collab_learner: biases, sigmoid range, weight decay",
    },
    Preset {
        name: "dot",
        defaults: &[
            ("weight_decay", "0.01"),
            ("batch_size", "64"),
            ("y_range", "NULL"),
            ("mean", "false"),
            ("bias", "false"),
        ],
        meaning: "nothing but the product of factors",
    },
    Preset {
        name: "dot_range",
        defaults: &[
            ("weight_decay", "0.01"),
            ("batch_size", "64"),
            ("y_range", "'fastai'"),
            ("mean", "false"),
            ("bias", "false"),
        ],
        meaning: "the product of factors in a sigmoid range",
    },
    Preset {
        name: "mlp",
        defaults: &[
            ("architecture", "'mlp'"),
            ("layers", "[100]"),
            ("dropout", "0.2"),
            ("weight_decay", "0.01"),
            ("batch_size", "64"),
            ("y_range", "'fastai'"),
        ],
        meaning: "a neural network of one hidden layer, embeddings of fastai's widths",
    },
    Preset {
        name: "cross_entropy",
        defaults: &[
            ("loss", "'cross_entropy'"),
            ("weight_decay", "0.1"),
            ("batch_size", "64"),
            ("y_range", "NULL"),
            ("mean", "false"),
        ],
        meaning: "each rating value a class",
    },
    Preset {
        name: "cofi_cost",
        defaults: &[
            ("n_factors", "100"),
            ("loss", "'half_sse'"),
            ("l2", "1"),
            ("weight_decay", "0"),
            ("optimizer", "'adam'"),
            ("betas", "[0.9, 0.999]"),
            ("eps", "0.00000001"),
            ("learning_rate", "0.0001"),
            ("schedule", "'constant'"),
            ("batch_size", "'full'"),
            ("accumulate", "32"),
            ("epochs", "4100"),
            ("init", "'kaiming_uniform'"),
            ("bias", "'user'"),
            ("mean", "false"),
            ("y_range", "NULL"),
        ],
        meaning: "the full-batch cost function: half the squared errors and l2 on the factors, a bias for users alone",
    },
];

/// The recipe of a name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::table::{Kind, N_FACTORS, OPTIONS};

    #[test]
    fn presets_are_the_words_of_their_option_and_set_options_that_exist() {
        let row = OPTIONS.iter().find(|row| row.name == "preset").unwrap();
        let Kind::WordOrNull(words) = row.kind else { panic!("{:?}", row.kind) };
        assert_eq!(words, PRESETS.map(|preset| preset.name));
        for preset in PRESETS {
            for (option, default) in preset.defaults {
                let row = OPTIONS.iter().chain([&N_FACTORS]).find(|row| row.name == *option);
                assert!(row.is_some_and(|row| row.default != *default), "{}: {option}", preset.name);
            }
        }
    }
}
