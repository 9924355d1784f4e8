//! Remembers the commits of the previous poll, so that lag which does not move can be told apart.
//!
//! The memory belongs to a trigger of an object, not to a built trigger: when an object changes, its triggers are built
//! anew, the new ones before the old ones are dropped, and they find what the old ones remember.

use std::sync::{Arc, Mutex, PoisonError};

use tidegate_calculator::source::{Occasion, TriggerSpec};

use super::lag::{self, Commits};
use super::offsets::{Query, TopicOffsets};
use crate::endpoint::{Endpoints, identify};

/// What one trigger remembers between polls.
#[derive(Default)]
pub(super) struct Memory(Mutex<Polls>);

/// The commits seen by the last two polls.
#[derive(Default)]
struct Polls {
    /// What the last poll was judged by: every read until the next one is judged alike.
    before: Arc<Commits>,
    last: Arc<Commits>,
}

impl Memory {
    /// Joins the memory of this trigger, or begins one. `servers` keep commits of different clusters apart; credentials
    /// are left out, so that a new password forgets nothing.
    pub(super) fn open(
        endpoints: &Endpoints,
        spec: &TriggerSpec,
        servers: &[(String, u16)],
        query: &Query,
    ) -> Arc<Self> {
        let id = identify("kafka commits", &(&spec.owner, spec.index, servers, &query.group, &query.scope));
        endpoints.join(id, Self::default)
    }

    /// The commits that a read on this occasion is judged by. A poll makes the present ones those of the next poll.
    pub(super) fn before(&self, occasion: Occasion, topics: &[TopicOffsets]) -> Arc<Commits> {
        let mut polls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if occasion == Occasion::Poll {
            polls.before = std::mem::replace(&mut polls.last, Arc::new(lag::commits(topics)));
        }
        Arc::clone(&polls.before)
    }
}

#[cfg(test)]
#[path = "persistent_tests.rs"]
mod tests;
