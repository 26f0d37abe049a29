//! Work in pieces, on somebody else's threads.

use std::sync::{Mutex, PoisonError};

use crate::kernels::Pool;

/// Calls `f` with every piece, several at once; the results are in the order of the pieces.
pub(super) fn map<P: Send, R: Send>(pool: &dyn Pool, pieces: Vec<P>, f: impl Fn(P) -> R + Sync) -> Vec<R> {
    let pieces: Vec<Mutex<(Option<P>, Option<R>)>> =
        pieces.into_iter().map(|piece| Mutex::new((Some(piece), None))).collect();
    pool.for_each(pieces.len(), &|number| {
        // Each is asked for once, so nobody waits, and nobody has panicked with it.
        let mut piece = pieces[number].lock().unwrap_or_else(PoisonError::into_inner);
        piece.1 = piece.0.take().map(&f);
    });
    pieces.into_iter().filter_map(|piece| piece.into_inner().unwrap_or_else(PoisonError::into_inner).1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Here;

    #[test]
    fn results_are_in_the_order_of_the_pieces() {
        assert_eq!(map(&Here, vec!["a", "bc", ""], str::len), [1, 2, 0]);
        assert!(map(&Here, Vec::new(), |n: u64| n).is_empty());
    }
}
