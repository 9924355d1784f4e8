//! Decisions as a user sees them: worked timelines, one a clause, and properties over random histories.
#![allow(clippy::unwrap_used, reason = "helpers of tests are no tests to clippy")]

mod bounds;
mod checkpoint;
mod explain;
mod hpa;
mod model;
mod next;
mod random;
mod rates;
mod stabilization;
mod world;
mod zero;
