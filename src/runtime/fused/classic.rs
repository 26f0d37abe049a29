//! A training by the operator `ClassicPass`: one rating a step, a round of blocks a run.

mod operator;

use std::ops::Range;
use std::slice;
use std::sync::Arc;

use ort::memory::Allocator;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use crate::error::{Error, Result};
use crate::graph::{Blocks, Feed, Other, Program};
use crate::kernels::Level;
use crate::kernels::factorisation::ClassicPass;
use crate::model::{ITEM, Objective, RATING, USER, WEIGHT};
use crate::runtime::fused::beside::Beside;
use crate::runtime::fused::given::{floats, has, indices, settings, write};
use crate::runtime::fused::operator::LOSS;
use crate::runtime::fused::program::session;
use crate::runtime::fused::states::States;
use crate::runtime::library::Library;
use crate::runtime::recognise::Factorisation;
use crate::runtime::session::failure;
use operator::ClassicOperator;

/// A factorisation that learns from one rating at a time on the CPU.
pub struct ClassicProgram {
    binding: IoBinding,
    session: Session,
    whole: Vec<Tensor<i32>>,
    floats: Vec<Tensor<f32>>,
    loss: Tensor<f32>,
    states: States,
    beside: Arc<Beside>,
    sizes: [(&'static str, usize); 2],
}

impl ClassicProgram {
    /// Compiles a step that was recognised; `initial` has the values of all states of its graph, which were checked.
    ///
    /// # Errors
    /// What ONNX Runtime refuses.
    pub fn new(
        library: &'static Library,
        factorisation: &Factorisation,
        initial: &[(String, Vec<f32>)],
        threads: usize,
    ) -> Result<Self> {
        let failed = |error: ort::Error| failure("compile", "cpu", &error);
        let (layout, constants) = (factorisation.layout(), (factorisation.mu, factorisation.range));
        let biases = [factorisation.user_bias, factorisation.item_bias];
        let share = match factorisation.objective {
            Objective::HalfSquaredSum => 0.5,
            Objective::MeanSquaredError | Objective::CrossEntropy { .. } => 1.0,
        };
        let make = move || ClassicPass::new(Level::best(), layout, constants, biases, share);
        let beside = Arc::new(Beside::default());
        let operator = ClassicOperator { make, threads, beside: Arc::clone(&beside) };
        let session = session(library, operator, &operator::model(), threads).map_err(failed)?;
        let mut binding = session.create_binding().map_err(failed)?;
        let mut states = States::new(factorisation, initial).map_err(failed)?;
        let mut loss = Tensor::<f32>::new(&Allocator::default(), ort::value::Shape::empty(0)).map_err(failed)?;
        binding.bind_output(LOSS, &mut loss).map_err(failed)?;
        states.bind_rows(&mut binding).map_err(failed)?;
        let sizes = [(USER, factorisation.n_users), (ITEM, factorisation.n_items)];
        Ok(Self { binding, session, whole: Vec::new(), floats: Vec::new(), loss, states, beside, sizes })
    }

    /// Copies what is fed to where the session reads it.
    fn write(&mut self, feeds: &[Feed<'_>], blocks: &Blocks<'_>) -> Result<()> {
        let settings = settings(feeds)?;
        let pace = [settings.step_size, settings.decay];
        let whole_number = |place: &usize| i32::try_from(*place).map_err(|_| Error::new("blocks: too many ratings"));
        let borders = blocks.borders.iter().map(whole_number).collect::<Result<Vec<_>>>()?;
        let (user_rows, item_rows) = (bounds(blocks, USER)?, bounds(blocks, ITEM)?);
        let whole = [
            ("user", indices(feeds, USER)?),
            ("item", indices(feeds, ITEM)?),
            ("borders", &borders),
            ("user_rows", &user_rows),
            ("item_rows", &item_rows),
        ];
        let weights = if has(feeds, WEIGHT) { floats(feeds, WEIGHT)? } else { &[] };
        let real = [("rating", floats(feeds, RATING)?), ("weight", weights), ("pace", &pace)];
        // Rounds differ in their length: there is room for the longest so far.
        let failed = |error: ort::Error| failure("run", "cpu", &error);
        for (place, (name, values)) in whole.into_iter().enumerate() {
            let room = self.whole.get(place).map_or(0, |tensor| tensor.extract_tensor().1.len());
            let room = if place < 2 { room.max(values.len()) } else { values.len() };
            write(&mut self.whole, place, name, values, room, &mut self.binding).map_err(failed)?;
        }
        for (place, (name, values)) in real.into_iter().enumerate() {
            let room = self.floats.get(place).map_or(0, |tensor| tensor.extract_tensor().1.len());
            let room = if place < 2 { room.max(values.len()) } else { values.len() };
            write(&mut self.floats, place, name, values, room, &mut self.binding).map_err(failed)?;
        }
        Ok(())
    }
}

impl Program for ClassicProgram {
    fn step(&mut self, feeds: &[Feed<'_>]) -> Result<f32> {
        match indices(feeds, USER)? {
            [_] => {}
            rows => return Err(Error::new(format!("feed {USER}: a step is of one rating, not {}", rows.len()))),
        }
        let [users, items] = self.sizes.map(|(_, n_rows)| 0..n_rows as u32);
        let rows: [(&str, &[Range<u32>]); 2] = [(USER, slice::from_ref(&users)), (ITEM, slice::from_ref(&items))];
        self.each(feeds, &Blocks { borders: &[0, 1], rows: &rows })
    }

    fn each(&mut self, feeds: &[Feed<'_>], blocks: &Blocks<'_>) -> Result<f32> {
        self.states.check_rows(indices(feeds, USER)?, indices(feeds, ITEM)?)?;
        self.write(feeds, blocks)?;
        self.session.run_binding(&self.binding).map_err(|error| failure("run", "cpu", &error))?;
        let (_, loss) = self.loss.extract_tensor();
        loss.first().copied().ok_or_else(|| Error::new("onnx runtime answered a step without a loss"))
    }

    fn each_beside(&mut self, feeds: &[Feed<'_>], blocks: &Blocks<'_>, other: Other<'_>) -> Result<f32> {
        let beside = Arc::clone(&self.beside);
        beside.during(other, || self.each(feeds, blocks))
    }

    fn state(&self, name: &str) -> Result<Vec<f32>> {
        self.states.read(name, |_, _, _| {}, |_| 0.0)
    }

    fn operators(&self) -> &'static str {
        "fused"
    }
}

/// First and last bounds of the rows of each block.
fn bounds(blocks: &Blocks<'_>, name: &str) -> Result<Vec<i32>> {
    let ranges = blocks.rows.iter().find(|(other, _)| *other == name).map(|(_, ranges)| *ranges);
    let ranges = ranges.ok_or_else(|| Error::new(format!("blocks: the rows of {name} are missing")))?;
    let bound =
        |row: u32| i32::try_from(row).map_err(|_| Error::new(format!("blocks: row {row} of {name} is too high")));
    ranges.iter().flat_map(|range| [range.start, range.end]).map(bound).collect()
}
