//! What fails is found again, what goes leaves nothing behind, and nobody sees half of an object.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;

use super::*;
use crate::kubernetes::finalize::FINALIZER;
use crate::kubernetes::flink_scale::JOB_SUSPENDED;
use crate::kubernetes::watch::directory::{Holder, Place, Sight};
use crate::validation::KeysOf;
use tidegate_crds::annotations::ABANDON;

fn secret() -> Holder {
    Holder::new(KeysOf::Secret, "shop", "redis")
}

fn unavailable() -> TargetError {
    TargetError::Unavailable("busy".to_owned())
}

impl Bench {
    /// The object that somebody should look at next.
    fn attention(&self) -> Option<ObjectId> {
        self.out.attention.next().now_or_never()
    }

    /// A bench on which triggers on `x` use a Secret.
    fn with_secret() -> (Self, Place) {
        let mut bench = Self::running();
        let place = secret().place;
        assert!(bench.out.directory.using(&secret(), &target("x")));
        bench.give(Event::Wanted(place.clone()));
        assert_eq!(std::mem::take(&mut bench.orders), [Order::WatchHolders(place.clone())]);
        bench.give(Event::Listed(What::Holders(place.clone()), Some("shop".into())));
        assert!(bench.told().is_empty());
        (bench, place)
    }
}

#[test]
fn a_secret_that_moves_after_its_watch_failed_is_looked_at_again() {
    let (mut bench, place) = Bench::with_secret();
    let watch = || (What::Holders(place.clone()), Some("shop".into()));
    let (what, namespace) = watch();
    bench.give(Event::Failed(what, namespace, unavailable()));
    assert_eq!(bench.out.directory.sight(&place), Some(Sight::Blind));
    let (what, namespace) = watch();
    bench.give(Event::Listed(what, namespace));
    assert_eq!(bench.told(), ["parameters a"], "whatever was read meanwhile may be old");
    bench.give(Event::Holder(place, "redis".into(), Some("9".into())));
    assert_eq!(bench.told(), ["parameters a"]);
}

#[test]
fn the_watch_of_secrets_ends_with_the_last_who_uses_one() {
    let (mut bench, place) = Bench::with_secret();
    bench.object(&object("b", "y", 2));
    bench.out.directory.using(&Holder::new(KeysOf::Secret, "shop", "other"), &target("y"));
    bench.orders.clear();
    bench.give(Event::ObjectGone(id("a")));
    assert!(bench.orders.is_empty(), "the other one needs it: {:?}", bench.orders);
    bench.give(Event::ObjectGone(id("b")));
    assert_eq!(bench.orders, [Order::DropHolders(place.clone())]);
    // What the watch said before it was ended comes late.
    bench.give(Event::Failed(What::Holders(place.clone()), Some("shop".into()), unavailable()));
    bench.give(Event::Listed(What::Holders(place.clone()), Some("shop".into())));
    assert_eq!(bench.out.directory.sight(&place), None);
    assert!(bench.out.directory.using(&secret(), &target("x")), "whoever comes next wants it anew");
}

#[test]
fn attention_is_not_kept_for_what_is_gone() {
    let mut bench = Bench::running();
    bench.give(Event::ObjectGone(id("a")));
    assert_eq!(bench.attention(), None);
    // One that left our labels and carries our finalizer exists somewhere.
    let mut value = object("b", "y", 2);
    value["metadata"]["finalizers"] = json!([FINALIZER]);
    bench.object(&value);
    assert_eq!((bench.attention(), bench.attention()), (Some(id("b")), None));
    bench.give(Event::ObjectGone(id("b")));
    assert_eq!(bench.attention(), Some(id("b")));
    // Also one that is being deleted: it may wait for us, and only its labels have changed. Without our finalizer it does not.
    for (finalizers, looked) in [(json!([FINALIZER]), Some(id("b"))), (json!(["other"]), None)] {
        value["metadata"]["deletionTimestamp"] = json!("2026-01-01T01:00:00Z");
        value["metadata"]["finalizers"] = finalizers;
        bench.object(&value);
        bench.give(Event::ObjectGone(id("b")));
        assert_eq!(bench.attention(), looked);
    }
}

/// It left our labels while its job was stopped, perhaps before this process began.
#[test]
fn a_record_of_no_object_that_says_it_must_stay_is_looked_at_once() {
    let mut bench = Bench::running();
    while bench.attention().is_some() {}
    let record = |kept: bool| {
        let status = serde_json::from_value(json!({ "operation": { "keepsObject": kept } })).unwrap();
        Box::new(RecordFacts { status: Packed::new(&status), ..RecordFacts::default() })
    };
    bench.give(Event::Record(id("plain"), record(false)));
    assert_eq!(bench.attention(), None);
    bench.give(Event::Record(id("b"), record(true)));
    assert_eq!((bench.attention(), bench.attention()), (Some(id("b")), None));
    bench.give(Event::Record(id("b"), record(true)));
    assert_eq!(bench.attention(), None, "from now on once a minute");
    // That of an object which is watched says it to whoever looks after that.
    bench.give(Event::Record(id("a"), record(true)));
    assert!(!bench.out.kept.is_lost(&id("a")));
}

#[test]
fn an_object_is_looked_at_when_its_hold_changes() {
    let mut bench = Bench::running();
    assert_eq!((bench.attention(), bench.attention()), (Some(id("a")), None), "it has come");
    let hold = Hold { reason: "LiveKeda", message: String::new() };
    bench.out.holds.set(Whom::All, hold);
    bench.index.held(&[Whom::All, Whom::Object(id("nobody"))].into(), &mut bench.orders);
    assert_eq!((bench.attention(), bench.attention()), (Some(id("a")), None));
    bench.out.holds.lift(&Whom::All, "LiveKeda");
    bench.index.held(&[Whom::All].into(), &mut bench.orders);
    assert_eq!(bench.attention(), Some(id("a")), "now its finalizer may be set");
}

#[test]
fn a_new_text_is_looked_at() {
    let mut bench = Bench::running();
    bench.attention();
    let mut value = object("a", "x", 1);
    value["metadata"]["generation"] = json!(2);
    value["spec"]["advanced"] = json!({ "restoreToOriginalReplicaCount": true });
    bench.object(&value);
    assert_eq!(bench.attention(), Some(id("a")), "it may want a finalizer now");
}

#[test]
fn an_authentication_is_waited_for_until_it_is_gone() {
    let mut bench = Bench::running();
    let key = (Some(Arc::from("shop")), Arc::from("redis"));
    bench.give(Event::Leaving(key.clone()));
    bench.give(Event::Leaving(key.clone()));
    assert_eq!(bench.out.attention.next_authentication().now_or_never(), Some(key.clone()));
    bench.give(Event::Leaving(key.clone()));
    bench.give(Event::Authentication(key, None));
    assert_eq!(bench.out.attention.next_authentication().now_or_never(), None);
}

#[test]
fn nobody_sees_an_object_without_its_status_while_its_text_changes() {
    let mut bench = Bench::running();
    let mut value = object("a", "x", 1);
    value["status"] = json!({ "originalReplicaCount": 3 });
    bench.object(&value);
    let (known, done) = (bench.out.known.clone(), Arc::new(AtomicBool::new(false)));
    let end = done.clone();
    let looks = std::thread::spawn(move || {
        let mut empty = 0;
        while !end.load(Ordering::Relaxed) {
            let facts = known.get(&id("a")).unwrap();
            empty +=
                u32::from(facts.status.open().original_replica_count != Some(3) || facts.target_resource.is_empty());
            empty += u32::from(facts.resource_version.is_empty());
        }
        empty
    });
    for generation in 2..1500 {
        value["metadata"]["generation"] = json!(generation);
        value["spec"]["maxReplicaCount"] = json!(generation);
        bench.object(&value);
    }
    done.store(true, Ordering::Relaxed);
    assert_eq!(looks.join().unwrap(), 0);
    // What comes with a new text counts as well.
    value["metadata"]["generation"] = json!(9999);
    value["status"] = json!({ "originalReplicaCount": 4 });
    bench.object(&value);
    assert_eq!(bench.out.known.get(&id("a")).unwrap().status.open().original_replica_count, Some(4));
}

#[test]
fn a_target_whose_read_failed_is_read_again() {
    let mut bench = Bench::new();
    let shelf = json!({ "name": "y", "kind": "Shelf", "apiVersion": "shop.test/v1" });
    bench.object(&with(object("b", "y", 1), "/spec/scaleTargetRef", shelf));
    bench.base_listed();
    let shelves = KindKey { api_version: "shop.test/v1".into(), kind: "Shelf".into() };
    let served = Served { resource: streams::resource(&What::Objects), workload: false };
    bench.give(Event::Kind(shelves.clone(), Ok(served)));
    bench.give(Event::Moved(shelves.clone(), id("y"), "3".into()));
    bench.give(Event::Listed(What::Targets(shelves.clone()), None));
    let y = TargetRef { api_version: "shop.test/v1".into(), kind: "Shelf".into(), ..target("y") };
    bench.give(Event::Read(y.clone(), Ok(seen(1, "3")), None));
    bench.give(Event::Moved(shelves.clone(), id("y"), "4".into()));
    assert_eq!(bench.orders.last(), Some(&Order::Read(y.clone(), false)));
    let fails = |bench: &mut Bench| {
        bench.orders.clear();
        bench.give(Event::Read(y.clone(), Err(unavailable()), None));
        std::mem::take(&mut bench.orders)
    };
    let first = fails(&mut bench);
    let Some(Order::Remind(whose, pause)) = first.first() else { panic!("{first:?}") };
    assert_eq!((whose, first.len()), (&y, 1));
    bench.give(Event::Again(y.clone()));
    assert_eq!(bench.orders, [Order::Read(y.clone(), false)]);
    // Its version moves while one reminder is under way: it is read at once, and there is still one reminder.
    let second = fails(&mut bench);
    assert!(matches!(&second[..], [Order::Remind(_, longer)] if longer > pause), "{second:?}");
    bench.give(Event::Moved(shelves, id("y"), "5".into()));
    assert_eq!(bench.orders, [Order::Read(y.clone(), false)]);
    assert!(fails(&mut bench).is_empty());
    bench.give(Event::Again(y.clone()));
    bench.give(Event::Read(y.clone(), Ok(seen(2, "5")), None));
    assert!(bench.told().contains(&"y has 2".to_owned()));
    bench.orders.clear();
    bench.give(Event::Again(y));
    assert!(bench.orders.is_empty(), "it is known now");
}

/// Whoever hears first how a target is could act on it before it hears that it must not.
#[test]
fn a_target_that_must_be_left_alone_is_held_before_it_is_told() {
    let mut bench = Bench::new();
    let mut value = object("b", "enrich", 2);
    value["spec"]["scaleTargetRef"] =
        json!({ "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "name": "enrich" });
    bench.object(&value);
    bench.base_listed();
    let enrich = TargetRef {
        api_version: "flink.apache.org/v1beta1".into(),
        kind: "FlinkDeployment".into(),
        ..target("enrich")
    };
    let kind = KindKey::of(&enrich);
    let resource =
        kube::core::ApiResource { plural: "flinkdeployments".to_owned(), ..super::streams::resource(&What::Objects) };
    bench.give(Event::Kind(kind.clone(), Ok(Served { resource, workload: false })));
    bench.give(Event::Moved(kind.clone(), id("enrich"), "4".into()));
    bench.give(Event::Listed(What::Targets(kind.clone()), None));
    let hold = || Hold { reason: JOB_SUSPENDED, message: "because".to_owned() };
    bench.give(Event::Aside(enrich.clone(), Some(hold())));
    bench.give(Event::Read(enrich.clone(), Ok(seen(2, "4")), None));
    assert_eq!(bench.told(), ["set b max 9 held by JobSuspended", "enrich has 2", "synced"]);

    // Resumed; suspended again, and gone: one of the same name begins without a hold.
    for (aside, gone, word) in
        [(None, false, ""), (Some(hold()), false, " held by JobSuspended"), (Some(hold()), true, "")]
    {
        bench.give(Event::Aside(enrich.clone(), aside));
        if gone {
            bench.give(Event::TargetGone(kind.clone(), id("enrich")));
        }
        let whose = [Whom::Target(TargetKey::of(&enrich))].into();
        bench.index.held(&whose, &mut bench.orders);
        let told = bench.told();
        assert_eq!(told.iter().find(|text| text.starts_with("set ")), Some(&format!("set b max 9{word}")), "{told:?}");
    }
}

/// Its operation must come to an end, or a job that it stopped must run again.
#[test]
fn an_object_that_must_stay_is_held_while_it_is_being_deleted() {
    for lets_go in ["over", "abandoned", "without target"] {
        let mut bench = Bench::running();
        let facts = bench.out.known.get(&id("a")).unwrap();
        bench.out.kept.set(&id("a"), &facts, true);
        let mut value = object("a", "x", 1);
        value["metadata"]["deletionTimestamp"] = json!("2026-01-01T01:00:00Z");
        value["metadata"]["finalizers"] = json!([FINALIZER]);
        bench.object(&value);
        assert_eq!(bench.told(), ["set a max 9 held by BeingDeleted", "x has 1"]);
        while bench.attention().is_some() {}
        match lets_go {
            "over" => assert!(bench.out.kept.set(&id("a"), &facts, false)),
            "abandoned" => {
                value["metadata"]["annotations"] = json!({ ABANDON: "true" });
                bench.object(&value);
                assert_eq!(bench.told(), ["gone a"]);
            }
            _ => {
                bench.give(Event::TargetGone(deployments(), id("x")));
                assert!(bench.told().contains(&"gone a".to_owned()));
            }
        }
        assert_eq!(bench.attention(), Some(id("a")), "{lets_go}: its finalizer may go");
    }
}
