//! The operators as ONNX Runtime sees them.

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::ValueRefMut;

use crate::kernels::Level;
use crate::kernels::factorisation::{Decay, Dense, Held, Layout, Memory, Moment, Reach, Settings, Slopes, Table};
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
/// Moves a parameter as a whole.
///
/// Inputs: the parameter, its first moments, with Adam its second ones, its gradient, the settings of the step. Outputs: parameter and
/// moments in place.
pub const WHOLE: &str = "Update";
/// The attribute that says which of the tables, or which parameter, it is.
pub const NUMBER: &str = "number";

/// Whether the inputs that the operators of tables begin with are whole numbers.
const COMMON: [bool; 6] = [false, true, true, true, false, false];

/// What kernels of one session are made of.
#[derive(Clone)]
pub struct Plan {
    /// How the rows of each table lie, whether it has biases, and what a factor's own value adds to its gradient.
    pub tables: Vec<(Layout, bool, f32)>,
    /// How each parameter that moves as a whole decays.
    pub whole: Vec<Decay>,
    /// What the rule remembers.
    pub memory: Memory,
    /// What the history is.
    pub reach: Reach,
    /// Threads of the session that help.
    pub threads: usize,
}

impl Plan {
    /// A new table.
    pub fn table(&self, number: usize) -> Option<Table> {
        let (layout, has_bias, penalty) = *self.tables.get(number)?;
        Some(Table::new(Level::best(), layout, has_bias, penalty))
    }
}

/// [`READ`].
pub struct ReadOperator(pub Plan);
/// [`LEARN`].
pub struct LearnOperator(pub Plan);
/// [`WHOLE`].
pub struct WholeOperator(pub Plan);

fn inputs(whole: &[bool]) -> Vec<OperatorInput> {
    whole.iter().map(|is_whole| OperatorInput::required(element(*is_whole))).collect()
}

fn outputs(whole: &[bool]) -> Vec<OperatorOutput> {
    whole.iter().map(|is_whole| OperatorOutput::required(element(*is_whole))).collect()
}

impl Operator for ReadOperator {
    type Kernel<'attr> = ReadKernel;

    const INPLACES: &[(u32, u32)] = &[(0, 0), (1, 1)];

    fn name(&self) -> &str {
        READ
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        inputs(&COMMON)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        let biases = OperatorOutput::optional(element(false));
        outputs(&[false, true, false]).into_iter().chain([biases])
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<ReadKernel> {
        Ok(ReadKernel(Common::new(&self.0, context)?))
    }
}

impl Operator for LearnOperator {
    type Kernel<'attr> = LearnKernel;

    const INPLACES: &[(u32, u32)] = &[(0, 0), (1, 1)];

    fn name(&self) -> &str {
        LEARN
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let slopes = [OperatorInput::required(element(false)), OperatorInput::optional(element(false))];
        inputs(&COMMON).into_iter().chain(slopes)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        outputs(&[false, true])
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<LearnKernel> {
        Ok(LearnKernel(Common::new(&self.0, context)?))
    }
}

impl Operator for WholeOperator {
    type Kernel<'attr> = WholeKernel;

    const INPLACES: &[(u32, u32)] = &[(0, 0), (1, 1), (2, 2)];

    fn name(&self) -> &str {
        WHOLE
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        inputs(&vec![false; n_states(self.0.memory) + 2])
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        outputs(&vec![false; n_states(self.0.memory)])
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<WholeKernel> {
        let Plan { memory, threads, .. } = self.0;
        let decay = number(context).and_then(|number| self.0.whole.get(number)).copied();
        Ok(WholeKernel { decay: decay.ok_or_else(|| misfit(NUMBER))?, memory, threads })
    }
}

fn n_states(memory: Memory) -> usize {
    match memory {
        Memory::Nothing => 1,
        Memory::First => 2,
        Memory::Both => 3,
    }
}

fn number(context: &KernelContext<'_>) -> Option<usize> {
    context.get::<i64>(NUMBER).and_then(|number| usize::try_from(number).ok())
}

/// What the kernels of a table have.
struct Common {
    table: Table,
    width: usize,
    reach: Reach,
    threads: usize,
}

impl Common {
    fn new(plan: &Plan, context: &KernelContext<'_>) -> ort::Result<Self> {
        let number = number(context).ok_or_else(|| misfit(NUMBER))?;
        let (Some(table), Some((layout, ..))) = (plan.table(number), plan.tables.get(number)) else {
            return Err(misfit(NUMBER));
        };
        Ok(Self { table, width: layout.width, reach: plan.reach, threads: plan.threads })
    }
}

/// [`READ`] in a session.
pub struct ReadKernel(Common);
/// [`LEARN`] in a session.
pub struct LearnKernel(Common);

impl Kernel for ReadKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        contain(READ, || self.run(context))
    }
}

impl Kernel for LearnKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        contain(LEARN, || self.run(context))
    }
}

/// [`WHOLE`] in a session.
pub struct WholeKernel {
    decay: Decay,
    memory: Memory,
    threads: usize,
}

impl Kernel for WholeKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        contain(WHOLE, || self.run(context))
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
        Ok(())
    }
}

impl WholeKernel {
    fn run(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let n = n_states(self.memory);
        let gradient = input::<f32>(context, n, "gradient")?;
        let [settings] = Settings::each_of(input::<f32>(context, n + 1, "setting")?) else {
            return Err(misfit("setting"));
        };
        let (mut p, mut m) = (owned::<f32>(context, 0, 0)?, owned::<f32>(context, 1, 1)?);
        let mut v = if n > 2 { Some(owned::<f32>(context, 2, 2)?) } else { None };
        let parameter = Dense {
            p: p.try_extract_tensor_mut::<f32>()?.1,
            m: m.try_extract_tensor_mut::<f32>()?.1,
            v: match &mut v {
                Some(v) => Some(v.try_extract_tensor_mut::<f32>()?.1),
                None => None,
            },
        };
        let pool = Threads::new(context, self.threads);
        let done = parameter.learn(Level::best(), gradient, self.decay, settings, &pool);
        done.map_err(|_| misfit("gradient"))
    }
}
