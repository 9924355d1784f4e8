use serde_json::{Value, json};
use tidegate_crds::{ScaleRecordStatus, ScaledObjectStatus};
use tidegate_engine::snapshot::Phase;
use tidegate_engine::subject::Hold;
use tokio::time::Instant;

use super::*;
use crate::kubernetes::fake::{Fake, Fault};
use crate::kubernetes::holds::Whom;
use crate::kubernetes::known::RecordFacts;
use crate::kubernetes::packed::Packed;
use crate::kubernetes::status::fixtures::{active, cooling, facts, id, nothing};

const OBJECT: &str = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/orders";
const RECORD: &str = "/apis/tidegate.dev/v1alpha1/namespaces/shop/scalerecords/orders";
/// Short, for answers that never come.
const SHORT: Duration = Duration::from_millis(100);

struct Setting {
    fake: Fake,
    known: Known,
    holds: Holds,
    journal: ClusterJournal,
}

impl Setting {
    /// A ScaledObject without a record, as a new one is.
    fn new(deadline: Duration) -> Self {
        let (fake, known, holds) = (Fake::default(), Known::default(), Holds::default());
        fake.put(OBJECT, json!({ "metadata": { "name": "orders", "uid": "uid-1" }, "spec": { "odd": [1] } }));
        known.insert(id(), facts());
        let announcer = Announcer::start(fake.client(), known.clone(), "pod-1");
        let journal = ClusterJournal::with_deadline(
            fake.client(),
            (known.clone(), holds.clone(), Kept::default()),
            announcer,
            deadline,
        );
        let setting = Self { fake, known, holds, journal };
        setting.watch();
        setting
    }

    /// The watches show what is there.
    fn watch(&self) {
        let object = self.fake.get(OBJECT).unwrap();
        let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let status = |object: &Value| object.get("status").cloned().unwrap_or(json!({}));
        self.known.update(&id(), |facts| {
            facts.resource_version = version(&object);
            facts.status = Packed::new(&serde_json::from_value(status(&object)).unwrap());
            facts.record = self.fake.get(RECORD).map(|record| RecordFacts {
                uid: "uid-2".to_owned(),
                resource_version: version(&record),
                owner: record["metadata"]["ownerReferences"][0]["uid"].as_str().map(str::to_owned),
                status: Packed::new(&serde_json::from_value(status(&record)).unwrap()),
            });
        });
    }

    async fn store(&self, entry: &Entry) -> Result<(), JournalError> {
        self.journal.store(&id(), entry).await
    }

    /// The requests since the last look, but for events, which come when they come.
    fn requests(&self) -> Vec<String> {
        let requests = self.fake.taken().into_iter().map(|(request, _)| request);
        requests.filter(|request| !request.contains("events.k8s.io")).collect()
    }

    fn status(&self) -> ScaledObjectStatus {
        serde_json::from_value(self.fake.get(OBJECT).unwrap()["status"].take()).unwrap()
    }

    fn record(&self) -> ScaleRecordStatus {
        serde_json::from_value(self.fake.get(RECORD).unwrap()["status"].take()).unwrap()
    }

    /// The Active condition of the ScaledObject.
    fn active(&self) -> String {
        let found = self.status().conditions.into_iter().find(|condition| condition.kind == "Active");
        found.unwrap().status
    }
}

fn patch(path: &str) -> String {
    format!("PATCH {path}")
}

fn status_of(path: &str) -> String {
    format!("PATCH {path}/status")
}

fn get(path: &str) -> String {
    format!("GET {path}")
}

fn why(result: Result<(), JournalError>) -> String {
    let Err(JournalError::Unavailable(why)) = result else { panic!("it succeeded") };
    why
}

#[tokio::test]
async fn the_record_comes_first_and_equal_things_are_written_never() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.store(&active()).await.unwrap();
    assert_eq!(setting.requests(), [patch(RECORD), status_of(RECORD), status_of(OBJECT)]);
    let record = setting.fake.get(RECORD).unwrap();
    assert_eq!(record["metadata"]["ownerReferences"][0]["uid"], "uid-1");
    assert_eq!(record["metadata"].get("labels"), None);
    assert_eq!((setting.record().replicas, setting.active()), (Some(8), "True".to_owned()));
    assert_eq!(setting.fake.get(OBJECT).unwrap()["spec"], json!({ "odd": [1] }));

    setting.store(&active()).await.unwrap();
    setting.watch();
    setting.store(&active()).await.unwrap();
    assert_eq!(setting.requests(), [""; 0], "equal before and after the watches have shown it");

    setting.store(&cooling()).await.unwrap();
    assert_eq!(setting.requests(), [status_of(RECORD), status_of(OBJECT)]);
    let longer = Entry { desired: Some(9), ..cooling() };
    setting.store(&longer).await.unwrap();
    assert_eq!(setting.requests(), [status_of(RECORD)], "nothing of KEDA's has changed");
}

#[tokio::test]
async fn a_watch_that_lags_is_not_believed() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.store(&active()).await.unwrap();
    setting.watch();
    setting.store(&cooling()).await.unwrap();
    // The watches still show the object as active: it is not, and must be written so again.
    setting.store(&active()).await.unwrap();
    assert_eq!(setting.active(), "True");
    setting.watch();
    setting.requests();
    // Somebody else's write is seen once the watches show it.
    let mut object = setting.fake.get(OBJECT).unwrap();
    object["status"]["conditions"] = json!([]);
    setting.fake.put(OBJECT, object);
    setting.watch();
    setting.store(&active()).await.unwrap();
    assert_eq!(setting.requests(), [status_of(OBJECT)]);
}

#[tokio::test]
async fn refusals_name_verb_and_resource_and_nothing_follows() {
    for code in [403, 409, 422, 429, 500, 503] {
        let setting = Setting::new(CALL_DEADLINE);
        setting.store(&active()).await.unwrap();
        setting.watch();
        setting.requests();
        setting.fake.script([Some(Fault::Refuse(code))]);
        let text = why(setting.store(&cooling()).await);
        assert_eq!(text, format!("patch scalerecords.tidegate.dev/status for shop/orders: scripted ({code})"));
        assert_eq!(setting.requests(), [status_of(RECORD)], "one request, no retry, no status after it");

        setting.fake.script([None, Some(Fault::Refuse(code))].into_iter().skip(usize::from(code < 500)));
        let text = why(setting.store(&cooling()).await);
        // Only what may have been written is read anew.
        let doubtful = code >= 500;
        if doubtful {
            assert_eq!(setting.requests(), [get(RECORD), status_of(RECORD)]);
        } else {
            assert_eq!(setting.requests(), [status_of(RECORD)]);
        }
        assert!(text.starts_with("patch scalerecords.tidegate.dev/status"), "{text}");

        setting.store(&cooling()).await.unwrap();
        assert_eq!((setting.record().limited_by.as_deref(), setting.active().as_str()), (Some("Cooldown"), "False"));
    }
}

#[tokio::test]
async fn a_status_that_was_not_taken_is_written_without_the_record() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.store(&active()).await.unwrap();
    setting.watch();
    setting.requests();
    setting.fake.script([None, Some(Fault::Refuse(500))]);
    let text = why(setting.store(&cooling()).await);
    assert_eq!(text, "patch scaledobjects.keda.sh/status for shop/orders: scripted (500)");
    assert_eq!(setting.requests(), [status_of(RECORD), status_of(OBJECT)]);
    setting.store(&cooling()).await.unwrap();
    assert_eq!(setting.requests(), [get(OBJECT), status_of(OBJECT)]);
    assert_eq!(setting.active(), "False");
}

#[tokio::test]
async fn a_write_without_an_answer_is_looked_for_before_the_next() {
    let setting = Setting::new(SHORT);
    setting.store(&active()).await.unwrap();
    setting.watch();
    setting.requests();
    setting.fake.script([None, Some(Fault::Silence)]);
    let text = why(setting.store(&cooling()).await);
    assert_eq!(text, "patch scaledobjects.keda.sh/status for shop/orders: no answer came within 100ms");
    assert_eq!(setting.active(), "False", "it has landed");
    setting.requests();
    // The watches show the status before it, which is what the next entry wants.
    setting.store(&active()).await.unwrap();
    assert_eq!(setting.requests(), [status_of(RECORD), get(OBJECT), status_of(OBJECT)]);
    assert_eq!(setting.active(), "True");
}

#[tokio::test]
async fn a_store_that_is_given_up_leaves_a_doubt() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.store(&active()).await.unwrap();
    setting.watch();
    setting.requests();
    setting.fake.script([Some(Fault::Silence)]);
    let given_up = tokio::time::timeout(SHORT, setting.store(&cooling())).await;
    assert!(given_up.is_err());
    setting.requests();
    setting.store(&active()).await.unwrap();
    assert_eq!(
        setting.requests(),
        [get(RECORD), status_of(RECORD)],
        "the status was not reached, and is as it should be"
    );
    assert_eq!(setting.record().limited_by, None);
}

#[tokio::test]
async fn what_is_gone_is_stored_well() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.fake.script([Some(Fault::NoNamespace)]);
    setting.store(&active()).await.unwrap();
    assert_eq!(setting.requests(), [patch(RECORD)], "nothing is tried in a namespace that is gone");

    setting.fake.delete(OBJECT);
    setting.store(&active()).await.unwrap();
    assert_eq!(setting.requests(), [patch(RECORD), status_of(RECORD), status_of(OBJECT)]);

    setting.known.update(&id(), |facts| facts.deleting = true);
    setting.store(&cooling()).await.unwrap();
    setting.known.remove(&id());
    setting.store(&cooling()).await.unwrap();
    assert_eq!(setting.requests(), [""; 0]);
}

#[tokio::test]
async fn a_record_that_was_deleted_is_made_again() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.store(&active()).await.unwrap();
    setting.watch();
    setting.requests();
    setting.fake.delete(RECORD);
    setting.store(&cooling()).await.unwrap();
    let expected = [status_of(RECORD), patch(RECORD), status_of(RECORD), status_of(OBJECT)];
    assert_eq!(setting.requests(), expected);
    assert_eq!(setting.record().limited_by.as_deref(), Some("Cooldown"));
}

#[tokio::test]
async fn a_missing_definition_is_named() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.fake.script([Some(Fault::Refuse(404))]);
    let text = why(setting.store(&active()).await);
    assert!(text.ends_with("scripted (404); is the definition of ScaleRecords installed?"), "{text}");
    assert_eq!(setting.requests(), [patch(RECORD)]);
}

#[tokio::test]
async fn a_record_of_an_older_object_gets_its_new_owner_and_forgets_the_old_one() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.store(&active()).await.unwrap();
    setting.watch();
    setting.requests();
    let mut object = setting.fake.get(OBJECT).unwrap();
    object["metadata"]["uid"] = json!("uid-9");
    object["status"] = json!({});
    setting.fake.put(OBJECT, object);
    setting.known.update(&id(), |facts| facts.uid = "uid-9".to_owned());
    setting.watch();
    setting.store(&nothing(Phase::Starting)).await.unwrap();
    assert_eq!(setting.requests(), [patch(RECORD), status_of(RECORD), status_of(OBJECT)]);
    let owners = setting.fake.get(RECORD).unwrap()["metadata"]["ownerReferences"].take();
    assert_eq!((owners[0]["uid"].clone(), owners.as_array().unwrap().len()), (json!("uid-9"), 1));
    assert_eq!((setting.record().checkpoint, setting.record().last_change), (None, None));
}

#[tokio::test]
async fn a_record_that_has_lost_its_owner_gets_it_back() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.store(&active()).await.unwrap();
    let mut record = setting.fake.get(RECORD).unwrap();
    record["metadata"]["ownerReferences"] = json!([]);
    setting.fake.put(RECORD, record);
    setting.watch();
    setting.requests();
    setting.store(&cooling()).await.unwrap();
    assert_eq!(setting.requests(), [status_of(RECORD), patch(RECORD), status_of(OBJECT)]);
    let owner = setting.fake.get(RECORD).unwrap()["metadata"]["ownerReferences"][0]["uid"].take();
    assert_eq!(owner, "uid-1");
}

#[tokio::test]
async fn a_live_keda_keeps_the_status_of_its_objects() {
    let setting = Setting::new(CALL_DEADLINE);
    let hold = Hold { reason: LIVE_KEDA, message: "KEDA runs".to_owned() };
    setting.holds.set(Whom::All, hold.clone());
    let entry = Entry { phase: Phase::Held(hold), ..active() };
    setting.store(&entry).await.unwrap();
    setting.store(&Entry { phase: Phase::Refused(Vec::new()), ..nothing(Phase::Starting) }).await.unwrap();
    assert_eq!(setting.requests(), [patch(RECORD), status_of(RECORD), status_of(RECORD)]);
    setting.holds.lift(&Whom::All, LIVE_KEDA);
    setting.store(&active()).await.unwrap();
    assert_eq!(setting.active(), "True");
}

#[tokio::test]
async fn a_lost_checkpoint_shows_in_the_record_from_the_next_store_on() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.journal.announce(&id(), &Event::CheckpointLost("the checkpoint has version 9".to_owned()));
    setting.store(&active()).await.unwrap();
    let lost = |record: ScaleRecordStatus| record.conditions.into_iter().any(|found| found.type_ == "CheckpointLost");
    assert!(lost(setting.record()));
    setting.watch();
    setting.requests();
    setting.store(&active()).await.unwrap();
    assert_eq!(setting.requests(), [""; 0], "told once");
    setting.store(&cooling()).await.unwrap();
    assert!(lost(setting.record()), "and kept for an hour");
}

#[tokio::test]
async fn becoming_ready_is_announced() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.store(&active()).await.unwrap();
    let started = Instant::now();
    let mut events: Vec<Value> = Vec::new();
    while events.is_empty() && started.elapsed() < CALL_DEADLINE {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let requests = setting.fake.taken().into_iter();
        events.extend(requests.filter(|(request, _)| request.contains("events.k8s.io")).map(|(_, body)| body));
    }
    assert_eq!(events[0]["reason"], "ScaledObjectReady");
}

#[tokio::test]
async fn what_the_watches_show_is_forgotten() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.store(&active()).await.unwrap();
    let inner = &setting.journal.0;
    assert!(!inner.tidy() && inner.lock().sent.len() == 1, "it waits for the watches");
    setting.watch();
    assert!(inner.tidy() && inner.lock().sent.is_empty());

    setting.store(&cooling()).await.unwrap();
    setting.known.remove(&id());
    assert!(inner.tidy() && inner.lock().sent.is_empty(), "gone objects are forgotten too");
}

#[test]
fn a_write_that_the_watches_never_show_is_read_anew_after_a_while() {
    let mut sight = Sight::written("12".to_owned(), 1);
    let (older, newer) = (Packed::new(&0), Packed::new(&2));
    assert_eq!(sight.before(Some(("9", &older))), Before::Known(Some(1)), "versions are compared as numbers");
    assert_eq!(sight.before(None), Before::Known(Some(1)));
    if let (Sight::Written { at, .. }, Some(past)) = (&mut sight, Instant::now().checked_sub(Duration::from_secs(31))) {
        *at = past;
        assert_eq!(sight.before(Some(("9", &older))), Before::Unknown);
    }
    let mut seen = Sight::written("12".to_owned(), 1);
    assert_eq!(seen.before(Some(("13", &newer))), Before::Known(Some(2)));
    assert_eq!(Sight::written(String::new(), 1).before(Some(("9", &older))), Before::Unknown);
}

#[tokio::test]
async fn a_pause_that_the_api_server_asks_for_is_kept() {
    for fault in [Fault::Busy(2), Fault::Ask(429, 2), Fault::Ask(503, 2)] {
        let setting = Setting::new(CALL_DEADLINE);
        setting.store(&active()).await.unwrap();
        setting.watch();
        setting.requests();
        setting.fake.script([Some(fault.clone())]);
        let begun = Instant::now();
        while setting.store(&cooling()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(begun.elapsed() >= Duration::from_secs(2), "{fault:?}: {:?}", begun.elapsed());
        let writes = setting.requests().into_iter().filter(|request| request.starts_with("PATCH")).count();
        assert_eq!(writes, 3, "{fault:?}: one in vain, and one of each");
    }
}

#[tokio::test]
async fn a_store_that_is_slow_never_lands_after_the_next_one() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.store(&active()).await.unwrap();
    setting.watch();
    setting.fake.script([Some(Fault::Late(Duration::from_millis(300)))]);
    let longer = Entry { desired: Some(9), ..cooling() };
    let (old, new) = (cooling(), longer);
    let (first, second) = tokio::join!(setting.store(&old), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        setting.store(&new).await
    });
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert_eq!(setting.record().desired, Some(9));
}

/// It could be deleted between the two.
#[tokio::test]
async fn an_object_that_must_stay_has_its_finalizer_before_that_is_stored() {
    let setting = Setting::new(CALL_DEADLINE);
    let operating = Entry { operation: Some("{}".into()), holds_object: true, ..active() };
    setting.store(&operating).await.unwrap();
    let expected = [get(OBJECT), patch(OBJECT), patch(RECORD), status_of(RECORD), status_of(OBJECT)];
    assert_eq!(setting.requests(), expected);
    assert_eq!(setting.fake.get(OBJECT).unwrap()["metadata"]["finalizers"], json!([FINALIZER]));
    let stored =
        |setting: &Setting| setting.record().operation.map(|operation| serde_json::to_value(operation).unwrap());
    assert_eq!(stored(&setting), Some(json!({ "state": "{}", "keepsObject": true })));
    let is_kept = || setting.journal.0.kept.is(&id(), &setting.known.get(&id()).unwrap());
    assert!(is_kept());

    // What is begun is stored on while the object is being deleted, and so is its end.
    setting.known.update(&id(), |facts| {
        facts.deleting = true;
        facts.finalizers = vec![FINALIZER.to_owned()];
    });
    setting.store(&Entry { operation: Some("{\"next\":1}".into()), ..operating.clone() }).await.unwrap();
    assert_eq!(setting.requests(), [status_of(RECORD)]);
    setting.store(&active()).await.unwrap();
    assert_eq!((setting.requests(), stored(&setting)), (vec![status_of(RECORD)], None));
    assert!(!is_kept());
    assert!(setting.store(&operating).await.is_err(), "it is going: nothing may be done on this");
    assert_eq!(setting.requests(), [""; 0]);
    setting.store(&active()).await.unwrap();
    assert_eq!(setting.requests(), [""; 0], "without an operation nobody minds");
}

#[tokio::test]
async fn nothing_that_needs_its_object_is_stored_once_it_goes() {
    let setting = Setting::new(CALL_DEADLINE);
    setting.fake.fail(&patch(OBJECT), Fault::Refuse(403), 1);
    let operating = Entry { operation: Some("{}".into()), holds_object: true, ..active() };
    assert!(setting.store(&operating).await.is_err());
    assert_eq!(setting.requests(), [get(OBJECT), patch(OBJECT)]);
    setting.fake.delete(OBJECT);
    assert!(setting.store(&operating).await.is_err(), "the watch has not shown yet that it is gone");
}
