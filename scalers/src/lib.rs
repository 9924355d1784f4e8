//! The trigger modules of Tidegate: they say how much work waits in Redis and other sources of demand.
//!
//! A trigger type is one module and one line in [`trigger_types`]. Its parameters are declared once; parsing,
//! validation, the documentation and the JSON schema all follow from the declaration ([`parameters`]). Triggers that
//! name the same server with the same credentials share one connection ([`Endpoints`]).
//!
//! * [`check`] says everything that can be said about a trigger without opening it, even without its Secrets.
//! * [`open`] builds it; the first [`Scaler::read`] connects.
//! * [`docs`] prints what users read about a trigger type.
#![forbid(unsafe_code)]

#[cfg(feature = "cron")]
mod cron;
pub mod docs;
// Without any trigger module nothing uses what they share.
#[cfg(feature = "cluster-metrics")]
mod cluster_metrics;
#[cfg_attr(not(any(feature = "kafka", feature = "redis")), allow(dead_code, unused_imports))]
mod endpoint;
#[cfg(feature = "http")]
// Each trigger type and kafka's logins use a part of it.
#[cfg_attr(not(all(feature = "metrics-api", feature = "prometheus")), allow(dead_code, unused_imports))]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
pub mod keda;
pub mod kinds;
#[cfg_attr(
    not(any(feature = "cron", feature = "http", feature = "cluster-metrics", feature = "redis")),
    allow(dead_code)
)]
mod metric;
#[cfg(feature = "metrics-api")]
mod metrics_api;
#[cfg(feature = "http")]
#[cfg_attr(not(feature = "kafka"), allow(dead_code))]
mod network;
pub mod parameters;
#[cfg(feature = "prometheus")]
mod prometheus;
#[cfg(feature = "redis")]
mod redis;
mod registry;
mod scaler;
mod surroundings;
#[cfg(feature = "tls")]
mod tls;

pub use docs::{explain, page, schema, table};
pub use endpoint::Endpoints;
pub use parameters::Known;
pub use registry::{Checked, TriggerType, check, open, trigger_type, trigger_types};
pub use scaler::{Scaler, Watch};
pub use surroundings::{Described, MetricQuery, Nowhere, ServiceEndpoint, Surroundings};
