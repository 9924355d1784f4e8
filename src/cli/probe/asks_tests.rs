use tidegate_calculator::policy::TriggerPolicy;
use tidegate_calculator::source::PodSamples;

use super::*;

fn metric(metric_type: MetricType, target: i64) -> MetricSpec {
    MetricSpec { name: "s0-redis-jobs".to_owned(), metric_type, target: Milli::units(target), exact: false }
}

fn total(metric_type: MetricType, target: i64, value: i64) -> Readings {
    let reading = Reading { value: Measured::Total(vec![Milli::units(value)]), active: value > 0 };
    vec![(metric(metric_type, target), reading)]
}

fn policy() -> Policy {
    Policy { max: 10, ..Policy::with_defaults("redis") }
}

fn one(policy: &Policy, readings: &Readings, target: Option<TargetState>) -> Asks {
    let mut asked = asks(policy, 0, readings, target);
    assert_eq!(asked.len(), 1);
    asked.remove(0).asks
}

fn state(replicas: u32, ready: u32) -> TargetState {
    TargetState { replicas, existing: replicas, ready: Some(ready) }
}

#[test]
fn a_total_is_divided_by_its_target_and_kept_within_the_bounds() {
    let of = |value| one(&policy(), &total(MetricType::AverageValue, 5, value), None);
    // 40 / 5 = 8; 41 / 5 rounds up to 9; 790 / 5 = 158 is above the maximum; nothing rests at 0.
    assert_eq!(
        [40, 41, 790, 1, 0].map(of),
        [Asks::Replicas(8), Asks::Replicas(9), Asks::Replicas(10), Asks::Replicas(1), Asks::Replicas(0)]
    );
    let at_least = Policy { min: 3, ..policy() };
    for value in [0, 1] {
        assert_eq!(one(&at_least, &total(MetricType::AverageValue, 5, value), None), Asks::Replicas(3));
    }
    let idle = Policy { min: 3, idle: Some(1), ..policy() };
    assert_eq!(one(&idle, &total(MetricType::AverageValue, 5, 0), None), Asks::Replicas(1));
    let forced = Policy { force_activation: true, pause: Pause::At(7), ..policy() };
    assert_eq!(one(&forced, &total(MetricType::AverageValue, 5, 0), None), Asks::Replicas(1), "as if not paused");
}

#[test]
fn what_is_there_counts_where_it_was_seen() {
    let average = total(MetricType::AverageValue, 5, 42);
    // 42 / 5 = 8.4 are 9 replicas, but for 8 it is within a tenth of what they should have.
    assert_eq!(
        (one(&policy(), &average, Some(state(8, 8))), one(&policy(), &average, Some(state(3, 3)))),
        (Asks::Replicas(8), Asks::Replicas(9))
    );
    let value = total(MetricType::Value, 12, 19);
    // 19 / 12 = 1.583...: times 4 Ready pods are 6.33, and from zero the ratio itself counts.
    assert_eq!(one(&policy(), &value, Some(state(4, 4))), Asks::Replicas(7));
    assert_eq!(one(&policy(), &value, Some(state(0, 0))), Asks::Replicas(2));
    assert!(matches!(one(&policy(), &value, None), Asks::Times(ratio) if (1.583..1.584).contains(&ratio)));
    let Asks::Untold(why) = one(&policy(), &value, Some(state(4, 0))) else { panic!("no pod is Ready") };
    assert!(why.contains("Ready pods"), "{why}");
}

#[test]
fn each_trigger_is_looked_at_by_itself() {
    let mut two = policy();
    two.triggers.push(TriggerPolicy::new("kafka"));
    let readings = total(MetricType::AverageValue, 5, 40);
    assert_eq!(asks(&two, 1, &readings, Some(state(3, 3)))[0].asks, Asks::Replicas(8), "the other one was not read");
}

#[test]
fn a_metric_of_the_pods_shows_their_average() {
    let mut of_pods = Policy { min: 1, ..policy() };
    of_pods.triggers[0].resource_like = true;
    let pods: Vec<_> = ["a", "b"]
        .map(|name| tidegate_calculator::hpa::pods::Pod { name: name.to_owned(), ..Default::default() })
        .into();
    let sample = |pod: &str, value| tidegate_calculator::hpa::samples::PodValue {
        pod: pod.to_owned(),
        sample: tidegate_calculator::hpa::samples::Sample {
            value,
            at: Tick(-1_000),
            window: tidegate_calculator::time::Span::seconds(30),
        },
    };
    let samples = vec![sample("a", 30_000), sample("b", 50_000)];
    let value = Measured::PerPod(PodSamples { resource: String::new(), container: None, pods, samples });
    let readings = vec![(metric(MetricType::AverageValue, 20), Reading { value, active: false })];
    // (30 + 50) / 2 = 40 each, twice the target: 2 pods become 4. They are never active, which does not matter for these.
    let asked = asks(&of_pods, 0, &readings, Some(state(2, 2)));
    assert_eq!(asked, [Asked { shown: Milli::units(40), asks: Asks::Replicas(4) }]);
}
