//! Decisions as a user sees them: worked timelines, one a clause, and properties over random histories.
#![allow(clippy::unwrap_used, reason = "helpers of tests are no tests to clippy")]

mod autoscaler;
mod bounds;
mod checkpoint;
mod consent;
mod direction;
mod errors;
mod exact;
mod explain;
mod fallback;
mod gates;
mod health;
mod hpa;
mod inverse;
mod known;
mod laws;
mod meetings;
mod model;
mod next;
mod pods;
mod random;
mod rates;
mod ruled;
mod rulelaws;
mod schedules;
mod settlelaws;
mod settling;
mod stabilization;
mod steps;
mod timers;
mod useful;
mod votes;
mod windows;
mod world;
mod zero;

use proptest::test_runner::{Config, RngSeed};

/// How often a property is tried: `PROPTEST_CASES` if it is set, so that mutants take less time and a long search more. The
/// cases are the same every time, so that a change is what turns a test red; `PROPTEST_RNG_SEED` searches elsewhere.
fn cases(usual: u32) -> Config {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let cases = number("PROPTEST_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(usual);
    let rng_seed = RngSeed::Fixed(number("PROPTEST_RNG_SEED").unwrap_or(1));
    Config { cases, rng_seed, failure_persistence: None, ..Config::default() }
}
