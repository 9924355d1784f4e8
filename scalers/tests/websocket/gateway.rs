//! A gateway with a stream of messages: a real WebSocket server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::Trigger;

/// What a WebSocket runs over.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Says whether a request is let in: none, or the status of the refusal.
type Door = dyn Fn(&str) -> Option<u16> + Send + Sync;

/// The running server; dropping it ends it with all its connections.
pub(crate) struct Gateway {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

/// What it has seen, and what it says.
pub(crate) struct Seen {
    /// Heads of requests.
    pub(crate) heads: Mutex<Vec<String>>,
    /// WebSockets that were accepted so far, and that stand now.
    pub(crate) accepted: AtomicUsize,
    pub(crate) open: AtomicUsize,
    /// Pongs that have come.
    pub(crate) pongs: AtomicUsize,
    /// What a new stream begins with.
    first: Mutex<Option<Message>>,
    says: broadcast::Sender<Message>,
    door: Box<Door>,
}

impl Gateway {
    /// A gateway that lets everybody in and begins with this message; an empty one is none.
    pub(crate) async fn saying(first: &str) -> Self {
        Self::with_door(first, |_| None).await
    }

    pub(crate) async fn with_door(first: &str, door: impl Fn(&str) -> Option<u16> + Send + Sync + 'static) -> Self {
        Self::run(TcpListener::bind("127.0.0.1:0").await.unwrap(), first, None, Box::new(door))
    }

    pub(crate) async fn with_tls(first: &str, tls: TlsAcceptor) -> Self {
        Self::run(TcpListener::bind("127.0.0.1:0").await.unwrap(), first, Some(tls), Box::new(|_| None))
    }

    /// A gateway at the port of one that is gone.
    pub(crate) async fn again(port: u16, first: &str) -> Self {
        let begun = tokio::time::Instant::now();
        loop {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Ok(listener) => return Self::run(listener, first, None, Box::new(|_| None)),
                Err(error) => assert!(begun.elapsed() < super::SOON, "{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn run(listener: TcpListener, first: &str, tls: Option<TlsAcceptor>, door: Box<Door>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen {
            heads: Mutex::default(),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            pongs: AtomicUsize::new(0),
            first: Mutex::new((!first.is_empty()).then(|| first.into())),
            says: broadcast::Sender::new(10_000),
            door,
        });
        let (mut tasks, mine) = (JoinSet::new(), Arc::clone(&seen));
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                streams.spawn(serve(stream, tls.clone(), Arc::clone(&mine)));
            }
        });
        Self { port, seen, _tasks: tasks }
    }

    /// Sends a message to all, and first of all to whoever comes later.
    pub(crate) fn say(&self, message: impl Into<Message>) {
        let message = message.into();
        *self.seen.first.lock().unwrap() = Some(message.clone());
        let _ = self.seen.says.send(message);
    }

    /// Sends a message to all who listen now.
    pub(crate) fn say_once(&self, message: impl Into<Message>) {
        let _ = self.seen.says.send(message.into());
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/stats", self.port)
    }

    pub(crate) fn trigger(&self) -> Trigger {
        Trigger::of(&[("url", &self.url()), ("valueLocation", "open"), ("targetValue", "5")])
    }

    pub(crate) fn accepted(&self) -> usize {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) -> usize {
        self.seen.open.load(Ordering::SeqCst)
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, seen: Arc<Seen>) {
    let stream: Box<dyn Wire> = match tls {
        None => Box::new(stream),
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => Box::new(stream),
            Err(_) => return,
        },
    };
    let mut says = seen.says.subscribe();
    #[expect(clippy::result_large_err, reason = "the library wants it so")]
    let door = |request: &Request, response: Response| {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let head = format!("{}\n{}", request.uri(), headers.collect::<Vec<_>>().join("\n"));
        let refused = (seen.door)(&head);
        seen.heads.lock().unwrap().push(head);
        match refused {
            None => Ok(response),
            Some(status) => {
                let mut refusal = ErrorResponse::new(Some("a body that nobody repeats".to_owned()));
                *refusal.status_mut() = status.try_into().unwrap();
                Err(refusal)
            }
        }
    };
    let Ok(socket) = accept_hdr_async(stream, door).await else { return };
    seen.accepted.fetch_add(1, Ordering::SeqCst);
    seen.open.fetch_add(1, Ordering::SeqCst);
    let _closed = Closed(Arc::clone(&seen));
    let (mut write, mut read) = socket.split();
    let first = seen.first.lock().unwrap().clone();
    if let Some(first) = first {
        let _ = write.send(first).await;
    }
    loop {
        tokio::select! {
            message = says.recv() => match message {
                Ok(message) => if write.send(message).await.is_err() { return },
                Err(_) => return,
            },
            heard = read.next() => match heard {
                Some(Ok(Message::Pong(_))) => { seen.pongs.fetch_add(1, Ordering::SeqCst); }
                Some(Ok(_)) => {}
                _ => return,
            },
        }
    }
}

/// Counts a stream that has ended, however it did.
struct Closed(Arc<Seen>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}
