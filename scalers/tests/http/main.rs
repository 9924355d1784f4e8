//! The HTTP triggers `prometheus` and `metrics-api` against a scripted server, and against a real Prometheus.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod credentials;
mod failures;
mod metrics_api;
mod prometheus;
mod real;
mod server;
mod sharing;
mod tls;
