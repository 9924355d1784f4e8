//! Collects the wakes of sources that push: each trigger at most once, however often it calls.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_calculator::source::Wake;
use tokio::sync::Notify;

use crate::protocol::Ticket;

/// The triggers that want to be read. Bounded by the number of triggers, since each stands in it once.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    waiting: Mutex<BTreeSet<(Ticket, u8)>>,
    some: Notify,
}

impl Wakes {
    /// What a source calls when it has changed.
    pub(super) fn wake(self: &Arc<Self>, ticket: Ticket, trigger: u8) -> Wake {
        let wakes = Arc::downgrade(self);
        Arc::new(move || {
            if let Some(wakes) = wakes.upgrade() {
                wakes.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert((ticket, trigger));
                wakes.some.notify_one();
            }
        })
    }

    /// Waits for wakes and takes all that are there.
    pub(super) async fn next(&self) -> BTreeSet<(Ticket, u8)> {
        loop {
            let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken;
            }
            self.some.notified().await;
        }
    }
}
