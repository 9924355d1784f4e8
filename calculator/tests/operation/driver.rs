//! Plays an operation against the world in virtual time, with faults at chosen or random places, and watches the laws.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_calculator::operation::action::{Action, Call, Note, Step};
use tidegate_calculator::operation::{Begin, Class, Event, Failure, Operation, Outcome, Phase, stored};
use tidegate_calculator::time::{Now, Tick};

use crate::world::World;

/// What goes wrong with one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is never performed, and its answer is lost.
    LostBefore,
    /// It is performed, and its answer is lost.
    LostAfter,
    /// The server answers with this failure, or the snapshot that is triggered fails so.
    Fail(Class),
    /// Our process dies before it is performed.
    CrashBefore,
    /// Our process dies after it was performed.
    CrashAfter,
    /// The JobManager dies right after it, with or without high availability.
    JobManager(bool),
}

/// Where it goes wrong: the n-th action of a name, from 1.
pub(crate) type Script = Vec<(&'static str, u32, Fault)>;

/// The name of an action in scripts.
pub(crate) fn name(action: &Action) -> &'static str {
    match action {
        Action::Inspect => "inspect",
        Action::AskWish => "wish",
        Action::AskGates => "gates",
        Action::TriggerCheckpoint { .. } => "checkpoint",
        Action::PollCheckpoint { .. } => "poll-checkpoint",
        Action::TriggerSavepoint { .. } => "savepoint",
        Action::StopWithSavepoint { .. } => "stop",
        Action::PollSavepoint { .. } => "poll-savepoint",
        Action::LookForSnapshot { .. } => "look",
        Action::Patch { .. } => "patch",
        Action::PutRequirements { .. } => "put",
        Action::MarkVictims { .. } => "mark",
        Action::PlanJar { .. } => "plan",
        Action::RunJar { .. } => "run",
        Action::JobStatus { .. } => "status",
        Action::CancelJob { .. } => "cancel",
        Action::CreateSnapshotResource { .. } => "create-snapshot",
        Action::PollSnapshotResource { .. } => "poll-snapshot",
        Action::DisposeSavepoint { .. } => "dispose",
        Action::CallHttp { .. } => "http",
        Action::PollHttp { .. } => "poll-http",
        Action::RunJob { .. } => "job",
        Action::PollJob { .. } => "poll-job",
        Action::Annotate { .. } => "annotate",
    }
}

/// The id that an action carries into the world, with what it is for.
fn identity(action: &Action) -> Option<(String, String)> {
    let (what, id) = match action {
        Action::TriggerCheckpoint { job, trigger, .. }
        | Action::TriggerSavepoint { job, trigger, .. }
        | Action::StopWithSavepoint { job, trigger, .. } => (job, trigger),
        Action::RunJar { job, id, .. } => (job, id),
        Action::CallHttp { item, key, .. } => (item, key),
        Action::CreateSnapshotResource { name, .. } | Action::RunJob { name, .. } => (name, name),
        _ => return None,
    };
    Some((format!("{} {what}", self::name(action)), id.clone()))
}

pub(crate) struct Driver {
    pub(crate) world: World,
    pub(crate) op: Operation,
    begin: Begin,
    begun: i64,
    text: Option<String>,
    queue: Vec<(i64, u64, Event)>,
    order: u64,
    /// Ticks of the present process begin at this moment of the world.
    boot: i64,
    wake: i64,
    pub(crate) script: Script,
    counts: BTreeMap<&'static str, u32>,
    /// Random faults that are left, with their source.
    pub(crate) random: Option<(u32, Dice)>,
    pub(crate) wish: u32,
    pub(crate) wish_fresh: bool,
    pub(crate) gate: Option<String>,
    pub(crate) log: Vec<String>,
    pub(crate) notes: Vec<Note>,
    pub(crate) crashes: u32,
    pub(crate) max_age: i64,
    pub(crate) unprotected: bool,
    /// Jobs of one name are there from the beginning.
    pub(crate) same_names: bool,
    /// How long a store takes besides.
    pub(crate) store_delay: i64,
    identities: BTreeMap<(u64, String), String>,
}

/// A small source of numbers: the same seed, the same history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

impl Driver {
    pub(crate) fn new(world: World, begin: Begin) -> Self {
        let boot = world.now - 5_000;
        let op = Operation::begin(begin.clone(), Tick(world.now - boot)).unwrap();
        let wish = begin.to;
        Self {
            begun: world.now,
            op,
            begin,
            text: None,
            queue: Vec::new(),
            order: 0,
            boot,
            wake: world.now,
            script: Vec::new(),
            counts: BTreeMap::new(),
            random: None,
            wish,
            wish_fresh: true,
            gate: None,
            log: Vec::new(),
            notes: Vec::new(),
            crashes: 0,
            max_age: 30_000,
            unprotected: false,
            same_names: false,
            store_delay: 0,
            identities: BTreeMap::new(),
            world,
        }
    }

    pub(crate) fn now(&self) -> Now {
        let wall = Timestamp::from_millisecond(1_800_000_000_000 + self.world.now).unwrap();
        Now { tick: Tick(self.world.now - self.boot), wall }
    }

    fn push(&mut self, delay: i64, event: Event) {
        self.order += 1;
        self.queue.push((self.world.now + delay, self.order, event));
    }

    /// Runs until the operation is finished. The bound is the law that it always ends.
    pub(crate) fn run(&mut self) -> Phase {
        let limit = self.world.now + 12 * 3_600_000;
        let mut turns = 0;
        while !self.op.finished() {
            turns += 1;
            assert!(turns < 60_000 && self.world.now < limit, "it does not end: {}\n{}", self.describe(), self.tail());
            self.turn();
        }
        self.check_end();
        self.op.state().phase
    }

    /// Runs until a moment, in milliseconds since the operation began.
    pub(crate) fn run_until(&mut self, at: i64) {
        while self.world.now < self.begun + at && !self.op.finished() {
            self.turn();
        }
    }

    pub(crate) fn describe(&self) -> String {
        format!("{:#?}", tidegate_calculator::operation::explain::explain(&self.op, self.now().tick))
    }

    pub(crate) fn tail(&self) -> String {
        self.log[self.log.len().saturating_sub(60)..].join("\n")
    }

    fn turn(&mut self) {
        self.queue.sort_by_key(|(at, order, _)| (*at, *order));
        let next = self.queue.first().map_or(i64::MAX, |(at, ..)| *at);
        let (at, event) = if next <= self.wake {
            let (at, _, event) = self.queue.remove(0);
            (at, event)
        } else {
            (self.wake, Event::Woken)
        };
        self.world.advance(at.max(self.world.now));
        self.watch_jobs();
        self.feed(event);
    }

    pub(crate) fn feed(&mut self, event: Event) {
        let phase = self.op.state().phase;
        let step = self.op.handle(event, self.now().tick);
        if self.op.state().phase != phase {
            self.write(&format!("phase {}", self.op.state().phase.as_str()));
        }
        self.obey(step);
    }

    fn write(&mut self, text: &str) {
        let at = self.world.now - self.begun;
        self.log.push(format!("{:>7.1}s {text}", at as f64 / 1000.0));
    }

    fn obey(&mut self, step: Step) {
        let wake = step.wake.map_or(i64::MAX, |tick| tick.0 + self.boot);
        assert!(wake > self.world.now, "a wake in the past spins: {}", self.describe());
        self.wake = wake;
        self.notes.extend(step.notes);
        if let Some(revision) = step.store {
            let fault = self.fault("store");
            if fault == Some(Fault::CrashBefore) {
                return self.crash("before a store");
            }
            self.text = Some(stored::text(&self.op, self.now()));
            if fault == Some(Fault::CrashAfter) {
                return self.crash("after a store");
            }
            let delay = 20 + self.store_delay + self.luck(2_000);
            self.push(delay, Event::Stored(revision));
        }
        for call in step.calls {
            if self.perform(call) {
                return;
            }
        }
    }

    fn luck(&mut self, most: u64) -> i64 {
        self.random.as_mut().map_or(0, |(_, dice)| dice.roll(most) as i64)
    }

    /// The fault of the next action of this name.
    fn fault(&mut self, name: &'static str) -> Option<Fault> {
        *self.counts.entry(name).or_default() += 1;
        self.counted(name).or_else(|| self.random_fault(name))
    }

    fn counted(&self, name: &'static str) -> Option<Fault> {
        let count = self.counts.get(name).copied().unwrap_or(0);
        self.script.iter().find(|(other, nth, _)| *other == name && *nth == count).map(|(.., fault)| *fault)
    }

    fn random_fault(&mut self, name: &'static str) -> Option<Fault> {
        let (left, dice) = self.random.as_mut()?;
        if *left == 0 || dice.roll(6) != 0 {
            return None;
        }
        *left -= 1;
        let class = |dice: &mut Dice| {
            let all = [Class::Transient, Class::Transient, Class::Restarting, Class::Unavailable, Class::Config];
            all[dice.roll(all.len() as u64) as usize]
        };
        Some(match (name, dice.roll(8)) {
            ("store", 4..) | (_, 1) => Fault::CrashAfter,
            ("stop", 0) => Fault::Fail(Class::Stopping),
            ("wish" | "gates" | "store", _) | (_, 0) => Fault::CrashBefore,
            (_, 2) => Fault::LostBefore,
            (_, 3) => Fault::LostAfter,
            (_, 4) => Fault::JobManager(dice.roll(4) != 0),
            ("checkpoint" | "stop" | "savepoint", _) => Fault::Fail(class(dice)),
            ("patch" | "put" | "run" | "plan", 5) => Fault::Fail(Class::Config),
            _ => Fault::Fail(Class::Unavailable),
        })
    }

    /// Performs one call; true if our process died.
    fn perform(&mut self, call: Call) -> bool {
        let (number, action) = (call.number, call.action);
        let name = name(&action);
        let fault = self.fault(name);
        self.law_of_ids(&action);
        if fault == Some(Fault::CrashBefore) {
            self.crash(name);
            return true;
        }
        if !matches!(name, "inspect" | "poll-checkpoint" | "poll-savepoint" | "status" | "wish" | "gates")
            || fault.is_some()
        {
            self.write(&format!("{name} {fault:?}"));
        }
        let latency = 10 + self.luck(300);
        match action {
            Action::AskWish => {
                let event = Event::Wish { replicas: self.wish, fresh: self.wish_fresh };
                self.push(latency, event);
                return false;
            }
            Action::AskGates => {
                let event = Event::Gate(self.gate.clone());
                self.push(latency, event);
                return false;
            }
            _ => {}
        }
        let lost = Outcome::Failed(Failure::new(Class::Lost, "time-out"));
        let triggers = matches!(name, "checkpoint" | "savepoint" | "stop");
        let outcome = match fault {
            Some(Fault::LostBefore) => lost,
            Some(Fault::Fail(class)) if triggers && class != Class::Unavailable => {
                self.world.perform(&action, Some(class))
            }
            Some(Fault::Fail(class)) => Outcome::Failed(Failure::new(class, "Caused by: a test")),
            _ => self.world.perform(&action, None),
        };
        self.law_of_removals();
        match fault {
            Some(Fault::CrashAfter) => {
                self.crash(name);
                return true;
            }
            Some(Fault::LostAfter | Fault::LostBefore) => {
                self.push(
                    10_000,
                    Event::Answered { call: number, outcome: Outcome::Failed(Failure::new(Class::Lost, "")) },
                );
                return false;
            }
            Some(Fault::JobManager(available)) => self.world.crash_job_manager(available),
            _ => {}
        }
        self.push(latency, Event::Answered { call: number, outcome });
        false
    }

    /// Our process dies and comes back: answers under way are lost, and a new clock begins.
    pub(crate) fn crash(&mut self, place: &str) {
        self.write(&format!("CRASH {place}"));
        self.crashes += 1;
        self.queue.clear();
        let down = 1_000 + self.luck(40_000);
        let now = self.world.now + down;
        self.world.advance(now);
        self.boot = self.world.now - 17;
        self.op = match &self.text {
            Some(text) => stored::read(text, self.now()).unwrap(),
            None => Operation::begin(self.begin.clone(), self.now().tick).unwrap(),
        };
        self.wake = self.world.now;
    }

    /// Law: an action has the same id after a restart from the same stored state.
    fn law_of_ids(&mut self, action: &Action) {
        let Some((what, id)) = identity(action) else { return };
        let known = self.identities.entry((self.op.revision(), what)).or_insert_with(|| id.clone()).clone();
        assert_eq!(known, id, "{}", self.tail());
    }

    /// Law: no TaskManager leaves before every live job has a snapshot of this operation or one younger than maxAge.
    fn law_of_removals(&mut self) {
        let removals = std::mem::take(&mut self.world.removals);
        for removal in removals.into_iter().filter(|_| !self.unprotected) {
            for (job, age) in removal.jobs {
                let allowed = (removal.at - self.begun).max(self.max_age);
                assert!(age.is_some_and(|age| age <= allowed), "{job} is not protected ({age:?})\n{}", self.tail());
            }
        }
    }

    /// Law: never two live runs of one job, and never a run from anything but the path of its stop.
    fn watch_jobs(&mut self) {
        let mut names: Vec<&str> =
            self.world.jobs.iter().filter(|job| job.state.live()).map(|job| job.name.as_str()).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert!(self.same_names || all == names.len(), "two live runs of one job\n{}", self.tail());
    }

    /// Law: what was stopped runs again from its path, or the operation has failed and keeps the path.
    fn check_end(&self) {
        let state = self.op.state();
        for met in self
            .world
            .jobs
            .iter()
            .filter(|met| met.checkpoints.iter().any(|snap| snap.savepoint && snap.path.contains(&state.id.0)))
        {
            let live = self.world.jobs.iter().any(|other| other.name == met.name && other.state.live());
            let kept = self.op.parked().iter().any(|parked| parked.name == met.name);
            assert!(live || kept, "{} was stopped and is forgotten\n{}", met.name, self.tail());
        }
        for job in state.jobs.iter().filter(|job| job.stop.taken.is_some()) {
            let path = job.path.clone();
            assert!(path.is_some(), "a stopped job has a path");
            let live = self.world.jobs.iter().find(|met| met.name == job.name && met.state.live());
            let parked = self.op.parked().into_iter().find(|parked| parked.name == job.name);
            match (live, parked) {
                // Somebody else has run it.
                (Some(_), None) if self.told("JobRunsAlready") => {}
                (_, None) => assert!(
                    self.world.runs.contains(&(job.name.clone(), path)),
                    "{} was stopped and is forgotten\n{}",
                    job.name,
                    self.tail()
                ),
                (None, Some(parked)) => {
                    assert_eq!(parked.path, path);
                    let zero = state.to == 0 && state.phase == Phase::Done;
                    assert!(zero || state.phase == Phase::Failed, "{}", self.tail());
                    let told = |note: &Note| matches!(note, Note::Condition { name, .. } if name == "JobStopped");
                    assert!(zero || self.crashes > 0 || self.notes.iter().any(told));
                }
                (Some(_), Some(_)) => panic!("{} runs and is kept as stopped\n{}", job.name, self.tail()),
            }
        }
    }

    /// How often an action was performed.
    pub(crate) fn count(&self, name: &'static str) -> u32 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    pub(crate) fn reason(&self) -> &'static str {
        self.op.state().cause.as_ref().map_or("", |cause| cause.reason.reason())
    }
}

impl Driver {
    /// When the operation began, in the world's time.
    pub(crate) fn begun(&self) -> i64 {
        self.begun
    }

    /// When actions of a name were performed, in milliseconds since the operation began.
    pub(crate) fn times(&self, name: &str) -> Vec<i64> {
        let of = |line: &String| {
            let (at, text) = line.split_once("s ")?;
            let at: f64 = at.trim().parse().ok()?;
            (text.split(' ').next() == Some(name)).then_some((at * 1000.0) as i64)
        };
        self.log.iter().filter_map(of).collect()
    }

    /// Whether people were told this reason.
    pub(crate) fn told(&self, reason: &str) -> bool {
        self.notes.iter().any(|note| match note {
            Note::Announce { reason: told, .. } => told == reason,
            Note::Condition { name, holds, .. } => name == reason && *holds,
            Note::Clear(_) => false,
        })
    }
}

impl Driver {
    /// Begins anew with a changed flink item.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut tidegate_calculator::operation::spec::Flink)) {
        if let Some(tidegate_calculator::operation::spec::Work::Flink(flink)) =
            self.begin.spec.pre_scale.last_mut().map(|item| &mut item.work)
        {
            change(flink);
        }
        self.op = Operation::begin(self.begin.clone(), Tick(self.world.now - self.boot)).unwrap();
    }
}
