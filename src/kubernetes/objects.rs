//! What the engine is told of the cluster. It is bounded by what there is: a later word about an object or a target takes the
//! place of an earlier one that nobody has taken yet, so the index never waits and nothing is lost.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidegate_engine::ports::Objects;
use tidegate_engine::protocol::{Change, Seen, Stored, TargetError};
use tidegate_engine::subject::{ObjectId, TargetRef};
use tokio::sync::Notify;

/// The changes that wait.
#[derive(Debug, Default)]
pub(super) struct Feed {
    waiting: Mutex<Waiting>,
    news: Notify,
    /// Everything that waited has been taken.
    emptied: Notify,
}

/// The engine's end of the cluster's watches.
#[derive(Debug)]
pub struct ClusterObjects(pub(super) Arc<Feed>);

#[derive(Debug, Default)]
struct Waiting {
    /// Every object with a word that waits, once.
    order: VecDeque<ObjectId>,
    words: HashMap<ObjectId, Word>,
    /// Every target with a word that waits, and some whose word was taken together with their object.
    target_order: VecDeque<TargetRef>,
    targets: HashMap<TargetRef, Result<Seen, TargetError>>,
    /// What follows an object that was just taken: what is stored of it, and its target.
    next: VecDeque<Change>,
    synced: bool,
}

/// What waits about one object, in the order in which it is told.
#[derive(Debug, Default)]
struct Word {
    gone: bool,
    /// [`Change::Set`] or [`Change::Refused`].
    text: Option<Change>,
    stored: Option<Box<Stored>>,
    parameters: bool,
}

impl Feed {
    /// Says what an object is now: [`Change::Set`] or [`Change::Refused`].
    pub(super) fn text(&self, id: &ObjectId, change: Change) {
        self.say(id, |word| word.text = Some(change));
    }

    /// Says what is stored of an object.
    pub(super) fn stored(&self, id: &ObjectId, stored: Stored) {
        self.say(id, |word| word.stored = Some(Box::new(stored)));
    }

    /// Says that an object is gone, whatever waits about it.
    pub(super) fn gone(&self, id: &ObjectId) {
        self.say(id, |word| *word = Word { gone: true, ..Word::default() });
    }

    /// Says that what an object's triggers refer to has changed.
    pub(super) fn parameters(&self, id: &ObjectId) {
        self.say(id, |word| word.parameters = true);
    }

    /// Says how a target is now.
    pub(super) fn target(&self, target: &TargetRef, word: Result<Seen, TargetError>) {
        let mut waiting = self.lock();
        if waiting.targets.insert(target.clone(), word).is_none() {
            waiting.target_order.push_back(target.clone());
        }
        self.news.notify_one();
    }

    /// Says that everything has been told once.
    pub(super) fn synced(&self) {
        self.lock().synced = true;
        self.news.notify_one();
    }

    /// Returns when nothing waits: then everything that was said before has been taken.
    pub(super) async fn taken(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // From here on a notification is not missed.
            emptied.as_mut().enable();
            if self.lock().is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// The next change, if one waits.
    pub(super) fn take(&self) -> Option<Change> {
        self.lock().take()
    }

    fn say(&self, id: &ObjectId, change: impl FnOnce(&mut Word)) {
        let mut waiting = self.lock();
        if !waiting.words.contains_key(id) {
            waiting.order.push_back(id.clone());
        }
        change(waiting.words.entry(id.clone()).or_default());
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.next.is_empty() && self.order.is_empty() && self.targets.is_empty() && !self.synced
    }

    /// Objects first, each followed by its target's state; then targets; at last that this is all.
    fn take(&mut self) -> Option<Change> {
        if let Some(change) = self.next.pop_front().or_else(|| self.object()) {
            return Some(change);
        }
        while let Some(target) = self.target_order.pop_front() {
            if let Some(word) = self.targets.remove(&target) {
                return Some(Change::Target(target, word));
            }
        }
        // Nothing waits. The first lists needed much room, and nothing later comes near to it: it is given back.
        std::mem::take(self).synced.then_some(Change::Synced)
    }

    fn object(&mut self) -> Option<Change> {
        let id = self.order.front()?.clone();
        let word = self.words.entry(id.clone()).or_default();
        let change = if std::mem::take(&mut word.gone) {
            Change::Gone(id.clone())
        } else if let Some(change) = word.text.take() {
            let target = match &change {
                Change::Set(subject, _) => Some(&subject.target),
                Change::Refused(_, target, ..) => Some(target),
                _ => None,
            };
            let told = target.and_then(|target| self.targets.remove_entry(target));
            self.next.extend(word.stored.take().map(|stored| Change::Stored(id.clone(), stored)));
            self.next.extend(told.map(|(target, word)| Change::Target(target, word)));
            change
        } else if let Some(stored) = word.stored.take() {
            Change::Stored(id.clone(), stored)
        } else {
            word.parameters = false;
            Change::ParametersChanged(id.clone())
        };
        if !word.gone && word.text.is_none() && word.stored.is_none() && !word.parameters {
            self.words.remove(&id);
            self.order.pop_front();
        }
        Some(change)
    }
}

#[async_trait]
impl Objects for ClusterObjects {
    async fn next(&mut self) -> Option<Change> {
        loop {
            // Taken and given in one step: a caller that drops this future has lost nothing.
            if let Some(change) = self.0.take() {
                return Some(change);
            }
            self.0.emptied.notify_waiters();
            self.0.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_calculator::memory::checkpoint::Checkpoint;
    use tidegate_calculator::observation::TargetState;
    use tidegate_engine::protocol::Version;

    fn target(name: &str) -> TargetRef {
        TargetRef {
            namespace: "shop".into(),
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: name.into(),
        }
    }

    fn refused(name: &str) -> (ObjectId, Change) {
        let id = ObjectId::new("shop", name);
        (id.clone(), Change::Refused(id, target(name), Vec::new(), Checkpoint::default()))
    }

    fn seen(replicas: u32) -> Seen {
        let state = TargetState { replicas, ..TargetState::default() };
        Seen { state, version: Version::default() }
    }

    fn all(feed: &Feed) -> Vec<String> {
        std::iter::from_fn(|| feed.take())
            .map(|change| match change {
                Change::Refused(id, ..) => format!("refused {}", id.name),
                Change::Gone(id) => format!("gone {}", id.name),
                Change::Stored(id, _) => format!("stored {}", id.name),
                Change::ParametersChanged(id) => format!("parameters {}", id.name),
                Change::Target(target, Ok(seen)) => format!("{} {}", target.name, seen.state.replicas),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_target_follows_its_object_and_only_the_last_word_counts() {
        let feed = Feed::default();
        feed.synced();
        feed.target(&target("a"), Ok(seen(1)));
        feed.target(&target("b"), Ok(seen(5)));
        for name in ["b", "a", "b"] {
            let (id, change) = refused(name);
            feed.text(&id, change);
        }
        feed.target(&target("a"), Ok(seen(2)));
        assert_eq!(all(&feed), ["refused b", "b 5", "refused a", "a 2", "Synced"]);
        feed.target(&target("a"), Ok(seen(3)));
        assert_eq!(all(&feed), ["a 3"]);
    }

    #[test]
    fn an_object_that_went_and_came_again_was_gone_meanwhile() {
        let feed = Feed::default();
        let (id, change) = refused("a");
        feed.parameters(&id);
        feed.text(&id, change.clone());
        feed.gone(&id);
        feed.stored(&id, Stored::default());
        feed.text(&id, change);
        feed.parameters(&id);
        feed.target(&target("a"), Ok(seen(1)));
        assert_eq!(all(&feed), ["gone a", "refused a", "stored a", "a 1", "parameters a"]);
        feed.stored(&id, Stored::default());
        assert_eq!(all(&feed), ["stored a"]);
    }

    #[tokio::test]
    async fn whoever_waits_until_all_is_taken_waits_for_the_engine() {
        let feed = Arc::new(Feed::default());
        feed.taken().await;
        feed.stored(&ObjectId::new("shop", "a"), Stored::default());
        let waiting = tokio::spawn({
            let feed = feed.clone();
            async move { feed.taken().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        let mut objects = ClusterObjects(feed);
        assert!(matches!(objects.next().await, Some(Change::Stored(..))));
        // It asks for more, and there is none.
        let idle = tokio::time::timeout(std::time::Duration::from_millis(1), objects.next()).await;
        assert!(idle.is_err());
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn the_engine_waits_for_news() {
        let feed = Arc::new(Feed::default());
        let mut objects = ClusterObjects(feed.clone());
        let waiting = tokio::spawn(async move { objects.next().await });
        tokio::task::yield_now().await;
        feed.gone(&ObjectId::new("shop", "a"));
        assert!(matches!(waiting.await, Ok(Some(Change::Gone(_)))));
    }
}
