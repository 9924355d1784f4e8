//! An operation is the work around one change of replicas that must survive our own crash: hooks, snapshots, stops and restores.
//!
//! It is a pure state machine: `operation.handle(event, now)` takes what happened and gives a [`Step`]: what to store, what to do, what to
//! tell people, and when to come back. It knows no clock, no socket and no Kubernetes; adapters perform its [`Action`]s and answer each by
//! its number.
//!
//! **Three rules make it safe to crash at any moment.**
//!
//! * *Stored before done.* Whatever changes the world waits until the state that asks for it is stored ([`Event::Stored`]).
//! * *Wanted, not remembered.* What is to be done is computed from the state at every event; what is under way already is left alone. After a
//!   restart nothing is under way, so whatever was in flight is simply done again.
//! * *Twice is once.* Every id (trigger ids, job ids, names, idempotency keys) is derived from the operation and a stored attempt, so an action
//!   that is repeated finds what its first time did ([`ids`]).
//!
//! **How to wire it.** [`Operation::begin`] with what the object's memory keeps ([`Begin`]); feed [`Event::Woken`]; then perform each step: store
//! [`stored::text`] when `store` is set (as an entry of the urgency *before*) and answer `Stored`; perform `calls`; tell `notes`; come back at
//! `wake`. Feed every wish and gate that a pass gives meanwhile. After a restart [`stored::read`] and again `Woken`. When
//! [`Operation::finished`], keep [`Operation::parked`], [`Operation::shapes`], [`Operation::savepoints`] and [`Operation::ending`] in the
//! object's memory and drop the operation. While [`Operation::holds_object`], a finalizer keeps the object.
//!
//! **Where things are.** [`auto`] chooses the strategy; a strategy's file says its plan, the list of [`Stage`]s; each stage says what it wants,
//! what it makes of answers and when it is over. What goes wrong ends in `failure`, which finds the way back.

pub mod action;
mod apply;
pub mod auto;
pub mod bounds;
mod checkpoint;
pub mod cooldown;
pub mod event;
pub mod explain;
pub mod facts;
mod failure;
mod flight;
mod flink_deployment;
mod foresight;
pub mod ids;
mod items;
mod none;
pub mod phase;
mod preflight;
pub mod progress;
pub mod refusal;
mod registered;
mod requirements;
pub mod retention;
mod run;
pub mod sizing;
mod snapshot;
pub mod spec;
mod stop_restore;
pub mod stored;
pub mod summary;
mod verify;
pub mod victims;
mod wish;

pub use action::{Action, Call, Note, Step};
pub use event::{Class, Event, Failure, Outcome};
pub use foresight::{Foreseen, Foresight, foresee};
pub use phase::{Direction, Phase, Stage, Strategy};
pub use refusal::{Cause, Reason, Refusal};
pub use spec::SpecError;

use bounds::Shape;
use flight::Flight;
use ids::OperationId;
use progress::{ItemProgress, Job, Parked, Snapshot, State};
use spec::{HookSpec, Item};

use crate::time::{Span, Tick};

/// What an operation begins with.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// The object's uid.
    pub uid: String,
    /// A number that grows with every operation of the object.
    pub sequence: u64,
    /// How often this change was tried before, plus 1.
    pub attempt: u32,
    /// The present replicas.
    pub from: u32,
    /// The replicas that are wanted; not equal to `from`.
    pub to: u32,
    /// The replicas that bounds or a pause ask for, even if so many are of no use; 0 if they ask for none.
    pub needed: u32,
    /// The hooks of the object.
    pub spec: HookSpec,
    /// Jobs that an operation before stopped.
    pub parked: Vec<Parked>,
    /// Shapes of job graphs that are remembered.
    pub shapes: Vec<Shape>,
}

/// One operation. Its durable part is [`Operation::state`]; the rest is only about calls under way.
#[derive(Clone, Debug)]
pub struct Operation {
    origin: Tick,
    revision: u64,
    state: State,
    /// Remembered shapes, only until jobs are met.
    shapes: Vec<Shape>,
    flight: Flight,
}

/// What a stage makes of the present moment.
enum Next {
    /// It goes on.
    Stay,
    /// It is over.
    Done,
    /// It failed.
    Fail(Cause),
    /// The operation is over.
    End(Phase, Cause),
    /// These stages come first, then this one begins again.
    Before(Vec<Stage>),
}

impl Operation {
    /// A new operation at `now`; none if `from` and `to` are equal. It does nothing before its first event, [`Event::Woken`].
    pub fn begin(begin: Begin, now: Tick) -> Option<Self> {
        let direction = Direction::of(begin.from, begin.to)?;
        let item = |post: bool| {
            move |item: &Item| ItemProgress { name: item.name.clone(), post, attempt: 1, ..ItemProgress::default() }
        };
        let other = |item: &&Item| item.flink().is_none() && item.takes_part(direction);
        let before = begin.spec.pre_scale.iter().filter(other).map(item(false));
        let items: Vec<ItemProgress> =
            before.chain(begin.spec.post_scale.iter().filter(other).map(item(true))).collect();
        let id = OperationId::derive(&begin.uid, begin.sequence, begin.from, begin.to, begin.attempt);
        let cooldown = begin.spec.cooldown(direction);
        let state = State {
            id,
            direction,
            from: begin.from,
            to: begin.to,
            needed: begin.needed,
            most: None,
            phase: Phase::Preflight,
            phase_since: Span::ZERO,
            strategy: None,
            why: String::new(),
            plan: vec![Stage::Inspect],
            at: 0,
            entered: Span::ZERO,
            failures: 0,
            resting: Span::ZERO,
            trouble: None,
            rounds: 0,
            patching: false,
            put: false,
            alarmed: false,
            slots_per: begin.spec.flink(direction).and_then(|(_, flink)| flink.slots_per_task_manager),
            reactive: false,
            cooldown,
            jobs: begin.parked.into_iter().map(parked_job).collect(),
            items,
            resource: Snapshot::default(),
            upgrade_savepoint: None,
            proceeded: None,
            superseded: false,
            rolling: None,
            cause: None,
            spec: begin.spec,
        };
        let flight = Flight::default();
        // Revision 1 is the beginning itself: it is stored before the first action that changes anything.
        Some(Self { origin: now, revision: 1, state, shapes: begin.shapes, flight })
    }

    /// Its durable part.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The revision of its durable part; grows with every change.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Takes what happened and says what follows. `now` never goes back.
    pub fn handle(&mut self, event: Event, now: Tick) -> Step {
        let at = self.at(now);
        let before = self.state.clone();
        self.take_event(event, at);
        while let Some(number) = self.flight.overdue(at) {
            let outcome = Outcome::Failed(Failure::new(Class::Lost, "no answer in time"));
            self.take_event(Event::Answered { call: number, outcome }, at);
        }
        self.advance(at);
        if self.state != before {
            self.revision = self.revision.saturating_add(1);
        }
        self.step(at)
    }

    fn at(&self, now: Tick) -> Span {
        Span((now - self.origin).0.max(0))
    }

    fn take_event(&mut self, event: Event, at: Span) {
        match event {
            Event::Woken => {}
            Event::Stored(revision) => self.flight.stored = self.flight.stored.max(revision.min(self.revision)),
            Event::Answered { call, outcome } => {
                if let Some((action, sent)) = self.flight.take(call) {
                    self.absorb(action, outcome, sent, at);
                }
            }
            Event::Wish { replicas, fresh } => self.take_wish(replicas, fresh, at),
            Event::HooksChanged => self.take_new_hooks(at),
            Event::Gate(closed) => {
                self.flight.answered(&Action::AskGates);
                self.flight.gate = Some((closed, at));
            }
            Event::Restarted => {
                self.flight = self.flight.restarted(self.revision);
                self.repeat_notes();
            }
        }
    }

    /// Goes on until something must be waited for. The bound is never reached: every turn moves the plan on or ends it.
    fn advance(&mut self, at: Span) {
        for _ in 0..64 {
            if self.state.phase.ended() || self.over_time(at) {
                return;
            }
            match self.next(at) {
                Next::Stay => return,
                Next::Done => self.enter(self.state.at + 1, at),
                Next::Fail(cause) => self.fail(cause, at),
                Next::End(phase, cause) => self.end(phase, Some(cause), at),
                Next::Before(stages) => {
                    let here = self.state.at;
                    self.state.plan.splice(here..here, stages);
                    self.enter(here, at);
                }
            }
        }
    }

    /// Enters the stage at `index`; the end of the plan is the end of the operation.
    fn enter(&mut self, index: usize, at: Span) {
        self.state.at = index;
        let Some(stage) = self.state.plan.get(index).copied() else {
            // A cause that is known before the end is of something that failed on the way back.
            let phase = match (&self.state.rolling, &self.state.cause) {
                (None, _) => Phase::Done,
                (Some(_), None) => Phase::RolledBack,
                (Some(_), Some(_)) => Phase::Failed,
            };
            return self.end(phase, self.state.cause.clone().or_else(|| self.state.rolling.clone()), at);
        };
        self.state.entered = at;
        self.state.failures = 0;
        self.state.resting = Span::ZERO;
        self.state.trouble = None;
        self.flight.wake(&Action::Inspect);
        if self.state.phase != stage.phase() {
            self.state.phase = stage.phase();
            self.state.phase_since = at;
        }
        self.begin_stage(stage, at);
    }

    /// What a stage changes when it is entered.
    fn begin_stage(&mut self, stage: Stage, at: Span) {
        match stage {
            Stage::Checkpoints => self.begin_checkpoints(at),
            Stage::Resource => self.state.resource.begin(at),
            Stage::Patch => self.state.patching = true,
            Stage::Requirements => self.begin_requirements(),
            Stage::Release => self.begin_snapshots(ids::Kind::Release, Span(at.0.saturating_add(verify::SLOTS_COME.0))),
            Stage::Stop => self.begin_stops(at),
            Stage::Run => self.begin_runs(at),
            Stage::Verify => self.begin_verify(),
            _ => {}
        }
    }

    fn next(&mut self, at: Span) -> Next {
        if let Some(cause) = self.state.trouble.clone() {
            return self.in_trouble(cause);
        }
        match self.state.stage() {
            Stage::Inspect => self.inspect_next(at),
            Stage::Plan => self.plan_next(),
            Stage::Stable => self.stable_next(at),
            Stage::Items => self.items_next(false, at),
            Stage::Checkpoints => self.checkpoints_next(at),
            Stage::Resource => self.resource_next(at),
            Stage::Confirm => self.confirm_next(at),
            Stage::Stop => self.stop_next(at),
            Stage::Mark => self.mark_next(),
            Stage::Patch => self.patch_next(at),
            Stage::Left => self.left_next(at),
            Stage::Registered => self.registered_next(at),
            Stage::Settle => self.settle_next(at),
            Stage::Requirements => self.requirements_next(at),
            Stage::Release => self.release_next(at),
            Stage::Run => self.run_next(at),
            Stage::Verify => self.verify_next(at),
            Stage::Deployed => self.deployed_next(at),
            Stage::Post => self.items_next(true, at),
        }
    }

    /// What should be under way now.
    fn wanted(&self, at: Span) -> Vec<Action> {
        let mut wanted = self.annotation_wanted();
        if self.state.phase.ended() || at < self.state.resting {
            return wanted;
        }
        wanted.extend(match self.state.stage() {
            Stage::Inspect | Stage::Stable | Stage::Left | Stage::Registered | Stage::Settle | Stage::Deployed => {
                vec![Action::Inspect]
            }
            Stage::Plan => self.plan_wanted(),
            Stage::Items => self.items_wanted(false, at),
            Stage::Checkpoints => self.checkpoints_wanted(at),
            Stage::Resource => self.resource_wanted(at),
            Stage::Confirm => self.confirm_wanted(at),
            Stage::Stop => self.stop_wanted(at),
            Stage::Mark => self.mark_wanted(),
            Stage::Patch => self.patch_wanted(at),
            Stage::Requirements => self.requirements_wanted(),
            Stage::Release => self.snapshots_wanted(ids::Kind::Release, at),
            Stage::Run => self.run_wanted(at),
            Stage::Verify => self.verify_wanted(at),
            Stage::Post => self.items_wanted(true, at),
        });
        wanted
    }

    /// What an answer means.
    fn absorb(&mut self, action: Action, outcome: Outcome, sent: Span, at: Span) {
        match &action {
            Action::Inspect => self.absorb_inspection(outcome, sent, at),
            Action::AskWish | Action::AskGates => self.flight.rest(action, Span(at.0 + 5_000)),
            Action::TriggerCheckpoint { .. }
            | Action::TriggerSavepoint { .. }
            | Action::StopWithSavepoint { .. }
            | Action::PollCheckpoint { .. }
            | Action::PollSavepoint { .. }
            | Action::LookForSnapshot { .. } => self.absorb_snapshot(action, outcome, sent, at),
            Action::CreateSnapshotResource { .. } | Action::PollSnapshotResource { .. } => {
                self.absorb_resource(action, outcome, sent, at);
            }
            Action::Patch { .. } => self.absorb_patch(action, outcome, at),
            Action::PutRequirements { .. } => self.absorb_requirements(action, outcome, at),
            Action::MarkVictims { .. } => self.absorb_marking(action, &outcome, at),
            Action::PlanJar { .. } => self.absorb_plan(&action, outcome, at),
            Action::RunJar { .. } | Action::JobStatus { .. } | Action::CancelJob { .. } => {
                self.absorb_run(action, outcome, at);
            }
            Action::CallHttp { .. } | Action::PollHttp { .. } | Action::RunJob { .. } | Action::PollJob { .. } => {
                self.absorb_item(action, outcome, at);
            }
            Action::Annotate { .. } => self.absorb_annotation(action, &outcome, at),
            Action::DisposeSavepoint { .. } => {}
        }
    }

    fn step(&mut self, at: Span) -> Step {
        let store = (self.revision > self.flight.asked).then_some(self.revision);
        self.flight.asked = self.flight.asked.max(self.revision);
        let settled = self.flight.stored >= self.revision;
        let mut calls = Vec::new();
        for action in self.wanted(at) {
            if (action.changes() && !settled) || self.flight.busy(&action, at) {
                continue;
            }
            self.flight.patch_sent |= matches!(action, Action::Patch { .. });
            let number = self.flight.begin(action.clone(), at);
            calls.push(Call { number, action });
        }
        let notes = if settled { std::mem::take(&mut self.flight.notes) } else { Vec::new() };
        let wake = (!self.finished()).then(|| self.origin + self.wake_at(at));
        Step { store, calls, notes, wake }
    }

    /// When something may change by time alone: a rest, a deadline, a time-out; at the latest in 30 s.
    fn wake_at(&mut self, at: Span) -> Span {
        let mut moments: Vec<Span> = self.flight.sweep(at).into_iter().chain([self.state.resting]).collect();
        moments.extend(self.stage_moments());
        moments.extend([self.limit(), Span(self.limit().0.saturating_mul(2))]);
        let next = moments.into_iter().filter(|moment| *moment > at).min();
        next.unwrap_or(Span(i64::MAX)).min(Span(at.0 + 30_000))
    }
}

fn parked_job(parked: Parked) -> Job {
    Job {
        name: parked.name,
        id: parked.id,
        patterns: parked.patterns,
        share: 1,
        shape: parked.shape,
        parallelism_before: parked.parallelism,
        wait: Span::seconds(630),
        ended: true,
        parked: true,
        path: parked.path,
        ..Job::default()
    }
}
