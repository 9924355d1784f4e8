//! Pods are asked each, and what one does not say is never taken for nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_calculator::source::{MetricType, ReadError, ReadErrorKind};
use tidegate_scalers::{Endpoints, Known, PodAddress, Standing, check};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::cluster::Cluster;
use super::{Trigger, value, value_within};

/// What a pod answers; an empty text is silence.
type Answer = String;

/// Pods that answer at one port, each at an address of its own (127.0.0.2, 127.0.0.3, ...).
struct Fleet {
    port: u16,
    pods: Vec<PodAddress>,
    says: Arc<Mutex<Vec<Answer>>>,
    heard: Arc<Mutex<Vec<String>>>,
    asked: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

fn metrics(open: u32) -> Answer {
    let text = format!("# TYPE ws_open gauge\nws_open{{kind=\"ws\"}} {open}\n");
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
}

fn status(line: &str) -> Answer {
    format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n")
}

fn ip(index: usize) -> IpAddr {
    let index = u8::try_from(index).unwrap();
    Ipv4Addr::new(127, 0, 0, 2 + index).into()
}

impl Fleet {
    /// One serving pod for each answer.
    async fn of(answers: Vec<Answer>) -> Self {
        let (port, listeners) = listeners(answers.len()).await;
        let pod = |index: usize| PodAddress {
            name: format!("orders-{index}"),
            ip: Some(ip(index)),
            standing: Standing::Serving,
        };
        let pods = (0..answers.len()).map(pod).collect();
        let (says, heard, asked) = (Arc::new(Mutex::new(answers)), Arc::default(), Arc::default());
        let mut tasks = JoinSet::new();
        for (index, listener) in listeners.into_iter().enumerate() {
            let (says, heard, asked) = (Arc::clone(&says), Arc::clone(&heard), Arc::clone(&asked));
            tasks.spawn(serve(listener, index, says, heard, asked));
        }
        Self { port, pods, says, heard, asked, _tasks: tasks }
    }

    fn standing(mut self, index: usize, standing: Standing) -> Self {
        self.pods[index].standing = standing;
        self
    }

    fn say(&self, index: usize, answer: Answer) {
        self.says.lock().unwrap()[index] = answer;
    }

    fn endpoints(&self) -> Endpoints {
        Endpoints::within(Arc::new(Cluster { addresses: Ok(self.pods.clone()), ..Cluster::idle() }))
    }

    fn trigger(&self) -> Trigger {
        Trigger::of(&[
            ("source", "pods"),
            ("port", &self.port.to_string()),
            ("valueLocation", "ws_open{kind=\"ws\"}"),
            ("targetValue", "100"),
        ])
    }

    async fn read(&self, trigger: &Trigger) -> Result<(i64, bool), ReadError> {
        // Nobody who answers here takes a second, whatever the machine does.
        value_within(&*trigger.open(&self.endpoints()), Duration::from_secs(3)).await
    }
}

/// So many listeners at one port.
async fn listeners(count: usize) -> (u16, Vec<TcpListener>) {
    'port: loop {
        let first = TcpListener::bind((ip(0), 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut all = vec![first];
        for index in 1..count {
            let Ok(next) = TcpListener::bind((ip(index), port)).await else { continue 'port };
            all.push(next);
        }
        return (port, all);
    }
}

async fn serve(
    listener: TcpListener,
    index: usize,
    says: Arc<Mutex<Vec<Answer>>>,
    heard: Arc<Mutex<Vec<String>>>,
    asked: Arc<AtomicUsize>,
) {
    let mut streams = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let (says, heard, asked) = (Arc::clone(&says), Arc::clone(&heard), Arc::clone(&asked));
        streams.spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                asked.fetch_add(1, Ordering::SeqCst);
                heard.lock().unwrap().push(String::from_utf8_lossy(&bytes[..length]).into_owned());
                let answer = says.lock().unwrap()[index].clone();
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test]
async fn the_reading_is_the_sum_of_all_pods_and_each_is_asked_once() {
    let fleet = Fleet::of(vec![metrics(120), metrics(0), metrics(30)]).await;
    let scaler = fleet.trigger().open(&fleet.endpoints());
    assert_eq!(value(&*scaler).await, Ok((150_000, true)));
    assert_eq!(fleet.asked.load(Ordering::SeqCst), 3);
    assert_eq!(value(&*scaler).await, Ok((150_000, true)));
    assert_eq!(fleet.asked.load(Ordering::SeqCst), 6);
    assert!(fleet.heard.lock().unwrap().iter().all(|request| request.starts_with("GET /metrics HTTP/1.1")));
    let active = fleet.trigger().with(&[("activationTargetValue", "150")]);
    assert_eq!(fleet.read(&active).await, Ok((150_000, false)), "activation is strictly greater");
}

#[tokio::test]
async fn json_at_a_path_of_its_own_is_read_with_credentials() {
    let body = r#"{"connections":{"open":"1k"}}"#;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let fleet = Fleet::of(vec![answer.clone(), answer]).await;
    let more =
        [("format", "json"), ("valueLocation", "connections.open"), ("path", "/stats?all=1"), ("authModes", "bearer")];
    let trigger = fleet.trigger().with(&more).auth(&[("token", "hunter2-canary")]);
    assert_eq!(fleet.read(&trigger).await, Ok((2_000_000, true)));
    let heard = fleet.heard.lock().unwrap().join("\n");
    assert_eq!(heard.matches("GET /stats?all=1 ").count(), 2, "{heard}");
    assert_eq!(heard.to_lowercase().matches("authorization: bearer hunter2-canary").count(), 2);
}

#[tokio::test]
async fn a_serving_pod_that_does_not_say_is_an_error_whatever_the_others_say() {
    let hung = (String::new(), ReadErrorKind::Timeout, "did not answer in time");
    let cases = [
        hung,
        (status("503 Busy"), ReadErrorKind::Unavailable, "failed with status 503"),
        (status("404 Not Found"), ReadErrorKind::Config, "refused the request (status 404)"),
        (status("401 Unauthorized"), ReadErrorKind::Auth, "wants credentials (status 401); set authModes"),
        (status("200 OK"), ReadErrorKind::Config, "the answer has nothing at valueLocation"),
        (":7\r\n".to_owned(), ReadErrorKind::Protocol, "does not answer in HTTP"),
    ];
    for (answer, kind, what) in cases {
        let fleet = Fleet::of(vec![metrics(500), answer.clone(), metrics(10)]).await;
        let begun = Instant::now();
        let error = fleet.read(&fleet.trigger()).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert_eq!((error.kind, error.message), (kind, format!("pod shop/orders-1: {what}")), "{answer:?}");
        fleet.say(1, metrics(1));
        assert_eq!(fleet.read(&fleet.trigger()).await, Ok((511_000, true)), "and a reading again with all");
    }
}

#[tokio::test]
async fn a_pod_that_cannot_be_reached_is_an_error() {
    let mut fleet = Fleet::of(vec![metrics(500)]).await;
    let pod = |name: &str, ip| PodAddress { name: name.to_owned(), ip, standing: Standing::Serving };
    // Nobody listens at 127.0.0.200.
    fleet.pods.push(pod("orders-z", Some(Ipv4Addr::new(127, 0, 0, 200).into())));
    let error = fleet.read(&fleet.trigger()).await.unwrap_err();
    let what = "pod shop/orders-z: connection refused";
    assert_eq!((error.kind, error.message.as_str()), (ReadErrorKind::Unavailable, what));
    fleet.pods[1] = pod("orders-z", None);
    let error = fleet.read(&fleet.trigger()).await.unwrap_err();
    assert_eq!(error.message, "pod shop/orders-z: it has no address");
}

#[tokio::test]
async fn what_a_silence_means_depends_on_how_the_pod_stands() {
    let fleet = Fleet::of(vec![metrics(500), status("503 Busy")]).await;
    assert!(fleet.read(&fleet.trigger()).await.is_err());
    let fleet = fleet.standing(1, Standing::Starting);
    assert_eq!(fleet.read(&fleet.trigger()).await, Ok((500_000, true)), "nobody was sent to it yet");
    let fleet = fleet.standing(1, Standing::Leaving);
    assert_eq!(fleet.read(&fleet.trigger()).await, Ok((500_000, true)), "it goes anyway");
    fleet.say(1, metrics(80));
    assert_eq!(fleet.read(&fleet.trigger()).await, Ok((580_000, true)), "its clients come back");
    let asked = fleet.asked.load(Ordering::SeqCst);
    let fleet = fleet.standing(1, Standing::Still);
    assert_eq!(fleet.read(&fleet.trigger()).await, Ok((500_000, true)), "no process, no connection");
    assert_eq!(fleet.asked.load(Ordering::SeqCst), asked + 1, "and it is not asked");
}

#[tokio::test]
async fn without_pods_nobody_holds_anything_and_without_a_serving_one_nobody_knows() {
    let fleet = Fleet::of(vec![status("503 Busy"), metrics(3)]).await;
    let none = Fleet { pods: Vec::new(), ..Fleet::of(vec![metrics(1)]).await };
    assert_eq!(none.read(&none.trigger()).await, Ok((0, false)));
    let fleet = fleet.standing(0, Standing::Starting).standing(1, Standing::Still);
    let error = fleet.read(&fleet.trigger()).await.unwrap_err();
    let what = "no pod of Deployment/orders says how many connections it holds: none serves yet";
    assert_eq!((error.kind, error.message.as_str()), (ReadErrorKind::Unavailable, what));
    let fleet = fleet.standing(0, Standing::Leaving).standing(1, Standing::Leaving);
    assert_eq!(fleet.read(&fleet.trigger()).await, Ok((3_000, true)), "the last ones that go");
}

#[tokio::test]
async fn the_sum_of_the_others_may_raise_where_that_is_wanted() {
    let raising = [("silentPods", "RaiseOnly")];
    // Two of three say 300 connections at 100 each: as many replicas as there are pods, so nothing is said.
    let fleet = Fleet::of(vec![metrics(200), metrics(100), status("503 Busy")]).await;
    let trigger = fleet.trigger().with(&raising);
    assert_eq!(fleet.read(&trigger).await.unwrap_err().kind, ReadErrorKind::Unavailable);
    // 301 are more than three pods take care of.
    fleet.say(1, metrics(101));
    assert_eq!(fleet.read(&trigger).await, Ok((301_000, true)));
    assert!(fleet.read(&fleet.trigger()).await.is_err(), "and only where it is wanted");
    // With Value the number itself is compared.
    let mut value = fleet.trigger().with(&raising);
    value.spec.metric_type = MetricType::Value;
    fleet.say(0, metrics(0));
    assert_eq!(fleet.read(&value).await, Ok((101_000, true)));
    fleet.say(1, metrics(100));
    assert!(fleet.read(&value).await.is_err());
}

#[tokio::test]
async fn many_pods_are_asked_at_the_same_time() {
    let fleet = Fleet::of((0..200).map(|_| metrics(1)).collect()).await;
    let scaler = fleet.trigger().open(&fleet.endpoints());
    assert_eq!(value(&*scaler).await, Ok((200_000, true)));
    assert_eq!(fleet.asked.load(Ordering::SeqCst), 200);
    for _ in 0..20 {
        assert_eq!(value(&*scaler).await, Ok((200_000, true)));
    }
    assert_eq!(fleet.asked.load(Ordering::SeqCst), 21 * 200);
}

#[tokio::test]
async fn a_read_may_be_dropped_at_any_moment_and_the_cluster_has_a_deadline_too() {
    let fleet = Fleet::of(vec![metrics(12)]).await;
    let scaler = fleet.trigger().open(&fleet.endpoints());
    for micros in [0, 10, 100, 1_000, 3_000, 10_000] {
        let _ = timeout(Duration::from_micros(micros), value(&*scaler)).await;
        assert_eq!(value(&*scaler).await, Ok((12_000, true)));
    }
    let slow = Cluster { delay: Duration::from_mins(1), ..Cluster::idle() };
    let scaler = fleet.trigger().open(&Endpoints::within(Arc::new(slow)));
    let error = value_within(&*scaler, Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Timeout, "{error}");
    let blind = Endpoints::within(Arc::new(Cluster::failing(ReadErrorKind::Auth)));
    assert_eq!(value(&*fleet.trigger().open(&blind)).await.unwrap_err().kind, ReadErrorKind::Auth);
    let error = value(&*fleet.trigger().open(&Endpoints::new())).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Config);
    assert!(error.message.contains("there is no cluster here"), "{error}");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let errors = |more: &[(&str, &str)]| {
        let base = [("source", "pods"), ("port", "9090"), ("valueLocation", "ws_open"), ("targetValue", "100")];
        let mut trigger = Trigger::of(&base).with(more);
        trigger.spec.metadata.retain(|_, text| !text.is_empty());
        let found = check(&trigger.spec, Known::Nothing, Known::Nothing);
        found.errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(errors(&[]), Vec::<String>::new());
    assert_eq!(errors(&[("port", "")]), ["metadata.port: is required with source pods"]);
    assert_eq!(errors(&[("port", "70000")]), ["metadata.port: \"70000\" is not an integer from 1 to 65535"]);
    assert_eq!(errors(&[("path", "stats")]), ["metadata.path: \"stats\" is not a path: it does not begin with /"]);
    assert_eq!(errors(&[("scheme", "ws")]), ["metadata.scheme: \"ws\" is not one of http, https"]);
    assert_eq!(errors(&[("format", "yaml")]), ["metadata.format: \"yaml\" is not one of prometheus, json"]);
    assert_eq!(errors(&[("silentPods", "Zero")]), ["metadata.silentPods: \"Zero\" is not one of Error, RaiseOnly"]);
    assert_eq!(errors(&[("valueLocation", "ws_open{a!=\"b\"}")]).len(), 1);
}
