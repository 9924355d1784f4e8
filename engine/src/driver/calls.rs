//! The calls that commands become: each has a deadline, and a panic in one is its own error.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tidegate_calculator::operation::{Class, Failure as Failed, Outcome};
use tidegate_calculator::source::{Occasion, ReadError, ReadErrorKind};
use tidegate_calculator::time::Span;
use tokio::sync::Semaphore;

use crate::defect;
use crate::ports::{Journal, Operations, Resolver, Sources, Target};
use crate::protocol::{ApplyError, Call, Entry, Input, JournalError, TargetError, Version, Work};
use crate::subject::{ObjectId, Subject, TargetRef};
use crate::{APPLY_DEADLINE, PERFORM_DEADLINE, REFRESH_DEADLINE, STORE_DEADLINE};

/// The end of a call.
pub(super) enum Done<S> {
    /// An answer for the engine.
    Answer(Input),
    /// A source that was built, or why it was not.
    Opened(Call, u8, Result<S, ReadError>),
}

/// Why a call has no answer of its own.
enum Failure {
    Late,
    Panic(String),
}

/// Runs a call within `deadline`; nothing that it does can harm others.
async fn guarded<T>(deadline: Span, call: impl Future<Output = T>) -> Result<T, Failure> {
    match tokio::time::timeout(deadline.duration(), AssertUnwindSafe(call).catch_unwind()).await {
        Err(_) => Err(Failure::Late),
        Ok(Err(panic)) => Err(Failure::Panic(defect::text(&*panic))),
        Ok(Ok(answer)) => Ok(answer),
    }
}

impl Failure {
    fn text(self, what: &str) -> String {
        match self {
            Self::Late => format!("{what} did not answer in time"),
            Self::Panic(text) => format!("{what} met a defect: {text}"),
        }
    }

    fn read_error(self) -> ReadError {
        let kind = match self {
            Self::Late => ReadErrorKind::Timeout,
            Self::Panic(_) => ReadErrorKind::Protocol,
        };
        ReadError::query(kind, self.text("the source"))
    }
}

pub(super) async fn open<S: Sources, R: Resolver>(
    resolver: Arc<R>,
    sources: Arc<S>,
    call: Call,
    subject: Arc<Subject>,
    trigger: u8,
    deadline: Span,
) -> Done<S::Source> {
    let built = guarded(deadline, async {
        let Some(wanted) = subject.triggers.get(usize::from(trigger)) else {
            return Err(ReadError::query(ReadErrorKind::Config, "there is no such trigger"));
        };
        let parameters = resolver.resolve(&wanted.references).await?;
        sources.open(&wanted.spec, &parameters).map_err(ReadError::from)
    });
    let result = built.await.unwrap_or_else(|failure| Err(failure.read_error()));
    Done::Opened(call, trigger, result)
}

pub(super) async fn read<S: Sources>(
    sources: Arc<S>,
    source: Option<Arc<S::Source>>,
    call: Call,
    occasion: Occasion,
    deadline: Span,
) -> Done<S::Source> {
    let Some(source) = source else { return Done::Answer(Input::NotOpen(call)) };
    let result = guarded(deadline, sources.read(&source, occasion, deadline.duration())).await;
    Done::Answer(Input::Read(call, result.unwrap_or_else(|failure| Err(failure.read_error()))))
}

pub(super) async fn refresh<S, T: Target>(port: Arc<T>, call: Call, target: TargetRef) -> Done<S> {
    let result = guarded(REFRESH_DEADLINE, port.refresh(&target)).await;
    let result = result.unwrap_or_else(|failure| Err(TargetError::Unavailable(failure.text("the target"))));
    Done::Answer(Input::Refreshed(call, result))
}

pub(super) async fn apply<S, T: Target>(
    port: Arc<T>,
    call: Call,
    target: TargetRef,
    replicas: u32,
    version: Version,
) -> Done<S> {
    let result = guarded(APPLY_DEADLINE, port.apply(&target, replicas, &version)).await;
    // Neither a late answer nor a panic says that nothing was written.
    let result = result.unwrap_or_else(|failure| Err(ApplyError::Unknown(failure.text("the target"))));
    Done::Answer(Input::Applied(call, result))
}

pub(super) async fn store<S, J: Journal>(port: Arc<J>, call: Call, id: ObjectId, entry: Box<Entry>) -> Done<S> {
    let result = guarded(STORE_DEADLINE, port.store(&id, &entry)).await;
    let result = result.unwrap_or_else(|failure| Err(JournalError::Unavailable(failure.text("the journal"))));
    Done::Answer(Input::Stored(call, result))
}

pub(super) async fn perform<S, P: Operations>(
    port: Arc<P>,
    room: Arc<Semaphore>,
    call: Call,
    work: Box<Work>,
) -> Done<S> {
    let result = guarded(PERFORM_DEADLINE, async {
        // The room is never closed; without a place in it nothing would be bounded.
        let Ok(_place) = room.acquire().await else {
            return Outcome::Failed(Failed::new(Class::Unavailable, "there is no room for this call"));
        };
        port.perform(&work.id, &work.target, &work.hooks, &work.call.action).await
    });
    // Neither a late answer nor a panic says that nothing was done.
    let lost = |failure: Failure| Outcome::Failed(Failed::new(Class::Lost, &failure.text("the action")));
    let outcome = result.await.unwrap_or_else(lost);
    Done::Answer(Input::Performed(call, work.call.number, Box::new(outcome)))
}
