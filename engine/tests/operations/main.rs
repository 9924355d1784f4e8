//! Operations inside the engine: a modelled Flink cluster performs their actions in virtual time, and the process may die at any command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own tools may panic, too")]

mod circumstances;
mod crashes;
mod order;
mod rest;
mod seen;
mod stage;
mod useful;
mod writes;
mod zero;

// The cluster of the state machine's own tests: the same laws hold for it here.
#[path = "../../../calculator/tests/operation/jobs.rs"]
#[allow(dead_code, clippy::pedantic, reason = "its own tests use the rest")]
mod jobs;
#[path = "../../../calculator/tests/operation/world.rs"]
#[allow(dead_code, clippy::pedantic, reason = "its own tests use the rest")]
mod world;
