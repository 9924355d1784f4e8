//! The tables of `deploy/samples` with the real engine: every rule at the exact moment at which it may act for the first time.
//!
//! Seconds are counted from a regular read, so there is one at 0, 15, 30 and so on, and it sees what is said from its own second on. All
//! changes of replicas are compared with their times: one that comes a millisecond early or late, or one too many, fails its test.

mod cache;
mod flink;
mod nights;
mod redis;
mod steps;
mod targets;

use std::path::PathBuf;

use tidegate_calculator::decision::{Decision, DoorState, Limit, Step, Vote};
use tidegate_calculator::policy::Settings;
use tidegate_engine::subject::Severity;

use super::*;
use crate::{manifests, validation};

/// When pods that were added are ready.
const STARTUP: Span = Span::seconds(5);
/// The time between two regular reads.
const SYNC: Span = Span::seconds(15);

/// A sample that is played.
struct Played {
    simulation: Simulation,
    id: ObjectId,
    /// The first regular read: second 0.
    zero: Tick,
    /// How many changes were compared already.
    compared: usize,
}

impl Played {
    /// Plays the object of a sample that has `replicas`, in a world where second 0 is noon. Until told otherwise its triggers say `words`,
    /// such as `cpu=50 memory=error`.
    fn of(file: &str, replicas: u32, words: &str) -> Self {
        Self::beginning("2026-11-25T12:00:00Z", file, replicas, words)
    }

    /// The same where second 0 is `start`.
    fn beginning(start: &str, file: &str, replicas: u32, words: &str) -> Self {
        let (subject, start): (_, Timestamp) = (sample(file), start.parse().unwrap());
        // In another world, at whose beginning no schedule begins or ends: that would be one more read.
        let elsewhere = Timestamp::UNIX_EPOCH;
        let mut probe = Self::in_world(elsewhere, subject.clone(), replicas, words);
        let reads = &probe.simulation.run(Tick(0) + SYNC).unwrap().reads;
        let zero = reads.iter().map(|read| read.at).find(|at| *at > Tick(0)).unwrap();
        let start = start - SignedDuration::from_millis(zero.0);
        Self { zero, ..Self::in_world(start, subject, replicas, words) }
    }

    fn in_world(start: Timestamp, subject: Subject, replicas: u32, words: &str) -> Self {
        let mut simulation = Simulation::new(start, Trace::default(), Faults::default());
        simulation.deploy(subject.target.clone(), replicas, STARTUP);
        let mut played = Self { simulation, id: subject.id.clone(), zero: Tick(0), compared: 0 };
        played.simulation.set(subject);
        played.says(0, words);
        played
    }

    /// From this second on the triggers say `words`.
    fn says(&mut self, second: i64, words: &str) {
        let at = self.tick(second);
        assert!(at >= self.simulation.now, "{second} s is over");
        for word in words.split_whitespace() {
            let (trigger, said) = word.split_once('=').unwrap();
            self.simulation.trace.say(at - Tick(0), trigger, said.parse().unwrap());
        }
    }

    /// Everything up to this second happens, and the replicas change at these seconds, from and to these counts, and at no other time.
    #[track_caller]
    fn changes(&mut self, until: i64, expected: &[(i64, u32, u32)]) {
        let counts = self.simulation.run(self.tick(until)).unwrap().counts();
        let millis = |(at, from, to): &(i64, u32, u32)| (*at - self.zero.0, *from, *to);
        let new: Vec<_> = counts.iter().skip(self.compared).map(millis).collect();
        let expected: Vec<_> = expected.iter().map(|(at, from, to)| (at * 1_000, *from, *to)).collect();
        assert_eq!(new, expected, "milliseconds, from, to");
        self.compared = counts.len();
    }

    /// What the last decision was limited by.
    fn limit(&mut self) -> Limit {
        self.decision().limited_by
    }

    /// How the triggers voted last, in their order.
    fn votes(&mut self) -> Vec<Vote> {
        let voted = |step: &Step| if let Step::Voted { vote, .. } = step { Some(*vote) } else { None };
        self.decision().steps.iter().filter_map(voted).collect()
    }

    /// What the gates are.
    fn gates(&mut self) -> Vec<DoorState> {
        let state = |step: &Step| if let Step::Gate { state, .. } = step { Some(*state) } else { None };
        self.decision().steps.iter().filter_map(state).collect()
    }

    fn decision(&mut self) -> std::sync::Arc<Decision> {
        self.simulation.ask(Some(self.id.clone())).remove(0).decision.unwrap().0
    }

    fn tick(&self, second: i64) -> Tick {
        self.zero + Span::seconds(second)
    }
}

/// The object of a sample as `tidegate validate` and the operator judge it: there is nothing to say against it.
fn sample(file: &str) -> Subject {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/samples").join(file);
    let loaded = manifests::load(&[path]);
    assert!(loaded.broken.is_empty(), "{:?}", loaded.broken);
    let known = validation::Files::new(&loaded.documents).for_cluster();
    let reports = validation::documents(&loaded.documents, &known, &Settings::default(), Timestamp::UNIX_EPOCH);
    let findings = || reports.iter().flat_map(|report| &report.findings);
    assert!(findings().all(|finding| finding.severity < Severity::Warning), "{:?}", findings().collect::<Vec<_>>());
    let mut subjects = reports.iter().filter_map(|report| report.scaled_object.as_ref()?.subject.as_deref());
    subjects.next().unwrap().clone()
}
