//! A HorizontalPodAutoscaler beside a world: the same policy under `hpa::reconcile`; and what must hold for it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_calculator::behavior::Behavior;
use tidegate_calculator::hpa::history::{self, Recommended, Scaled};
use tidegate_calculator::hpa::observation::{Answer, Scale, ScaleRead};
use tidegate_calculator::hpa::pods::{Container, Pod, Readiness};
use tidegate_calculator::hpa::samples::PodUsage;
use tidegate_calculator::hpa::spec::{Metric, Source, Target};
use tidegate_calculator::hpa::{Observation, Reconciled, Settings, Spec, State, reconcile};
use tidegate_calculator::memory::events::Events;
use tidegate_calculator::memory::recommendations::{Edge, Recommendations};
use tidegate_calculator::time::{Span, Tick};

use crate::random;

/// An autoscaler with external metrics, and its target.
#[derive(Clone, Debug)]
pub(crate) struct Autoscaler {
    pub(crate) spec: Spec,
    pub(crate) settings: Settings,
    pub(crate) state: State,
    pub(crate) replicas: i32,
}

fn external(target: i64) -> Metric {
    let target = Target { kind: "AverageValue".to_owned(), average: Some(target * 1_000), ..Target::default() };
    Metric { source: Source::External { name: "items".to_owned(), selector: None }, target }
}

impl Autoscaler {
    /// As many metrics of `target` items a replica as there are to be totals.
    pub(crate) fn new(replicas: i32, bounds: (i32, i32), target: i64, metrics: usize) -> Self {
        let spec = Spec { min: bounds.0, max: bounds.1, metrics: vec![external(target); metrics], ..Spec::default() };
        Self { spec, settings: Settings::default(), state: State::default(), replicas }
    }

    /// One pass over totals in whole items; none is a metric that failed. A write happens at once.
    pub(crate) fn pass(&mut self, totals: &[Option<i64>], now: Tick) -> Reconciled {
        let answer = |total: &Option<i64>| {
            total.map_or(Answer::Failed("no answer".to_owned()), |total| Answer::External(vec![total * 1_000]))
        };
        let scale = Scale { replicas: self.replicas, existing: self.replicas, selector: "app=it".to_owned() };
        let observed = Observation {
            scale: ScaleRead::Read(scale),
            answers: totals.iter().map(answer).collect(),
            ..Observation::default()
        };
        let reconciled = reconcile(&self.spec, &self.state, &observed, now, &self.settings);
        self.state = reconciled.state.clone();
        if reconciled.scaled {
            self.replicas = self.state.status.desired;
        }
        reconciled
    }
}

/// A pass: how long after the one before, and what the metrics say.
type Moves = Vec<(i64, Vec<Option<i64>>)>;

fn moves() -> impl Strategy<Value = Moves> {
    let total = prop_oneof![9 => (0_i64..300).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((1_i64..20_000, prop::collection::vec(total, 2)), 1..40)
}

fn autoscaler() -> impl Strategy<Value = Autoscaler> {
    (random::policy(), 1_i32..30, 0_i64..60_000).prop_map(|(policy, replicas, window)| {
        let bounds = (i32::try_from(policy.floor()).unwrap(), i32::try_from(policy.max).unwrap());
        let mut it = Autoscaler::new(replicas, bounds, 10, 2);
        it.spec.behavior = policy.behavior;
        it.settings.downscale_window = Span(window);
        it
    })
}

proptest! {
    #![proptest_config(crate::cases(1_000))]

    #[test]
    fn within_its_bounds_and_never_lowered_while_a_metric_failed(mut it in autoscaler(), moves in moves()) {
        let mut now = Tick(0);
        for (gap, totals) in moves {
            now = now + Span(gap);
            let (before, spec) = (it.replicas, it.spec.clone());
            let again = it.clone().pass(&totals, now);
            let reconciled = it.pass(&totals, now);
            prop_assert_eq!(&reconciled, &again, "the same twice");
            prop_assert!((spec.min..=spec.max).contains(&it.replicas), "{} of {reconciled:?}", it.replicas);
            if totals.contains(&None) && before <= spec.max {
                prop_assert!(it.replicas >= before, "lowered from {before}: {reconciled:?}");
            }
        }
    }

    /// What a policy allows is counted from what there was one period before, whatever happened since.
    #[test]
    fn its_policies_hold_over_every_period(mut it in autoscaler(), moves in moves()) {
        let (mut now, mut counts) = (Tick(0), vec![(Tick(i64::MIN / 2), it.replicas)]);
        for (gap, totals) in moves {
            now = now + Span(gap);
            let before = it.replicas;
            it.pass(&totals, now);
            let inside = (it.spec.min..=it.spec.max).contains(&before);
            if let Some(behavior) = it.spec.behavior.as_ref().filter(|_| inside) {
                let counts: Vec<(Tick, u32)> = counts.iter().map(|(at, n)| (*at, u32::try_from(*n).unwrap())).collect();
                let (from, to) = (u32::try_from(before).unwrap(), u32::try_from(it.replicas).unwrap());
                prop_assert!(crate::laws::allowed(behavior, &counts, from, to, now), "{from} -> {to} at {now:?} after {counts:?}");
            }
            counts.push((now, it.replicas));
        }
    }

    #[test]
    fn more_load_never_gives_fewer(mut it in autoscaler(), moves in moves(), more in (0_i64..100, 0_i64..100)) {
        let mut now = Tick(0);
        for (gap, totals) in moves {
            now = now + Span(gap);
            let mut other = it.clone();
            let higher: Vec<Option<i64>> = vec![totals[0].map(|n| n + more.0), totals[1].map(|n| n + more.1)];
            other.pass(&higher, now);
            it.pass(&totals, now);
            prop_assert!(other.replicas >= it.replicas, "{higher:?} gives {}, {totals:?} {}", other.replicas, it.replicas);
        }
    }

    /// As many pods as replicas, all of them ready and measured: their load decides, by utilization and by average alike.
    #[test]
    fn more_usage_never_gives_fewer(usage in prop::collection::vec((0_i64..3_000, 0_i64..500), 1..12), utilization: bool, target in 1_i32..150) {
        let count = i32::try_from(usage.len()).unwrap();
        let pod = |index: usize| Pod {
            name: format!("pod-{index}"),
            labels: BTreeMap::from([("app".to_owned(), "it".to_owned())]),
            started: Some(Tick(-3_600_000)),
            ready: Some(Readiness { status: Some(true), since: Tick(-3_500_000) }),
            containers: vec![Container { requests: BTreeMap::from([("cpu".to_owned(), 1_000)]), ..Container::default() }],
            ..Pod::default()
        };
        let run = |with: bool| {
            let target = if utilization {
                Target { utilization: Some(target), ..Target::default() }
            } else {
                Target { average: Some(i64::from(target) * 10), ..Target::default() }
            };
            let source = Source::Resource { name: "cpu".to_owned() };
            let spec = Spec { min: 1, max: 1_000, metrics: vec![Metric { source, target }], ..Spec::default() };
            let used = |(index, (usage, more)): (usize, &(i64, i64))| PodUsage {
                pod: format!("pod-{index}"),
                at: Tick(0),
                window: Span::seconds(30),
                containers: vec![(String::new(), Some(usage + if with { *more } else { 0 }))],
            };
            let observed = Observation {
                scale: ScaleRead::Read(Scale { replicas: count, existing: count, selector: "app=it".to_owned() }),
                pods: (0..usage.len()).map(pod).collect(),
                answers: vec![Answer::Resource(usage.iter().enumerate().map(used).collect())],
                ..Observation::default()
            };
            let state = State { recommendations: Some(Vec::new()), ..State::default() };
            reconcile(&spec, &state, &observed, Tick(0), &Settings::default()).state.status.desired
        };
        prop_assert!(run(true) >= run(false));
    }

    /// The HPA's own lists and the bounded ones of `decide` say the same.
    #[test]
    fn lists_and_queues_agree(
        steps in prop::collection::vec((1_i64..20_000, 0_u32..40, 0_u32..9, any::<bool>()), 1..40),
        windows in (1_i64..200_000, 1_i64..200_000), period in 1_i64..200_000,
    ) {
        let (mut list, mut queue) = (Vec::<Recommended>::new(), Recommendations::default());
        let (mut booked, mut events) = (Vec::<Scaled>::new(), Events::default());
        let (longest, mut now) = (Span(windows.0.max(windows.1)), Tick(0));
        for (gap, replicas, amount, scales) in steps {
            now = now + Span(gap);
            for window in [Span(windows.0), Span(windows.1)] {
                let count = |n: Option<i32>| n.map(|n| u32::try_from(n).unwrap());
                let entry = |entry: Option<tidegate_calculator::memory::recommendations::Entry>| entry.map(|entry| entry.replicas);
                prop_assert_eq!(count(history::highest(&list, window, now)), entry(queue.highest(window, Edge::Exclusive, now)));
                prop_assert_eq!(count(history::lowest(&list, window, now)), entry(queue.lowest(window, Edge::Exclusive, now)));
            }
            history::record(&mut list, i32::try_from(replicas).unwrap(), longest, now);
            queue.record(now, replicas);
            if scales && amount > 0 {
                history::book(&mut booked, i32::try_from(amount).unwrap(), Span(period), now);
                events.push(now, amount);
            }
            let sum = u64::try_from(history::sum(&booked, Span(period), now)).unwrap();
            prop_assert_eq!(sum, events.sum(Span(period), now));
        }
    }
}

/// The behavior of a world, for an autoscaler beside it.
pub(crate) fn beside(replicas: u32, max: u32, target: i64, behavior: Option<Behavior>) -> Autoscaler {
    let count = |n: u32| i32::try_from(n).unwrap();
    let mut it = Autoscaler::new(count(replicas), (1, count(max)), target, 1);
    it.spec.behavior = behavior;
    it
}
