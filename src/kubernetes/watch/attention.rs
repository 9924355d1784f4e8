//! Which objects somebody should look at: those that came, whose finalizers changed, or that are being deleted or gone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_engine::subject::ObjectId;
use tokio::sync::Notify;

/// The objects that wait to be looked at, each once. Copies share them; there should be one reader.
#[derive(Clone, Debug, Default)]
pub struct Attention(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<BTreeSet<ObjectId>>,
    news: Notify,
}

impl Attention {
    /// An object should be looked at.
    pub fn raise(&self, id: &ObjectId) {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        self.0.news.notify_one();
    }

    /// Waits for an object. What is known of it stands in [`super::super::known::Known`]; nothing if it is gone.
    pub async fn next(&self) -> ObjectId {
        loop {
            let next = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            if let Some(id) = next {
                return id;
            }
            self.0.news.notified().await;
        }
    }
}
