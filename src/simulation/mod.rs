//! Runs the engine over a trace in virtual time, without a runtime, a socket or a clock: a day passes in well under a second.
//!
//! It is a second driver beside the one on tokio. Commands are done by simulated sources ([`Trace`]), simulated deployments and a
//! simulated store; [`Faults`] lose, delay, double and refuse answers and end the process at any step, all from one seed.
//!
//! ```no_run
//! # fn example(subject: tidegate_engine::subject::Subject) -> Result<(), Box<dyn std::error::Error>> {
//! use tidegate::simulation::{Faults, Simulation, Trace};
//! use tidegate_calculator::time::{Span, Tick};
//!
//! let trace = Trace::from_csv("0,jobs,0\n60,jobs,790\n")?;
//! let mut simulation = Simulation::new("2026-11-25T12:00:00Z".parse()?, trace, Faults::default());
//! simulation.deploy(subject.target.clone(), 0, Span::seconds(5));
//! simulation.set(subject);
//! for change in &simulation.run(Tick(24 * 3_600_000))?.changes {
//!     println!("{} ms: {} -> {}", change.at.0, change.from, change.to);
//! }
//! # Ok(())
//! # }
//! ```

mod deployment;
mod faults;
mod perform;
pub mod scripted;
mod timeline;
mod trace;

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;

use jiff::{SignedDuration, Timestamp};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::TargetState;
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::core::Engine;
use tidegate_engine::protocol::{Change as Told, Command, Entry, Input, QueryId, TargetError, Tenure, Ticket};
use tidegate_engine::snapshot::Snapshot;
use tidegate_engine::subject::{Finding, ObjectId, Subject, TargetRef};

use deployment::Deployment;
pub use faults::{Dice, Faults};
use scripted::Scripted;
pub use timeline::{Announced, Change, Ground, Read, Stored, Timeline, Writer};
pub use trace::{Trace, TraceError};

/// More steps at one moment than any number of objects needs: the engine goes in circles.
const MOST_STEPS: u32 = 1_000_000;

/// An engine, its world, and everything that happened to both.
pub struct Simulation {
    /// The wall time of the run's beginning, as the wall clock now sees it.
    start: Timestamp,
    /// Since the start of the run.
    now: Tick,
    trace: Trace,
    faults: Faults,
    dice: Dice,
    process: Option<Process>,
    /// How many engines there were.
    lives: u32,
    agenda: BTreeMap<(Tick, u64), Happening>,
    entries: u64,
    objects: BTreeMap<ObjectId, Told>,
    stored: BTreeMap<ObjectId, Entry>,
    deployments: BTreeMap<TargetRef, Deployment>,
    timeline: Timeline,
}

/// One life of the engine. All of this is lost in a crash.
struct Process {
    engine: Engine,
    /// When it began: its own ticks count from then.
    born: Tick,
    sources: BTreeMap<(u32, u8), Source>,
    replies: Vec<Snapshot>,
}

/// A trigger that was opened.
struct Source {
    object: ObjectId,
    ticket: Ticket,
    script: Scripted,
}

/// Something that will happen.
#[derive(Clone, Debug)]
enum Happening {
    /// An input comes, unless the process that it was meant for has ended.
    Input { life: u32, input: Box<Input> },
    /// A write reaches the target, whether or not its writer still lives.
    Landing { life: u32, write: perform::Write },
    /// Pods may have become ready.
    PodsReady(TargetRef),
    /// A user, or somebody else, does something.
    Edit(Box<Edit>),
    /// The process begins.
    Begin,
}

/// What users and others do to the world of a run.
#[derive(Clone, Debug)]
pub enum Edit {
    /// The object is created or changed.
    Set(Box<Subject>),
    /// The object is changed into something that cannot be obeyed.
    Refuse(ObjectId, TargetRef, Vec<Finding>),
    /// The object is deleted; what was stored of it goes with it.
    Delete(ObjectId),
    /// A Secret or a ConfigMap that the object's triggers use changes.
    ChangeParameters(ObjectId),
    /// Somebody else sets the replicas.
    Replicas(TargetRef, u32),
    /// The target is deleted.
    DeleteTarget(TargetRef),
    /// The process ends without a word and begins again after this time.
    Crash(Span),
    /// The process is asked to end: it stores what it has not stored. It begins no pass any more.
    Drain,
    /// A trigger's source says that it has changed, whether or not it has.
    Wake(ObjectId, u8),
    /// The process may act, or may not any more. What was stored meanwhile is told with the objects.
    Tenure(Tenure),
    /// The wall clock jumps by this span, back if it is negative; the monotonic clock does not.
    WallClock(Span),
}

/// A run that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The engine wants to be called again and again at the same moment.
    #[error("the engine goes in circles at {} ms", .0.0)]
    Circles(Tick),
}

impl SimulationError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Circles(_) => "EngineCircles",
        }
    }
}

impl Simulation {
    /// A world that begins at this wall time, with sources that say what the trace says.
    pub fn new(start: Timestamp, trace: Trace, faults: Faults) -> Self {
        let mut simulation = Self {
            start,
            now: Tick(0),
            trace,
            dice: Dice::new(faults.seed),
            process: None,
            lives: 0,
            agenda: BTreeMap::new(),
            entries: 0,
            objects: BTreeMap::new(),
            stored: BTreeMap::new(),
            deployments: BTreeMap::new(),
            timeline: Timeline::default(),
            faults,
        };
        for at in simulation.faults.crash_at.clone() {
            let downtime = simulation.dice.span(simulation.faults.longest_downtime);
            simulation.at(at, Edit::Crash(downtime));
        }
        // Behind what is set up before the run at the same moment.
        simulation.agenda.insert((Tick(0), u64::MAX), Happening::Begin);
        simulation
    }

    /// There is a deployment, its pods ready; pods that are added become ready `startup` later.
    pub fn deploy(&mut self, target: TargetRef, replicas: u32, startup: Span) {
        self.deployments.insert(target, Deployment::new(replicas, startup, self.now));
    }

    /// There is an object, from now on.
    pub fn set(&mut self, subject: Subject) {
        self.at(self.now, Edit::Set(Box::new(subject)));
    }

    /// At this moment after the start, somebody does this; a moment in the past is now.
    pub fn at(&mut self, at: Tick, edit: Edit) {
        self.schedule(at.max(self.now), Happening::Edit(Box::new(edit)));
    }

    /// Lets the sources say something else from now on.
    pub fn say(&mut self, trigger: &str, said: scripted::Said) {
        self.trace.say(self.now - Tick(0), trigger, said);
    }

    /// Runs until this moment after the start, and gives everything that has happened since the start.
    ///
    /// # Errors
    ///
    /// If the engine never lets time go on.
    pub fn run(&mut self, until: Tick) -> Result<&Timeline, SimulationError> {
        let (mut steps, mut moment) = (0, self.now);
        while let Some(next) = self.next_moment().filter(|next| *next <= until) {
            if next > moment {
                (steps, moment) = (0, next);
            }
            steps += 1;
            if steps > MOST_STEPS {
                return Err(SimulationError::Circles(moment));
            }
            self.now = self.now.max(next);
            self.step();
        }
        self.now = self.now.max(until);
        Ok(&self.timeline)
    }

    /// Everything that has happened so far.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The moment of the run.
    pub fn now(&self) -> Tick {
        self.now
    }

    /// The target as it really is, whatever the engine has seen of it.
    pub fn target(&self, target: &TargetRef) -> Option<TargetState> {
        self.deployments.get(target).map(|deployment| deployment.seen(self.now).state)
    }

    /// What is stored of an object.
    pub fn stored(&self, object: &ObjectId) -> Option<&Entry> {
        self.stored.get(object)
    }

    /// What the engine says about an object, or about all; empty while there is no engine.
    pub fn ask(&mut self, object: Option<ObjectId>) -> Vec<Snapshot> {
        self.input(Input::Ask(QueryId(0), object));
        self.process.as_mut().map(|process| std::mem::take(&mut process.replies)).unwrap_or_default()
    }

    fn schedule(&mut self, at: Tick, happening: Happening) {
        self.entries += 1;
        self.agenda.insert((at, self.entries), happening);
    }

    /// The next moment at which something happens.
    fn next_moment(&self) -> Option<Tick> {
        let planned = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let due =
            self.process.as_ref().and_then(|process| process.engine.next_due().map(|due| due + process.age_zero()));
        planned.into_iter().chain(due).min()
    }

    /// One thing that happens at this moment: what is planned comes before the engine's own due time.
    fn step(&mut self) {
        let planned = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now);
        match planned.map(OccupiedEntry::remove) {
            None => self.input(Input::Tick),
            Some(Happening::Input { life, input }) if life == self.lives => self.input(*input),
            Some(Happening::Input { .. }) => {}
            Some(Happening::Landing { life, write }) => self.land(life, write),
            Some(Happening::PodsReady(target)) => self.pods_ready(&target),
            Some(Happening::Edit(edit)) => self.edit(*edit),
            Some(Happening::Begin) => self.begin(),
        }
    }

    /// A new engine: it is told what there is, as after any start.
    fn begin(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.lives += 1;
        let engine = Engine::new(Tenure::HELD);
        self.process = Some(Process { engine, born: self.now, sources: BTreeMap::new(), replies: Vec::new() });
        for id in self.objects.keys().cloned().collect::<Vec<_>>() {
            self.tell_object(&id);
        }
        self.input(Input::Object(Told::Synced));
    }

    /// Tells the engine an object with what is stored of it, then its target.
    fn tell_object(&mut self, id: &ObjectId) {
        let Some(mut told) = self.objects.get(id).cloned() else {
            return;
        };
        let target = match &mut told {
            Told::Set(subject, checkpoint) => {
                *checkpoint = self.checkpoint(id);
                subject.target.clone()
            }
            Told::Refused(_, target, _, checkpoint) => {
                *checkpoint = self.checkpoint(id);
                target.clone()
            }
            _ => return,
        };
        self.input(Input::Object(told));
        self.input(Input::Object(Told::Target(target.clone(), self.seen(&target))));
    }

    fn checkpoint(&self, id: &ObjectId) -> Checkpoint {
        self.stored.get(id).and_then(|entry| entry.checkpoint.clone()).unwrap_or_default()
    }

    fn seen(&self, target: &TargetRef) -> Result<tidegate_engine::protocol::Seen, TargetError> {
        let deployment = self.deployments.get(target);
        deployment
            .map(|deployment| deployment.seen(self.now))
            .ok_or_else(|| TargetError::NotFound(format!("{} {}/{}", target.kind, target.namespace, target.name)))
    }

    fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Set(subject) => {
                let id = subject.id.clone();
                self.objects.insert(id.clone(), Told::Set(subject.into(), Checkpoint::default()));
                self.tell_object(&id);
            }
            Edit::Refuse(id, target, findings) => {
                self.objects.insert(id.clone(), Told::Refused(id.clone(), target, findings, Checkpoint::default()));
                self.tell_object(&id);
            }
            Edit::Delete(id) => {
                self.objects.remove(&id);
                self.stored.remove(&id);
                self.input(Input::Object(Told::Gone(id)));
            }
            Edit::ChangeParameters(id) => self.input(Input::Object(Told::ParametersChanged(id))),
            Edit::Replicas(target, replicas) => self.foreign_write(&target, replicas),
            Edit::DeleteTarget(target) => {
                self.deployments.remove(&target);
                self.watch(&target);
            }
            Edit::Crash(downtime) => self.crash(downtime),
            Edit::Drain => self.input(Input::Drain),
            Edit::Wake(id, trigger) => self.wake(&id, trigger),
            Edit::Tenure(tenure) => self.input(Input::Tenure(tenure)),
            Edit::WallClock(jump) => {
                let jump = SignedDuration::from_millis(jump.0);
                self.start = self.start.checked_add(jump).unwrap_or(self.start);
            }
        }
    }

    fn wake(&mut self, id: &ObjectId, trigger: u8) {
        let Some(process) = &self.process else { return };
        let opened = process.sources.iter().find(|((_, index), source)| *index == trigger && source.object == *id);
        if let Some(ticket) = opened.map(|(_, source)| source.ticket) {
            self.input(Input::Woken(ticket, trigger));
        }
    }

    fn foreign_write(&mut self, target: &TargetRef, replicas: u32) {
        let Some(deployment) = self.deployments.get_mut(target) else {
            return;
        };
        let from = deployment.replicas();
        deployment.set(replicas, self.now);
        self.changed(target, from, replicas, Writer::Foreign);
    }

    /// The process ends here and now.
    fn crash(&mut self, downtime: Span) {
        if self.process.take().is_some() {
            self.timeline.crashes.push(self.now);
            self.schedule(self.now + downtime, Happening::Begin);
        }
    }

    /// Gives the engine an input and does what it commands.
    fn input(&mut self, input: Input) {
        let Some(process) = &mut self.process else { return };
        let tick = Tick(self.now.0 - process.born.0);
        let wall = self.start.checked_add(SignedDuration::from_millis(self.now.0)).unwrap_or(self.start);
        let mut commands = Vec::new();
        process.engine.handle(Now { tick, wall }, input, &mut commands);
        for command in commands {
            let may_end = !matches!(command, Command::Reply(..) | Command::Announce(..) | Command::Close(_));
            self.perform(command);
            if may_end && self.process.is_some() && self.dice.falls(self.faults.crash) {
                let downtime = self.dice.span(self.faults.longest_downtime);
                return self.crash(downtime);
            }
        }
    }
}

impl Process {
    /// What is added to the engine's ticks to get the run's.
    fn age_zero(&self) -> Span {
        self.born - Tick(0)
    }
}

#[cfg(test)]
#[cfg(all(feature = "cluster-metrics", feature = "redis"))]
mod rules_doc_tests;
#[cfg(test)]
#[cfg(feature = "cluster-metrics")]
mod sample_tests;
#[cfg(test)]
mod tests;
