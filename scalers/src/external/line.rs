//! Connects to a server of the user's own: address, TLS, and what tells that a connection is dead.
//!
//! A [`Line`] is one HTTP/2 connection at a time, made at the first call and again whenever it was lost. The library that
//! speaks gRPC hides why a connection failed, so the line notes it ([`Fault`]).

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use super::failures;
use super::server::Place;
use super::wire::external_scaler_client::ExternalScalerClient;
use crate::endpoint::lock;
use crate::network::is_closed;
use crate::tls::TlsOptions;

/// The client of one line.
pub(super) type Client = ExternalScalerClient<Channel>;

/// The longest that a connection may take until it stands, TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// After how much silence the system asks the peer whether the connection still stands, how long an answer is waited for,
/// and how many are missed until the connection is lost. Streams may be silent for hours, and what stands on the way
/// forgets a silent connection without a word to either end.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(20), Duration::from_secs(10), 3);

/// After how much silence of a call that is under way the server itself is asked whether it still lives, by a ping of
/// HTTP/2. Servers in Go close the connection of whoever pings more often than every five minutes.
const PING: Duration = Duration::from_secs(330);

/// How long the answer to a ping may take.
const PONG: Duration = Duration::from_secs(20);

/// The longest answer, in bytes: far more than [`MOST`](super::metrics) metrics need.
const LONGEST: usize = 256 * 1024;

/// One connection at a time.
pub(super) struct Line {
    dialer: Dialer,
    /// The channel, and how many there were before it.
    channel: Mutex<(u64, Option<Channel>)>,
}

/// Why a connection failed. The message completes "SERVER: ...".
#[derive(Clone)]
pub(super) struct Fault {
    pub(super) error: ReadError,
    /// Whether it was never made.
    pub(super) connecting: bool,
}

/// Makes connections.
#[derive(Clone)]
struct Dialer(Arc<Dialing>);

struct Dialing {
    place: Place,
    tls: OnceLock<Arc<ClientConfig>>,
    /// How many connections were made.
    made: AtomicU64,
    fault: Mutex<Option<Fault>>,
}

impl Line {
    pub(super) fn new(place: &Place) -> Self {
        let place = place.clone();
        let dialing = Dialing { place, tls: OnceLock::new(), made: AtomicU64::new(0), fault: Mutex::new(None) };
        Self { dialer: Dialer(Arc::new(dialing)), channel: Mutex::new((0, None)) }
    }

    /// A client, and the number of its channel. Needs a runtime; nothing is sent before the first call.
    pub(super) fn client(&self) -> Result<(Client, u64), ReadError> {
        let mut slot = lock(&self.channel);
        let channel = match &slot.1 {
            Some(channel) => channel.clone(),
            None => slot.1.insert(self.channel()?).clone(),
        };
        Ok((ExternalScalerClient::new(channel).max_decoding_message_size(LONGEST), slot.0))
    }

    /// Gives up the channel of this number; the next call makes a new one.
    pub(super) fn hang_up(&self, number: u64) {
        let mut slot = lock(&self.channel);
        if slot.0 == number {
            *slot = (number + 1, None);
        }
    }

    /// How many connections were made: what was learnt on an earlier one may not hold any more.
    pub(super) fn connections(&self) -> u64 {
        self.dialer.0.made.load(Ordering::Acquire)
    }

    /// Why the last connection failed, if it did.
    pub(super) fn fault(&self) -> Option<Fault> {
        lock(&self.dialer.0.fault).clone()
    }

    fn channel(&self) -> Result<Channel, ReadError> {
        let Place { address, tls } = &self.dialer.0.place;
        let unusable = || ReadError::query(ReadErrorKind::Config, "the address is none that can be asked");
        // The dialer encrypts, and not the library: to that, the connection is a plain one.
        let origin = address.uri(if tls.is_some() { "https" } else { "http" }).ok_or_else(unusable)?;
        let endpoint = Endpoint::from(address.uri("http").ok_or_else(unusable)?)
            .origin(origin)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .map_err(|_| unusable())?;
        Ok(endpoint.connect_with_connector_lazy(self.dialer.clone()))
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Wire>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialing = Arc::clone(&self.0);
        Box::pin(async move {
            match timeout(CONNECT, dialing.dial()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    *lock(&dialing.fault) = None;
                    dialing.made.fetch_add(1, Ordering::AcqRel);
                    Ok(TokioIo::new(Wire { stream, dialing }))
                }
                Err(error) => {
                    *lock(&dialing.fault) = Some(Fault { error: failures::network(&error), connecting: true });
                    Err(error)
                }
            }
        })
    }
}

impl Dialing {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let Place { address, tls } = &self.place;
        let socket = TcpStream::connect((address.host.as_str(), address.port)).await?;
        socket.set_nodelay(true)?;
        let (time, interval, retries) = KEEPALIVE;
        let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(retries);
        SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
        let Some(options) = tls else {
            return Ok(Box::new(socket));
        };
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| io::Error::other("the host is not a name that TLS can check"))?;
        Ok(Box::new(TlsConnector::from(self.tls_client(options)?).connect(name, socket).await?))
    }

    fn tls_client(&self, options: &TlsOptions) -> io::Result<Arc<ClientConfig>> {
        if let Some(made) = self.tls.get() {
            return Ok(Arc::clone(made));
        }
        let plain = options.client().map_err(|(field, what)| io::Error::other(format!("{field:?} {what}")))?;
        let mut config = ClientConfig::clone(&plain);
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }
}

/// A byte stream, plain or encrypted.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection that notes why it ends.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    dialing: Arc<Dialing>,
}

impl Wire {
    fn note(&self, error: &io::Error) {
        *lock(&self.dialing.fault) = Some(Fault { error: failures::network(error), connecting: false });
    }

    /// Notes why nothing can be written any more. A server that refuses our certificate says so and closes the connection;
    /// whoever writes to it then is told of the closing alone, but what the server said can still be read.
    fn explained<T>(&mut self, cx: &mut Context<'_>, result: io::Result<T>) -> Poll<io::Result<T>> {
        let Err(error) = &result else { return Poll::Ready(result) };
        let mut rest = [0; 1024];
        // The end of a closed connection can be read sooner or later, so this does not wait for ever.
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut rest))) {
            Err(cause) if !is_closed(&cause) => self.note(&cause),
            _ => self.note(error),
        }
        Poll::Ready(result)
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        match &result {
            Err(error) => self.note(error),
            Ok(()) if buf.filled().len() == before && buf.remaining() > 0 => {
                self.note(&io::ErrorKind::UnexpectedEof.into());
            }
            Ok(()) => {}
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.explained(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        self.explained(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        self.explained(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
