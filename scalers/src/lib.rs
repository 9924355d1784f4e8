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
#[cfg_attr(not(any(feature = "kafka", feature = "mongodb", feature = "redis")), allow(dead_code, unused_imports))]
mod endpoint;
#[cfg(feature = "external")]
mod external;
#[cfg(feature = "flink")]
pub mod flink;
#[cfg(feature = "http")]
// Each trigger type and kafka's logins use a part of it.
#[cfg_attr(
    not(all(feature = "metrics-api", feature = "prometheus", feature = "websocket")),
    allow(dead_code, unused_imports)
)]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
pub mod keda;
pub mod kinds;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(feature = "location")]
// Each trigger type uses a part of it.
#[cfg_attr(not(all(feature = "kubernetes", feature = "metrics-api")), allow(dead_code, unused_imports))]
mod location;
// Each trigger type uses a part of it.
#[cfg_attr(not(all(feature = "http", feature = "kubernetes")), allow(dead_code))]
mod metric;
#[cfg(feature = "metrics-api")]
mod metrics_api;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(any(feature = "external", feature = "http", feature = "mongodb"))]
#[cfg_attr(not(any(feature = "kafka", feature = "websocket")), allow(dead_code))]
mod network;
pub mod parameters;
#[cfg(feature = "prometheus")]
mod prometheus;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "redis")]
mod redis;
mod registry;
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only triggers over HTTP count"))]
pub mod requests;
mod scaler;
mod surroundings;
#[cfg(feature = "tls")]
// The driver of mongodb makes its own TLS clients.
#[cfg_attr(not(any(feature = "http", feature = "redis")), allow(dead_code))]
mod tls;
#[cfg(feature = "websocket")]
mod websocket;

pub use docs::{explain, page, schema, table};
pub use endpoint::Endpoints;
#[cfg(feature = "http")]
pub use http::caller;
pub use parameters::Known;
pub use registry::{Checked, TriggerType, check, open, tells_metrics_itself, trigger_type, trigger_types};
pub use scaler::{Scaler, Watch};
pub use surroundings::{
    Described, Holder, HolderKind, MetricQuery, Nowhere, PodAddress, PodPlace, ServiceEndpoint, Standing, Surroundings,
    Texts,
};
