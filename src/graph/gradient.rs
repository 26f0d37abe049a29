//! Reverse-mode differentiation: appends to a graph the nodes that compute the derivatives of its loss.

use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, NodeId, Op};

/// The derivative of `loss` with respect to each of `wrt`, in that order and each in the shape of its node.
///
/// The nodes are appended to the same graph, so the reverse pass shares what the forward pass computed. Nothing is
/// appended for operands that lead to none of `wrt`.
///
/// # Errors
/// A loss that is not a scalar; a node of `wrt` on which the loss does not depend (a model that forgot a parameter: zeros
/// would hide it).
///
/// # Source
/// Griewank and Walther, Evaluating Derivatives (2008), section 3.2.
pub fn gradients(graph: &mut Graph, loss: NodeId, wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    if graph.shape(loss).rank() != 0 {
        return Err(Error::new(format!("graph: a loss is a scalar, not of shape {}", graph.shape(loss))));
    }
    let forward: Vec<(NodeId, Op)> =
        graph.iter().take(loss.index() + 1).map(|(id, node)| (id, node.op.clone())).collect();
    let wanted = leads_to(&forward, wrt);
    let mut arrived: Vec<Option<NodeId>> = vec![None; forward.len()];
    arrived[loss.index()] = Some(graph.constant(1.0));

    // Every reader of a node stands behind it, so its gradient is complete when the walk comes by.
    for (y, op) in forward.iter().rev() {
        let Some(dy) = arrived[y.index()] else { continue };
        for (position, operand) in op.inputs().into_iter().enumerate() {
            if !(wanted[operand.index()] && passes_gradient(op, position)) {
                continue;
            }
            let mut part = rule(graph, op, position, *y, dy)?;
            if graph.shape(operand).rank() == 0 && graph.shape(part).rank() != 0 {
                // The scalar was read once for every element.
                part = graph.sum_all(part)?;
            }
            arrived[operand.index()] = Some(match arrived[operand.index()] {
                Some(sum) => graph.add(sum, part)?,
                None => part,
            });
        }
    }
    wrt.iter()
        .map(|id| {
            arrived.get(id.index()).copied().flatten().ok_or_else(|| {
                Error::new(format!("graph: the loss does not depend on {}, so it has no gradient", graph.label(*id)))
            })
        })
        .collect()
}

/// For every node whether a gradient that arrives there flows on to one of `wrt`.
fn leads_to(forward: &[(NodeId, Op)], wrt: &[NodeId]) -> Vec<bool> {
    let mut wanted = vec![false; forward.len()];
    for (id, op) in forward {
        let through_operand = op
            .inputs()
            .into_iter()
            .enumerate()
            .any(|(position, operand)| wanted[operand.index()] && passes_gradient(op, position));
        wanted[id.index()] = wrt.contains(id) || through_operand;
    }
    wanted
}

/// Whether an operand's values reach the result smoothly: not where only its shape, or a row number, is read.
fn passes_gradient(op: &Op, position: usize) -> bool {
    match op {
        Op::Gather { .. } | Op::RepeatRows { .. } | Op::Broadcast { .. } => position == 0,
        Op::ScatterAdd { .. } => position == 1,
        Op::Sign(_) | Op::OneHot { .. } | Op::Count(_) => false,
        _ => true,
    }
}

/// What the operand at `position` of `y = op(...)` receives when `dy` arrives at `y`; in the shape of `y` for
/// element-wise operations, so that the caller has to sum it for a scalar operand.
fn rule(graph: &mut Graph, op: &Op, position: usize, y: NodeId, dy: NodeId) -> Result<NodeId> {
    match (op, position) {
        // y = a + b
        (Op::Add(..), _) => Ok(dy),
        // y = a - b
        (Op::Sub(..), 0) => Ok(dy),
        (Op::Sub(..), _) => negative(graph, dy),
        // y = a b
        (Op::Mul(_, b), 0) => graph.mul(dy, *b),
        (Op::Mul(a, _), _) => graph.mul(dy, *a),
        // y = a / b, dy/db = -a / b^2 = -y / b
        (Op::Div(_, b), 0) => graph.div(dy, *b),
        (Op::Div(_, b), _) => {
            let slope = graph.div(y, *b)?;
            let product = graph.mul(dy, slope)?;
            negative(graph, product)
        }
        // y = a^(1/2), dy/da = 1 / (2 y)
        (Op::Sqrt(_), _) => {
            let half = graph.constant(0.5);
            let halved = graph.mul(dy, half)?;
            graph.div(halved, y)
        }
        // y = sigmoid(a), dy/da = y (1 - y)
        (Op::Sigmoid(_), _) => {
            let one = graph.constant(1.0);
            let complement = graph.sub(one, y)?;
            let slope = graph.mul(y, complement)?;
            graph.mul(dy, slope)
        }
        // y = max(a, 0), dy/da = sign(y)
        (Op::Relu(_), _) => {
            let slope = graph.sign(y)?;
            graph.mul(dy, slope)
        }
        // y = exp(a)
        (Op::Exp(_), _) => graph.mul(dy, y),
        // y = op(a) op(b), d op(a) = dy op(b)^T, d op(b) = op(a)^T dy; where an operand is transposed, so is its gradient
        (Op::MatMul { b, transpose_a: false, transpose_b, .. }, 0) => graph.matmul(dy, *b, false, !transpose_b),
        (Op::MatMul { b, transpose_a: true, transpose_b, .. }, 0) => graph.matmul(*b, dy, *transpose_b, true),
        (Op::MatMul { a, transpose_a, transpose_b: false, .. }, _) => graph.matmul(*a, dy, !transpose_a, false),
        (Op::MatMul { a, transpose_a, transpose_b: true, .. }, _) => graph.matmul(dy, *a, true, *transpose_a),
        // y = a - log(sum_c exp(a[n, c])), da = dy - exp(y) sum_c dy[n, c]
        (Op::LogSoftmax(_), _) => match graph.shape(y).dims() {
            [_, Dim::Fixed(n_columns)] => {
                let n_columns = *n_columns;
                let sums = graph.sum_columns(dy)?;
                let wide = graph.repeat_columns(sums, n_columns)?;
                let shares = graph.exp(y)?;
                let product = graph.mul(shares, wide)?;
                graph.sub(dy, product)
            }
            _ => Err(no_rule(op, position)),
        },
        // y[n] = table[rows[n]]
        (Op::Gather { table, rows }, 0) => match graph.shape(*table).dims().first() {
            Some(Dim::Fixed(n_rows)) => graph.scatter_add(*rows, dy, *n_rows),
            _ => Err(no_rule(op, position)),
        },
        // y[rows[n]] += values[n]
        (Op::ScatterAdd { rows, .. }, 1) => graph.gather(dy, *rows),
        // y[n] = sum_k a[n, k]
        (Op::SumColumns(a), _) => match graph.shape(*a).dims() {
            [_, Dim::Fixed(n_columns)] => graph.repeat_columns(dy, *n_columns),
            _ => Err(no_rule(op, position)),
        },
        // y[n, k] = values[n]
        (Op::RepeatColumns { .. }, _) => graph.sum_columns(dy),
        // y[k] = sum_n a[n, k]
        (Op::SumRows(a), _) => graph.repeat_rows(dy, *a),
        // y[n, k] = values[k]
        (Op::RepeatRows { .. }, 0) => graph.sum_rows(dy),
        // y = sum_n a[n]
        (Op::SumAll(a), _) => graph.broadcast(dy, *a),
        // y[n] = value
        (Op::Broadcast { .. }, 0) => graph.sum_all(dy),
        (
            Op::Input { .. }
            | Op::State { .. }
            | Op::Constant(_)
            | Op::Sign(_)
            | Op::OneHot { .. }
            | Op::Gather { .. }
            | Op::ScatterAdd { .. }
            | Op::RepeatRows { .. }
            | Op::Broadcast { .. }
            | Op::Count(_),
            _,
        ) => Err(no_rule(op, position)),
    }
}

fn negative(graph: &mut Graph, a: NodeId) -> Result<NodeId> {
    let minus_one = graph.constant(-1.0);
    graph.mul(a, minus_one)
}

fn no_rule(op: &Op, position: usize) -> Error {
    Error::new(format!("graph: {} passes no gradient to operand {position}", op.name()))
}
