//! What comes before what: snapshot before replicas, store before act, cooldown before the next one.

use tidegate_calculator::operation::spec::{Flink, SavepointOptions, StrategyChoice};
use tidegate_calculator::operation::{Class, Direction, Failure, Outcome, Phase};
use tidegate_calculator::time::Span;
use tidegate_engine::protocol::Event;
use tidegate_engine::snapshot::OperationWait;
use tidegate_engine::subject::Subject;

use crate::stage::{Stage, hooks, wrong_setting};

#[test]
fn nothing_is_patched_before_the_checkpoint_is_complete() {
    let mut stage = Stage::new(4);
    stage.run_to(20);
    assert!(stage.story().is_empty(), "nothing to do: {:?}", stage.log);
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.world.replicas == 2, 120), "{:?}", stage.log);
    let (patched, completed) = (stage.when("patch 2").unwrap(), stage.when("completed").unwrap());
    let (stored, asked) = (stage.when("store").unwrap(), stage.when("TriggerCheckpoint").unwrap());
    assert!(stored < asked && asked + 1_000 <= completed && completed < patched, "{:?}", stage.log);
    assert!(stage.run(|stage| !stage.is_operating(), 300), "{:?}", stage.log);
    let story = stage.story();
    assert_eq!(story[..4], ["TriggerCheckpoint", "MarkVictims", "patch 2", "PutRequirements"]);
    assert_eq!((stage.world.replicas, stage.world.jobs[0].parallelism), (2, 4));
    assert_eq!(stage.world.jobs[0].restarts, 1, "one restart");
    stage.check_laws();
}

#[test]
fn the_write_is_ours_in_every_way() {
    let mut stage = Stage::new(4);
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.world.replicas == 2, 120));
    stage.run_to(stage.at() + 2);
    let change = stage.snapshot().last_change.expect("it is booked");
    assert_eq!((change.from, change.to), (4, 2));
    assert!(!change.why.is_empty());
    let scaled = |event: &&Event| matches!(event, Event::Scaled(_));
    assert_eq!(stage.events.iter().map(|(_, event)| event).filter(scaled).count(), 1);
    assert!(!stage.events.iter().any(|(_, event)| matches!(event, Event::ForeignChange { .. })), "{:?}", stage.events);
}

#[test]
fn a_store_that_fails_keeps_everything_from_being_done() {
    let mut stage = Stage::new(4);
    stage.run_to(10);
    stage.store_works = false;
    stage.backlog[0] = Some(10);
    stage.run_to(100);
    assert_eq!(stage.log, [], "nothing is stored, so nothing is done");
    assert!(stage.operations().running.is_some(), "it waits");
    stage.store_works = true;
    assert!(stage.run(|stage| stage.world.replicas == 2, 400), "{:?}", stage.log);
}

#[test]
fn decisions_go_on_while_an_operation_runs() {
    let mut stage = Stage::new(4);
    stage.run_to(10);
    stage.backlog[0] = Some(10);
    assert!(stage.run(Stage::is_operating, 60));
    stage.run_to(stage.at() + 1);
    let before = stage.snapshot().decision.unwrap().1;
    stage.run_to(stage.at() + 6);
    let snapshot = stage.snapshot();
    assert!(snapshot.decision.unwrap().1 > before);
    let running = snapshot.operations.unwrap().running.unwrap();
    assert_eq!((running.direction, running.from, running.to), (Direction::ScaleDown, 4, 2));
    assert!(running.explanation.headline.contains("4 -> 2"), "{:?}", running.explanation);
}

#[test]
fn a_wish_that_is_withdrawn_cancels() {
    let mut stage = Stage::new(4);
    stage.run_to(10);
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.when("TriggerCheckpoint").is_some(), 60));
    stage.backlog[0] = Some(20);
    assert!(stage.run(|stage| !stage.is_operating(), 120), "{:?}", stage.log);
    assert_eq!((stage.world.replicas, stage.told()), (4, vec!["OperationCancelled"]));
    assert_eq!(stage.when("patch 2"), None);
}

/// The hooks name another directory; nothing else is edited.
fn other_hooks(subject: &mut Subject) {
    let savepoint = SavepointOptions { directory: Some("s3://other".to_owned()), ..SavepointOptions::default() };
    let flink = Flink { strategy: StrategyChoice::Auto, savepoint, ..Flink::default() };
    subject.hooks = Some(hooks(flink).into());
}

#[test]
fn hooks_that_are_set_right_do_not_wait_for_an_operation_with_the_old_ones() {
    let mut stage = Stage::new(4);
    stage.run_to(10);
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.when("TriggerCheckpoint").is_some(), 60));
    // The same hooks once more are no others, whatever else was edited.
    stage.edit(|subject| subject.policy.max = 9);
    assert!(stage.is_operating() && stage.told().is_empty(), "{:?}", stage.told());
    let edited = stage.at();
    stage.edit(other_hooks);
    assert!(stage.run(|stage| !stage.is_operating(), edited + 1));
    assert!(stage.run(Stage::is_operating, edited + 3), "nothing waits");
    assert_eq!((stage.operations().running.unwrap().summary.attempt, stage.told()), (1, vec!["OperationCancelled"]));
    assert!(stage.run(|stage| stage.world.replicas == 2, edited + 60), "{:?}", stage.log);
    let kept = stage.entries.last().unwrap().operation.clone().unwrap();
    assert!(kept.contains("s3://other"), "{kept}");
    stage.check_laws();
}

#[test]
fn hooks_that_were_edited_while_nobody_looked_are_those_that_count() {
    let mut stage = Stage::new(4);
    stage.run_to(10);
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.when("TriggerCheckpoint").is_some(), 60));
    stage.die();
    assert!(stage.run(Stage::is_operating, 90));
    assert_eq!(stage.told(), [""; 0], "the same hooks go on");
    other_hooks(&mut stage.subject);
    stage.die();
    assert!(stage.run(|stage| stage.told().contains(&"OperationCancelled"), 120), "{:?}", stage.events);
    assert!(stage.run(|stage| stage.world.replicas == 2, 240), "{:?}", stage.log);
    stage.check_laws();
}

#[test]
fn the_cooldown_counts_from_done() {
    let mut stage = Stage::new(4);
    stage.backlog[0] = Some(15);
    assert!(stage.run(|stage| stage.when("patch 3").is_some(), 120));
    assert!(stage.run(|stage| !stage.is_operating(), 300));
    let done = stage.at();
    stage.backlog[0] = Some(10);
    stage.run_to(done + 60);
    let Some(OperationWait::Until(Direction::ScaleDown, until)) = stage.operations().waits else {
        panic!("{:?}", stage.operations());
    };
    assert!(!stage.is_operating());
    let left = until - stage.snapshot().now.tick;
    assert!(left <= Span::seconds(61) && left >= Span::seconds(55), "2 min from Done: {left}");
    assert!(stage.run(|stage| stage.when("patch 2").is_some(), done + 300));
    // Done was noticed at most a second after it was.
    assert!(stage.when("patch 2").unwrap() / 1_000 >= done + 118, "{:?}", stage.log);
    stage.check_laws();
}

#[test]
fn a_raise_waits_for_the_cooldown_after_done_as_well() {
    let mut stage = Stage::new(4);
    stage.backlog[0] = Some(10);
    assert!(stage.run(|stage| stage.when("patch 2").is_some() && !stage.is_operating(), 300));
    let done = stage.at();
    stage.backlog[0] = Some(20);
    assert!(stage.run(|stage| stage.when("patch 4").is_some(), done + 300));
    assert!(stage.when("patch 4").unwrap() / 1_000 >= done + 118, "{:?}", stage.log);
}

#[test]
fn pauses_grow_with_failures() {
    let mut stage = Stage::new(4);
    stage.answer = Some(|action| {
        let poll = matches!(action, tidegate_calculator::operation::Action::PollCheckpoint { .. });
        poll.then(|| Outcome::Failed(Failure::new(Class::Transient, "a task failed")))
    });
    stage.backlog[0] = Some(10);
    let mut ends = Vec::new();
    for _ in 0..3 {
        assert!(stage.run(Stage::is_operating, 20_000));
        let began = stage.at();
        assert!(stage.run(|stage| !stage.is_operating(), 20_000));
        ends.push((began, stage.at()));
    }
    // 2 min after the first, 4 after the second, and at most one look at the metrics and a store each.
    let pauses: Vec<i64> = ends.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
    assert!((119..=126).contains(&pauses[0]) && (239..=246).contains(&pauses[1]), "{pauses:?}");
    assert_eq!((stage.world.replicas, stage.told().len()), (4, 3));
}

#[test]
fn a_failure_by_a_setting_waits_for_another_text_and_is_a_condition() {
    let mut stage = Stage::new(4);
    stage.answer = Some(|action| {
        matches!(action, tidegate_calculator::operation::Action::TriggerCheckpoint { .. }).then(wrong_setting)
    });
    stage.backlog[0] = Some(10);
    assert!(stage.run(Stage::is_operating, 60));
    assert!(stage.run(|stage| !stage.is_operating(), 600));
    stage.run_to(8_000);
    assert_eq!(stage.operations().waits, Some(OperationWait::Changed(Direction::ScaleDown)));
    assert_eq!(stage.story(), ["TriggerCheckpoint"], "once");
    let conditions = stage.entry.as_ref().unwrap().operation_conditions.clone();
    assert_eq!(conditions.len(), 1);
    assert!(conditions[0].holds && conditions[0].message.contains("403"), "{conditions:?}");
    // After a restart it still waits, and says the same.
    stage.die();
    stage.run_to(9_000);
    assert_eq!(stage.operations().conditions, conditions);
    assert_eq!(stage.operations().waits, Some(OperationWait::Changed(Direction::ScaleDown)));
    stage.answer = None;
    stage.edit(|_| {});
    assert!(stage.run(|stage| stage.world.replicas == 2, 9_200), "{:?}", stage.log);
    assert!(stage.run(|stage| !stage.is_operating(), 9_600));
    stage.run_to(stage.at() + 5);
    assert_eq!(stage.entry.as_ref().unwrap().operation_conditions, [], "one that succeeds clears them");
}

#[test]
fn raising_is_an_operation_too() {
    let mut stage = Stage::new(2);
    stage.run_to(10);
    stage.backlog[0] = Some(20);
    assert!(stage.run(|stage| stage.world.replicas == 4, 120), "{:?}", stage.log);
    let phase = stage.operations().running.unwrap().phase;
    assert!(matches!(phase, Phase::Applying | Phase::Restoring), "{phase:?}");
    assert!(stage.run(|stage| !stage.is_operating(), 300));
    assert_eq!((stage.world.replicas, stage.world.jobs[0].parallelism), (4, 8));
}
