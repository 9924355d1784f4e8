//! The world of a cluster: objects, targets and secrets come from an API server, and memory is kept there.
//!
//! [`follow`] watches the cluster and gives the engine its ports: [`Following`].

mod calls;
mod courtesy;
pub mod events;
#[cfg(test)]
mod fake;
pub mod finalize;
pub mod flink_scale;
pub mod foreign;
pub mod holds;
pub mod journal;
pub mod keda;
pub mod kept;
pub mod known;
pub mod lease;
pub mod objects;
pub mod once;
pub mod operations;
pub mod packed;
mod patience;
pub mod rbac;
pub mod record;
pub mod resolver;
pub mod settings;
mod shown;
pub mod start;
pub mod status;
mod surroundings;
pub mod target;
mod watch;

pub use watch::attention::Attention;
pub use watch::{Following, follow};
