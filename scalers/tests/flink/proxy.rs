//! A proxy before a Flink that wants a token or speaks TLS, as people put one there; it counts its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_loopback::Authority;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A running proxy; dropping it ends it.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    alive: AtomicUsize,
}

/// Whom it lets through: whoever has this token.
pub(crate) const TOKEN: &str = "right-token";

impl Proxy {
    /// One that lets everybody through to this port of ours.
    pub(crate) async fn open(to: u16) -> Self {
        Self::run(to, None, false).await
    }

    /// One that lets those through who have the token.
    pub(crate) async fn guarded(to: u16) -> Self {
        Self::run(to, None, true).await
    }

    /// One that speaks TLS.
    pub(crate) async fn tls(to: u16, authority: &Authority) -> Self {
        Self::run(to, Some(TlsAcceptor::from(Arc::new(authority.serve(false)))), false).await
    }

    async fn run(to: u16, tls: Option<TlsAcceptor>, guarded: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, counts) = (tls.clone(), Arc::clone(&counted));
                counts.made.fetch_add(1, Ordering::SeqCst);
                counts.alive.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    match tls {
                        None => pass(stream, to, guarded).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                pass(stream, to, guarded).await;
                            }
                        }
                    }
                    counts.alive.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, counts, task }
    }

    /// How many connections were made so far, and how many are open.
    pub(crate) fn connections(&self) -> (usize, usize) {
        (self.counts.made.load(Ordering::SeqCst), self.counts.alive.load(Ordering::SeqCst))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes a connection on. The first request must have the token, if one is wanted: a client sends the same with all.
async fn pass(mut from: impl AsyncRead + AsyncWrite + Unpin, to: u16, guarded: bool) {
    let mut heard = Vec::new();
    while !heard.windows(4).any(|four| four == b"\r\n\r\n") {
        if from.read_buf(&mut heard).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let has_token = String::from_utf8_lossy(&heard).contains(&format!("authorization: Bearer {TOKEN}\r\n"));
    if guarded && !has_token {
        let _ = from.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        return;
    }
    let Ok(mut there) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    if there.write_all(&heard).await.is_ok() {
        let _ = copy_bidirectional(&mut from, &mut there).await;
    }
}
