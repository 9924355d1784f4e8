//! Tells people what happened through Kubernetes events, so that `kubectl describe so` shows it.
//!
//! Events are a courtesy: telling never blocks, and may lose some. They wait in a bounded queue for one task that sends
//! them through one long-lived recorder, which joins repetitions into a series. Each object has a budget of its own
//! (so that one that flaps cannot drown the others), and the whole has one too (so that the API server is spared).

mod budget;
mod notes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event as Told, EventType, Recorder, Reporter};
use tidegate_crds::{KEDA_GROUP, VERSION};
use tidegate_engine::protocol::Event;
use tidegate_engine::subject::ObjectId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::budget::{Bucket, Budgets};
use super::known::{Known, ObjectFacts};
use super::shown;
use super::status::{cut, refusal};

/// The reporting controller of our events.
pub const REPORTER: &str = "tidegate";

/// How many events may wait.
const QUEUE: usize = 1024;
/// How long sending one may take.
const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// The whole: this many at once, then one in this time.
const OVERALL: (u32, Duration) = (50, Duration::from_millis(50));
/// One object: this many at once, then one in this time.
const PER_OBJECT: (u32, Duration) = (20, Duration::from_secs(30));
/// After so many events the recorder forgets what they could be repetitions of. It keeps each whole, some two kilobytes, for minutes:
/// without a bound, a burst of many objects would cost more memory than the objects themselves. A hash table of this size is just full
/// with so many; one more would double it.
const REMEMBERED: u32 = 112;
/// What the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;
const LONGEST_WORD: usize = 128;

/// Where events go. Copies share the queue.
#[derive(Clone, Debug)]
pub struct Announcer {
    known: Known,
    queue: mpsc::Sender<(Told, ObjectReference)>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    budgets: Budgets,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Announcer {
    /// Starts the task that sends events as `identity` (the process, such as the name of its pod); it ends when the last
    /// copy of this is dropped.
    pub fn start(client: Client, known: Known, identity: &str) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (dropped, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { budgets: Budgets::new(PER_OBJECT.0, PER_OBJECT.1), dropped, failed });
        let reporter =
            Reporter { controller: REPORTER.to_owned(), instance: Some(cut(identity.to_owned(), LONGEST_WORD)) };
        tokio::spawn(send_all(client, reporter, waiting, shared.clone()));
        Self { known, queue, shared }
    }

    /// Tells people about an event; drops it if the object is gone, over its budget, or the queue is full.
    pub fn announce(&self, id: &ObjectId, event: &Event) {
        let Some(facts) = self.known.get(id).filter(|facts| !is_told(facts, event)) else { return };
        let type_ = if event.is_warning() { EventType::Warning } else { EventType::Normal };
        let (reason, note) = (event.reason(), notes::note(&facts, event));
        match event {
            // The change of the replicas says it already.
            Event::Activated { .. } | Event::Deactivated { .. } => tracing::debug!("{id} {reason}: {note}"),
            _ if event.is_warning() => tracing::warn!("{id} {reason}: {note}"),
            _ => tracing::info!("{id} {reason}: {note}"),
        }
        self.tell(id, &facts.uid, type_, reason, notes::action(event), note);
    }

    /// Tells people that an object has become ready, as KEDA does.
    pub fn announce_ready(&self, id: &ObjectId) {
        let Some(facts) = self.known.get(id) else { return };
        let note = "ScaledObject is ready for scaling".to_owned();
        self.tell(id, &facts.uid, EventType::Normal, "ScaledObjectReady", "Check".to_owned(), note);
    }

    /// Warns people of an object that no watch shows any more, so that nothing is known of it but its uid.
    pub(super) fn announce_left(&self, id: &ObjectId, uid: &str, reason: &str, note: String) {
        self.tell(id, uid, EventType::Warning, reason, "Leave".to_owned(), note);
    }

    /// Returns when events are not sent any more, which is a defect: the task that sends them has ended.
    pub async fn ended(self) {
        self.queue.closed().await;
    }

    /// How many events were dropped since the start, because of a budget or a full queue.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// How many events the API server did not take.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    fn tell(&self, id: &ObjectId, uid: &str, type_: EventType, reason: &str, action: String, note: String) {
        let told = Told {
            type_,
            reason: reason.to_owned(),
            note: Some(cut(note, LONGEST_NOTE)),
            action: cut(action, LONGEST_WORD),
            secondary: None,
        };
        let within = self.shared.budgets.take(uid, Instant::now());
        if !within || self.queue.try_send((told, regarding(id, uid))).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether a condition says it already: it was told before this process began.
fn is_told(facts: &ObjectFacts, event: &Event) -> bool {
    match event {
        Event::Refused(findings) => shown::is_refused_for(facts, &refusal(findings)),
        Event::Policies(faults) => !faults.is_empty() && shown::are_faults_told(facts, faults),
        Event::TargetFailed(error) => shown::is_target_failed_for(facts, error.reason()),
        _ => false,
    }
}

/// The ScaledObject that an event is about.
fn regarding(id: &ObjectId, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{KEDA_GROUP}/{VERSION}")),
        kind: Some("ScaledObject".to_owned()),
        name: Some(id.name.to_string()),
        namespace: Some(id.namespace.to_string()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// Sends what waits, one after the other and no faster than the budget of the whole.
async fn send_all(
    client: Client,
    reporter: Reporter,
    mut waiting: mpsc::Receiver<(Told, ObjectReference)>,
    shared: Arc<Shared>,
) {
    let mut recorder = Recorder::new(client.clone(), reporter.clone());
    let mut bucket = Bucket::full(OVERALL.0, OVERALL.1, Instant::now());
    let mut remembered = 0;
    while let Some((told, regarding)) = waiting.recv().await {
        tokio::time::sleep_until(bucket.next(Instant::now())).await;
        bucket.take(Instant::now());
        if remembered >= REMEMBERED {
            (recorder, remembered) = (Recorder::new(client.clone(), reporter.clone()), 0);
        }
        remembered += 1;
        let mut sent = send(&recorder, &told, &regarding).await;
        if matches!(sent, Err(Unsent::Expired)) {
            // The event that this one repeats has expired: the recorder would not get over it for minutes.
            recorder = Recorder::new(client.clone(), reporter.clone());
            sent = send(&recorder, &told, &regarding).await;
        }
        if let Err(why) = sent {
            shared.failed.fetch_add(1, Ordering::Relaxed);
            let (namespace, name) = (regarding.namespace.unwrap_or_default(), regarding.name.unwrap_or_default());
            tracing::debug!("an event of {namespace}/{name} was not taken ({}): {why:?}", told.reason);
        }
    }
}

/// Why an event was not taken.
#[derive(Debug)]
enum Unsent {
    /// It repeats one that does not exist any more.
    Expired,
    /// Everything else.
    Refused(#[expect(dead_code, reason = "shown in the log")] kube::Error),
    /// No answer came in time.
    TimedOut,
}

async fn send(recorder: &Recorder, told: &Told, regarding: &ObjectReference) -> Result<(), Unsent> {
    match tokio::time::timeout(CALL_DEADLINE, recorder.publish(told, regarding)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 && !is_of_a_namespace(&status) => Err(Unsent::Expired),
        Ok(Err(error)) => Err(Unsent::Refused(error)),
        Err(_) => Err(Unsent::TimedOut),
    }
}

fn is_of_a_namespace(status: &kube::core::Status) -> bool {
    status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
}

#[cfg(test)]
mod tests;
