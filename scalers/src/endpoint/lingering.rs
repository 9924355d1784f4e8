//! A use of something that triggers share, such as the connections to a server, and that stays for a while after its last user.

use std::ops::Deref;
use std::sync::Arc;

use tidegate_calculator::source::EndpointId;
use tokio::time::sleep;

use super::{Endpoints, LINGER};

/// A use of a `T`. After the last one it stays for [`LINGER`].
pub(crate) struct Lingering<T: Send + Sync + 'static> {
    id: EndpointId,
    shared: Arc<T>,
}

impl<T: Send + Sync + 'static> Lingering<T> {
    /// Joins the living one with this id, or makes it.
    pub(crate) fn join(endpoints: &Endpoints, id: EndpointId, make: impl FnOnce() -> T) -> Self {
        Self { id, shared: endpoints.join(id, make) }
    }

    /// What all its users have in common.
    pub(crate) fn id(&self) -> EndpointId {
        self.id
    }
}

impl<T: Send + Sync + 'static> Deref for Lingering<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Self::Target {
        &self.shared
    }
}

impl<T: Send + Sync + 'static> Drop for Lingering<T> {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        // Two: this one's and the clone. Without a runtime there is no connection to keep.
        if Arc::strong_count(&shared) == 2
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                sleep(LINGER).await;
                drop(shared);
            });
        }
    }
}
