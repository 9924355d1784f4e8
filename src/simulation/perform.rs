//! Does what the engine commands: reads the trace, writes simulated targets, stores, and lets answers suffer the faults.

use std::sync::Arc;

use tidegate_calculator::observation::{Evidence, TargetState};
use tidegate_calculator::operation::{Class, Failure, Outcome};
use tidegate_calculator::source::{EndpointId, ReadError, ReadErrorKind, Readings};
use tidegate_calculator::time::{Span, Tick};
use tidegate_engine::protocol::{
    ApplyError, Call, Change as Told, Command, Entry, Event, Input, JournalError, TargetError, Version,
};
use tidegate_engine::subject::{ObjectId, Subject, TargetRef};

use super::scripted::{Said, Scripted};
use super::timeline::{Announced, Change, Ground, Read, Stored, Writer};
use super::{Happening, Simulation, Source};

/// All simulated sources are one endpoint.
const ENDPOINT: EndpointId = EndpointId(1);

/// A write of replicas on its way to its target.
#[derive(Clone, Debug)]
pub(super) struct Write {
    call: Call,
    target: TargetRef,
    replicas: u32,
    version: Version,
}

impl Simulation {
    /// Does one command; its answer comes by the agenda, never at once, as on any real driver.
    pub(super) fn perform(&mut self, command: Command) {
        match command {
            Command::Open(call, subject, trigger) => self.open(call, &subject, trigger),
            Command::Read(call, trigger, ..) => self.read(call, trigger),
            Command::Refresh(call, target) => {
                let seen = self.seen(&target);
                let late = TargetError::Unavailable("no answer in time".to_owned());
                self.answer(Input::Refreshed(call, seen), Input::Refreshed(call, Err(late)));
            }
            Command::Apply(call, target, replicas, version) => {
                self.note_ground(call, &target);
                self.write(Write { call, target, replicas, version });
            }
            Command::Store(call, object, entry) => self.store(call, object, *entry),
            Command::Perform(call, work) => {
                // Simulated objects have no hooks, so nobody asks for this.
                let failure = Failure::new(Class::Config, "hooks need a cluster");
                let input = Input::Performed(call, work.call.number, Box::new(Outcome::Failed(failure)));
                self.bring(self.now + self.faults.latency, input);
            }
            Command::Announce(object, event) => self.announce(object, event),
            // It plays no operations.
            Command::Measured(_) => {}
            Command::Close(ticket) => {
                if let Some(process) = &mut self.process {
                    process.sources.retain(|(slot, _), _| *slot != ticket.slot);
                }
            }
            Command::Reply(_, snapshots) => {
                if let Some(process) = &mut self.process {
                    process.replies = snapshots;
                }
            }
        }
    }

    fn open(&mut self, call: Call, subject: &Arc<Subject>, trigger: u8) {
        let Some(process) = &mut self.process else { return };
        let place = (call.ticket.slot, trigger);
        let opened = match subject.triggers.get(usize::from(trigger)).map(|trigger| Scripted::of(&trigger.spec)) {
            Some(Ok(script)) => {
                process.sources.insert(place, Source { object: subject.id.clone(), ticket: call.ticket, script });
                Ok(Some(ENDPOINT))
            }
            Some(Err(error)) => Err(ReadError::from(error)),
            None => Err(ReadError::query(ReadErrorKind::Config, "there is no such trigger")),
        };
        let late = ReadError::query(ReadErrorKind::Timeout, "its parameters were not found in time");
        self.answer(Input::Opened(call, opened), Input::Opened(call, Err(late)));
    }

    fn read(&mut self, call: Call, trigger: u8) {
        let read = self.reading(call.ticket.slot, trigger);
        let late = ReadError::endpoint(ReadErrorKind::Timeout, "the source did not answer in time");
        self.answer(Input::Read(call, read), Input::Read(call, Err(late)));
    }

    /// What the source says at this moment.
    fn reading(&mut self, slot: u32, trigger: u8) -> Result<Readings, ReadError> {
        let source = self.process.as_ref().and_then(|process| process.sources.get(&(slot, trigger)));
        let Some(Source { object, script, .. }) = source else {
            return Err(ReadError::query(ReadErrorKind::Config, "the trigger is not open"));
        };
        let target = match self.objects.get(object) {
            Some(Told::Set(subject, _)) => self.seen(&subject.target).map(|seen| seen.state).unwrap_or_default(),
            _ => TargetState::default(),
        };
        self.timeline.reads.push(Read { at: self.now, object: object.clone(), trigger });
        let full: Vec<String> = script.keys().iter().map(|key| format!("{object}/{key}")).collect();
        let names = full.iter().map(String::as_str).chain(script.keys().iter().map(String::as_str));
        let said = self.trace.at(names, self.now).unwrap_or(Said::Failure(ReadErrorKind::Unavailable));
        script.answer(said, target)
    }

    /// What the engine itself says that it writes on.
    fn note_ground(&mut self, call: Call, target: &TargetRef) {
        let object = self.object_of(target);
        let Some(snapshot) = self.ask(Some(object)).pop() else { return };
        let Some((decision, decided)) = snapshot.decision else { return };
        let oldest = snapshot.evidence.iter().map(Evidence::begun).collect::<Option<Vec<_>>>();
        self.timeline.grounds.push(Ground {
            life: self.lives,
            call,
            decided,
            due: decided - snapshot.decision_lag,
            lowers_by_metrics: decision.lowers_by_metrics,
            oldest: oldest.and_then(|begun| begun.into_iter().min()),
        });
    }

    /// A write lands now, or at some moment of its delay; somebody may have touched the target just before.
    fn write(&mut self, write: Write) {
        if self.dice.falls(self.faults.conflict)
            && let Some(deployment) = self.deployments.get_mut(&write.target)
        {
            deployment.touch();
            self.watch(&write.target.clone());
        }
        let life = self.lives;
        if self.dice.falls(self.faults.delay) {
            let delay = self.dice.span(self.faults.longest_delay);
            self.schedule(self.now + delay, Happening::Landing { life, write });
        } else {
            self.land(life, write);
        }
    }

    /// A write reaches its target.
    pub(super) fn land(&mut self, life: u32, write: Write) {
        let Write { call, target, replicas, version } = write;
        let result = match self.deployments.get_mut(&target) {
            None => Err(ApplyError::Refused(format!("{target} does not exist"))),
            Some(deployment) => {
                let from = deployment.replicas();
                let result = deployment.apply(replicas, &version, self.now);
                if result.is_ok() {
                    let object = self.object_of(&target);
                    self.changed(&target, from, replicas, Writer::Engine { object, life, call });
                }
                result
            }
        };
        if life == self.lives {
            let late = ApplyError::Unknown("no answer in time".to_owned());
            self.answer(Input::Applied(call, result), Input::Applied(call, Err(late)));
        }
    }

    /// Notes a change of replicas, and lets the target's watch and its pods follow.
    pub(super) fn changed(&mut self, target: &TargetRef, from: u32, to: u32, by: Writer) {
        self.timeline.changes.push(Change { at: self.now, target: target.clone(), from, to, by, why: None });
        self.watch(target);
        if let Some(deployment) = self.deployments.get(target)
            && to > from
        {
            let ready = deployment.ready_at(self.now);
            self.schedule(ready, Happening::PodsReady(target.clone()));
        }
    }

    /// Pods have become ready: a change of status, which the watch shows.
    pub(super) fn pods_ready(&mut self, target: &TargetRef) {
        if let Some(deployment) = self.deployments.get_mut(target) {
            deployment.touch();
            self.watch(target);
        }
    }

    /// The target's watch says what is there; possibly late, but in order and never lost.
    pub(super) fn watch(&mut self, target: &TargetRef) {
        let seen = self.seen(target);
        let mut at = self.now + self.latency();
        if let Some(deployment) = self.deployments.get_mut(target) {
            at = at.max(deployment.told);
            deployment.told = at;
        }
        self.bring(at, Input::Object(Told::Target(target.clone(), seen)));
    }

    fn store(&mut self, call: Call, object: ObjectId, entry: Entry) {
        let failed = || JournalError::Unavailable("the store did not answer".to_owned());
        if self.dice.falls(self.faults.store_fail) {
            return self.bring(self.now + self.faults.latency, Input::Stored(call, Err(failed())));
        }
        if self.objects.contains_key(&object) {
            let kept = self.stored.get(&object).and_then(|before| before.checkpoint.clone());
            let checkpoint = entry.checkpoint.clone().or(kept);
            self.stored.insert(object.clone(), Entry { checkpoint, ..entry.clone() });
            self.timeline.stores.push(Stored { at: self.now, object, entry });
        }
        self.answer(Input::Stored(call, Ok(())), Input::Stored(call, Err(failed())));
    }

    fn announce(&mut self, object: ObjectId, event: Event) {
        self.timeline.explain(&object, &event);
        self.timeline.announces.push(Announced { at: self.now, object, event });
    }

    /// Brings an answer to the engine, or what the caller's deadline would make of a lost one, or nothing.
    fn answer(&mut self, answer: Input, lost: Input) {
        let at = self.now + self.latency();
        if self.dice.falls(self.faults.lose) {
            if self.dice.falls(0.5) {
                self.bring(at + self.faults.longest_delay, lost);
            }
            return;
        }
        if self.dice.falls(self.faults.duplicate) {
            let again = at + self.dice.span(self.faults.longest_delay);
            self.bring(again, answer.clone());
        }
        self.bring(at, answer);
    }

    /// How long this answer takes.
    fn latency(&mut self) -> Span {
        let mut latency = self.faults.latency;
        if self.dice.falls(self.faults.delay) {
            latency.0 += self.dice.span(self.faults.longest_delay).0;
        }
        latency
    }

    fn bring(&mut self, at: Tick, input: Input) {
        self.schedule(at, Happening::Input { life: self.lives, input: Box::new(input) });
    }

    /// Whose target this is.
    fn object_of(&self, target: &TargetRef) -> ObjectId {
        let mine = |told: &&Told| match told {
            Told::Set(subject, _) => subject.target == *target,
            Told::Refused(_, of, ..) => of == target,
            _ => false,
        };
        match self.objects.values().find(mine) {
            Some(Told::Set(subject, _)) => subject.id.clone(),
            Some(Told::Refused(id, ..)) => id.clone(),
            _ => ObjectId::new(&target.namespace, &target.name),
        }
    }
}
