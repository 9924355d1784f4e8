//! The Kubernetes objects that Tidegate reads and writes, as Rust types and as printed custom resource definitions.
//!
//! * `keda.sh/v1alpha1`: [`ScaledObject`], [`ScaledJob`], [`TriggerAuthentication`], [`ClusterTriggerAuthentication`].
//!   Their schema is KEDA's, field by field: no field of ours stands in them, so that no chart, `GitOps` tool or roll-back
//!   to KEDA can lose one. `tests/schema` holds that schema as tables and compares both ways.
//! * `tidegate.dev/v1alpha1`: [`ScaleRecord`], what Tidegate knows about one object; [`ScalingPolicy`] and [`ClusterScalingPolicy`],
//!   what users say beyond KEDA.
//! * [`annotations`]: the names of the annotations that users write.
//! * [`schema::Schema`]: finds in a manifest all that an API server would refuse, for files that never met one.
//! * [`all`]: the definitions as YAML. The files under `yaml/` are printed by it; a test keeps them so.
//!
//! The types read what an API server stores: they ignore fields they do not know, and text with a fixed set of values is
//! plain text here, so that one odd value costs a finding and not the whole object. The sets stand beside the fields as
//! constants ([`scaled_object::FALLBACK_BEHAVIORS`] and so on).
#![forbid(unsafe_code)]
// The lint takes the parts of several `printcolumn(..)` for one attribute written twice.
#![expect(clippy::duplicated_attributes, reason = "every printer column has a name, a type and a path")]

pub mod annotations;
pub mod printer;
pub mod scale_record;
pub mod scaled_job;
pub mod scaled_object;
pub mod scaling_policy;
pub mod schema;
pub mod trigger;
pub mod trigger_authentication;

pub use printer::{PrintError, all};
pub use scale_record::{ScaleRecord, ScaleRecordStatus};
pub use scaled_job::{ScaledJob, ScaledJobSpec, ScaledJobStatus};
pub use scaled_object::{ScaledObject, ScaledObjectSpec, ScaledObjectStatus};
pub use scaling_policy::{ClusterScalingPolicy, ClusterScalingPolicySpec, ScalingPolicy, ScalingPolicySpec};
pub use schema::{Schema, Violation};
pub use trigger::{Trigger, TriggerActivity};
pub use trigger_authentication::{
    ClusterTriggerAuthentication, ClusterTriggerAuthenticationSpec, TriggerAuthentication, TriggerAuthenticationSpec,
    TriggerAuthenticationStatus,
};

/// The API group of KEDA's objects.
pub const KEDA_GROUP: &str = "keda.sh";
/// The API group of our own objects.
pub const TIDEGATE_GROUP: &str = "tidegate.dev";
/// The one version of both groups.
pub const VERSION: &str = "v1alpha1";
