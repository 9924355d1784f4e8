//! The engine: owns all objects, takes inputs one at a time and says what to do next.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use slab::Slab;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::source::EndpointId;
use tidegate_calculator::time::{Now, Span, Tick};

use crate::gate::Gate;
use crate::object::{Loaded, Object, Pass};
use crate::protocol::{Change, Command, Event, Input, QueryId, Tenure, Ticket};
use crate::read::READ_DEADLINE;
use crate::subject::{ObjectId, Subject, TargetRef};
use crate::tally::Measure;

/// Reads in flight at one endpoint: more than any batch takes, few enough that a hung server holds little.
const READS_PER_ENDPOINT: usize = 512;
/// Reads in flight in all: a few hung endpoints cannot use them up.
const READS: usize = 2_048;
/// A wall clock that differs from the monotonic one by more than this since the last look was set by somebody, or has drifted so far.
const JUMP: Span = Span::seconds(1);
/// Writes in flight: an API server takes each in some 5 ms, so this is thousands a second.
const WRITES: usize = 32;

/// The state of all objects. One task owns it; it has no lock, no timer and no I/O.
#[derive(Debug)]
pub struct Engine {
    objects: Slab<Object>,
    names: HashMap<ObjectId, u32>,
    targets: HashMap<TargetRef, Vec<u32>>,
    due: BTreeSet<(Tick, u32)>,
    reads: Gate<Option<EndpointId>, (Ticket, u8)>,
    writes: Gate<(), (Ticket, WriteKind)>,
    freed: Vec<Freed>,
    epochs: u32,
    tenure: Tenure,
    read_deadline: Span,
    draining: bool,
    synced: bool,
    /// Wall time less ticks, in milliseconds, since the wall clock was last set; none before the first input.
    offset: Option<i64>,
}

/// What holds for all objects while an input is handled.
#[derive(Clone, Copy, Debug)]
struct Circumstances {
    now: Now,
    acting: bool,
    held: bool,
    alive: Option<Timestamp>,
    read_deadline: Span,
}

/// A kind of write that waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteKind {
    Apply,
    Store,
}

/// A call that may run because another one has ended.
#[derive(Debug)]
pub(crate) enum Freed {
    Read(Option<EndpointId>, Ticket, u8),
    Write(Ticket, WriteKind),
}

/// What an object needs of the engine while it handles an input.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) out: &'a mut Vec<Command>,
    reads: &'a mut Gate<Option<EndpointId>, (Ticket, u8)>,
    writes: &'a mut Gate<(), (Ticket, WriteKind)>,
    freed: &'a mut Vec<Freed>,
    /// Whether passes may begin.
    pub(crate) acting: bool,
    /// Whether anything may be written: replicas or records.
    pub(crate) held: bool,
    /// When the process before this one is known to have been at work last.
    pub(crate) alive: Option<Timestamp>,
    /// How long a source may take to answer.
    pub(crate) read_deadline: Span,
}

impl Context<'_> {
    /// The present tick.
    pub(crate) fn tick(&self) -> Tick {
        self.now.tick
    }

    /// Whether a read may run now; otherwise it waits.
    pub(crate) fn enter_read(&mut self, lane: Option<EndpointId>, ticket: Ticket, trigger: u8) -> bool {
        self.reads.enter(lane, (ticket, trigger)).is_some()
    }

    /// A read has ended or was given up.
    pub(crate) fn leave_read(&mut self, lane: Option<EndpointId>) {
        if let Some((lane, (ticket, trigger))) = self.reads.leave(lane) {
            self.freed.push(Freed::Read(lane, ticket, trigger));
        }
    }

    /// Whether a write may run now; otherwise it waits.
    pub(crate) fn enter_write(&mut self, ticket: Ticket, kind: WriteKind) -> bool {
        self.writes.enter((), (ticket, kind)).is_some()
    }

    /// A write has ended or was given up.
    pub(crate) fn leave_write(&mut self) {
        if let Some(((), (ticket, kind))) = self.writes.leave(()) {
            self.freed.push(Freed::Write(ticket, kind));
        }
    }

    /// Says what is to be counted.
    pub(crate) fn measure(&mut self, measure: Measure) {
        self.out.push(Command::Measured(measure));
    }

    /// Tells people.
    pub(crate) fn announce(&mut self, id: &ObjectId, event: Event) {
        // Another process acts: it tells people itself.
        if self.held {
            self.out.push(Command::Announce(id.clone(), event));
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(Tenure::HELD)
    }
}

impl Engine {
    /// An engine without objects.
    pub fn new(tenure: Tenure) -> Self {
        Self {
            objects: Slab::new(),
            names: HashMap::new(),
            targets: HashMap::new(),
            due: BTreeSet::new(),
            reads: Gate::new(READS_PER_ENDPOINT, READS),
            writes: Gate::new(WRITES, WRITES),
            freed: Vec::new(),
            epochs: 0,
            tenure,
            read_deadline: READ_DEADLINE,
            draining: false,
            synced: false,
            offset: None,
        }
    }

    /// The same with another time within which a source must answer; usually that is [`READ_DEADLINE`].
    #[must_use]
    pub fn with_read_deadline(self, read_deadline: Span) -> Self {
        Self { read_deadline, ..self }
    }

    /// Takes one input at `now` and appends what must be done. Time never goes back from one call to the next.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Command>) {
        self.watch_clock(now, out);
        match input {
            Input::Object(change) => self.change(now, change, out),
            Input::Opened(call, result) => self.with(call.ticket, now, out, |o, cx| o.opened(call.number, result, cx)),
            Input::Read(call, result) => self.with(call.ticket, now, out, |o, cx| o.read(call.number, result, cx)),
            Input::NotOpen(call) => self.with(call.ticket, now, out, |o, cx| o.not_open(call.number, cx)),
            Input::Refreshed(call, result) => {
                self.with(call.ticket, now, out, |o, cx| o.refreshed(call.number, result, cx));
            }
            Input::Applied(call, result) => {
                self.with(call.ticket, now, out, |o, cx| o.applied(call.number, result, cx));
            }
            Input::Stored(call, result) => self.with(call.ticket, now, out, |o, cx| o.stored(call.number, &result, cx)),
            // An operation outlives a new text of its object, and so do its calls.
            Input::Performed(call, number, outcome) => {
                self.at(call.ticket.slot, now, out, |o, cx| o.performed(call, number, *outcome, cx));
            }
            Input::Woken(ticket, trigger) => self.with(ticket, now, out, |o, cx| o.woken(trigger, cx)),
            Input::Tenure(tenure) => self.tenure(now, tenure, out),
            Input::Ask(query, object) => self.reply(now, query, object.as_ref(), out),
            Input::Drain => self.drain(now, out),
            Input::Tick => {}
        }
        self.run_due(now, out);
    }

    /// The next moment at which [`Engine::handle`] wants a [`Input::Tick`], if nothing else happens before.
    pub fn next_due(&self) -> Option<Tick> {
        self.due.first().map(|(tick, _)| *tick)
    }

    /// Whether everything that exists has been told at least once.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// Whether a drain has come to its end: nothing is being written and nothing waits to be stored.
    pub fn drained(&self) -> bool {
        let stores = self.tenure.is_held();
        self.draining && self.objects.iter().all(|(_, object)| object.is_settled(stores))
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Notices that somebody has set the wall clock: schedules are planned anew.
    fn watch_clock(&mut self, now: Now, out: &mut Vec<Command>) {
        let offset = now.wall.as_millisecond().saturating_sub(now.tick.0);
        match self.offset {
            Some(known) if known.abs_diff(offset) <= JUMP.0.unsigned_abs() => return,
            Some(_) => {
                for slot in self.slots() {
                    self.at(slot, now, out, Object::clock_set);
                }
            }
            None => {}
        }
        self.offset = Some(offset);
    }

    fn change(&mut self, now: Now, change: Change, out: &mut Vec<Command>) {
        match change {
            Change::Set(subject, checkpoint) => self.set(now, subject, checkpoint, out),
            Change::Gone(id) => self.gone(now, &id, out),
            Change::Refused(id, target, findings, checkpoint) => {
                let slot = self.slot_of(&id, &target, checkpoint, now);
                let ticket = self.next_ticket(slot);
                self.at(slot, now, out, |object, cx| object.refuse(findings, ticket, cx));
            }
            Change::ParametersChanged(id) => {
                if let Some(ticket) = self.ticket(&id) {
                    self.with(ticket, now, out, Object::parameters_changed);
                }
            }
            Change::Stored(id, stored) => {
                if let Some(ticket) = self.ticket(&id) {
                    self.with(ticket, now, out, |object, cx| object.recall(*stored, cx));
                }
            }
            Change::Target(target, result) => {
                let slots = self.targets.get(&target).cloned().unwrap_or_default();
                for slot in slots {
                    self.at(slot, now, out, |object, cx| object.watched(result.clone(), cx));
                }
            }
            Change::Synced => self.synced = true,
        }
    }

    fn set(&mut self, now: Now, subject: Arc<Subject>, checkpoint: Checkpoint, out: &mut Vec<Command>) {
        let slot = self.slot_of(&subject.id, &subject.target, checkpoint.clone(), now);
        self.move_target(slot, &subject.target, checkpoint.clone(), now);
        if self.tenure == Tenure::Standby
            && let Some(object) = self.objects.get_mut(slot as usize)
        {
            object.memory = Loaded::Waiting(checkpoint);
        }
        let ticket = self.next_ticket(slot);
        self.at(slot, now, out, |object, cx| object.set(subject, ticket, cx));
    }

    fn gone(&mut self, now: Now, id: &ObjectId, out: &mut Vec<Command>) {
        let Some(slot) = self.names.remove(id) else { return };
        self.at(slot, now, out, |object, cx| {
            object.drop_operation();
            object.abandon(cx);
        });
        let object = self.objects.remove(slot as usize);
        if let Some(due) = object.due {
            self.due.remove(&(due, slot));
        }
        self.forget_target(&object.target, slot);
        out.push(Command::Close(object.ticket));
        self.run_freed(now, out);
    }

    /// The place of an object, made anew if it has none.
    fn slot_of(&mut self, id: &ObjectId, target: &TargetRef, checkpoint: Checkpoint, now: Now) -> u32 {
        if let Some(slot) = self.names.get(id) {
            return *slot;
        }
        let entry = self.objects.vacant_entry();
        let slot = u32::try_from(entry.key()).unwrap_or(u32::MAX);
        self.epochs = self.epochs.wrapping_add(1);
        let ticket = Ticket { slot, epoch: self.epochs };
        entry.insert(Object::new(id.clone(), target.clone(), ticket, checkpoint, now.tick));
        self.names.insert(id.clone(), slot);
        self.targets.entry(target.clone()).or_default().push(slot);
        slot
    }

    /// An object that now scales something else knows nothing about it yet: what was loaded is about the old target.
    fn move_target(&mut self, slot: u32, target: &TargetRef, checkpoint: Checkpoint, now: Now) {
        let Some(object) = self.objects.get_mut(slot as usize) else {
            return;
        };
        if object.target == *target {
            return;
        }
        let old = std::mem::replace(&mut object.target, target.clone());
        object.retarget(checkpoint, now.tick);
        self.forget_target(&old, slot);
        self.targets.entry(target.clone()).or_default().push(slot);
    }

    fn forget_target(&mut self, target: &TargetRef, slot: u32) {
        if let Some(slots) = self.targets.get_mut(target) {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                self.targets.remove(target);
            }
        }
    }

    fn next_ticket(&mut self, slot: u32) -> Ticket {
        self.epochs = self.epochs.wrapping_add(1);
        Ticket { slot, epoch: self.epochs }
    }

    fn ticket(&self, id: &ObjectId) -> Option<Ticket> {
        self.names.get(id).and_then(|slot| self.objects.get(*slot as usize)).map(|object| object.ticket)
    }

    fn tenure(&mut self, now: Now, tenure: Tenure, out: &mut Vec<Command>) {
        self.tenure = tenure;
        for slot in self.slots() {
            self.at(slot, now, out, |object, cx| match tenure {
                Tenure::Held { .. } => object.take_over(cx),
                Tenure::Standby => object.stand_by(),
            });
        }
    }

    fn drain(&mut self, now: Now, out: &mut Vec<Command>) {
        self.draining = true;
        for slot in self.slots() {
            self.at(slot, now, out, |object, _| object.drain());
        }
    }

    fn reply(&self, now: Now, query: QueryId, object: Option<&ObjectId>, out: &mut Vec<Command>) {
        let wanted = |id: &ObjectId| object.is_none_or(|wanted| wanted == id);
        let mut snapshots: Vec<_> = self
            .objects
            .iter()
            .filter(|(_, object)| wanted(&object.id))
            .map(|(_, object)| object.snapshot(now, self.acting()))
            .collect();
        snapshots.sort_by(|a, b| a.id.cmp(&b.id));
        out.push(Command::Reply(query, snapshots));
    }

    fn slots(&self) -> Vec<u32> {
        self.objects.iter().filter_map(|(slot, _)| u32::try_from(slot).ok()).collect()
    }

    fn circumstances(&self, now: Now) -> Circumstances {
        let (held, alive) = match self.tenure {
            Tenure::Held { alive } => (true, alive),
            Tenure::Standby => (false, None),
        };
        Circumstances { now, acting: self.acting(), held, alive, read_deadline: self.read_deadline }
    }

    fn acting(&self) -> bool {
        self.tenure.is_held() && !self.draining
    }

    /// Looks at every object whose moment has come. What one look makes due at once is looked at once more; what then is
    /// still due waits a millisecond, so that no object can keep the others from their turn.
    fn run_due(&mut self, now: Now, out: &mut Vec<Command>) {
        for _ in 0..2 {
            for slot in self.late(now.tick) {
                self.at(slot, now, out, Object::on_time);
            }
        }
        for slot in self.late(now.tick) {
            if let Some(object) = self.objects.get_mut(slot as usize)
                && let Some(due) = object.due.replace(now.tick.next())
            {
                self.due.remove(&(due, slot));
                self.due.insert((now.tick.next(), slot));
            }
        }
    }

    fn late(&self, now: Tick) -> Vec<u32> {
        self.due.range(..=(now, u32::MAX)).map(|(_, slot)| *slot).collect()
    }

    /// Runs `action` on the object of this ticket, unless its epoch is over.
    fn with(
        &mut self,
        ticket: Ticket,
        now: Now,
        out: &mut Vec<Command>,
        action: impl FnOnce(&mut Object, &mut Context<'_>),
    ) {
        if self.objects.get(ticket.slot as usize).is_some_and(|object| object.ticket == ticket) {
            self.at(ticket.slot, now, out, action);
        }
    }

    /// Runs `action` on the object at `slot`, then everything that follows from it.
    fn at(&mut self, slot: u32, now: Now, out: &mut Vec<Command>, action: impl FnOnce(&mut Object, &mut Context<'_>)) {
        self.touch(slot, now, out, action);
        self.run_freed(now, out);
    }

    fn run_freed(&mut self, now: Now, out: &mut Vec<Command>) {
        while let Some(freed) = self.freed.pop() {
            let ticket = match freed {
                Freed::Read(_, ticket, _) | Freed::Write(ticket, _) => ticket,
            };
            let circumstances = self.circumstances(now);
            let current = self.objects.get(ticket.slot as usize).is_some_and(|object| object.ticket == ticket);
            if current {
                self.touch(ticket.slot, now, out, |object, cx| object.run_freed(&freed, cx));
            } else {
                let mut cx = context(circumstances, out, &mut self.reads, &mut self.writes, &mut self.freed);
                match freed {
                    Freed::Read(lane, ..) => cx.leave_read(lane),
                    Freed::Write(..) => cx.leave_write(),
                }
            }
        }
    }

    fn touch(
        &mut self,
        slot: u32,
        now: Now,
        out: &mut Vec<Command>,
        action: impl FnOnce(&mut Object, &mut Context<'_>),
    ) {
        let circumstances = self.circumstances(now);
        let Some(object) = self.objects.get_mut(slot as usize) else {
            return;
        };
        let mut cx = context(circumstances, out, &mut self.reads, &mut self.writes, &mut self.freed);
        action(object, &mut cx);
        object.flush(&mut cx);
        let due = object.wanted(circumstances.acting);
        if due != object.due {
            if let Some(old) = object.due {
                self.due.remove(&(old, slot));
            }
            if let Some(new) = due {
                self.due.insert((new, slot));
            }
            object.due = due;
        }
    }
}

fn context<'a>(
    circumstances: Circumstances,
    out: &'a mut Vec<Command>,
    reads: &'a mut Gate<Option<EndpointId>, (Ticket, u8)>,
    writes: &'a mut Gate<(), (Ticket, WriteKind)>,
    freed: &'a mut Vec<Freed>,
) -> Context<'a> {
    let Circumstances { now, acting, held, alive, read_deadline } = circumstances;
    Context { now, out, reads, writes, freed, acting, held, alive, read_deadline }
}

impl Object {
    /// Runs a call that has waited for room, unless nobody wants it any more.
    fn run_freed(&mut self, freed: &Freed, cx: &mut Context<'_>) {
        match *freed {
            Freed::Read(lane, _, trigger) => self.run_queued_read(lane, trigger, cx),
            Freed::Write(_, WriteKind::Apply) => self.run_queued_write(cx),
            Freed::Write(_, WriteKind::Store) => self.run_queued_store(cx),
        }
    }

    /// Everything whose moment has come.
    fn on_time(&mut self, cx: &mut Context<'_>) {
        self.refresh_on_time(cx);
        self.write_on_time(cx);
        self.store_on_time(cx);
        self.operate_on_time(cx);
        self.reads_on_time(cx);
        self.pushes_on_time(cx);
        let now = cx.tick();
        if let Some(Pass { patience, hurried: hurried @ false, .. }) = &mut self.pass
            && *patience <= now
        {
            *hurried = true;
            self.evaluate(None, cx);
        }
        if self.pass.is_none() && cx.acting && self.next_pass <= now {
            self.begin_pass(cx);
        }
    }
}
