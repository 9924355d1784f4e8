//! Tests of the whole: the real command line, real servers, real processes.
//!
//! One binary, so that it is linked once and its servers are started once. [`harness`] starts and ends things, [`scenarios`],
//! [`cluster`] and [`flink`] say what must hold. A test whose server is not installed says `skipped: ...` and passes; under `CI=true` it fails.
#![forbid(unsafe_code)]
// These are tests: what cannot go on here should stop the test with all that is known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cluster;
mod flink;
mod harness;
mod scenarios;

fn main() {
    // A pod's consumer is this program, too.
    if cluster::kafka::work_if_told() || cluster::sources::work_if_told() {
        return;
    }
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Scenarios mostly wait for periods to pass, so more of them than processors run side by side.
    arguments.test_threads.get_or_insert(12);
    let cleaner = harness::children::Cleaner::start();
    let alone = libtest_mimic::run(&arguments, cluster::alone());
    let together = libtest_mimic::run(
        &arguments,
        cluster::all().into_iter().chain(flink::all()).chain(scenarios::all()).collect(),
    );
    cluster::end();
    drop(cleaner);
    alone.exit_if_failed();
    together.exit();
}
