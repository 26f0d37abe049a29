//! Tests of the core and of the engines, in one binary.

mod behaviour;
mod core;
mod evaluators;
mod golden;
mod gradients;
mod onnx;
mod optimisers;
mod reference;
mod support;
mod tidy;
