//! What the engine is told of the files and the processes. It is bounded by what there is: a later change takes the place
//! of an earlier one that nobody has taken yet, so the sender never waits and nothing is lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidegate_engine::ports::Objects;
use tidegate_engine::protocol::{Change, Seen, TargetError};
use tidegate_engine::subject::{ObjectId, TargetRef};
use tokio::sync::Notify;

/// The changes that wait, and the last word on every target.
#[derive(Debug, Default)]
pub(super) struct Feed {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    changes: VecDeque<Change>,
    targets: BTreeMap<TargetRef, Result<Seen, TargetError>>,
    /// The targets whose last word has not been told yet.
    untold: BTreeSet<TargetRef>,
}

/// The engine's end of a feed.
#[derive(Debug)]
pub(super) struct Inbox(pub(super) Arc<Feed>);

impl Feed {
    /// Says that an object changed, or that everything has been told.
    pub(super) fn push(&self, change: Change) {
        let mut waiting = self.lock();
        if let Some(id) = id(&change) {
            let superseded = |earlier: &Change| match (earlier, &change) {
                // Whatever waits is about an object that is gone now; but a Gone itself must be heard.
                (_, Change::Gone(_)) | (Change::ParametersChanged(_), _) => true,
                (Change::Gone(_), _) | (_, Change::ParametersChanged(_)) => false,
                _ => true,
            };
            waiting.changes.retain(|earlier| self::id(earlier) != Some(id) || !superseded(earlier));
        }
        waiting.changes.push_back(change);
        self.news.notify_one();
    }

    /// Says how a target is now.
    pub(super) fn target(&self, target: TargetRef, word: Result<Seen, TargetError>) {
        let mut waiting = self.lock();
        if waiting.targets.get(&target) != Some(&word) {
            waiting.targets.insert(target.clone(), word);
            waiting.untold.insert(target);
            self.news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// A target's state comes right after its object.
    fn take(&mut self) -> Option<Change> {
        let mut named = None;
        let change = if let Some(change) = self.changes.pop_front() {
            named = match &change {
                Change::Set(subject, _) => Some(subject.target.clone()),
                Change::Refused(_, target, ..) => Some(target.clone()),
                _ => None,
            };
            change
        } else {
            let target = self.untold.pop_first()?;
            let word = self.targets.get(&target)?.clone();
            Change::Target(target, word)
        };
        if let Some(target) = named {
            let word = self.targets.get(&target).cloned().unwrap_or_else(|| Err(super::ports::not_found(&target)));
            self.untold.remove(&target);
            self.changes.push_front(Change::Target(target, word));
        }
        Some(change)
    }
}

fn id(change: &Change) -> Option<&ObjectId> {
    match change {
        Change::Set(subject, _) => Some(&subject.id),
        Change::Gone(id) | Change::Refused(id, ..) | Change::ParametersChanged(id) => Some(id),
        Change::Stored(..) | Change::Target(..) | Change::Synced => None,
    }
}

#[async_trait]
impl Objects for Inbox {
    async fn next(&mut self) -> Option<Change> {
        loop {
            // Taken and given in one step: a caller that drops this future has lost nothing.
            if let Some(change) = self.0.lock().take() {
                return Some(change);
            }
            self.0.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::workload::target;
    use tidegate_calculator::memory::checkpoint::Checkpoint;
    use tidegate_calculator::observation::TargetState;
    use tidegate_engine::protocol::Version;

    fn orders() -> ObjectId {
        ObjectId::new("shop", "orders")
    }

    fn seen(replicas: u32) -> Seen {
        let state = TargetState { replicas, ..TargetState::default() };
        Seen { state, version: Version::default() }
    }

    fn refused() -> Change {
        Change::Refused(orders(), target(&orders()), Vec::new(), Checkpoint::default())
    }

    async fn told(feed: &Arc<Feed>) -> String {
        match Inbox(feed.clone()).next().await {
            Some(Change::Target(_, word)) => {
                word.map_or_else(|error| error.to_string(), |seen| seen.state.replicas.to_string())
            }
            Some(Change::Refused(..)) => "refused".to_owned(),
            Some(Change::Gone(_)) => "gone".to_owned(),
            Some(Change::ParametersChanged(_)) => "parameters".to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_target_follows_its_object_and_only_its_last_word_is_told() {
        let feed = Arc::new(Feed::default());
        feed.target(target(&orders()), Ok(seen(1)));
        feed.target(target(&orders()), Ok(seen(2)));
        feed.push(refused());
        assert_eq!([told(&feed).await, told(&feed).await], ["refused", "2"]);
        feed.target(target(&orders()), Ok(seen(2)));
        feed.target(target(&orders()), Ok(seen(3)));
        assert_eq!(told(&feed).await, "3");
    }

    #[tokio::test]
    async fn a_target_that_nobody_has_seen_does_not_exist() {
        let feed = Arc::new(Feed::default());
        feed.push(refused());
        assert_eq!([told(&feed).await, told(&feed).await], ["refused", "Deployment shop/orders does not exist"]);
    }

    #[tokio::test]
    async fn later_changes_take_the_place_of_earlier_ones() {
        let feed = Arc::new(Feed::default());
        for _ in 0..3 {
            feed.push(refused());
            feed.push(Change::ParametersChanged(orders()));
            feed.push(Change::Gone(orders()));
        }
        feed.push(refused());
        feed.push(refused());
        assert_eq!([told(&feed).await, told(&feed).await], ["gone", "refused"]);
        assert!(!told(&feed).await.contains("refused"));
        assert!(feed.lock().changes.is_empty());
    }
}
