//! Proposals, the failure rule, tolerance, Value metrics and vetoes: hpa-algorithm §6.3, §6.4, §7 and the rows of §11 that apply.

use tidegate_calculator::behavior::GivenRules;
use tidegate_calculator::decision::{Health, Limit, Step, Veto};
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::policy::Consent;
use tidegate_calculator::source::{Measured, MetricType, Milli, ReadErrorKind};
use tidegate_calculator::time::{Span, Tick};

use crate::world::{World, at, behavior, free};

/// A world without windows and without rates: what the metrics say is what happens, once a first pass has been recorded.
fn frictionless(replicas: u32, target: i64, totals: &[i64]) -> World {
    let mut world = World::new(replicas, target, totals);
    world.policy.behavior = behavior(free(), free());
    world
}

#[test]
fn the_ceiling_of_the_quotient_is_proposed() {
    // 790 / 100 = 7.9; with 3 existing 790 / 300 is far from 1.
    assert_eq!(frictionless(3, 100, &[790]).outcome(at(1)), (8, Limit::Metrics));
    assert_eq!(frictionless(10, 100, &[790]).outcome(at(1)), (8, Limit::Metrics));
    let decision = frictionless(10, 100, &[790]).look(at(1));
    assert!(decision.lowers_by_metrics);
    assert!(decision.steps.contains(&Step::Proposal {
        trigger: 0,
        metric: 0,
        total: Milli::units(790),
        target: Milli::units(100),
        metric_type: MetricType::AverageValue,
        within_tolerance: false,
        exact: false,
        waits: None,
        active: true,
        replicas: 8,
        at: at(0),
    }));
}

#[test]
fn row_2_the_edges_of_the_tolerance_are_inside() {
    for (total, expected) in [(1_100, 10), (1_101, 12), (900, 10), (899, 9), (1_000, 10)] {
        assert_eq!(frictionless(10, 100, &[total]).outcome(at(1)).0, expected, "{total} / (100 * 10)");
    }
}

#[test]
fn rows_3_and_4_tolerance_has_a_direction() {
    let with = |up: f64, down: f64, total: i64| {
        let mut world = frictionless(10, 100, &[total]);
        let tolerance = |tolerance| GivenRules { tolerance: Some(tolerance), ..free() };
        world.policy.behavior = behavior(tolerance(up), tolerance(down));
        world.outcome(at(1)).0
    };
    assert_eq!(with(0.0, 0.0, 1_000), 10, "tolerance 0 and ratio 1");
    assert_eq!((with(0.0, 0.1, 1_001), with(0.1, 0.0, 999)), (11, 10), "ceil(9.99) = 10");
    assert_eq!((with(0.5, 0.0, 1_500), with(0.5, 0.0, 1_501)), (10, 16));
    assert_eq!((with(0.1, 1.0, 0), with(0.1, 1.0, 1)), (10, 10), "a tolerance of 1 never lowers");
    let mut world = frictionless(10, 100, &[1_400]);
    world.policy.settings.tolerance = 0.4;
    assert_eq!(world.outcome(at(1)).0, 10, "the process's setting, if behavior gives none");
    world.policy.behavior = None;
    assert_eq!(world.outcome(at(1)).0, 10, "and without behavior");
}

#[test]
fn within_tolerance_proposes_what_exists() {
    // 4 wanted, 5 exist (a surge): 500 / (100 * 5) = 1, so 5 is proposed.
    let mut world = frictionless(4, 100, &[500]);
    world.target.existing = 5;
    assert_eq!(world.outcome(at(1)), (5, Limit::Metrics));
    // Row 28: 400 / (100 * 5) = 0.8 is outside: ceil(4) = 4 stays.
    world.reads(0, 400, at(1));
    assert_eq!(world.outcome(at(1)), (4, Limit::Metrics));
}

#[test]
fn row_24_without_existing_pods_the_quotient_counts() {
    let mut world = frictionless(2, 100, &[790]);
    world.target.existing = 0;
    assert_eq!(world.outcome(at(1)).0, 8);
    world.reads(0, 0, at(1));
    assert_eq!(world.outcome(at(1)).0, 0, "never active, no initial cooldown: it rests");
}

#[test]
fn rows_21_and_22_huge_totals_saturate() {
    let mut world = frictionless(3, 1, &[i64::MAX]);
    assert_eq!(world.outcome(at(1)), (100, Limit::Maximum));
    world.value_metric(0);
    world.reads(0, i64::MAX, at(1));
    assert_eq!(world.outcome(at(1)), (100, Limit::Maximum));
    assert_eq!(world.look(at(1)).effects.record, Some(2_147_483_647));
}

#[test]
fn a_target_of_zero_asks_for_everything_or_nothing() {
    let mut world = frictionless(3, 0, &[7]);
    assert_eq!(world.outcome(at(1)), (100, Limit::Maximum), "7 / 0 is infinite");
    world.policy.min = 2;
    world.reads(0, 0, at(1));
    assert_eq!(world.outcome(at(1)), (2, Limit::Minimum), "0 / 0 is 0");
}

#[test]
fn the_series_of_a_metric_are_summed() {
    let mut world = frictionless(3, 100, &[0]);
    if let Evidence::Good { readings, .. } = &mut world.triggers[0] {
        readings[0].1.value = Measured::Total(vec![Milli::units(300), Milli::units(490)]);
    }
    assert_eq!(world.outcome(at(1)).0, 8);
}

#[test]
fn the_largest_proposal_of_all_metrics_wins() {
    assert_eq!(frictionless(4, 100, &[300, 800]).outcome(at(1)).0, 8);
    assert_eq!(frictionless(4, 100, &[800, 300]).outcome(at(1)).0, 8);
    // Two metrics of one trigger.
    let mut world = frictionless(4, 100, &[300]);
    if let Evidence::Good { readings, .. } = &mut world.triggers[0] {
        let mut second = readings[0].clone();
        second.1.value = Measured::Total(vec![Milli::units(900)]);
        readings.push(second);
    }
    assert_eq!(world.outcome(at(1)).0, 9);
    let metrics = |step: &Step| if let Step::Proposal { metric, .. } = step { Some(*metric) } else { None };
    assert_eq!(world.look(at(1)).steps.iter().filter_map(metrics).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn rows_25_and_26_a_failed_trigger_blocks_lowering_and_nothing_else() {
    let with_failure = |total: i64| {
        let mut world = frictionless(5, 100, &[total, 0]);
        world.fails(1, at(0));
        world.look(at(1))
    };
    let lower = with_failure(300);
    assert_eq!((lower.write, lower.desired, lower.limited_by), (None, 5, Limit::FailedTrigger));
    assert!(lower.steps.contains(&Step::FailureHold { failed: 1, proposal: Some(3) }));
    assert_eq!((lower.effects.record, lower.effects.hold), (None, None), "a total failure records nothing");
    assert_eq!(lower.health, Health::Partial);
    let stay = with_failure(500);
    assert_eq!((stay.write, stay.limited_by, stay.effects.record), (None, Limit::Metrics, Some(5)));
    let raise = with_failure(800);
    assert_eq!((raise.write, raise.limited_by, raise.effects.record), (Some(8), Limit::Metrics, Some(8)));
}

#[test]
fn row_27_when_all_fail_nothing_happens() {
    let mut world = frictionless(5, 100, &[300, 300]);
    world.fails(0, at(0));
    world.fails(1, at(0));
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.limited_by, decision.next), (None, Limit::FailedTrigger, None));
    assert!(decision.steps.contains(&Step::FailureHold { failed: 2, proposal: None }));
}

#[test]
fn row_19_a_value_metric_multiplies_the_ready_pods() {
    // Level 50, target 10, one of three Ready: ceil(5 * 1) = 5.
    let mut world = frictionless(3, 10, &[50]);
    world.value_metric(0);
    world.reads(0, 50, at(0));
    world.target.ready = Some(1);
    assert_eq!(world.outcome(at(1)).0, 5);
    world.target.ready = Some(3);
    assert_eq!(world.outcome(at(1)).0, 15);
}

#[test]
fn a_value_metric_without_ready_pods_is_a_failure_unless_within_tolerance() {
    let mut world = frictionless(3, 10, &[50]);
    world.value_metric(0);
    for (existing, ready) in [(3, Some(0)), (3, None), (0, Some(0)), (0, None)] {
        world.target.existing = existing;
        world.target.ready = ready;
        world.reads(0, 50, at(0));
        let decision = world.look(at(1));
        assert_eq!((decision.write, decision.limited_by), (None, Limit::FailedTrigger));
        assert_eq!(decision.health, Health::Failing, "the source itself is well, but nothing can be made of it");
        let failed =
            decision.steps.iter().any(|step| matches!(step, Step::Failed { kind: ReadErrorKind::Protocol, .. }));
        assert!(failed, "{:?}", decision.steps);
        world.reads(0, 11, at(0));
        assert_eq!(world.outcome(at(1)), (3, Limit::Metrics), "1.1 is within tolerance: pods are not looked at");
        let steps = world.look(at(1)).steps;
        assert!(
            matches!(steps[0], Step::Proposal { within_tolerance: true, replicas: 3, waits: None, .. }),
            "{steps:?}"
        );
    }
}

#[test]
fn a_value_metric_waits_one_sync_period_after_a_write() {
    let mut world = frictionless(3, 10, &[20]);
    world.value_metric(0);
    world.reads(0, 20, at(0));
    assert_eq!(world.act(at(10)).write, Some(6), "2 * 3");
    // Until 25 s the present count is proposed, then 2 * 6 = 12.
    let waiting = world.look(Tick(24_999));
    assert_eq!((waiting.write, waiting.next), (None, Some(at(25))));
    let waits = |step: &Step| matches!(step, Step::Proposal { waits: Some(end), replicas: 6, .. } if *end == at(25));
    assert!(waiting.steps.iter().any(waits));
    let over = world.look(at(25));
    assert_eq!(over.write, Some(12));
    // While it waits, pods that are not Ready yet are no failure; after it they are.
    world.target.ready = Some(0);
    assert_eq!(world.outcome(Tick(24_999)), (6, Limit::Metrics));
    assert_eq!(world.outcome(at(25)), (6, Limit::FailedTrigger));
    // A total that proposes the present count anyway needs no waiting.
    world.target.ready = Some(3);
    assert_eq!(world.look(Tick(24_999)).next, None, "2 * 3 = 6 is what is there");
}

#[test]
fn an_average_value_metric_does_not_wait() {
    let mut world = frictionless(3, 10, &[60]);
    assert_eq!(world.act(at(10)).write, Some(6));
    assert_eq!(world.step(&[90], at(11)).write, Some(9));
}

#[test]
fn utilization_of_a_total_is_refused() {
    let mut world = frictionless(3, 10, &[60]);
    world.specs[0].metric_type = MetricType::Utilization;
    for replicas in [0, 3] {
        world.replicas(replicas);
        world.reads(0, 60, at(0));
        let decision = world.look(at(1));
        assert!(decision.steps.iter().any(|step| matches!(step, Step::Failed { kind: ReadErrorKind::Config, .. })));
    }
    assert_eq!(world.outcome(at(1)), (3, Limit::FailedTrigger));
}

#[test]
fn vetoes_keep_the_present_count_and_not_the_history() {
    let veto = |total: i64, change: fn(&mut World)| {
        let mut world = frictionless(5, 100, &[total]);
        change(&mut world);
        let decision = world.look(at(1));
        assert!(decision.effects.record.is_some());
        let by = decision.steps.iter().find_map(|step| match step {
            Step::Vetoed { by, .. } => Some(*by),
            _ => None,
        });
        (decision.desired, decision.limited_by, by)
    };
    let paused_in: fn(&mut World) = |world| world.policy.paused_scale_in = true;
    let paused_out: fn(&mut World) = |world| world.policy.paused_scale_out = true;
    let missing: fn(&mut World) = |world| world.policy.consent = Consent::PolicyMissing;
    assert_eq!(veto(300, paused_in), (5, Limit::Paused, Some(Veto::PausedScaleIn)));
    assert_eq!(veto(800, paused_in), (8, Limit::Metrics, None));
    assert_eq!(veto(800, paused_out), (5, Limit::Paused, Some(Veto::PausedScaleOut)));
    assert_eq!(veto(300, paused_out), (3, Limit::Metrics, None));
    assert_eq!(veto(300, missing), (5, Limit::PolicyMissing, Some(Veto::PolicyMissing)));
    assert_eq!(veto(800, missing), (8, Limit::Metrics, None));
    assert_eq!(veto(500, paused_in), (5, Limit::Metrics, None));
    assert_eq!(veto(500, paused_out), (5, Limit::Metrics, None), "staying is no change");
    assert_eq!(veto(500, missing), (5, Limit::Metrics, None));
    let both: fn(&mut World) = |world| {
        world.policy.paused_scale_in = true;
        world.policy.consent = Consent::PolicyMissing;
    };
    assert_eq!(veto(300, both), (5, Limit::Paused, Some(Veto::PausedScaleIn)), "what the user said comes first");
}

#[test]
fn row_30_a_jump_happens_right_after_another_change() {
    let mut world = World::new(3, 100, &[790]);
    assert_eq!(world.act(at(1)).write, Some(6), "max(2 * 3, 4)");
    world.policy.min = 50;
    assert_eq!(world.act(at(1)).write, Some(50));
    world.policy.min = 0;
    world.policy.max = 5;
    assert_eq!(world.act(Tick(1_001)).write, Some(5));
}

#[test]
fn a_forced_object_at_work_never_rests() {
    let mut world = World::new(1, 100, &[0]);
    world.policy.force_activation = true;
    world.policy.cooldown = Span::seconds(1);
    world.reads(0, 0, at(500));
    let decision = world.look(at(500));
    assert!(decision.active);
    assert_eq!((decision.write, decision.limited_by, decision.fresh_after), (None, Limit::Minimum, None));
}
