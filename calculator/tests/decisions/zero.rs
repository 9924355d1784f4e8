//! The zero stage: KEDA's rows A1 to I5, leaving and entering, cooldown, pause, force-activation.

use tidegate_calculator::behavior::{GivenRules, Select};
use tidegate_calculator::decision::{Effects, Health, Limit, Step, Veto};
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::policy::{Consent, Pause};
use tidegate_calculator::source::ReadErrorKind;
use tidegate_calculator::time::{Span, Tick};

use crate::world::{World, at, behavior, free, percent, pods, rules};

/// At 1 replica, active until 10 s, inactive since a reading at 20 s; cooldown 300 s, so rest from 310.001 s on.
fn cooling() -> World {
    let mut world = World::new(1, 5, &[3]);
    world.step(&[3], at(10));
    world.step(&[0], at(20));
    assert_eq!(world.memory.last_active, Some(at(10)));
    world
}

#[test]
fn row_1_a_pause_ends_everything() {
    let mut world = World::new(3, 5, &[1_000]);
    world.policy.pause = Pause::Plain;
    let plain = world.look(at(5));
    assert_eq!((plain.write, plain.desired, plain.limited_by), (None, 3, Limit::Paused));
    assert_eq!((plain.effects, plain.next, plain.steps), (Effects::default(), None, vec![Step::Paused { at: None }]));
    world.policy.pause = Pause::At(0);
    let set = world.look(at(5));
    assert_eq!((set.write, set.desired, set.limited_by, set.lowers_by_metrics), (Some(0), 0, Limit::Paused, false));
    world.policy.pause = Pause::At(3);
    assert_eq!(world.look(at(5)).write, None, "it is there already");
    world.policy.pause = Pause::At(500);
    assert_eq!(world.look(at(5)).write, Some(500), "a pause knows no bounds");
}

#[test]
fn row_a1_forty_items_at_five_each_are_eight_replicas_in_one_write() {
    let mut world = World::new(0, 5, &[40]);
    // ceil(40 / 5) = 8: no tolerance, no limit of 4, no window.
    let decision = world.act(at(5));
    assert_eq!((decision.write, decision.limited_by), (Some(8), Limit::Metrics));
    assert!(decision.active && !decision.lowers_by_metrics);
    assert_eq!(
        decision.effects,
        Effects { hold: None, record: Some(8), active_at: Some(at(0)), active: Some(true), failing: None, rules: None }
    );
    assert!(decision.steps.contains(&Step::Leaving { replicas: 8 }));
    // 8 - max(1, 0) = 7 are booked, and leaving counts as activity.
    assert_eq!(world.memory.ups.sum(Span::seconds(60), at(5)), 7);
    assert_eq!(world.memory.last_active, Some(at(5)));
}

#[test]
fn leaving_rounds_up_without_tolerance_and_keeps_the_bounds() {
    let mut world = World::new(0, 100, &[101]);
    assert_eq!(
        world.outcome(at(1)),
        (2, Limit::Metrics),
        "ceil(1.01) = 2: 1.01 is within tolerance, but there is none here"
    );
    world.value_metric(0);
    world.reads(0, 101, at(1));
    world.target.ready = None;
    assert_eq!(world.outcome(at(1)), (2, Limit::Metrics), "Value: ceil of the ratio, no pods looked at");
    world.policy.max = 1;
    assert_eq!(world.outcome(at(1)), (1, Limit::Maximum));
    world.policy.max = 100;
    world.policy.min = 5;
    assert_eq!(world.outcome(at(1)), (5, Limit::Minimum));
}

#[test]
fn leaving_takes_the_rate_policies_from_the_floor_but_no_window() {
    let mut world = World::new(0, 5, &[400]);
    world.policy.min = 2;
    world.policy.behavior = behavior(rules(600, Select::Max, vec![pods(3, 60)]), free());
    // From max(1, 2) = 2: at most 2 + 3 = 5, whatever the window of 600 s.
    let decision = world.act(at(1));
    assert_eq!((decision.write, decision.limited_by), (Some(5), Limit::ScaleUpRate));
    // 5 - 2 = 3 are booked, so nothing more for 60 s: 5 - 3 + 3 = 5.
    world.policy.behavior = behavior(rules(0, Select::Max, vec![pods(3, 60)]), free());
    assert_eq!(world.outcome(Tick(60_999)), (5, Limit::ScaleUpRate));
    assert_eq!(world.outcome(Tick(61_000)), (8, Limit::ScaleUpRate));
    let mut disabled = World::new(0, 5, &[400]);
    disabled.policy.behavior = behavior(rules(0, Select::Disabled, vec![pods(3, 60)]), free());
    assert_eq!(disabled.outcome(at(1)), (1, Limit::ScaleUpRate), "KEDA itself wakes it to max(1, min)");
}

#[test]
fn leaving_counts_earlier_events_of_the_period() {
    let mut world = World::new(3, 5, &[400]);
    world.policy.behavior = behavior(rules(0, Select::Max, vec![pods(10, 60)]), free());
    assert_eq!(world.act(at(0)).write, Some(13), "3 + 10");
    world.replicas(0);
    // Somebody set 0: from 1, with 10 of the period used up: 1 - 10 + 10 = 1. At 60 s they are out: 1 + 10.
    let decision = world.look(at(59));
    assert_eq!((decision.desired, decision.next), (1, Some(at(60))));
    assert_eq!(world.outcome(at(60)), (11, Limit::ScaleUpRate));
}

#[test]
fn leaving_leaves_failed_triggers_out() {
    let mut world = World::new(0, 5, &[40, 1_000]);
    world.fails(1, at(0));
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.health), (Some(8), Health::Partial));
    world.fails(0, at(0));
    assert_eq!(world.outcome(at(1)), (0, Limit::Idle), "inactive and all failed: it rests");
    world.policy.force_activation = true;
    world.policy.min = 3;
    let forced = world.look(at(1));
    assert_eq!((forced.write, forced.limited_by, forced.effects.record), (Some(3), Limit::Minimum, None));
    assert!(forced.steps.contains(&Step::Forced));
    assert_eq!(forced.effects.active_at, Some(at(1)), "forced activity is now");
}

#[test]
fn leaving_idle_goes_to_work_from_anywhere_below_the_minimum() {
    let mut world = World::new(2, 5, &[40]);
    world.policy.idle = Some(2);
    world.policy.min = 4;
    assert_eq!(world.act(at(1)).write, Some(8));
    assert_eq!(world.memory.ups.sum(Span::seconds(60), at(1)), 4, "8 - max(1, 4)");
    world.replicas(3);
    assert_eq!(world.outcome(at(1)).0, 8, "between idle and the minimum: leaving, not limited to a jump to 4");
}

#[test]
fn only_a_paused_scale_out_stops_leaving() {
    let mut world = World::new(0, 5, &[40]);
    world.policy.consent = Consent::PolicyMissing;
    world.policy.paused_scale_in = true;
    assert_eq!(world.look(at(1)).write, Some(8));
    world.policy.paused_scale_out = true;
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.desired, decision.limited_by), (None, 0, Limit::Paused));
    assert!(decision.steps.contains(&Step::Vetoed { by: Veto::PausedScaleOut, wanted: 8 }));
    assert_eq!(decision.effects.record, Some(8), "a veto never touches the history");
    world.policy.idle = Some(1);
    world.policy.min = 4;
    world.replicas(1);
    assert_eq!(world.look(at(1)).write, None, "leaving idle is blocked too, no jump undoes it");
}

#[test]
fn rows_a2_and_a3_activity_refreshes_the_cooldown_even_while_others_fail() {
    let mut world = World::new(1, 5, &[3, 3]);
    world.reads(0, 3, at(100));
    let both = world.look(at(101));
    assert_eq!((both.health, both.effects.active_at, both.effects.active), (Health::Good, Some(at(100)), Some(true)));
    world.fails(1, at(0));
    let partial = world.pass(at(102));
    assert_eq!((partial.health, partial.effects.active_at), (Health::Partial, Some(at(100))));
    assert_eq!(world.memory.last_active, Some(at(100)));
    assert!(world.memory.active);
    world.good(0, 3, true, at(103), at(999));
    assert_eq!(world.look(at(104)).effects.active_at, Some(at(104)), "an answer cannot come from the future");
    world.good(0, 3, false, at(103), at(103));
    assert_eq!(world.look(at(104)).effects.active_at, None, "the activity of the reading counts, not its value");
    world.good(0, 0, true, at(103), at(103));
    assert!(world.look(at(104)).active);
}

#[test]
fn the_last_activity_never_goes_back() {
    let mut world = World::new(1, 5, &[3]);
    world.memory.last_active = Some(at(50));
    world.reads(0, 3, at(40));
    world.pass(at(51));
    assert_eq!(world.memory.last_active, Some(at(50)));
}

#[test]
fn row_i2_a_failure_while_inactive_keeps_the_replicas() {
    let mut world = cooling();
    world.fails(0, at(305));
    let decision = world.look(at(311));
    assert_eq!((decision.write, decision.health, decision.limited_by), (None, Health::Failing, Limit::FailedTrigger));
    assert!(decision.steps.contains(&Step::Awaiting));
    assert_eq!(decision.fresh_after, Some(Tick(310_001)));
    // One that answers and one that fails: still nothing.
    let mut world = World::new(1, 5, &[0, 0]);
    world.reads(0, 0, at(400));
    world.fails(1, at(0));
    assert_eq!(world.outcome(at(400)), (1, Limit::FailedTrigger));
}

#[test]
fn row_i3_the_cooldown_is_strict() {
    let mut world = cooling();
    // 10 s + 300 s = 310 s; KEDA compares with `<`, so 310.001 s is the first moment.
    let early = world.look(at(309));
    assert_eq!((early.write, early.limited_by, early.next), (None, Limit::Cooldown, Some(Tick(310_001))));
    assert_eq!(early.fresh_after, Some(Tick(310_001)));
    assert!(early.steps.contains(&Step::Cooldown { last_active: Some(at(10)), until: Tick(310_001) }));
    world.reads(0, 0, at(310));
    assert_eq!(world.outcome(at(310)), (1, Limit::Cooldown), "at the end itself");
    assert_eq!(world.outcome(Tick(310_001)), (1, Limit::Cooldown), "over, but read before its end");
    assert!(world.look(Tick(310_001)).steps.contains(&Step::Awaiting));
    world.reads(0, 0, Tick(310_001));
    let enter = world.act(Tick(310_001));
    assert_eq!((enter.write, enter.limited_by, enter.lowers_by_metrics), (Some(0), Limit::Idle, true));
    assert_eq!((enter.fresh_after, enter.next), (Some(Tick(310_001)), None));
    assert_eq!((enter.effects.record, enter.effects.hold), (Some(0), Some(1)), "in case the write does not happen");
    assert!(enter.steps.contains(&Step::Entering { replicas: 0 }));
    assert_eq!(world.memory.recommendations.newest(), None, "entering clears the history");
    let rest = world.look(at(320));
    assert_eq!((rest.write, rest.limited_by, rest.next, rest.fresh_after), (None, Limit::Idle, None, None));
    assert!(rest.steps.contains(&Step::Resting { replicas: 0 }));
}

#[test]
fn a_read_begun_before_the_end_but_answered_after_it_does_not_count() {
    let mut world = cooling();
    world.good(0, 0, false, at(310), at(312));
    assert_eq!(world.outcome(at(313)).0, 1);
    world.good(0, 0, false, at(311), at(312));
    assert_eq!(world.outcome(at(313)).0, 0);
}

#[test]
fn every_external_trigger_must_be_read_after_the_cooldown() {
    let mut world = World::new(1, 5, &[0, 0]);
    world.memory.last_active = Some(at(10));
    world.reads(0, 0, at(311));
    assert_eq!(world.outcome(at(312)).0, 1);
    world.reads(1, 0, at(311));
    assert_eq!(world.outcome(at(312)).0, 0);
    world.triggers.pop();
    assert_eq!(world.outcome(at(312)).0, 1, "a trigger without a word is unread");
}

#[test]
fn the_initial_cooldown_counts_from_the_creation_until_the_first_activity() {
    let mut world = World::new(1, 5, &[0]);
    world.created = at(50);
    world.policy.initial_cooldown = Span::seconds(100);
    world.policy.cooldown = Span::seconds(10);
    world.reads(0, 0, at(160));
    let early = world.look(at(150));
    assert_eq!((early.write, early.next), (None, Some(Tick(150_001))));
    assert!(early.steps.contains(&Step::Cooldown { last_active: None, until: Tick(150_001) }));
    assert_eq!(world.outcome(at(160)).0, 0);
    world.memory.last_active = Some(at(155));
    assert_eq!(world.outcome(at(165)).0, 1, "155 + 10 is not yet over");
    world.reads(0, 0, at(166));
    assert_eq!(world.outcome(at(166)).0, 0);
}

#[test]
fn the_cooldown_goes_to_idle_from_anywhere_above_it() {
    let mut world = World::new(7, 5, &[0]);
    world.policy.idle = Some(1);
    world.policy.min = 3;
    world.memory.last_active = Some(at(10));
    assert_eq!(world.act(at(20)).write, None, "the present count is held in the window");
    world.reads(0, 0, at(311));
    let enter = world.act(at(311));
    assert_eq!((enter.write, enter.limited_by), (Some(1), Limit::Idle), "below the minimum of 3, windows do not count");
    assert_eq!(world.outcome(at(312)), (1, Limit::Idle));
    assert!(world.memory.downs.iter().next().is_none());
}

#[test]
fn row_i4_inactive_below_the_minimum_or_below_idle_is_raised_at_once() {
    let mut world = World::new(0, 5, &[0]);
    world.policy.min = 3;
    world.policy.paused_scale_out = true;
    assert_eq!(world.outcome(at(1)), (3, Limit::Minimum), "a paused scale-out does not stop it");
    world.fails(0, at(0));
    assert_eq!(world.outcome(at(1)), (3, Limit::Minimum), "bounds need no metrics");
    world.policy.idle = Some(2);
    let raised = world.act(at(1));
    assert_eq!((raised.write, raised.limited_by, raised.lowers_by_metrics), (Some(2), Limit::Idle, false));
    assert_eq!(world.memory.last_active, None, "going to rest is no activity");
    assert!(world.memory.ups.iter().next().is_none());
}

#[test]
fn row_i5_inactive_without_a_rest_is_left_to_the_hpa() {
    let mut world = World::new(4, 5, &[0]);
    world.policy.min = 2;
    world.policy.settings.downscale_window = Span::ZERO;
    world.pass(at(1));
    let decision = world.look(at(2));
    assert_eq!((decision.write, decision.limited_by, decision.fresh_after), (Some(2), Limit::Minimum, None));
    assert!(decision.lowers_by_metrics && !decision.active);
}

#[test]
fn resting_ends_the_decision_also_while_a_trigger_fails() {
    let mut world = World::new(0, 5, &[0]);
    world.fails(0, at(0));
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.limited_by, decision.health), (None, Limit::Idle, Health::Failing));
    let failed = decision.steps.iter().find(|step| matches!(step, Step::Failed { .. }));
    assert!(
        matches!(failed, Some(Step::Failed { trigger: 0, kind: ReadErrorKind::Timeout, since: Tick(0), .. })),
        "{failed:?}"
    );
}

#[test]
fn pauses_of_one_direction_and_missing_policies_stop_entering() {
    for (by, limit) in [(Veto::PausedScaleIn, Limit::Paused), (Veto::PolicyMissing, Limit::PolicyMissing)] {
        let mut world = cooling();
        world.reads(0, 0, at(320));
        assert_eq!(world.outcome(at(320)).0, 0);
        world.policy.paused_scale_in = by == Veto::PausedScaleIn;
        world.policy.consent = if by == Veto::PolicyMissing { Consent::PolicyMissing } else { Consent::Full };
        let decision = world.look(at(320));
        assert_eq!((decision.write, decision.limited_by), (None, limit));
        assert!(decision.steps.contains(&Step::Vetoed { by, wanted: 0 }));
    }
    let mut world = cooling();
    world.reads(0, 0, at(320));
    world.policy.paused_scale_out = true;
    assert_eq!(world.outcome(at(320)).0, 0, "a paused scale-out does not stop entering");
}

#[test]
fn an_inactive_object_still_scales_between_its_bounds() {
    // 30 items, activation above 100: inactive, but six replicas are wanted: 30 / 5.
    let mut world = World::new(2, 5, &[30]);
    world.good(0, 30, false, at(1), at(1));
    world.policy.cooldown = Span::seconds(300);
    world.memory.last_active = Some(at(0));
    assert_eq!(world.outcome(at(1)), (4, Limit::ScaleUpRate), "max(2 * 2, 4)");
    world.replicas(6);
    assert_eq!(world.outcome(at(1)), (6, Limit::Metrics), "not at the floor: the cooldown does not speak");
}

#[test]
fn only_resource_like_triggers_force_activity_and_never_speak_for_zero() {
    let mut world = World::new(0, 5, &[0]);
    world.policy.triggers[0].resource_like = true;
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.active, decision.effects.active_at), (Some(1), true, Some(at(1))));
    assert!(!decision.steps.contains(&Step::Forced), "no annotation did it");
    let mut world = World::new(0, 5, &[10, 1_000]);
    world.policy.triggers[1].resource_like = true;
    assert_eq!(world.outcome(at(1)).0, 2, "left out from zero");
    world.reads(0, 0, at(400));
    world.fails(1, at(0));
    world.replicas(1);
    let decision = world.look(at(400));
    assert_eq!((decision.write, decision.health), (Some(0), Health::Good), "neither active nor an error here");
}

#[test]
fn an_answer_without_a_metric_is_a_failure_not_a_zero() {
    let mut world = World::new(3, 5, &[0]);
    world.triggers[0] = Evidence::Good { readings: Vec::new(), begun: at(400), at: at(400) };
    let decision = world.look(at(401));
    assert_eq!((decision.write, decision.health, decision.limited_by), (None, Health::Failing, Limit::FailedTrigger));
    world.triggers[0] = Evidence::Unread;
    let decision = world.look(at(401));
    assert_eq!((decision.write, decision.health, decision.limited_by), (None, Health::Failing, Limit::FailedTrigger));
}

#[test]
fn entering_clears_events_and_leaving_again_is_free() {
    let mut world = World::new(0, 5, &[40]);
    world.policy.cooldown = Span::seconds(10);
    world.policy.behavior = behavior(rules(0, Select::Max, vec![percent(1_000, 600)]), GivenRules::default());
    assert_eq!(world.act(at(0)).write, Some(8));
    assert_eq!(world.step(&[0], at(20)).write, Some(0));
    assert!(world.memory.ups.iter().next().is_none());
    // 1 + 1000 % = 11, nothing of it used up.
    assert_eq!(world.step(&[400], at(30)).write, Some(11));
}
