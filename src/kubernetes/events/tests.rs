use serde_json::{Value, json};
use tidegate_calculator::source::{ErrorScope, ReadError, ReadErrorKind};
use tidegate_crds::annotations::FORCE_ACTIVATION;
use tidegate_engine::protocol::{ApplyError, LastChange, TargetError};
use tidegate_engine::subject::Severity;

use super::*;
use crate::kubernetes::fake::{Fake, Fault};
use crate::kubernetes::status::fixtures::{annotated, facts, finding, id};

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/shop/events";

fn setting() -> (Fake, Announcer) {
    let (fake, known) = (Fake::default(), Known::default());
    known.insert(id(), facts());
    let announcer = Announcer::start(fake.client(), known, "pod-1");
    (fake, announcer)
}

/// The next requests, as soon as there are so many.
async fn requests(fake: &Fake, count: usize) -> Vec<(String, Value)> {
    let (started, mut seen) = (Instant::now(), Vec::new());
    while seen.len() < count {
        assert!(started.elapsed() < CALL_DEADLINE, "{count} requests are awaited, and came: {seen:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
        seen.extend(fake.taken());
    }
    seen
}

fn scaled(from: u32, to: u32) -> Event {
    let why = "triggers[0] asks for 8".to_owned();
    Event::Scaled(LastChange { at: "2026-03-01T12:00:00Z".parse().unwrap(), from, to, why })
}

#[tokio::test]
async fn an_event_is_about_the_object_and_says_who_tells_it() {
    let (fake, announcer) = setting();
    announcer.announce(&id(), &scaled(0, 8));
    let (request, body) = requests(&fake, 1).await.remove(0);
    assert_eq!(request, format!("POST {EVENTS}"));
    let expected = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "orders", "namespace": "shop", "uid": "uid-1",
    });
    assert_eq!(body["regarding"], expected);
    assert_eq!(body["note"], "New size: 8 (was 0); reason: triggers[0] asks for 8");
    let words = ["type", "reason", "action", "reportingController", "reportingInstance"].map(|name| body[name].clone());
    assert_eq!(words, ["Normal", "SuccessfulRescale", "ScaleFrom0To8", "tidegate", "pod-1"]);
}

#[tokio::test]
async fn a_repetition_joins_its_series_and_another_change_does_not() {
    let (fake, announcer) = setting();
    announcer.announce(&id(), &scaled(0, 8));
    announcer.announce(&id(), &scaled(0, 8));
    announcer.announce(&id(), &scaled(8, 5));
    let requests = requests(&fake, 3).await;
    let verbs: Vec<&str> = requests.iter().filter_map(|(request, _)| request.split(' ').next()).collect();
    assert_eq!(verbs, ["POST", "PATCH", "POST"]);
    assert_eq!(requests[1].1["series"]["count"], 2);
    assert_eq!(requests[2].1["note"], "New size: 5 (was 8); reason: triggers[0] asks for 8");
}

#[tokio::test]
async fn an_expired_series_begins_anew() {
    let (fake, announcer) = setting();
    announcer.announce(&id(), &scaled(0, 8));
    requests(&fake, 1).await;
    fake.script_events([Some(Fault::Refuse(404))]);
    announcer.announce(&id(), &scaled(0, 8));
    let requests = requests(&fake, 2).await;
    assert!(requests[0].0.starts_with("PATCH") && requests[1].0.starts_with("POST"), "{requests:?}");
    assert_eq!(announcer.failed(), 0);
}

#[tokio::test]
async fn what_is_not_taken_is_counted_and_not_tried_again() {
    let (fake, announcer) = setting();
    fake.script_events([Some(Fault::Refuse(403)), Some(Fault::NoNamespace)]);
    announcer.announce(&id(), &scaled(0, 8));
    announcer.announce(&id(), &scaled(8, 5));
    announcer.announce(&id(), &scaled(5, 4));
    assert_eq!(requests(&fake, 3).await.len(), 3);
    assert_eq!((announcer.failed(), announcer.dropped()), (2, 0));
}

#[tokio::test]
async fn an_object_has_a_budget_and_the_queue_an_end() {
    let (fake, announcer) = setting();
    for to in 0..PER_OBJECT.0 + 5 {
        announcer.announce(&id(), &scaled(100, to));
    }
    assert_eq!(announcer.dropped(), 5);
    let sent = usize::try_from(PER_OBJECT.0).unwrap();
    assert_eq!(requests(&fake, sent).await.len(), sent);

    // Nothing runs between these, so the queue fills.
    for index in 0..QUEUE + 3 {
        let id = ObjectId::new("shop", &format!("orders-{index}"));
        announcer.known.insert(id.clone(), ObjectFacts { uid: index.to_string(), ..facts() });
        announcer.announce(&id, &scaled(0, 8));
    }
    assert_eq!(announcer.dropped(), 8);
    announcer.announce(&ObjectId::new("shop", "gone"), &scaled(0, 8));
    assert_eq!(announcer.dropped(), 8, "nobody can be told about an object that is gone");
}

#[tokio::test]
async fn notes_are_cut_to_what_the_api_server_takes() {
    let (fake, announcer) = setting();
    announcer.announce(&id(), &Event::TargetFailed(TargetError::Unavailable("ä".repeat(2000))));
    let (_, body) = requests(&fake, 1).await.remove(0);
    let note = body["note"].as_str().unwrap();
    assert!(note.len() <= LONGEST_NOTE && note.len() > LONGEST_NOTE - 4 && note.ends_with("ä..."), "{}", note.len());
    assert!(body["action"].as_str().unwrap().len() <= LONGEST_WORD);
    assert_eq!((body["type"].clone(), body["reason"].clone()), (json!("Warning"), json!("TargetUnavailable")));
}

#[test]
fn notes_are_those_of_keda_where_it_has_one() {
    let error = ReadError {
        kind: ReadErrorKind::Unavailable,
        scope: ErrorScope::Endpoint,
        message: "redis://orders:6379 refused the connection".to_owned(),
    };
    let (activated, deactivated) = (Event::Activated { from: 0, to: 8 }, Event::Deactivated { from: 8, to: 0 });
    let both = "Scaled apps/v1.Deployment shop/worker from 0 to 8, triggered by one or more of \
                s0-redis-orders;s1-redis-returns";
    let refused = "ScaledObject doesn't have correct triggers specification: triggers[0].type: is unknown";
    let findings = vec![finding(Severity::Error, "triggers[0].type", "is unknown")];
    let table = [
        (activated.clone(), both),
        (deactivated, "Deactivated apps/v1.Deployment shop/worker from 8 to 0"),
        (
            Event::TriggerFailed { trigger: 0, error },
            "triggers[0] (s0-redis-orders): redis://orders:6379 refused the connection (TriggerUnavailable)",
        ),
        (Event::TriggerRecovered { trigger: 7 }, "triggers[7] gives values again"),
        (Event::Refused(findings), refused),
        (Event::TargetFound, "apps/v1.Deployment shop/worker can be read again"),
        (
            Event::ApplyFailed(ApplyError::Refused("patch deployments/scale: forbidden (403)".to_owned())),
            "Failed to scale apps/v1.Deployment shop/worker: patch deployments/scale: forbidden (403)",
        ),
        (Event::ForeignChange { from: 3, to: 1 }, "Somebody else changed apps/v1.Deployment shop/worker from 3 to 1"),
        (Event::Paused(true), "ScaledObject is paused"),
        (Event::Paused(false), "pause annotation removed for ScaledObject"),
        (Event::Fallback(true), "ScaledObject fallback is active"),
        (Event::Fallback(false), "ScaledObject fallback is no longer active"),
    ];
    for (event, expected) in table {
        assert_eq!(notes::note(&facts(), &event), expected);
        let action = notes::action(&event);
        assert!(!action.is_empty() && action.len() <= LONGEST_WORD, "{action}");
    }
    let forced = annotated(FORCE_ACTIVATION, "true");
    let expected = "Scaled apps/v1.Deployment shop/worker from 0 to 8, caused by forced activation annotation";
    assert_eq!(notes::note(&forced, &activated), expected);
    let one = ObjectFacts { metric_names: vec![vec!["s0-redis-orders".to_owned()]], ..facts() };
    assert!(notes::note(&one, &activated).ends_with("from 0 to 8, triggered by s0-redis-orders"));
}

#[tokio::test]
async fn the_end_of_the_sender_is_noticed() {
    async fn answer() -> axum::http::StatusCode {
        panic!("a defect")
    }
    let known = Known::default();
    known.insert(id(), facts());
    let client = Client::new(axum::Router::new().fallback(answer), "default");
    let announcer = Announcer::start(client, known, "pod-1");
    let ended = tokio::spawn(announcer.clone().ended());
    announcer.announce(&id(), &scaled(0, 8));
    tokio::time::timeout(CALL_DEADLINE, ended).await.expect("its end").unwrap();
}
