//! Copies of graphs, node by node.

use cofi::error::Result;
use cofi::graph::{Graph, Node, NodeId, Op, Step};

/// The same step but for the node `changed`; an error where the graph does not take it.
pub fn with_node(step: &Step, changed: usize, op: &Op) -> Result<Step> {
    let mut graph = Graph::new();
    for (id, node) in step.graph.iter() {
        let op = if id.index() == changed { op } else { &node.op };
        push(&mut graph, node, op.clone())?;
    }
    Ok(Step { graph, ..step.clone() })
}

/// Adds an operation with the elements, and where it says itself none, the shape of a node.
pub fn push(graph: &mut Graph, node: &Node, op: Op) -> Result<NodeId> {
    match op {
        Op::Input { name } => graph.input(&name, node.shape.clone(), node.element),
        Op::State { name } => graph.state(&name, node.shape.clone()),
        Op::Constant(value) => Ok(graph.constant(value)),
        Op::Add(a, b) => graph.add(a, b),
        Op::Sub(a, b) => graph.sub(a, b),
        Op::Mul(a, b) => graph.mul(a, b),
        Op::Div(a, b) => graph.div(a, b),
        Op::Sqrt(a) => graph.sqrt(a),
        Op::Sigmoid(a) => graph.sigmoid(a),
        Op::Relu(a) => graph.relu(a),
        Op::Sign(a) => graph.sign(a),
        Op::Exp(a) => graph.exp(a),
        Op::MatMul { a, b, transpose_a, transpose_b } => graph.matmul(a, b, transpose_a, transpose_b),
        Op::LogSoftmax(a) => graph.log_softmax(a),
        Op::OneHot { rows, n_columns } => graph.one_hot(rows, n_columns),
        Op::Gather { table, rows } => graph.gather(table, rows),
        Op::ScatterAdd { rows, values, n_rows } => graph.scatter_add(rows, values, n_rows),
        Op::SumColumns(a) => graph.sum_columns(a),
        Op::RepeatColumns { values, n_columns } => graph.repeat_columns(values, n_columns),
        Op::SumRows(a) => graph.sum_rows(a),
        Op::RepeatRows { values, like } => graph.repeat_rows(values, like),
        Op::SumAll(a) => graph.sum_all(a),
        Op::Broadcast { value, like } => graph.broadcast(value, like),
        Op::Count(a) => Ok(graph.count(a)),
    }
}
