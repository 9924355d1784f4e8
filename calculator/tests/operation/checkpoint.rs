//! The strategy Checkpoint.

use tidegate_calculator::operation::facts::Scheduler;
use tidegate_calculator::operation::spec::StrategyChoice;
use tidegate_calculator::operation::{Class, Phase, Strategy};

use crate::driver::{Driver, Fault};
use crate::specs::{begin, flink, spec};
use crate::world::World;

fn driver(scheduler: Scheduler, from: u32, to: u32) -> Driver {
    let world = World::new(scheduler, from).with_job("job-a", "enrich", from * 2);
    Driver::new(world, begin(from, to, spec(flink(StrategyChoice::Auto))))
}

/// The lines of the log without times.
pub(crate) fn story(driver: &Driver) -> Vec<String> {
    driver.log.iter().map(|line| line.split_once("s ").unwrap().1.trim_end_matches(" None").to_owned()).collect()
}

#[test]
fn growing_takes_a_checkpoint_then_pods_then_bounds_and_releases_the_rescale() {
    let mut driver = driver(Scheduler::Adaptive, 2, 3);
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.op.state().strategy, Some(Strategy::Checkpoint));
    assert_eq!(
        story(&driver),
        [
            "phase Snapshotting",
            "checkpoint",
            "phase Applying",
            "patch",
            "phase Restoring",
            "put",
            "checkpoint",
            "phase Verifying",
            "checkpoint",
            "phase Done"
        ]
    );
    // 2 TaskManagers of 2 slots ran it with 4; 3 of them run it with round(4 · 6 / 4) = 6.
    assert_eq!(driver.world.jobs[0].parallelism, 6);
    assert_eq!(driver.world.replicas, 3);
}

#[test]
fn a_scheduler_that_passes_over_the_release_gets_another_one() {
    // It rests for 45 s: the checkpoint of the release does nothing, nor do those that follow after 5, 10 and 20 s.
    let mut driver = driver(Scheduler::Adaptive, 2, 3);
    driver.world.jobs[0].rests_until = driver.world.now + 45_000;
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    let job = &driver.world.jobs[0];
    // Its next checkpoint by itself would come after some 17 min.
    assert_eq!((job.parallelism, job.restarts, driver.world.replicas), (6, 1, 3));
    let checkpoints = driver.count("checkpoint");
    // One before the change and one that verifies it; between them the release, and others 5, 15, 35 and 55 s after it.
    assert!((6..=8).contains(&checkpoints), "{checkpoints}: {}", driver.tail());
}

#[test]
fn shrinking_takes_a_checkpoint_then_marks_removes_and_puts() {
    let mut driver = driver(Scheduler::Adaptive, 3, 1);
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(
        story(&driver),
        [
            "phase Snapshotting",
            "checkpoint",
            "phase Applying",
            "mark",
            "patch",
            "phase Restoring",
            "put",
            "phase Verifying",
            "checkpoint",
            "phase Done"
        ]
    );
    assert_eq!((driver.world.replicas, driver.world.jobs[0].parallelism), (1, 2));
}

#[test]
fn reactive_mode_needs_no_requirements() {
    let mut up = driver(Scheduler::Reactive, 2, 3);
    assert_eq!(up.run(), Phase::Done, "{}", up.tail());
    assert_eq!((up.count("put"), up.world.jobs[0].parallelism), (0, 6));
    let mut down = driver(Scheduler::Reactive, 3, 1);
    assert_eq!(down.run(), Phase::Done, "{}", down.tail());
    assert_eq!((down.count("put"), down.world.jobs[0].parallelism, down.world.jobs[0].restarts), (0, 2, 1));
}

#[test]
fn a_long_stabilization_puts_the_requirements_before_the_replicas() {
    // 10 s, the default, is above 3 s: after a loss the scheduler would wait that long for slots that never come.
    let mut driver = driver(Scheduler::Adaptive, 3, 1);
    driver.world.stabilization = 10_000;
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    let place = |what: &str| story(&driver).iter().position(|line| line == what).unwrap();
    assert!(place("put") < place("patch"), "{}", driver.tail());
    assert_eq!(driver.world.jobs[0].restarts, 1, "one restart all the same");
}

#[test]
fn all_jobs_of_a_cluster_are_protected_and_share_its_slots() {
    let world = World::new(Scheduler::Adaptive, 4).with_job("a", "one", 4).with_job("b", "two", 4);
    let mut flink = flink(StrategyChoice::Auto);
    let mut one = crate::specs::listed("one");
    one.share = 3;
    flink.jobs.list = vec![one];
    let mut driver = Driver::new(world, begin(4, 2, spec(flink)));
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    // 4 slots by 3 : 1 are 3 and 1; each shape has 4 on 4.
    let parallelism: Vec<u32> = driver.world.jobs.iter().map(|job| job.parallelism).collect();
    assert_eq!(parallelism, [3, 1]);
    // Two that protect, two that verify.
    assert_eq!(driver.count("checkpoint"), 4);
}

#[test]
fn a_checkpoint_younger_than_max_age_is_used_again() {
    let mut driver = driver(Scheduler::Adaptive, 3, 1);
    let now = driver.world.now;
    driver.world.jobs[0].checkpoints[0].triggered = now - 6_000;
    driver.world.jobs[0].checkpoints[0].completed = now - 5_000;
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.count("checkpoint"), 1, "only the one that verifies");
}

#[test]
fn snapshots_that_became_too_old_are_taken_again_and_then_given_up() {
    let mut slow = driver(Scheduler::Adaptive, 3, 1);
    slow.wish_fresh = false;
    slow.run_until(60_000);
    assert_eq!(slow.op.state().phase, Phase::Snapshotting, "without a fresh wish it waits");
    slow.wish_fresh = true;
    assert_eq!(slow.run(), Phase::Done, "{}", slow.tail());
    // One was 60 s old when the wish came, so a second one was taken; the third verifies.
    assert_eq!(slow.count("checkpoint"), 3);

    // Every store takes 40 s, longer than maxAge: no snapshot is ever young when the write could be sent.
    let mut never = driver(Scheduler::Adaptive, 3, 1);
    never.store_delay = 40_000;
    assert_eq!(never.run(), Phase::Aborted, "{}", never.tail());
    assert_eq!(never.reason(), "SnapshotTooOld");
    assert_eq!((never.count("checkpoint"), never.count("patch")), (4, 0), "the first and three rounds");
}

#[test]
fn transient_failures_are_tried_again_after_10_and_20_s_and_then_the_direction_decides() {
    let fails: Vec<_> = (1..=3).map(|nth| ("checkpoint", nth, Fault::Fail(Class::Transient))).collect();
    let mut down = driver(Scheduler::Adaptive, 3, 1);
    down.script.clone_from(&fails);
    assert_eq!(down.run(), Phase::Aborted);
    assert_eq!((down.reason(), down.count("patch")), ("SnapshotFailed", 0));
    let times: Vec<i64> = down.times("checkpoint").iter().map(|at| at / 1000).collect();
    // Each takes 1 s to fail, and is polled every second.
    assert_eq!((times[1] - times[0], times[2] - times[1]), (11, 21), "{}", down.tail());

    let mut up = driver(Scheduler::Adaptive, 2, 3);
    up.script = fails;
    assert_eq!(up.run(), Phase::Done, "growth proceeds by default\n{}", up.tail());
    assert!(up.told("ProceededUnprotected"));
    assert_eq!(up.world.replicas, 3);
}

#[test]
fn a_failure_of_the_configuration_is_not_tried_again() {
    let mut driver = driver(Scheduler::Adaptive, 3, 1);
    driver.script = vec![("checkpoint", 1, Fault::Fail(Class::Config))];
    assert_eq!((driver.run(), driver.reason()), (Phase::Failed, "SnapshotFailed"));
    assert_eq!(driver.count("checkpoint"), 1);
    let ending = driver.op.ending(None, driver.now()).unwrap();
    assert_eq!((ending.failures, ending.next(false)), (1, None), "only a change of spec or policy helps");
}

#[test]
fn a_job_that_restarts_is_waited_for_and_counts_as_no_failure() {
    let mut driver = driver(Scheduler::Adaptive, 3, 1);
    driver.script = (1..=5).map(|nth| ("checkpoint", nth, Fault::Fail(Class::Restarting))).collect();
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.count("checkpoint"), 7, "five that failed, one that protects, one that verifies");
}

#[test]
fn taskmanagers_that_never_register_are_taken_back_under_a_checkpoint() {
    let mut driver = driver(Scheduler::Adaptive, 2, 4);
    driver.world.never_register = true;
    assert_eq!(driver.run(), Phase::RolledBack, "{}", driver.tail());
    assert_eq!((driver.world.replicas, driver.reason()), (2, "TaskManagersNotRegistered"));
    assert_eq!(driver.world.jobs[0].upper, 4, "the bounds are those from before");
}

#[test]
fn a_loop_of_restarts_is_seen_and_left_alone() {
    let mut driver = driver(Scheduler::Adaptive, 3, 1);
    driver.world.jobs[0].loops = true;
    assert_eq!((driver.run(), driver.reason()), (Phase::Failed, "ScalingUnhealthy"), "{}", driver.tail());
    assert_eq!(driver.count("patch"), 1, "no more restarts from us");
    // The change itself and the three that are allowed; the fifth is one too many.
    assert!(driver.world.jobs[0].restarts >= 5);
}

#[test]
fn a_conflict_is_looked_at_and_the_same_count_goes_again() {
    let mut driver = driver(Scheduler::Adaptive, 3, 1);
    driver.script = vec![("patch", 1, Fault::Fail(Class::Conflict))];
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.count("patch"), 2);
}

#[test]
fn a_write_that_is_forbidden_takes_the_bounds_back() {
    let mut driver = driver(Scheduler::Adaptive, 3, 1);
    driver.world.stabilization = 10_000;
    driver.script = vec![("patch", 1, Fault::Fail(Class::Config))];
    assert_eq!((driver.run(), driver.reason()), (Phase::RolledBack, "ChangeRefused"), "{}", driver.tail());
    assert_eq!((driver.world.replicas, driver.world.jobs[0].upper), (3, 6));
}

#[test]
fn a_backup_savepoint_is_taken_besides() {
    let mut flink = flink(StrategyChoice::Auto);
    flink.savepoint.backup = true;
    let world = World::new(Scheduler::Adaptive, 3).with_job("job-a", "enrich", 6);
    let mut driver = Driver::new(world, begin(3, 1, spec(flink)));
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.count("savepoint"), 1);
    let kept = driver.op.savepoints(driver.now());
    assert_eq!(kept.len(), 1);
    assert!(kept[0].path.starts_with("s3://bucket/sp/"));
}
