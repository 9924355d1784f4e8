//! What rules remember over a restart: timers, gates, cooldowns and bounds, and when that is worth storing.

use tidegate_calculator::decision::{Limit, Progress, Vote};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::rules::{Block, Change, DirectionCooldown, Gate, OnError, Rules, StepRule};
use tidegate_calculator::time::{Span, Tick};

use crate::checkpoint::{now, now_of};
use crate::ruled::{above, below, daily, gate, held, hours, progress, release, rule};
use crate::world::{World, at};

/// Nothing was worth storing.
const NEVER: [i64; 0] = [];

/// Lowers by one after so many seconds below 20.
fn lowering(seconds: i64) -> World {
    World::ruled(5, &[&[held(below(20), Change::Remove(1), seconds)]])
}

/// Reads and passes, and whether that was worth storing.
fn flips(world: &mut World, totals: &[i64], second: i64) -> bool {
    for (trigger, total) in totals.iter().enumerate() {
        world.reads(trigger, *total, at(second));
    }
    let flips = world.memory.flips(&world.look(at(second)).effects);
    world.pass(at(second));
    flips
}

/// The moments from `from` to `to`, every 15 s, at which something is worth storing.
fn stored(world: &mut World, totals: &[i64], from: i64, to: i64) -> Vec<i64> {
    (from..=to).step_by(15).filter(|second| flips(world, totals, *second)).collect()
}

/// The process ends, and another one begins after `down` seconds: its ticks go on, as if it had the same clock.
fn restart(world: &mut World, stored: i64, down: i64) {
    let text = Checkpoint::of(&world.memory, now(at(stored)));
    world.memory = text.restore(&world.policy, world.target.replicas, now(at(stored + down))).unwrap();
}

#[test]
fn a_timer_is_stored_once_it_has_run_a_quarter_and_its_reset_at_once() {
    let mut world = lowering(3_600);
    flips(&mut world, &[50], 0);
    // 15 + 3600 / 4 = 915 s.
    assert_eq!(stored(&mut world, &[10], 15, 2_000), [915]);
    assert_eq!(stored(&mut world, &[50], 2_010, 2_100), [2_010], "the reset of a stored one");
    // Not again before half: 2115 + 1800 = 3915 s.
    assert_eq!(stored(&mut world, &[10], 2_115, 5_000), [3_915]);
}

#[test]
fn a_condition_that_comes_and_goes_is_not_stored() {
    let mut world = lowering(3_600);
    flips(&mut world, &[50], 0);
    for begin in (15..20_000).step_by(900) {
        assert_eq!(stored(&mut world, &[10], begin, begin + 870), NEVER, "885 s at most");
        assert_eq!(stored(&mut world, &[50], begin + 885, begin + 885), NEVER);
    }
}

#[test]
fn a_quarter_is_a_minute_at_least_and_shorter_rules_are_never_stored() {
    let mut world = lowering(100);
    flips(&mut world, &[50], 0);
    assert_eq!(stored(&mut world, &[10], 15, 90), [75], "15 + max(25, 60)");
    let mut world = lowering(59);
    flips(&mut world, &[50], 0);
    assert_eq!(stored(&mut world, &[10], 15, 600), NEVER);
}

#[test]
fn a_write_restarts_the_timers_and_nothing_else_needs_storing_for_it() {
    let mut world = lowering(300);
    assert_eq!(world.run(&[10], 0, 300).write, Some(4));
    let text = Checkpoint::of(&world.memory, now(at(300))).0;
    assert!(text.contains(r#""d":17672259"#) && !text.contains("\"t\":[["), "{text}");
    assert!(!flips(&mut world, &[10], 315));
}

#[test]
fn a_stored_timer_goes_on_after_a_restart() {
    let mut world = lowering(300);
    world.run(&[10], 0, 90);
    restart(&mut world, 100, 20);
    world.run(&[10], 120, 285);
    assert_eq!(progress(&world.look(at(285)), 0, 0), Progress::Pending { held: Span::seconds(285), until: at(300) });
    assert_eq!(world.step(&[10], at(300)).write, Some(4), "as without the restart");
}

#[test]
fn a_timer_that_is_not_stored_begins_anew() {
    let mut world = lowering(300);
    world.run(&[10], 0, 60);
    restart(&mut world, 70, 5);
    world.run(&[10], 75, 360);
    assert_eq!(world.outcome(Tick(374_999)).0, 5);
    assert_eq!(world.step(&[10], at(375)).write, Some(4), "75 + 300");
}

#[test]
fn the_time_that_nobody_looked_is_a_gap() {
    for (down, expected) in [(60, Some(4)), (61, None)] {
        let mut world = lowering(300);
        world.run(&[10], 0, 90);
        restart(&mut world, 90, down);
        world.step(&[10], at(90 + down));
        world.run(&[10], 165, 285);
        assert_eq!(world.step(&[10], at(300)).write, expected, "down for {down} s");
    }
}

#[test]
fn an_old_text_goes_on_if_its_process_was_at_work_lately() {
    for (alive, expected) in [(Some(250), Some(4)), (Some(200), None), (None, None)] {
        let mut world = lowering(300);
        world.run(&[10], 0, 90);
        let text = Checkpoint::of(&world.memory, now(at(90)));
        let alive = alive.map(|second| now(at(second)).wall);
        world.memory = text.restore_after(&world.policy, 5, now(at(270)), alive).unwrap();
        world.step(&[10], at(270));
        world.step(&[10], at(285));
        assert_eq!(world.step(&[10], at(300)).write, expected, "{alive:?}");
    }
}

#[test]
fn ticks_of_another_process_are_carried_over() {
    let mut world = lowering(300);
    world.run(&[10], 0, 90);
    let text = Checkpoint::of(&world.memory, now(at(90)));
    world.memory = text.restore(&world.policy, 5, now_of(100_000, Tick(0))).unwrap();
    world.run(&[10], 0, 195);
    assert_eq!(world.step(&[10], at(200)).write, Some(4), "100 s in one process and 200 s in the other");
}

#[test]
fn another_rule_does_not_go_on_with_a_timer() {
    let change = |world: &mut World, change: fn(&mut StepRule)| change(&mut world.rules(0).steps[0]);
    let changes: [fn(&mut StepRule); 4] = [
        |rule| rule.condition = below(21),
        |rule| rule.change = Change::Remove(2),
        |rule| rule.per_replica = true,
        |rule| rule.held_for = Some(Span::seconds(299)),
    ];
    for edit in changes {
        let mut world = lowering(300);
        world.run(&[10], 0, 90);
        change(&mut world, edit);
        let decision = world.step(&[10], at(105));
        assert!(matches!(progress(&decision, 0, 0), Progress::Pending { held: Span(0), .. }), "{decision:?}");
        // Nor does it after a restart.
        let mut world = lowering(300);
        world.run(&[10], 0, 90);
        let text = Checkpoint::of(&world.memory, now(at(90)));
        change(&mut world, edit);
        world.memory = text.restore(&world.policy, 5, now(at(90))).unwrap();
        let decision = world.step(&[10], at(105));
        assert!(matches!(progress(&decision, 0, 0), Progress::Pending { held: Span(0), .. }), "{decision:?}");
    }
    // A rule that is moved within the list does, and so does one of a trigger with a name that is moved.
    let mut world = lowering(300);
    world.run(&[10], 0, 90);
    world.rules(0).steps.insert(0, rule(above(80), Change::Add(1)));
    let decision = world.step(&[10], at(105));
    assert_eq!(progress(&decision, 0, 1), Progress::Pending { held: Span::seconds(105), until: at(300) });
}

#[test]
fn other_triggers_begin_with_nothing() {
    let mut world = lowering(300);
    world.policy.rules.gates = vec![Gate { release: release(below(50), 0), ..gate(0, above(70), Block::ScaleDown) }];
    world.run(&[10], 0, 90);
    world.memory.triggers_changed();
    let decision = world.step(&[60], at(105));
    assert_eq!((progress(&decision, 0, 0), decision.desired), (Progress::Off, 5));
    let rules = world.memory.rules.as_deref().unwrap();
    assert_eq!(rules.changed, None, "what was written stays known");
}

#[test]
fn a_difference_in_replicas_at_load_is_a_write_of_ours_for_timers_and_cooldowns() {
    let mut world = lowering(300);
    world.policy.rules.direction_cooldown.down_after_up = Span::seconds(400);
    world.memory.replicas = Some(5);
    world.run(&[10], 0, 90);
    let text = Checkpoint::of(&world.memory, now(at(90)));
    world.replicas(6);
    world.memory = text.restore(&world.policy, 6, now(at(100))).unwrap();
    world.run(&[10], 105, 390);
    assert_eq!(world.look(Tick(399_999)).limited_by, Limit::Metrics, "100 + 300");
    world.reads(0, 10, at(400));
    assert_eq!(world.outcome(at(400)), (6, Limit::DirectionCooldown));
    world.run(&[10], 405, 495);
    assert_eq!(world.step(&[10], at(500)).write, Some(5), "100 + 400");
}

fn gated(held_for: i64) -> World {
    let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 0)], &[]]);
    world.signal(1);
    let over = gate(1, above(70), Block::ScaleDown);
    world.policy.rules.gates =
        vec![Gate { held_for: Span::seconds(held_for), release: release(below(50), 120), ..over }];
    world
}

#[test]
fn the_state_of_a_gate_is_worth_storing_and_survives() {
    let mut world = gated(0);
    assert!(flips(&mut world, &[50, 71], 0), "it closes");
    assert_eq!(stored(&mut world, &[50, 60], 15, 600), NEVER);
    restart(&mut world, 600, 300);
    assert_eq!(world.step(&[10, 60], at(900)).limited_by, Limit::Gate);
    // The release of 120 s is stored after 60 s, and then the gate opens, which ends what is stored of it.
    assert_eq!(stored(&mut world, &[50, 40], 915, 1_100), [975, 1_035]);
    restart(&mut world, 1_100, 10);
    assert_eq!(world.step(&[10, 60], at(1_110)).write, Some(4), "open, and between the two it stays so");
}

#[test]
fn of_a_gate_that_was_never_stored_nothing_is_known() {
    let mut world = gated(0);
    world.step(&[50, 40], at(0));
    world.memory = Checkpoint::default().restore(&world.policy, 5, now(at(100))).unwrap();
    assert_eq!(world.step(&[10, 60], at(100)).limited_by, Limit::Gate);
    let mut renamed = gated(0);
    renamed.run(&[50, 40], 0, 120);
    let text = Checkpoint::of(&renamed.memory, now(at(120)));
    renamed.policy.rules.gates[0].name = "other".into();
    renamed.memory = text.restore(&renamed.policy, 5, now(at(120))).unwrap();
    assert_eq!(renamed.step(&[10, 60], at(135)).limited_by, Limit::Gate);
}

#[test]
fn an_open_gate_whose_condition_holds_after_a_restart_may_have_closed_already() {
    let mut world = gated(300);
    world.run(&[50, 40], 0, 120);
    world.step(&[50, 71], at(135));
    // 30 s of 300 s had run; the other process would have closed it at 435 s.
    world.memory = {
        let text = Checkpoint::of(&world.memory, now(at(165)));
        text.restore(&world.policy, 5, now(at(170))).unwrap()
    };
    assert_eq!(world.step(&[10, 71], at(180)).limited_by, Limit::Gate, "it forbids lowering while nobody knows");
    world.run(&[10, 71], 195, 465);
    assert_eq!(
        world.step(&[10, 60], at(470)).limited_by,
        Limit::Gate,
        "it held for 330 s: the other waits for the release"
    );
    // 485 + 120 = 605 s.
    world.run(&[10, 40], 485, 590);
    assert_eq!(world.outcome(Tick(604_999)), (5, Limit::Gate));
    assert_eq!(world.step(&[10, 40], at(605)).write, Some(4));
}

#[test]
fn a_restored_gate_opens_no_earlier_than_one_that_went_on() {
    let build = || {
        let mut world = gated(300);
        world.run(&[50, 40], 0, 120);
        world.step(&[50, 71], at(135));
        world
    };
    // Its condition ends before, at and after 135 + 300 = 435 s, when the one that went on closes.
    for end in [195, 420, 435, 450, 480, 600] {
        let (mut live, mut back) = (build(), build());
        restart(&mut back, 165, 5);
        live.run(&[50, 71], 180, end - 15);
        back.run(&[50, 71], 180, end - 15);
        let first = |world: &mut World| {
            (end..=end + 600)
                .step_by(15)
                .find(|second| world.step(&[10, if *second < end + 60 { 60 } else { 40 }], at(*second)).write.is_some())
        };
        let (live, back) = (first(&mut live), first(&mut back));
        // Four passes within the band, then 120 s of the release.
        assert_eq!(back, Some(end + 60 + 120), "{end}");
        assert_eq!(live, Some(if end > 435 { end + 60 + 120 } else { end }), "{end}");
    }
}

#[test]
fn an_open_gate_that_is_first_seen_within_its_band_may_have_closed_too() {
    for (first, expected) in [(60, None), (40, Some(4))] {
        let mut world = gated(300);
        world.run(&[50, 40], 0, 120);
        restart(&mut world, 130, 10);
        assert_eq!(world.step(&[10, first], at(140)).write, expected, "{first}");
    }
}

#[test]
fn a_trigger_without_rules_does_not_tell_until_when_the_others_were_read() {
    let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 3_600)], &[]]);
    world.on_error(1, OnError::LastKnown(Span::seconds(60)));
    world.run(&[10, 300], 0, 1_200);
    restart(&mut world, 1_205, 5);
    world.run(&[10, 300], 1_215, 2_400);
    restart(&mut world, 2_405, 5);
    world.run(&[10, 300], 2_415, 2_430);
    // Two gaps of 15 s count as held.
    assert_eq!(
        progress(&world.look(at(2_430)), 0, 0),
        Progress::Pending { held: Span::seconds(2_430), until: at(3_600) }
    );
}

#[test]
fn another_query_does_not_go_on_with_a_timer_or_a_gate() {
    let mut world = lowering(300);
    world.policy.triggers[0].fingerprint = 1;
    world.run(&[10], 0, 90);
    let text = Checkpoint::of(&world.memory, now(at(90)));
    for (fingerprint, held) in [(1, 105), (2, 0)] {
        world.policy.triggers[0].fingerprint = fingerprint;
        world.memory = text.restore(&world.policy, 5, now(at(95))).unwrap();
        let decision = world.step(&[10], at(105));
        let until = at(405 - held);
        assert_eq!(progress(&decision, 0, 0), Progress::Pending { held: Span::seconds(held), until }, "{fingerprint}");
    }
    let mut world = gated(0);
    world.run(&[50, 40], 0, 120);
    let text = Checkpoint::of(&world.memory, now(at(120)));
    world.policy.triggers[1].fingerprint = 2;
    world.memory = text.restore(&world.policy, 5, now(at(120))).unwrap();
    assert_eq!(world.step(&[10, 60], at(135)).limited_by, Limit::Gate, "it was open over another query");
}

#[test]
fn direction_cooldowns_and_every_survive() {
    let mut world = World::ruled(5, &[&[rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 0)]]);
    world.policy.rules.direction_cooldown =
        DirectionCooldown { down_after_up: Span::seconds(300), up_after_down: Span::ZERO };
    assert_eq!(world.step(&[90], at(0)).write, Some(6));
    restart(&mut world, 10, 10);
    let waits = world.step(&[90], at(30));
    assert_eq!(progress(&waits, 0, 0), Progress::Spaced { held: Span::ZERO, until: at(60) });
    assert_eq!(world.step(&[10], at(45)).limited_by, Limit::DirectionCooldown);
    assert_eq!(world.step(&[10], at(300)).write, Some(5));
}

#[test]
fn a_maximum_lowered_by_the_clock_does_not_jump_after_a_restart_and_an_edited_one_does() {
    let night = || vec![daily("night", 22, 6, None, Some(20))];
    let mut world = World::new(50, 100, &[5_000]);
    (world.policy.min, world.policy.rules.schedules) = (1, night());
    world.step(&[5_000], hours(21));
    let text = Checkpoint::of(&world.memory, now(hours(21)));
    let load = hours(22) + Span::seconds(60);
    world.memory = text.restore(&world.policy, 50, now(load)).unwrap();
    assert_eq!(world.step(&[5_000], load).limited_by, Limit::Stabilization);
    world.policy.rules.schedules = vec![daily("night", 22, 6, None, Some(10))];
    world.memory = text.restore(&world.policy, 50, now(load)).unwrap();
    assert_eq!(world.step(&[5_000], load).write, Some(10));
}

#[test]
fn without_rules_nothing_of_them_is_kept_or_stored() {
    let mut world = lowering(300);
    world.run(&[10], 0, 90);
    let text = Checkpoint::of(&world.memory, now(at(90)));
    assert!(text.0.contains("\"r\":"), "{}", text.0);
    world.policy.rules = Rules::default();
    assert_eq!(text.restore(&world.policy, 5, now(at(90))).unwrap().rules, None);
    world.pass(at(105));
    assert_eq!(world.memory.rules, None);
    world.step(&[1_000], at(120));
    assert!(!Checkpoint::of(&world.memory, now(at(120))).0.contains("\"r\":"));
}

const GOLDEN: &str = include_str!("../golden/checkpoint-v1-rules.json");

/// What the golden file was written from.
fn golden() -> World {
    let mut world =
        World::ruled(5, &[&[held(below(20), Change::Remove(1), 300), rule(above(80), Change::Add(1))], &[]]);
    world.signal(1);
    let over = gate(1, above(70), Block::Both);
    world.policy.rules.gates = vec![Gate { release: release(below(50), 120), ..over }];
    world.policy.rules.schedules = vec![daily("night", 22, 6, None, Some(20))];
    world.step(&[90, 40], at(0));
    world.run(&[10, 71], 15, 90);
    world
}

#[test]
fn the_golden_file_with_rules_still_loads() {
    let mut world = golden();
    let text = Checkpoint::of(&world.memory, now(at(100))).0;
    assert_eq!(text, GOLDEN.trim());
    world.memory = Checkpoint(GOLDEN.to_owned()).restore(&world.policy, 6, now(at(100))).unwrap();
    let rules = world.memory.rules.as_deref().unwrap();
    assert_eq!((rules.last_up, rules.last_down), (Some(at(0)), None));
    let decision = world.step(&[10, 60], at(105));
    assert_eq!(progress(&decision, 0, 0), Progress::Pending { held: Span::seconds(90), until: at(315) });
    world.run(&[10, 60], 120, 300);
    world.reads(0, 10, at(315));
    assert_eq!((world.vote(0, at(315)), world.outcome(at(315))), (Vote::Lower(5), (6, Limit::Gate)));
}

#[test]
fn what_is_stored_of_rules_is_refused_if_it_is_malformed() {
    let world = golden();
    for text in
        [r#"{"v":1,"r":{"s":"x"}}"#, r#"{"v":1,"r":{"s":9223372036854775807}}"#, r#"{"v":1,"r":{"g":[[1,300]]}}"#]
    {
        let error = Checkpoint(text.to_owned()).restore(&world.policy, 5, now(at(0))).unwrap_err();
        assert_eq!(error.reason(), "CheckpointMalformed", "{text}");
    }
    let odd = r#"{"v":1,"r":{"s":0,"t":[[5,1],[6,2]],"g":[[7,1]],"later":true}}"#;
    assert!(Checkpoint(odd.to_owned()).restore(&world.policy, 5, now(at(0))).is_ok(), "of rules that are gone");
}

/// One object goes on, another is read back from what was stored at any second: it never lowers earlier, and at most one `for` later.
#[test]
fn a_timer_survives_a_checkpoint_at_any_second() {
    for second in 1..420 {
        let mut world = lowering(300);
        let mut text = Checkpoint::default();
        let mut lowered = None;
        let mut restarted = false;
        for tick in 0..=900 {
            if tick == second {
                world.memory = text.restore(&world.policy, world.target.replicas, now(at(tick))).unwrap();
                restarted = true;
            }
            if tick % 15 != 0 || lowered.is_some() {
                continue;
            }
            world.reads(0, 10, at(tick));
            let decision = world.look(at(tick));
            let flips = world.memory.flips(&decision.effects);
            world.pass(at(tick));
            if flips || text == Checkpoint::default() {
                text = Checkpoint::of(&world.memory, now(at(tick)));
            }
            lowered = decision.write.map(|_| tick);
        }
        let lowered = lowered.unwrap();
        assert!(restarted && (300..=second.min(300) + 315).contains(&lowered), "{second}: {lowered}");
    }
}
