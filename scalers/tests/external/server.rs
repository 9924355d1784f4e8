//! A real gRPC server in this process, on a runtime of its own so that it can be stopped at once, and the triggers that read from it.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tidegate_calculator::source::{
    Deadline, ErrorScope, Occasion, Parameters, ReadError, ReadErrorKind, Secret, TriggerSpec,
};
use tidegate_scalers::{Endpoints, Scaler, open};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tonic::transport::server::Connected;

use crate::scripted::{Heard, News, Script, Scripted, service};

/// Long enough for a busy machine; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What reads are given that should succeed.
pub(crate) const DEADLINE: Deadline = Duration::from_secs(10);

/// A running server; dropping it ends it.
pub(crate) struct Server {
    pub(crate) port: u16,
    tls: Option<TlsAcceptor>,
    scripted: Arc<Scripted>,
    state: Arc<State>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct State {
    /// The connections with a lower number are frozen.
    frozen: AtomicUsize,
    /// Connections made, and those that are open.
    made: AtomicUsize,
    open: AtomicUsize,
}

impl Server {
    pub(crate) fn start(script: Script) -> Self {
        Self::begin(script, None)
    }

    pub(crate) fn start_tls(script: Script, acceptor: TlsAcceptor) -> Self {
        Self::begin(script, Some(acceptor))
    }

    fn begin(script: Script, tls: Option<TlsAcceptor>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = Self { port, tls, scripted: Scripted::new(script), state: Arc::default(), runtime: None };
        server.run(listener);
        server
    }

    fn run(&mut self, listener: std::net::TcpListener) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (sender, mut incoming) = mpsc::channel::<io::Result<Connection>>(16);
        let (tls, state, service) = (self.tls.clone(), Arc::clone(&self.state), service(&self.scripted));
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, state, sender) = (tls.clone(), Arc::clone(&state), sender.clone());
                tokio::spawn(async move {
                    let socket = Connection::new(Box::new(socket), &state);
                    let connection = match tls {
                        None => socket,
                        Some(tls) => match tls.accept(socket).await {
                            Ok(stream) => Connection { inner: Box::new(stream), state: None, number: 0 },
                            Err(_) => return,
                        },
                    };
                    drop(sender.send(Ok(connection)).await);
                });
            }
        });
        let incoming = futures::stream::poll_fn(move |cx| incoming.poll_recv(cx));
        runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        self.runtime = Some(runtime);
    }

    /// Ends the server with all its connections.
    pub(crate) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Starts it again on the same port.
    pub(crate) async fn start_again(&mut self) {
        let address = ("127.0.0.1", self.port);
        eventually("the port is free", async || std::net::TcpListener::bind(address).is_ok()).await;
        self.run(std::net::TcpListener::bind(address).unwrap());
    }

    /// It takes connections, but neither reads nor writes.
    pub(crate) fn freeze(&self) {
        self.state.frozen.store(usize::MAX, Ordering::SeqCst);
    }

    /// It works, but for the connections that are open by now: those stay silent for ever.
    pub(crate) fn strand(&self) {
        self.state.frozen.store(self.state.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// How many connections were made, and how many are open.
    pub(crate) fn connections(&self) -> (usize, usize) {
        (self.state.made.load(Ordering::SeqCst), self.state.open.load(Ordering::SeqCst))
    }

    /// Says something else from now on.
    pub(crate) fn say(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.scripted.script.lock().unwrap());
    }

    /// Sends over every open stream.
    pub(crate) fn send(&self, news: News) {
        drop(self.scripted.news.send(news));
    }

    /// How many streams are open.
    pub(crate) fn listeners(&self) -> usize {
        self.scripted.news.receiver_count()
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.scripted.heard.lock().unwrap().clone()
    }

    /// The methods that were called since the last time.
    pub(crate) fn methods(&self) -> Vec<&'static str> {
        self.scripted.heard.lock().unwrap().drain(..).map(|heard| heard.method).collect()
    }

    /// How often this method was called.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.heard().iter().filter(|heard| heard.method == method).count()
    }

    pub(crate) fn trigger(&self) -> Trigger {
        Trigger::on(&format!("127.0.0.1:{}", self.port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One connection as the server sees it.
struct Connection {
    inner: Box<dyn Stream>,
    /// None for what is inside of another one.
    state: Option<Arc<State>>,
    number: usize,
}

impl Connection {
    fn new(inner: Box<dyn Stream>, state: &Arc<State>) -> Self {
        let number = state.made.fetch_add(1, Ordering::SeqCst);
        state.open.fetch_add(1, Ordering::SeqCst);
        Self { inner, state: Some(Arc::clone(state)), number }
    }

    /// Nothing happens while the server is frozen.
    fn thawed(&self, cx: &Context<'_>) -> Poll<()> {
        if self.state.as_ref().is_none_or(|state| self.number >= state.frozen.load(Ordering::SeqCst)) {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(10)).await;
            waker.wake();
        });
        Poll::Pending
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(state) = &self.state {
            state.open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.thawed(cx));
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.thawed(cx));
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A trigger in the making.
#[derive(Clone, Default)]
pub(crate) struct Trigger {
    pub(crate) spec: TriggerSpec,
    pub(crate) parameters: Parameters,
}

impl Trigger {
    pub(crate) fn on(address: &str) -> Self {
        let spec = TriggerSpec { kind: "external".to_owned(), owner: "shop/orders".into(), ..TriggerSpec::default() };
        Self { spec, parameters: Parameters::default() }.with(&[("scalerAddress", address)])
    }

    /// The same of the type that listens.
    pub(crate) fn pushed(mut self) -> Self {
        "external-push".clone_into(&mut self.spec.kind);
        self
    }

    /// The same, with these metadata on top.
    pub(crate) fn with(mut self, metadata: &[(&str, &str)]) -> Self {
        self.spec.metadata.extend(metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
        self
    }

    /// The same, with what an authentication provides.
    pub(crate) fn auth(mut self, pairs: &[(&str, &str)]) -> Self {
        self.parameters.auth = secrets(pairs);
        self
    }

    /// The same, with a container's environment.
    pub(crate) fn env(mut self, pairs: &[(&str, &str)]) -> Self {
        self.parameters.env = secrets(pairs);
        self
    }

    pub(crate) fn open(&self, endpoints: &Endpoints) -> Box<dyn Scaler> {
        open(&self.spec, &self.parameters, endpoints).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens it among endpoints of its own and reads once.
    pub(crate) async fn read(&self) -> Outcome {
        read(&*self.open(&Endpoints::new())).await
    }
}

fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text))).collect()
}

/// Name, target and value of each metric, the latter two in thousandths, and whether it is active.
pub(crate) type Seen = Vec<(String, i64, i64, bool)>;
pub(crate) type Outcome = Result<Seen, ReadError>;

pub(crate) async fn read(scaler: &dyn Scaler) -> Outcome {
    let readings = scaler.read(Occasion::Poll, DEADLINE).await?;
    let seen = readings.into_iter();
    Ok(seen.map(|(spec, it)| (spec.name, spec.target.0, it.value.total().0, it.active)).collect())
}

/// What a trigger on one metric `jobs` with a target of 5 sees.
#[expect(clippy::unnecessary_wraps, reason = "it is compared with outcomes")]
pub(crate) fn jobs(value: i64, active: bool) -> Outcome {
    Ok(vec![("s0-jobs".to_owned(), 5000, value * 1000, active)])
}

/// A failure's class.
pub(crate) fn class(outcome: Outcome) -> (ReadErrorKind, ErrorScope) {
    let error = outcome.expect_err("a failure");
    (error.kind, error.scope)
}

/// Tries again until it is so.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < until, "not in time: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
