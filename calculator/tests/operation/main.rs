//! Operations as a user sees them: timelines of every strategy, the table of crashes, and random histories under which the laws hold.
#![allow(clippy::unwrap_used, reason = "helpers of tests are no tests to clippy")]
#![allow(clippy::panic, reason = "helpers of tests are no tests to clippy")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod checkpoint;
mod crashes;
mod deployment;
mod driver;
mod hooks;
mod jobs;
mod refusals;
mod simulation;
mod specs;
mod stop_restore;
mod summaries;
mod useful;
mod wishes;
mod words;
mod world;
