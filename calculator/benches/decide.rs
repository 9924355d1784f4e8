//! The time of one decision: three triggers, every window and every list full.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_calculator::behavior::{Behavior, GivenRules, RatePolicy, Unit};
use tidegate_calculator::decide::decide;
use tidegate_calculator::memory::Memory;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::{Evidence, Observation, TargetState};
use tidegate_calculator::policy::Policy;
use tidegate_calculator::rules::{Block, Change, Condition, Gate, StepRule, TriggerRules};
use tidegate_calculator::source::{Measured, MetricSpec, MetricType, Milli, Reading};
use tidegate_calculator::time::{Now, Span, Tick};

const NOW: Tick = Tick(600_000);

/// Three triggers; with a window `behavior` has two policies a direction.
fn policy(window: Option<i64>) -> Policy {
    let mut policy = Policy::with_defaults("redis");
    policy.triggers = vec![policy.triggers[0].clone(); 3];
    if let Some(window) = window {
        let rate = |unit, value| RatePolicy { unit, value, period: Span::seconds(1_800) };
        let rules = GivenRules {
            window: Some(Span::seconds(window)),
            policies: Some(vec![rate(Unit::Pods, 3), rate(Unit::Percent, 10)]),
            ..GivenRules::default()
        };
        policy.behavior = Some(Behavior::filled(rules.clone(), rules, &policy.settings));
    }
    policy
}

/// 64 recommendations in each queue, 64 events a direction, a full list of counts.
fn memory(policy: &Policy) -> Memory {
    let mut memory = Memory { last_active: Some(NOW), active: true, ..Memory::default() };
    for step in 0..64_u32 {
        memory.recommendations.record(NOW - Span(200_000 - i64::from(step)), 10 + step);
    }
    for step in 0..64_u32 {
        memory.recommendations.hold(NOW - Span(100_000 - i64::from(step)), 200 - step);
        memory.scaled(policy, 10, 11, NOW - Span(64_000 - 200 * i64::from(step)));
        memory.scaled(policy, 11, 10, NOW - Span(64_000 - 200 * i64::from(step)));
    }
    memory.recommendations.record(NOW - Span(10), 73);
    memory
}

fn evidence(total: i64) -> Vec<Evidence> {
    let of = |index: i64| {
        let name = format!("s{index}-redis-jobs{index}");
        let spec = MetricSpec { name, metric_type: MetricType::AverageValue, target: Milli::units(100), exact: false };
        let reading = Reading { value: Measured::Total(vec![Milli::units(total - index)]), active: true };
        Evidence::Good { readings: vec![(spec, reading)], begun: NOW, at: NOW }
    };
    (0..3).map(of).collect()
}

fn decisions(criterion: &mut Criterion) {
    let cases = [
        ("windows/raise", Some(300), 9_000),
        ("windows/lower", Some(300), 100),
        ("rates/raise", Some(0), 9_000),
        ("rates/lower", Some(0), 100),
        ("legacy/raise", None, 9_000),
        ("legacy/lower", None, 100),
    ];
    for (name, window, total) in cases {
        let policy = policy(window);
        let memory = memory(&policy);
        let triggers = evidence(total);
        let target = TargetState { replicas: 40, existing: 40, ready: Some(40) };
        let observed = Observation {
            target,
            triggers: &triggers,
            created: Tick(0),
            wall: jiff::Timestamp::UNIX_EPOCH,
            useful: None,
        };
        criterion.bench_function(&format!("decide/{name}"), |bencher| {
            bencher.iter(|| decide(black_box(&policy), black_box(&memory), black_box(&observed), NOW));
        });
    }
}

/// Three triggers with a rule each way, a gate over the first, and every timer running.
fn rules(criterion: &mut Criterion) {
    let mut policy = policy(None);
    let step = |condition, change| StepRule {
        condition,
        per_replica: true,
        held_for: Some(Span::seconds(600)),
        every: None,
        change,
    };
    let steps = vec![
        step(Condition::Above(Milli::units(20)), Change::Add(1)),
        step(Condition::Below(Milli::units(10)), Change::Remove(1)),
    ];
    policy.rules.triggers = vec![TriggerRules { steps, ..TriggerRules::default() }; 3];
    policy.rules.gates.push(Gate {
        name: "pressure".into(),
        trigger: 0,
        closes: Condition::Above(Milli::units(70)),
        held_for: Span::ZERO,
        release: None,
        block: Block::ScaleDown,
    });
    let mut memory = memory(&policy);
    let target = TargetState { replicas: 40, existing: 40, ready: Some(40) };
    for (name, total) in [("raise", 9_000), ("lower", 100)] {
        let triggers = evidence(total);
        let observed = Observation {
            target,
            triggers: &triggers,
            created: Tick(0),
            wall: jiff::Timestamp::UNIX_EPOCH,
            useful: None,
        };
        let first = decide(&policy, &memory, &observed, NOW - Span::seconds(10));
        memory.take(&first.effects, NOW - Span::seconds(10));
        criterion.bench_function(&format!("decide/rules/{name}"), |bencher| {
            bencher.iter(|| decide(black_box(&policy), black_box(&memory), black_box(&observed), NOW));
        });
    }
}

/// A million decisions of one object, a pass every 5 s, demand that goes up and down: what the memory holds must not grow with time.
fn growth(_: &mut Criterion) {
    let policy = policy(Some(300));
    let (mut memory, mut replicas, mut tick) = (Memory::default(), 10, NOW);
    let mut early = 0;
    for pass in 1..=1_000_000_i64 {
        tick = tick + Span::seconds(5);
        let triggers = evidence(500 + (pass * 7_919) % 9_000);
        let target = TargetState { replicas, existing: replicas, ready: Some(replicas) };
        let observed = Observation {
            target,
            triggers: &triggers,
            created: Tick(0),
            wall: jiff::Timestamp::UNIX_EPOCH,
            useful: None,
        };
        let decision = decide(&policy, &memory, &observed, tick);
        memory.take(&decision.effects, tick);
        if let Some(to) = decision.write {
            memory.scaled(&policy, replicas, to, tick);
            replicas = to;
        }
        if pass == 10_000 {
            early = resident().unwrap_or_default();
        }
    }
    let last = resident().unwrap_or_default();
    println!("decide/growth           resident after 10,000 decisions {early} KiB, after 1,000,000 {last} KiB");
}

/// The resident memory of this process in KiB, where the system tells it.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").trim().parse().ok()
}

fn checkpoints(criterion: &mut Criterion) {
    let policy = policy(Some(300));
    let memory = memory(&policy);
    let now = Now { tick: NOW, wall: jiff::Timestamp::UNIX_EPOCH };
    let text = Checkpoint::of(&memory, now);
    criterion.bench_function("checkpoint/of", |bencher| bencher.iter(|| Checkpoint::of(black_box(&memory), now)));
    criterion.bench_function("checkpoint/restore", |bencher| {
        bencher.iter(|| black_box(&text).restore(&policy, 10, now));
    });
}

criterion_group!(benches, decisions, rules, growth, checkpoints);
criterion_main!(benches);
