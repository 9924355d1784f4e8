//! http and job items around a change, with and without a flink item.

use tidegate_calculator::operation::facts::Scheduler;
use tidegate_calculator::operation::spec::{
    HookSpec, Http, Item, JobTemplate, OnFailure, OnFailureTable, StrategyChoice, Work,
};
use tidegate_calculator::operation::{Class, Direction, Note, Phase, Strategy};
use tidegate_calculator::time::Span;

use crate::checkpoint::story;
use crate::driver::{Driver, Fault};
use crate::specs::{begin, flink, item};
use crate::world::World;

fn http(name: &str) -> Item {
    Item {
        name: name.to_owned(),
        work: Work::Http(Http { url: "https://x/drain".to_owned(), ..Http::default() }),
        ..Item::default()
    }
}

fn job(name: &str) -> Item {
    Item { name: name.to_owned(), work: Work::Job(JobTemplate { template: "{}".to_owned() }), ..Item::default() }
}

fn driver(from: u32, to: u32, pre: Vec<Item>, post: Vec<Item>) -> Driver {
    let world = World::new(Scheduler::Adaptive, from).with_job("job-a", "enrich", from * 2);
    let mut driver = Driver::new(world, begin(from, to, HookSpec { pre_scale: pre, post_scale: post }));
    driver.unprotected = true;
    driver
}

#[test]
fn items_take_part_by_direction() {
    let item = http("drain");
    let parts: Vec<Direction> = Direction::ALL.into_iter().filter(|direction| item.takes_part(*direction)).collect();
    assert_eq!(parts, [Direction::ScaleDown, Direction::ToZero]);
    let only = Item { directions: vec![Direction::ScaleUp], ..http("warm") };
    assert!(only.takes_part(Direction::ScaleUp) && !only.takes_part(Direction::ScaleDown));
    let spec = HookSpec { pre_scale: vec![http("drain")], post_scale: vec![] };
    assert!(!spec.takes_part(Direction::ScaleUp), "then a raise is no operation at all");
}

#[test]
fn without_a_flink_item_replicas_follow_the_items() {
    let mut driver = driver(3, 1, vec![http("drain"), job("archive")], vec![http("told")]);
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.op.state().strategy, Some(Strategy::None));
    let expected = [
        "phase Snapshotting",
        "http",
        "job",
        "poll-job",
        "phase Applying",
        "patch",
        "phase PostHooks",
        "http",
        "phase Done",
    ];
    assert_eq!(story(&driver), expected);
}

#[test]
fn items_come_before_the_snapshots_of_a_flink_item() {
    let mut driver = driver(3, 1, vec![http("drain"), item(flink(StrategyChoice::Auto))], vec![]);
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    let place = |what: &str| story(&driver).iter().position(|line| line == what).unwrap();
    assert!(place("http") < place("checkpoint") && place("checkpoint") < place("patch"));
}

#[test]
fn a_call_that_is_repeated_after_a_crash_has_the_same_key() {
    let mut driver = driver(3, 1, vec![http("drain")], vec![]);
    driver.script = vec![("http", 1, Fault::CrashAfter)];
    assert_eq!(driver.run(), Phase::Done);
    let keys = &driver.world.http_calls;
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");

    let mut jobs = self::driver(3, 1, vec![job("archive")], vec![]);
    jobs.script = vec![("job", 1, Fault::CrashAfter)];
    assert_eq!(jobs.run(), Phase::Done);
    assert_eq!((jobs.count("job"), jobs.world.kubernetes_jobs.len()), (2, 1));
}

#[test]
fn a_failure_aborts_a_lowering_after_its_attempts_and_a_new_attempt_has_a_new_key() {
    let mut failing = driver(3, 1, vec![job("archive")], vec![]);
    failing.script = (1..=3).map(|nth| ("poll-job", nth, Fault::Fail(Class::Transient))).collect();
    assert_eq!((failing.run(), failing.reason()), (Phase::Aborted, "HookFailed"), "{}", failing.tail());
    assert_eq!((failing.world.kubernetes_jobs.len(), failing.count("patch")), (3, 0));

    let table = OnFailureTable { scale_down: Some(OnFailure::Proceed), ..OnFailureTable::default() };
    let mut proceeding = driver(3, 1, vec![Item { on_failure: table, ..http("drain") }], vec![]);
    proceeding.script = vec![("http", 1, Fault::Fail(Class::Config))];
    assert_eq!(proceeding.run(), Phase::Done, "{}", proceeding.tail());
    assert!(proceeding.told("ProceededUnprotected"));
}

#[test]
fn an_item_that_takes_too_long_has_failed() {
    let short = Item { timeout: Span::seconds(30), ..http("drain") };
    let long = Item { timeout: Span::seconds(600), ..http("other") };
    let mut driver = driver(3, 1, vec![short, long], vec![]);
    driver.script = (1..=100).map(|nth| ("http", nth, Fault::Fail(Class::Unavailable))).collect();
    assert_eq!((driver.run(), driver.reason()), (Phase::Aborted, "HookFailed"), "{}", driver.tail());
    let took = driver.world.now - driver.begun();
    assert!((30_000..40_000).contains(&took), "{took}");
}

#[test]
fn what_follows_may_fail_and_changes_nothing() {
    let mut driver = driver(3, 1, vec![http("drain")], vec![http("told"), http("told-too")]);
    driver.script = vec![("http", 2, Fault::Fail(Class::Config))];
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert!(driver.told("PostHookFailed"));
    let last = |is: fn(&Note) -> bool| driver.notes.iter().rposition(is);
    let failed = last(|note| matches!(note, Note::Condition { name, holds: true, .. } if name == "PostHookFailed"));
    assert!(failed > last(|note| matches!(note, Note::Clear(_))), "it stands after the end: {:?}", driver.notes);
    assert_eq!((driver.count("http"), driver.world.replicas), (3, 1));
}

#[test]
fn a_call_that_is_only_accepted_is_polled_and_begins_again_when_it_is_forgotten() {
    let mut driver = driver(3, 1, vec![http("drain")], vec![]);
    driver.world.http_accepts = true;
    driver.run_until(30);
    driver.world.http_calls.clear();
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert!(driver.count("poll-http") >= 1);
    let keys = &driver.world.http_calls;
    assert!(keys.iter().all(|key| *key == keys[0]), "one key for one attempt");
}
