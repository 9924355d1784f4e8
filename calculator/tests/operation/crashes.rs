//! The table of crashes: our process or the JobManager dies at each place, answers are lost at each place.

use tidegate_calculator::operation::facts::{JobState, Restored, Scheduler};
use tidegate_calculator::operation::spec::StrategyChoice;
use tidegate_calculator::operation::{Class, Phase};

use crate::driver::{Driver, Fault};
use crate::jobs::Snap;
use crate::specs::{begin, flink, spec};
use crate::stop_restore;
use crate::world::World;

fn shrink() -> Driver {
    let world = World::new(Scheduler::Adaptive, 3).with_job("job-a", "enrich", 6);
    Driver::new(world, begin(3, 1, spec(flink(StrategyChoice::Auto))))
}

/// Plays with one fault at the n-th action of a name, for as long as there is an n-th.
fn everywhere(new: impl Fn() -> Driver, names: &[&'static str], faults: &[Fault]) {
    for name in names {
        for fault in faults {
            for nth in 1..40 {
                let mut driver = new();
                driver.script = vec![(name, nth, *fault)];
                let phase = driver.run();
                assert_eq!(phase, Phase::Done, "{name} {nth} {fault:?}: {}\n{}", driver.describe(), driver.tail());
                if driver.count(name) < nth {
                    break;
                }
            }
        }
    }
}

const OURS: [Fault; 4] = [Fault::CrashBefore, Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter];
const CRASHES: [Fault; 2] = [Fault::CrashBefore, Fault::CrashAfter];

#[test]
fn a_shrinking_in_place_is_done_whichever_action_we_die_at_or_lose_the_answer_of() {
    everywhere(shrink, &["store"], &CRASHES);
    everywhere(shrink, &["inspect", "checkpoint", "poll-checkpoint", "mark", "patch", "put"], &OURS);
}

#[test]
fn a_growth_in_place_is_done_whichever_action_we_die_at_or_lose_the_answer_of() {
    let grow = || {
        let world = World::new(Scheduler::Adaptive, 1).with_job("job-a", "enrich", 2);
        Driver::new(world, begin(1, 3, spec(flink(StrategyChoice::Auto))))
    };
    everywhere(grow, &["store"], &CRASHES);
    everywhere(grow, &["inspect", "checkpoint", "poll-checkpoint", "patch", "put"], &OURS);
}

#[test]
fn a_stop_and_restore_is_done_whichever_action_we_die_at_or_lose_the_answer_of() {
    for (from, to) in [(3, 1), (1, 3), (2, 0)] {
        let new = || stop_restore::driver(from, to);
        everywhere(new, &["store"], &CRASHES);
        everywhere(
            new,
            &["inspect", "plan", "stop", "poll-savepoint", "status", "patch", "run", "checkpoint", "annotate"],
            &OURS,
        );
    }
}

#[test]
fn after_a_crash_the_trigger_goes_again_with_the_same_id_and_is_the_same_checkpoint() {
    let mut driver = shrink();
    driver.script = vec![("checkpoint", 1, Fault::CrashAfter)];
    assert_eq!(driver.run(), Phase::Done);
    // Triggered twice, taken once; the other one verifies. Ids 2 and 3, besides the one from before.
    assert_eq!(driver.count("checkpoint"), 3);
    assert_eq!(driver.world.jobs[0].checkpoints.len(), 3);
}

#[test]
fn a_jobmanager_that_comes_back_has_forgotten_the_id_so_a_new_one_is_taken() {
    let mut driver = shrink();
    driver.script = vec![("checkpoint", 1, Fault::JobManager(true))];
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    // Restored from the checkpoint before, then ours with a second id.
    assert!(driver.count("checkpoint") >= 3);
}

#[test]
fn a_checkpoint_that_completed_since_is_adopted_when_the_id_is_forgotten() {
    let mut driver = shrink();
    driver.script = vec![("checkpoint", 1, Fault::JobManager(true))];
    driver.run_until(15_000);
    let at = driver.world.now - 2_000;
    let snap = Snap { id: 77, path: "file:///chk-77".to_owned(), triggered: at, completed: at + 500, savepoint: false };
    driver.world.jobs[0].checkpoints.push(snap);
    driver.world.jobs[0].next_id = 78;
    driver.world.jobs[0].restored = Some(Restored { id: 77, savepoint: false, path: None });
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.op.state().jobs[0].checkpoint.taken.as_ref().unwrap().id, Some(77));
}

#[test]
fn a_jobmanager_without_high_availability_loses_the_job_and_nothing_is_changed() {
    let mut driver = shrink();
    driver.script = vec![("checkpoint", 1, Fault::JobManager(false))];
    assert_eq!((driver.run(), driver.reason()), (Phase::Aborted, "JobGone"), "{}", driver.tail());
    assert_eq!((driver.world.replicas, driver.count("patch")), (3, 0));
}

#[test]
fn a_jobmanager_without_high_availability_that_dies_after_the_stop_still_runs_the_job_from_its_path() {
    let mut driver = stop_restore::driver(3, 1);
    driver.script = vec![("patch", 1, Fault::JobManager(false))];
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.world.runs.len(), 1);
}

#[test]
fn a_stop_whose_answer_is_forgotten_is_adopted_from_the_latest_savepoint() {
    let mut driver = stop_restore::driver(3, 1);
    driver.script = vec![("stop", 1, Fault::CrashAfter)];
    while driver.crashes == 0 {
        let next = driver.world.now - driver.begun() + 20;
        driver.run_until(next);
    }
    // While we were away for a second the stop has completed, and the JobManager's memory of the id has expired.
    assert_eq!(driver.world.jobs[0].state, JobState::Finished);
    driver.world.jobs[0].triggers.clear();
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    let path = driver.op.state().jobs[0].path.clone();
    assert_eq!(driver.world.runs, [("enrich".to_owned(), path)]);
}

#[test]
fn a_list_of_savepoints_from_before_the_end_of_a_stopped_job_is_read_again() {
    let forgotten = |stale: i64| {
        let mut driver = stop_restore::driver(3, 1);
        driver.script = vec![("stop", 1, Fault::CrashAfter)];
        while driver.crashes == 0 {
            let next = driver.world.now - driver.begun() + 20;
            driver.run_until(next);
        }
        driver.world.jobs[0].triggers.clear();
        driver.world.jobs[0].stale_until = driver.world.now + stale;
        let end = driver.run();
        (end, driver.reason(), driver.world.runs.len())
    };
    // The first look comes after some 5.5 s and sees an end without a savepoint, because the list is older than the state.
    assert_eq!(forgotten(7_000), (Phase::Done, "", 1));
    // One that is not listed even then is not there for us, and nothing is run without it.
    let (end, reason, runs) = forgotten(60_000);
    assert_eq!((end, reason, runs), (Phase::Failed, "SavepointUnknown", 0));
}

#[test]
fn a_stop_that_is_forgotten_by_a_jobmanager_that_forgot_the_job_fails_and_says_where_to_look() {
    let mut driver = stop_restore::driver(3, 1);
    driver.script = vec![("stop", 1, Fault::JobManager(false))];
    assert_eq!((driver.run(), driver.reason()), (Phase::Failed, "JobGone"), "{}", driver.tail());
    let id = driver.op.state().id.0.clone();
    assert!(driver.op.state().cause.as_ref().unwrap().text.contains(&format!("s3://bucket/sp/{id}")));
    assert!(driver.world.runs.is_empty(), "never from empty state");
    assert_eq!(driver.op.parked()[0].path, None);
}

#[test]
fn a_stop_whose_job_fails_after_its_savepoint_cancels_the_job_and_runs_from_the_path() {
    let mut driver = stop_restore::driver(3, 1);
    driver.script = vec![("stop", 1, Fault::Fail(Class::Stopping))];
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.world.jobs[0].state, JobState::Canceled);
    let path = driver.op.state().jobs[0].stop.taken.clone().unwrap().path;
    assert_eq!(driver.world.runs, [("enrich".to_owned(), path)]);
}

#[test]
fn a_run_whose_answer_is_lost_is_adopted_and_not_started_twice() {
    let mut driver = stop_restore::driver(3, 1);
    driver.script = vec![("run", 1, Fault::LostAfter)];
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!((driver.count("run"), driver.world.runs.len()), (1, 1));
    // Never sent: the same id goes again.
    let mut driver = stop_restore::driver(3, 1);
    driver.script = vec![("run", 1, Fault::LostBefore)];
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!((driver.count("run"), driver.world.runs.len()), (2, 1));
    assert_eq!(driver.op.state().jobs[0].run.as_ref().unwrap().attempt, 1);
}

#[test]
fn a_store_that_never_answers_keeps_the_world_as_it_is() {
    let mut driver = shrink();
    driver.store_delay = 30 * 60_000;
    driver.run_until(25 * 60_000);
    let acted = ["checkpoint", "mark", "patch", "put"].map(|name| driver.count(name));
    assert_eq!(acted, [0; 4], "nothing is done before it is stored");
}

#[test]
fn what_was_said_of_a_run_before_the_jobmanager_lost_its_memory_is_not_about_its_repetition() {
    let mut driver = stop_restore::driver(3, 1);
    driver.world.run_fails = 1;
    driver.script = vec![("run", 1, Fault::CrashAfter)];
    while driver.crashes == 0 {
        let next = driver.world.now - driver.begun() + 20;
        driver.run_until(next);
    }
    // We come back when the run has failed; a look says so, and then the JobManager forgets everything, also the id.
    driver.world.advance(driver.world.now + 5_000);
    let next = driver.count("inspect") + 1;
    driver.script.push(("inspect", next, Fault::JobManager(false)));
    // The same id goes again and runs; two runs of one job would end the test.
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.op.state().jobs[0].run.as_ref().unwrap().attempt, 1);
}
