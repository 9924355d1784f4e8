//! The world of a cluster: objects, targets and secrets come from an API server, and memory is kept there.

pub mod events;
pub mod finalize;
pub mod foreign;
pub mod holds;
pub mod journal;
pub mod keda;
pub mod known;
pub mod lease;
pub mod rbac;
pub mod record;
pub mod settings;
pub mod start;
pub mod status;
