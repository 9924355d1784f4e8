//! What the tests of several crates need in order to start real servers: free ports, processes that end for certain, certificates.
//!
//! It is a dependency of tests alone. Everything listens on 127.0.0.1, and what goes wrong here is a failed test, so it panics.

#![allow(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "it is part of tests: what goes wrong here is a failed test"
)]

mod authority;
mod folder;
mod ports;
mod process;
mod wait;

pub use authority::{Authority, Identity, NAMES};
pub use folder::{Guard, logs};
pub use ports::{free_port, free_ports};
pub use process::Process;
pub use wait::{PATIENCE, eventually};
