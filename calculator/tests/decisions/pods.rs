//! Metrics of the pods in `decide`: cpu and memory, beside external triggers (hpa-algorithm §5, §6.1, §6.2; keda-semantics §4.2).

use std::collections::BTreeMap;

use tidegate_calculator::behavior::GivenRules;
use tidegate_calculator::decision::{Limit, Step};
use tidegate_calculator::hpa::pods::{Container, Phase, Pod, Readiness};
use tidegate_calculator::hpa::samples::{PodValue, Sample};
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::policy::TriggerPolicy;
use tidegate_calculator::rules::Change;
use tidegate_calculator::source::{Measured, MetricSpec, MetricType, Milli, PodSamples, ReadErrorKind, Reading};
use tidegate_calculator::time::{Span, Tick};

use crate::ruled::{above, below, held, rule};
use crate::world::{World, at, behavior, free};

/// A pod of an hour that has been ready ever since, with a request of 1 cpu.
fn pod(name: &str) -> Pod {
    Pod {
        name: name.to_owned(),
        started: Some(at(-3_600)),
        ready: Some(Readiness { status: Some(true), since: at(-3_590) }),
        containers: vec![Container { requests: BTreeMap::from([("cpu".to_owned(), 1_000)]), ..Container::default() }],
        ..Pod::default()
    }
}

fn value(pod: &str, value: i64) -> PodValue {
    PodValue { pod: pod.to_owned(), sample: Sample { value, at: at(-10), window: Span::seconds(30) } }
}

/// A world of one cpu trigger, whose pods use so much of one cpu each.
fn cpu(metric_type: MetricType, target: Milli, usage: &[i64]) -> World {
    let mut world = World::new(u32::try_from(usage.len()).unwrap(), 1, &[0]);
    world.policy.triggers = vec![TriggerPolicy { resource_like: true, metric_type, ..TriggerPolicy::new("cpu") }];
    world.policy.min = 1;
    world.policy.settings.downscale_window = Span::ZERO;
    world.specs = vec![MetricSpec { name: "cpu".to_owned(), metric_type, target, exact: false }];
    let names: Vec<String> = (0..usage.len()).map(|index| format!("pod-{index}")).collect();
    let samples = PodSamples {
        resource: "cpu".to_owned(),
        container: None,
        pods: names.iter().map(|name| pod(name)).collect(),
        samples: names.iter().zip(usage).map(|(name, usage)| value(name, *usage)).collect(),
    };
    shows(&mut world, samples, at(0));
    // The first pass holds what is there.
    world.pass(at(0));
    world
}

fn shows(world: &mut World, samples: PodSamples, when: Tick) {
    let reading = Reading { value: Measured::PerPod(samples), active: false };
    world.triggers[0] = Evidence::Good { readings: vec![(world.specs[0].clone(), reading)], begun: when, at: when };
}

fn samples(world: &World) -> PodSamples {
    match world.triggers[0].readings() {
        Some([(_, Reading { value: Measured::PerPod(samples), .. })]) => samples.clone(),
        _ => PodSamples::default(),
    }
}

#[test]
fn utilization_is_a_percentage_of_the_requests() {
    // (300 + 500 + 700) / 3,000 = 50 %; 50 / 30 * 3 = 5.
    let world = cpu(MetricType::Utilization, Milli::units(30), &[300, 500, 700]);
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.active), (Some(5), true), "cpu alone is always active");
    let proposal = decision.steps.iter().find_map(|step| match step {
        Step::Proposal { total, target, within_tolerance, .. } => Some((*total, *target, *within_tolerance)),
        _ => None,
    });
    assert_eq!(proposal, Some((Milli::units(50), Milli::units(30), false)));
    // 10 % of 3 pods at 30 %: 1.
    let down = cpu(MetricType::Utilization, Milli::units(30), &[100, 100, 100]);
    assert_eq!(down.outcome(at(1)), (1, Limit::Metrics));
    assert_eq!(
        cpu(MetricType::Utilization, Milli::units(30), &[310, 320, 330]).outcome(at(1)).0,
        3,
        "within tolerance"
    );
}

#[test]
fn an_average_needs_no_requests() {
    let mut world = cpu(MetricType::AverageValue, Milli(300), &[300, 500, 700]);
    let mut of = samples(&world);
    of.pods.iter_mut().for_each(|pod| pod.containers.clear());
    shows(&mut world, of, at(0));
    assert_eq!(world.outcome(at(1)).0, 5, "500 / 300 * 3");
}

#[test]
fn a_young_pod_counts_as_idle_until_it_is_ready() {
    let mut world = cpu(MetricType::Utilization, Milli::units(30), &[300, 500, 700]);
    let mut of = samples(&world);
    of.pods[0].ready = Some(Readiness { status: Some(false), since: at(-50) });
    of.pods[0].started = Some(at(-100));
    shows(&mut world, of.clone(), at(0));
    // (500 + 700) / 2,000 = 60 %; with the first one at 0: 40 %, and 40 / 30 * 3 = 4.
    assert_eq!(world.outcome(at(1)).0, 4);
    // The same answer 200 s later: the pod's 300 s are over, and as its readiness changed after its first 30 s it has been ready before.
    assert_eq!((world.outcome(Tick(199_999)).0, world.outcome(at(200)).0), (4, 5));
    assert_eq!(world.look(at(1)).next, Some(at(200)));
    of.pods[0].phase = Phase::Failed;
    shows(&mut world, of, at(0));
    // Ignored: 60 / 30 * 2 = 4.
    assert_eq!(world.outcome(at(1)).0, 4);
}

#[test]
fn for_one_sync_period_after_a_write_it_proposes_what_is_there() {
    let mut world = cpu(MetricType::Utilization, Milli::units(30), &[300, 500, 700]);
    assert_eq!(world.act(at(1)).write, Some(5));
    // 90 % of the three pods that are there: 90 / 30 * 3 = 9.
    let mut of = samples(&world);
    of.samples.iter_mut().for_each(|value| value.sample.value = 900);
    shows(&mut world, of, at(1));
    let waiting = world.look(at(2));
    assert_eq!((waiting.write, waiting.next), (None, Some(at(16))));
    assert!(waiting.steps.iter().any(|step| matches!(step, Step::Proposal { waits: Some(end), .. } if *end == at(16))));
    assert_eq!(world.outcome(at(16)).0, 9);
}

#[test]
fn what_cannot_be_computed_is_a_failure_and_lowers_nothing() {
    let failure = |world: &World| {
        let decision = world.look(at(1));
        assert_eq!((decision.write, decision.limited_by), (None, Limit::FailedTrigger));
        decision.steps.iter().find_map(|step| match step {
            Step::Failed { kind, message, .. } => Some((*kind, message.clone())),
            _ => None,
        })
    };
    let mut world = cpu(MetricType::Utilization, Milli::units(30), &[10, 10, 10]);
    let mut of = samples(&world);
    of.pods[2].containers[0].requests.clear();
    shows(&mut world, of, at(0));
    let (kind, message) = failure(&world).unwrap();
    assert_eq!(kind, ReadErrorKind::Protocol);
    assert!(message.contains("missing request for cpu"), "{message}");
    shows(&mut world, PodSamples::default(), at(0));
    assert!(failure(&world).unwrap().1.contains("no pods"));
    let value = cpu(MetricType::Value, Milli::units(30), &[10, 10, 10]);
    assert_eq!(failure(&value).unwrap().0, ReadErrorKind::Config);
}

#[test]
fn beside_an_external_trigger_the_larger_counts_but_from_zero_only_the_external_one() {
    let mut world = cpu(MetricType::Utilization, Milli::units(30), &[300, 500, 700]);
    world.policy.triggers.push(TriggerPolicy::new("redis"));
    world.specs.push(MetricSpec {
        name: "s1-redis".to_owned(),
        metric_type: MetricType::AverageValue,
        target: Milli::units(10),
        exact: false,
    });
    world.triggers.push(Evidence::Unread);
    world.reads(1, 20, at(1));
    assert_eq!(world.outcome(at(1)).0, 5);
    world.reads(1, 60, at(1));
    assert_eq!(world.outcome(at(1)).0, 6);
    world.replicas(0);
    world.policy.min = 0;
    world.reads(1, 20, at(1));
    assert_eq!(world.outcome(at(1)).0, 2);
}

/// Three pods and rules over the percentage of what they request.
fn cpu_rules(usage: &[i64], rules: &[tidegate_calculator::rules::StepRule]) -> World {
    let mut world = cpu(MetricType::Utilization, Milli::units(30), usage);
    world.rules(0).steps = rules.to_vec();
    world
}

#[test]
fn rules_over_a_utilization_compare_percents() {
    let raise = rule(above(50), Change::Add(2));
    // 1,500 / 3,000 = 50 %, and 1,530 / 3,000 = 51 %.
    assert_eq!(cpu_rules(&[300, 500, 700], &[raise]).outcome(at(1)).0, 3);
    assert_eq!(cpu_rules(&[300, 500, 730], &[raise]).outcome(at(1)).0, 5);
}

#[test]
fn rules_that_lower_take_a_pod_without_a_sample_for_busy() {
    let lower = held(below(40), Change::Remove(1), 0);
    assert_eq!(cpu_rules(&[100, 100, 100], &[lower]).outcome(at(1)).0, 2, "10 %");
    let mut world = cpu_rules(&[100, 100, 100], &[lower, rule(above(30), Change::Add(1))]);
    let mut of = samples(&world);
    of.samples.pop();
    shows(&mut world, of, at(0));
    // (100 + 100 + 1,000) / 3,000 = 40 %, which is not below; what is shown, and what raises, is still 10 %.
    assert_eq!(world.outcome(at(1)).0, 3);
    world.rules(0).steps[0].condition = below(41);
    assert_eq!(world.outcome(at(1)).0, 2);
}

#[test]
fn a_raise_of_cpu_is_not_followed_by_a_lowering_that_would_bring_it_back() {
    let mut world =
        cpu_rules(&[300, 300, 300], &[rule(above(40), Change::Add(1)), held(below(35), Change::Remove(1), 0)]);
    // 30 % of 3 are 45 % of 2, above 40.
    assert_eq!(world.outcome(at(1)).0, 3);
    world.rules(0).spreads = Some(false);
    assert_eq!(world.outcome(at(1)).0, 2);
}

#[test]
fn rules_over_pods_without_requests_are_a_failure() {
    let mut world = cpu_rules(&[100, 100, 100], &[held(below(40), Change::Remove(1), 0)]);
    let mut of = samples(&world);
    of.pods[0].containers[0].requests.clear();
    shows(&mut world, of, at(0));
    assert_eq!(world.outcome(at(1)), (3, Limit::FailedTrigger));
    let mut average = cpu(MetricType::AverageValue, Milli(300), &[100, 100, 100]);
    average.rules(0).steps = vec![held(tidegate_calculator::rules::Condition::Below(Milli(200)), Change::Remove(1), 0)];
    assert_eq!(average.outcome(at(1)).0, 2, "an average of 100 thousandths");
    let mut of = samples(&average);
    of.samples.pop();
    shows(&mut average, of, at(0));
    // (100 + 100 + 300) / 3 = 166; without two samples (100 + 300 + 300) / 3 = 233.
    assert_eq!(average.outcome(at(1)).0, 2);
    let mut of = samples(&average);
    of.samples.pop();
    shows(&mut average, of, at(0));
    assert_eq!(average.outcome(at(1)).0, 3);
}

/// 4 pods at 20 % of a target of 50 %: ceil(20 / 50 * 4) = 2. Nobody may take the present count, which is proposed for 15 s after a write,
/// for a recommendation: a window of 60 s would begin anew with it.
#[test]
fn what_only_waits_for_pods_is_no_recommendation() {
    let mut world = cpu(MetricType::Utilization, Milli::units(50), &[200; 4]);
    world.policy.behavior = behavior(free(), GivenRules { window: Some(Span::seconds(60)), ..free() });
    // The hold of second 0 leaves the window at 60 s. After a write at 55 s the metric waits until 70 s.
    for (second, record) in [(15, Some(2)), (30, Some(2)), (45, Some(2)), (58, None), (61, None), (70, Some(2))] {
        world.memory.last_write = (second >= 55).then(|| at(55));
        let again = samples(&world);
        shows(&mut world, again, at(second));
        let decision = world.look(at(second));
        assert_eq!(decision.effects.record, record, "at {second} s: {:?}", decision.steps);
        world.memory.take(&decision.effects, at(second));
        assert_eq!(decision.write, (second == 70).then_some(2), "at {second} s");
    }
}
