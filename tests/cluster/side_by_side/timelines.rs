//! What happens, second by second, and the replicas that it leads to.
//!
//! Work is mostly divided among the pods ([`Rule::Shared`]), as it is in life: then what a metric asks for does not depend on how soon a
//! new pod takes its part. Steps are some seconds apart, so that a change comes from the step before it and from nothing else.

use serde_json::{Value, json};

use super::super::metrics_server::{Metric, Rule};
use super::compare::Chains;

/// What both halves go through.
pub(super) struct Timeline {
    /// Its name, and the first part of its namespace's.
    pub(super) name: &'static str,
    /// How many replicas there are at the beginning.
    pub(super) replicas: u32,
    /// The minimum and the maximum.
    pub(super) bounds: (u32, u32),
    /// What is scaled by.
    pub(super) targets: Vec<Target>,
    /// `behavior`, if any.
    pub(super) behavior: Option<Value>,
    /// What the metrics say before it begins: what the replicas are right for.
    pub(super) before: Vec<(Metric, Rule)>,
    /// What happens, each after so many seconds.
    pub(super) script: Vec<(u64, Act)>,
    /// How many seconds it lasts.
    pub(super) length: u64,
    /// The replicas that it leads to, the ones at the beginning included.
    pub(super) expected: &'static [i64],
    /// Which of them come from an earlier one.
    pub(super) chains: Chains,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// A metric says something else.
    Say(Metric, Rule),
    /// So many of the oldest pods of each half are not ready, all others are.
    Unready(usize),
    /// The bounds of both are edited.
    Bounds(u32, u32),
}

/// A metric with its target.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// Resource, in percent of what is requested.
    Utilization { resource: &'static str, percent: u32 },
    /// ContainerResource, in percent of what is requested.
    Container { container: &'static str, resource: &'static str, percent: u32 },
    /// Resource, as an average of the pods.
    Average { resource: &'static str, value: &'static str },
    /// Pods.
    Pods { name: &'static str, value: &'static str },
    /// Object: it is called like the Deployment.
    Object { api: &'static str, kind: &'static str, name: &'static str, by: By, value: &'static str },
    /// External: the series with the Deployment's name as its label `app`.
    External { name: &'static str, by: By, value: &'static str },
    /// External: all series of the metric.
    Series { name: &'static str, by: By, value: &'static str },
}

/// The two types of target that totals have.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Value,
    AverageValue,
}

impl By {
    /// As `metricType`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Value => "Value",
            Self::AverageValue => "AverageValue",
        }
    }

    /// As `target` of a metric.
    pub(super) fn target(self, value: &str) -> Value {
        match self {
            Self::Value => json!({"type": "Value", "value": value}),
            Self::AverageValue => json!({"type": "AverageValue", "averageValue": value}),
        }
    }
}

const CPU: Metric = Metric::Usage { container: "worker", resource: "cpu" };
const MEMORY: Metric = Metric::Usage { container: "worker", resource: "memory" };
const SIDECAR: Metric = Metric::Usage { container: "sidecar", resource: "cpu" };
const QUEUE: Metric = Metric::External("queue");
const REQUESTS: Metric = Metric::Pods("requests");
const LATENCY: Metric = Metric::Object("latency");
/// 50 % of the processor that a pod requests: 500 thousandths.
const HALF: Target = Target::Utilization { resource: "cpu", percent: 50 };
/// Five items of a queue a replica.
const FIVE_ITEMS: Target = Target::External { name: "queue", by: By::AverageValue, value: "5" };
/// A hundred requests a pod.
const HUNDRED_REQUESTS: Target = Target::Pods { name: "requests", value: "100" };
/// 1 MiB in thousandths.
const MEBIBYTE: i64 = 1024 * 1024 * 1000;

/// A queue of so many items after so many seconds.
const fn queue(second: u64, items: i64) -> (u64, Act) {
    (second, Act::Say(QUEUE, Rule::Whole(items * 1000)))
}

/// So many requests in all after so many seconds.
const fn requests(second: u64, count: i64) -> (u64, Act) {
    (second, Act::Say(REQUESTS, Rule::Shared(count * 1000)))
}

/// Another rule for the processor time after so many seconds.
const fn cpu(second: u64, rule: Rule) -> (u64, Act) {
    (second, Act::Say(CPU, rule))
}

/// Rules that never limit anything: no window, and all at once.
fn free() -> Value {
    json!({"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}]})
}

/// All timelines.
pub(super) fn all() -> Vec<Timeline> {
    [without_behavior(), windows(), policies(), pods(), failures(), kinds_of_metrics()].into_iter().flatten().collect()
}

/// A timeline by a queue of five items a replica.
fn by_queue(name: &'static str, replicas: u32, behavior: Option<Value>) -> Timeline {
    Timeline {
        name,
        replicas,
        bounds: (1, 20),
        targets: vec![FIVE_ITEMS],
        behavior,
        before: vec![(QUEUE, Rule::Whole(i64::from(replicas) * 5000))],
        script: Vec::new(),
        length: 0,
        expected: &[],
        chains: &[],
    }
}

/// A timeline by one metric that suits the replicas at the beginning.
fn by(name: &'static str, replicas: u32, target: Target, before: (Metric, Rule)) -> Timeline {
    let behavior = json!({"scaleUp": free(), "scaleDown": free()});
    Timeline { targets: vec![target], before: vec![before], ..by_queue(name, replicas, Some(behavior)) }
}

/// The older rules: twice the replicas or four at most, and the highest recommendation of 12 s. Where they would differ by design (a
/// recommendation that the limit held back, followed by a fall), nothing is played: the load lasts until its replicas are there.
fn without_behavior() -> Vec<Timeline> {
    vec![
        // 4,000 of 1,000 each at 50 % are 8 replicas: first max(2 · 2, 4) = 4, then 2 · 4 = 8. 12 s after the last time that 8 were
        // wanted (just before 9 s) 1,000 are 2.
        Timeline {
            behavior: None,
            script: vec![cpu(1, Rule::Shared(4_000)), cpu(9, Rule::Shared(1_000))],
            length: 25,
            expected: &[2, 4, 8, 2],
            chains: &[(2, 1)],
            ..by("step-up", 2, HALF, (CPU, Rule::Shared(1_000)))
        },
        // 2,000 at 500 each are 4; 12 s after the last time that 4 were wanted (just before 5 s) 1,500 are 3.
        Timeline {
            behavior: None,
            script: vec![cpu(1, Rule::Shared(2_000)), cpu(5, Rule::Shared(1_500))],
            length: 20,
            expected: &[2, 4, 3],
            ..by("average", 2, Target::Average { resource: "cpu", value: "500m" }, (CPU, Rule::Shared(1_000)))
        },
        // A minimum of 6 raises the 4 that are wanted, a maximum of 3 lowers them, both at once; then 4 are allowed again.
        Timeline {
            script: vec![(1, Act::Bounds(6, 10)), (5, Act::Bounds(1, 3)), (9, Act::Bounds(1, 10))],
            length: 13,
            expected: &[4, 6, 3, 4],
            ..by_queue("bounds", 4, None)
        },
    ]
}

fn windows() -> Vec<Timeline> {
    let window = |seconds: u32| {
        let mut rules = free();
        rules["stabilizationWindowSeconds"] = json!(seconds);
        rules
    };
    vec![
        // 8 replicas are last wanted just before 4 s, and kept for 8 s: until 12 s. Then the 5 of the smaller spike, last wanted just
        // before 8 s, are the highest, until 16 s.
        Timeline {
            script: vec![queue(1, 40), queue(4, 10), queue(6, 25), queue(8, 10)],
            length: 21,
            expected: &[2, 8, 5, 2],
            ..by_queue("spike", 2, Some(json!({"scaleUp": free(), "scaleDown": window(8)})))
        },
        // 2 s of 40 items are not 5 s of them; those that come at 8 s are, at 13 s.
        Timeline {
            script: vec![queue(1, 40), queue(3, 10), queue(8, 40)],
            length: 18,
            expected: &[2, 8],
            ..by_queue("short-spike", 2, Some(json!({"scaleUp": window(5), "scaleDown": free()})))
        },
    ]
}

fn policies() -> Vec<Timeline> {
    let limited = |policies: Value| json!({"stabilizationWindowSeconds": 0, "policies": policies});
    let one_pod = limited(json!([{"type": "Pods", "value": 1, "periodSeconds": 4}]));
    let half = limited(json!([{"type": "Percent", "value": 50, "periodSeconds": 4}]));
    let mut least = limited(json!([
        {"type": "Pods", "value": 2, "periodSeconds": 3}, {"type": "Percent", "value": 100, "periodSeconds": 3},
    ]));
    least["selectPolicy"] = json!("Min");
    vec![
        // Up: 15/5 = 3, 4, 6, 9. Down: 32/5 = 6.4 are 7, 4, 9/5 = 1.8 are 2. Each is more than 10 % away from what is there.
        Timeline {
            script: vec![
                queue(1, 15),
                queue(4, 20),
                queue(7, 30),
                queue(10, 45),
                queue(13, 32),
                queue(16, 20),
                queue(19, 9),
            ],
            length: 22,
            expected: &[2, 3, 4, 6, 9, 7, 4, 2],
            ..by_queue("ramp", 2, Some(json!({"scaleUp": free(), "scaleDown": free()})))
        },
        // 200 requests are 2 pods, and one pod goes every 4 s.
        Timeline {
            behavior: Some(json!({"scaleDown": one_pod})),
            script: vec![requests(1, 200)],
            length: 18,
            expected: &[6, 5, 4, 3, 2],
            chains: &[(2, 1), (3, 2), (4, 3)],
            ..by("slow-down", 6, HUNDRED_REQUESTS, (REQUESTS, Rule::Shared(600_000)))
        },
        // By the default rules for raising, 4 pods in 15 s or as many as there are: 25 items are 5. 35 items would be 7, but 3 of the 5
        // have come within 15 s: 2 + 4 = 6, and 7 only 15 s after the 5. Nothing is lowered at all.
        Timeline {
            script: vec![queue(1, 25), queue(4, 5), queue(8, 35), queue(20, 10)],
            length: 24,
            expected: &[2, 5, 6, 7],
            chains: &[(3, 1)],
            ..by_queue("disabled", 2, Some(json!({"scaleDown": {"selectPolicy": "Disabled"}})))
        },
        // 60 items are 12, at 50 % in 4 s: 2 · 1.5 = 3, 4.5 are 5, 7.5 are 8, 8 · 1.5 = 12.
        Timeline {
            script: vec![queue(1, 60)],
            length: 18,
            expected: &[2, 3, 5, 8, 12],
            chains: &[(2, 1), (3, 2), (4, 3)],
            ..by_queue("percent", 2, Some(json!({"scaleUp": half})))
        },
        // The least of 2 pods and 100 %: 2 + 2 = 4, not more than 4 + 2 = 6, then 8.
        Timeline {
            script: vec![queue(1, 40)],
            length: 12,
            expected: &[2, 4, 6, 8],
            chains: &[(2, 1), (3, 2)],
            ..by_queue("least", 2, Some(json!({"scaleUp": least})))
        },
        tolerances(),
    ]
}

/// 140 of 100 are within 50 %, 151 are not: 151/10 are 16. 153 of 160 are within 5 % (0.956), 149 are not (0.931): 15.
fn tolerances() -> Timeline {
    let mut rules = json!({"scaleUp": free(), "scaleDown": free()});
    rules["scaleUp"]["tolerance"] = json!("0.5");
    rules["scaleDown"]["tolerance"] = json!("0.05");
    let ten_items = Target::External { name: "queue", by: By::AverageValue, value: "10" };
    Timeline {
        behavior: Some(rules),
        script: vec![queue(1, 140), queue(5, 151), queue(9, 153), queue(13, 149)],
        length: 17,
        expected: &[10, 16, 15],
        ..by("tolerance", 10, ten_items, (QUEUE, Rule::Whole(100_000)))
    }
}

/// Pods that are not ready, or of which nothing is known.
fn pods() -> Vec<Timeline> {
    vec![
        // Five pods at 80 % where 50 % are wanted would be 8. Three of them are not ready and count nothing: 1,600 of 5,000 are 32 %, so
        // nobody knows in which direction, and 5 stay. (The two alone would be 2 · 1.6, which are 4.) Once all are ready, it is 8. Then
        // three of eight are not ready, and when they are to become less they are left out: 5 · 10/50 is 1, where all eight would be 2. While pods
        // change one after the other, each says the 50 % that change nothing.
        Timeline {
            bounds: (1, 8),
            script: vec![
                (1, Act::Unready(3)),
                cpu(4, Rule::Each(800)),
                cpu(7, Rule::Each(500)),
                (9, Act::Unready(0)),
                cpu(12, Rule::Each(800)),
                cpu(16, Rule::Each(500)),
                (18, Act::Unready(3)),
                cpu(21, Rule::Each(100)),
            ],
            length: 25,
            expected: &[5, 8, 1],
            ..by("unready", 5, HALF, (CPU, Rule::Each(500)))
        },
        // Two of four pods are missing: when they are to become more they count nothing, 1,600 of 4,000 are 40 %, and 4 stay. Three of
        // seven are missing: when they are to become less they count as all that they request, 3,400 of 7,000 are 48 %, and 7 stay. With
        // all samples 7 · 10/50 are 2.
        Timeline {
            bounds: (2, 7),
            script: vec![
                cpu(1, Rule::EachBut(2, 800)),
                cpu(6, Rule::Each(800)),
                cpu(10, Rule::Each(500)),
                cpu(13, Rule::EachBut(3, 100)),
                cpu(18, Rule::Each(100)),
            ],
            length: 22,
            expected: &[4, 7, 2],
            ..by("missing", 4, HALF, (CPU, Rule::Each(500)))
        },
        // What was measured over 6 s counts of a pod that has been ready for 6 s. 110 % are 2 · 2.2, which are 5. The three that come count
        // nothing until 10 s or later: two at 80 % are 1,600 of 5,000, and 5 stay, where five at 80 % would be 8 at once. At 16 s they count.
        Timeline {
            bounds: (1, 8),
            script: vec![
                cpu(5, Rule::EachOver(6, 1_100)),
                cpu(7, Rule::EachOver(6, 800)),
                cpu(9, Rule::EachOver(6, 500)),
                cpu(16, Rule::EachOver(6, 1_000)),
            ],
            length: 20,
            expected: &[2, 5, 8],
            ..by("young", 2, HALF, (CPU, Rule::Each(500)))
        },
        // Missing pods of a metric with one value a pod. Two of four are missing, and 160 · 2 of 4 · 100 are less, so 4 stay; two that are
        // missing count as 100 each when the others say 10: 220 of 400 are 55 %, which are 3 of the 4, and no more of them go, because
        // then two of three are missing: 210 of 300 are 3. With all samples 3 · 0.1 is 1.
        Timeline {
            script: vec![
                (1, Act::Say(REQUESTS, Rule::EachBut(2, 160_000))),
                (6, Act::Say(REQUESTS, Rule::EachBut(2, 10_000))),
                (11, Act::Say(REQUESTS, Rule::Each(10_000))),
            ],
            length: 15,
            expected: &[4, 3, 1],
            ..by("missing-values", 4, HUNDRED_REQUESTS, (REQUESTS, Rule::Each(100_000)))
        },
    ]
}

/// Several metrics, of which one cannot be read, or none.
fn failures() -> Vec<Timeline> {
    let failing = |second: u64, metric: Metric| (second, Act::Say(metric, Rule::Failing));
    let one_fails = by("one-fails", 4, HUNDRED_REQUESTS, (REQUESTS, Rule::Shared(400_000)));
    vec![
        // Without the queue 600 requests raise to 6, and 200 lower nothing. With the 15 items of the queue it is the higher of 3 and 2.
        // While both fail nothing changes; then 25 items are 5.
        Timeline {
            targets: vec![FIVE_ITEMS, HUNDRED_REQUESTS],
            before: vec![(QUEUE, Rule::Whole(20_000)), (REQUESTS, Rule::Shared(400_000))],
            script: vec![
                failing(1, QUEUE),
                requests(4, 600),
                requests(9, 200),
                queue(14, 15),
                failing(19, QUEUE),
                failing(19, REQUESTS),
                queue(24, 25),
            ],
            length: 30,
            expected: &[4, 6, 3, 5],
            ..one_fails
        },
    ]
}

/// The other kinds of metrics and of targets. A level (a target of type Value) is lowered by the very pods that were added for it: Tidegate
/// waits one sync period after a change until it believes in it, and the controller finds the number that it has already.
fn kinds_of_metrics() -> Vec<Timeline> {
    let lower =
        json!({"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 2, "periodSeconds": 5}]});
    let hundred = Target::Average { resource: "memory", value: "100Mi" };
    let worker = Target::Container { container: "worker", resource: "cpu", percent: 60 };
    let ten = Target::External { name: "queue", by: By::Value, value: "10" };
    let series = Target::Series { name: "queue", by: By::AverageValue, value: "5" };
    let latency = |api, kind, by| Target::Object { api, kind, name: "latency", by, value: "10" };
    let describe = |second: u64, rule: Rule| (second, Act::Say(LATENCY, rule));
    vec![
        // 500 MiB are 5 of 100; then 200 are 2, at two pods in 5 s: 5 − 2 = 3, then 2. By then the three that came are older than 5 s: else
        // two pods of those before them could go, too.
        Timeline {
            behavior: Some(json!({"scaleUp": free(), "scaleDown": lower})),
            script: vec![
                (1, Act::Say(MEMORY, Rule::Shared(500 * MEBIBYTE))),
                (9, Act::Say(MEMORY, Rule::Shared(200 * MEBIBYTE))),
            ],
            length: 18,
            expected: &[2, 5, 3, 2],
            chains: &[(3, 2)],
            ..by("memory", 2, hundred, (MEMORY, Rule::Shared(200 * MEBIBYTE)))
        },
        // The worker at 150 % where 60 % are wanted: 2 · 2.5 = 5; at 5 · 36 % it is 3. What the sidecar uses does not count.
        Timeline {
            before: vec![(CPU, Rule::Shared(1_200)), (SIDECAR, Rule::Each(900))],
            script: vec![cpu(1, Rule::Shared(3_000)), cpu(6, Rule::Shared(1_800))],
            length: 10,
            expected: &[2, 5, 3],
            ..by("container", 2, worker, (CPU, Rule::Shared(1_200)))
        },
        // A level that each ready pod lowers: 50/2 = 25 of 10 are 2 · 2.5 = 5; 30/5 = 6 of 10 are 5 · 0.6 = 3.
        Timeline {
            script: vec![(1, Act::Say(QUEUE, Rule::Shared(50_000))), (6, Act::Say(QUEUE, Rule::Shared(30_000)))],
            length: 10,
            expected: &[2, 5, 3],
            ..by("value", 2, ten, (QUEUE, Rule::Shared(20_000)))
        },
        // The series of both applications count together: 2 · 15 items are 6, 2 · 10 are 4.
        Timeline {
            script: vec![queue(1, 15), queue(6, 10)],
            length: 10,
            expected: &[2, 6, 4],
            ..by("series", 2, series, (QUEUE, Rule::Whole(5_000)))
        },
        // The same level of an object.
        Timeline {
            script: vec![describe(1, Rule::Shared(50_000)), describe(6, Rule::Shared(30_000))],
            length: 10,
            expected: &[2, 5, 3],
            ..by("object", 2, latency("apps/v1", "Deployment", By::Value), (LATENCY, Rule::Shared(20_000)))
        },
        // An object's total, ten for each replica: 60 are 6, 25 are 3.
        Timeline {
            script: vec![describe(1, Rule::Whole(60_000)), describe(6, Rule::Whole(25_000))],
            length: 10,
            expected: &[2, 6, 3],
            ..by("object-average", 2, latency("v1", "Service", By::AverageValue), (LATENCY, Rule::Whole(20_000)))
        },
    ]
}
