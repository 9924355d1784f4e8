//! The simulation with the real engine: what a user would see, then whole lives under faults.

use super::*;
use crate::server::fixtures::subject;
use tidegate_calculator::decision::Limit;
#[cfg(feature = "cluster-metrics")]
use tidegate_calculator::policy::TriggerPolicy;
#[cfg(feature = "cluster-metrics")]
use tidegate_calculator::source::MetricType;

const MINUTE: i64 = 60_000;

fn trace(text: &str) -> Trace {
    Trace::from_csv(text).unwrap()
}

/// One object on the list `jobs`, 100 items a replica, bounds 0 to 10, deployed with `replicas`.
fn simulation(replicas: u32, trace: Trace, faults: Faults) -> (Simulation, Subject) {
    let subject = subject("orders");
    let mut simulation = Simulation::new("2026-11-25T12:00:00Z".parse().unwrap(), trace, faults);
    simulation.deploy(subject.target.clone(), replicas, Span::seconds(5));
    simulation.set(subject.clone());
    (simulation, subject)
}

#[test]
fn zero_to_many_to_zero() {
    // Polls are 30 s apart at rest. 790 items at 100 each are 8 replicas, in one write from zero.
    let (mut simulation, subject) = simulation(0, trace("0,jobs,0\n60,jobs,790\n200,jobs,0"), Faults::default());
    let timeline = simulation.run(Tick(20 * MINUTE)).unwrap();
    let counts = timeline.counts();
    assert_eq!(counts.len(), 2, "{counts:?}");
    let ((up, 0, 8), (down, 8, 0)) = (counts[0], counts[1]) else { panic!("{counts:?}") };
    assert!((MINUTE..=90_000).contains(&up), "{counts:?}");
    // The last active reading comes in the 15 s before 200 s; zero follows when 300 s of cooldown are over.
    assert!((485_000..=200_000 + 315_000).contains(&down), "{counts:?}");
    assert!(timeline.changes[0].why.is_some());
    assert_eq!(simulation.target(&subject.target).unwrap().replicas, 0);
}

/// 75 % of what each pod requests against a target of 50 %, however many pods there are.
#[cfg(feature = "cluster-metrics")]
#[test]
fn what_each_pod_shows_raises_step_by_step() {
    let mut subject = subject("orders");
    let spec = &mut subject.triggers[0].spec;
    (spec.kind, spec.metric_type) = ("cpu".to_owned(), MetricType::Utilization);
    spec.metadata = [("value".to_owned(), "50".to_owned())].into();
    let metric_type = MetricType::Utilization;
    subject.policy.triggers = vec![TriggerPolicy { resource_like: true, metric_type, ..TriggerPolicy::new("cpu") }];
    let trace = trace("0,cpu,50\n60,cpu,75\n300,cpu,50");
    let mut simulation = Simulation::new("2026-11-25T12:00:00Z".parse().unwrap(), trace, Faults::default());
    simulation.deploy(subject.target.clone(), 2, Span::seconds(5));
    simulation.set(subject);
    let counts: Vec<_> = simulation.run(Tick(10 * MINUTE)).unwrap().counts();
    // 2 * 1.5 = 3, 3 * 1.5 = 4.5, 5 * 1.5 = 7.5, 8 * 1.5 = 12, of which 10 are allowed. At 50 % they stay.
    assert_eq!(counts.iter().map(|(_, from, to)| (*from, *to)).collect::<Vec<_>>(), [(2, 3), (3, 5), (5, 8), (8, 10)]);
}

#[test]
fn a_failing_trigger_lowers_nothing() {
    let (mut simulation, _) = simulation(8, trace("0,jobs,790\n60,jobs,error"), Faults::default());
    let timeline = simulation.run(Tick(24 * 60 * MINUTE)).unwrap();
    assert_eq!(timeline.counts(), []);
    let snapshot = simulation.ask(Some(ObjectId::new("shop", "orders"))).remove(0);
    assert_eq!(snapshot.decision.unwrap().0.limited_by, Limit::FailedTrigger);
}

#[test]
fn a_steady_object_stores_nothing() {
    let (mut simulation, _) = simulation(8, trace("0,jobs,790"), Faults::default());
    let before = simulation.run(Tick(10 * MINUTE)).unwrap().stores.len();
    let timeline = simulation.run(Tick(24 * 60 * MINUTE)).unwrap();
    assert_eq!(timeline.stores.len(), before);
    assert_eq!(timeline.counts(), []);
}

#[test]
fn a_crash_moves_no_replica_and_keeps_the_cooldown() {
    let text = "0,jobs,0\n60,jobs,790\n200,jobs,0";
    let plain = simulation(0, trace(text), Faults::default()).0.run(Tick(20 * MINUTE)).unwrap().counts();
    for crash in (1_000..550_000).step_by(3_700) {
        let faults = Faults { crash_at: vec![Tick(crash)], ..Faults::default() };
        let counts = simulation(0, trace(text), faults).0.run(Tick(30 * MINUTE)).unwrap().counts();
        assert_eq!((counts.len(), counts[0].2, counts[1].2), (2, 8, 0), "crash at {crash}: {counts:?}");
        // The restarted engine reads on another grid of 15 s, so its last active reading may be that much older.
        let (down, plain) = (counts[1].0, plain[1].0);
        assert!((plain - 15_000..=plain + 315_000).contains(&down), "crash at {crash}: {down} against {plain}");
    }
}

#[test]
fn a_jump_of_the_wall_clock_changes_nothing() {
    let text = "0,jobs,0\n60,jobs,790\n200,jobs,0";
    let plain = simulation(0, trace(text), Faults::default()).0.run(Tick(20 * MINUTE)).unwrap().counts();
    for jump in [-3_600, 3_600] {
        let (mut simulation, _) = simulation(0, trace(text), Faults::default());
        simulation.at(Tick(250_000), Edit::WallClock(Span::seconds(jump)));
        assert_eq!(simulation.run(Tick(20 * MINUTE)).unwrap().counts(), plain, "{jump} s");
    }
}

#[test]
fn others_writes_and_deleted_targets_are_seen() {
    let (mut simulation, subject) = simulation(0, trace("0,jobs,790"), Faults::default());
    simulation.at(Tick(5 * MINUTE), Edit::Replicas(subject.target.clone(), 2));
    simulation.at(Tick(30 * MINUTE), Edit::DeleteTarget(subject.target.clone()));
    let timeline = simulation.run(Tick(20 * MINUTE)).unwrap();
    assert_eq!(timeline.changes.last().unwrap().to, 8, "{:?}", timeline.counts());
    simulation.run(Tick(31 * MINUTE)).unwrap();
    let snapshot = simulation.ask(None).remove(0);
    assert_eq!(snapshot.phase.reason(), "TargetFailed");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let (mut simulation, _) = simulation(0, trace("0,jobs,0\n60,jobs,790\n200,jobs,0"), stormy(seed));
        let timeline = simulation.run(Tick(60 * MINUTE)).unwrap();
        (timeline.changes.clone(), timeline.reads.len(), timeline.crashes.clone())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// Everything that can go wrong does, often.
fn stormy(seed: u64) -> Faults {
    Faults {
        seed,
        latency: Span(20),
        lose: 0.05,
        delay: 0.2,
        longest_delay: Span::seconds(8),
        duplicate: 0.1,
        conflict: 0.2,
        store_fail: 0.2,
        crash: 0.002,
        crash_at: Vec::new(),
        longest_downtime: Span::seconds(120),
    }
}

/// A trace of an hour from a seed: bursts, lulls and failures of two lists. Then `jobs` fails for good, and `mails` is empty.
fn wild(seed: u64) -> Trace {
    let mut dice = Dice::new(seed);
    let mut trace = Trace::default();
    for list in ["jobs", "mails"] {
        course(&mut trace, list, &mut dice);
    }
    trace.say(Span::seconds(3_600), "jobs", "error".parse().unwrap());
    trace.say(Span::seconds(3_600), "mails", "0".parse().unwrap());
    trace
}

fn course(trace: &mut Trace, list: &str, dice: &mut Dice) {
    let mut at = Span::ZERO;
    while at < Span::seconds(3_600) {
        let said = match dice.up_to(9) {
            0..=2 => "error".parse().unwrap(),
            3..=4 => "0".parse().unwrap(),
            _ => dice.up_to(1_500).to_string().parse().unwrap(),
        };
        trace.say(at, list, said);
        at.0 += 1_000 + dice.span(Span::seconds(300)).0;
    }
}

/// An object on both lists.
fn on_two_lists() -> Subject {
    let mut subject = subject("orders");
    let mut second = subject.triggers[0].clone();
    second.spec = crate::server::fixtures::redis("mails");
    second.spec.index = 1;
    subject.triggers.push(second);
    subject.policy.triggers.push(subject.policy.triggers[0].clone());
    subject
}

/// What a run of 90 minutes has shown: raises, lowerings, crashes. Panics if it broke a promise.
fn survive(seed: u64, meddling: bool) -> (usize, usize, usize) {
    let (mut simulation, _) = simulation(3, wild(seed), stormy(seed));
    let subject = on_two_lists();
    simulation.set(subject.clone());
    let mut dice = Dice::new(!seed);
    for _ in 0..60 {
        let at = Tick(0) + dice.span(Span::seconds(5_000));
        let edit = match dice.up_to(9) {
            0 => Edit::ChangeParameters(subject.id.clone()),
            1 => Edit::WallClock(Span(dice.span(Span::seconds(7_200)).0 - 3_600_000)),
            trigger => Edit::Wake(subject.id.clone(), u8::from(trigger % 2 == 0)),
        };
        simulation.at(at, edit);
    }
    for _ in 0..if meddling { 20 } else { 0 } {
        let replicas = u32::try_from(dice.up_to(14)).unwrap();
        let at = Tick(0) + dice.span(Span::seconds(5_000));
        simulation.at(at, Edit::Replicas(subject.target.clone(), replicas));
    }
    let timeline = simulation.run(Tick(90 * MINUTE)).unwrap();
    promises(timeline, &subject, seed);
    let quarantined = |told: &&Announced| matches!(told.event, tidegate_engine::protocol::Event::Quarantined(_));
    assert_eq!(timeline.announces.iter().find(quarantined), None, "seed {seed}");
    let own = || timeline.changes.iter().filter(|change| change.by != Writer::Foreign);
    let raised = own().filter(|change| change.to > change.from).count();
    (raised, own().count() - raised, timeline.crashes.len())
}

/// What every write of the engine must keep, whatever went wrong.
fn promises(timeline: &Timeline, subject: &Subject, seed: u64) {
    let bounds = subject.policy.floor()..=subject.policy.max;
    // What a decision rests on is looked at when it is first written; a conflict sends the same number again later.
    let mut decisions: BTreeMap<(u32, Tick), &Ground> = BTreeMap::new();
    let mut landed = std::collections::BTreeSet::new();
    for ground in &timeline.grounds {
        decisions.entry((ground.life, ground.decided)).or_insert(ground);
    }
    for change in &timeline.changes {
        let Writer::Engine { life, call, .. } = &change.by else { continue };
        let place = format!("seed {seed}: {change:?}");
        let written = timeline.grounds.iter().find(|ground| ground.life == *life && ground.call == *call);
        let key = written.map(|ground| (*life, ground.decided)).expect("every write has a ground");
        assert!(landed.insert(key), "one decision changed the target twice: {place}");
        assert!(bounds.contains(&change.to) || Some(change.to) == subject.policy.resting(), "out of bounds: {place}");
        let ground = decisions[&key];
        if change.to < change.from {
            assert!(ground.lowers_by_metrics || change.from > subject.policy.max, "lowered without a reason: {place}");
        }
        if ground.lowers_by_metrics {
            assert!(ground.oldest.is_some(), "lowered while a trigger had no value: {place}");
            assert!(ground.oldest >= Some(ground.due), "lowered on a reading from before its pass: {place}");
        }
    }
}

/// Runs lives from seeds and says what they have shown. More of them: `TIDEGATE_RUNS=10000 cargo test simulation`.
fn lives(meddling: bool) {
    let runs = std::env::var("TIDEGATE_RUNS").map_or(1_000, |runs| runs.parse().unwrap());
    let (mut raised, mut lowered, mut crashes) = (0, 0, 0);
    for seed in 0..runs {
        let shown = survive(seed, meddling);
        (raised, lowered, crashes) = (raised + shown.0, lowered + shown.1, crashes + shown.2);
    }
    println!("seeds 0..{runs}, meddling {meddling}: {raised} raises, {lowered} lowerings, {crashes} crashes");
    let least = usize::try_from(runs).unwrap() / 2;
    assert!(raised > least && lowered > least && crashes > least, "the runs have shown too little");
}

#[test]
fn under_faults_bounds_hold_and_failures_lower_nothing() {
    lives(false);
}

#[test]
fn under_faults_and_foreign_writes_bounds_hold_and_failures_lower_nothing() {
    lives(true);
}

#[test]
fn a_day_passes_quickly() {
    let (mut simulation, _) = simulation(8, trace("0,jobs,790"), Faults::default());
    let begun = std::time::Instant::now();
    let timeline = simulation.run(Tick(24 * 60 * MINUTE)).unwrap();
    assert!(timeline.reads.len() > 5_000, "{}", timeline.reads.len());
    println!("a day of {} reads took {:?}", timeline.reads.len(), begun.elapsed());
}
