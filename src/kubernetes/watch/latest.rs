//! Before whoever has won the Lease acts, it learns what was stored last: a watch may lag behind the last write of the one before.
//!
//! All ScaleRecords are listed once more, past the watches, and the engine hears of its tenure when it has heard of them.

use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::Client;
use kube::api::ListParams;
use tidegate_engine::protocol::Tenure;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::event::{Event, Mark, What};
use super::streams::{self, Events};
use super::views::{self, Loose};
use crate::kubernetes::calls::{self, CALL, Failure, within};
use crate::kubernetes::objects::Feed;
use crate::kubernetes::patience::PAGE;

/// How long the records are asked for. Whoever has the Lease and does not act keeps all others from acting.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after a failure they are asked for again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the engine may take to hear of them.
const HEARING: Duration = Duration::from_secs(10);

/// Lists what is stored when the tenure begins.
pub(in crate::kubernetes) struct Latest {
    pub(super) client: Client,
    pub(super) namespaces: Vec<Option<Arc<str>>>,
    pub(super) events: Events,
    pub(super) feed: Arc<Feed>,
}

impl Latest {
    /// The tenure for the engine: it follows `won`, and begins once the engine has heard of everything that is stored. The future does
    /// it; it must run until the process ends.
    pub(in crate::kubernetes) fn follow(
        self,
        mut won: watch::Receiver<Tenure>,
    ) -> (watch::Receiver<Tenure>, impl Future<Output = ()> + Send) {
        let (sender, tenure) = watch::channel(Tenure::Standby);
        let follow = async move {
            loop {
                let now = *won.borrow_and_update();
                if now.is_held() && !sender.borrow().is_held() {
                    self.learn().await;
                }
                sender.send_replace(now);
                if won.changed().await.is_err() {
                    // The end of the tenure ends the process; until then it is as it was.
                    return std::future::pending().await;
                }
            }
        };
        (tenure, follow)
    }

    async fn learn(&self) {
        let listed = async {
            let mut complaint = None;
            while let Err(failure) = self.list().await {
                let why = failure.because(&format!("cannot list {}", calls::name(&streams::resource(&What::Records))));
                if complaint.as_ref() != Some(&why) {
                    tracing::warn!("{why}");
                    complaint = Some(why);
                }
                sleep(PAUSE).await;
            }
        };
        if timeout(PATIENCE, listed).await.is_err() {
            tracing::warn!(
                "what is stored could not be listed within {PATIENCE:?}; going on with what the watch has shown"
            );
        }
        let heard = async {
            let (mark, marked) = oneshot::channel();
            // Nobody takes events any more at the end of the process.
            if self.events.send(Event::Marked(Mark(mark))).await.is_ok() && marked.await.is_ok() {
                self.feed.taken().await;
            }
        };
        if timeout(HEARING, heard).await.is_err() {
            tracing::warn!("the news does not end; acting after {HEARING:?}");
        }
    }

    async fn list(&self) -> Result<(), Failure> {
        let resource = streams::resource(&What::Records);
        for namespace in &self.namespaces {
            let api: Api<Loose> = match namespace {
                Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
                None => Api::all_with(self.client.clone(), &resource),
            };
            let mut params = ListParams::default().limit(PAGE);
            loop {
                let page = within(CALL, api.list(&params)).await?;
                for view in page.items {
                    let Some(id) = views::id(&view.metadata) else { continue };
                    let event = Event::Record(id, Box::new(streams::record(&view)));
                    if self.events.send(event).await.is_err() {
                        return Ok(());
                    }
                }
                match page.metadata.continue_.filter(|more| !more.is_empty()) {
                    Some(more) => params = params.continue_token(&more),
                    None => break,
                }
            }
        }
        Ok(())
    }
}
