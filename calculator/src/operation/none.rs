//! The strategy `None`: replicas are written, and nothing is protected. Also the way of changes where no job is live, and of objects
//! with http and job items alone.

use super::phase::Stage;

/// The stages of a change.
pub(super) fn plan() -> Vec<Stage> {
    vec![Stage::Items, Stage::Confirm, Stage::Patch, Stage::Post]
}
