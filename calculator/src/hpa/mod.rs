//! What a HorizontalPodAutoscaler does, exactly: [`reconcile()`] is one whole pass of its controller (hpa-algorithm).
//!
//! Tidegate's own [`decide`](crate::decide) uses the same stages. Where it deviates, because its passes come faster than the HPA's sync
//! period or because unknown is never zero, the deviation stands in `decide`; nothing here knows of it. Replicas are `i32` here as in
//! Kubernetes: a negative metric gives a negative proposal.

pub mod combine;
pub mod conditions;
pub mod history;
pub mod limits;
pub mod metric;
pub mod observation;
pub mod pods;
pub mod proposal;
pub mod quantity;
pub mod ratio;
pub mod requests;
pub mod samples;
pub mod selector;
pub mod spec;
pub mod stabilize;
pub mod state;
pub mod words;

mod reconcile;

pub use conditions::{Condition, ConditionType};
pub use observation::Observation;
pub use reconcile::{Action, Event, Failure, Labels, Reconciled, reconcile};
pub use spec::{Settings, Spec};
pub use state::State;
