//! The strategy StopRestore: stop with a savepoint, run again from its path.

use tidegate_calculator::operation::facts::{JobState, Scheduler};
use tidegate_calculator::operation::progress::Parked;
use tidegate_calculator::operation::spec::{FirstStart, StrategyChoice};
use tidegate_calculator::operation::{Begin, Class, Phase, Strategy};

use crate::checkpoint::story;
use crate::driver::{Driver, Fault};
use crate::specs::{begin, flink, listed, spec};
use crate::world::World;

/// One job of the default scheduler, with all slots of `from` TaskManagers.
pub(crate) fn driver(from: u32, to: u32) -> Driver {
    let world = World::new(Scheduler::Default, from).with_job("job-a", "enrich", from * 2);
    Driver::new(world, beginning(from, to))
}

fn beginning(from: u32, to: u32) -> Begin {
    let mut flink = flink(StrategyChoice::Auto);
    flink.jobs.list = vec![listed("enrich")];
    begin(from, to, spec(flink))
}

/// The same from zero, with a job that was stopped before.
fn waking(path: Option<&str>) -> Driver {
    let mut begin = beginning(0, 2);
    begin.parked = vec![Parked {
        name: "enrich".to_owned(),
        id: "job-a".to_owned(),
        path: path.map(str::to_owned),
        parallelism: 4,
        ..Parked::default()
    }];
    Driver::new(World::new(Scheduler::Default, 0), begin)
}

#[test]
fn shrinking_stops_then_writes_replicas_then_runs() {
    let mut driver = driver(3, 1);
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.op.state().strategy, Some(Strategy::StopRestore));
    let expected = [
        "plan",
        "phase Snapshotting",
        "stop",
        "phase Applying",
        "annotate",
        "patch",
        "phase Restoring",
        "run",
        "phase Verifying",
        "annotate",
        "checkpoint",
        "phase Done",
    ];
    assert_eq!(story(&driver), expected);
    let path = driver.op.state().jobs[0].path.clone();
    assert_eq!(driver.world.runs, [("enrich".to_owned(), path.clone())]);
    assert!(path.unwrap().starts_with(&format!("s3://bucket/sp/{}/", driver.op.state().id.0)));
    // 6 slots ran it with 6; 2 slots run it with 2.
    assert_eq!(driver.world.jobs[1].parallelism, 2);
    assert_eq!(driver.world.annotation, "", "a job that runs needs no path on the target");
    assert!(driver.op.parked().is_empty() && !driver.op.holds_object());
}

#[test]
fn growing_waits_for_taskmanagers_before_it_stops() {
    let mut driver = driver(1, 2);
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    let expected = [
        "plan",
        "phase Snapshotting",
        "phase Applying",
        "patch",
        "phase Snapshotting",
        "stop",
        "phase Restoring",
        "annotate",
        "run",
        "phase Verifying",
        "annotate",
        "checkpoint",
        "phase Done",
    ];
    assert_eq!(story(&driver), expected);
    assert_eq!(driver.world.jobs[1].parallelism, 4);
}

#[test]
fn zero_keeps_the_path_and_waking_runs_from_it() {
    let mut down = driver(2, 0);
    assert_eq!(down.run(), Phase::Done, "{}", down.tail());
    let parked = down.op.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!(Some(&down.world.annotation), parked[0].path.as_ref(), "the target says where its state is");
    assert!(down.op.holds_object(), "a finalizer keeps an object whose job we stopped");
    assert_eq!(down.world.replicas, 0);
    assert_eq!(down.op.savepoints(down.now()).len(), 1);

    let mut begin = beginning(0, 3);
    begin.parked.clone_from(&parked);
    begin.shapes = down.op.shapes();
    let mut world = down.world;
    world.runs.clear();
    let mut up = Driver::new(world, begin);
    assert_eq!(up.run(), Phase::Done, "{}", up.tail());
    assert_eq!(up.world.runs, [("enrich".to_owned(), parked[0].path.clone())]);
    // The shape says 4 on 4 slots, so 6 on the 6 slots of 3 TaskManagers.
    assert_eq!(up.world.jobs.last().unwrap().parallelism, 6);
    assert_eq!(up.world.annotation, "");
}

#[test]
fn nothing_is_run_from_empty_state_unless_it_is_a_first_start_that_the_user_allows() {
    let mut lost = waking(None);
    assert_eq!((lost.run(), lost.reason()), (Phase::Aborted, "SavepointUnknown"));
    assert!(lost.world.runs.is_empty());

    let mut never_seen = Driver::new(World::new(Scheduler::Default, 0), beginning(0, 2));
    assert_eq!((never_seen.run(), never_seen.reason()), (Phase::Aborted, "SavepointUnknown"));

    let mut first = listed("enrich");
    first.run.as_mut().unwrap().first_start = FirstStart::Empty;
    let mut flink = flink(StrategyChoice::Auto);
    flink.jobs.list = vec![first];
    let mut first = Driver::new(World::new(Scheduler::Default, 0), begin(0, 2, spec(flink.clone())));
    assert_eq!(first.run(), Phase::Done, "{}", first.tail());
    assert_eq!(first.world.runs, [("enrich".to_owned(), None)]);

    // The same permission does not cover a job that we stopped and whose path is lost.
    let mut lost = begin(0, 2, spec(flink));
    lost.parked = vec![Parked { name: "enrich".to_owned(), id: "job-a".to_owned(), ..Parked::default() }];
    let mut lost = Driver::new(World::new(Scheduler::Default, 0), lost);
    assert_eq!((lost.run(), lost.reason()), (Phase::Aborted, "SavepointUnknown"));
}

#[test]
fn a_stop_that_fails_changes_nothing_after_its_attempts() {
    let mut driver = driver(3, 1);
    driver.script = (1..=3).map(|nth| ("stop", nth, Fault::Fail(Class::Transient))).collect();
    assert_eq!(driver.run(), Phase::Aborted, "{}", driver.tail());
    assert_eq!(driver.reason(), "SnapshotFailed");
    // With the words of the one who said so.
    let text = &driver.op.state().cause.as_ref().unwrap().text;
    assert_eq!(text, "job enrich: stop with a savepoint failed, and the job runs on: Caused by: a test");
    assert_eq!((driver.count("stop"), driver.count("patch"), driver.count("run")), (3, 0, 0));
    assert!(driver.world.jobs[0].state.live());
}

#[test]
fn of_two_jobs_the_stopped_one_runs_again_when_the_other_cannot_be_stopped() {
    let mut flink = flink(StrategyChoice::Auto);
    flink.jobs.list = vec![listed("enrich"), listed("count")];
    let world = World::new(Scheduler::Default, 3).with_job("job-a", "enrich", 3).with_job("job-b", "count", 3);
    let mut driver = Driver::new(world, begin(3, 1, spec(flink)));
    // The first of each round is job-a; every stop of job-b fails.
    driver.script = (2..=4).map(|nth| ("stop", nth, Fault::Fail(Class::Transient))).collect();
    assert_eq!(driver.run(), Phase::RolledBack, "{}", driver.tail());
    assert_eq!(driver.world.replicas, 3);
    let run = driver.world.jobs.last().unwrap();
    assert_eq!((run.name.as_str(), run.parallelism, run.state), ("enrich", 3, JobState::Running));
}

#[test]
fn a_run_that_fails_goes_back_to_the_old_size_from_the_same_path() {
    let mut driver = driver(3, 1);
    driver.world.run_fails = 3;
    assert_eq!(driver.run(), Phase::RolledBack, "{}", driver.tail());
    assert_eq!(driver.reason(), "RunFailed");
    assert_eq!(driver.world.replicas, 3);
    let path = driver.op.state().jobs[0].path.clone();
    assert!(driver.world.runs.iter().all(|(_, from)| *from == path), "always the same path");
    assert_eq!(driver.world.runs.len(), 4);
    let ids: std::collections::BTreeSet<&str> = driver.world.jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids.len(), 5, "every attempt has an id of its own");
    assert_eq!(driver.world.jobs.last().unwrap().parallelism, 6);
}

#[test]
fn a_job_that_cannot_be_run_at_all_fails_with_its_path_kept() {
    let mut driver = driver(3, 1);
    driver.world.run_fails = 100;
    assert_eq!(driver.run(), Phase::Failed, "{}", driver.tail());
    assert_eq!(driver.reason(), "RunFailed");
    // Three attempts at the new size, three at the old one.
    assert_eq!(driver.count("run"), 6);
    let parked = driver.op.parked();
    assert_eq!(Some(&driver.world.annotation), parked[0].path.as_ref());
    assert!(driver.op.holds_object());
    // The next operation runs it: here a growth.
    let mut begin = beginning(3, 4);
    begin.sequence = 2;
    begin.parked = parked;
    let mut world = driver.world;
    world.run_fails = 0;
    let mut next = Driver::new(world, begin);
    assert_eq!(next.run(), Phase::Done, "{}", next.tail());
    assert_eq!(next.world.annotation, "");
}

#[test]
fn taskmanagers_that_never_register_are_taken_away_again_and_no_job_is_stopped() {
    let mut driver = driver(2, 4);
    driver.world.never_register = true;
    assert_eq!(driver.run(), Phase::RolledBack, "{}", driver.tail());
    assert_eq!(driver.reason(), "TaskManagersNotRegistered");
    assert_eq!((driver.world.replicas, driver.count("stop")), (2, 0));
    // The pods that never registered leave, so the job does not even restart.
    assert_eq!(driver.world.jobs[0].restarts, 0);
}

#[test]
fn a_taskmanager_that_has_not_said_its_slots_yet_is_waited_for() {
    for mut driver in [driver(1, 2), waking(Some("s3://bucket/sp/old"))] {
        // Listed after 5 s, with its slots after 8 s.
        driver.world.report = 3_000;
        driver.world.advance(driver.world.now + 10_000);
        assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
        assert_eq!(driver.world.jobs.last().unwrap().parallelism, 4, "{}", driver.tail());
    }
}

#[test]
fn a_plan_that_flink_refuses_stops_no_job() {
    let plans = [(Class::Config, Phase::Failed, "RunPlanInvalid"), (Class::Gone, Phase::Aborted, "JarMissing")];
    for (class, phase, reason) in plans {
        let mut driver = driver(3, 1);
        driver.world.plan_fails = Some(class);
        assert_eq!((driver.run(), driver.reason()), (phase, reason));
        assert_eq!(driver.count("stop"), 0);
    }
}

#[test]
fn a_cluster_that_is_away_while_a_job_is_stopped_alarms_and_is_waited_for() {
    let mut driver = driver(3, 1);
    driver.run_until(1_500);
    while driver.op.state().jobs[0].path.is_none() {
        let next = driver.world.now + 200;
        driver.run_until(next - driver.begun());
    }
    // Away for 45 min, which is longer than the time-out of 20 min.
    driver.world.up_at = driver.world.now + 45 * 60_000;
    assert_eq!(driver.run(), Phase::Done, "{}\n{}", driver.describe(), driver.tail());
    assert!(driver.op.state().alarmed);
    assert!(driver.told("OperationTimedOut"));
}

#[test]
fn a_job_that_somebody_runs_by_hand_is_not_run_a_second_time() {
    let mut driver = waking(Some("s3://bucket/sp/old/1"));
    driver.world = driver.world.with_job("by-hand", "enrich", 2);
    "s3://bucket/sp/old/1".clone_into(&mut driver.world.annotation);
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert!(driver.world.runs.is_empty() && driver.told("JobRunsAlready"));
    assert_eq!((driver.world.replicas, driver.world.annotation.as_str()), (2, ""), "its path is of no use any more");
    // The same between the stop and the run.
    let mut driver = self::driver(3, 1);
    while driver.world.jobs[0].state.live() {
        let next = driver.world.now - driver.begun() + 20;
        driver.run_until(next);
    }
    driver.world = driver.world.with_job("by-hand", "enrich", 2);
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert!(driver.world.runs.is_empty() && driver.told("JobRunsAlready"));
}

#[test]
fn a_way_back_that_is_blocked_runs_the_job_all_the_same() {
    // The write of 1 works, no run does, and the write back to 3 is forbidden.
    let mut driver = driver(3, 1);
    driver.world.run_fails = 3;
    driver.script = vec![("patch", 2, Fault::Fail(Class::Config))];
    assert_eq!((driver.run(), driver.reason()), (Phase::Failed, "ChangeRefused"), "{}", driver.tail());
    assert_eq!(driver.world.replicas, 1);
    assert_eq!(driver.world.jobs.last().unwrap().state, JobState::Running);
    assert!(driver.op.parked().is_empty());
}

#[test]
fn a_write_that_is_forbidden_after_the_stop_runs_the_job_at_its_old_size() {
    let mut driver = driver(3, 0);
    driver.script = vec![("patch", 1, Fault::Fail(Class::Config))];
    assert_eq!((driver.run(), driver.reason()), (Phase::RolledBack, "ChangeRefused"), "{}", driver.tail());
    let job = driver.world.jobs.last().unwrap();
    assert_eq!((driver.world.replicas, job.parallelism, job.state), (3, 6, JobState::Running));
}
