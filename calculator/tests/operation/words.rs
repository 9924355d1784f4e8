//! The stored form, the explanation, upper bounds, the order of a lowering, and pauses.

use jiff::Timestamp;
use tidegate_calculator::operation::bounds::{self, LastUseful, Part, Shape, ShapeVertex};
use tidegate_calculator::operation::explain::explain;
use tidegate_calculator::operation::facts::Scheduler;
use tidegate_calculator::operation::spec::StrategyChoice;
use tidegate_calculator::operation::{Event, Operation, Phase, stored};
use tidegate_calculator::time::{Now, Tick};

use crate::driver::Driver;
use crate::specs::{begin, flink, spec};
use crate::stop_restore;
use crate::world::World;

fn now(tick: i64, wall: i64) -> Now {
    Now { tick: Tick(tick), wall: Timestamp::from_millisecond(wall).unwrap() }
}

#[test]
fn the_time_that_passes_while_we_are_away_counts_and_a_clock_set_back_does_not() {
    let op = Operation::begin(begin(3, 1, spec(flink(StrategyChoice::Auto))), Tick(1_000)).unwrap();
    // 4 s old when it is stored at wall time 100 s.
    let text = stored::text(&op, now(5_000, 100_000));
    let age = |op: &Operation, now: Now| {
        let again: serde_json::Value = serde_json::from_str(&stored::text(op, now)).unwrap();
        again["e"].as_i64().unwrap()
    };
    let later = now(50, 130_000);
    assert_eq!(age(&stored::read(&text, later).unwrap(), later), 34_000, "4 s and the 30 s away");
    let back = now(50, 40_000);
    assert_eq!(age(&stored::read(&text, back).unwrap(), back), 4_000, "a clock that was set back by a minute");
}

#[test]
fn a_stored_operation_is_the_same_when_it_is_read_and_says_what_is_wrong_with_it() {
    let mut driver = stop_restore::driver(3, 1);
    driver.run_until(800);
    let text = stored::text(&driver.op, driver.now());
    let again = stored::read(&text, driver.now()).unwrap();
    assert_eq!((again.state(), again.revision()), (driver.op.state(), driver.op.revision()));
    assert!(text.len() < 4_096, "{} bytes", text.len());

    let newer = text.replacen("\"v\":1", "\"v\":2", 1);
    let error = stored::read(&newer, driver.now()).unwrap_err();
    assert_eq!(
        (error.reason(), error.to_string().as_str()),
        ("OperationVersion", "the operation has version 2; versions up to 1 are known")
    );
    assert_eq!(stored::read("{", driver.now()).unwrap_err().reason(), "OperationMalformed");
}

/// A text of version 1, written once: every later build must go on with it.
#[test]
fn operations_of_version_1_still_load() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/operation-v1-stopped.json");
    if std::env::var_os("TIDEGATE_UPDATE").is_some() && !std::path::Path::new(path).exists() {
        let mut driver = stop_restore::driver(3, 1);
        driver.run_until(1_150);
        std::fs::write(path, stored::text(&driver.op, driver.now())).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let moment = now(10, 1_800_001_100_000);
    let mut op = stored::read(text.trim(), moment).unwrap();
    let job = &op.state().jobs[0];
    assert!(job.stop.taken.is_some() && !job.runs_again());
    let path = format!("s3://bucket/sp/{}/job-a-2", op.state().id.0);
    assert_eq!(job.path.as_deref(), Some(path.as_str()));
    let step = op.handle(Event::Woken, moment.tick);
    assert!(!step.calls.is_empty(), "it goes on");
}

#[test]
fn it_says_what_it_has_and_what_it_waits_for() {
    let mut driver = stop_restore::driver(3, 1);
    driver.run_until(300);
    let said = explain(&driver.op, driver.now().tick);
    let id = driver.op.state().id.0.clone();
    assert!(said.headline.starts_with("ScaleDown 3 -> 1 (StopRestore): Snapshotting for "), "{}", said.headline);
    assert_eq!(said.waiting, "the stop with a savepoint of enrich");
    assert_eq!(said.jobs, ["enrich: stopped, savepoint under way (attempt 1)"]);
    driver.run();
    let said = explain(&driver.op, driver.now().tick);
    assert_eq!(said.waiting, "nothing");
    assert!(said.jobs[0].contains(&format!("savepoint at s3://bucket/sp/{id}/job-a-2")), "{said:?}");
    assert!(said.jobs[0].contains("runs again as ") && said.jobs[0].contains("with parallelism 2"), "{said:?}");
}

#[test]
fn before_it_is_stored_it_says_so() {
    let world = World::new(Scheduler::Adaptive, 3).with_job("job-a", "enrich", 6);
    let mut driver = Driver::new(world, begin(3, 1, spec(flink(StrategyChoice::Auto))));
    driver.store_delay = 60_000;
    driver.run_until(10_000);
    assert_eq!(explain(&driver.op, driver.now().tick).waiting, "its state being stored, before anything is done");
    assert_eq!(driver.run(), Phase::Aborted, "its checkpoints were never young enough");
}

fn shape(slots: u32, vertices: &[(u32, u32)]) -> Shape {
    let vertex =
        |(index, (base, max)): (usize, &(u32, u32))| ShapeVertex { id: format!("v{index}"), base: *base, max: *max };
    Shape { job: "enrich".to_owned(), slots, vertices: vertices.iter().enumerate().map(vertex).collect() }
}

fn uppers(shape: &Shape, slots: u32, raise: &[String]) -> Vec<u32> {
    shape.bounds(slots, raise).into_iter().map(|bound| bound.upper).collect()
}

#[test]
fn bounds_come_from_the_declared_shape() {
    // Source 1, burn 2, one (max 1), sink 3, on 3 slots; doubled.
    let mixed = shape(3, &[(1, 128), (2, 128), (1, 1), (3, 128)]);
    assert_eq!(uppers(&mixed, 6, &[]), [1, 4, 1, 6]);
    assert_eq!(uppers(&mixed, 6, &["v0".to_owned()]), [2, 4, 1, 6], "a listed vertex is raised");
    // 2 · 4 / 3 = 2.67 rounds to 3; 3 · 4 / 3 = 4. There and back is where it was.
    assert_eq!(uppers(&mixed, 4, &[]), [1, 3, 1, 4]);
    assert_eq!(uppers(&mixed, 3, &[]), [1, 2, 1, 3]);
    assert_eq!(uppers(&mixed, 1, &[]), [1, 1, 1, 1], "never below 1");
    assert_eq!(uppers(&shape(2, &[(2, 5)]), 100, &[]), [5], "never above the maximum");
}

#[test]
fn slots_are_split_by_shares_and_more_taskmanagers_than_useful_are_known() {
    assert_eq!(bounds::split(4, &[3, 1]), [3, 1]);
    assert_eq!(bounds::split(7, &[1, 1, 1]), [3, 2, 2]);
    assert_eq!(bounds::split(4, &[100, 1, 1]), [2, 1, 1], "everybody gets one");
    assert_eq!(bounds::split(2, &[1, 1, 1]), [1, 1, 1], "too few slots: each job asks for one");
    for total in 0..40 {
        let parts = bounds::split(total, &[5, 2, 1]);
        assert!(total < 3 || parts.iter().sum::<u32>() == total, "{total}: {parts:?}");
    }
    // Base 2 on 2 slots, maximum 5: 5 slots are enough, so 3 TaskManagers of 2 slots.
    let part = |shape, share| Part { shape, raise: vec![], share };
    let useful = LastUseful { replicas: 3, slots: 5, slots_per: 2 };
    assert_eq!(bounds::last_useful(&[part(shape(2, &[(2, 5)]), 1)], 2, false), Some(useful));
    // Of base 3 on 3 slots the 5 slots above 4.5 · 3 / 3 round to 5.
    assert_eq!(shape(3, &[(3, 5)]).useful_slots(&[]), 5);
    assert_eq!((bounds::last_useful(&[], 2, false), bounds::last_useful(&[], 0, false)), (None, None));
    // Two jobs with equal shares: the one that can use 10 gets its 10th slot with the 20th of all, though the other is full at 8.
    let two = [part(shape(2, &[(2, 4)]), 1), part(shape(2, &[(2, 10)]), 1)];
    assert_eq!(bounds::last_useful(&two, 2, false).map(|useful| (useful.replicas, useful.slots)), Some((10, 20)));
    // With 3 of 4 shares it gets 10 of 14 (10 · 4 / 3 rounded up), and the other needs 4 · 4 = 16.
    let two = [part(shape(2, &[(2, 4)]), 1), part(shape(2, &[(2, 10)]), 3)];
    assert_eq!(bounds::last_useful(&two, 2, false).map(|useful| useful.slots), Some(16));
    // Declared with 1 everywhere, it never needs more than it was declared with: here two groups of one slot each.
    assert_eq!(shape(2, &[(1, 128), (1, 128)]).useful_slots(&[]), 2);
    assert_eq!(shape(1, &[(1, 128)]).useful_slots(&["v0".to_owned()]), 128, "unless it is listed");
    // Where the parallelism follows the slots, what was declared counts for nothing.
    let follows = |shape| bounds::last_useful(&[part(shape, 1)], 2, true).map(|useful| useful.slots);
    assert_eq!(follows(shape(1, &[(1, 128), (1, 64)])), Some(128));
    assert_eq!(follows(shape(2, &[(1, 128), (1, 64)])), Some(256), "two groups share the slots");
}

#[test]
fn the_pause_after_it_is_the_longest_of_user_cluster_and_checkpoints() {
    let mut quick = Driver::new(
        World::new(Scheduler::Adaptive, 3).with_job("job-a", "enrich", 6),
        begin(3, 1, spec(flink(StrategyChoice::Auto))),
    );
    assert_eq!(quick.run(), Phase::Done);
    let ending = quick.op.ending(None, quick.now()).unwrap();
    // The user's 2 min against 30 s of the cluster and 3 · 10 s.
    assert_eq!((ending.cooldown.0, ending.failures), (120_000, 0));
    let mut slow = Driver::new(
        World::new(Scheduler::Adaptive, 3).with_job("job-a", "enrich", 6),
        begin(3, 1, spec(flink(StrategyChoice::Auto))),
    );
    slow.world.jobs[0].interval = Some(600_000);
    assert_eq!(slow.run(), Phase::Done, "{}", slow.tail());
    assert_eq!(slow.op.ending(None, slow.now()).unwrap().cooldown.0, 1_800_000);
}

#[test]
fn a_late_answer_of_an_older_call_is_dropped() {
    let mut driver = stop_restore::driver(3, 1);
    driver.run_until(300);
    let before = driver.op.state().clone();
    let outcome = tidegate_calculator::operation::Outcome::NotFound;
    driver.feed(Event::Answered { call: 4_000, outcome });
    driver.feed(Event::Stored(9_999));
    assert_eq!(driver.op.state(), &before);
}
