//! Finds who else writes the replicas of a target: another writer is named and never fought.
//!
//! * [`autoscalers`]: HorizontalPodAutoscalers of the same target.
//! * [`writers`]: tools that put back the number of their manifest after each of our writes.

pub mod autoscalers;
pub mod writers;
