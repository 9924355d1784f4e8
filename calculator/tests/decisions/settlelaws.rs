//! What holds for all policies, rules and histories while a trigger settles.

use proptest::prelude::*;
use tidegate_calculator::decision::{Decision, Progress, Step};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::{Evidence, SETTLING};
use tidegate_calculator::rules::{Block, Change, Condition, Gate, Release, Take, Window};
use tidegate_calculator::source::Milli;
use tidegate_calculator::time::{Span, Tick};

use crate::checkpoint::now as at_wall;
use crate::random::{Happening, settles, settling_moves};
use crate::ruled::{above, below, gate, held};
use crate::rulelaws::ruled;
use crate::world::World;

/// The same world, in which what has failed settles, and what settles has failed.
fn other(world: &World, settled: bool, now: Tick) -> World {
    let mut other = world.clone();
    for evidence in &mut other.triggers {
        if let Evidence::Failed { error, good, .. } | Evidence::Settling { error, good, .. } = evidence.clone() {
            *evidence = if settled {
                Evidence::Settling { error, since: now - Span(1), until: now + SETTLING, good }
            } else {
                Evidence::Failed { error, since: now - Span(1), good }
            };
        }
    }
    other
}

/// The triggers that settle.
fn settling(decision: &Decision) -> Vec<u8> {
    let of = |step: &Step| match step {
        Step::Settling { trigger, .. } => Some(*trigger),
        _ => None,
    };
    decision.steps.iter().filter_map(of).collect()
}

/// Whether something is done about a trigger because it has failed.
fn acts_for(step: &Step, failed: u8) -> bool {
    match step {
        Step::Failed { trigger, .. }
        | Step::Substituted { trigger, .. }
        | Step::FallbackWaits { trigger, .. }
        | Step::OnError { trigger, .. } => *trigger == failed,
        _ => false,
    }
}

proptest! {
    #![proptest_config(crate::cases(1_500))]

    /// Whatever has failed, for however long and with whatever fallback and `onError`: would it settle instead, nothing would be lowered
    /// further, by metrics nothing at all, and nobody would hear of a failure.
    #[test]
    fn a_failure_that_settles_instead_never_lowers_more(mut world in ruled(), moves in settling_moves(40)) {
        let mut now = Tick(0);
        for step in moves {
            now = now + Span(step.gap);
            world.happens(step.happening, now);
            let (settled, failed) = (other(&world, true, now).look(now), world.look(now));
            let current = world.target.replicas;
            prop_assert!(!settles(&settled) || !settled.lowers_by_metrics, "{settled:?}");
            let quiet = settling(&settled).iter().all(|trigger| !settled.steps.iter().any(|step| acts_for(step, *trigger)));
            prop_assert!(quiet, "{settled:?}");
            // Down to a maximum that the clock has lowered needs no metrics; `onError: Hold` alone stands against it.
            let bound = settled.steps.iter().any(|step| matches!(step, Step::Capped { .. }));
            prop_assert!(bound || settled.desired >= failed.desired.min(current), "{settled:?}\nfailed {failed:?}");
            if step.writes { world.act(now) } else { world.pass(now) };
        }
    }

    /// An active object stays active for as long as something settles.
    #[test]
    fn what_was_active_is_active_while_something_settles(mut world in ruled(), moves in settling_moves(40)) {
        let mut now = Tick(0);
        for step in moves {
            now = now + Span(step.gap);
            world.happens(step.happening, now);
            let before = world.memory.active;
            let decision = if step.writes { world.act(now) } else { world.pass(now) };
            if settles(&decision) && before {
                prop_assert!(decision.active && decision.effects.active_at == Some(now), "{decision:?}");
            }
        }
    }

    /// The time in which a trigger settles is no time for its rules and gates: with it and without it they say the same, that much later.
    #[test]
    fn rules_and_gates_do_not_notice_it(
        readings in prop::collection::vec((1_i64..70_000, 0_i64..100), 1..30), at in 0_usize..30, length in 1_i64..300_000,
        passes in prop::collection::vec(1_i64..300_000, 0..4), over in prop::option::of(1_i64..60_000), take in 0..3,
    ) {
        let take = [Take::Min, Take::Max, Take::Avg][usize::try_from(take).unwrap()];
        let mut plain = watched(over.map(|over| Window { take, over: Span(over) }));
        let mut settled = plain.clone();
        let (mut tick, mut later) = (Tick(0), Span::ZERO);
        for (index, (gap, total)) in readings.into_iter().enumerate() {
            tick = tick + Span(gap);
            if index == at {
                let (begin, end) = (tick, tick + Span(length));
                settled.settles(0, begin);
                let looks = passes.iter().map(|pass| begin + Span(*pass)).filter(|look| *look < end);
                let mut looks: Vec<Tick> = looks.chain([begin]).collect();
                looks.sort();
                for look in looks {
                    settled.happens(Happening::Settles { trigger: 0, limit: SETTLING.0 }, look);
                    settled.pass(look);
                }
                later = Span(length);
            }
            plain.reads(0, total, tick);
            settled.reads(0, total, tick + later);
            let (without, with) = (plain.pass(tick), settled.pass(tick + later));
            prop_assert_eq!(said(&without, Span::ZERO), said(&with, later), "at {:?}, {:?} later", tick, later);
        }
    }
}

/// What happens to one trigger before a pass.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Total(i64),
    Settles,
    Fails,
}

fn answers(most: usize) -> impl Strategy<Value = Vec<(i64, Answer)>> {
    // Stretches of the same kind, so that rules have time to assert.
    let total = prop_oneof![4 => Just(20_i64), 2 => Just(58_i64), 1 => 0_i64..100].prop_map(Answer::Total);
    let answer = prop_oneof![6 => total, 3 => Just(Answer::Settles), 1 => Just(Answer::Fails)];
    prop::collection::vec((1_i64..40_000, answer), 1..most)
}

fn answer(world: &mut World, answer: Answer, now: Tick) {
    match answer {
        Answer::Total(total) => world.reads(0, total, now),
        Answer::Settles => world.settles(0, now),
        Answer::Fails => world.fails_again(0, now),
    }
}

proptest! {
    #![proptest_config(crate::cases(1_500))]

    /// A process ends while or after something settles, or before. What is read back of its text lowers no earlier than what went on.
    #[test]
    fn read_back_nothing_is_lowered_earlier(before in answers(30), after in answers(30), gap in 0_i64..100_000) {
        let (mut world, mut tick, mut text) = (watched(None), Tick(0), Checkpoint::default());
        for (gap, said) in before {
            tick = tick + Span(gap);
            answer(&mut world, said, tick);
            let flips = world.memory.flips(&world.look(tick).effects);
            world.pass(tick);
            if flips {
                text = Checkpoint::of(&world.memory, at_wall(tick));
            }
        }
        tick = tick + Span(gap);
        let mut back = World { memory: text.restore(&world.policy, 5, at_wall(tick)).unwrap(), ..world.clone() };
        // The new process has heard nothing of what was answered before.
        back.triggers[0] = Evidence::Unread;
        for (gap, said) in after {
            tick = tick + Span(gap);
            answer(&mut world, said, tick);
            answer(&mut back, said, tick);
            let (here, there) = (world.pass(tick), back.pass(tick));
            prop_assert!(there.desired >= here.desired.min(5), "at {tick:?}: {there:?}\nbut live {here:?}");
        }
    }
}

/// One trigger with two rules and a gate, all of which take their time; nothing else looks at it.
fn watched(window: Option<Window>) -> World {
    let steps = [held(above(60), Change::Add(1), 90), held(below(40), Change::Remove(1), 120)];
    let mut world = World::ruled(5, &[&steps]);
    world.rules(0).window = window;
    let release = Release { condition: Condition::Below(Milli::units(50)), held_for: Span::seconds(80) };
    let gate = gate(0, above(55), Block::Both);
    world.policy.rules.gates = vec![Gate { held_for: Span::seconds(45), release: Some(release), ..gate }];
    world
}

/// What rules and gates say; moments are told as if everything had been `later` earlier.
fn said(decision: &Decision, later: Span) -> Vec<Step> {
    let earlier = |step: Step| match step {
        Step::Rule { trigger, rule, value, condition, needed, progress } => {
            let progress = match progress {
                Progress::Pending { held, until } => Progress::Pending { held, until: until - later },
                other => other,
            };
            Step::Rule { trigger, rule, value, condition, needed, progress }
        }
        Step::Gate { name, trigger, value, state, block, until } => {
            Step::Gate { name, trigger, value, state, block, until: until.map(|until| until - later) }
        }
        other => other,
    };
    let rules = decision.steps.iter().filter(|step| matches!(step, Step::Rule { .. } | Step::Gate { .. }));
    rules.cloned().map(earlier).collect()
}
