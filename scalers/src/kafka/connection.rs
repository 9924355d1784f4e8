//! Connects to one broker: address, TLS, SASL, and requests that wait for their answers side by side.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Message, Request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tidegate_calculator::source::{ReadError, ReadErrorKind, Secret};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::errors::{self, Peer};
use super::wire;
use crate::http::{Grant, Tokens};
use crate::tls::TlsOptions;
use multiplex::Channel;

mod login;
mod multiplex;

/// How long it may take until a broker takes requests: the name, the socket, TLS and SASL. A login is up to seven round
/// trips; reads do not wait that long for a dead broker, they bound it themselves.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// How long one address of a broker is tried alone, before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);

/// After how much silence the system asks the peer whether the connection still stands. Polls may be minutes apart, and
/// what stands on the way forgets a silent connection, some after a minute, without a word to either end.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// How long an answer to that is waited for, and how many are missed until the connection is lost.
const PROBES: (Duration, u32) = (Duration::from_secs(10), 3);

/// A cluster and how to speak to it. Triggers with equal clusters share their connections.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Cluster {
    /// The brokers that are asked first, as host and port.
    pub(super) bootstrap: Vec<(String, u16)>,
    /// TLS, if it is used.
    pub(super) tls: Option<TlsOptions>,
    /// Who we are, if the brokers ask.
    pub(super) sasl: Option<Sasl>,
}

/// How we prove who we are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Sasl {
    /// PLAIN.
    Plain(Login),
    /// SCRAM-SHA-256.
    ScramSha256(Login),
    /// SCRAM-SHA-512.
    ScramSha512(Login),
    /// OAUTHBEARER with a token by client credentials.
    OAuthBearer(OAuth),
}

/// A user.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Login {
    pub(super) username: Secret,
    pub(super) password: Secret,
}

/// Where tokens come from and for whom.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct OAuth {
    /// The token endpoint's URL.
    pub(super) endpoint: String,
    /// The client's id.
    pub(super) client: Secret,
    /// The client's secret.
    pub(super) secret: Secret,
    /// The scopes asked for.
    pub(super) scopes: Vec<String>,
    /// The SASL extensions sent with the token.
    pub(super) extensions: Vec<(String, String)>,
}

/// A cluster with what is kept over all its connections: the TLS client and the token of OAUTHBEARER.
pub(super) struct Connector {
    cluster: Arc<Cluster>,
    tls: OnceLock<Arc<ClientConfig>>,
    tokens: Option<Tokens>,
}

/// An open connection to one broker, logged in; dropping it closes it.
///
/// Requests may be sent while others wait; the broker answers in order. There is no time-out: whoever drops a call because
/// it takes too long should drop the connection too, for a peer that has vanished looks the same.
pub(super) struct Connection {
    peer: Arc<Peer>,
    channel: Channel,
    /// What the broker speaks: the lowest and highest version by API key.
    versions: HashMap<i16, (i16, i16)>,
    /// When to use another connection because the broker will end the session (KIP-368).
    ends: Option<Instant>,
}

/// A byte stream, plain or encrypted.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Cluster {
    /// What the cluster is called in messages.
    pub(super) fn name(&self) -> String {
        let servers: Vec<String> = self.bootstrap.iter().map(|(host, port)| errors::address(host, *port)).collect();
        format!("Kafka at {}", servers.join(","))
    }
}

impl Sasl {
    /// The registered name of the mechanism.
    pub(super) fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain(_) => "PLAIN",
            Self::ScramSha256(_) => "SCRAM-SHA-256",
            Self::ScramSha512(_) => "SCRAM-SHA-512",
            Self::OAuthBearer(_) => "OAUTHBEARER",
        }
    }
}

impl OAuth {
    /// What the token endpoint is asked with.
    fn grant(&self) -> Grant {
        let Self { endpoint, client, secret, scopes, .. } = self.clone();
        // The trigger's own certificate authorities are for Kafka alone, as in KEDA.
        Grant { endpoint, client, secret, scopes, extra: Vec::new(), ca: None }
    }
}

impl Connector {
    /// Connects nothing yet.
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        let tokens = match &cluster.sasl {
            Some(Sasl::OAuthBearer(oauth)) => Some(Tokens::new(oauth.grant())),
            _ => None,
        };
        Self { cluster, tls: OnceLock::new(), tokens }
    }

    /// A connection to this broker, ready for requests. It fails after [`CONNECT`]; every error has the scope Endpoint.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<Connection, ReadError> {
        let peer = Arc::new(Peer::new(host, port, self.cluster.tls.is_some(), self.cluster.sasl.as_ref()));
        timeout(CONNECT, self.open(&peer)).await.unwrap_or_else(|_| Err(errors::slow(&peer)))
    }

    async fn open(&self, peer: &Arc<Peer>) -> Result<Connection, ReadError> {
        let stream = self.stream(peer).await?;
        let channel = Channel::open(stream, Arc::clone(peer));
        let versions = versions(&channel, peer).await?;
        let mut connection = Connection { peer: Arc::clone(peer), channel, versions, ends: None };
        if let Some(sasl) = &self.cluster.sasl {
            connection.ends = login::log_in(&connection, sasl, self.tokens.as_ref()).await?;
        }
        Ok(connection)
    }

    /// The byte stream, connected and encrypted where TLS is asked for.
    async fn stream(&self, peer: &Peer) -> Result<Box<dyn Stream>, ReadError> {
        let socket = socket(peer).await.map_err(|error| errors::io(peer, &error))?;
        let Some(options) = &self.cluster.tls else {
            return Ok(Box::new(socket));
        };
        let name = ServerName::try_from(peer.host.clone())
            .map_err(|_| errors::config(peer, "the host is not a name that TLS can check"))?;
        let connector = TlsConnector::from(self.tls_client(peer, options)?);
        let stream = connector.connect(name, socket).await.map_err(|error| errors::handshake(peer, &error))?;
        Ok(Box::new(stream))
    }

    fn tls_client(&self, peer: &Peer, options: &TlsOptions) -> Result<Arc<ClientConfig>, ReadError> {
        if let Some(made) = self.tls.get() {
            return Ok(Arc::clone(made));
        }
        let made = options.client().map_err(|(field, what)| errors::config(peer, &format!("{field:?} {what}")))?;
        Ok(Arc::clone(self.tls.get_or_init(|| made)))
    }
}

impl Connection {
    /// The highest version of this API that the broker, the codec and the range allow.
    pub(super) fn version<R: Request>(&self, range: RangeInclusive<i16>) -> Option<i16> {
        let (lowest, highest) = *self.versions.get(&R::KEY)?;
        let own = <R as Message>::VERSIONS;
        let version = highest.min(own.max).min(*range.end());
        (version >= lowest.max(own.min).max(*range.start())).then_some(version)
    }

    /// Asks the broker. Dropping the future is safe: the answer is thrown away when it comes.
    ///
    /// The error is that of the connection, scope Endpoint; after one the connection is no longer [`Self::alive`].
    /// Texts in the answer share the memory of the whole frame: copy what is kept.
    pub(super) async fn call<R: Request>(&self, request: R, version: i16) -> Result<R::Response, ReadError> {
        self.channel.call(&request, version).await
    }

    /// Whether the connection stands and its session does not end soon.
    pub(super) fn alive(&self) -> bool {
        self.channel.alive() && self.ends.is_none_or(|ends| Instant::now() < ends)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection to {}", self.peer)
    }
}

/// The socket of the broker's first address that takes it.
async fn socket(peer: &Peer) -> io::Result<TcpStream> {
    let socket = race(lookup_host((peer.host.as_str(), peer.port)).await?).await?;
    socket.set_nodelay(true)?;
    let (interval, retries) = PROBES;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(interval).with_retries(retries);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
    Ok(socket)
}

/// Tries the addresses in their order. One that is silent does not hold up the others, and stays in the race.
async fn race(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.peekable();
    let mut tries = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        tries.extend(addresses.next().map(TcpStream::connect));
        let outcome = match addresses.peek() {
            Some(_) => timeout(HEAD_START, tries.next()).await.ok(),
            None => Some(tries.next().await),
        };
        match outcome {
            Some(Some(Ok(socket))) => return Ok(socket),
            Some(Some(Err(error))) => failure = error,
            Some(None) => return Err(failure),
            None => {}
        }
    }
}

/// Asks what the broker speaks. Version 3 says who asks, for the broker's statistics; brokers before 2.4 know only less.
async fn versions(channel: &Channel, peer: &Peer) -> Result<HashMap<i16, (i16, i16)>, ReadError> {
    let request = wire::who_asks();
    let frame = channel.exchange(&request, 3).await?;
    // Such a refusal comes in version 0, whatever was asked.
    let answer = if wire::leading_code(&frame) == Some(errors::UNSUPPORTED_VERSION) {
        channel.call(&request, 0).await?
    } else {
        channel.decoded::<ApiVersionsRequest>(frame, 3)?
    };
    table(peer, answer)
}

fn table(peer: &Peer, answer: ApiVersionsResponse) -> Result<HashMap<i16, (i16, i16)>, ReadError> {
    if answer.error_code != 0 {
        return Err(errors::code(peer, ReadErrorKind::Protocol, "ApiVersions", answer.error_code));
    }
    Ok(answer.api_keys.into_iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect())
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "connection_real_tests.rs"]
pub(super) mod real_tests;
