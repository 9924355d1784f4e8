//! The triggers `external` and `external-push` against a real gRPC server in this process: users write their servers
//! themselves, so any server by the contract is the real one.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod failures;
mod leaks;
mod push;
#[path = "../scripted/external.rs"]
mod scripted;
mod server;
mod tls;
mod values;
