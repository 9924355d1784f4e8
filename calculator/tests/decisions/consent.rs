//! A policy that is missing or invalid: the object is raised and never lowered.

use tidegate_calculator::decision::{Limit, Step, Veto};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::Consent;
use tidegate_calculator::rules::{Block, Change, Gate, Rules, Take, Window};
use tidegate_calculator::time::Span;

use crate::checkpoint::now;
use crate::ruled::{above, below, gate, held, release, rule};
use crate::world::{World, at};

/// 20 replicas of at most 10, then 5 of which 1 is wanted: neither is lowered. 10 wanted of 5: raised.
#[test]
fn nothing_is_lowered_and_everything_is_raised() {
    let cases = [
        (Consent::PolicyMissing, Veto::PolicyMissing, Limit::PolicyMissing, "a missing policy"),
        (Consent::PolicyInvalid, Veto::PolicyInvalid, Limit::PolicyInvalid, "an invalid policy"),
    ];
    for (consent, veto, limit, words) in cases {
        let mut world = World::new(20, 5, &[1_000]);
        world.policy.max = 10;
        world.policy.consent = consent;
        let above = world.look(at(1));
        assert_eq!((above.write, above.limited_by), (None, limit));
        assert!(above.steps.contains(&Step::Vetoed { by: veto, wanted: 10 }));
        let why = tidegate_calculator::explain::why(
            &world.policy,
            &[],
            &above,
            tidegate_calculator::time::Now { tick: at(1), wall: jiff::Timestamp::UNIX_EPOCH },
        );
        assert!(why.contains(words), "{why}");
        let mut world = World::new(5, 5, &[50]);
        world.policy.consent = consent;
        assert_eq!(world.look(at(1)).write, Some(10));
    }
}

/// From 0 to 1 at 0 s, under a policy that lowers an hour after a raise at the earliest.
fn woken() -> World {
    let mut world = World::new(0, 100, &[0]);
    world.policy.min = 0;
    world.policy.rules.direction_cooldown.down_after_up = Span::seconds(3_600);
    assert_eq!(world.step(&[50], at(0)).write, Some(1));
    world
}

fn without_policy(world: &mut World, consent: Consent) -> Rules {
    world.policy.consent = consent;
    std::mem::take(&mut world.policy.rules)
}

fn with_policy(world: &mut World, rules: Rules) {
    (world.policy.consent, world.policy.rules) = (Consent::Full, rules);
}

#[test]
fn a_policy_that_goes_and_comes_again_has_forgotten_no_cooldown() {
    let first =
        |world: &mut World| (45..=5_000).step_by(15).find(|second| world.step(&[0], at(*second)).write.is_some());
    assert_eq!(first(&mut woken()), Some(3_600));
    for consent in [Consent::PolicyMissing, Consent::PolicyInvalid] {
        for restarted in [false, true] {
            let mut world = woken();
            let rules = without_policy(&mut world, consent);
            world.step(&[50], at(15));
            if restarted {
                let text = Checkpoint::of(&world.memory, now(at(20)));
                world.memory = text.restore(&world.policy, 1, now(at(25))).unwrap();
            }
            world.step(&[50], at(30));
            with_policy(&mut world, rules);
            assert_eq!(first(&mut world), Some(3_600), "{consent:?} {restarted}");
        }
    }
    // What was written in between counts too: the hour begins at 30 s.
    let mut world = woken();
    let rules = without_policy(&mut world, Consent::PolicyMissing);
    assert_eq!(world.step(&[200], at(30)).write, Some(2));
    with_policy(&mut world, rules);
    assert_eq!(first(&mut world), Some(3_630));
}

#[test]
fn a_gate_is_still_closed_when_its_policy_comes_again_and_an_open_one_is_unknown() {
    for (seen, raised, lowered) in [(71, false, false), (40, true, false)] {
        for (restarted, others) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut world =
                World::ruled(5, &[&[rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 0)], &[]]);
            world.signal(1);
            world.policy.rules.gates =
                vec![Gate { release: release(below(50), 60), ..gate(1, above(70), Block::Both) }];
            world.run(&[50, seen], 0, 60);
            let mut rules = without_policy(&mut world, Consent::PolicyMissing);
            if others {
                // Another policy is there all the time.
                world.policy.rules = Rules { gates: Vec::new(), ..rules.clone() };
            }
            world.step(&[50, 60], at(75));
            if restarted {
                let text = Checkpoint::of(&world.memory, now(at(80)));
                world.memory = text.restore(&world.policy, 5, now(at(85))).unwrap();
            }
            world.step(&[50, 60], at(90));
            rules.gates[0].name = "pressure".into();
            with_policy(&mut world, rules);
            let moves = |value: i64| world.clone().step(&[value, 60], at(105)).write.is_some();
            let known = format!("{seen}, restarted: {restarted}, others: {others}");
            assert_eq!(moves(90), raised, "{known}");
            // Without a restart and without any rules meanwhile an open gate is what it was a minute ago.
            assert_eq!(moves(10), lowered || (seen == 40 && !restarted && !others), "{known}");
        }
    }
}

#[test]
fn a_timer_does_not_go_on_over_the_time_without_its_policy() {
    for (restarted, windowed) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 300)]]);
        world.rules(0).window = windowed.then_some(Window { take: Take::Max, over: Span::seconds(30) });
        world.run(&[10], 0, 150);
        let rules = without_policy(&mut world, Consent::PolicyMissing);
        world.step(&[10], at(165));
        if restarted {
            let text = Checkpoint::of(&world.memory, now(at(170)));
            world.memory = text.restore(&world.policy, 5, now(at(175))).unwrap();
        }
        world.run(&[10], 180, 600);
        with_policy(&mut world, rules);
        let first = (615..=1_200).step_by(15).find(|second| world.step(&[10], at(*second)).write.is_some());
        // The window is full after 30 s.
        assert_eq!(first, Some(if windowed { 945 } else { 915 }), "restarted: {restarted}, windowed: {windowed}");
    }
}

/// 9,000 of 5 would be the maximum; nobody looked at the 5 while the trigger had steps.
#[test]
fn a_trigger_whose_steps_are_lost_holds_and_raises_nothing_by_its_ratio() {
    let mut world = World::new(7, 5, &[9_000, 0]);
    world.policy.consent = Consent::PolicyInvalid;
    world.rules(0).steps_lost = true;
    let decision = world.look(at(1));
    assert_eq!(decision.write, None);
    assert!(decision.steps.contains(&Step::StepsLost { trigger: 0, replicas: 7 }), "{:?}", decision.steps);
    world.reads(1, 50, at(2));
    assert_eq!(world.look(at(2)).write, Some(10), "the other trigger raises");
    world.replicas(0);
    assert_eq!(world.act(at(3)).write, Some(10));
    world.replicas(0);
    world.good(1, 0, false, at(4), at(4));
    assert_eq!(world.look(at(4)).write, Some(1), "it is active all the same");
}
