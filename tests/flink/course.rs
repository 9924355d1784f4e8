//! Sees an operation through as the engine does: stores, performs, answers; with a crash in the middle of every kind of change, if that is
//! wanted.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::hooks::Hooks;
use tidegate_calculator::operation::spec::HookSpec;
use tidegate_calculator::operation::{Action, Begin, Event, Operation, Outcome, stored};
use tidegate_calculator::time::{Now, Tick};
use tidegate_engine::ports::Operations as _;
use tidegate_engine::subject::{ObjectId, TargetRef};
use tidegate_scalers::Endpoints;
use tokio::sync::mpsc;

use super::side::{Actions, Side};

/// How long an operation may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(6);

/// When our own process crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Never.
    Never,
    /// Once for every kind of change, right after it was begun: it is done, and nobody hears of it.
    Always,
}

/// A change that is to be seen through.
pub(crate) struct Course {
    pub(crate) to: u32,
    pub(crate) sequence: u64,
    pub(crate) spec: HookSpec,
    pub(crate) crash: Crash,
}

impl Course {
    /// Runs it to its end.
    pub(crate) fn run(self, side: &Arc<Side>) -> Operation {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime
            .block_on(async { tokio::time::timeout(PATIENCE, self.course(side)).await })
            .unwrap_or_else(|_| panic!("no end within {PATIENCE:?}; the jobs: {}", side.get("/jobs/overview")))
    }

    async fn course(self, side: &Arc<Side>) -> Operation {
        let actions = Arc::new(Actions(Arc::clone(side)));
        let hooks = Hooks::new(Arc::<Actions>::clone(&actions), actions, Endpoints::new());
        let started = Instant::now();
        let now = || Now { tick: Tick(i64::try_from(started.elapsed().as_millis()).unwrap()), wall: Timestamp::now() };
        let begin = Begin {
            uid: "uid".to_owned(),
            sequence: self.sequence,
            attempt: 1,
            from: side.replicas(),
            to: self.to,
            spec: self.spec,
            ..Begin::default()
        };
        let mut operation = Operation::begin(begin, now().tick).unwrap();
        let (mut sender, mut answers) = mpsc::unbounded_channel::<(u32, Outcome)>();
        let mut events = VecDeque::from([Event::Woken]);
        let (mut text, mut changes) = (String::new(), HashSet::new());
        loop {
            let mut wake = None;
            while let Some(event) = events.pop_front() {
                let step = operation.handle(event, now().tick);
                wake = step.wake.or(wake);
                if let Some(revision) = step.store {
                    text = stored::text(&operation, now());
                    events.push_back(Event::Stored(revision));
                }
                let mut crashed = false;
                for call in step.calls {
                    let first = call.action.changes() && changes.insert(std::mem::discriminant(&call.action));
                    crashed |= first && self.crash == Crash::Always;
                    match call.action {
                        Action::AskWish => events.push_back(Event::Wish { replicas: self.to, fresh: true }),
                        Action::AskGates => events.push_back(Event::Gate(None)),
                        action => perform(&hooks, &operation, (call.number, action), sender.clone()),
                    }
                }
                if crashed {
                    operation = stored::read(&text, now()).unwrap();
                    events = VecDeque::from([Event::Woken]);
                    // Answers to the process before never come.
                    (sender, answers) = mpsc::unbounded_channel();
                }
            }
            if operation.finished() {
                return operation;
            }
            let rest = wake.map_or(1000, |wake: Tick| (wake.0 - now().tick.0).clamp(0, 1000));
            let rest = Duration::from_millis(u64::try_from(rest).unwrap());
            match tokio::time::timeout(rest, answers.recv()).await {
                Ok(Some((call, outcome))) => events.push_back(Event::Answered { call, outcome }),
                _ => events.push_back(Event::Woken),
            }
        }
    }
}

fn perform(
    hooks: &Hooks,
    operation: &Operation,
    (call, action): (u32, Action),
    sender: mpsc::UnboundedSender<(u32, Outcome)>,
) {
    let (hooks, spec) = (hooks.clone(), operation.state().spec.clone());
    tokio::spawn(async move {
        let id = ObjectId { namespace: "shop".into(), name: "enrich".into() };
        let target = TargetRef { namespace: "shop".into(), name: "enrich".into(), ..TargetRef::default() };
        let outcome = hooks.perform(&id, &target, &spec, &action).await;
        println!("{action:?} -> {outcome:.300?}");
        let _ = sender.send((call, outcome));
    });
}
