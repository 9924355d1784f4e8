//! Tidegate: an event-driven autoscaler that reads KEDA's ScaledObjects and closes the loop in one process.
#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod conversion;
pub mod demo;
pub mod hooks;
pub mod kubernetes;
pub mod local;
pub mod manifests;
pub mod resolution;
pub mod server;
pub mod simulation;
pub mod sources;
pub mod validation;
