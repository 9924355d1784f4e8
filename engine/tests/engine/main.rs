//! Timelines of the engine: inputs at given moments, and what it did about them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own tools may panic, too")]

mod fallback;
mod faults;
mod memory;
mod names;
mod observed;
mod passes;
mod rules;
mod settling;
mod stored;
mod takeover;
mod tenure;
mod world;
mod writes;
