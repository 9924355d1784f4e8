//! Runs the engine on tokio: performs its commands through the ports and feeds the answers back.
//!
//! One task owns the engine. Every command is a task of its own in one set; the engine's bounds keep that set small, every
//! call has a deadline, and a panic in a call ends that call alone.

mod calls;
mod wakes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_calculator::time::{Span, Tick};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::core::Engine;
use crate::ports::{Clock, Journal, Objects, Operations, Resolver, Sources, Target};
use crate::protocol::{Call, Command, Input, QueryId, Tenure, Ticket};
use crate::read::READ_DEADLINE;
use crate::snapshot::Snapshot;
use crate::subject::ObjectId;
use crate::tally::Tally;
use calls::Done;
use wakes::Wakes;

/// How long a drain may take: a store that does not answer must not keep the process.
const DRAIN: Duration = Duration::from_secs(10);

/// Questions that wait to be taken: each is answered within microseconds.
const QUESTIONS: usize = 64;

/// Calls of operations that run at once; others wait, within their own deadline. Each operation has a few of them, so what waits is bounded
/// by the objects.
const PERFORMING: usize = 64;

/// One implementation of every port.
pub struct World<O, S, R, T, P, J, C> {
    /// Where objects come from. A target's state should be told right after its object.
    pub objects: O,
    /// What reads triggers.
    pub sources: Arc<S>,
    /// What finds their parameters.
    pub resolver: Arc<R>,
    /// What is scaled.
    pub target: Arc<T>,
    /// What performs the actions of operations.
    pub operations: Arc<P>,
    /// Where memory is kept.
    pub journal: Arc<J>,
    /// The clock.
    pub clock: Arc<C>,
}

/// Asks a running engine, and ends it.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    tally: Arc<Mutex<Tally>>,
}

#[derive(Debug)]
enum Request {
    Ask(Option<ObjectId>, oneshot::Sender<Vec<Snapshot>>),
    Synced(oneshot::Sender<bool>),
    Drain,
}

impl Handle {
    /// The state of all objects, or of one; empty if the object is not known, none if the engine has ended.
    pub async fn ask(&self, object: Option<ObjectId>) -> Option<Vec<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Ask(object, reply)).await.ok()?;
        answer.await.ok()
    }

    /// Whether everything that exists has been told to the engine at least once; false if it has ended.
    pub async fn synced(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Synced(reply)).await.is_ok() && answer.await.unwrap_or(false)
    }

    /// What operations did since the engine began; also after it has ended.
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins no further pass, stores what is not stored, and ends the driver's future.
    pub async fn drain(&self) {
        // An engine that has ended needs no drain.
        let _ = self.requests.send(Request::Drain).await;
    }
}

/// An engine over `world`: how to ask it, and the future that runs it until it is drained or its objects end.
pub fn start<O, S, R, T, P, J, C>(
    world: World<O, S, R, T, P, J, C>,
    tenure: watch::Receiver<Tenure>,
) -> (Handle, impl Future<Output = ()> + Send)
where
    O: Objects + 'static,
    S: Sources,
    R: Resolver,
    T: Target,
    P: Operations,
    J: Journal,
    C: Clock,
{
    start_with(world, tenure, READ_DEADLINE)
}

/// The same with another time within which a source must answer.
pub fn start_with<O, S, R, T, P, J, C>(
    world: World<O, S, R, T, P, J, C>,
    tenure: watch::Receiver<Tenure>,
    read_deadline: Span,
) -> (Handle, impl Future<Output = ()> + Send)
where
    O: Objects + 'static,
    S: Sources,
    R: Resolver,
    T: Target,
    P: Operations,
    J: Journal,
    C: Clock,
{
    let (requests, inbox) = mpsc::channel(QUESTIONS);
    let World { objects, sources, resolver, target, operations, journal, clock } = world;
    let first = *tenure.borrow();
    let tally = Arc::<Mutex<Tally>>::default();
    let driver = Driver {
        engine: Engine::new(first).with_read_deadline(read_deadline),
        read_deadline,
        commands: Vec::new(),
        ports: Ports { sources, resolver, target, operations, journal, clock },
        performing: Arc::new(Semaphore::new(PERFORMING)),
        running: JoinSet::new(),
        opened: HashMap::new(),
        wanted: HashMap::new(),
        questions: HashMap::new(),
        asked: 0,
        wakes: Arc::default(),
        tally: tally.clone(),
    };
    (Handle { requests, tally }, driver.run(objects, inbox, tenure))
}

struct Ports<S, R, T, P, J, C> {
    sources: Arc<S>,
    resolver: Arc<R>,
    target: Arc<T>,
    operations: Arc<P>,
    journal: Arc<J>,
    clock: Arc<C>,
}

struct Driver<S: Sources, R, T, P, J, C> {
    engine: Engine,
    read_deadline: Span,
    commands: Vec<Command>,
    ports: Ports<S, R, T, P, J, C>,
    /// Room for calls of operations.
    performing: Arc<Semaphore>,
    running: JoinSet<Done<S::Source>>,
    opened: HashMap<(u32, u8), Opened<S>>,
    /// The call by which each source was last asked for: what comes of an earlier one, well or not, is dropped.
    wanted: HashMap<(u32, u8), Call>,
    questions: HashMap<u64, oneshot::Sender<Vec<Snapshot>>>,
    asked: u64,
    wakes: Arc<Wakes>,
    tally: Arc<Mutex<Tally>>,
}

struct Opened<S: Sources> {
    source: Arc<S::Source>,
    /// Unsubscribes when dropped.
    _watch: Option<S::Watch>,
}

impl<S, R, T, P, J, C> Driver<S, R, T, P, J, C>
where
    S: Sources,
    R: Resolver,
    T: Target,
    P: Operations,
    J: Journal,
    C: Clock,
{
    async fn run(
        mut self,
        mut objects: impl Objects + 'static,
        mut inbox: mpsc::Receiver<Request>,
        mut tenure: watch::Receiver<Tenure>,
    ) {
        let clock = self.ports.clock.clone();
        let wakes = self.wakes.clone();
        loop {
            let due = self.engine.next_due();
            tokio::select! {
                Some(done) = self.running.join_next() => {
                    // A task that was aborted or panicked outside of its guard has no answer: the engine's deadline finds it.
                    if let Ok(done) = done { self.done(done) }
                }
                woken = wakes.next() => for (ticket, trigger) in woken { self.feed(Input::Woken(ticket, trigger)) },
                change = objects.next() => match change {
                    Some(change) => self.feed(Input::Object(change)),
                    None => break,
                },
                request = inbox.recv() => match request {
                    Some(Request::Drain) | None => break,
                    Some(request) => self.request(request),
                },
                Ok(()) = tenure.changed() => {
                    let now = *tenure.borrow_and_update();
                    self.feed(Input::Tenure(now));
                }
                () = until(&*clock, due) => self.feed(Input::Tick),
            }
        }
        self.drain(inbox).await;
    }

    async fn drain(mut self, mut inbox: mpsc::Receiver<Request>) {
        self.feed(Input::Drain);
        let clock = self.ports.clock.clone();
        let end = tokio::time::sleep(DRAIN);
        tokio::pin!(end);
        while !self.engine.drained() {
            let due = self.engine.next_due();
            tokio::select! {
                Some(Ok(done)) = self.running.join_next() => self.done(done),
                Some(request) = inbox.recv() => self.request(request),
                () = until(&*clock, due) => self.feed(Input::Tick),
                () = &mut end => {
                    tracing::warn!("the drain did not end within {DRAIN:?}: what is not stored yet is lost");
                    return;
                }
            }
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Ask(object, reply) => {
                self.asked += 1;
                self.questions.insert(self.asked, reply);
                self.feed(Input::Ask(QueryId(self.asked), object));
            }
            Request::Synced(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.engine.synced());
            }
            Request::Drain => {}
        }
    }

    fn feed(&mut self, input: Input) {
        let mut commands = std::mem::take(&mut self.commands);
        self.engine.handle(self.ports.clock.now(), input, &mut commands);
        for command in commands.drain(..) {
            self.perform(command);
        }
        self.commands = commands;
    }

    fn done(&mut self, done: Done<S::Source>) {
        match done {
            Done::Answer(input) => self.feed(input),
            Done::Opened(call, trigger, _) if self.wanted.get(&(call.ticket.slot, trigger)) != Some(&call) => {}
            Done::Opened(call, trigger, Err(error)) => {
                // A source that cannot be built anew must not go on with what it was built from before.
                self.opened.remove(&(call.ticket.slot, trigger));
                self.feed(Input::Opened(call, Err(error)));
            }
            Done::Opened(call, trigger, Ok(source)) => self.keep(call, trigger, source),
        }
    }

    /// Keeps a source that was built, and subscribes to it.
    fn keep(&mut self, call: Call, trigger: u8, source: S::Source) {
        let slot = call.ticket.slot;
        let watch = self.ports.sources.watch(&source, self.wakes.wake(call.ticket, trigger));
        let endpoint = self.ports.sources.endpoint(&source);
        self.opened.insert((slot, trigger), Opened { source: Arc::new(source), _watch: watch });
        self.feed(Input::Opened(call, Ok(endpoint)));
    }

    fn perform(&mut self, command: Command) {
        let ports = &self.ports;
        match command {
            Command::Open(call, subject, trigger) => {
                self.wanted.insert((call.ticket.slot, trigger), call);
                let (resolver, sources) = (ports.resolver.clone(), ports.sources.clone());
                self.running.spawn(calls::open(resolver, sources, call, subject, trigger, self.read_deadline));
            }
            Command::Read(call, trigger, occasion, deadline) => {
                let source = self.opened.get(&(call.ticket.slot, trigger)).map(|opened| opened.source.clone());
                self.running.spawn(calls::read(ports.sources.clone(), source, call, occasion, deadline));
            }
            Command::Refresh(call, target) => {
                self.running.spawn(calls::refresh(ports.target.clone(), call, target));
            }
            Command::Apply(call, target, replicas, version) => {
                self.running.spawn(calls::apply(ports.target.clone(), call, target, replicas, version));
            }
            Command::Store(call, id, entry) => {
                self.running.spawn(calls::store(ports.journal.clone(), call, id, entry));
            }
            Command::Perform(call, work) => {
                let (port, room) = (ports.operations.clone(), self.performing.clone());
                self.running.spawn(calls::perform(port, room, call, work));
            }
            Command::Announce(id, event) => ports.journal.announce(&id, &event),
            Command::Measured(measure) => {
                self.tally.lock().unwrap_or_else(PoisonError::into_inner).take(measure);
            }
            Command::Close(ticket) => self.close(ticket),
            Command::Reply(query, snapshots) => {
                if let Some(reply) = self.questions.remove(&query.0) {
                    // Whoever asked may have gone.
                    let _ = reply.send(snapshots);
                }
            }
        }
    }

    fn close(&mut self, ticket: Ticket) {
        self.wanted.retain(|_, call| call.ticket != ticket);
        self.opened.retain(|(slot, _), _| *slot != ticket.slot);
    }
}

/// Returns at the due moment, or never if there is none.
async fn until<C: Clock>(clock: &C, due: Option<Tick>) {
    match due {
        Some(due) => clock.until(due).await,
        None => std::future::pending().await,
    }
}
