//! A world of one process in which the engine runs step by step: every answer is given, kept back or spoilt by the test.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::TargetState;
use tidegate_calculator::policy::{Policy, TriggerPolicy};
use tidegate_calculator::source::{
    EndpointId, Measured, MetricSpec, MetricType, Milli, Occasion, ReadError, ReadErrorKind, Reading, Readings,
    TriggerSpec,
};
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::core::Engine;
use tidegate_engine::protocol::{
    ApplyError, Call, Change, Command, Entry, Event, Input, JournalError, QueryId, Seen, Tenure, Ticket, Version,
};
use tidegate_engine::snapshot::Snapshot;
use tidegate_engine::subject::{ObjectId, References, Subject, TargetRef, Trigger};

/// 2026-01-01T00:00:00Z: tick 0 of every world.
pub(crate) const START: i64 = 1_767_225_600;

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) tick: Tick,
    /// What the target has.
    pub(crate) replicas: u32,
    pub(crate) version: u64,
    /// What each trigger answers; a trigger that is absent here does not answer at all.
    pub(crate) backlog: BTreeMap<u8, Result<i64, ReadErrorKind>>,
    /// What the metrics of a trigger are called, if its readings say it; every one of them has the backlog, at 5 a replica.
    pub(crate) names: BTreeMap<u8, Vec<&'static str>>,
    /// The answers to the next writes; the write succeeds when this is empty.
    pub(crate) apply_answers: Vec<ApplyAnswer>,
    /// Whether stores succeed.
    pub(crate) store_works: bool,
    /// Whether the target's watch shows writes.
    pub(crate) watch_works: bool,
    pub(crate) applied: Vec<(i64, u32)>,
    pub(crate) stored: Vec<(i64, Entry)>,
    pub(crate) events: Vec<(i64, Event)>,
    pub(crate) reads: Vec<(i64, Call, u8)>,
    /// Those reads that are polls.
    pub(crate) polls: Vec<(i64, u8)>,
    pub(crate) opened: Vec<(i64, Call, u8)>,
    pub(crate) refreshed: Vec<i64>,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) closed: Vec<Ticket>,
}

/// What becomes of a write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ApplyAnswer {
    Conflict,
    /// Somebody else sets this count first.
    Foreign(u32),
    /// Nobody answers, and nothing is written.
    Lost,
    /// Nobody answers, but it is written.
    LostButDone,
    Refused,
}

pub(crate) fn id() -> ObjectId {
    ObjectId::new("shop", "orders")
}

pub(crate) fn target() -> TargetRef {
    TargetRef {
        namespace: "shop".into(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "orders".into(),
    }
}

pub(crate) fn policy() -> Policy {
    Policy {
        max: 10,
        polling_interval: Span::seconds(1),
        cooldown: Span::seconds(10),
        ..Policy::with_defaults("redis")
    }
}

pub(crate) fn subject(policy: Policy) -> Subject {
    let count = policy.triggers.len();
    let references = References { target: target(), container: None, authentication: None };
    let trigger = |index: usize| Trigger {
        spec: TriggerSpec { kind: "redis".to_owned(), index: u8::try_from(index).unwrap(), ..TriggerSpec::default() },
        references: references.clone(),
    };
    Subject {
        id: id(),
        uid: "uid-orders".into(),
        generation: 1,
        created: Timestamp::from_second(START).unwrap(),
        policy,
        triggers: (0..count).map(trigger).collect(),
        target: target(),
        hold: None,
        faults: Vec::new(),
        hooks: None,
    }
}

pub(crate) fn two_triggers() -> Policy {
    let trigger = TriggerPolicy::new("redis");
    Policy { triggers: vec![trigger.clone(), trigger], ..policy() }
}

pub(crate) fn readings(index: u8, total: i64) -> Readings {
    let spec = MetricSpec {
        name: format!("s{index}-redis-jobs"),
        metric_type: MetricType::AverageValue,
        target: Milli::units(5),
        exact: false,
    };
    vec![(spec, Reading { value: Measured::Total(vec![Milli::units(total)]), active: total > 0 })]
}

fn renamed(name: &str, mut readings: Readings) -> Readings {
    for (metric, _) in &mut readings {
        name.clone_into(&mut metric.name);
    }
    readings
}

impl World {
    /// A world whose target has `replicas` and whose triggers have nothing to do.
    pub(crate) fn new(replicas: u32, policy: Policy) -> Self {
        let mut world = Self::empty(replicas);
        world.set(subject(policy), Checkpoint::default());
        world
    }

    pub(crate) fn empty(replicas: u32) -> Self {
        Self {
            engine: Engine::new(Tenure::HELD),
            tick: Tick(0),
            replicas,
            version: 1,
            backlog: BTreeMap::from([(0, Ok(0)), (1, Ok(0))]),
            names: BTreeMap::new(),
            apply_answers: Vec::new(),
            store_works: true,
            watch_works: true,
            applied: Vec::new(),
            stored: Vec::new(),
            events: Vec::new(),
            reads: Vec::new(),
            polls: Vec::new(),
            opened: Vec::new(),
            refreshed: Vec::new(),
            snapshots: Vec::new(),
            closed: Vec::new(),
        }
    }

    pub(crate) fn set(&mut self, subject: Subject, checkpoint: Checkpoint) {
        self.feed(Input::Object(Change::Set(subject.into(), checkpoint)));
        self.show();
    }

    /// The target's watch says what is there.
    pub(crate) fn show(&mut self) {
        let seen = self.seen();
        self.feed(Input::Object(Change::Target(target(), Ok(seen))));
    }

    pub(crate) fn seen(&self) -> Seen {
        let state = TargetState { replicas: self.replicas, existing: self.replicas, ready: Some(self.replicas) };
        Seen { state, version: Version(self.version.to_string().into()) }
    }

    /// Somebody else sets the count.
    pub(crate) fn foreign(&mut self, replicas: u32) {
        (self.replicas, self.version) = (replicas, self.version + 1);
        self.show();
    }

    pub(crate) fn now(&self) -> Now {
        Now { tick: self.tick, wall: Timestamp::from_millisecond(START * 1_000 + self.tick.0).unwrap() }
    }

    /// Runs until `at` ms, stepping from one due moment to the next.
    pub(crate) fn run_to(&mut self, at: i64) {
        while let Some(due) = self.engine.next_due().filter(|due| due.0 <= at) {
            assert!(due > self.tick, "the engine wants a moment that has passed: {due:?} at {:?}", self.tick);
            self.tick = due;
            self.feed(Input::Tick);
        }
        self.tick = Tick(at);
        self.feed(Input::Tick);
    }

    pub(crate) fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.engine.handle(self.now(), input, &mut out);
        for command in out {
            self.perform(command);
        }
    }

    fn perform(&mut self, command: Command) {
        let at = self.tick.0;
        match command {
            Command::Open(call, _, trigger) => {
                self.opened.push((at, call, trigger));
                self.feed(Input::Opened(call, Ok(Some(EndpointId(1)))));
            }
            Command::Read(call, trigger, occasion, _) => {
                self.reads.push((at, call, trigger));
                if occasion == Occasion::Poll {
                    self.polls.push((at, trigger));
                }
                if let Some(answer) = self.backlog.get(&trigger).copied() {
                    let names = self.names.get(&trigger);
                    let result = answer.map(|total| match names {
                        Some(names) => names.iter().flat_map(|name| renamed(name, readings(trigger, total))).collect(),
                        None => readings(trigger, total),
                    });
                    self.feed(Input::Read(call, result.map_err(|kind| ReadError::endpoint(kind, "refused"))));
                }
            }
            Command::Refresh(call, _) => {
                self.refreshed.push(at);
                let seen = self.seen();
                self.feed(Input::Refreshed(call, Ok(seen)));
            }
            Command::Apply(call, _, replicas, version) => self.apply(call, replicas, &version),
            Command::Store(call, _, entry) => {
                let result =
                    if self.store_works { Ok(()) } else { Err(JournalError::Unavailable("no room".to_owned())) };
                self.stored.push((at, *entry));
                self.feed(Input::Stored(call, result));
            }
            Command::Perform(_, work) => panic!("there are no hooks: {work:?}"),
            Command::Announce(_, event) => self.events.push((at, event)),
            Command::Close(ticket) => self.closed.push(ticket),
            Command::Measured(_) => {}
            Command::Reply(_, snapshots) => self.snapshots = snapshots,
        }
    }

    fn apply(&mut self, call: Call, replicas: u32, version: &Version) {
        self.applied.push((self.tick.0, replicas));
        let answer = if self.apply_answers.is_empty() { None } else { Some(self.apply_answers.remove(0)) };
        let done = matches!(answer, None | Some(ApplyAnswer::LostButDone));
        if done && version.0.parse() == Ok(self.version) {
            (self.replicas, self.version) = (replicas, self.version + 1);
        }
        let result = match answer {
            None if version.0.parse() == Ok(self.version - 1) => Ok(self.seen().version),
            None | Some(ApplyAnswer::Conflict) => {
                self.version += 1;
                Err(ApplyError::Conflict)
            }
            Some(ApplyAnswer::Foreign(count)) => {
                (self.replicas, self.version) = (count, self.version + 1);
                Err(ApplyError::Conflict)
            }
            Some(ApplyAnswer::Refused) => Err(ApplyError::Refused("quota".to_owned())),
            Some(ApplyAnswer::Lost | ApplyAnswer::LostButDone) => return,
        };
        let worked = result.is_ok();
        self.feed(Input::Applied(call, result));
        if worked && self.watch_works {
            self.show();
        }
    }

    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.feed(Input::Ask(QueryId(1), Some(id())));
        self.snapshots.pop().expect("the object is known")
    }

    pub(crate) fn event_count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| wanted(event)).count()
    }
}
