//! The Lease: of several replicas of the operator one acts, and the others are ready to.
//!
//! * [`Election`] says when to take, renew or wait; [`Elector`] does it. It watches the Lease, so that one
//!   that is given back is taken within a round trip.
//! * The [`Tenure`] that it publishes begins with our claim. Its end ends the process: whoever has lost the Lease starts anew.
//! * The [`Term`] is the moment up to which we may write. A [`Fence`] in the client lets no write pass after it, also not in a
//!   process that was stopped and continued.

mod election;
mod fence;
mod term;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tidegate_engine::protocol::Tenure;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

pub use self::election::Times;
use self::election::{Election, Record, Step};
pub use self::fence::{Fence, Fenced, TermOver};
pub use self::term::Term;
use super::calls::Failure;
use super::patience::Patience;

/// The name of the Lease.
pub const LEASE: &str = "tidegate";
/// Our field manager.
const MANAGER: &str = "tidegate";
/// The longest that one call may take; a holder waits no longer than its tenure lasts.
const CALL: Duration = Duration::from_secs(5);

/// How long giving back may take: it only saves others the wait.
const GIVE_BACK: Duration = Duration::from_secs(2);

/// Why the process must end: the Lease is not ours any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease {lease} is lost: {why}; ending, so that two never act at once")]
pub struct LeaseLost {
    /// `namespace/name`.
    pub lease: String,
    /// How it was lost.
    pub why: String,
}

/// Takes, renews and gives back the Lease.
pub struct Elector {
    api: Api<Lease>,
    namespace: String,
    election: Election,
    term: Term,
    tenure: watch::Sender<Tenure>,
    /// Whom we said to stand by for.
    rival: Option<String>,
    /// What was complained about last, so that it is said once.
    complaint: Option<String>,
}

/// What a write of the Lease came to.
enum Written {
    Done(Box<Lease>),
    /// Somebody else wrote, created or deleted it.
    Conflict,
    Failed(String),
}

impl Elector {
    /// An elector for the Lease `tidegate` of this namespace. Its client must not be fenced.
    pub fn new(client: Client, namespace: &str, identity: &str, times: Times) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            election: Election::new(identity, times),
            term: Term::none(),
            tenure: watch::Sender::new(Tenure::Standby),
            rival: None,
            complaint: None,
        }
    }

    /// Until when we may write; follows the Lease.
    pub fn term(&self) -> Term {
        self.term.clone()
    }

    /// Whether we act; follows the Lease.
    pub fn tenure(&self) -> watch::Receiver<Tenure> {
        self.tenure.subscribe()
    }

    /// Takes the Lease when it is free and renews it until `vacate` completes; then gives it back.
    ///
    /// # Errors
    /// When the tenure is lost. Errors of the API are tried again.
    pub async fn run(mut self, vacate: impl Future<Output = ()>) -> Result<(), LeaseLost> {
        let mut vacate = pin!(vacate);
        let config = watcher::Config::default().fields(&format!("metadata.name={LEASE}"));
        let mut words = Patience::default().watch(self.api.clone(), config);
        let mut listed = None;
        loop {
            let until = match self.election.step(Instant::now()) {
                Step::Wait(until) => {
                    self.stand_by();
                    until
                }
                Step::Lost(why) => {
                    self.term.finish();
                    return Err(LeaseLost { lease: format!("{}/{LEASE}", self.namespace), why });
                }
                step => {
                    self.attempt(step).await;
                    continue;
                }
            };
            tokio::select! {
                () = &mut vacate => {
                    self.give_back().await;
                    return Ok(());
                }
                word = words.next() => self.hear(word, &mut listed),
                () = sleep_until(until) => {}
            }
        }
    }

    fn hear(&mut self, word: Option<watcher::Result<watcher::Event<Lease>>>, listed: &mut Option<Record>) {
        let now = Instant::now();
        match word {
            Some(Ok(watcher::Event::Init)) => *listed = None,
            Some(Ok(watcher::Event::InitApply(lease))) => *listed = Some(record(&lease)),
            Some(Ok(watcher::Event::InitDone)) => self.election.watched(now, listed.take()),
            Some(Ok(watcher::Event::Apply(lease))) => self.election.watched(now, Some(record(&lease))),
            Some(Ok(watcher::Event::Delete(_))) => self.election.watched(now, None),
            Some(Err(error)) => self.complain(format!("cannot watch leases {}: {error}", self.namespace)),
            None => {}
        }
    }

    /// Says whom we stand by for, once.
    fn stand_by(&mut self) {
        let rival = self.election.rival().filter(|_| self.election.end().is_none()).map(str::to_owned);
        if rival != self.rival {
            if let Some(rival) = &rival {
                tracing::info!("standing by: the lease {}/{LEASE} is held by {rival}", self.namespace);
            }
            self.rival = rival;
        }
    }

    /// Creates, claims or renews, and takes in what came of it.
    async fn attempt(&mut self, step: Step) {
        let (began, first) = (Instant::now(), self.election.end().is_none());
        let limit = self.election.end().map_or(CALL, |end| end.saturating_duration_since(began).min(CALL));
        // Whoever had it was at work until then.
        let alive = match &step {
            Step::Claim(record) => record.renewed,
            _ => None,
        };
        let written = match step {
            Step::Create => self.create(limit).await,
            Step::Claim(record) => self.patch(&record, self.spec(Some(&record), true), limit).await,
            Step::Renew(record) => self.patch(&record, self.spec(Some(&record), false), limit).await,
            Step::Wait(_) | Step::Lost(_) => return,
        };
        match written {
            Written::Done(lease) => {
                self.complaint = None;
                self.election.written(began, record(&lease));
                if let Some(end) = self.election.end() {
                    self.term.set_end(end);
                }
                if first {
                    tracing::info!("holding the lease {}/{LEASE} as {}", self.namespace, self.election.identity());
                    self.tenure.send_replace(Tenure::Held { alive });
                }
            }
            Written::Conflict => self.look(limit).await,
            Written::Failed(why) => self.fail(why),
        }
    }

    /// Reads the Lease past the watch.
    async fn look(&mut self, limit: Duration) {
        match timeout(limit, self.api.get_opt(LEASE)).await {
            Ok(Ok(lease)) => self.election.read(Instant::now(), lease.as_ref().map(record)),
            Ok(Err(error)) => {
                let why = Failure::from(error);
                self.fail(format!("cannot get leases {}/{LEASE}: {why}", self.namespace));
            }
            Err(_) => self.fail(format!("cannot get leases {}/{LEASE}: no answer within {limit:?}", self.namespace)),
        }
    }

    fn fail(&mut self, why: String) {
        self.election.failed(Instant::now());
        self.complain(why);
    }

    fn complain(&mut self, why: String) {
        if self.complaint.as_ref() != Some(&why) {
            tracing::warn!("{why}");
            self.complaint = Some(why);
        }
    }

    /// The spec that says that we hold it.
    fn spec(&self, before: Option<&Record>, claim: bool) -> Value {
        let now = Timestamp::now();
        let changed = claim && before.is_none_or(|record| record.holder != self.election.identity());
        let acquired = before.and_then(|record| record.acquired).filter(|_| !claim).unwrap_or(now);
        json!({
            "holderIdentity": self.election.identity(),
            "leaseDurationSeconds": self.election.times().duration.as_secs(),
            "acquireTime": micros(acquired),
            "renewTime": micros(now),
            "leaseTransitions": before.map_or(0, |record| record.transitions) + i32::from(changed && before.is_some()),
        })
    }

    async fn create(&self, limit: Duration) -> Written {
        let body = json!({ "metadata": { "name": LEASE }, "spec": self.spec(None, true) });
        let lease: Lease = match serde_json::from_value(body) {
            Ok(lease) => lease,
            Err(error) => return Written::Failed(error.to_string()),
        };
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        self.outcome("create", timeout(limit, self.api.create(&params, &lease)).await)
    }

    /// Writes the spec if the Lease still has the version of `record`.
    async fn patch(&self, record: &Record, spec: Value, limit: Duration) -> Written {
        let body = json!({ "metadata": { "resourceVersion": record.version }, "spec": spec });
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.outcome("patch", timeout(limit, self.api.patch(LEASE, &params, &Patch::Merge(body))).await)
    }

    fn outcome(&self, verb: &str, answer: Result<kube::Result<Lease>, tokio::time::error::Elapsed>) -> Written {
        let what = format!("cannot {verb} leases {}/{LEASE}", self.namespace);
        match answer {
            Ok(Ok(lease)) => Written::Done(Box::new(lease)),
            // A create is answered with 409 if it exists, a patch with 404 if it does not.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Written::Conflict,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 && verb == "patch" => Written::Conflict,
            Ok(Err(error)) => Written::Failed(format!("{what}: {}", Failure::from(error))),
            Err(_) => Written::Failed(format!("{what}: no answer in time")),
        }
    }

    /// Gives the Lease back: whoever watches it takes it at once. It runs out by itself if that fails.
    async fn give_back(&mut self) {
        self.term.finish();
        // Once more if somebody wrote a label meanwhile.
        for _ in 0..2 {
            let Some(record) = self.election.ours().cloned() else { return };
            let now = micros(Timestamp::now());
            let spec = json!({ "holderIdentity": "", "leaseDurationSeconds": 1, "acquireTime": now, "renewTime": now });
            match self.patch(&record, spec, GIVE_BACK).await {
                Written::Done(_) => {
                    tracing::info!("gave back the lease {}/{LEASE}", self.namespace);
                    return;
                }
                Written::Conflict => self.look(GIVE_BACK).await,
                Written::Failed(why) => {
                    self.complain(why);
                    return;
                }
            }
        }
    }
}

/// A Lease's record.
fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        renewed: spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0),
        acquired: spec.and_then(|spec| spec.acquire_time.as_ref()).map(|time| time.0),
        transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or(0),
        version: lease.resource_version().unwrap_or_default(),
    }
}

/// A time as the API server writes it in a Lease.
fn micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
