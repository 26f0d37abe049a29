//! The text form of graphs and steps: one line a node, stable, for golden files and for reading.
//!
//! ```text
//! %0 = input user : index[B]
//! %1 = state user_factors : float[13, 5]
//! %2 = gather %1 %0 : float[B, 5]
//! ```

use std::fmt;

use crate::graph::engine::Step;
use crate::graph::{Element, Graph, NodeId, Op};

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.index())
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Element::Float => "float",
            Element::Index => "index",
        })
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.iter() {
            write!(f, "{id} = {}", node.op.name())?;
            match &node.op {
                Op::Input { name } | Op::State { name } => write!(f, " {name}")?,
                // The shortest digits that read back as the same number.
                Op::Constant(value) => write!(f, " {value:?}")?,
                Op::MatMul { a, b, transpose_a, transpose_b } => {
                    let mark = |transpose: &bool| if *transpose { "^T" } else { "" };
                    write!(f, " {a}{} {b}{}", mark(transpose_a), mark(transpose_b))?;
                }
                // What the operands do not tell (rows or columns of the result) stands in the shape.
                op => op.inputs().iter().try_for_each(|operand| write!(f, " {operand}"))?,
            }
            writeln!(f, " : {}{}", node.element, node.shape)?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.graph)?;
        writeln!(f, "loss {}", self.loss)?;
        self.updates.iter().try_for_each(|(state, value)| writeln!(f, "{} <- {value}", self.graph.label(*state)))
    }
}
