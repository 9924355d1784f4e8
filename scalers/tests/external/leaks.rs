//! What must not stay behind: connections, and secrets in what is logged.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_scalers::Endpoints;
use tokio::time::sleep;
use tonic::Code;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::scripted::{News, Script};
use crate::server::{Server, eventually, jobs, read};

/// How many sockets of this process have this port at one end, whatever their state but waiting for stray packets.
fn sockets(port: u16) -> usize {
    let all = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let (end, listening, waiting) = (format!(":{port:04X}"), "0A", "06");
    let is_one = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, local, remote, state, ..] = words.as_slice() else { return false };
        (local.ends_with(&end) || remote.ends_with(&end)) && *state != listening && *state != waiting
    };
    all.lines().filter(is_one).count()
}

#[tokio::test]
async fn a_hundred_triggers_opened_read_and_closed_leave_nothing_behind() {
    let server = Server::start(Script::saying(7, true));
    let shared = Endpoints::new();
    for round in 0..100 {
        // With endpoints of its own each time it is another connection.
        let own = Endpoints::new();
        let scaler = server.trigger().pushed().open(if round % 2 == 0 { &own } else { &shared });
        let watch = scaler.watch(Arc::new(|| ()));
        assert_eq!(read(&*scaler).await, jobs(7, true));
        drop((scaler, watch));
    }
    assert!(sockets(server.port) > 0, "an endpoint outlives its last user for a while");
    eventually("all are closed", async || {
        sleep(Duration::from_secs(1)).await;
        sockets(server.port) == 0 && server.connections().1 == 0
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_in_no_log() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    for method in ["IsActive", "StreamIsActive", "StreamMetricSpec"] {
        let mut server = Server::start(Script::saying(7, true).failing(method, Code::Internal));
        let trigger = server.trigger().pushed().with(&[("tokenFromEnv", "TOKEN")]).env(&[("TOKEN", "canary-4711")]);
        let scaler = trigger.open(&Endpoints::new());
        let watch = scaler.watch(Arc::new(|| ()));
        eventually("both streams are asked for", async || {
            let outcome = read(&*scaler).await;
            assert!(!format!("{outcome:?}").contains("canary"));
            server.calls("StreamIsActive") > 0 && server.calls("StreamMetricSpec") > 0
        })
        .await;
        server.send(News::Active(true));
        server.stop();
        assert!(!format!("{:?} {watch:?}", read(&*scaler).await).contains("canary"));
    }
    eventually("the loss is logged", async || log.0.lock().unwrap().contains("Push is not available")).await;
    assert!(!log.0.lock().unwrap().contains("canary"));
}

/// Everything that is logged in this thread, of whatever level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{field} {value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
