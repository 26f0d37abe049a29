//! The operator as ONNX Runtime sees it.

use std::sync::Arc;

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;
use prost::Message;

use crate::kernels::factorisation::{Batch, Reach, Settings, State, Step};
use crate::runtime::fused::beside::Beside;
use crate::runtime::fused::context::{DOMAIN, Threads, contain, element, history, input, misfit, owned};
use crate::runtime::fused::past::SETTLE_AFTER;
use crate::runtime::onnx::model_proto;
use crate::runtime::proto::{
    DimensionProto, FLOAT, GraphProto, INT32, NodeProto, OperatorSetIdProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};

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
    /// What they do besides.
    pub beside: Arc<Beside>,
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
        Ok(StepKernel {
            step: (self.make)(),
            reach: self.reach,
            threads: self.threads,
            beside: Arc::clone(&self.beside),
        })
    }
}

/// The operator in a session.
pub struct StepKernel {
    step: Step,
    reach: Reach,
    threads: usize,
    beside: Arc<Beside>,
}

impl Kernel for StepKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        contain(NAME, || self.run(context))
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
        let until = |n_steps: usize| history(self.reach, past, n_steps);
        let batch = Batch {
            users: whole(3)?,
            items: whole(4)?,
            ratings: floats(5)?,
            classes: whole(6)?,
            weights: floats(7)?,
            share,
        };
        let (mut rows, mut clocks, mut classes) =
            (owned::<f32>(context, 0, 1)?, owned::<i32>(context, 1, 2)?, owned::<f32>(context, 2, 3)?);
        let mut state = State {
            rows: rows.try_extract_tensor_mut::<f32>()?.1.as_chunks_mut().0,
            clocks: clocks.try_extract_tensor_mut::<i32>()?.1,
            classes: classes.try_extract_tensor_mut::<f32>()?.1.as_chunks_mut().0,
        };
        let pool = Threads::new(context, self.threads).with(&self.beside);
        let loss =
            self.step.run(&mut state, batch, settings, until(before)?, now, &pool).map_err(|_| misfit("batch"))?;
        if self.reach == Reach::EveryRow && now == SETTLE_AFTER {
            self.step.settle_all(&mut state, settings, until(before + 1)?, now, &pool);
        }
        let mut output = context.output(0, [0i64; 0])?.ok_or_else(|| misfit("loss"))?;
        match output.try_extract_tensor_mut::<f32>()?.1 {
            [place] => *place = loss,
            _ => return Err(misfit("loss")),
        }
        Ok(())
    }
}
