//! Listens to a server that may ask for a reading at any moment, and that may say that its metrics are others now.
//!
//! A trigger has two streams: `StreamIsActive`, of which a true wakes the trigger and a false is not looked at, and
//! `StreamMetricSpec`, if the server has it. A wake is only a hint to read, and polling goes on beside it. A stream that is
//! lost is opened again after a growing pause; then the trigger is woken once, because something may have been missed.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join;
use tidegate_calculator::source::{ReadError, Wake};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::{Code, Request, Status};

use super::line::Client;
use super::metrics::Metric;
use super::{Trigger, Until, failures};
use crate::endpoint::{Pacer, jittered, lock};
use crate::scaler::Watch;

/// The first and the longest pause before a stream is opened again; each is twice as long as the one before.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// A stream that has not failed for so long is taken as open: many servers say nothing at all before there is news.
const SETTLED: Duration = Duration::from_secs(1);

/// Opens the streams of a trigger. None without a runtime.
pub(super) fn watch(trigger: &Arc<Trigger>, wake: Wake) -> Option<Watch> {
    let runtime = Handle::try_current().ok()?;
    let trigger = Arc::clone(trigger);
    let listening =
        async move { join(trigger.listen(Topic::Changes, &wake), trigger.listen(Topic::Metrics, &wake)).await };
    let task = runtime.spawn(listening);
    Some(Watch::new(move || task.abort()))
}

/// What a stream is about.
#[derive(Clone, Copy)]
enum Topic {
    /// Whether there is something to do.
    Changes,
    /// Which metrics there are.
    Metrics,
}

impl Topic {
    fn method(self) -> &'static str {
        match self {
            Self::Changes => "StreamIsActive",
            Self::Metrics => "StreamMetricSpec",
        }
    }
}

impl Trigger {
    /// Keeps one of the streams open.
    async fn listen(&self, topic: Topic, wake: &Wake) {
        let (mut pauses, mut last) = (Pauses::new(), None);
        loop {
            let (begun, mut delivered) = (Instant::now(), false);
            // A defect costs one stream and not the push of the trigger for good.
            let stream = AssertUnwindSafe(self.stream(topic, wake, &mut delivered)).catch_unwind();
            let Err(error) = stream.await.unwrap_or_else(|_| Err(failures::defect())) else { return };
            if last.as_ref() != Some(&error) {
                let (endpoint, method) = (&self.server.name, topic.method());
                tracing::warn!(%endpoint, %method, %error, "Push is not available, polling goes on");
            }
            last = Some(error);
            sleep(pauses.after(delivered || begun.elapsed() >= PAUSES.1)).await;
        }
    }

    /// One stream until it is lost; no error if this server does not have it.
    async fn stream(&self, topic: Topic, wake: &Wake, delivered: &mut bool) -> Result<(), ReadError> {
        let mut hung = self.server.hung();
        let (client, channel) = self.server.streams.client()?;
        let listening = async {
            match topic {
                Topic::Changes => self.changes(client, wake, delivered).await,
                Topic::Metrics => self.changing_metrics(client, wake, delivered).await,
            }
        };
        tokio::select! {
            outcome = listening => outcome,
            _ = hung.changed() => {
                // The connection may look well for long, so the next stream must not be opened over it.
                self.server.streams.hang_up(channel);
                Err(failures::late(false))
            }
        }
    }

    /// Wakes for every true, ten times a second at most.
    async fn changes(&self, mut client: Client, wake: &Wake, delivered: &mut bool) -> Result<(), ReadError> {
        let mut opening = pin!(client.stream_is_active(Request::new(self.reference.clone())));
        let early = timeout(SETTLED, &mut opening).await;
        let open = early.as_ref().is_ok_and(Result::is_ok) || early.is_err();
        if open {
            // Whatever happened before was missed.
            wake();
        }
        let opened = match early {
            Ok(opened) => opened,
            Err(_) => opening.await,
        };
        let mut stream = opened.map_err(|status| self.lost(Topic::Changes, &status))?.into_inner();
        let mut pacer = Pacer::new();
        loop {
            let due = pacer.next_due();
            tokio::select! {
                said = stream.message() => match said {
                    Ok(Some(said)) => {
                        *delivered = true;
                        if said.result {
                            pacer.heard((), Instant::now());
                        }
                    }
                    Ok(None) => return Err(failures::ended(Topic::Changes.method())),
                    Err(status) => return Err(self.lost(Topic::Changes, &status)),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            if !pacer.take(Instant::now()).is_empty() {
                wake();
            }
        }
    }

    /// Takes over the metrics that the server names, and wakes when they are others.
    async fn changing_metrics(&self, mut client: Client, wake: &Wake, delivered: &mut bool) -> Result<(), ReadError> {
        let opened = client.stream_metric_spec(Request::new(self.reference.clone())).await;
        let mut stream = match opened {
            Ok(opened) => opened.into_inner(),
            Err(status) if failures::is_answer(&status) && status.code() == Code::Unimplemented => return Ok(()),
            Err(status) => return Err(self.lost(Topic::Metrics, &status)),
        };
        let _told = Told(self);
        loop {
            let said = match stream.message().await {
                Ok(Some(said)) => said,
                Ok(None) => return Err(failures::ended(Topic::Metrics.method())),
                Err(status) => return Err(self.lost(Topic::Metrics, &status)),
            };
            let before = self.metrics_known();
            let now = self.learn(&said, Until::Stream)?;
            *delivered = true;
            if before.is_none_or(|before| before != now) {
                wake();
            }
        }
    }

    fn metrics_known(&self) -> Option<Arc<[Metric]>> {
        lock(&self.known).as_ref().map(|known| Arc::clone(&known.metrics))
    }

    fn lost(&self, topic: Topic, status: &Status) -> ReadError {
        failures::call(topic.method(), status, self.server.streams.fault())
    }
}

/// Once the stream has ended, what it told is to be asked for again.
struct Told<'a>(&'a Trigger);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        let mut known = lock(&self.0.known);
        if known.as_ref().is_some_and(|known| known.until == Until::Stream) {
            *known = None;
        }
    }
}

/// How long the next pause is.
struct Pauses {
    next: Duration,
}

impl Pauses {
    fn new() -> Self {
        Self { next: PAUSES.0 }
    }

    /// The pause after a stream that brought something, or nothing.
    fn after(&mut self, delivered: bool) -> Duration {
        if delivered {
            self.next = PAUSES.0;
        }
        let pause = self.next;
        self.next = (pause * 2).min(PAUSES.1);
        jittered(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_a_message_begins_them_anew() {
        let mut pauses = Pauses::new();
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            let pause = pauses.after(false);
            let whole = Duration::from_secs(seconds);
            assert!(pause <= whole && pause >= whole / 2, "{pause:?} of {whole:?}");
        }
        assert!(pauses.after(true) <= PAUSES.0);
        assert!(pauses.after(false) > PAUSES.0 / 2);
    }
}
