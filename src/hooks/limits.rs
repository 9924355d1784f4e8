//! How long the parts of one action may take.

use std::time::Duration;

/// One call over HTTP.
pub(crate) const CALL: Duration = Duration::from_secs(10);

/// A whole action. The machine takes a call for lost after 90 s.
pub(super) const WHOLE: Duration = Duration::from_secs(85);
