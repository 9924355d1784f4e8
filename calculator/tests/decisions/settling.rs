//! A trigger that settles: what it measures has just begun. Neither a value nor a failure, for 300 s at most.

use tidegate_calculator::decision::{Decision, DoorState, Health, Limit, Progress, Step, Veto, Vote};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::{Evidence, SETTLING};
use tidegate_calculator::policy::{Fallback, FallbackBehavior};
use tidegate_calculator::rules::{Block, Change, Gate, OnError, Take, Window};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tidegate_calculator::time::{Span, Tick};

use crate::checkpoint::now;
use crate::random::settles;
use crate::ruled::{above, below, gate, held, progress, release, rule};
use crate::world::{World, at};

/// Five replicas of at least one, 100 items a replica, and so many triggers; windows are over at once.
fn five(triggers: usize) -> World {
    let mut world = World::new(5, 100, &vec![500; triggers]);
    world.policy.min = 1;
    world.policy.settings.downscale_window = Span::ZERO;
    world.act(at(0));
    world
}

fn fails_as(decision: &Decision) -> Option<(ReadErrorKind, Tick)> {
    decision.steps.iter().find_map(|step| match step {
        Step::Failed { kind, since, .. } => Some((*kind, *since)),
        _ => None,
    })
}

fn state(decision: &Decision) -> DoorState {
    let found = decision.steps.iter().find_map(|step| match step {
        Step::Gate { state, .. } => Some(*state),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn it_holds_for_five_minutes_and_is_a_failure_then() {
    assert_eq!(SETTLING, Span::seconds(300));
    let mut world = five(1);
    let message = "a vertex has not run for 1 m".to_owned();
    let step = Step::Settling { trigger: 0, message, since: at(10), until: at(310) };
    world.settles(0, at(10));
    // At its first answer, 5 s later without and with another one, and 1 ms before its end.
    for tick in [at(10), at(15), at(15), Tick(309_999)] {
        let decision = world.act(tick);
        assert_eq!((decision.write, decision.limited_by, decision.next), (None, Limit::Settling, Some(at(310))));
        assert_eq!((decision.health, decision.active), (Health::Good, true), "at {tick:?}");
        assert!(decision.steps.contains(&step), "{decision:?}");
        assert!(decision.steps.contains(&Step::SettlingHold { settling: 1, proposal: None }));
        assert_eq!((fails_as(&decision), decision.effects.record), (None, None), "nothing is recorded");
        world.settles(0, tick);
    }
    // 10 + 300. Whether another answer came then or not.
    let mut told = world.clone();
    told.settles(0, at(310));
    for mut world in [world, told] {
        let decision = world.act(at(310));
        assert_eq!(
            (decision.write, decision.limited_by, decision.health),
            (None, Limit::FailedTrigger, Health::Failing)
        );
        assert_eq!(fails_as(&decision), Some((ReadErrorKind::Settling, at(310))));
        assert!(!settles(&decision) && !decision.active);
        world.settles(0, at(900));
        assert_eq!(fails_as(&world.look(at(900))), Some((ReadErrorKind::Settling, at(310))), "it stays one");
        world.reads(0, 100, at(905));
        world.act(at(905));
        world.settles(0, at(920));
        assert!(settles(&world.look(at(920))), "after a value it begins anew");
    }
}

#[test]
fn answers_in_a_row_are_told_from_those_that_another_answer_broke() {
    let settling = || ReadError::query(ReadErrorKind::Settling, "just begun");
    let late = || ReadError::endpoint(ReadErrorKind::Timeout, "late");
    let good = Evidence::Good { readings: Vec::new(), begun: at(0), at: at(1) };
    let first = good.after(settling(), at(10));
    assert_eq!(first, Evidence::Settling { error: settling(), since: at(10), until: at(310), good: Some(at(1)) });
    assert_eq!(first.after(settling(), at(300)), first);
    assert_eq!((first.failure(Tick(309_999)), first.failure(at(310))), (None, Some((&settling(), at(310)))));
    let failed = first.after(late(), at(20));
    assert_eq!(failed, Evidence::Failed { error: late(), since: at(20), good: Some(at(1)) });
    assert_eq!(failed.after(late(), at(25)), failed);
    let second = failed.after(settling(), at(30));
    assert_eq!(second, Evidence::Settling { error: settling(), since: at(30), until: at(330), good: Some(at(1)) });
    let overdue = second.after(late(), at(400));
    assert_eq!(overdue, Evidence::Failed { error: late(), since: at(330), good: Some(at(1)) }, "it has failed since");
}

#[test]
fn others_may_raise_and_nothing_is_lowered() {
    let mut world = five(2);
    world.settles(1, at(10));
    world.reads(0, 300, at(15));
    let lower = world.look(at(15));
    assert_eq!((lower.write, lower.limited_by, lower.effects.record), (None, Limit::Settling, None));
    assert!(lower.steps.contains(&Step::SettlingHold { settling: 1, proposal: Some(3) }));
    world.reads(0, 800, at(20));
    let raise = world.look(at(20));
    assert_eq!((raise.write, raise.limited_by, raise.effects.record), (Some(8), Limit::Metrics, Some(8)));
    // Beside a failure it is the failure that speaks, and both have a step.
    world.fails(0, at(25));
    let both = world.look(at(25));
    assert_eq!((both.write, both.limited_by), (None, Limit::FailedTrigger));
    assert!(both.steps.contains(&Step::FailureHold { failed: 1, proposal: None }) && settles(&both));
}

#[test]
fn the_window_goes_on_without_it() {
    let mut world = five(1);
    world.policy.settings.downscale_window = Span::seconds(300);
    world.run(&[500], 15, 90);
    world.settles(0, at(100));
    for second in (100..=160).step_by(15) {
        assert_eq!(world.act(at(second)).effects.record, None);
    }
    // 70 s without a recommendation: what is there is held first, and counts for 300 s.
    world.reads(0, 100, at(165));
    let decision = world.act(at(165));
    assert_eq!((decision.write, decision.effects.hold, decision.effects.record), (None, Some(5), Some(1)));
    world.run(&[100], 180, 465);
    assert_eq!(world.look(at(465)).limited_by, Limit::Stabilization);
    world.reads(0, 100, Tick(465_001));
    assert_eq!(world.outcome(Tick(465_001)), (1, Limit::Metrics), "165 + 300");
}

/// One replica of at least none, cooldown 300 s; active at 10 s.
fn resting() -> World {
    let mut world = World::new(1, 5, &[3]);
    world.step(&[3], at(10));
    world
}

#[test]
fn what_was_active_stays_so_and_its_cooldown_begins_after_it() {
    let mut world = resting();
    for second in (20..=200).step_by(15) {
        world.settles(0, at(second));
        let decision = world.act(at(second));
        assert_eq!((decision.active, decision.write, decision.health), (true, None, Health::Good));
    }
    assert_eq!(world.memory.last_active, Some(at(200)));
    world.step(&[0], at(210));
    world.reads(0, 0, at(500));
    assert_eq!(world.outcome(at(500)), (1, Limit::Cooldown));
    world.reads(0, 0, Tick(500_001));
    assert_eq!(world.outcome(Tick(500_001)), (0, Limit::Idle), "200 + 300, and strictly after it");
}

#[test]
fn what_was_inactive_stays_so_and_zero_is_not_entered_on_it() {
    let mut world = resting();
    world.step(&[0], at(20));
    world.settles(0, at(30));
    let cooling = world.act(at(30));
    assert!(cooling.steps.contains(&Step::Cooldown { last_active: Some(at(10)), until: Tick(310_001) }), "it goes on");
    assert_eq!((cooling.active, cooling.limited_by), (false, Limit::Settling));
    // 10 + 300 and strictly after it. It has settled until 330 s.
    for second in [311, 329] {
        let decision = world.act(at(second));
        assert_eq!((decision.write, decision.limited_by, decision.next), (None, Limit::Settling, Some(at(330))));
        assert!(decision.steps.contains(&Step::Awaiting));
    }
    let failed = world.look(at(330));
    assert_eq!((failed.write, failed.limited_by), (None, Limit::FailedTrigger));
    world.reads(0, 0, at(329));
    assert_eq!(world.outcome(at(329)), (0, Limit::Idle));
}

#[test]
fn it_wakes_nobody_at_rest() {
    let mut world = World::new(0, 5, &[0]);
    world.act(at(0));
    world.settles(0, at(10));
    let decision = world.act(at(10));
    assert_eq!((decision.write, decision.limited_by, decision.active), (None, Limit::Idle, false));
    // Another trigger does, by its own count.
    let mut world = World::new(0, 5, &[0, 40]);
    world.settles(0, at(1));
    assert_eq!(world.act(at(1)).write, Some(8));
}

#[test]
fn a_fallback_counts_none_of_it() {
    let mut world = five(1);
    world.policy.fallback = Some(Fallback { threshold: 3, replicas: 8, behavior: FallbackBehavior::Static });
    for second in (10..310).step_by(15) {
        world.settles(0, at(second));
        let decision = world.act(at(second));
        assert!(!decision.steps.iter().any(|step| matches!(step, Step::FallbackWaits { .. })));
        assert!(world.memory.failing.is_empty() && decision.write.is_none());
    }
    // It fails from 310 s on: one at 310, the fourth at 310 + 3 * 30 = 400.
    assert!(world.act(at(310)).steps.contains(&Step::FallbackWaits { trigger: 0, until: at(400) }));
    world.settles(0, at(399));
    world.act(at(399));
    assert_eq!(world.outcome(Tick(399_999)).0, 5);
    assert_eq!(world.outcome(at(400)), (8, Limit::Metrics));
}

#[test]
fn a_count_of_failures_stands_still_meanwhile() {
    let mut world = five(1);
    world.policy.fallback = Some(Fallback { threshold: 3, replicas: 8, behavior: FallbackBehavior::Static });
    world.fails_again(0, at(10));
    world.act(at(10));
    world.act(at(40));
    world.settles(0, at(40));
    world.act(at(41));
    world.act(at(100));
    // 30 s of it were seen: 10..40. From 160 s on it goes on, so it acts at 160 + 90 - 30 = 220.
    world.fails_again(0, at(160));
    assert!(world.act(at(160)).steps.contains(&Step::FallbackWaits { trigger: 0, until: at(220) }));
    assert_eq!(world.outcome(Tick(219_999)).0, 5);
    assert_eq!(world.act(at(220)).write, Some(8));
    // One that acts ends with it, and nothing is lowered for that.
    world.settles(0, at(230));
    let decision = world.act(at(230));
    assert_eq!((decision.write, decision.limited_by, decision.fallbacks().count()), (None, Limit::Settling, 0));
}

#[test]
fn on_error_does_not_act() {
    for on_error in [OnError::Hold, OnError::Ignore, OnError::LastKnown(Span::seconds(600))] {
        let mut world = five(2);
        world.on_error(1, on_error);
        world.step(&[500, 900], at(5));
        world.replicas(5);
        world.settles(1, at(10));
        world.reads(0, 300, at(15));
        let lower = world.act(at(15));
        assert_eq!((lower.write, lower.limited_by), (None, Limit::Settling), "{on_error:?} lets nothing fall");
        assert!(!lower.steps.iter().any(|step| matches!(step, Step::OnError { .. })), "{lower:?}");
        world.reads(0, 800, at(20));
        assert_eq!(world.outcome(at(20)), (8, Limit::Metrics), "{on_error:?} lets the other one raise");
        // Once it is a failure it does: the last known value is 900, and of 5 s.
        let failed = world.look(at(310));
        assert!(failed.steps.iter().any(|step| matches!(step, Step::OnError { .. })), "{failed:?}");
        let expected = match on_error {
            OnError::Hold => 5,
            OnError::LastKnown(_) => 9,
            _ => 8,
        };
        assert_eq!(failed.desired, expected, "{on_error:?}");
    }
    // Zero is not entered without it, though it would drop out as a failure.
    let mut world = World::new(1, 5, &[0, 0]);
    world.on_error(1, OnError::Ignore);
    world.policy.cooldown = Span::seconds(5);
    world.memory.last_active = Some(at(0));
    world.settles(1, at(1));
    world.reads(0, 0, at(20));
    assert_eq!(world.outcome(at(20)), (1, Limit::Settling));
    world.fails(1, at(1));
    assert_eq!(world.outcome(at(20)), (0, Limit::Idle));
}

#[test]
fn a_timer_stands_still_and_goes_on_where_it_was() {
    let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 300)]]);
    world.run(&[10], 0, 195);
    for second in (200..260).step_by(15) {
        world.settles(0, at(second));
        let decision = world.act(at(second));
        assert_eq!((decision.write, decision.limited_by), (None, Limit::Settling));
    }
    // 200 s until it settled, and from 260 s on 100 more: 360.
    world.reads(0, 10, at(260));
    let first = world.act(at(260));
    assert_eq!(progress(&first, 0, 0), Progress::Pending { held: Span::seconds(200), until: at(360) });
    world.run(&[10], 275, 350);
    assert_eq!(world.vote(0, Tick(359_999)), Vote::Hold(5));
    assert_eq!(world.step(&[10], at(360)).write, Some(4));
}

#[test]
fn it_begins_anew_if_the_condition_has_ended_the_gap_was_too_long_or_the_replicas_changed() {
    let lowering = || World::ruled(5, &[&[held(below(20), Change::Remove(1), 300)]]);
    let mut ended = lowering();
    ended.run(&[10], 0, 195);
    ended.settles(0, at(200));
    ended.act(at(200));
    assert_eq!(progress(&ended.step(&[20], at(260)), 0, 0), Progress::Off);
    // Without what does not count the gap is 195..255 = 60 s, or 61 s.
    for (begins, since) in [(255, 260 - 255), (256, 260)] {
        let mut gap = lowering();
        gap.run(&[10], 0, 195);
        gap.settles(0, at(begins));
        gap.act(at(begins));
        gap.reads(0, 10, at(260));
        let held = at(260) - at(since);
        let until = at(since + 300);
        assert_eq!(progress(&gap.act(at(260)), 0, 0), Progress::Pending { held, until }, "from {begins} s on");
    }
    // Our own operation has changed the replicas meanwhile: nothing has held since before its end.
    let mut changed = lowering();
    changed.run(&[10], 0, 195);
    changed.settles(0, at(200));
    changed.act(at(200));
    changed.memory.changed_by_others(6, at(230));
    changed.replicas(6);
    changed.act(at(230));
    changed.reads(0, 10, at(260));
    assert_eq!(progress(&changed.act(at(260)), 0, 0), Progress::Pending { held: Span::ZERO, until: at(560) });
}

#[test]
fn once_it_is_a_failure_the_data_has_a_gap() {
    let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 300)]]);
    world.run(&[10], 0, 195);
    world.settles(0, at(200));
    world.act(at(200));
    // Whenever a pass looks at it first.
    world.act(at(510));
    // 5 s before it and 50 s after its end are 55 s; 56 s would be 61 s.
    let mut short = world.clone();
    short.reads(0, 10, at(550));
    assert_eq!(progress(&short.act(at(550)), 0, 0), Progress::Pending { held: Span::seconds(250), until: at(600) });
    world.reads(0, 10, at(556));
    assert_eq!(progress(&world.act(at(556)), 0, 0), Progress::Pending { held: Span::ZERO, until: at(856) });
    // So has another failure: 5 s before it and 55 s or 56 s from 230 s on.
    for (second, since) in [(285, 285 - 255), (286, 286)] {
        let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 300)]]);
        world.run(&[10], 0, 195);
        world.settles(0, at(200));
        world.act(at(200));
        world.fails_again(0, at(230));
        world.act(at(240));
        world.reads(0, 10, at(second));
        let held = at(second) - at(since);
        let expected = Progress::Pending { held, until: at(since + 300) };
        assert_eq!(progress(&world.act(at(second)), 0, 0), expected, "read at {second} s");
    }
}

#[test]
fn a_window_keeps_its_readings() {
    let mut world = World::ruled(5, &[&[rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 0)]]);
    world.rules(0).window = Some(Window { take: Take::Max, over: Span::seconds(60) });
    world.run(&[50], 0, 45);
    world.run(&[10], 60, 90);
    world.settles(0, at(95));
    world.act(at(95));
    // Without 95..245 the 50 of 45 s is 50 s old at 245 s, and leaves the window 10 s later.
    world.reads(0, 10, at(245));
    assert_eq!(world.vote(0, at(245)), Vote::Hold(5));
    world.pass(at(245));
    world.reads(0, 10, Tick(254_999));
    assert_eq!(world.vote(0, Tick(254_999)), Vote::Hold(5), "45 + 150 + 60 = 255");
    world.reads(0, 10, at(255));
    assert_eq!(world.vote(0, at(255)), Vote::Lower(4));
}

/// Five replicas, +1 above 80 and -1 below 20 at once, and a gate over the second trigger, which is a signal.
fn gated(gate: Gate) -> World {
    let rules = [rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 0)];
    let mut world = World::ruled(5, &[&rules, &[]]);
    world.signal(1);
    world.policy.rules.gates = vec![gate];
    world
}

#[test]
fn a_gate_stays_what_it_was_and_its_timers_stand_still() {
    let mut world = gated(Gate { release: release(below(50), 120), ..gate(1, above(70), Block::ScaleDown) });
    world.step(&[50, 71], at(0));
    world.run(&[10, 40], 15, 75);
    for second in (80..140).step_by(15) {
        world.settles(1, at(second));
        world.reads(0, 10, at(second));
        let decision = world.act(at(second));
        assert_eq!((decision.write, decision.limited_by, state(&decision)), (None, Limit::Gate, DoorState::Blind));
        assert!(decision.steps.contains(&Step::Vetoed { by: Veto::Gate { gate: 0 }, wanted: 4 }));
    }
    world.reads(0, 90, at(135));
    assert_eq!(world.outcome(at(135)).0, 6, "raising is free");
    // Its release has held for 65 s until 80 s, and goes on at 140 s: 140 + 55 = 195.
    world.run(&[10, 40], 140, 185);
    let last = world.look(Tick(194_999));
    assert_eq!((last.write, state(&last), last.next), (None, DoorState::Closed, Some(at(195))));
    assert_eq!(world.step(&[10, 40], at(195)).write, Some(4));
    // What closes it stands still as well: 30 s of 60 s, then 30 s more.
    let mut world = gated(Gate { held_for: Span::seconds(60), ..gate(1, above(70), Block::ScaleUp) });
    world.step(&[50, 10], at(0));
    world.run(&[50, 71], 15, 45);
    world.settles(1, at(45));
    world.act(at(45));
    world.run(&[50, 71], 100, 115);
    let pending = world.look(at(115));
    assert_eq!((state(&pending), pending.next), (DoorState::Open, Some(at(130))));
    world.reads(0, 90, at(130));
    world.reads(1, 71, at(130));
    assert_eq!(world.outcome(at(130)), (5, Limit::Gate));
}

#[test]
fn a_signal_that_settles_counts_for_nothing_but_its_gates() {
    let mut world = gated(gate(1, above(70), Block::ScaleUp));
    world.settles(1, at(10));
    world.reads(0, 10, at(15));
    let decision = world.act(at(15));
    assert_eq!((decision.write, decision.health, decision.active), (Some(4), Health::Good, true));
    assert!(!settles(&decision), "it is not told as a trigger that holds");
    world.policy.min = 0;
    world.policy.cooldown = Span::ZERO;
    world.good(0, 50, false, at(30), at(30));
    assert_eq!(world.outcome(at(30)), (0, Limit::Idle), "nor does it keep anything from its rest");
}

#[test]
fn a_timer_that_stands_still_is_not_stored_and_begins_anew_after_a_restart() {
    let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 300)]]);
    world.run(&[10], 0, 195);
    let text = |world: &World, second: i64| Checkpoint::of(&world.memory, now(at(second))).0;
    assert!(text(&world, 195).contains("\"t\":[["), "75 s and more of it are stored");
    world.settles(0, at(200));
    assert!(world.memory.flips(&world.look(at(200)).effects), "read back later it would have gone on");
    world.act(at(200));
    assert!(!text(&world, 200).contains("\"t\":[["));
    assert!(!world.memory.flips(&world.look(at(215)).effects), "that is told once");
    world.memory = Checkpoint(text(&world, 210)).restore(&world.policy, 5, now(at(220))).unwrap();
    // Another process knows nothing of the answers before: it settles for 300 s from its first answer on.
    world.triggers[0] = Evidence::Unread;
    world.settles(0, at(221));
    assert_eq!(world.act(at(221)).next, Some(at(521)));
    world.reads(0, 10, at(260));
    assert_eq!(progress(&world.act(at(260)), 0, 0), Progress::Pending { held: Span::ZERO, until: at(560) });
}
