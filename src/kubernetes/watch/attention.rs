//! Which objects somebody should look at: those that came, whose finalizers or holds changed, that are being deleted, or that left
//! something behind.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_engine::subject::ObjectId;
use tokio::sync::Notify;

use super::directory::AuthenticationKey;

/// The objects that wait to be looked at, each once. Copies share them; there should be one reader.
#[derive(Clone, Debug, Default)]
pub struct Attention(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<BTreeSet<ObjectId>>,
    news: Notify,
    /// Authentications that are being deleted and carry KEDA's finalizer.
    leaving: Mutex<BTreeSet<AuthenticationKey>>,
    leaving_news: Notify,
}

impl Attention {
    /// An object should be looked at.
    pub fn raise(&self, id: &ObjectId) {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        self.0.news.notify_one();
    }

    /// An object needs not be looked at any more: it is gone and left nothing behind.
    pub fn forget(&self, id: &ObjectId) {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// An authentication that is being deleted waits for its finalizer to go.
    pub(in crate::kubernetes) fn raise_authentication(&self, key: AuthenticationKey) {
        self.0.leaving.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        self.0.leaving_news.notify_one();
    }

    /// An authentication is gone.
    pub(in crate::kubernetes) fn forget_authentication(&self, key: &AuthenticationKey) {
        self.0.leaving.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Waits for an authentication that is being deleted.
    pub(in crate::kubernetes) async fn next_authentication(&self) -> AuthenticationKey {
        loop {
            let next = self.0.leaving.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            if let Some(key) = next {
                return key;
            }
            self.0.leaving_news.notified().await;
        }
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
