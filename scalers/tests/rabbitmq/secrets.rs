//! Credentials are in no error, no finding, no printed form and no log, however the reading ends.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tidegate_calculator::source::{Secret, TriggerSpec};
use tidegate_scalers::{Endpoints, Known, check};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::scripted::Api;
use crate::trigger::{Trigger, shared, value};

/// No text of ours has this in it by accident.
const CANARY: &str = "c4n4ry";

/// Everything that is logged, at every level and by every library.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

struct Written<'a>(&'a mut String);

impl Visit for Written<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Written(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Written(&mut self.0.lock().unwrap()));
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Written(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_password_is_printed_nowhere() {
    let Some(server) = shared() else { return };
    server.add_vhost("secret");
    server.add_queue("secret", "jobs");
    server.add_user("keeper", CANARY, "management");
    server.add_user("other", "other", "management");
    server.permit("keeper", "secret");
    let refusing = Api::start(|path| (400, format!("you said {path}: {CANARY}"))).await;
    let foreign = Api::start(|_| (200, format!("<p>{CANARY}</p>"))).await;
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let (amqp, http) = (server.ports.amqp, server.ports.http);
    let mut said = String::new();
    let places = [
        format!("amqp://keeper:{CANARY}@127.0.0.1:{amqp}/secret"),
        format!("http://keeper:{CANARY}@127.0.0.1:{http}/secret"),
        format!("amqp://other:{CANARY}@127.0.0.1:{amqp}/secret"),
        format!("http://other:{CANARY}@127.0.0.1:{http}/secret"),
        format!("amqp://keeper:{CANARY}@127.0.0.1:{http}/secret"),
        format!("http://keeper:{CANARY}@127.0.0.1:{amqp}/secret"),
        format!("amqps://keeper:{CANARY}@127.0.0.1:{amqp}/secret"),
        format!("amqp://keeper:{CANARY}@127.0.0.1:1/secret"),
        refusing.url().replace("guest:guest", &format!("keeper:{CANARY}")),
        foreign.url().replace("guest:guest", &format!("keeper:{CANARY}")),
    ];
    for host in &places {
        for queue in ["jobs", "missing"] {
            let scaler = Trigger::new(host, queue).open(&Endpoints::new());
            write!(said, "{:?}", value(&*scaler).await).unwrap();
        }
    }
    assert!(said.contains("Ok(") && said.contains("Auth") && said.contains("Config"), "{said}");
    assert!(!said.contains(CANARY), "{said}");
    let logged = log.0.lock().unwrap().clone();
    assert!(!logged.is_empty() && !logged.contains(CANARY), "something was logged, and this was: {logged}");
}

#[test]
fn a_url_is_printed_in_no_finding() {
    let bad = [
        format!("ftp://me:{CANARY}@mq"),
        format!("me:{CANARY}@mq:5672"),
        format!("amqp://me:{CANARY}@mq?x={CANARY}"),
        format!("http://me:{CANARY}@mq/.."),
    ];
    for host in bad {
        for protocol in ["auto", "amqp", "http"] {
            let pairs = [("host", host.as_str()), ("queueName", ".."), ("protocol", protocol), ("mode", "MessageRate")];
            let metadata = pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
            let spec = TriggerSpec { kind: "rabbitmq".to_owned(), metadata, ..TriggerSpec::default() };
            let auth = [("password", CANARY), ("clientSecret", CANARY), ("key", CANARY)];
            let auth = auth.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text))).collect();
            let found = check(&spec, Known::Nothing, Known::Values(&auth));
            assert!(!found.errors.is_empty());
            let printed = found.errors.iter().chain(&found.warnings).map(ToString::to_string).collect::<Vec<_>>();
            assert!(!format!("{found:?} {printed:?}").contains(CANARY), "{found:?}");
        }
    }
}
