//! The `rabbitmq` trigger against real servers, with real publishers and consumers, and against scripted ones for what those cannot
//! be made to say.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broker;
mod clients;
mod failures;
mod lists;
mod restarts;
mod scripted;
mod secrets;
mod server;
mod sharing;
mod tls;
mod tokens;
mod trigger;
mod values;
