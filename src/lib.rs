//! Collaborative filtering in SQL: a DuckDB extension that trains recommenders over rating tables.
//!
//! The modules stand in the order in which data flows through them, and each imports only from modules above it.
//! `ARCHITECTURE.md` tells why.

pub mod error;

pub mod ending;

pub mod rng;

pub mod kernels;

pub mod ids;
pub mod ratings;

pub mod graph;
pub mod score;

pub mod model;

pub mod metrics;

pub mod evaluation;

pub mod report;

pub mod train;

pub mod runtime;

pub mod store;

pub mod functions;

pub mod extension;
