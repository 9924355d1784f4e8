//! The triggers on Redis against the real server, and against a small scripted one for what the real one cannot be made
//! to say.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod clients;
mod cluster;
mod failures;
mod fake;
mod push;
mod sentinel;
mod server;
mod streams;
mod tls;
mod values;
