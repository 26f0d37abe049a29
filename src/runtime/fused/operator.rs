//! The operator as ONNX Runtime sees it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::{PrimitiveTensorElementType, TensorElementType, ValueRefMut};
use prost::Message;

use crate::kernels::Pool;
use crate::kernels::factorisation::{Batch, History, Reach, Settings, State, Step};
use crate::runtime::onnx::model_proto;
use crate::runtime::proto::{
    DimensionProto, FLOAT, GraphProto, INT32, NodeProto, OperatorSetIdProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};

/// The domain of our operators.
pub const DOMAIN: &str = "cofi";
const NAME: &str = "FactorisationStep";

/// The inputs, in order, and whether they are whole numbers. The first three are what a training owns, and outputs, too.
pub const INPUTS: [(&str, bool); 12] = [
    ("rows", false),
    ("clocks", true),
    ("classes", false),
    ("user", true),
    ("item", true),
    ("rating", false),
    ("class", true),
    ("weight", false),
    ("share", false),
    ("now", true),
    ("settings", false),
    ("history", false),
];
/// How many of them a training owns.
pub const N_OWNED: usize = 3;
/// The first output.
pub const LOSS: &str = "loss";

/// Where every row moves: the number of steps after which all rows are brought up to date and the count begins again, so that no
/// row has more than that to make up for and what it needs to know of the steps fits the cache.
pub const SETTLE_AFTER: i32 = 256;

/// The output that holds what an owned input becomes.
pub fn next_name(owned: &str) -> String {
    format!("{owned}#next")
}

/// The bytes of a model that is the operator alone.
pub fn model() -> Vec<u8> {
    model_of(NAME, &INPUTS, N_OWNED)
}

/// The bytes of a model that is one operator of ours alone, of whose inputs the first `n_owned` are outputs, too, behind the loss.
pub(super) fn model_of(operator: &str, inputs: &[(&str, bool)], n_owned: usize) -> Vec<u8> {
    let value = |name: &str, is_whole: bool, rank: usize| ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: Some(if is_whole { INT32 } else { FLOAT }),
                shape: Some(TensorShapeProto {
                    dim: (0..rank)
                        .map(|_| DimensionProto { dim_value: None, dim_param: Some(format!("size of {name}")) })
                        .collect(),
                }),
            }),
        }),
    };
    let mut graph = GraphProto { name: Some("step".to_owned()), ..GraphProto::default() };
    graph.input = inputs.iter().map(|(name, is_whole)| value(name, *is_whole, 1)).collect();
    graph.output.push(value(LOSS, false, 0));
    graph.output.extend(inputs[..n_owned].iter().map(|(name, is_whole)| value(&next_name(name), *is_whole, 1)));
    graph.node.push(NodeProto {
        input: graph.input.iter().filter_map(|input| input.name.clone()).collect(),
        output: graph.output.iter().filter_map(|output| output.name.clone()).collect(),
        op_type: Some(operator.to_owned()),
        domain: Some(DOMAIN.to_owned()),
        ..NodeProto::default()
    });
    let mut model = model_proto(graph);
    model.opset_import.push(OperatorSetIdProto { domain: Some(DOMAIN.to_owned()), version: Some(1) });
    model.encode_to_vec()
}

/// Makes the kernel of one session.
pub struct StepOperator<F> {
    /// A new step.
    pub make: F,
    /// What the input `history` is.
    pub reach: Reach,
    /// Threads of the session.
    pub threads: usize,
}

impl<F: Fn() -> Step + Send + Sync + 'static> Operator for StepOperator<F> {
    type Kernel<'attr> = StepKernel;

    const INPLACES: &[(u32, u32)] = &[(0, 1), (1, 2), (2, 3)];

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        INPUTS.map(|(_, is_whole)| OperatorInput::required(element(is_whole)))
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        let owned = INPUTS[..N_OWNED].iter().map(|(_, is_whole)| element(*is_whole));
        [TensorElementType::Float32].into_iter().chain(owned).map(OperatorOutput::required).collect::<Vec<_>>()
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<StepKernel> {
        Ok(StepKernel { step: (self.make)(), reach: self.reach, threads: self.threads })
    }
}

pub(super) fn element(is_whole: bool) -> TensorElementType {
    if is_whole { TensorElementType::Int32 } else { TensorElementType::Float32 }
}

/// The operator in a session.
pub struct StepKernel {
    step: Step,
    reach: Reach,
    threads: usize,
}

impl Kernel for StepKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        // A panic must not reach the runtime, which would end the host's process.
        match catch_unwind(AssertUnwindSafe(|| self.run(context))) {
            Ok(done) => done,
            Err(_) => Err(ort::Error::new("the fused operator came to an unexpected end")),
        }
    }
}

impl StepKernel {
    fn run(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let floats = |place: usize| input::<f32>(context, place, INPUTS[place].0);
        let whole = |place: usize| input::<i32>(context, place, INPUTS[place].0);
        let (&[share], &[now], [settings]) = (floats(8)?, whole(9)?, Settings::each_of(floats(10)?)) else {
            return Err(misfit("settings"));
        };
        let past = floats(11)?;
        let before = usize::try_from(now - 1).map_err(|_| misfit("now"))?;
        let upto = |n_steps: usize| match self.reach {
            Reach::BatchRows => past.get(..=n_steps).map(History::LogDecays),
            Reach::EveryRow => Settings::each_of(past).get(..n_steps).map(History::Steps),
        };
        let history = upto(before).ok_or_else(|| misfit("history"))?;
        let batch = Batch {
            users: whole(3)?,
            items: whole(4)?,
            ratings: floats(5)?,
            classes: whole(6)?,
            weights: floats(7)?,
            share,
        };
        let (mut rows, mut clocks, mut classes) = (
            owned::<f32>(context, 0, "rows")?,
            owned::<i32>(context, 1, "clocks")?,
            owned::<f32>(context, 2, "classes")?,
        );
        let mut state = State {
            rows: rows.try_extract_tensor_mut::<f32>()?.1.as_chunks_mut().0,
            clocks: clocks.try_extract_tensor_mut::<i32>()?.1,
            classes: classes.try_extract_tensor_mut::<f32>()?.1.as_chunks_mut().0,
        };
        let pool = Threads::new(context, self.threads);
        let loss = self.step.run(&mut state, batch, settings, history, now, &pool).map_err(|_| misfit("batch"))?;
        if self.reach == Reach::EveryRow && now == SETTLE_AFTER {
            let history = upto(before + 1).ok_or_else(|| misfit("history"))?;
            self.step.settle_all(&mut state, settings, history, now, &pool);
        }
        pool.finish()?;
        let mut output = context.output(0, [0i64; 0])?.ok_or_else(|| misfit("loss"))?;
        match output.try_extract_tensor_mut::<f32>()?.1 {
            [place] => *place = loss,
            _ => return Err(misfit("loss")),
        }
        Ok(())
    }
}

pub(super) fn misfit(what: &str) -> ort::Error {
    ort::Error::new(format!("the fused operator was given a {what} that does not fit its tables"))
}

/// The numbers of an input that a training does not own.
pub(super) fn input<'c, T: PrimitiveTensorElementType>(
    context: &'c ComputeContext,
    place: usize,
    name: &str,
) -> ort::Result<&'c [T]> {
    let value = context.input(place)?.ok_or_else(|| misfit(name))?;
    let (_, values) = value.try_extract_tensor::<T>()?;
    // SAFETY: `value` is a handle; the numbers belong to the session's caller and stay as they are until this run of the kernel,
    // which is what `context` stands for, has ended. What a training owns is not asked for here.
    Ok(unsafe { std::slice::from_raw_parts(values.as_ptr(), values.len()) })
}

/// The output that an owned input becomes, with the input's numbers in it: the caller has bound both to one place.
pub(super) fn owned<'c, T: PrimitiveTensorElementType + Copy>(
    context: &'c ComputeContext,
    place: usize,
    name: &str,
) -> ort::Result<ValueRefMut<'c>> {
    let before = context.input(place)?.ok_or_else(|| misfit(name))?;
    let (shape, before) = before.try_extract_tensor::<T>()?;
    let (source, n) = (before.as_ptr(), before.len());
    let mut after = context.output(1 + place, shape.clone())?.ok_or_else(|| misfit(name))?;
    match after.try_extract_tensor_mut::<T>()?.1 {
        same if same.as_ptr() == source && same.len() == n => Ok(after),
        _ => Err(misfit(name)),
    }
}

/// The threads of the session.
pub(super) struct Threads<'a> {
    context: &'a ComputeContext,
    threads: usize,
    has_failed: AtomicBool,
}

impl<'a> Threads<'a> {
    pub(super) fn new(context: &'a ComputeContext, threads: usize) -> Self {
        Self { context, threads, has_failed: AtomicBool::new(false) }
    }

    /// # Errors
    /// A piece that was not done.
    pub(super) fn finish(self) -> ort::Result<()> {
        match self.has_failed.into_inner() {
            true => Err(ort::Error::new("a thread of the fused operator came to an unexpected end")),
            false => Ok(()),
        }
    }
}

impl Pool for Threads<'_> {
    fn threads(&self) -> usize {
        self.threads
    }

    fn for_each(&self, n: usize, piece: &(dyn Fn(usize) + Sync)) {
        if self.threads == 1 || n <= 1 {
            return (0..n).for_each(piece);
        }
        // A panic must not reach the threads of the runtime either.
        let has_failed = &self.has_failed;
        let guarded = |index: usize| {
            if catch_unwind(AssertUnwindSafe(|| piece(index))).is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
        };
        if self.context.par_for(n, self.threads, guarded).is_err() {
            has_failed.store(true, Ordering::Relaxed);
        }
    }
}
