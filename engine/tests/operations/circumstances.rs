//! What happens around an operation: new texts, holds, pauses, other leaders, gates, and texts that cannot be read.

use tidegate_calculator::observation::Evidence;
use tidegate_calculator::operation::facts::Scheduler;
use tidegate_calculator::operation::spec::{Flink, HookSpec, Http, Item, VerifyOptions, Work};
use tidegate_calculator::operation::{Action, Direction, Outcome, Phase};
use tidegate_calculator::policy::{Pause, Policy};
use tidegate_calculator::rules::{Block, Condition, DirectionCooldown, Gate, Role, Rules, TriggerRules};
use tidegate_calculator::source::Milli;
use tidegate_calculator::time::Span;
use tidegate_engine::protocol::{Entry, Input, Tenure};
use tidegate_engine::snapshot::OperationWait;
use tidegate_engine::subject::Hold;

use crate::stage::{Stage, hooks, policy, subject, two_triggers};
use crate::world::World;

/// From 4 to 2, until its checkpoint is asked for.
fn snapshotting() -> Stage {
    let mut stage = Stage::new(4);
    stage.run_to(10);
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.when("TriggerCheckpoint").is_some(), 60));
    stage
}

fn observed() -> Hold {
    Hold { reason: "Observe", message: "only observed".to_owned() }
}

#[test]
fn a_new_text_keeps_the_operation_and_its_answers() {
    let mut stage = snapshotting();
    let id = stage.operations().running.unwrap().id;
    // Answers to what was asked under the old text are on their way; the hooks are gone from the new one.
    stage.edit(|subject| subject.hooks = None);
    assert_eq!(stage.operations().running.unwrap().id, id);
    let edited = stage.at();
    assert!(stage.run(|stage| stage.world.replicas == 2, edited + 20), "{:?}", stage.log);
    assert!(stage.run(|stage| !stage.is_operating(), edited + 120));
    assert_eq!(stage.log.iter().filter(|(_, text)| text == "TriggerCheckpoint").count(), 2, "hook and verification");
    // The next change has no hooks any more.
    stage.backlog[0] = Some(5);
    assert!(stage.run(|stage| stage.world.replicas == 1, stage.at() + 30));
    assert!(!stage.is_operating());
}

#[test]
fn a_new_text_while_replicas_are_written_loses_nothing() {
    let mut stage = snapshotting();
    assert!(stage.run(|stage| stage.when("patch 2").is_some(), 120));
    stage.edit(|subject| subject.policy.max = 9);
    assert!(stage.run(|stage| !stage.is_operating(), 300), "{:?}", stage.log);
    stage.run_to(stage.at() + 5);
    assert_eq!((stage.world.replicas, stage.snapshot().last_change.map(|change| change.to)), (2, Some(2)));
}

#[test]
fn a_hold_ends_what_has_changed_nothing() {
    let mut stage = snapshotting();
    stage.edit(|subject| subject.hold = Some(observed()));
    assert!(stage.run(|stage| !stage.is_operating(), 60), "{:?}", stage.log);
    stage.run_to(stage.at() + 300);
    assert_eq!((stage.world.replicas, stage.story()), (4, vec!["TriggerCheckpoint"]));
}

#[test]
fn a_hold_lets_what_was_changed_come_to_its_end() {
    let mut stage = snapshotting();
    assert!(stage.run(|stage| stage.world.replicas == 2, 120));
    stage.edit(|subject| subject.hold = Some(observed()));
    assert!(stage.entry.as_ref().unwrap().holds_object, "it is about to be finished");
    assert!(stage.run(|stage| !stage.is_operating(), 300), "{:?}", stage.log);
    assert_eq!(stage.world.jobs[0].parallelism, 4);
}

#[test]
fn an_operation_that_is_read_back_under_a_hold_does_nothing() {
    let mut stage = snapshotting();
    let before = stage.story().len();
    stage.subject.hold = Some(observed());
    stage.die();
    assert!(stage.run(|stage| !stage.is_operating(), 120), "{:?}", stage.log);
    assert_eq!(stage.story().len(), before + 1, "it died, that is all: {:?}", stage.log);
}

#[test]
fn a_pause_with_a_number_is_a_change_like_any_other() {
    let mut stage = Stage::new(4);
    stage.run_to(10);
    stage.edit(|subject| subject.policy.pause = Pause::At(1));
    assert!(stage.run(|stage| stage.world.replicas == 1, 120), "{:?}", stage.log);
    assert!(stage.when("TriggerCheckpoint").unwrap() < stage.when("patch 1").unwrap());
    stage.check_laws();
}

#[test]
fn a_plain_pause_ends_what_has_changed_nothing() {
    let mut stage = snapshotting();
    stage.edit(|subject| subject.policy.pause = Pause::Plain);
    assert!(stage.run(|stage| !stage.is_operating(), 60), "{:?}", stage.log);
    assert_eq!((stage.world.replicas, stage.told()), (4, vec!["OperationCancelled"]));
}

#[test]
fn new_bounds_need_no_metrics_and_their_hooks_all_the_same() {
    let mut stage = Stage::new(4);
    stage.run_to(10);
    stage.backlog[0] = None;
    stage.run_to(20);
    stage.edit(|subject| subject.policy.max = 2);
    assert!(stage.run(|stage| stage.world.replicas == 2, 120), "{:?}", stage.log);
    stage.check_laws();
}

#[test]
fn a_wish_without_data_is_none() {
    let mut stage = snapshotting();
    stage.backlog[0] = None;
    // Longer than its checkpoint is young enough, and shorter than the gap after which a decision holds what is there.
    stage.run_to(stage.at() + 45);
    assert_eq!(stage.world.replicas, 4, "nobody knows whether it is still wanted");
    assert!(stage.is_operating());
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.world.replicas == 2, stage.at() + 60), "{:?}", stage.log);
    stage.check_laws();
}

#[test]
fn whoever_loses_the_tenure_does_nothing_more_and_the_next_goes_on() {
    let mut stage = snapshotting();
    let id = stage.operations().running.unwrap().id;
    stage.feed(Input::Tenure(Tenure::Standby));
    let story = stage.story().len();
    stage.run_to(stage.at() + 120);
    assert_eq!(stage.story().len(), story, "{:?}", stage.log);
    assert!(stage.operations().running.is_none());
    // It is told what the one who acts has stored, and takes over with that.
    stage.tell_stored();
    stage.feed(Input::Tenure(Tenure::HELD));
    assert_eq!(stage.operations().running.unwrap().id, id);
    assert!(stage.run(|stage| stage.world.replicas == 2 && !stage.is_operating(), stage.at() + 300));
    stage.check_laws();
}

#[test]
fn a_text_that_cannot_be_read_keeps_everything_as_it_is() {
    let mut stage = snapshotting();
    let good = stage.entry.clone().unwrap();
    stage.entry = Some(Entry { operation: Some("{\"v\":9}".into()), ..good.clone() });
    stage.die();
    let story = stage.story().len();
    stage.run_to(stage.at() + 120);
    assert_eq!((stage.story().len(), stage.world.replicas), (story, 4));
    assert_eq!(stage.told(), ["OperationVersion"]);
    assert_eq!(stage.operations().waits, Some(OperationWait::Unreadable(Direction::ScaleDown)));
    let kept = stage.entry.as_ref().unwrap();
    assert_eq!((kept.operation.as_deref(), kept.holds_object), (Some("{\"v\":9}"), true));
    let unreadable = kept.unreadable.clone().unwrap();
    assert!(unreadable.reason == "OperationVersion" && unreadable.message.contains("nothing is scaled"));
    // Somebody mends it.
    stage.entry = Some(Entry { operation: None, ..good });
    stage.tell_stored();
    assert!(stage.run(|stage| stage.world.replicas == 2, stage.at() + 120), "{:?}", stage.log);
}

#[test]
fn what_was_mended_is_told_no_more_although_nothing_else_changes() {
    for restarts in [false, true] {
        let mut stage = snapshotting();
        let good = stage.entry.clone().unwrap();
        // What is there is wanted, so nothing else is stored.
        stage.backlog[0] = Some(20);
        stage.entry = Some(Entry { operation: None, aftermath: Some("{\"v\":9}".into()), ..good });
        stage.die();
        stage.run_to(stage.at() + 60);
        let told = stage.entry.clone().unwrap();
        assert_eq!(told.unreadable.as_ref().unwrap().reason, "AftermathVersion");
        stage.entry = Some(Entry { aftermath: Some("{\"v\":1}".into()), ..told });
        if restarts {
            stage.die();
        } else {
            stage.tell_stored();
        }
        stage.run_to(stage.at() + 60);
        let after = stage.entry.as_ref().unwrap();
        assert_eq!((&after.unreadable, after.holds_object), (&None, false), "restarts: {restarts}");
    }
}

#[test]
fn an_operation_that_cannot_be_read_may_have_stopped_a_job_so_nothing_is_scaled() {
    let mut stage = snapshotting();
    let good = stage.entry.clone().unwrap();
    // What earlier ones have left behind can be read.
    let left = r#"{"v":1,"parked":[{"name":"enrich","id":"ab","path":"s3://b/1"}],"conditions":
        [{"name":"JobStopped","holds":true,"message":"enrich","direction":"ScaleDown"}]}"#;
    let aftermath = Some(left.into());
    stage.entry = Some(Entry { operation: Some("{\"v\":9}".into()), aftermath: aftermath.clone(), ..good.clone() });
    // The policy with the hooks is gone, or takes part in no direction any more.
    stage.subject.hooks = None;
    stage.die();
    let story = stage.story().len();
    for (backlog, direction) in [(5, Direction::ScaleDown), (40, Direction::ScaleUp)] {
        stage.backlog[0] = Some(backlog);
        stage.run_to(stage.at() + 60);
        assert_eq!((stage.story().len(), stage.world.replicas), (story, 4));
        assert_eq!(stage.operations().waits, Some(OperationWait::Unreadable(direction)));
    }
    let kept = stage.entry.as_ref().unwrap();
    assert_eq!((&kept.aftermath, kept.operation_conditions.len()), (&aftermath, 1));
    assert_eq!(stage.operations().parked.len(), 1, "it is seen all the same");
    // Without an operation under way what is left behind concerns hooks alone.
    stage.entry = Some(Entry { operation: None, aftermath: Some("{\"v\":9}".into()), ..good });
    stage.die();
    assert!(stage.run(|stage| stage.world.replicas == 8, stage.at() + 60), "{:?}", stage.log);
}

#[test]
fn what_our_own_snapshot_does_closes_no_gate() {
    let gate = Gate {
        name: "backpressure".into(),
        trigger: 1,
        closes: Condition::Above(Milli::units(50)),
        held_for: Span::ZERO,
        release: None,
        block: Block::ScaleDown,
    };
    let signal = TriggerRules { role: Role::Signal, ..TriggerRules::default() };
    let rules = Rules { triggers: vec![TriggerRules::default(), signal], gates: vec![gate], ..Rules::default() };
    let text = subject(Policy { rules, ..two_triggers("prometheus") }, hooks(Flink::default()));
    let world = World::new(Scheduler::Adaptive, 4).with_job("job-a", "enrich", 8);
    let mut stage = Stage::with(world, text);
    stage.backlog[1] = Some(0);
    stage.run_to(10);
    // Closed before: nothing begins.
    stage.backlog = vec![Some(10), Some(90)];
    stage.run_to(60);
    assert_eq!(stage.story(), Vec::<&str>::new());
    stage.backlog[1] = Some(0);
    assert!(stage.run(|stage| stage.when("TriggerCheckpoint").is_some(), 120));
    stage.backlog[1] = Some(90);
    assert!(stage.run(|stage| stage.world.replicas == 2, 180), "{:?} {:?}", stage.log, stage.told());
    assert!(stage.run(|stage| !stage.is_operating(), 300));
    // From then on it closes again.
    stage.backlog = vec![Some(5), Some(90)];
    stage.run_to(stage.at() + 600);
    assert_eq!(stage.world.replicas, 2);
}

#[test]
fn an_http_hook_alone_comes_before_lowering_only() {
    let http = Http { url: "https://drain.example".to_owned(), ..Http::default() };
    let item = Item { name: "drain".to_owned(), work: Work::Http(http), cooldown: Span::ZERO, ..Item::default() };
    let text = subject(policy(), HookSpec { pre_scale: vec![item], post_scale: Vec::new() });
    let mut stage = Stage::with(World::new(Scheduler::Adaptive, 2), text);
    stage.answer = Some(|action| match action {
        Action::CallHttp { .. } => Some(Outcome::InProgress),
        Action::PollHttp { .. } => Some(Outcome::Done),
        _ => None,
    });
    stage.run_to(10);
    stage.backlog[0] = Some(20);
    assert!(stage.run(|stage| stage.world.replicas == 4, 30));
    assert!(!stage.is_operating(), "raising is a plain write");
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.world.replicas == 2, 120), "{:?}", stage.log);
    assert_eq!(stage.story(), ["patch 4", "CallHttp", "patch 2"]);
    assert!(stage.run(|stage| !stage.is_operating(), 150));
    assert_eq!(stage.operations().running.map(|running| running.phase), None::<Phase>);
}

#[test]
fn an_object_that_goes_takes_its_operation_with_it() {
    let mut stage = snapshotting();
    stage.feed(Input::Object(tidegate_engine::protocol::Change::Gone(crate::stage::id())));
    stage.run_to(stage.at() + 60);
    assert_eq!(stage.world.replicas, 4);
    assert!(stage.engine.is_empty());
}

#[test]
fn a_trigger_may_settle_for_as_long_as_the_verification_may_take() {
    let verify = VerifyOptions { timeout: Span::seconds(900), ..VerifyOptions::default() };
    let world = World::new(Scheduler::Adaptive, 4).with_job("job-a", "enrich", 8);
    let mut stage = Stage::with(world, subject(policy(), hooks(Flink { verify, ..Flink::default() })));
    stage.run_to(10);
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.world.replicas == 2, 120));
    stage.settles = true;
    let settling = |stage: &mut Stage| match stage.snapshot().evidence[0].clone() {
        Evidence::Settling { since, until, .. } => Some(until - since),
        _ => None,
    };
    let mut longest = Span::ZERO;
    while stage.is_operating() {
        stage.run_to(stage.at() + 1);
        longest = longest.max(settling(&mut stage).unwrap_or(Span::ZERO));
    }
    assert_eq!(longest, Span::seconds(900));
    // Without an operation it is 5 min as ever.
    stage.settles = false;
    stage.run_to(stage.at() + 20);
    stage.settles = true;
    stage.run_to(stage.at() + 20);
    assert_eq!(settling(&mut stage), Some(Span::seconds(300)));
}

#[test]
fn a_direction_cooldown_counts_from_the_end() {
    let direction_cooldown = DirectionCooldown { up_after_down: Span::seconds(200), ..DirectionCooldown::default() };
    let rules = Rules { direction_cooldown, ..Rules::default() };
    let mut text = hooks(Flink::default());
    text.pre_scale[0].cooldown = Span::ZERO;
    let world = World::new(Scheduler::Adaptive, 4).with_job("job-a", "enrich", 8);
    let mut stage = Stage::with(world, subject(Policy { rules, ..policy() }, text));
    stage.run_to(10);
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.world.replicas == 2 && !stage.is_operating(), 200));
    let (written, done) = (stage.when("patch 2").unwrap() / 1_000, stage.at());
    assert!(done >= written + 5, "verifying takes a while: {written} {done}");
    stage.backlog[0] = Some(20);
    assert!(stage.run(Stage::is_operating, done + 400));
    // What stored the end came up to a second after it.
    assert!(stage.at() >= done + 199, "{} {done}", stage.at());
}
