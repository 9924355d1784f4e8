//! What must hold of the whole.

mod bad_input;
mod burst;
mod commands;
mod demo;
mod external;
mod fallback;
mod local;
mod probe;
mod restart;
mod rules;
mod trouble;

use libtest_mimic::Trial;

/// All scenarios, the longest first, so that the whole takes little longer than the longest one.
pub(crate) fn all() -> Vec<Trial> {
    [
        trouble::trials(),
        burst::trials(),
        fallback::trials(),
        restart::trials(),
        rules::trials(),
        demo::trials(),
        external::trials(),
        local::trials(),
        probe::trials(),
        bad_input::trials(),
        commands::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
