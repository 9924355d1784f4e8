//! Where raising ends because more TaskManagers are of no use, and what ends that.

use tidegate_calculator::decision::Limit;
use tidegate_calculator::operation::spec::Work;
use tidegate_calculator::operation::{Action, Outcome};

use crate::stage::Stage;

const REACHED: &str = "MaxParallelismReached";

/// A job on 2 TaskManagers of 2 slots each that can use 6 slots: 5.5 · 4 / 4 of its declared 4 round to 6, so 3 TaskManagers. It has 50 items
/// at 5 a replica: 10 are wanted, 4 at once.
fn stage() -> Stage {
    let mut stage = Stage::new(2);
    stage.world.jobs[0].max = 6;
    stage.backlog[0] = Some(50);
    stage
}

/// The same once it has grown as far as it is of use.
fn full() -> Stage {
    let mut stage = stage();
    assert!(stage.run(|stage| stage.world.replicas == 3, 120), "{:?}", stage.log);
    assert!(stage.run(|stage| !stage.is_operating(), 300), "{:?}", stage.log);
    stage.run_to(stage.at() + 20);
    stage
}

/// The message of the condition, if it holds in what is stored.
fn condition(stage: &Stage) -> Option<String> {
    let conditions = &stage.entry.as_ref().unwrap().operation_conditions;
    conditions.iter().find(|condition| condition.name == REACHED && condition.holds).map(|it| it.message.clone())
}

#[test]
fn raising_ends_at_the_last_taskmanager_of_use() {
    let mut stage = full();
    assert_eq!(stage.story()[1], "patch 3", "the first growth knows it already");
    assert_eq!(stage.world.jobs[0].parallelism, 6);
    let text = condition(&stage).expect("people are told");
    assert!(text.contains("6 slots at most, 2 a TaskManager, so more than 3 replicas"), "{text}");
    let decision = stage.snapshot().decision.unwrap().0;
    assert_eq!((decision.desired, decision.limited_by), (3, Limit::MaxParallelism));
    // While that lasts nothing is begun, stored or told again.
    let (stored, told) = (stage.entries.len(), stage.told().iter().filter(|told| **told == REACHED).count());
    stage.run_to(stage.at() + 1_800);
    assert_eq!((stage.entries.len(), stage.story().last().copied()), (stored, Some("TriggerCheckpoint")));
    assert_eq!((told, stage.told().iter().filter(|told| **told == REACHED).count()), (1, 1));
    // Less is wanted for a while: nothing is written for that.
    stage.backlog[0] = Some(15);
    stage.run_to(stage.at() + 60);
    assert_eq!((stage.entries.len(), condition(&stage)), (stored, Some(text)));
    // And what the metrics lower is lowered, which ends it.
    stage.backlog[0] = Some(10);
    let now = stage.at();
    assert!(stage.run(|stage| stage.world.replicas == 2 && !stage.is_operating(), now + 300), "{:?}", stage.log);
    stage.run_to(stage.at() + 5);
    assert_eq!(condition(&stage), None);
    stage.check_laws();
}

#[test]
fn it_outlives_the_process() {
    let mut stage = full();
    let text = condition(&stage);
    let changes = stage.story().len();
    stage.die();
    stage.run_to(stage.at() + 600);
    assert_eq!((stage.story().len(), stage.world.replicas), (changes + 1, 3), "it died, that is all: {:?}", stage.log);
    assert_eq!(condition(&stage), text);
}

#[test]
fn a_job_that_can_use_more_is_noticed_within_a_minute_or_so() {
    let mut stage = full();
    let now = stage.at();
    stage.run_to(now + 300);
    stage.world.jobs[0].max = 8;
    // A look every 60 s with a pass of every 5 s, and the operation's own look, snapshot and gates.
    assert!(stage.run(|stage| stage.world.replicas == 4, now + 300 + 80), "{:?}", stage.log);
    assert!(stage.run(|stage| !stage.is_operating(), now + 600), "{:?}", stage.log);
    stage.run_to(stage.at() + 10);
    let text = condition(&stage).unwrap();
    assert!(text.contains("8 slots") && text.contains("more than 4 replicas"), "{text}");
}

#[test]
fn a_look_that_fails_changes_nothing() {
    let mut stage = full();
    stage.answer = Some(|action| {
        let failure = tidegate_calculator::operation::Failure::new(tidegate_calculator::operation::Class::Lost, "503");
        (*action == Action::Inspect).then_some(Outcome::Failed(failure))
    });
    stage.world.jobs[0].max = 128;
    stage.run_to(stage.at() + 600);
    assert!(condition(&stage).is_some() && stage.world.replicas == 3);
}

#[test]
fn another_policy_counts_at_once() {
    let mut stage = full();
    stage.edit(|subject| {
        let mut hooks = (**subject.hooks.as_ref().unwrap()).clone();
        let Work::Flink(flink) = &mut hooks.pre_scale[0].work else { panic!("{hooks:?}") };
        // The user says that a TaskManager has 1 slot: 6 of them are of use.
        flink.slots_per_task_manager = Some(1);
        hooks.pre_scale[0].cooldown = tidegate_calculator::time::Span::ZERO;
        subject.hooks = Some(hooks.into());
    });
    let now = stage.at();
    assert!(stage.run(|stage| stage.world.replicas == 6, now + 200), "{:?}", stage.log);
}

#[test]
fn what_the_minimum_asks_for_is_written() {
    let mut stage = full();
    stage.edit(|subject| subject.policy.min = 5);
    let now = stage.at();
    assert!(stage.run(|stage| stage.world.replicas == 5, now + 300), "{:?}", stage.log);
}

#[test]
fn without_hooks_nothing_is_capped() {
    let mut stage = full();
    stage.edit(|subject| subject.hooks = None);
    let now = stage.at();
    assert!(stage.run(|stage| stage.world.replicas > 3, now + 60), "{:?}", stage.log);
    stage.run_to(stage.at() + 20);
    assert_eq!(condition(&stage), None);
}
