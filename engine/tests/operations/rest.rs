//! The end of a load: down to zero in one operation, or in two.
//!
//! While the cooldown runs an HPA lowers to the minimum, and zero is entered after its end. Each operation disturbs the jobs once, so where the
//! cooldown is over before the first has changed anything, one goes the whole way.

use serde_json::Value;
use tidegate_calculator::operation::facts::Scheduler;
use tidegate_calculator::operation::spec::{
    Flink, HookSpec, Item, Jar, JobSelector, JobSpec, Jobs, RunTemplate, SavepointOptions, StrategyChoice, Work,
};
use tidegate_calculator::operation::{Action, Direction, Outcome, Phase};
use tidegate_calculator::policy::{Policy, Settings};
use tidegate_calculator::time::Span;
use tidegate_engine::snapshot::OperationWait;

use crate::stage::{Stage, hooks, policy, subject, wrong_setting};
use crate::world::World;

const ONE: [&str; 4] = ["PlanJar", "StopWithSavepoint", "Annotate", "patch 0"];

fn flink() -> Flink {
    let run = RunTemplate { jar: Jar::Name("enrich.jar".to_owned()), ..RunTemplate::default() };
    let job = JobSpec { select: JobSelector::Name("enrich".to_owned()), run: Some(run), ..JobSpec::default() };
    let savepoint = SavepointOptions { directory: Some("s3://bucket/sp".to_owned()), ..SavepointOptions::default() };
    let jobs = Jobs { list: vec![job], ..Jobs::default() };
    Flink { strategy: StrategyChoice::Auto, savepoint, jobs, ..Flink::default() }
}

/// Three TaskManagers whose queue is empty from 10 s on. It is read every 5 s, so the last activity is that of the read before: about 5 s before the
/// first read that shows the end.
fn stage(scheduler: Scheduler, cooldown: Span, window: Span, hooks: HookSpec) -> Stage {
    let settings = Settings { downscale_window: window, ..Settings::default() };
    let policy = Policy { min: 0, cooldown, settings, ..policy() };
    let world = World::new(scheduler, 3).with_job("job-a", "enrich", 6);
    let mut stage = Stage::with(world, subject(policy, hooks));
    stage.run_to(10);
    stage.backlog = vec![Some(0)];
    stage
}

/// A snapshot that goes on and on.
fn slow(action: &Action) -> Option<Outcome> {
    matches!(action, Action::PollCheckpoint { .. }).then_some(Outcome::InProgress)
}

fn rests(stage: &Stage) -> bool {
    stage.world.replicas == 0 && !stage.is_operating()
}

/// How often in a row each direction's change was not made, as it is stored.
fn failures(stage: &Stage) -> Vec<u64> {
    let aftermath = stage.entry.as_ref().and_then(|entry| entry.aftermath.clone()).unwrap();
    let aftermath: Value = serde_json::from_str(&aftermath).unwrap();
    aftermath["endings"].as_array().unwrap().iter().map(|ending| ending["failures"].as_u64().unwrap()).collect()
}

#[test]
fn a_cooldown_that_is_over_or_about_to_be_is_one_operation() {
    // Over at once; 5 ms before the pass decides, whose reads began before that; 1 ms after it, because its end is strict; 0.9 s after it.
    for cooldown in [0, 4_995, 5_000, 5_900] {
        for scheduler in [Scheduler::Default, Scheduler::Adaptive] {
            let mut stage = stage(scheduler, Span(cooldown), Span::ZERO, hooks(flink()));
            assert!(stage.run(rests, 60), "{cooldown} {scheduler:?}: {:?}", stage.log);
            assert_eq!(stage.story(), ONE, "{cooldown} {scheduler:?}");
            assert!(!stage.told().contains(&"OperationCancelled"), "{cooldown} {scheduler:?}: {:?}", stage.told());
        }
    }
}

#[test]
fn a_window_and_a_cooldown_that_end_together_are_one_operation() {
    // The defaults: both count from the last work, so what is lowered when they end goes to zero.
    for scheduler in [Scheduler::Default, Scheduler::Adaptive] {
        let mut stage = stage(scheduler, Span::seconds(300), Span::seconds(300), hooks(flink()));
        stage.run_to(300);
        assert_eq!(stage.world.replicas, 3);
        assert!(stage.run(rests, 330), "{:?}", stage.log);
        assert_eq!(stage.story(), ONE, "{scheduler:?}");
    }
}

#[test]
fn while_a_cooldown_runs_it_is_lowered_to_the_minimum_as_an_hpa_does() {
    // Without a window the count is lowered at 11 s, in an operation that is over in some 10 s. The cooldown ends at 306 s.
    let mut stage = stage(Scheduler::Adaptive, Span::seconds(300), Span::ZERO, hooks(flink()));
    assert!(stage.run(|stage| stage.world.replicas == 1, 20), "{:?}", stage.log);
    stage.run_to(305);
    assert_eq!(stage.world.replicas, 1);
    assert!(stage.run(rests, 330), "{:?}", stage.log);
    let patches: Vec<&str> = stage.story().into_iter().filter(|text| text.starts_with("patch")).collect();
    assert_eq!(patches, ["patch 1", "patch 0"]);
}

#[test]
fn a_cooldown_that_ends_before_anything_is_changed_turns_it_into_one_operation() {
    // The lowering begins at 11 s, and the cooldown ends at 26 s, while its snapshot is taken.
    let mut stage = stage(Scheduler::Adaptive, Span::seconds(20), Span::ZERO, hooks(flink()));
    stage.answer = Some(slow);
    stage.run_to(20);
    assert_eq!(stage.operations().running.unwrap().direction, Direction::ScaleDown);
    assert!(stage.run(rests, 40), "{:?}", stage.log);
    stage.run_to(stage.at() + 2);
    // One checkpoint was in vain; the job was stopped once, and the replicas were written once.
    assert_eq!(stage.story(), [&["TriggerCheckpoint"], &ONE[..]].concat());
    // What was not needed has not failed: the next lowering waits no longer for it.
    assert_eq!(failures(&stage), [0, 0]);
    stage.check_laws();
}

#[test]
fn where_the_job_cannot_be_stopped_the_minimum_is_gone_to() {
    // Nothing says how the job is run again, so zero would be refused, and three would stay for nothing.
    let mut stage =
        stage(Scheduler::Adaptive, Span::seconds(20), Span::ZERO, hooks(Flink { jobs: Jobs::default(), ..flink() }));
    stage.answer = Some(slow);
    stage.run_to(40);
    stage.answer = None;
    assert!(stage.run(|stage| stage.world.replicas == 1, 60), "{:?}", stage.log);
    stage.run_to(300);
    assert_eq!(stage.world.replicas, 1);
}

#[test]
fn a_lowering_goes_on_while_the_way_to_zero_must_wait() {
    fn slow_and_no_stop(action: &Action) -> Option<Outcome> {
        let stop = matches!(action, Action::StopWithSavepoint { .. }).then(wrong_setting);
        stop.or_else(|| slow(action))
    }
    // At 26 s zero takes the place of the lowering, and the stop is refused: zero waits until a setting is another one.
    let mut stage = stage(Scheduler::Adaptive, Span::seconds(20), Span::ZERO, hooks(flink()));
    stage.answer = Some(slow_and_no_stop);
    stage.run_to(60);
    let waits = stage.operations().waits;
    assert_eq!((stage.world.replicas, waits), (3, Some(OperationWait::Changed(Direction::ToZero))), "{:?}", stage.log);
    // It is busy until the pause of the lowering (2 min) is over, and has nothing to do again. The cooldown ends while the snapshot is taken.
    stage.backlog = vec![Some(15)];
    stage.run_to(200);
    stage.backlog = vec![Some(0)];
    assert!(stage.run(Stage::is_operating, 220), "{:?}", stage.log);
    stage.run_to(250);
    let running = stage.operations().running.unwrap();
    assert_eq!((running.direction, running.phase), (Direction::ScaleDown, Phase::Snapshotting));
    stage.answer = None;
    assert!(stage.run(|stage| stage.world.replicas == 1, 280), "{:?}", stage.log);
}

#[test]
fn what_a_hook_has_begun_is_not_begun_twice() {
    // A Job empties the workers before they go: its operation goes on, and zero is the next one's.
    let mut hooks = hooks(flink());
    let work = Work::Job(tidegate_calculator::operation::spec::JobTemplate::default());
    hooks.pre_scale.insert(0, Item { name: "drain".to_owned(), work, ..Item::default() });
    let mut stage = stage(Scheduler::Adaptive, Span::seconds(20), Span::ZERO, hooks);
    stage.answer = Some(slow);
    stage.run_to(40);
    let running = stage.operations().running.unwrap();
    assert_eq!((running.direction, running.phase), (Direction::ScaleDown, Phase::Snapshotting), "{:?}", stage.log);
    assert_eq!(stage.log.iter().filter(|(_, text)| text == "RunJob").count(), 1);
    stage.answer = None;
    assert!(stage.run(|stage| stage.world.replicas == 1, 60), "{:?}", stage.log);
}
