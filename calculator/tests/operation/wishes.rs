//! What a wish, a gate or another writer means while an operation is under way.

use tidegate_calculator::operation::cooldown::Ending;
use tidegate_calculator::operation::facts::Scheduler;
use tidegate_calculator::operation::spec::StrategyChoice;
use tidegate_calculator::operation::{Event, Phase};

use crate::driver::Driver;
use crate::specs::{begin, flink, listed, spec};
use crate::stop_restore;
use crate::world::World;

fn driver(from: u32, to: u32) -> Driver {
    let world = World::new(Scheduler::Adaptive, from).with_job("job-a", "enrich", from * 2);
    Driver::new(world, begin(from, to, spec(flink(StrategyChoice::Auto))))
}

/// Feeds a wish once the first snapshot is under way.
fn wish(driver: &mut Driver, replicas: u32, fresh: bool) {
    driver.run_until(500);
    assert_eq!(driver.op.state().phase, Phase::Snapshotting);
    driver.wish = replicas;
    driver.feed(Event::Wish { replicas, fresh });
}

#[test]
fn a_lowering_is_cancelled_by_a_wish_that_is_not_below() {
    let mut same = driver(4, 1);
    wish(&mut same, 4, true);
    assert_eq!((same.run(), same.reason()), (Phase::Cancelled, "NotWanted"));
    assert_eq!((same.world.replicas, same.count("patch")), (4, 0));
}

#[test]
fn a_lowering_moves_up_to_a_wish_in_between_and_never_down() {
    let mut between = driver(4, 1);
    wish(&mut between, 3, true);
    assert_eq!(between.run(), Phase::Done, "{}", between.tail());
    assert_eq!((between.world.replicas, between.world.jobs[0].parallelism), (3, 6));
    let mut lower = driver(4, 2);
    wish(&mut lower, 1, true);
    assert_eq!(lower.run(), Phase::Done);
    assert_eq!(lower.world.replicas, 2, "the rest is for the next operation");
}

#[test]
fn a_raise_is_cancelled_by_a_wish_that_is_not_above_and_moves_up() {
    let mut back = driver(2, 4);
    wish(&mut back, 2, true);
    assert_eq!((back.run(), back.reason()), (Phase::Cancelled, "NotWanted"));
    let mut more = driver(2, 3);
    wish(&mut more, 5, true);
    assert_eq!(more.run(), Phase::Done, "{}", more.tail());
    assert_eq!((more.world.replicas, more.world.jobs[0].parallelism), (5, 10));
}

#[test]
fn a_wish_without_all_data_is_none() {
    let mut driver = driver(4, 1);
    wish(&mut driver, 4, false);
    driver.wish = 1;
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
}

#[test]
fn a_lowering_without_a_fresh_wish_waits_and_ends_at_its_time_out() {
    let mut driver = driver(4, 1);
    driver.wish_fresh = false;
    assert_eq!((driver.run(), driver.reason()), (Phase::Aborted, "OperationTimedOut"), "{}", driver.tail());
    assert_eq!(driver.count("patch"), 0);
    assert!(driver.world.now - driver.begun() >= 20 * 60_000);
}

#[test]
fn nothing_cancels_once_a_stop_may_have_been_sent() {
    let mut driver = stop_restore::driver(3, 1);
    while driver.count("stop") == 0 {
        let next = driver.world.now - driver.begun() + 20;
        driver.run_until(next);
    }
    driver.feed(Event::Wish { replicas: 9, fresh: true });
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.world.replicas, 1);
}

#[test]
fn other_hooks_begin_anew_what_has_changed_nothing() {
    let mut driver = driver(4, 1);
    driver.run_until(500);
    driver.feed(Event::HooksChanged);
    assert_eq!((driver.run(), driver.reason(), driver.world.replicas), (Phase::Cancelled, "HooksChanged", 4));
    // It is no ending: what failed before stays what it was, and nothing waits.
    assert_eq!(driver.op.ending(None, driver.now()), None);
}

#[test]
fn a_job_that_is_being_stopped_runs_again_by_the_hooks_that_stopped_it() {
    let mut driver = stop_restore::driver(3, 1);
    while driver.count("stop") == 0 {
        let next = driver.world.now - driver.begun() + 20;
        driver.run_until(next);
    }
    driver.feed(Event::HooksChanged);
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!((driver.world.replicas, driver.count("run")), (1, 1));
}

#[test]
fn to_zero_is_cancelled_by_any_wish_above_it() {
    let mut driver = stop_restore::driver(3, 0);
    driver.wish = 1;
    assert_eq!((driver.run(), driver.reason()), (Phase::Cancelled, "NotWanted"), "{}", driver.tail());
    assert_eq!(driver.count("stop"), 0);
}

#[test]
fn a_lowering_that_has_changed_nothing_gives_way_to_zero_where_zero_can_be_gone_to() {
    let with_run = |run| {
        let mut flink = flink(StrategyChoice::Auto);
        flink.jobs.list = if run { vec![listed("enrich")] } else { Vec::new() };
        let world = World::new(Scheduler::Adaptive, 4).with_job("job-a", "enrich", 8);
        Driver::new(world, begin(4, 1, spec(flink)))
    };
    let mut way = with_run(true);
    wish(&mut way, 0, true);
    assert_eq!((way.run(), way.reason(), way.world.replicas), (Phase::Cancelled, "NotWanted", 4));
    // It is no failure: what failed before stays what it was, and the pause does not grow.
    let ending = |before| way.op.ending(before, way.now()).unwrap();
    let first = ending(None);
    let third = Ending { failures: 2, ..first.clone() };
    assert_eq!((first.failures, ending(Some(&third)).failures), (0, 2));
    assert_eq!(first.next(false), Some(first.at + first.cooldown.0));
    // A wish that has not all data says nothing about zero either.
    let mut unread = with_run(true);
    wish(&mut unread, 0, false);
    unread.wish = 1;
    assert_eq!((unread.run(), unread.world.replicas), (Phase::Done, 1), "{}", unread.tail());
    // Nothing says how the job would be run again: the minimum is what can be had.
    let mut stays = with_run(false);
    wish(&mut stays, 0, true);
    assert_eq!((stays.run(), stays.world.replicas), (Phase::Done, 1), "{}", stays.tail());
}

#[test]
fn a_closed_gate_ends_it_before_anything_is_changed() {
    let mut driver = driver(4, 1);
    driver.gate = Some("backpressure".to_owned());
    assert_eq!((driver.run(), driver.reason()), (Phase::Cancelled, "GateClosed"), "{}", driver.tail());
    assert_eq!(driver.count("patch"), 0);
}

#[test]
fn another_writer_ends_it_before_and_is_told_after_a_stop() {
    let mut before = driver(4, 1);
    before.run_until(500);
    before.world.replicas = 6;
    before.world.version += 1;
    assert_eq!((before.run(), before.reason()), (Phase::Cancelled, "TargetChanged"), "{}", before.tail());
    assert_eq!(before.world.replicas, 6);

    let mut after = stop_restore::driver(3, 1);
    while after.op.state().jobs.first().is_none_or(|job| job.path.is_none()) {
        let next = after.world.now - after.begun() + 20;
        after.run_until(next);
    }
    after.world.replicas = 5;
    after.world.version += 1;
    after.run();
    assert!(after.told("TargetChanged"), "{}", after.tail());
    assert_eq!(after.world.runs.len(), 1, "the job runs again, whatever the count is");
}
