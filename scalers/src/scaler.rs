//! What every trigger type must be able to do: say how much work waits, and perhaps when to look again.

use std::fmt;

use async_trait::async_trait;
use tidegate_calculator::source::{Deadline, EndpointId, Occasion, ReadError, Readings, Wake};

/// One built trigger. Building it opens no connection; the first read does.
#[async_trait]
pub trait Scaler: Send + Sync {
    /// The endpoint this trigger reads from, if it reads from one: triggers with an equal id share one connection.
    fn endpoint(&self) -> Option<EndpointId>;

    /// Reads all metrics of the trigger, in the order of its declaration; never an empty list.
    ///
    /// Reading on the occasion of a poll may advance what the trigger remembers between polls; any other must not.
    /// The caller may drop the future at any time. An answer that the source did not give is an error, never a zero.
    async fn read(&self, occasion: Occasion, deadline: Deadline) -> Result<Readings, ReadError>;

    /// Subscribes to changes of the source, if this trigger was declared to do so.
    ///
    /// `wake` is only a hint to read: it may come without a change, and polling must go on beside it.
    fn watch(&self, wake: Wake) -> Option<Watch>;
}

/// A running subscription. Dropping it unsubscribes.
pub struct Watch {
    unsubscribe: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Watch {
    /// A subscription that `unsubscribe` ends.
    pub fn new(unsubscribe: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { unsubscribe: Some(Box::new(unsubscribe)) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(unsubscribe) = self.unsubscribe.take() {
            unsubscribe();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
