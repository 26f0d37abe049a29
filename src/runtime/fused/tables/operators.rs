//! The operators as ONNX Runtime sees them.

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::ValueRefMut;

use crate::kernels::factorisation::{Held, Moment, Reach, Settings, Slopes, Table};
use crate::runtime::fused::context::{Threads, contain, element, history, input, misfit, owned};
use crate::runtime::fused::past::SETTLE_AFTER;

/// Gives the rows of a batch and brings them up to date.
///
/// Inputs: rows, clocks, row numbers `[B]`, number of the step, its settings, its history. Outputs: rows and clocks in place, factors
/// `[B, K]`, biases `[B]` where they are wanted.
pub const READ: &str = "TableRead";
/// Moves the rows of a batch by the slopes in what was read.
///
/// Inputs: as above, of rows and clocks what was read, then the slopes in the factors `[B, K]` and biases `[B]`, where there are such.
/// Outputs: rows and clocks in place.
pub const LEARN: &str = "TableLearn";
/// The attribute that says which of the tables it is.
pub const SIDE: &str = "side";

/// Whether the inputs that both begin with are whole numbers.
const COMMON: [bool; 6] = [false, true, true, true, false, false];

/// Makes the kernels of one session.
#[derive(Clone)]
pub struct Maker<F> {
    /// A new table of a side, and its `K`.
    pub make: F,
    /// What the history is.
    pub reach: Reach,
    /// Threads of the session that help.
    pub threads: usize,
}

/// [`READ`].
pub struct ReadOperator<F>(pub Maker<F>);
/// [`LEARN`].
pub struct LearnOperator<F>(pub Maker<F>);

impl<F: Fn(usize) -> Option<(Table, usize)> + Send + Sync + 'static> Operator for ReadOperator<F> {
    type Kernel<'attr> = ReadKernel;

    const INPLACES: &[(u32, u32)] = &[(0, 0), (1, 1)];

    fn name(&self) -> &str {
        READ
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        COMMON.map(|is_whole| OperatorInput::required(element(is_whole)))
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        let required = [false, true, false].map(|is_whole| OperatorOutput::required(element(is_whole)));
        required.into_iter().chain([OperatorOutput::optional(element(false))])
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<ReadKernel> {
        Ok(ReadKernel(Common::new(&self.0, context)?))
    }
}

impl<F: Fn(usize) -> Option<(Table, usize)> + Send + Sync + 'static> Operator for LearnOperator<F> {
    type Kernel<'attr> = LearnKernel;

    const INPLACES: &[(u32, u32)] = &[(0, 0), (1, 1)];

    fn name(&self) -> &str {
        LEARN
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let common = COMMON.map(|is_whole| OperatorInput::required(element(is_whole)));
        let slopes = [OperatorInput::required(element(false)), OperatorInput::optional(element(false))];
        common.into_iter().chain(slopes)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [false, true].map(|is_whole| OperatorOutput::required(element(is_whole)))
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<LearnKernel> {
        Ok(LearnKernel(Common::new(&self.0, context)?))
    }
}

/// What both kernels have.
struct Common {
    table: Table,
    width: usize,
    reach: Reach,
    threads: usize,
}

impl Common {
    fn new<F: Fn(usize) -> Option<(Table, usize)>>(maker: &Maker<F>, context: &KernelContext<'_>) -> ort::Result<Self> {
        let side = context.get::<i64>(SIDE).and_then(|side| usize::try_from(side).ok());
        let (table, width) = side.and_then(&maker.make).ok_or_else(|| misfit(SIDE))?;
        Ok(Self { table, width, reach: maker.reach, threads: maker.threads })
    }
}

/// [`READ`] in a session.
pub struct ReadKernel(Common);
/// [`LEARN`] in a session.
pub struct LearnKernel(Common);

impl Kernel for ReadKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        contain(|| self.run(context))
    }
}

impl Kernel for LearnKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        contain(|| self.run(context))
    }
}

/// What a training owns, as outputs.
struct Outputs<'a>(ValueRefMut<'a>, ValueRefMut<'a>);

impl<'a> Outputs<'a> {
    fn of(context: &'a ComputeContext) -> ort::Result<Self> {
        Ok(Self(owned::<f32>(context, 0, 0)?, owned::<i32>(context, 1, 1)?))
    }

    fn held(&mut self) -> ort::Result<Held<'_>> {
        let rows = self.0.try_extract_tensor_mut::<f32>()?.1.as_chunks_mut().0;
        Ok(Held { rows, clocks: self.1.try_extract_tensor_mut::<i32>()?.1 })
    }
}

/// The row numbers, the number of the step and its settings.
fn given(context: &ComputeContext) -> ort::Result<(&[i32], i32, &Settings)> {
    let (index, now) = (input::<i32>(context, 2, "row number")?, input::<i32>(context, 3, "step number")?);
    let settings = Settings::each_of(input::<f32>(context, 4, "setting")?);
    match (now, settings) {
        (&[now], [settings]) if now >= 1 => Ok((index, now, settings)),
        _ => Err(misfit("setting")),
    }
}

impl ReadKernel {
    fn run(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let Common { table, width, reach, threads } = &self.0;
        let (index, now, settings) = given(context)?;
        let history = history(*reach, input(context, 5, "history")?, now as usize - 1)?;
        let mut values = context.output(2, [index.len(), *width])?.ok_or_else(|| misfit("factor"))?;
        let mut biases = context.output(3, [index.len()])?;
        let values = values.try_extract_tensor_mut::<f32>()?.1;
        let biases = match &mut biases {
            Some(biases) => biases.try_extract_tensor_mut::<f32>()?.1,
            None => &mut [],
        };
        let mut outputs = Outputs::of(context)?;
        let pool = Threads::new(context, *threads);
        let moment = Moment { settings, history, now };
        let done = table.read(&mut outputs.held()?, index, (values, biases), &moment, &pool);
        pool.finish()?;
        done.map_err(|_| misfit("batch"))
    }
}

impl LearnKernel {
    fn run(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let Common { table, reach, threads, .. } = &mut self.0;
        let (index, now, settings) = given(context)?;
        let has_biases = context.num_inputs()? > 7 && context.input(7)?.is_some();
        let biases = if has_biases { input(context, 7, "slope")? } else { &[] };
        let slopes = Slopes { values: input(context, 6, "slope")?, biases };
        let mut outputs = Outputs::of(context)?;
        let mut held = outputs.held()?;
        let pool = Threads::new(context, *threads);
        table.learn(&mut held, index, slopes, settings, now, &pool).map_err(|_| misfit("batch"))?;
        if *reach == Reach::EveryRow && now == SETTLE_AFTER {
            let history = history(*reach, input(context, 5, "history")?, now as usize)?;
            table.settle_all(&mut held, &Moment { settings, history, now }, &pool);
        }
        pool.finish()
    }
}
