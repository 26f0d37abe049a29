//! Threads, as a loop sees them.

/// Something that can run independent pieces of work side by side.
pub trait Pool {
    /// How many pieces can run at once, at least 1: into more, work need not be cut.
    fn threads(&self) -> usize;

    /// Calls `piece` with every number below `n`, in any order and on any threads, and returns when all are done; where one
    /// panics, this panics, too, so that nobody relies on what was not done.
    fn for_each(&self, n: usize, piece: &(dyn Fn(usize) + Sync));

    /// The same for pieces that are the most of what is to do: where a pool has other work to share, too, it is shared with them.
    fn for_most(&self, n: usize, piece: &(dyn Fn(usize) + Sync)) {
        self.for_each(n, piece);
    }
}

/// The calling thread alone.
pub struct Here;

impl Pool for Here {
    fn threads(&self) -> usize {
        1
    }

    fn for_each(&self, n: usize, piece: &(dyn Fn(usize) + Sync)) {
        (0..n).for_each(piece);
    }
}
