//! Tests of the core and of the engines, in one binary.

mod behaviour;
mod classic;
mod core;
mod corpus;
mod evaluators;
mod fused;
#[path = "../fuzz/src/lib.rs"]
mod fuzzed;
mod golden;
mod gradients;
mod metrics;
mod onnx;
mod optimisers;
mod pca;
mod properties;
mod recognise;
mod reference;
mod report;
mod resident;
mod rows;
mod support;
mod tidy;
