//! The operator of the classic pass as ONNX Runtime sees it.

use std::sync::Arc;

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use crate::kernels::factorisation::{ClassicPass, Pace, Round};
use crate::runtime::fused::beside::Beside;
use crate::runtime::fused::context::{Threads, contain, element, input, misfit, owned};
use crate::runtime::fused::operator::{LOSS, model_of};

const NAME: &str = "ClassicPass";

/// The inputs, in order, and whether they are whole numbers. The first is what a training owns, and an output, too.
const INPUTS: [(&str, bool); 9] = [
    ("rows", false),
    ("user", true),
    ("item", true),
    ("rating", false),
    ("weight", false),
    ("pace", false),
    ("borders", true),
    ("user_rows", true),
    ("item_rows", true),
];

/// The bytes of a model that is the operator alone.
pub fn model() -> Vec<u8> {
    model_of(NAME, &INPUTS, 1)
}

/// Makes the kernel of one session.
pub struct ClassicOperator<F> {
    /// A new pass.
    pub make: F,
    /// Threads of the session.
    pub threads: usize,
    /// What they do besides.
    pub beside: Arc<Beside>,
}

impl<F: Fn() -> ClassicPass + Send + Sync + 'static> Operator for ClassicOperator<F> {
    type Kernel<'attr> = ClassicKernel;

    const INPLACES: &[(u32, u32)] = &[(0, 1)];

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        INPUTS.map(|(_, is_whole)| OperatorInput::required(element(is_whole)))
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [TensorElementType::Float32; 2].map(OperatorOutput::required)
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<ClassicKernel> {
        Ok(ClassicKernel { pass: (self.make)(), threads: self.threads, beside: Arc::clone(&self.beside) })
    }
}

/// The operator in a session.
pub struct ClassicKernel {
    pass: ClassicPass,
    threads: usize,
    beside: Arc<Beside>,
}

impl Kernel for ClassicKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        contain(NAME, || self.run(context))
    }
}

impl ClassicKernel {
    fn run(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let floats = |place: usize| input::<f32>(context, place, INPUTS[place].0);
        let whole = |place: usize| input::<i32>(context, place, INPUTS[place].0);
        let &[rate, decay] = floats(5)? else { return Err(misfit("pace")) };
        let borders = whole(6)?;
        // There is room behind the ratings, for larger rounds.
        let n = borders.last().and_then(|n| usize::try_from(*n).ok()).ok_or_else(|| misfit("borders"))?;
        let (weights, is_weighted) = (floats(4)?, !floats(4)?.is_empty());
        let round = Round {
            users: whole(1)?.get(..n).ok_or_else(|| misfit("user"))?,
            items: whole(2)?.get(..n).ok_or_else(|| misfit("item"))?,
            ratings: floats(3)?.get(..n).ok_or_else(|| misfit("rating"))?,
            weights: weights.get(..if is_weighted { n } else { 0 }).ok_or_else(|| misfit("weight"))?,
            borders,
            user_rows: whole(7)?,
            item_rows: whole(8)?,
        };
        let mut rows = owned::<f32>(context, 0, 1)?;
        let rows = rows.try_extract_tensor_mut::<f32>()?.1.as_chunks_mut().0;
        let pool = Threads::new(context, self.threads).with(&self.beside);
        let sum = self.pass.run(rows, &round, Pace { rate, decay }, &pool).map_err(|_| misfit("round"))?;
        let mut output = context.output(0, [0i64; 0])?.ok_or_else(|| misfit(LOSS))?;
        match output.try_extract_tensor_mut::<f32>()?.1 {
            [place] => *place = sum as f32,
            _ => return Err(misfit(LOSS)),
        }
        Ok(())
    }
}
