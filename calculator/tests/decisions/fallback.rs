//! KEDA's fallback and useCachedMetrics, row by row (keda-semantics §4.5, §4.7, §4.10), as timelines.
//!
//! Unless a test says otherwise the polling interval is 30 s and the threshold 3: the first failure counts one, the others come at 30 s,
//! 60 s and 90 s, and the fourth is more than three.

use tidegate_calculator::decision::{Health, Limit, Step};
use tidegate_calculator::explain;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::policy::{Fallback, FallbackBehavior, Pause};
use tidegate_calculator::rules::Change;
use tidegate_calculator::source::MetricType;
use tidegate_calculator::time::{Span, Tick};

use crate::checkpoint::{now, now_of};
use crate::ruled::{above, below, held, rule};
use crate::world::{World, at};

/// `replicas` with one trigger that has failed since 0, and a fallback to `to`.
fn failing(replicas: u32, threshold: u32, to: u32, behavior: FallbackBehavior) -> World {
    let mut world = World::new(replicas, 5, &[0]);
    world.policy.fallback = Some(Fallback { threshold, replicas: to, behavior });
    world.policy.settings.downscale_window = Span::ZERO;
    world.policy.cooldown = Span::seconds(60);
    world.memory.last_active = Some(at(0));
    world.fails(0, at(0));
    world
}

fn to_five(replicas: u32) -> World {
    failing(replicas, 3, 5, FallbackBehavior::Static)
}

fn falls_back(world: &World, tick: Tick) -> bool {
    world.look(tick).fallbacks().next().is_some()
}

#[test]
fn a_threshold_of_three_acts_on_the_fourth_failure() {
    let mut world = to_five(3);
    for second in [0, 15, 30, 60, 75] {
        let decision = world.act(at(second));
        assert_eq!((decision.desired, decision.limited_by), (3, Limit::FailedTrigger), "at {second} s");
        assert!(decision.steps.contains(&Step::FallbackWaits { trigger: 0, until: at(90) }));
    }
    assert!(!falls_back(&world, Tick(89_999)));
    let failures = |world: &World, second: i64| world.memory.failing.failures(0, Span::seconds(30), at(second));
    assert_eq!([0, 29, 30, 60, 90].map(|second| failures(&world, second)), [1, 1, 2, 3, 4]);
    let decision = world.act(at(90));
    assert_eq!(
        (decision.write, decision.limited_by, decision.fallbacks().collect::<Vec<_>>()),
        (Some(5), Limit::Metrics, vec![0])
    );
    assert!(!decision.lowers_by_metrics);
}

#[test]
fn the_moment_it_acts_is_when_to_look_again() {
    assert_eq!(to_five(3).look(at(10)).next, Some(at(60) + Span(1)), "the cooldown of 60 s ends first");
    let mut world = to_five(3);
    world.policy.min = 1;
    assert_eq!(world.look(at(10)).next, Some(at(90)));
    world.policy.polling_interval = Span::seconds(10);
    assert_eq!(world.look(at(10)).next, Some(at(30)));
}

#[test]
fn a_threshold_of_zero_acts_on_the_first_failure() {
    assert_eq!(failing(3, 0, 5, FallbackBehavior::Static).outcome(at(0)), (5, Limit::Metrics));
}

#[test]
fn reads_do_not_count_time_does() {
    // KEDA counts every poll and every request of the HPA; here neither passes nor failed reads in between make it sooner.
    let mut world = to_five(3);
    for second in 0..90 {
        world.act(at(second));
        assert!(!falls_back(&world, at(second)));
    }
    assert!(falls_back(&world, at(90)));
}

#[test]
fn a_success_starts_the_count_anew() {
    let mut world = to_five(3);
    world.act(at(0));
    world.reads(0, 15, at(80));
    world.act(at(80));
    assert!(world.memory.failing.is_empty());
    world.fails_again(0, at(95));
    world.act(at(95));
    assert!(!falls_back(&world, at(184)) && falls_back(&world, at(185)), "95 + 90 = 185");
}

#[test]
fn a_success_that_no_pass_saw_starts_it_anew_too() {
    let mut world = to_five(3);
    world.act(at(0));
    world.reads(0, 15, at(50));
    world.fails_again(0, at(55));
    world.act(at(60));
    assert!(!falls_back(&world, at(144)) && falls_back(&world, at(145)), "55 + 90 = 145");
}

#[test]
fn every_behavior_from_below_and_from_above() {
    use FallbackBehavior::{CurrentReplicas, CurrentReplicasIfHigher, CurrentReplicasIfLower, Static};
    for (behavior, from_3, from_8) in
        [(Static, 5, 5), (CurrentReplicas, 3, 8), (CurrentReplicasIfHigher, 5, 8), (CurrentReplicasIfLower, 3, 5)]
    {
        for (current, expected) in [(3, from_3), (8, from_8)] {
            let mut world = failing(current, 3, 5, behavior);
            // The first pass after a total failure holds what is there, also with a window of 0.
            world.pass(at(90));
            assert_eq!(world.outcome(at(91)).0, expected, "{behavior:?} from {current}");
        }
    }
}

#[test]
fn lowering_to_it_waits_for_the_window() {
    let mut world = to_five(8);
    world.policy.settings.downscale_window = Span::seconds(300);
    for second in (0..=390).step_by(15) {
        let decision = world.act(at(second));
        // Held as 8 at 90 s, when there is something to recommend again: 300 s, an age equal to it included.
        assert_eq!(decision.desired, 8, "at {second} s");
    }
    let decision = world.look(Tick(390_001));
    assert_eq!((decision.write, decision.lowers_by_metrics), (Some(5), true));
}

#[test]
fn from_zero_it_is_reached_in_one_step() {
    // KEDA would go to 1 first, and the HPA on from there.
    let mut world = to_five(0);
    assert_eq!(world.act(at(89)).write, None);
    let decision = world.act(at(90));
    assert_eq!((decision.write, decision.active, decision.health), (Some(5), true, Health::Good));
    let mut many = failing(0, 0, 500, FallbackBehavior::Static);
    assert_eq!(many.act(at(0)).write, Some(100), "the maximum counts");
    assert_eq!(failing(0, 0, 5, FallbackBehavior::CurrentReplicas).look(at(0)).write, None, "what is there is 0");
    assert_eq!(failing(0, 0, 5, FallbackBehavior::CurrentReplicasIfLower).look(at(0)).write, None);
    assert_eq!(failing(0, 0, 5, FallbackBehavior::CurrentReplicasIfHigher).look(at(0)).write, Some(5));
}

#[test]
fn it_counts_as_active_as_long_as_it_acts() {
    let mut world = to_five(5);
    for second in (90..=600).step_by(30) {
        let decision = world.act(at(second));
        assert_eq!((decision.desired, decision.active, decision.health), (5, true, Health::Good), "at {second} s");
    }
    // The source comes back with nothing to do: 60 s of cooldown from the last moment at which the fallback acted.
    world.reads(0, 0, at(605));
    assert_eq!(world.act(at(605)).desired, 1);
    world.reads(0, 0, at(660));
    assert_eq!(world.act(at(660)).limited_by, Limit::Cooldown);
    world.reads(0, 0, Tick(660_001));
    assert_eq!(world.act(Tick(660_001)).write, Some(0));
}

#[test]
fn a_fallback_to_zero_rests_once_it_acts_and_not_before() {
    // KEDA's target would stay at 1 or more once it acts, and could go to 0 before.
    let mut world = failing(3, 3, 0, FallbackBehavior::Static);
    for second in [0, 61, 75] {
        let decision = world.act(at(second));
        assert_eq!((decision.write, decision.health), (None, Health::Failing), "at {second} s");
    }
    let decision = world.act(at(90));
    assert_eq!((decision.write, decision.active, decision.health), (Some(0), false, Health::Good));
    assert!(decision.lowers_by_metrics);
    assert_eq!(world.act(at(120)).write, None, "and stays there");
}

#[test]
fn a_fallback_to_zero_keeps_the_minimum() {
    let mut world = failing(3, 0, 0, FallbackBehavior::Static);
    world.policy.min = 2;
    world.pass(at(0));
    assert_eq!(world.outcome(at(1)), (2, Limit::Minimum));
}

#[test]
fn below_the_threshold_nothing_is_lowered() {
    let mut world = to_five(8);
    for second in [0, 30, 61, 89] {
        let decision = world.act(at(second));
        assert_eq!((decision.write, decision.active, decision.health), (None, false, Health::Failing));
    }
    let mut none = to_five(8);
    none.policy.fallback = None;
    assert_eq!(none.act(at(10_000)).write, None, "nor ever without a fallback");
    assert_eq!((none.look(at(10_000)).effects.failing, none.memory.failing.is_empty()), (None, true));
}

#[test]
fn a_value_metric_needs_ready_pods() {
    let mut world = to_five(3);
    world.policy.triggers[0].metric_type = MetricType::Value;
    world.target.ready = Some(2);
    assert_eq!(world.outcome(at(90)).0, 5);
    for ready in [Some(0), None] {
        world.target.ready = ready;
        let decision = world.look(at(90));
        assert_eq!((decision.write, decision.limited_by), (None, Limit::FailedTrigger));
        assert_eq!(decision.fallbacks().count(), 0);
    }
    world.replicas(0);
    world.target.ready = None;
    assert_eq!(world.outcome(at(90)).0, 5, "from 0 too");
}

#[test]
fn the_highest_of_all_triggers_counts() {
    let mut world = World::new(8, 5, &[0, 15]);
    world.policy.fallback = Some(Fallback { threshold: 3, replicas: 5, behavior: FallbackBehavior::Static });
    world.policy.settings.downscale_window = Span::ZERO;
    world.fails(0, at(0));
    world.pass(at(0));
    assert_eq!(world.outcome(at(89)), (8, Limit::FailedTrigger), "the other wants 3");
    world.pass(at(90));
    assert_eq!(world.outcome(at(91)).0, 5);
    world.reads(1, 60, at(92));
    assert_eq!(world.outcome(at(92)).0, 12, "60 / 5");
}

#[test]
fn cpu_and_memory_have_no_fallback() {
    let mut world = World::new(3, 5, &[15, 0]);
    world.policy.fallback = Some(Fallback { threshold: 0, replicas: 9, behavior: FallbackBehavior::Static });
    world.policy.triggers[1].resource_like = true;
    world.fails(1, at(0));
    let decision = world.look(at(10_000));
    assert_eq!((decision.desired, decision.fallbacks().count(), decision.effects.failing), (3, 0, None));
}

#[test]
fn what_fails_and_whether_it_acts_is_stored_when_it_changes() {
    let mut world = to_five(3);
    let mut flips = |second: i64| {
        let decision = world.look(at(second));
        let flips = world.memory.flips(&decision.effects);
        world.act(at(second));
        flips
    };
    assert_eq!([0, 15, 60, 89].map(&mut flips), [true, false, false, false]);
    assert!(flips(90));
    let acting = |world: &World, second: i64| {
        world.look(at(second)).effects.failing.is_some_and(|failing| failing.iter().all(|f| f.acting))
    };
    assert!(!acting(&to_five(3), 89) && acting(&to_five(3), 90));
    assert_eq!([91, 300, 900].map(&mut flips), [false, false, false]);
    world.reads(0, 25, at(901));
    assert!(world.memory.flips(&world.look(at(901)).effects), "it is well again");
}

#[test]
fn downtime_is_not_counted_and_failing_time_is_stored() {
    let mut world = to_five(3);
    world.act(at(0));
    world.act(at(60));
    let text = Checkpoint::of(&world.memory, now(at(60)));
    assert!(text.0.contains(r#""f":[[60000,0]]"#), "{}", text.0);
    // An hour later another process loads it: 60 s of 90 s have been counted, and the first failed read comes 5 s after its start.
    world.memory = text.restore(&world.policy, 3, now_of(3_660_000, at(0))).unwrap();
    world.triggers = vec![Evidence::Unread];
    world.act(at(2));
    world.fails(0, at(5));
    world.act(at(5));
    assert!(!falls_back(&world, at(34)) && falls_back(&world, at(35)), "5 + 90 - 60 = 35");
    let counted = |step: &Step| matches!(step, Step::Substituted { since, .. } if *since == at(-55));
    assert!(world.look(at(35)).steps.iter().any(counted), "60 s before the 5 s");
}

#[test]
fn one_that_acted_acts_again_on_the_first_failure_after_a_restart() {
    let mut world = to_five(3);
    world.act(at(0));
    world.act(at(90));
    let text = Checkpoint::of(&world.memory, now(at(90)));
    world.memory = text.restore(&world.policy, 5, now_of(900_000, at(0))).unwrap();
    world.fails(0, at(1));
    let decision = world.look(at(1));
    assert_eq!((decision.desired, decision.fallbacks().count()), (5, 1));
    assert!(!world.memory.flips(&decision.effects) || world.memory.active != decision.active, "nothing new to store");
    // But if it answers, all is well.
    world.reads(0, 15, at(1));
    world.act(at(1));
    assert!(world.memory.failing.is_empty());
}

#[test]
fn a_pause_is_not_counted() {
    let mut world = to_five(3);
    world.act(at(0));
    world.act(at(60));
    world.policy.pause = Pause::Plain;
    world.act(at(70));
    world.policy.pause = Pause::No;
    // After a pause everything is read anew.
    world.triggers = vec![Evidence::Unread];
    world.fails(0, at(1_000));
    assert!(!falls_back(&world, at(1_029)) && falls_back(&world, at(1_030)), "1,000 + 90 - 60 = 1,030");
}

#[test]
fn other_triggers_or_no_fallback_forget_it() {
    let mut world = to_five(3);
    world.act(at(60));
    let mut other = world.clone();
    other.memory.failing.clear();
    assert!(other.memory.failing.is_empty());
    world.policy.fallback = None;
    world.act(at(61));
    assert!(world.memory.failing.is_empty());
}

#[test]
fn a_cached_value_stands_between_two_polls() {
    // Read at 0 and at 30 s; the passes in between look at the value of 0.
    let mut world = World::new(3, 5, &[15]);
    world.policy.triggers[0].cached = true;
    assert_eq!(world.policy.read_every(0, false), Span::seconds(30));
    for second in [0, 15] {
        assert_eq!(world.act(at(second)).write, None);
    }
    world.reads(0, 30, at(30));
    assert_eq!(world.act(at(30)).write, Some(6));
    // KEDA's cache would hold what a fallback put there, and the fallback would come and go. Here a failure of a cached trigger stands
    // until the next poll too, and counts by time.
    world.policy.fallback = Some(Fallback { threshold: 1, replicas: 8, behavior: FallbackBehavior::Static });
    world.fails_again(0, at(60));
    for second in [60, 75, 89] {
        assert_eq!(world.act(at(second)).write, None);
    }
    assert_eq!(world.act(at(90)).write, Some(8));
    for second in (105..600).step_by(15) {
        let decision = world.act(at(second));
        assert_eq!((decision.desired, decision.fallbacks().count()), (8, 1), "it neither comes nor goes");
    }
}

#[test]
fn it_explains_itself() {
    let mut world = to_five(3);
    let lines = |world: &World, tick: Tick| {
        let (decision, moment) = (world.look(tick), now(tick));
        let lines = explain::lines(&world.policy, &world.triggers, &decision, moment).join("\n");
        (lines, explain::why(&world.policy, &world.triggers, &decision, moment))
    };
    let (before, _) = lines(&world, at(30));
    assert!(before.contains(" fallback ") && before.contains("acts from 00:01:30"), "{before}");
    world.pass(at(89));
    let (then, why) = lines(&world, at(90));
    assert!(then.contains("no value (TriggerTimeout), falls back") && then.contains("-> 5"), "{then}");
    assert!(then.contains("since 00:00:00: redis:6379 did not answer within 3 s"), "{then}");
    assert_eq!(why, "redis has no value and falls back to 5");
}

#[test]
fn a_fallback_of_an_object_that_votes_by_steps_alone_takes_the_window() {
    let mut world = World::ruled(10, &[&[rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 300)]]);
    world.policy.fallback = Some(Fallback { threshold: 3, replicas: 2, behavior: FallbackBehavior::Static });
    world.run(&[50], 0, 300);
    let mut writes = Vec::new();
    for second in (315..=900).step_by(15) {
        world.fails_again(0, at(second));
        writes.extend(world.act(at(second)).write.map(|replicas| (second, replicas)));
    }
    // It fails since 315 s and acts at 405 s. What it finds is held from then on: the first pass more than 300 s later is at 720 s.
    assert_eq!(writes, [(720, 2)]);
    // It raises at once.
    world.replicas(1);
    world.memory.changed_by_others(1, at(905));
    assert_eq!(world.act(at(905)).write, Some(2));
}
