//! What the fuzzers feed and what must hold of it. An ordinary test of cofi's compiles the same files and runs them over the corpus.

pub mod arguments;
pub mod bytes;
pub mod copies;
pub mod graphs;
pub mod protobuf;
pub mod stored;
pub mod tables;
