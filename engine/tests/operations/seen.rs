//! What is seen of operations: in what is stored, in snapshots, and in what is counted.

use tidegate_calculator::operation::facts::Scheduler;
use tidegate_calculator::operation::spec::{
    Flink, Jar, JobSelector, JobSpec, Jobs, RunTemplate, SavepointOptions, StrategyChoice,
};
use tidegate_calculator::operation::{Action, Class, Failure, Outcome, Phase, Strategy};
use tidegate_calculator::policy::Policy;
use tidegate_calculator::time::Span;

use crate::stage::{Stage, hooks, subject, two_triggers, wrong_setting};
use crate::world::World;

/// From 4 to 2 under the adaptive scheduler, until that is over.
fn lowered() -> Stage {
    let mut stage = Stage::new(4);
    stage.run_to(10);
    stage.backlog[0] = Some(10);
    assert!(stage.run(Stage::is_operating, 60));
    assert!(stage.run(|stage| !stage.is_operating(), 300), "{:?}", stage.log);
    stage.run_to(stage.at() + 2);
    stage
}

#[test]
fn every_store_of_an_operation_says_where_it_is() {
    let stage = lowered();
    let mut phases = Vec::new();
    for entry in &stage.entries {
        assert_eq!(entry.summary.is_some(), entry.operation.is_some(), "the summary is of what is stored");
        let Some(summary) = &entry.summary else { continue };
        assert_eq!((summary.from, summary.to, summary.attempt), (4, 2, 1));
        // The stored text and the summary are of one moment.
        let text: serde_json::Value = serde_json::from_str(entry.operation.as_ref().unwrap()).unwrap();
        assert_eq!(text["o"]["phase"], summary.phase.as_str());
        assert_eq!(summary.waits_for.is_none(), summary.phase.ended(), "{summary:?}");
        if phases.last() != Some(&summary.phase) {
            phases.push(summary.phase);
        }
    }
    let whole =
        [Phase::Preflight, Phase::Snapshotting, Phase::Applying, Phase::Restoring, Phase::Verifying, Phase::Done];
    assert_eq!(phases, whole);
    let last = stage.entry.as_ref().unwrap().last_operation.as_ref().unwrap();
    assert_eq!((last.phase, last.strategy), (Phase::Done, Some(Strategy::Checkpoint)));
    assert!(last.jobs[0].snapshot.as_ref().unwrap().path.is_some() && last.since > last.began, "{last:?}");
}

#[test]
fn the_last_operation_outlives_the_process() {
    let mut stage = lowered();
    let last = stage.operations().last.expect("it is seen");
    stage.die();
    stage.run_to(stage.at() + 5);
    assert_eq!(stage.operations().last, Some(last));
}

/// The same after a restart with another text of what operations have left behind.
fn read_back(change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> Stage {
    let mut stage = lowered();
    let entry = stage.entry.as_mut().unwrap();
    let mut aftermath = serde_json::from_str(entry.aftermath.as_ref().unwrap()).unwrap();
    change(&mut aftermath);
    entry.aftermath = Some(serde_json::to_string(&aftermath).unwrap().into());
    stage.die();
    stage
}

/// What is only shown, or can be learned anew, costs nothing if it cannot be read.
#[test]
fn what_a_newer_version_shows_is_left_out() {
    let mut stage = read_back(|aftermath| {
        aftermath["last"]["phase"] = "Napping".into();
        aftermath["sizing"]["jobs"] = 7.into();
    });
    stage.run_to(stage.at() + 5);
    let seen = stage.operations();
    assert_eq!((seen.last, seen.waits, seen.useful), (None, None, None));
    assert!(stage.entry.as_ref().unwrap().aftermath.as_ref().unwrap().contains("\"endings\""), "the rest is kept");
}

/// What older versions have stored lacks what they did not know.
#[test]
fn what_an_older_version_left_behind_is_read() {
    let mut stage = read_back(|aftermath| {
        aftermath.retain(|name, _| !["sizing", "last", "overdue"].contains(&name.as_str()));
    });
    stage.run_to(stage.at() + 5);
    let seen = stage.operations();
    assert_eq!((seen.last, seen.waits, seen.useful), (None, None, None), "it is no unreadable text");
    // And it goes on: the cooldown that is stored there counts.
    stage.backlog[0] = Some(5);
    let now = stage.at();
    assert!(stage.run(|stage| stage.world.replicas == 1, now + 200), "{:?}", stage.log);
    assert!(stage.run(|stage| !stage.is_operating(), now + 400));
    stage.run_to(stage.at() + 2);
    assert!(stage.operations().last.is_some());
}

#[test]
fn operations_are_counted_with_their_phases_and_the_age_of_their_snapshots() {
    let stage = lowered();
    let ended: Vec<_> = stage.tally.ended().collect();
    assert_eq!(ended, [(&["Done", "Checkpoint", "ScaleDown"], 1)]);
    let phases: Vec<_> = stage.tally.phases().map(|(phase, times)| (phase, times.count())).collect();
    let once = ["Applying", "Preflight", "Restoring", "Snapshotting", "Verifying"].map(|phase| (phase, 1));
    assert_eq!(phases, once);
    // A checkpoint takes 1 s, and the write of the replicas followed within some seconds.
    let ages = stage.tally.ages();
    assert!(ages.count() == 1 && ages.sum() < Span::seconds(5), "{ages:?}");
    let sum: i64 = stage.tally.phases().map(|(_, times)| times.sum().0).sum();
    let stores = stage.entries.iter().filter_map(|entry| entry.summary.as_ref());
    let (began, ended) = stores.fold((i64::MAX, 0), |(first, last), it| (first.min(it.began), last.max(it.since)));
    assert_eq!(sum, ended - began, "the phases are the whole time");
}

#[test]
fn what_ends_before_a_strategy_is_chosen_is_counted_too() {
    let mut stage = Stage::new(4);
    stage.answer = Some(|action| (*action == Action::Inspect).then(wrong_setting));
    stage.backlog[0] = Some(10);
    assert!(stage.run(Stage::is_operating, 60));
    assert!(stage.run(|stage| !stage.is_operating(), 300));
    assert_eq!(stage.tally.ended().collect::<Vec<_>>(), [(&["Aborted", "Undecided", "ScaleDown"], 1)]);
    assert_eq!(stage.tally.ages().count(), 0, "nothing was written");
    let last = stage.entry.as_ref().unwrap().last_operation.clone().unwrap();
    assert_eq!((last.phase, last.reason.as_deref()), (Phase::Aborted, Some("JobManagerUnavailable")));
    assert!(last.message.unwrap().contains("403; what helps: see that the JobManager answers"));
}

/// Two TaskManagers of the default scheduler with a job that can be run again.
fn stoppable() -> Stage {
    let run = RunTemplate { jar: Jar::Name("enrich.jar".to_owned()), ..RunTemplate::default() };
    let job = JobSpec { select: JobSelector::Name("enrich".to_owned()), run: Some(run), ..JobSpec::default() };
    let savepoint = SavepointOptions { directory: Some("s3://bucket/sp".to_owned()), ..SavepointOptions::default() };
    let jobs = Jobs { list: vec![job], ..Jobs::default() };
    let flink = Flink { strategy: StrategyChoice::Auto, savepoint, jobs, ..Flink::default() };
    let world = World::new(Scheduler::Default, 2).with_job("job-a", "enrich", 4);
    Stage::with(world, subject(Policy { min: 0, cooldown: Span::ZERO, ..two_triggers("flink") }, hooks(flink)))
}

#[test]
fn a_job_that_is_stopped_and_should_run_is_seen_with_its_time() {
    let mut stage = stoppable();
    stage.run_to(10);
    stage.backlog = vec![Some(0), Some(0)];
    let over = |stage: &Stage| stage.world.replicas == 0 && !stage.is_operating();
    let down = |stage: &Stage| stage.when("StopWithSavepoint").is_some();
    assert!(stage.run(down, 300));
    stage.run_to(stage.at() + 1);
    assert_eq!(stage.operations().stopped, [], "on the way to zero it is as it should be");
    assert!(stage.run(over, 300), "{:?}", stage.log);
    stage.run_to(stage.at() + 600);
    let rested = stage.operations();
    assert_eq!((rested.parked.len(), rested.stopped.len()), (1, 0), "at zero nobody misses it");
    // Wanted again, and it cannot be run: the time counts from then on, over operations, pauses and our own restart.
    stage.answer = Some(|action| {
        let failure = Failure::new(Class::Config, "the jar is not there");
        matches!(action, Action::RunJar { .. } | Action::PlanJar { .. }).then(|| Outcome::Failed(failure))
    });
    stage.backlog[0] = Some(10);
    let woken = stage.at();
    assert!(stage.run(Stage::is_operating, woken + 20));
    stage.run_to(woken + 400);
    let seen = stage.operations();
    let [job] = &seen.stopped[..] else { panic!("{seen:?}") };
    // A pass comes within 5 s of the new reading.
    assert_eq!(job.name, "enrich");
    assert!((394..=400).contains(&(job.lasting.0 / 1_000)), "{job:?}");
    stage.die();
    let died = stage.at();
    stage.run_to(died + 100);
    let lasting = stage.operations().stopped[0].lasting;
    assert!((died + 94 - woken..=died + 101 - woken).contains(&(lasting.0 / 1_000)), "{lasting}");
}

#[test]
fn a_job_that_runs_again_is_not_missed_any_more() {
    let mut stage = stoppable();
    stage.run_to(10);
    stage.backlog = vec![Some(0), Some(0)];
    assert!(stage.run(|stage| stage.world.replicas == 0 && !stage.is_operating(), 300));
    stage.run_to(stage.at() + 300);
    stage.backlog[0] = Some(10);
    let woken = stage.at();
    assert!(stage.run(|stage| stage.world.replicas == 2, woken + 60));
    let [job] = &stage.operations().stopped[..] else { panic!("it is on its way") };
    assert!(job.lasting < Span::seconds(60), "not since the stop: {job:?}");
    assert!(stage.run(|stage| !stage.is_operating(), woken + 300));
    stage.run_to(stage.at() + 2);
    assert_eq!(stage.operations().stopped, []);
}
