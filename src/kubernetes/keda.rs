//! Looks for a KEDA that is alive: two that scale the same objects would fight.
//!
//! A KEDA operator renews the Lease `operator.keda.sh` every two seconds. While somebody holds and renews it, every object is
//! held: decided about, and not touched.

use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use tidegate_engine::subject::Hold;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::calls::{CALL, within};
use super::holds::{Holds, Whom};
use super::patience::Patience;

/// The Lease of a KEDA operator.
pub const KEDA_LEASE: &str = "operator.keda.sh";
/// The reason of the hold.
pub const LIVE_KEDA: &str = "LiveKeda";
/// The duration of a Lease that does not say it.
const USUAL: Duration = Duration::from_secs(15);

/// How long after a read that failed the Lease is read again.
const DOUBT: Duration = Duration::from_secs(2);

/// What is known about KEDA's Lease: a state machine without input or output.
#[derive(Debug, Default)]
struct Sighting {
    lease: Option<Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    holder: String,
    version: String,
    duration: Duration,
    /// Until when it lives by its own clock.
    until: Option<Timestamp>,
    /// When we saw it change; none if we saw it only once.
    changed: Option<Instant>,
}

/// Watches KEDA's Lease and holds everything while it lives.
pub struct KedaWatch {
    leases: Api<Lease>,
    namespace: String,
    /// None if a live KEDA is to be ignored.
    holds: Option<Holds>,
    sighting: Sighting,
    /// None until the Lease was looked at once.
    alive: watch::Sender<Option<bool>>,
    /// The Lease looks left behind, and could not be read past the watch yet.
    doubtful: bool,
    complaint: Option<String>,
}

impl Sighting {
    /// The Lease was seen like this, or is not there.
    fn see(&mut self, now: Instant, lease: Option<&Lease>) {
        let Some(lease) = lease else {
            self.lease = None;
            return;
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(USUAL, Duration::from_secs);
        let until = spec.renew_time.and_then(|renewed| {
            renewed.0.checked_add(SignedDuration::try_from(duration).unwrap_or(SignedDuration::from_secs(15))).ok()
        });
        let version = lease.resource_version().unwrap_or_default();
        let changed = match &self.lease {
            Some(before) if before.version == version => before.changed,
            Some(_) => Some(now),
            None => None,
        };
        self.lease = Some(Seen { holder: spec.holder_identity.unwrap_or_default(), version, duration, until, changed });
    }

    /// Who holds it, if it lives: its time is not over by its own clock, or it changed within its duration by ours. Either is
    /// enough, so that clocks that differ hide no KEDA.
    fn holder(&self, now: Instant, wall: Timestamp) -> Option<&str> {
        let seen = self.lease.as_ref().filter(|seen| !seen.holder.is_empty())?;
        let lives = seen.until.is_some_and(|until| wall < until)
            || seen.changed.is_some_and(|changed| now < changed + seen.duration);
        lives.then_some(seen.holder.as_str())
    }

    /// When to look again, if nothing happens before.
    fn again(&self, now: Instant, wall: Timestamp) -> Option<Instant> {
        self.holder(now, wall)?;
        Some(now + Duration::from_secs(1))
    }
}

impl KedaWatch {
    /// A watch of the Lease in KEDA's namespace; without holds it only tells.
    pub fn new(client: Client, namespace: &str, holds: Option<Holds>) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            holds,
            sighting: Sighting::default(),
            alive: watch::Sender::new(None),
            doubtful: false,
            complaint: None,
        }
    }

    /// Whether a KEDA is alive; none until the Lease was looked at once.
    pub fn alive(&self) -> watch::Receiver<Option<bool>> {
        self.alive.subscribe()
    }

    /// Watches until the process ends.
    pub async fn run(mut self) {
        let config = watcher::Config::default().fields(&format!("metadata.name={KEDA_LEASE}"));
        let mut words = Patience::default().watch(self.leases.clone(), config);
        let mut listed = None;
        loop {
            let doubt = self.doubtful.then(|| Instant::now() + DOUBT);
            let again = self.sighting.again(Instant::now(), Timestamp::now()).or(doubt);
            let heard = tokio::select! {
                word = words.next() => self.hear(word, &mut listed),
                () = pause_until(again) => true,
            };
            if heard && self.is_certain().await {
                self.tell();
            }
        }
    }

    /// Whether it is known now how the Lease is.
    fn hear(&mut self, word: Option<watcher::Result<watcher::Event<Lease>>>, listed: &mut Option<Lease>) -> bool {
        let now = Instant::now();
        match word {
            Some(Ok(watcher::Event::Init)) => *listed = None,
            Some(Ok(watcher::Event::InitApply(lease))) => *listed = Some(lease),
            Some(Ok(watcher::Event::InitDone)) => {
                self.sighting.see(now, listed.take().as_ref());
                return true;
            }
            Some(Ok(watcher::Event::Apply(lease))) => {
                self.sighting.see(now, Some(&lease));
                return true;
            }
            Some(Ok(watcher::Event::Delete(_))) => {
                self.sighting.see(now, None);
                return true;
            }
            Some(Err(error)) => return self.refused(&error),
            None => {}
        }
        false
    }

    /// Whoever may not look finds nobody: the autoscalers that KEDA makes are found all the same.
    fn refused(&mut self, error: &watcher::Error) -> bool {
        let namespace = &self.namespace;
        let why = if is_forbidden(error) {
            format!(
                "list and watch of leases.coordination.k8s.io {KEDA_LEASE} in namespace {namespace} is forbidden; the role needs both \
                 verbs: a KEDA that is alive is not noticed, and targets are scaled all the same"
            )
        } else {
            format!("cannot list leases in namespace {namespace} to look for a live KEDA: {error}")
        };
        if self.complaint.as_ref() != Some(&why) {
            tracing::warn!("{why}");
            self.complaint = Some(why);
        }
        is_forbidden(error) && self.alive.borrow().is_none()
    }

    /// Whether what the watch shows is so: a watch that has fallen silent looks like a KEDA that has ended. Before a KEDA that was alive
    /// counts as dead its Lease is read past the watch, and without an answer it goes on living.
    async fn is_certain(&mut self) -> bool {
        let dies =
            *self.alive.borrow() == Some(true) && self.sighting.holder(Instant::now(), Timestamp::now()).is_none();
        self.doubtful = false;
        if !dies {
            return true;
        }
        match within(CALL, self.leases.get_opt(KEDA_LEASE)).await {
            Ok(lease) => self.sighting.see(Instant::now(), lease.as_ref()),
            Err(failure) => {
                self.doubtful = true;
                let why = format!(
                    "cannot get leases.coordination.k8s.io {KEDA_LEASE} in namespace {}: {failure}; its KEDA counts as alive until it \
                     can be read",
                    self.namespace
                );
                if self.complaint.as_ref() != Some(&why) {
                    tracing::warn!("{why}");
                    self.complaint = Some(why);
                }
            }
        }
        !self.doubtful
    }

    fn tell(&mut self) {
        let holder = self.sighting.holder(Instant::now(), Timestamp::now());
        let alive = holder.is_some();
        if self.alive.borrow().unwrap_or(false) != alive {
            self.flip(holder);
        }
        self.alive.send_if_modified(|known| known.replace(alive) != Some(alive));
    }

    fn flip(&self, holder: Option<&str>) {
        let namespace = &self.namespace;
        match (holder, &self.holds) {
            (Some(holder), Some(holds)) => {
                tracing::warn!("a KEDA is alive in namespace {namespace} ({holder}): no target is touched");
                holds.set(Whom::All, hold(namespace));
            }
            (Some(holder), None) => {
                tracing::warn!(
                    "a KEDA is alive in namespace {namespace} ({holder}), and targets are scaled all the same"
                );
            }
            (None, Some(holds)) => {
                tracing::info!("no KEDA is alive in namespace {namespace} any more: targets are scaled");
                holds.lift(&Whom::All, LIVE_KEDA);
            }
            (None, None) => {}
        }
    }
}

/// Whether the API server understood and said no.
pub(super) fn is_forbidden(error: &watcher::Error) -> bool {
    let source = match error {
        watcher::Error::InitialListFailed(source) | watcher::Error::WatchStartFailed(source) => source,
        watcher::Error::WatchError(status) => return status.code == 403,
        _ => return false,
    };
    matches!(source, kube::Error::Api(status) if status.code == 403)
}

fn hold(namespace: &str) -> Hold {
    Hold {
        reason: LIVE_KEDA,
        message: format!(
            "a KEDA operator is running (lease {namespace}/{KEDA_LEASE}); stop it to let Tidegate scale: kubectl scale deployment \
             keda-operator -n {namespace} --replicas 0"
        ),
    }
}

async fn pause_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake::{Fake, Fault};
    use serde_json::json;

    const SECOND: Duration = Duration::from_secs(1);

    fn lease(version: u32, holder: &str, renewed: &str) -> Lease {
        serde_json::from_value(json!({
            "metadata": { "name": KEDA_LEASE, "resourceVersion": version.to_string() },
            "spec": { "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed },
        }))
        .unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_lease_lives_as_long_as_it_says() {
        let mut sighting = Sighting::default();
        let t = Instant::now();
        assert_eq!(sighting.holder(t, at("2026-01-01T00:00:00Z")), None, "no lease, no KEDA");
        sighting.see(t, Some(&lease(1, "keda-operator-x", "2026-01-01T00:00:00.000000Z")));
        assert_eq!(sighting.holder(t, at("2026-01-01T00:00:14Z")), Some("keda-operator-x"));
        assert_eq!(sighting.holder(t, at("2026-01-01T00:00:15Z")), None, "left behind by one that has ended");
        sighting.see(t, Some(&lease(2, "", "2026-01-01T00:00:20.000000Z")));
        assert_eq!(sighting.holder(t, at("2026-01-01T00:00:21Z")), None, "given back");
        sighting.see(t, None);
        assert_eq!(sighting.holder(t, at("2026-01-01T00:00:00Z")), None);
    }

    #[tokio::test]
    async fn a_lease_that_may_not_be_looked_at_is_told() {
        let fake = Fake::default();
        fake.fail("GET /apis/coordination.k8s.io/v1/namespaces/keda/leases", Fault::Refuse(403), 1);
        let mut keda = KedaWatch::new(fake.client(), "keda", Some(Holds::default()));
        let word = Patience::default().watch(keda.leases.clone(), watcher::Config::default()).skip(1).next().await;
        assert!(keda.hear(word, &mut None), "it is known that nothing can be known");
        let why = keda.complaint.unwrap();
        assert!(
            why.starts_with("list and watch of leases.coordination.k8s.io operator.keda.sh in namespace keda"),
            "{why}"
        );
    }

    #[test]
    fn a_lease_that_is_renewed_lives_whatever_the_clocks_say() {
        let mut sighting = Sighting::default();
        let (t, wall) = (Instant::now(), at("2026-01-01T01:00:00Z"));
        sighting.see(t, Some(&lease(1, "k", "2026-01-01T00:00:00.000000Z")));
        assert_eq!(sighting.holder(t, wall), None);
        sighting.see(t + 2 * SECOND, Some(&lease(2, "k", "2026-01-01T00:00:02.000000Z")));
        assert_eq!(sighting.holder(t + 16 * SECOND, wall), Some("k"));
        // Seen again after a new list: nothing has changed.
        sighting.see(t + 16 * SECOND, Some(&lease(2, "k", "2026-01-01T00:00:02.000000Z")));
        assert_eq!(sighting.holder(t + 17 * SECOND, wall), None);
    }
}

#[cfg(test)]
mod doubt_tests;
