//! A server that answers every request by a script, and the triggers that read from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_calculator::source::{Deadline, Measured, Occasion, Parameters, ReadError, Reading, Secret, TriggerSpec};
use tidegate_scalers::{Endpoints, Scaler, open};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What reads are given that should succeed.
pub(crate) const DEADLINE: Deadline = Duration::from_secs(10);

/// Says the answer as sent to the text of a request. An empty one is silence.
type Script = dyn Fn(&str) -> String + Send + Sync;

/// The running server; dropping it stops it.
pub(crate) struct Server {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::run(None, Arc::new(script)).await
    }

    pub(crate) async fn start_tls(
        acceptor: TlsAcceptor,
        script: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::run(Some(acceptor), Arc::new(script)).await
    }

    /// Gives one body to everything.
    pub(crate) async fn saying(body: &str) -> Self {
        let answer = http("200 OK", body);
        Self::start(move |_| answer.clone()).await
    }

    async fn run(tls: Option<TlsAcceptor>, script: Arc<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<usize>>::default());
        let (log, count) = (Arc::clone(&heard), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                let (tls, script, log) = (tls.clone(), Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, script, log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, script, log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, heard, connections, task }
    }

    /// All requests so far: head and body.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn prometheus(&self) -> Trigger {
        Trigger::prometheus(&self.url())
    }

    pub(crate) fn metrics_api(&self) -> Trigger {
        Trigger::metrics_api(&format!("{}/stats", self.url()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Arc<Script>, log: Arc<Mutex<Vec<String>>>) {
    let mut heard = Vec::new();
    loop {
        while !is_whole(&heard) {
            if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let request = String::from_utf8(std::mem::take(&mut heard)).unwrap();
        let answer = script(&request);
        log.lock().unwrap().push(request);
        if answer == CUT || stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        if answer.contains("connection: close") {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// An answer that is none: the connection is closed.
pub(crate) const CUT: &str = "cut";

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// An answer; `status` may bring headers with it.
pub(crate) fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The answer of a Prometheus with these samples, one a series.
pub(crate) fn vector(values: &[&str]) -> String {
    let series = values.iter().map(|value| format!(r#"{{"metric":{{}},"value":[1700000000.5,"{value}"]}}"#));
    let series = series.collect::<Vec<_>>().join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#)
}

/// The value of a header in a request, by its name in small letters.
pub(crate) fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A trigger in the making.
#[derive(Clone, Default)]
pub(crate) struct Trigger {
    pub(crate) spec: TriggerSpec,
    pub(crate) parameters: Parameters,
}

impl Trigger {
    pub(crate) fn prometheus(url: &str) -> Self {
        let base = [("serverAddress", url), ("query", "sum(jobs)"), ("threshold", "5")];
        Self::of("prometheus", &base)
    }

    pub(crate) fn metrics_api(url: &str) -> Self {
        Self::of("metrics-api", &[("url", url), ("valueLocation", "value"), ("targetValue", "5")])
    }

    fn of(kind: &str, metadata: &[(&str, &str)]) -> Self {
        let spec = TriggerSpec { kind: kind.to_owned(), owner: "shop/orders".into(), ..TriggerSpec::default() };
        Self { spec, parameters: Parameters::default() }.with(metadata)
    }

    /// The same, with these metadata on top.
    pub(crate) fn with(mut self, metadata: &[(&str, &str)]) -> Self {
        self.spec.metadata.extend(metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
        self
    }

    /// The same, as a trigger of another object.
    pub(crate) fn owned_by(mut self, object: &str) -> Self {
        self.spec.owner = object.into();
        self
    }

    /// The same, with what an authentication provides.
    pub(crate) fn auth(mut self, pairs: &[(&str, &str)]) -> Self {
        let secrets = pairs.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text)));
        self.parameters.auth = secrets.collect::<BTreeMap<_, _>>();
        self
    }

    pub(crate) fn open(&self, endpoints: &Endpoints) -> Box<dyn Scaler> {
        open(&self.spec, &self.parameters, endpoints).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens it among endpoints of its own and reads once.
    pub(crate) async fn read(&self) -> Result<(i64, bool), ReadError> {
        value(&*self.open(&Endpoints::new())).await
    }
}

/// The value that a trigger reads, in thousandths, and whether it is active.
pub(crate) async fn value(scaler: &dyn Scaler) -> Result<(i64, bool), ReadError> {
    value_within(scaler, DEADLINE).await
}

pub(crate) async fn value_within(scaler: &dyn Scaler, deadline: Deadline) -> Result<(i64, bool), ReadError> {
    let readings = scaler.read(Occasion::Poll, deadline).await?;
    let [(_, Reading { value: Measured::Total(series), active })] = readings.as_slice() else { panic!("{readings:?}") };
    let [value] = series.as_slice() else { panic!("{series:?}") };
    Ok((value.0, *active))
}
