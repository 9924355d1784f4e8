//! The engine over a modelled Flink cluster, step by step: answers come after a while, and the process may die around any command.

use jiff::Timestamp;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::TargetState;
use tidegate_calculator::operation::facts::Scheduler;
use tidegate_calculator::operation::spec::{Flink, HookSpec, Item, StrategyChoice, Work};
use tidegate_calculator::operation::{Action, Class, Outcome};
use tidegate_calculator::policy::{Policy, Settings, TriggerPolicy};
use tidegate_calculator::source::{
    EndpointId, Measured, MetricSpec, MetricType, Milli, ReadError, ReadErrorKind, Reading, TriggerSpec,
};
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::core::Engine;
use tidegate_engine::protocol::{
    ApplyError, Call, Change, Command, Entry, Event, Input, JournalError, QueryId, Seen, Stored, Tenure, Version,
};
use tidegate_engine::snapshot::{Operations, Snapshot};
use tidegate_engine::subject::{ObjectId, References, Subject, TargetRef, Trigger};
use tidegate_engine::tally::Tally;

use crate::world::World;

/// When the world begins, in its own milliseconds.
pub(crate) const BEGIN: i64 = 1_000_000;

/// What happens to one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The process dies before it is done.
    DiesBefore,
    /// The process dies after it is done.
    DiesAfter,
    /// It is done, and nobody answers.
    Silent,
}

pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) world: World,
    pub(crate) subject: Subject,
    /// What each trigger says; none if it fails.
    pub(crate) backlog: Vec<Option<i64>>,
    /// What is stored.
    pub(crate) entry: Option<Entry>,
    pub(crate) store_works: bool,
    /// What a trigger measures has just begun.
    pub(crate) settles: bool,
    /// What becomes of the n-th command that is not a read.
    pub(crate) fate: Option<(usize, Fate)>,
    pub(crate) commands: usize,
    /// Everything that changes something, and every store that holds an operation, since the beginning.
    pub(crate) log: Vec<(i64, String)>,
    pub(crate) events: Vec<(i64, Event)>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) deaths: u32,
    /// What an action becomes; none to let the cluster perform it.
    pub(crate) answer: Option<fn(&Action) -> Option<Outcome>>,
    /// Savepoints that are gone, in order.
    pub(crate) disposed: Vec<String>,
    /// How the next writes of the replicas end; they are done when this is empty.
    pub(crate) apply_errors: Vec<ApplyError>,
    queue: Vec<(i64, u64, Input)>,
    order: u64,
    boot: i64,
    snapshots: Vec<Snapshot>,
    /// What was counted, over all processes.
    pub(crate) tally: Tally,
}

pub(crate) fn id() -> ObjectId {
    ObjectId::new("shop", "enrich")
}

fn target() -> TargetRef {
    let [namespace, api_version, kind, name] = ["shop", "apps/v1", "Deployment", "taskmanager"].map(Into::into);
    TargetRef { namespace, api_version, kind, name }
}

/// A hook with a flink item whose cooldown is 2 min.
pub(crate) fn hooks(flink: Flink) -> HookSpec {
    let item = Item { name: "state".to_owned(), work: Work::Flink(Box::new(flink)), ..Item::default() };
    HookSpec { pre_scale: vec![item], post_scale: Vec::new() }
}

/// One replica for 5 items, no window, a look every 5 s.
pub(crate) fn policy() -> Policy {
    let settings = Settings { downscale_window: Span::ZERO, ..Settings::default() };
    Policy {
        min: 1,
        max: 10,
        polling_interval: Span::seconds(5),
        cooldown: Span::seconds(10),
        settings,
        ..Policy::with_defaults("redis")
    }
}

pub(crate) fn two_triggers(kind: &str) -> Policy {
    Policy { triggers: vec![TriggerPolicy::new("redis"), TriggerPolicy::new(kind)], ..policy() }
}

pub(crate) fn subject(policy: Policy, hooks: HookSpec) -> Subject {
    let references = References { target: target(), container: None, authentication: None };
    let trigger = |(kind, index): (&TriggerPolicy, u8)| Trigger {
        spec: TriggerSpec {
            kind: kind.kind.clone(),
            index,
            metadata: [("job".to_owned(), "enrich".to_owned())].into(),
            ..TriggerSpec::default()
        },
        references: references.clone(),
    };
    Subject {
        id: id(),
        uid: "uid-1".into(),
        generation: 1,
        created: Timestamp::from_second(1_799_990_000).unwrap(),
        triggers: policy.triggers.iter().zip(0..).map(trigger).collect(),
        policy,
        target: target(),
        hold: None,
        faults: Vec::new(),
        hooks: Some(hooks.into()),
    }
}

impl Stage {
    /// One job on `replicas` TaskManagers under the adaptive scheduler, with as much to do as they can.
    pub(crate) fn new(replicas: u32) -> Self {
        let world = World::new(Scheduler::Adaptive, replicas).with_job("job-a", "enrich", replicas * 2);
        Self::with(world, subject(policy(), hooks(Flink { strategy: StrategyChoice::Auto, ..Flink::default() })))
    }

    pub(crate) fn with(world: World, subject: Subject) -> Self {
        let busy = Some(i64::from(world.replicas) * 5);
        let mut stage = Self {
            engine: Engine::new(Tenure::HELD),
            backlog: vec![busy; subject.triggers.len()],
            world,
            subject,
            entry: None,
            store_works: true,
            settles: false,
            fate: None,
            commands: 0,
            log: Vec::new(),
            events: Vec::new(),
            entries: Vec::new(),
            deaths: 0,
            answer: None,
            disposed: Vec::new(),
            apply_errors: Vec::new(),
            queue: Vec::new(),
            order: 0,
            boot: BEGIN - 5_000,
            snapshots: Vec::new(),
            tally: Tally::default(),
        };
        stage.tell();
        stage
    }

    /// Tells the engine what a world tells it at a start.
    fn tell(&mut self) {
        let checkpoint = self.entry.as_ref().and_then(|entry| entry.checkpoint.clone()).unwrap_or_default();
        self.feed(Input::Object(Change::Set(self.subject.clone().into(), checkpoint)));
        self.tell_stored();
        self.show();
    }

    pub(crate) fn tell_stored(&mut self) {
        let Some(entry) = &self.entry else { return };
        let stored = Stored {
            checkpoint: entry.checkpoint.clone().unwrap_or_default(),
            replicas: entry.replicas,
            operation: entry.operation.clone(),
            aftermath: entry.aftermath.clone(),
            ..Stored::default()
        };
        self.feed(Input::Object(Change::Stored(id(), Box::new(stored))));
    }

    /// The same object with another text.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Subject)) {
        edit(&mut self.subject);
        self.subject.generation += 1;
        self.feed(Input::Object(Change::Set(self.subject.clone().into(), Checkpoint::default())));
    }

    pub(crate) fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.engine.handle(self.now(), input, &mut out);
        for command in out {
            if self.perform(command) {
                return;
            }
        }
    }

    /// Seconds since the world began.
    pub(crate) fn at(&self) -> i64 {
        (self.world.now - BEGIN) / 1_000
    }

    fn now(&self) -> Now {
        let wall = Timestamp::from_millisecond(1_800_000_000_000 + self.world.now).unwrap();
        Now { tick: Tick(self.world.now - self.boot), wall }
    }

    fn seen(&self) -> Seen {
        let replicas = self.world.replicas;
        let state = TargetState { replicas, existing: replicas, ready: Some(replicas) };
        Seen { state, version: Version(self.world.version.to_string().into()) }
    }

    /// Somebody else sets the replicas.
    pub(crate) fn foreign(&mut self, replicas: u32) {
        let version = self.world.version.to_string();
        assert_eq!(self.world.perform(&Action::Patch { to: replicas, version }, None), Outcome::Done);
        self.show();
    }

    /// The target's watch says what is there.
    pub(crate) fn show(&mut self) {
        let seen = self.seen();
        self.feed(Input::Object(Change::Target(target(), Ok(seen))));
    }

    /// Runs until so many seconds after the world began.
    pub(crate) fn run_to(&mut self, seconds: i64) {
        self.run(|stage| stage.world.now >= BEGIN + seconds * 1_000, seconds);
    }

    /// Runs until `over`, at most so many seconds after the world began; says whether it came to that.
    pub(crate) fn run(&mut self, over: impl Fn(&Self) -> bool, seconds: i64) -> bool {
        let end = BEGIN + seconds * 1_000;
        for _ in 0..200_000 {
            if over(self) {
                return true;
            }
            self.queue.sort_by_key(|(at, order, _)| (*at, *order));
            let due = self.engine.next_due().map_or(i64::MAX, |due| due.0 + self.boot);
            let next = self.queue.first().map_or(i64::MAX, |(at, ..)| *at);
            if due.min(next) > end {
                self.world.advance(end);
                self.feed(Input::Tick);
                return over(self);
            }
            let input = if next <= due { self.queue.remove(0).2 } else { Input::Tick };
            self.world.advance(due.min(next).max(self.world.now));
            self.feed(input);
        }
        panic!("it spins at {} s: {:?}", self.at(), self.log.iter().rev().take(20).collect::<Vec<_>>());
    }

    fn answer_in(&mut self, delay: i64, input: Input) {
        self.order += 1;
        self.queue.push((self.world.now + delay, self.order, input));
    }

    fn note(&mut self, text: String) {
        self.log.push((self.world.now - BEGIN, text));
    }

    /// Our process dies, and the next one begins 3 s later.
    pub(crate) fn die(&mut self) {
        self.deaths += 1;
        self.queue.clear();
        self.note("dies".to_owned());
        self.world.advance(self.world.now + 3_000);
        self.boot = self.world.now - 7_000;
        self.engine = Engine::new(Tenure::HELD);
        self.tell();
    }

    /// Does one command; true if our process died.
    fn perform(&mut self, command: Command) -> bool {
        let free = matches!(
            command,
            Command::Open(..)
                | Command::Read(..)
                | Command::Close(_)
                | Command::Reply(..)
                | Command::Announce(..)
                | Command::Measured(_)
        );
        self.commands += usize::from(!free);
        let fate = self.fate.filter(|(nth, _)| !free && *nth == self.commands).map(|(_, fate)| fate);
        if fate == Some(Fate::DiesBefore) {
            self.fate = None;
            self.die();
            return true;
        }
        let answer = self.outcome(command);
        match fate {
            Some(Fate::DiesAfter) => {
                self.fate = None;
                self.die();
                return true;
            }
            Some(Fate::Silent) => self.fate = None,
            _ => {
                if let Some((delay, input)) = answer {
                    self.answer_in(delay, input);
                }
            }
        }
        false
    }

    fn outcome(&mut self, command: Command) -> Option<(i64, Input)> {
        match command {
            Command::Open(call, ..) => Some((5, Input::Opened(call, Ok(Some(EndpointId(1)))))),
            Command::Read(call, trigger, ..) => Some((10, Input::Read(call, self.readings(trigger)))),
            Command::Refresh(call, _) => Some((20, Input::Refreshed(call, Ok(self.seen())))),
            Command::Apply(call, _, replicas, version) => Some((30, self.apply(call, replicas, &version))),
            Command::Store(call, _, entry) => Some((40, self.store(call, *entry))),
            Command::Perform(call, work) => {
                let action = &work.call.action;
                if let Action::DisposeSavepoint { path } = action {
                    assert!(!self.is_operating(), "nothing is disposed of while an operation runs");
                    self.disposed.push(path.clone());
                } else if action.changes() {
                    let text = self.entry.as_ref().and_then(|entry| entry.operation.clone());
                    assert!(text.is_some(), "nothing is done that is not stored before: {action:?}");
                    self.note(name(action));
                }
                let outcome = self.answer.and_then(|answer| answer(action));
                let outcome = outcome.unwrap_or_else(|| self.world.perform(action, None));
                if matches!(outcome, Outcome::Completed { .. }) {
                    self.note("completed".to_owned());
                }
                Some((50, Input::Performed(call, work.call.number, Box::new(outcome))))
            }
            Command::Announce(_, event) => {
                self.events.push((self.world.now - BEGIN, event));
                None
            }
            Command::Measured(measure) => {
                self.tally.take(measure);
                None
            }
            Command::Close(_) => None,
            Command::Reply(_, snapshots) => {
                self.snapshots = snapshots;
                None
            }
        }
    }

    fn readings(&self, trigger: u8) -> Result<Vec<(MetricSpec, Reading)>, ReadError> {
        if self.settles {
            return Err(ReadError::query(ReadErrorKind::Settling, "the job has just begun"));
        }
        let Some(total) = self.backlog[usize::from(trigger)] else {
            return Err(ReadError::endpoint(ReadErrorKind::Unavailable, "refused"));
        };
        let metric = MetricSpec {
            name: format!("s{trigger}-jobs"),
            metric_type: MetricType::AverageValue,
            target: Milli::units(5),
            exact: false,
        };
        Ok(vec![(metric, Reading { value: Measured::Total(vec![Milli::units(total)]), active: total > 0 })])
    }

    fn apply(&mut self, call: Call, replicas: u32, version: &Version) -> Input {
        if !self.apply_errors.is_empty() {
            let error = self.apply_errors.remove(0);
            self.note(error.reason().to_owned());
            return Input::Applied(call, Err(error));
        }
        self.note(format!("patch {replicas}"));
        let result = match self.world.perform(&Action::Patch { to: replicas, version: version.0.to_string() }, None) {
            Outcome::Done => Ok(self.seen().version),
            _ => Err(ApplyError::Conflict),
        };
        let seen = self.seen();
        self.answer_in(60, Input::Object(Change::Target(target(), Ok(seen))));
        Input::Applied(call, result)
    }

    fn store(&mut self, call: Call, entry: Entry) -> Input {
        if !self.store_works {
            return Input::Stored(call, Err(JournalError::Unavailable("no room".to_owned())));
        }
        if entry.operation.is_some() {
            self.note("store".to_owned());
        }
        self.entries.push(entry.clone());
        self.entry = Some(entry);
        Input::Stored(call, Ok(()))
    }

    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.feed(Input::Ask(QueryId(1), Some(id())));
        self.snapshots.pop().expect("the object is known")
    }

    pub(crate) fn operations(&mut self) -> Operations {
        self.snapshot().operations.map(|operations| *operations).unwrap_or_default()
    }

    /// Whether what is stored holds an operation.
    pub(crate) fn is_operating(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.operation.is_some())
    }

    /// What changed something, in order, without stores and what came of snapshots.
    pub(crate) fn story(&self) -> Vec<&str> {
        let texts = self.log.iter().map(|(_, text)| text.as_str());
        texts.filter(|text| !["store", "completed"].contains(text)).collect()
    }

    /// When something was logged first, in milliseconds since the world began.
    pub(crate) fn when(&self, text: &str) -> Option<i64> {
        self.log.iter().find(|(_, other)| other == text).map(|(at, _)| *at)
    }

    /// The reasons of what operations told, in order.
    pub(crate) fn told(&self) -> Vec<&str> {
        let told = self.events.iter().filter(|(_, event)| matches!(event, Event::Operation { .. }));
        told.map(|(_, event)| event.reason()).collect()
    }

    /// The laws that hold whatever happens: no TaskManager leaves without a snapshot that is young enough of each live job.
    pub(crate) fn check_laws(&self) {
        for removal in &self.world.removals {
            for (job, age) in &removal.jobs {
                assert!(age.is_some_and(|age| age <= 30_000), "{job} lost a TaskManager: {age:?}, {:?}", self.log);
            }
        }
    }
}

fn name(action: &Action) -> String {
    let text = format!("{action:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// A failure that a setting causes.
pub(crate) fn wrong_setting() -> Outcome {
    Outcome::Failed(tidegate_calculator::operation::Failure::new(Class::Config, "403"))
}
