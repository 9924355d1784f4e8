//! Notices a tool that keeps resetting replicas, and stops fighting it.
//!
//! A GitOps tool whose manifest names `spec.replicas` puts that number back after each of our writes. Three such resets within ten
//! minutes hold the object for ten minutes; if it goes on after that, for twice as long, up to two hours. A tool that comes by less
//! often puts back the same number: three times in a row within two hours are enough.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use tidegate_engine::ports::Journal;
use tidegate_engine::protocol::{Entry, Event, JournalError};
use tidegate_engine::subject::{Hold, ObjectId};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::kubernetes::holds::{Holds, Whom};
use crate::kubernetes::known::{Known, ObjectFacts};

/// The reason of the hold.
pub const FOREIGN_WRITER: &str = "ForeignWriter";
/// As many resets within [`WITHIN`] are a tool, not a person.
const RESETS: usize = 3;
/// The time in which resets are counted.
const WITHIN: Duration = Duration::from_mins(10);
/// The time in which resets to one and the same count are counted.
const SAME_WITHIN: Duration = Duration::from_hours(2);
/// A foreign change this soon after our write undoes it, whatever its count.
const SOON: Duration = Duration::from_mins(5);
/// The first hold.
const FIRST: Duration = Duration::from_mins(10);
/// The longest hold.
const LONGEST: Duration = Duration::from_hours(2);
/// After so much peace the next hold is the first again.
const PEACE: Duration = Duration::from_hours(1);
/// Signs that wait. The engine gives few of them, at most one a write; what does not fit is one reset less.
const SIGNS: usize = 1024;
/// How long the question who it is may take.
const CALL: Duration = Duration::from_secs(5);

/// What the engine said about an object's replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// We changed them.
    Wrote,
    /// Somebody else changed them to this count.
    Changed(u32),
}

/// Counts resets: a state machine without input or output.
#[derive(Debug, Default)]
struct Detector {
    tracks: HashMap<ObjectId, Track>,
}

#[derive(Debug, Default)]
struct Track {
    /// Our last write, if nobody has undone it yet.
    ours: Option<Instant>,
    /// The last resets, oldest first; at most [`RESETS`].
    resets: Vec<Instant>,
    /// The last resets in a row that went to one count, oldest first, and that count.
    same: (u32, Vec<Instant>),
    /// The hold in force or the last one: its end and its length.
    hold: Option<(Instant, Duration)>,
    held: bool,
}

impl Detector {
    /// Takes in a sign. Gives back how long to hold the object from now, if a tool was found out.
    fn sign(&mut self, id: &ObjectId, now: Instant, sign: Sign) -> Option<Duration> {
        let track = self.tracks.entry(id.clone()).or_default();
        match sign {
            Sign::Wrote => {
                track.ours = Some(now);
                None
            }
            Sign::Changed(count) => track.reset(now, count),
        }
    }

    /// The objects whose hold has ended; forgets those that have been peaceful for long.
    fn ended(&mut self, now: Instant) -> Vec<ObjectId> {
        let mut ended = Vec::new();
        for (id, track) in &mut self.tracks {
            if track.held && track.hold.is_some_and(|(end, _)| now >= end) {
                track.held = false;
                ended.push(id.clone());
            }
        }
        self.tracks.retain(|_, track| !track.is_peaceful(now));
        ended
    }

    /// When the next hold ends.
    fn next(&self) -> Option<Instant> {
        self.tracks.values().filter(|track| track.held).filter_map(|track| Some(track.hold?.0)).min()
    }
}

impl Track {
    fn reset(&mut self, now: Instant, count: u32) -> Option<Duration> {
        let ours = self.ours.take()?;
        if self.held || !self.is_tool(ours, now, count) {
            return None;
        }
        self.resets.clear();
        self.same.1.clear();
        let length = match self.hold {
            Some((end, length)) if now.saturating_duration_since(end) < PEACE => (length * 2).min(LONGEST),
            _ => FIRST,
        };
        self.hold = Some((now + length, length));
        self.held = true;
        Some(length)
    }

    /// Counts a change that undid our write of `ours`, and says whether it is one too many.
    fn is_tool(&mut self, ours: Instant, now: Instant, count: u32) -> bool {
        let fresh =
            |moments: &mut Vec<Instant>, age: Duration| moments.retain(|moment| now.duration_since(*moment) < age);
        fresh(&mut self.resets, WITHIN);
        if now.duration_since(ours) <= SOON {
            self.resets.push(now);
        }
        if self.same.0 != count {
            self.same = (count, Vec::new());
        }
        fresh(&mut self.same.1, SAME_WITHIN);
        self.same.1.push(now);
        self.resets.len() >= RESETS || self.same.1.len() >= RESETS
    }

    fn is_peaceful(&self, now: Instant) -> bool {
        let old = |moment: Instant, age: Duration| now.saturating_duration_since(moment) > age;
        !self.held
            && self.ours.is_none_or(|ours| old(ours, SAME_WITHIN))
            && self.resets.iter().all(|reset| old(*reset, WITHIN))
            && self.same.1.iter().all(|reset| old(*reset, SAME_WITHIN))
            && self.hold.is_none_or(|(end, _)| old(end, PEACE))
    }
}

/// A journal that hears of foreign changes on their way to people.
#[derive(Debug)]
pub struct Listening<J> {
    journal: J,
    signs: mpsc::Sender<(ObjectId, Sign)>,
}

/// Takes in the signs and holds what somebody else keeps resetting.
pub struct WriterWatch {
    client: Client,
    known: Known,
    holds: Holds,
    signs: mpsc::Receiver<(ObjectId, Sign)>,
    detector: Detector,
}

/// A journal that listens, and the watch that it tells.
pub fn listen<J>(journal: J, client: Client, known: Known, holds: Holds) -> (Listening<J>, WriterWatch) {
    let (sender, signs) = mpsc::channel(SIGNS);
    (Listening { journal, signs: sender }, WriterWatch { client, known, holds, signs, detector: Detector::default() })
}

#[async_trait]
impl<J: Journal> Journal for Listening<J> {
    async fn store(&self, id: &ObjectId, entry: &Entry) -> Result<(), JournalError> {
        self.journal.store(id, entry).await
    }

    fn announce(&self, id: &ObjectId, event: &Event) {
        let sign = match event {
            Event::Scaled(_) => Some(Sign::Wrote),
            Event::ForeignChange { to, .. } => Some(Sign::Changed(*to)),
            _ => None,
        };
        if let Some(sign) = sign {
            // A full queue costs a count, see its bound.
            let _ = self.signs.try_send((id.clone(), sign));
        }
        self.journal.announce(id, event);
    }
}

impl WriterWatch {
    /// Watches until the journal is dropped.
    pub async fn run(mut self) {
        loop {
            let next = self.detector.next();
            tokio::select! {
                sign = self.signs.recv() => match sign {
                    Some((id, sign)) => self.take(id, sign).await,
                    None => return,
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
            for id in self.detector.ended(Instant::now()) {
                tracing::info!("{id}: scaled again, after a rest because another writer kept resetting the replicas");
                self.holds.lift(&Whom::Object(id), FOREIGN_WRITER);
            }
        }
    }

    async fn take(&mut self, id: ObjectId, sign: Sign) {
        let Some(length) = self.detector.sign(&id, Instant::now(), sign) else { return };
        // Held first and named afterwards: while an answer is waited for, the next write would go out.
        self.hold(&id, message(&id, None, length));
        let owner = match self.known.get(&id) {
            Some(facts) => timeout(CALL, owner_of(&self.client, &facts)).await.ok().flatten(),
            None => None,
        };
        let message = message(&id, owner.as_deref(), length);
        tracing::warn!("{id}: {message}");
        self.hold(&id, message);
    }

    fn hold(&self, id: &ObjectId, message: String) {
        self.holds.set(Whom::Object(id.clone()), Hold { reason: FOREIGN_WRITER, message });
    }
}

/// Who owns the target's `spec.replicas` besides us, if the API server says it.
async fn owner_of(client: &Client, facts: &ObjectFacts) -> Option<String> {
    if facts.target_resource.is_empty() {
        return None;
    }
    let target = &facts.target;
    let (group, version) = target.api_version.rsplit_once('/').unwrap_or(("", &target.api_version));
    let kind = GroupVersionKind::gvk(group, version, &target.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, &facts.target_resource);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &target.namespace, &resource);
    let meta = api.get_metadata(&target.name).await.ok()?;
    owner(meta.managed_fields())
}

/// The last manager that set `spec.replicas`, other than ourselves.
fn owner(entries: &[ManagedFieldsEntry]) -> Option<String> {
    let owns = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    };
    let others = entries.iter().filter(|entry| entry.manager.as_deref().is_some_and(|name| name != "tidegate"));
    let last = others.filter(owns).max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    last.and_then(|entry| entry.manager.clone())
}

fn message(id: &ObjectId, owner: Option<&str>, length: Duration) -> String {
    let who = owner.map_or_else(|| "another writer".to_owned(), |owner| format!("\"{owner}\""));
    let advice = match owner {
        Some(owner) if owner.contains("argocd") => {
            "remove spec.replicas from the manifest in Git, or add /spec/replicas to the application's ignoreDifferences \
             with the sync option RespectIgnoreDifferences=true"
        }
        _ => "remove spec.replicas from the manifest that it applies, or let it ignore that field",
    };
    let minutes = length.as_secs() / 60;
    format!(
        "{who} keeps resetting the replicas of the target after each change ({RESETS} times); {id} is left alone for {minutes} \
         minutes; {advice}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Our write, and its reset five seconds later, each time to another count.
    fn round(detector: &mut Detector, id: &ObjectId, at: Instant) -> Option<Duration> {
        assert_eq!(detector.sign(id, at, Sign::Wrote), None);
        let count = detector.tracks[id].same.0 + 1;
        detector.sign(id, at + Duration::from_secs(5), Sign::Changed(count))
    }

    #[test]
    fn three_resets_within_ten_minutes_are_a_tool() {
        let (mut detector, id, t) = (Detector::default(), ObjectId::new("shop", "orders"), Instant::now());
        assert_eq!(round(&mut detector, &id, t), None);
        assert_eq!(round(&mut detector, &id, t + 3 * MINUTE), None);
        assert_eq!(round(&mut detector, &ObjectId::new("shop", "mail"), t + 4 * MINUTE), None, "another object");
        assert_eq!(round(&mut detector, &id, t + 6 * MINUTE), Some(10 * MINUTE));
    }

    #[test]
    fn a_person_who_changes_the_count_now_and_then_is_none() {
        let (mut detector, id, t) = (Detector::default(), ObjectId::new("shop", "orders"), Instant::now());
        for hour in 0..10 {
            assert_eq!(round(&mut detector, &id, t + hour * 6 * MINUTE), None, "two within ten minutes");
        }
        // Three changes in a row after one write undo it once.
        let t = t + 120 * MINUTE;
        detector.sign(&id, t, Sign::Wrote);
        for second in 1..10 {
            assert_eq!(detector.sign(&id, t + Duration::from_secs(second), Sign::Changed(4)), None);
        }
        // Back to the same count now and then: never three times within two hours.
        for hour in 1..10 {
            detector.sign(&id, t + hour * 60 * MINUTE, Sign::Wrote);
            let change = detector.sign(&id, t + hour * 60 * MINUTE + 6 * MINUTE, Sign::Changed(4));
            assert_eq!(change, None, "the third one of {hour} is two hours old");
        }
    }

    #[test]
    fn a_tool_that_comes_by_every_half_an_hour_puts_back_one_number() {
        let (mut detector, id, t) = (Detector::default(), ObjectId::new("shop", "orders"), Instant::now());
        let mut visit = |minute: u32, count| {
            detector.sign(&id, t + minute * MINUTE, Sign::Wrote);
            detector.sign(&id, t + (minute + 25) * MINUTE, Sign::Changed(count))
        };
        assert_eq!((visit(0, 2), visit(30, 2)), (None, None));
        assert_eq!(visit(60, 5), None, "a person in between: the row begins anew");
        assert_eq!((visit(90, 2), visit(120, 2)), (None, None));
        assert_eq!(visit(150, 2), Some(10 * MINUTE));
    }

    #[test]
    fn a_tool_that_goes_on_is_left_alone_for_longer_each_time() {
        let (mut detector, id, mut t) = (Detector::default(), ObjectId::new("shop", "orders"), Instant::now());
        let mut lengths = Vec::new();
        for _ in 0..6 {
            let length = (0..3).find_map(|minute| round(&mut detector, &id, t + minute * MINUTE)).unwrap();
            let end = detector.next().unwrap();
            assert_eq!(detector.ended(end - MINUTE), []);
            assert_eq!(detector.ended(end), std::slice::from_ref(&id));
            assert_eq!((detector.ended(end), detector.next()), (vec![], None));
            lengths.push(length.as_secs() / 60);
            t = end + MINUTE;
        }
        assert_eq!(lengths, [10, 20, 40, 80, 120, 120]);
        // After an hour of peace it is forgotten.
        assert_eq!(detector.ended(t + 61 * MINUTE), []);
        assert!(detector.tracks.is_empty());
        let length = (0..3).find_map(|minute| round(&mut detector, &id, t + (62 + minute) * MINUTE));
        assert_eq!(length, Some(10 * MINUTE));
    }

    #[test]
    fn the_last_owner_of_the_replicas_is_named_with_what_helps() {
        let entry = |manager: &str, time: &str, fields: serde_json::Value| -> ManagedFieldsEntry {
            serde_json::from_value(
                json!({ "manager": manager, "operation": "Apply", "time": time, "fieldsV1": fields }),
            )
            .unwrap()
        };
        let replicas = || json!({ "f:spec": { "f:replicas": {} } });
        let entries = [
            entry("kubectl-create", "2026-01-01T00:00:00Z", replicas()),
            entry("argocd-controller", "2026-01-02T00:00:00Z", replicas()),
            entry("tidegate", "2026-01-03T00:00:00Z", replicas()),
            entry("kube-controller-manager", "2026-01-04T00:00:00Z", json!({ "f:status": { "f:replicas": {} } })),
        ];
        assert_eq!(owner(&entries).as_deref(), Some("argocd-controller"));
        let text = message(&ObjectId::new("shop", "orders"), Some("argocd-controller"), 10 * MINUTE);
        assert!(text.starts_with("\"argocd-controller\" keeps resetting the replicas"), "{text}");
        assert!(text.contains("ignoreDifferences"), "{text}");
        let text = message(&ObjectId::new("shop", "orders"), None, 10 * MINUTE);
        assert!(text.contains("remove spec.replicas from the manifest"), "{text}");
    }
}
