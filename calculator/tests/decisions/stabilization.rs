//! Stabilization windows: hpa-algorithm §8.1 and §8.2, and the count that is held after a gap.

use tidegate_calculator::behavior::Select;
use tidegate_calculator::decision::{Limit, Step};
use tidegate_calculator::time::{Span, Tick};

use crate::world::{World, at, behavior, free, pods, rules};

#[test]
fn row_1_a_first_pass_holds_the_present_count_for_the_window() {
    let mut world = World::new(5, 100, &[100]);
    let decision = world.pass(at(1));
    // 100 / 100 = 1, but 5 is recorded first and counts until 301 s, its age of 300 s included.
    assert_eq!((decision.effects.hold, decision.effects.record), (Some(5), Some(1)));
    assert_eq!((decision.write, decision.limited_by, decision.next), (None, Limit::Stabilization, Some(Tick(301_001))));
    let window = Span::seconds(300);
    assert!(decision.steps.contains(&Step::Stabilized { window, replicas: 5, until: Some(Tick(301_001)) }));
    let mut now = at(1);
    while now < at(300) {
        now = now + Span::seconds(15);
        assert_eq!(world.pass(now).effects.hold, None);
    }
    assert_eq!(world.outcome(at(301)).0, 5);
    assert_eq!(world.outcome(Tick(301_001)), (1, Limit::Metrics));
}

#[test]
fn a_newest_recommendation_older_than_sixty_seconds_is_a_gap() {
    let mut world = World::new(5, 100, &[500]);
    world.pass(at(1));
    world.reads(0, 100, at(60));
    let near = world.look(at(61));
    assert_eq!((near.effects.hold, near.desired), (None, 5), "60 s are no gap; 5 was recommended at 1 s");
    let far = world.look(Tick(61_001));
    assert_eq!((far.effects.hold, far.desired), (Some(5), 5));
    // The same with a short window, which the recommendation of 1 s has left: only the held count keeps it.
    world.policy.settings.downscale_window = Span::seconds(10);
    assert_eq!(world.look(at(61)).desired, 1);
    let held = world.look(Tick(61_001));
    assert_eq!((held.desired, held.next), (5, Some(Tick(71_002))));
    world.policy.behavior = behavior(free(), rules(10, Select::Max, vec![pods(100, 1)]));
    let held = world.look(Tick(61_001));
    assert_eq!((held.desired, held.next), (5, Some(Tick(71_001))), "this window does not count its own age");
    world.policy.behavior = behavior(free(), free());
    assert_eq!(world.look(Tick(61_001)).desired, 1, "a window of 0 sees no history, not even this pass's");
}

#[test]
fn a_total_failure_holds_nothing_and_the_end_of_it_does() {
    let mut world = World::new(5, 100, &[500]);
    world.policy.settings.downscale_window = Span::seconds(10);
    world.pass(at(1));
    world.fails(0, at(10));
    assert_eq!(world.pass(at(70)).effects.hold, None);
    world.reads(0, 100, at(80));
    let back = world.pass(at(80));
    assert_eq!((back.effects.hold, back.desired), (Some(5), 5));
    assert_eq!(world.outcome(at(90)).0, 5);
    assert_eq!(world.outcome(Tick(90_001)).0, 1);
}

#[test]
fn the_legacy_window_keeps_the_highest_recommendation_but_never_raises() {
    let mut world = World::new(10, 100, &[1_000]);
    world.pass(at(0));
    world.reads(0, 700, at(10));
    world.pass(at(10));
    world.reads(0, 300, at(20));
    world.pass(at(20));
    world.replicas(8);
    // Recommended: 10 at 0 s, 7 at 10 s, 3 at 20 s. With 8 there now the 10 keeps 8, not 10.
    let first = world.look(at(50));
    assert_eq!((first.desired, first.write, first.next), (8, None, Some(Tick(300_001))));
    world.memory.recommendations.record(at(299), 3);
    assert_eq!(world.outcome(at(300)).0, 8);
    let second = world.look(Tick(300_001));
    assert_eq!((second.desired, second.next), (7, Some(Tick(310_001))));
    assert_eq!(world.outcome(Tick(310_001)), (3, Limit::Metrics));
}

#[test]
fn the_last_of_those_that_keep_a_count_says_until_when() {
    let mut world = World::new(5, 100, &[900]);
    world.pass(at(0));
    world.reads(0, 600, at(10));
    world.pass(at(10));
    world.reads(0, 300, at(20));
    // 9 and 6 both keep 5; the 6 of 10 s is the last of them.
    assert_eq!(world.look(at(20)).next, Some(Tick(310_001)));
}

#[test]
fn raising_is_not_stabilized_without_behavior() {
    let mut world = World::new(4, 100, &[400]);
    world.pass(at(0));
    world.reads(0, 800, at(1));
    assert_eq!(world.outcome(at(1)), (8, Limit::Metrics));
}

/// Up window 20 s, down window 60 s, everything else free; at 5 replicas.
fn windows() -> World {
    let mut world = World::new(5, 100, &[500]);
    let all = || vec![pods(1_000, 1)];
    world.policy.behavior = behavior(rules(20, Select::Max, all()), rules(60, Select::Max, all()));
    world.pass(at(0));
    world
}

#[test]
fn the_up_window_raises_only_to_its_lowest_recommendation() {
    let mut world = windows();
    world.reads(0, 900, at(5));
    // 5 at 0 s keeps 5 until 20 s, exclusive: an age equal to the window is outside.
    let waiting = world.pass(at(5));
    assert_eq!((waiting.desired, waiting.limited_by, waiting.next), (5, Limit::Stabilization, Some(at(20))));
    let until = Some(at(20));
    assert!(waiting.steps.contains(&Step::Stabilized { window: Span::seconds(20), replicas: 5, until }));
    assert_eq!(world.outcome(Tick(19_999)).0, 5);
    assert_eq!(world.outcome(at(20)), (9, Limit::Metrics));
    world.reads(0, 700, at(10));
    world.pass(at(10));
    world.reads(0, 900, at(20));
    let lowest = world.look(at(20));
    assert_eq!((lowest.desired, lowest.next), (7, Some(at(30))), "7 was the lowest of the last 20 s");
    assert_eq!(world.outcome(at(30)).0, 9);
}

#[test]
fn the_down_window_lowers_only_to_its_highest_recommendation() {
    let mut world = windows();
    world.reads(0, 200, at(5));
    let waiting = world.pass(at(5));
    assert_eq!((waiting.desired, waiting.limited_by, waiting.next), (5, Limit::Stabilization, Some(at(60))));
    assert_eq!(world.outcome(Tick(59_999)).0, 5);
    world.memory.recommendations.record(at(59), 2);
    assert_eq!(world.outcome(at(60)), (2, Limit::Metrics));
    world.memory.recommendations.record(Tick(59_500), 4);
    let partly = world.look(at(60));
    assert_eq!((partly.desired, partly.next), (4, Some(Tick(119_500))));
}

#[test]
fn between_both_windows_the_present_count_stays() {
    let mut world = windows();
    world.reads(0, 900, at(1));
    world.pass(at(1));
    // lo = min(2, 5, 9) = 2, hi = max(2, 5, 9) = 9: 5 lies between.
    world.reads(0, 200, at(2));
    let down = world.look(at(2));
    assert_eq!((down.desired, down.next), (5, Some(at(61))), "9 at 1 s is the last that keeps 5");
    // Somebody sets 20: lowered at once to 9, the highest; its expiry lets it fall to 2.
    world.replicas(20);
    assert_eq!((world.look(at(2)).desired, world.look(at(2)).next), (9, Some(at(61))));
    // Somebody sets 1: raised at once to lo.
    world.replicas(1);
    world.reads(0, 900, at(2));
    let raised = world.look(at(2));
    assert_eq!((raised.desired, raised.next), (5, Some(at(20))));
}

#[test]
fn a_desired_count_that_is_there_needs_no_window() {
    let world = windows();
    let decision = world.look(at(1));
    assert_eq!((decision.desired, decision.limited_by, decision.next), (5, Limit::Metrics, None));
    assert!(!decision.steps.iter().any(|step| matches!(step, Step::Stabilized { .. })));
}
