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

use proptest::test_runner::Config;

/// How often a property is tried: `PROPTEST_CASES` if it is set, so that mutants take less time and a long search more.
fn cases(usual: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: cases.unwrap_or(usual), ..Config::default() }
}
