//! The triggers on MongoDB against a real server, and against a small scripted one for what the real one cannot be made to
//! say.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod failures;
mod ops_queue;
mod push;
#[path = "../scripted/mongodb.rs"]
mod scripted;
mod server;
mod tls;
mod values;
