//! The explanation, as people read it. Every expectation is the whole text or the whole end of a line.

use tidegate_calculator::behavior::{GivenRules, Select};
use tidegate_calculator::decision::{Decision, Step};
use tidegate_calculator::explain::{lines, why};
use tidegate_calculator::policy::{Consent, Pause};
use tidegate_calculator::rules::{Block, Change, OnError};
use tidegate_calculator::time::{Now, Span, Tick};

use crate::ruled::{above, below, daily, gate, held, rule};
use crate::world::{World, at, behavior, free, pods, rules};

/// 12:04:31 is second 31 of these worlds.
fn now(tick: Tick) -> Now {
    let noon: jiff::Timestamp = "2026-05-04T12:04:00Z".parse().unwrap();
    let now = Now { tick: Tick(0), wall: noon };
    Now { tick, wall: now.wall_of(tick) }
}

fn text(world: &World, decision: &Decision, tick: Tick) -> String {
    let lines = lines(&world.policy, &world.triggers, decision, now(tick));
    assert_eq!(lines.len(), decision.steps.len(), "every step has a line");
    let widest = lines.iter().map(|line| line.trim_end().len()).max().unwrap_or(0);
    assert!(widest > 0 && lines.iter().all(|line| line.starts_with(' ') && line == line.trim_end()));
    lines.join("\n")
}

fn explained(world: &World, tick: Tick) -> (String, String) {
    let decision = world.look(tick);
    (text(world, &decision, tick), why(&world.policy, &world.triggers, &decision, now(tick)))
}

fn orders() -> World {
    let mut world = World::new(3, 100, &[790]);
    "s0-redis-jobs".clone_into(&mut world.specs[0].name);
    world.policy.max = 10;
    world.policy.behavior = behavior(rules(0, Select::Max, vec![pods(4, 15)]), GivenRules::default());
    world.reads(0, 790, Tick(30_600));
    world
}

#[test]
fn the_example_of_the_readme() {
    let (lines, why) = explained(&orders(), at(31));
    let expected = [
        " redis jobs   backlog 790 / 100 a replica   -> 8    read 0.4 s ago",
        " bounds       1..10                         -> 8",
        " rate policy  4 pods / 15 s                 -> 7    LIMITED HERE; 8 from 12:04:46",
    ]
    .join("\n");
    assert_eq!(lines, expected);
    assert_eq!(why, "redis jobs 790 / 100 a replica wants 8, limited to 7 by rate policy 4 pods / 15 s until 12:04:46");
}

#[test]
fn a_trigger_goes_by_its_name_first() {
    let mut world = orders();
    world.policy.triggers[0].name = Some("orders".to_owned());
    assert!(explained(&world, at(31)).1.starts_with("redis orders 790"));
}

#[test]
fn metrics_alone_and_bounds() {
    let mut world = orders();
    world.policy.behavior = behavior(free(), free());
    assert_eq!(explained(&world, at(31)).1, "redis jobs 790 / 100 a replica wants 8");
    world.policy.max = 5;
    let (lines, why) = explained(&world, at(31));
    assert!(lines.ends_with("-> 5    LIMITED HERE"), "{lines}");
    assert_eq!(why, "redis jobs 790 / 100 a replica wants 8, limited to 5 by maxReplicaCount");
    world.replicas(6);
    assert_eq!(explained(&world, at(31)).1, "outside of the bounds 1..5, goes to 5");
    world.policy.max = 100;
    world.policy.min = 9;
    world.replicas(9);
    world.policy.behavior = behavior(free(), rules(0, Select::Max, vec![pods(100, 1)]));
    assert_eq!(explained(&world, at(31)).1, "redis jobs 790 / 100 a replica wants 8, raised to 9 by the minimum");
}

#[test]
fn windows_and_the_legacy_limit() {
    let mut world = orders();
    world.policy.behavior = None;
    world.policy.max = 100;
    let (lines, why) = explained(&world, at(31));
    assert!(
        lines.ends_with(" rate limit  twice 3, or 4, in 15 s        -> 6    LIMITED HERE; 8 from 12:04:46"),
        "{lines}"
    );
    assert_eq!(
        why,
        "redis jobs 790 / 100 a replica wants 8, limited to 6 until 12:04:46: at most twice the lowest count of the last 15 s (3), or 4"
    );
    world.replicas(20);
    let (lines, why) = explained(&world, at(31));
    assert!(
        lines.contains(" stabilization  window 5 m                    -> 20    LIMITED HERE; until 12:09:31"),
        "{lines}"
    );
    assert_eq!(
        why,
        "redis jobs 790 / 100 a replica wants 8, held at 20 by the stabilization window of 5 m until 12:09:31"
    );
}

#[test]
fn remarks_of_a_trigger() {
    let mut world = orders();
    world.good(0, 300, false, at(30), at(30));
    world.memory.last_active = Some(at(10));
    assert!(explained(&world, at(31)).0.contains("-> 3    read 1 s ago, within tolerance, inactive"));
    world.value_metric(0);
    world.good(0, 300, true, at(30), at(30));
    world.memory.last_write = Some(at(20));
    let (lines, why) = explained(&world, at(31));
    assert!(
        lines.contains("value 300 / 100   -> 3    read 1 s ago, waits for the last change until 12:04:35"),
        "{lines}"
    );
    assert_eq!(why, "redis jobs 300 / 100 wants 3");
}

#[test]
fn failures_say_which_and_why() {
    let mut world = World::new(5, 100, &[300, 0]);
    world.fails(1, at(10));
    let (lines, why) = explained(&world, at(31));
    let expected = [
        " redis list0        backlog 300 / 100 a replica             -> 3    read 31 s ago",
        " redis triggers[1]  no value (TriggerTimeout)                       since 12:04:10: redis:6379 did not answer within 3 s",
        " failed             1 without a value, nothing is lowered   -> 5    LIMITED HERE; the others want 3",
    ];
    assert_eq!(lines, expected.join("\n"));
    assert_eq!(why, "kept at 5: redis triggers[1] has no value (TriggerTimeout: redis:6379 did not answer within 3 s)");
    world.policy.triggers[1].name = Some("billing".to_owned());
    assert!(explained(&world, at(31)).1.starts_with("kept at 5: redis billing has no value"));
}

#[test]
fn what_settles_says_since_when_and_until_when() {
    let mut world = World::new(5, 100, &[300, 0]);
    world.settles(1, at(10));
    let (lines, why) = explained(&world, at(31));
    let expected = [
        " redis list0        backlog 300 / 100 a replica                 -> 3    read 31 s ago",
        " redis triggers[1]  settling                                            since 12:04:10, fails from 12:09:10: a vertex has not run for 1 m",
        " settling           1 without a value yet, nothing is lowered   -> 5    LIMITED HERE; the others want 3",
    ];
    assert_eq!(lines, expected.join("\n"));
    assert_eq!(why, "kept at 5: redis triggers[1] settles, until 12:09:10 at most (a vertex has not run for 1 m)");
    let (lines, why) = explained(&world, at(310));
    assert!(
        lines.contains("no value (TriggerSettling)                      since 12:09:10: a vertex has not run for 1 m"),
        "{lines}"
    );
    assert_eq!(why, "kept at 5: redis triggers[1] has no value (TriggerSettling: a vertex has not run for 1 m)");
    // Over the cooldown it is what zero waits for.
    let mut world = World::new(1, 5, &[0]);
    world.memory.last_active = Some(at(10));
    world.settles(0, at(300));
    let (lines, why) = explained(&world, at(311));
    assert!(
        lines.contains("cooldown  over, but a trigger settles") && lines.contains("0 once all have a value"),
        "{lines}"
    );
    assert_eq!(why, "kept at 1: redis settles, until 12:14:00 at most (a vertex has not run for 1 m)");
}

#[test]
fn rest_and_cooldown() {
    let mut world = World::new(1, 5, &[0]);
    world.memory.last_active = Some(at(10));
    let (lines, why) = explained(&world, at(31));
    assert!(
        lines.contains("cooldown     5 m from the last activity 12:04:10           LIMITED HERE; 0 from 12:09:10"),
        "{lines}"
    );
    assert_eq!(why, "inactive, kept at 1 by the cooldown; 0 from 12:09:10");
    let (lines, why) = explained(&world, at(311));
    assert!(lines.contains("over, awaits readings begun since"), "{lines}");
    assert_eq!(why, "the cooldown is over, kept at 1 until every trigger has been read again");
    world.fails(0, at(300));
    let (lines, why) = explained(&world, at(311));
    assert!(lines.contains("over, but a trigger has no value"), "{lines}");
    assert!(why.starts_with("kept at 1: redis has no value"), "{why}");
    world.reads(0, 0, at(311));
    assert_eq!(explained(&world, at(311)).1, "inactive and the cooldown is over, goes to 0");
    world.replicas(0);
    let (lines, why) = explained(&world, at(311));
    assert!(lines.ends_with(" rest         inactive                  -> 0    LIMITED HERE"), "{lines}");
    assert_eq!(why, "inactive, rests at 0");
    world.replicas(1);
    world.memory.last_active = None;
    world.policy.initial_cooldown = Span::seconds(600);
    let (lines, _) = explained(&world, at(311));
    assert!(lines.contains("10 m from the creation, never active"), "{lines}");
}

#[test]
fn pauses_and_vetoes() {
    let mut world = orders();
    world.policy.paused_scale_out = true;
    let (lines, why) = explained(&world, at(31));
    assert!(lines.contains("veto         paused-scale-out              -> 3    LIMITED HERE; wanted 7"), "{lines}");
    assert_eq!(why, "redis jobs 790 / 100 a replica wants 8, kept at 3 instead of 7 by paused-scale-out");
    world.policy.paused_scale_out = false;
    world.policy.consent = Consent::PolicyMissing;
    world.policy.behavior = behavior(free(), free());
    world.replicas(10);
    assert_eq!(
        explained(&world, at(31)).1,
        "redis jobs 790 / 100 a replica wants 8, kept at 10 instead of 8 by a missing policy"
    );
    world.policy.pause = Pause::At(4);
    assert_eq!(
        explained(&world, at(31)),
        (" pause  paused-replicas   -> 4    LIMITED HERE".to_owned(), "paused at 4".to_owned())
    );
    world.policy.pause = Pause::Plain;
    assert_eq!(explained(&world, at(31)), (" pause  paused   -> 10    LIMITED HERE".to_owned(), "paused".to_owned()));
}

#[test]
fn leaving_and_force() {
    let mut world = World::new(0, 5, &[40]);
    let (lines, why) = explained(&world, at(31));
    assert!(lines.ends_with(" activity     active, gets to work       -> 8"), "{lines}");
    assert_eq!(why, "redis list0 40 / 5 a replica wants 8");
    world.policy.force_activation = true;
    world.fails(0, at(1));
    let (lines, why) = explained(&world, at(31));
    assert!(lines.contains("force-activation") && lines.contains("counts as active"), "{lines}");
    assert_eq!(why, "raised to 1 by the minimum");
}

#[test]
fn a_disabled_direction_says_so() {
    let mut world = orders();
    world.policy.behavior = behavior(rules(0, Select::Disabled, vec![pods(4, 15)]), GivenRules::default());
    let decision = world.look(at(31));
    assert!(decision.steps.iter().any(|step| matches!(step, Step::Rate { policy: None, until: None, .. })));
    assert!(text(&world, &decision, at(31)).contains("selectPolicy Disabled"));
}

#[test]
fn rules_appear_with_their_timers() {
    let mut world =
        World::ruled(3, &[&[held(above(80), Change::Add(1), 300), held(below(20), Change::Remove(1), 600)]]);
    world.policy.triggers[0].kind = "flink".to_owned();
    world.policy.triggers[0].name = Some("busy".to_owned());
    world.run(&[83], 0, 180);
    world.reads(0, 83, at(190));
    let (lines, why) = explained(&world, at(191));
    let expected = [
        " flink busy  83 > 80 for 3 m 11 s of 5 m           from 12:09:00",
        " flink busy  83, not < 20",
        " flink busy  holds                         -> 3    read 1 s ago",
        " bounds      1..100                        -> 3",
    ];
    assert_eq!(lines, expected.join("\n"));
    assert_eq!(why, "flink busy 83 > 80 for 3 m 11 s of 5 m holds 3");
    world.run(&[83], 195, 285);
    world.reads(0, 83, at(300));
    let (lines, why) = explained(&world, at(300));
    assert!(lines.starts_with(" flink busy  83 > 80 for 5 m of 5 m   -> 4"), "{lines}");
    assert_eq!(why, "flink busy 83 > 80 for 5 m of 5 m wants 4");
    world.act(at(300));
    world.rules(0).steps[0].held_for = None;
    world.reads(0, 83, at(315));
    assert!(explained(&world, at(315)).0.contains("again from 12:10:00"));
}

#[test]
fn gates_cooldowns_and_schedules_say_what_they_do() {
    let rules = [rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 0)];
    let mut world = World::ruled(3, &[&rules, &[]]);
    world.signal(1);
    world.policy.rules.gates = vec![gate(1, above(70), Block::ScaleDown)];
    world.reads(0, 10, at(31));
    world.reads(1, 71, at(31));
    let (lines, why) = explained(&world, at(31));
    assert!(lines.contains(" gate pressure  redis list1 71, closed, forbids lowering"), "{lines}");
    assert!(lines.ends_with("-> 3    LIMITED HERE; wanted 2"), "{lines}");
    assert_eq!(why, "redis list0 10 < 20 wants 2, kept at 3 instead of 2 by gate pressure");
    world.fails(1, at(31));
    assert!(explained(&world, at(31)).0.contains("redis triggers[1] no value, unknown, forbids lowering"));
    world.policy.rules.gates.clear();
    world.policy.rules.direction_cooldown.down_after_up = Span::seconds(300);
    world.reads(0, 90, at(31));
    world.act(at(31));
    world.reads(0, 10, at(40));
    assert_eq!(
        explained(&world, at(40)).1,
        "redis list0 10 < 20 wants 3, kept at 4 instead of 3 by directionCooldown until 12:09:31"
    );
    // In these worlds the wall clock of schedules says midnight.
    world.policy.rules.schedules = vec![daily("night", 0, 6, Some(6), Some(7))];
    let (lines, why) = explained(&world, at(40));
    assert!(lines.starts_with(" schedule night  minimum 6, maximum 7"), "{lines}");
    assert_eq!(why, "outside of the bounds 6..7, goes to 6");
    world.replicas(7);
    world.reads(0, 90, at(300));
    assert_eq!(explained(&world, at(300)).1, "redis list0 90 > 80 wants 8, limited to 7 by a schedule");
    world.on_error(0, OnError::Hold);
    world.fails(0, at(300));
    let (lines, _) = explained(&world, at(301));
    assert!(lines.contains("onError Hold: nothing changes"), "{lines}");
}
