//! Reads from a ScaledObject and its ScaleRecord what they show already, so that a start or a takeover stores nothing that is there.
//!
//! Whatever is not certain is as if nothing was shown: then it is stored once more.

use tidegate_calculator::decision::Health;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::Pause;
use tidegate_crds::ScaleRecordStatus;
use tidegate_engine::protocol::{Shown, Stored};
use tidegate_engine::subject::{Fault, Subject};

use super::known::{ObjectFacts, StatusView};
use super::{record, status};

/// What is stored of an object. What people see counts as shown as far as it is about this subject; without one nothing does.
pub(super) fn stored(facts: &ObjectFacts, subject: Option<&Subject>) -> Stored {
    let (record, status) = (of_target(facts), facts.status.open());
    let record = record.as_ref();
    let (operation, aftermath) = record.map(record::operation).unwrap_or_default();
    Stored {
        checkpoint: record.map(checkpoint_of).unwrap_or_default(),
        activity: status::last_activity(&status),
        replicas: record.and_then(|record| u32::try_from(record.replicas?).ok()),
        desired: record.and_then(|record| u32::try_from(record.desired?).ok()),
        shown: record.zip(subject).and_then(|(record, subject)| shown(facts, &status, record, subject)),
        observed: record.and_then(record::observed).unwrap_or_default(),
        metrics: status::read_metric_names(facts),
        operation,
        aftermath,
    }
}

/// The memory that is stored of an object.
pub(super) fn checkpoint(facts: &ObjectFacts) -> Checkpoint {
    of_target(facts).as_ref().map(checkpoint_of).unwrap_or_default()
}

fn checkpoint_of(record: &ScaleRecordStatus) -> Checkpoint {
    record.checkpoint.as_deref().map(|text| Checkpoint(text.to_owned())).unwrap_or_default()
}

/// The record, unless an earlier object of the same name has left it.
fn own(facts: &ObjectFacts) -> Option<ScaleRecordStatus> {
    let record = facts.record.as_ref()?;
    record.owner.as_ref().is_none_or(|owner| *owner == facts.uid).then(|| record.status.open())
}

/// The object's own record, unless it is of another target: what was remembered of that one says nothing about this one.
fn of_target(facts: &ObjectFacts) -> Option<ScaleRecordStatus> {
    own(facts).filter(|record| record.target.as_ref().is_none_or(|named| record::is_of(named, &facts.target)))
}

fn shown(facts: &ObjectFacts, status: &StatusView, record: &ScaleRecordStatus, subject: &Subject) -> Option<Shown> {
    let paused = subject.policy.pause != Pause::No;
    if !record::is_about(record, subject) || !status::is_about(status, facts) {
        return None;
    }
    // One that was paused from its beginning has never been looked at.
    let active = status::is_active(status).or_else(|| paused.then_some(false))?;
    let health = record::health(record)?;
    let (failures, fallbacks) = failures(facts, status, subject)?;
    // Both tell of the same health: else one of the two writes of the last store is missing.
    let reason = match &subject.hold {
        Some(hold) if !status::is_observing(hold) => hold.reason,
        _ if paused => Health::Good.reason(),
        // Its fallback waits.
        _ if health == Health::Failing && !active && failures != 0 => Health::Good.reason(),
        _ => health.reason(),
    };
    status::is_ready_because(status, reason).then(|| Shown {
        active,
        health,
        paused,
        triggers: triggers(facts, status),
        // What a fallback stands for is no trouble, so the record does not name it.
        failing: record::failing(record).into_iter().chain(first(failures)).min(),
        failures,
        fallbacks,
    })
}

/// What is shown of failing triggers and of the fallback; none if it is not about this subject.
fn failures(facts: &ObjectFacts, status: &StatusView, subject: &Subject) -> Option<(u64, u64)> {
    let never_looked = subject.policy.pause != Pause::No && status.health.is_empty();
    match subject.policy.fallback.filter(|_| !never_looked) {
        Some(fallback) => status::failures(status, facts, fallback.threshold),
        None => status.health.is_empty().then_some((0, 0)),
    }
}

/// The first of these triggers.
fn first(bits: u64) -> Option<u8> {
    u8::try_from(bits.trailing_zeros()).ok().filter(|_| bits != 0)
}

/// Whether the object says already that it is refused for this.
pub(super) fn is_refused_for(facts: &ObjectFacts, message: &str) -> bool {
    let refused = |record: &ScaleRecordStatus| {
        record.conditions.iter().any(|one| one.type_ == "Refused" && one.message == message)
    };
    own(facts).as_ref().is_some_and(refused)
}

/// Whether the object says already that these policies take no part.
pub(super) fn are_faults_told(facts: &ObjectFacts, faults: &[Fault]) -> bool {
    own(facts).is_some_and(|record| record::is_about_policies(&record, faults))
}

/// Whether the object says already that its target cannot be read for this reason.
pub(super) fn is_target_failed_for(facts: &ObjectFacts, reason: &str) -> bool {
    let failed = |record: &ScaleRecordStatus| {
        record.conditions.iter().any(|one| one.type_ == "TargetFailed" && one.reason == reason)
    };
    own(facts).as_ref().is_some_and(failed)
}

/// One bit a trigger.
fn triggers(facts: &ObjectFacts, status: &StatusView) -> u64 {
    let is_active = |names: &Vec<String>| {
        names.iter().any(|name| status.triggers_activity.get(name).is_some_and(|one| one.is_active == Some(true)))
    };
    let names = status::metric_names(facts, &[], status);
    let bits = names.iter().take(64).zip(0..).filter(|(names, _)| is_active(names));
    bits.fold(0, |bits, (_, index)| bits | 1 << index)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidegate_calculator::policy;
    use tidegate_calculator::source::ReadErrorKind;
    use tidegate_engine::protocol::{ApplyError, Entry, FailingTrigger};
    use tidegate_engine::snapshot::Phase;
    use tidegate_engine::subject::Hold;

    use super::*;
    use crate::kubernetes::known::RecordFacts;
    use crate::kubernetes::packed::Packed;
    use crate::kubernetes::status::fixtures::{active, cooling, id};
    use crate::kubernetes::watch::judged;

    /// The facts and the subject of an object with two triggers.
    fn object(change: impl FnOnce(&mut Value)) -> (ObjectFacts, Subject) {
        let trigger = |list: &str| json!({ "type": "redis", "metadata": { "address": "redis:6379", "listName": list, "listLength": "5" } });
        let mut object = json!({
            "metadata": { "uid": "uid-1", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": {
                "scaleTargetRef": { "name": "worker" }, "maxReplicaCount": 10,
                "triggers": [trigger("orders"), trigger("returns")],
            },
        });
        change(&mut object);
        let (mut facts, subject) = judged(&id(), &object, &policy::Settings::default());
        facts.target_resource = "deployments".to_owned();
        (facts, *subject.unwrap())
    }

    fn failing(index: u8, kind: ReadErrorKind) -> FailingTrigger {
        FailingTrigger { index, kind, of: "redis".to_owned() }
    }

    /// The facts after an entry was stored.
    fn after(mut facts: ObjectFacts, entry: &Entry) -> ObjectFacts {
        let now = "2026-03-01T12:00:01Z".parse().unwrap();
        let status = record::next(&facts.target, entry, &ScaleRecordStatus::default(), None, now);
        let record =
            RecordFacts { owner: Some("uid-1".to_owned()), status: Packed::new(&status), ..RecordFacts::default() };
        facts.record = Some(record);
        facts.status = Packed::new(&status::change(&facts, entry, &StatusView::default()).unwrap().status);
        facts
    }

    fn shown_of(entry: &Entry) -> Option<Shown> {
        let (facts, subject) = object(|_| {});
        stored(&after(facts, entry), Some(&subject)).shown
    }

    #[test]
    fn what_was_stored_is_shown() {
        let of_active = Shown {
            active: true,
            health: Health::Good,
            paused: false,
            triggers: 1,
            failing: None,
            failures: 0,
            fallbacks: 0,
        };
        assert_eq!(shown_of(&active()), Some(of_active));
        assert_eq!(shown_of(&cooling()), Some(Shown { active: false, triggers: 0, ..of_active }));
        let partial =
            Entry { health: Some(Health::Partial), failing: Some(failing(1, ReadErrorKind::Timeout)), ..active() };
        assert_eq!(shown_of(&partial), Some(Shown { health: Health::Partial, failing: Some(1), ..of_active }));
        let all = Entry { health: Some(Health::Failing), failing: Some(failing(0, ReadErrorKind::Auth)), ..cooling() };
        let expected = Shown { active: false, health: Health::Failing, triggers: 0, failing: Some(0), ..of_active };
        assert_eq!(shown_of(&all), Some(expected));
        // Every trigger gives a value, and one that nothing can be made of.
        let unusable = Entry { health: Some(Health::Failing), ..active() };
        assert_eq!(shown_of(&unusable), Some(Shown { health: Health::Failing, ..of_active }));
        let (facts, subject) = object(|_| {});
        let told = stored(&after(facts, &active()), Some(&subject));
        assert_eq!((told.replicas, told.checkpoint.0.as_str()), (Some(8), r#"{"v":1,"n":8}"#));
    }

    #[test]
    fn names_that_only_readings_say_are_remembered() {
        let (mut facts, subject) = object(|_| {});
        facts.metric_names[1] = Vec::new();
        let read = vec![vec!["s0-redis-orders".to_owned()], vec!["s1-lag".to_owned(), "s1-age".to_owned()]];
        let entry = Entry { metrics: read.clone(), triggers: vec![false, true], ..active() };
        let facts = after(facts, &entry);
        assert_eq!(facts.status.open().external_metric_names, ["s0-redis-orders", "s1-lag", "s1-age"]);
        let told = stored(&facts, Some(&subject));
        assert_eq!((told.metrics, told.shown.map(|shown| shown.triggers)), (vec![vec![], read[1].clone()], Some(2)));
    }

    #[test]
    fn a_fallback_is_shown_too() {
        let (facts, subject) = object(|object| {
            object["spec"]["fallback"] = json!({ "failureThreshold": 3, "replicas": 6 });
        });
        let shown = |entry: &Entry, facts: &ObjectFacts| stored(&after(facts.clone(), entry), Some(&subject)).shown;
        let counts = |first, second| Entry { failures: vec![Some(first), Some(second)], ..active() };
        let told = |entry: &Entry| {
            shown(entry, &facts).map(|shown| (shown.failures, shown.fallbacks, shown.failing)).expect("all is shown")
        };
        assert_eq!(told(&counts(0, 0)), (0, 0, None));
        let failing = || Some(failing(1, ReadErrorKind::Timeout));
        assert_eq!(told(&Entry { health: Some(Health::Partial), failing: failing(), ..counts(0, 1) }), (2, 0, Some(1)));
        assert_eq!(told(&Entry { fallbacks: vec![1], failing: failing(), ..counts(0, 4) }), (2, 2, Some(1)));
        let waits =
            Entry { health: Some(Health::Failing), failing: failing(), failures: vec![Some(0), Some(1)], ..cooling() };
        assert_eq!(told(&waits), (2, 0, Some(1)));
        assert_eq!(shown(&active(), &facts), None, "the fallback is new: its counts are not there");
        // And one that was taken away has left counts behind.
        let (plain, subject) = object(|_| {});
        let left = after(plain, &counts(0, 4));
        assert_eq!(stored(&left, Some(&subject)).shown, None);
    }

    #[test]
    fn what_has_changed_meanwhile_is_not_shown() {
        let (before, _) = object(|_| {});
        let stored_facts = after(before, &active());
        let changes: [fn(&mut Value); 5] = [
            |object| object["spec"]["maxReplicaCount"] = json!(11),
            |object| object["spec"]["scaleTargetRef"]["name"] = json!("other"),
            |object| object["spec"]["triggers"][1]["metadata"]["listName"] = json!("other"),
            |object| object["metadata"]["annotations"] = json!({ "autoscaling.keda.sh/paused": "true" }),
            |object| object["metadata"]["uid"] = json!("uid-2"),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let (facts, subject) = object(change);
            let facts =
                ObjectFacts { record: stored_facts.record.clone(), status: stored_facts.status.clone(), ..facts };
            assert_eq!(stored(&facts, Some(&subject)).shown, None, "{number}");
        }
        let (_, mut subject) = object(|_| {});
        subject.hold = Some(Hold { reason: "Observe", message: "it only looks".to_owned() });
        assert_eq!(stored(&stored_facts, Some(&subject)).shown, None);
    }

    #[test]
    fn a_write_that_failed_is_looked_at_anew() {
        let error = Some(ApplyError::Refused("quota".to_owned()));
        assert_eq!(shown_of(&Entry { apply_error: error.clone(), ..active() }), None);
        let (facts, subject) = object(|object| {
            object["metadata"]["annotations"] = json!({ "autoscaling.keda.sh/paused": "true" });
        });
        let paused = Entry { phase: Phase::Paused, ..active() };
        let shown = |entry: &Entry| stored(&after(facts.clone(), entry), Some(&subject)).shown;
        assert!(shown(&paused).is_some());
        assert_eq!(shown(&Entry { apply_error: error, ..paused }), None, "Ready does not tell of it, the record does");
    }

    #[test]
    fn what_was_remembered_of_another_target_says_nothing_about_this_one() {
        let (before, _) = object(|_| {});
        let before = after(before, &active());
        let (facts, subject) = object(|object| object["spec"]["scaleTargetRef"]["name"] = json!("other"));
        let facts = ObjectFacts { record: before.record, status: before.status, ..facts };
        let told = stored(&facts, Some(&subject));
        assert_eq!((told.checkpoint, told.replicas, told.shown), (Checkpoint::default(), None, None));
        assert!(told.activity.lasts, "the activity is the object's");
    }

    #[test]
    fn a_hold_and_a_pause_are_shown_too() {
        for reason in ["Observe", "ForeignAutoscaler"] {
            let (facts, mut subject) = object(|_| {});
            let hold = Hold { reason, message: "because".to_owned() };
            subject.hold = Some(hold.clone());
            let facts = after(facts, &Entry { phase: Phase::Held(hold), ..active() });
            assert!(stored(&facts, Some(&subject)).shown.is_some_and(|shown| shown.active), "{reason}");
        }
        let pause = |object: &mut Value| {
            object["metadata"]["annotations"] = json!({ "autoscaling.keda.sh/paused-replicas": "4" });
        };
        let (mut facts, subject) = object(pause);
        facts = after(facts, &active());
        let paused = Entry { phase: Phase::Paused, ..active() };
        let now = "2026-03-01T12:00:01Z".parse().unwrap();
        facts.status = Packed::new(&status::change(&facts, &paused, &facts.status.open()).unwrap().status);
        let status = record::next(&facts.target, &paused, &ScaleRecordStatus::default(), None, now);
        facts.record = facts.record.map(|record| RecordFacts { status: Packed::new(&status), ..record });
        assert!(stored(&facts, Some(&subject)).shown.is_some_and(|shown| shown.paused && shown.active));
    }
}
