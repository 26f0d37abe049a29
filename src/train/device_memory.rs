//! What a training holds in the memory of a device that has its own, held against what is free there.

use crate::error::{Error, Result};
use crate::graph::optimiser::Rule;
use crate::model::Biases;
use crate::train::config::TrainConfig;
use crate::train::memory::{Sizes, in_units};

/// Bytes of a float.
const FLOAT: u64 = 4;

/// Floats that a rating of a batch takes for each factor of a side: its row, the row's gradient, and half of what both sides share, a product and
/// the rows' numbers. Of a product of factors, that is 20 bytes a factor; measured are 21.
const FLOATS_A_FACTOR: f64 = 2.5;

/// The most numbers of a tensor: CUDA's element-wise operators count them in 32 bits.
const MOST_NUMBERS: u64 = i32::MAX as u64;

/// Floats that a rating of a batch takes for each unit of a hidden layer: before and after its cut at 0, and the gradient.
const FLOATS_A_UNIT: u64 = 3;

/// The least memory of a device that a training takes while steps run, in bytes.
///
/// What CUDA itself takes of a GPU, about half a GB, is none of this: it is part of what is not free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceNeeds {
    /// The training ratings and their order.
    pub ratings: u64,
    /// Tables and layers, with what the optimiser remembers of them, before and after a step, and their gradients.
    pub states: u64,
    /// What is computed of a batch on the way.
    pub batch: u64,
    /// What takes how much.
    parts: String,
    /// The tensor with most numbers: what it is, how many, and what makes it smaller.
    largest: (String, u64, &'static str),
}

/// The memory of a device, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The device as the option `device` names it: `cuda:0`.
    pub device: String,
    /// What it is called: `NVIDIA H200`.
    pub name: String,
    /// What nobody uses.
    pub free: u64,
    /// All.
    pub total: u64,
}

impl DeviceNeeds {
    /// What a training of these sizes needs at least; `stored` are the widths of users and items in the model that is continued, which stay where none is
    /// given.
    ///
    /// - A rating that is kept there (`train/kept.rs`) takes 12 bytes (user, item, rating), 16 with a weight, and 4 for its place in the order of an
    ///   epoch.
    /// - A user or item takes for each factor, and for its bias, the value and what the optimiser remembers: two moments with Adam, one with SGD, none
    ///   with classic SGD; sums of gradients where they accumulate. All that three times while many steps run at once, which goes to and fro between
    ///   two copies, else twice, as a step writes new values before the old ones go; and a gradient once, for rows that are not in the batch, too.
    ///   With Adam that is 40 bytes a factor, or 28: of single steps 27 to 30 are measured, on the CPU; nobody has measured the 40 yet. Layers likewise.
    /// - A rating of a batch takes 2.5 floats for each factor of both sides, and three for each unit of a hidden layer.
    ///
    /// Not in it, as it stays when a training has ended, and the next one finds it: what copies between the memories hold, once a process and for each kind of
    /// number and way, about as much as the largest table and column that were copied.
    pub fn of(config: &TrainConfig, sizes: Sizes, stored: Option<(usize, usize)>) -> Self {
        let [n_train, n_users, n_items] = [sizes.n_train, sizes.n_users, sizes.n_items].map(|n| n as u64);
        // With masks or in parts, steps are fed one by one; those of classic SGD always are.
        let is_kept = config.accumulate == 1
            && config.optimiser.rule != Rule::Classic
            && config.mlp.as_ref().is_none_or(|mlp| mlp.dropout == 0.0);
        let of_a_rating = 4 * FLOAT + if sizes.weighted { FLOAT } else { 0 };
        let ratings = if is_kept { n_train * of_a_rating } else { 0 };

        let (user_width, item_width) = match (stored, config.n_factors) {
            (Some(widths), None) => widths,
            _ => (config.width_for(sizes.n_users), config.width_for(sizes.n_items)),
        };
        let (user_bias, item_bias) = match config.biases {
            Biases::Neither => (0, 0),
            Biases::Users => (1, 0),
            Biases::Both => (1, 1),
        };
        let tables = n_users * (user_width + user_bias) as u64 + n_items * (item_width + item_bias) as u64;
        let hidden: &[usize] = config.mlp.as_ref().map_or(&[], |mlp| &mlp.hidden);
        let inputs = [user_width + item_width].into_iter().chain(hidden.iter().copied());
        let outputs = hidden.iter().copied().chain([1]);
        let layers: u64 = match hidden {
            [] => 0,
            _ => inputs.zip(outputs).map(|(inputs, outputs)| (inputs as u64 + 1) * outputs as u64).sum(),
        };
        let remembered = match config.optimiser.rule {
            Rule::AdamW { .. } | Rule::Adam { .. } => 2,
            Rule::Sgd => 1,
            Rule::Classic => 0,
        };
        let times = if is_kept { 3 } else { 2 };
        let copies = times * (1 + remembered + u64::from(config.accumulate > 1)) + 1;

        let batch_size =
            config.batch_size_for(sizes.n_train).min(sizes.n_train).div_ceil(config.accumulate.max(1)) as u64;
        let of_factors = (FLOATS_A_FACTOR * (user_width + item_width) as f64) as u64;
        let of_units = FLOATS_A_UNIT * hidden.iter().map(|units| *units as u64).sum::<u64>();
        let found = Self {
            ratings,
            states: (tables + layers) * copies * FLOAT,
            batch: batch_size * (of_factors + of_units) * FLOAT,
            parts: String::new(),
            largest: (String::new(), 0, ""),
        };
        let factors =
            if user_width == item_width { format!("{user_width}") } else { format!("{user_width} and {item_width}") };
        let parts = format!(
            "{} for {n_train} ratings, {} for {factors} factors of {n_users} users and {n_items} items, {} for {batch_size} ratings at a time",
            in_units(found.ratings),
            in_units(found.states),
            in_units(found.batch)
        );
        let of_table = |what: &str, n: u64, width: usize| {
            (format!("the table of {n} {what} with {width} factors"), n * width as u64, "fewer factors")
        };
        let widest = user_width.max(item_width).max(hidden.iter().copied().max().unwrap_or(0));
        let of_batch = (
            format!("a batch of {batch_size} ratings by {widest} factors or units"),
            batch_size * widest as u64,
            "a smaller batch_size",
        );
        let tensors = [of_table("users", n_users, user_width), of_table("items", n_items, item_width), of_batch];
        let largest = tensors.into_iter().max_by_key(|(_, n, _)| *n).unwrap_or(found.largest);
        Self { parts, largest, ..found }
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.ratings + self.states + self.batch
    }

    /// Makes sure that no tensor has more numbers than operators of a GPU count.
    ///
    /// # Errors
    /// 2^31 numbers or more.
    pub fn check_counts(&self, device: &str) -> Result<()> {
        let (what, n, way_out) = &self.largest;
        if *n <= MOST_NUMBERS {
            return Ok(());
        }
        Err(Error::new(format!(
            "device = '{device}': {what} has {n} numbers, more than the {MOST_NUMBERS} that a GPU's operators count; use {way_out} or device := 'cpu'"
        )))
    }

    /// Makes sure that it can fit.
    ///
    /// # Errors
    /// More than is free; with what takes how much, and the ways out.
    pub fn check(&self, room: &Room) -> Result<()> {
        if self.total() <= room.free {
            return Ok(());
        }
        Err(Error::new(format!("device = '{}': {}", room.device, self.beside(room))))
    }

    /// The error of a device that has run out of memory all the same, in its own words.
    pub fn explained(&self, room: &Room, error: Error) -> Error {
        let message = format!("device = '{}': out of memory: {error}; {}", room.device, self.beside(room));
        Error::new(message).with_source(error)
    }

    /// Need and room, and the ways out.
    fn beside(&self, room: &Room) -> String {
        format!(
            "the training needs at least {} there ({}), {} has {} free of {}; use fewer factors, a smaller batch_size or device := 'cpu'",
            in_units(self.total()),
            self.parts,
            room.name,
            in_units(room.free),
            in_units(room.total)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{OptionValue, Options};

    /// Netflix's prize.
    const NETFLIX: Sizes = Sizes {
        n_train: 100_000_000,
        weighted: false,
        n_valid: 0,
        n_seen: 100_000_000,
        n_users: 480_000,
        n_items: 20_000,
    };

    fn needs(given: &[(&'static str, OptionValue)], sizes: Sizes) -> DeviceNeeds {
        let config = TrainConfig::take(&mut Options::new(given.iter().cloned().collect())).unwrap();
        DeviceNeeds::of(&config, sizes, None)
    }

    fn word(text: &str) -> OptionValue {
        OptionValue::Text(text.to_owned())
    }

    #[test]
    fn each_part_is_counted_by_hand() {
        let found = needs(&[], NETFLIX);
        assert_eq!(found.ratings, 100_000_000 * 16);
        assert_eq!(found.states, 500_000 * 51 * 40);
        assert_eq!(found.batch, 16_384 * 50 * 20);
        assert_eq!(found.total(), found.ratings + found.states + found.batch);

        let small = Sizes { n_train: 100, weighted: true, n_users: 10, n_items: 5, ..Sizes::default() };
        let found = needs(&[("batch_size", OptionValue::Integer(64)), ("optimizer", word("sgd"))], small);
        assert_eq!((found.ratings, found.states, found.batch), (100 * 20, 15 * 51 * 28, 64 * 50 * 20));
        let found = needs(&[("optimizer", word("classic_sgd"))], small);
        assert_eq!((found.states, found.batch), (15 * 51 * 12, 50 * 20));
        let found = needs(&[("bias", OptionValue::Boolean(false))], small);
        assert_eq!(found.states, 15 * 50 * 40);
        // Parts of a batch, and a batch of more than there is.
        let found =
            needs(&[("accumulate", OptionValue::Integer(4)), ("batch_size", OptionValue::Integer(1000))], small);
        assert_eq!((found.ratings, found.states, found.batch), (0, 15 * 51 * 36, 25 * 50 * 20));
    }

    #[test]
    fn stored_widths_stay_where_none_is_given() {
        let sizes = Sizes { n_train: 100, n_users: 10, n_items: 5, ..Sizes::default() };
        let states = |given: &[(&'static str, OptionValue)], stored| {
            let config = TrainConfig::take(&mut Options::new(given.iter().cloned().collect())).unwrap();
            DeviceNeeds::of(&config, sizes, stored).states
        };
        assert_eq!(states(&[], Some((7, 3))), (10 * 8 + 5 * 4) * 40);
        // Others are refused later, and by name.
        assert_eq!(states(&[("n_factors", OptionValue::Integer(4))], Some((7, 3))), 15 * 5 * 40);
    }

    #[test]
    fn a_tensor_with_more_numbers_than_a_gpu_counts_is_refused() {
        let check = |given: &[(&'static str, OptionValue)], n_users, n_train| {
            needs(given, Sizes { n_train, n_users, n_items: 5, ..Sizes::default() }).check_counts("cuda:1")
        };
        let factors = [("n_factors", OptionValue::Integer(64))];
        assert!(check(&factors, (1 << 25) - 1, 100).is_ok());
        assert_eq!(
            check(&factors, 1 << 25, 100).unwrap_err().to_string(),
            "device = 'cuda:1': the table of 33554432 users with 64 factors has 2147483648 numbers, more than the 2147483647 that a GPU's operators \
             count; use fewer factors or device := 'cpu'"
        );
        let full = check(&[factors[0].clone(), ("batch_size", word("full"))], 10, 1 << 25).unwrap_err().to_string();
        assert!(
            full.contains("a batch of 33554432 ratings by 64 factors or units")
                && full.contains("a smaller batch_size"),
            "{full}"
        );
    }

    #[test]
    fn layers_count() {
        let sizes = Sizes { n_train: 100, n_users: 10, n_items: 5, ..Sizes::default() };
        let given = [
            ("architecture", word("mlp")),
            ("n_factors", OptionValue::Integer(8)),
            ("layers", OptionValue::List(vec![OptionValue::Integer(20), OptionValue::Integer(10)])),
            ("batch_size", OptionValue::Integer(10)),
        ];
        let found = needs(&given, sizes);
        let layers = 17 * 20 + 21 * 10 + 11;
        assert_eq!(found.states, (15 * 9 + layers) * 40);
        assert_eq!(found.batch, 10 * (40 + 90) * 4);
    }

    #[test]
    fn what_cannot_fit_is_refused_with_need_and_size() {
        let found = needs(&[], NETFLIX);
        let mut room =
            Room { device: "cuda:0".to_owned(), name: "NVIDIA H200".to_owned(), free: found.total(), total: 139 << 30 };
        assert!(found.check(&room).is_ok());
        room.free = 5 << 28;
        let expected = "device = 'cuda:0': the training needs at least 2.5 GiB there (1.5 GiB for 100000000 ratings, 972.7 MiB for 50 factors of \
                        480000 users and 20000 items, 15.6 MiB for 16384 ratings at a time), NVIDIA H200 has 1.2 GiB free of 139.0 GiB; use fewer \
                        factors, a smaller batch_size or device := 'cpu'";
        assert_eq!(found.check(&room).unwrap_err().to_string(), expected);
        let later = found.explained(&room, Error::new("onnx runtime could not run on cuda:0: no room")).to_string();
        let (before, after) = expected.split_once("the training").unwrap();
        assert_eq!(
            later,
            format!("{before}out of memory: onnx runtime could not run on cuda:0: no room; the training{after}")
        );
    }
}
