//! Connects to one Redis server: address, TLS, user.

use std::fmt;
use std::sync::{Arc, OnceLock};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, Value};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tidegate_calculator::source::{ReadError, Secret};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::errors;
use crate::tls::TlsOptions;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// How to speak to servers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Access {
    pub(super) credentials: Option<Credentials>,
    pub(super) tls: Option<TlsOptions>,
}

/// A server and how to speak to it. Triggers with equal servers share their connections.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) credentials: Option<Credentials>,
    pub(super) tls: Option<TlsOptions>,
}

/// Who we are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Credentials {
    /// The ACL user; none for the default user, as before Redis 6.
    pub(super) username: Option<Secret>,
    pub(super) password: Secret,
}

/// A server with its TLS client, which is made once and kept over all connections.
pub(super) struct Connector {
    pub(super) server: Arc<Server>,
    tls: OnceLock<Arc<ClientConfig>>,
}

/// An open connection; dropping it closes it.
pub(super) struct Connection {
    pub(super) commands: MultiplexedConnection,
    driver: AbortHandle,
}

/// A byte stream, plain or encrypted.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Address {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Server {
    pub(super) fn new(address: Address, access: Access) -> Self {
        let (Address { host, port }, Access { credentials, tls }) = (address, access);
        Self { host, port, credentials, tls }
    }

    pub(super) fn address(&self) -> Address {
        Address::new(&self.host, self.port)
    }

    /// What the server is called in messages.
    pub(super) fn name(&self) -> String {
        format!("Redis at {}", self.address())
    }
}

impl Connector {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, tls: OnceLock::new() }
    }

    /// A connection that speaks RESP2, logged in. It sends nothing else, so that restricted users and simple servers
    /// are not asked for more than the trigger needs.
    pub(super) async fn connect(&self) -> Result<Connection, ReadError> {
        let (info, config) = (plain(), AsyncConnectionConfig::new());
        let mut connection = self.open(&info, config).await.map_err(|error| errors::endpoint(&self.server, &error))?;
        if let Some(Credentials { username, password }) = &self.server.credentials {
            let mut auth = redis::cmd("AUTH");
            if let Some(username) = username {
                auth.arg(username.expose());
            }
            // Not left to the library: it reports every refusal as a wrong password, also one for too many clients.
            let answer: RedisResult<Value> = auth.arg(password.expose()).query_async(&mut connection.commands).await;
            answer.map_err(|error| errors::login(&self.server, &error))?;
        }
        Ok(connection)
    }

    /// A connection that speaks RESP3, logged in, whose pushed messages go to `config`'s sender.
    pub(super) async fn connect_resp3(&self, config: AsyncConnectionConfig) -> RedisResult<Connection> {
        self.open(&self.login().set_protocol(ProtocolVersion::RESP3), config).await
    }

    /// What the library needs to log in by itself.
    pub(super) fn login(&self) -> RedisConnectionInfo {
        let Some(Credentials { username, password }) = &self.server.credentials else {
            return plain();
        };
        let info = plain().set_password(password.expose());
        if let Some(username) = username { info.set_username(username.expose()) } else { info }
    }

    async fn open(&self, info: &RedisConnectionInfo, config: AsyncConnectionConfig) -> RedisResult<Connection> {
        // Whoever asks sets the deadline; the library's own would only be a second, shorter one.
        let config = config.set_response_timeout(None).set_connection_timeout(None);
        let stream = self.stream().await?;
        let (commands, driver) = MultiplexedConnection::new_with_config(info, stream, config).await?;
        Ok(Connection { commands, driver: tokio::spawn(driver).abort_handle() })
    }

    /// The byte stream, connected and encrypted where TLS is asked for.
    pub(super) async fn stream(&self) -> RedisResult<Box<dyn Stream>> {
        let Server { host, port, tls, .. } = &*self.server;
        let socket = TcpStream::connect((host.as_str(), *port)).await?;
        socket.set_nodelay(true)?;
        let Some(options) = tls else {
            return Ok(Box::new(socket));
        };
        let name =
            ServerName::try_from(host.clone()).map_err(|_| invalid("the host is not a name that TLS can check"))?;
        let connector = TlsConnector::from(self.tls_client(options)?);
        Ok(Box::new(connector.connect(name, socket).await?))
    }

    fn tls_client(&self, options: &TlsOptions) -> RedisResult<Arc<ClientConfig>> {
        if let Some(made) = self.tls.get() {
            return Ok(Arc::clone(made));
        }
        let made = options.client().map_err(|(field, what)| invalid(&format!("{field:?} {what}")))?;
        Ok(Arc::clone(self.tls.get_or_init(|| made)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

fn plain() -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_skip_set_lib_name()
}

fn invalid(what: &str) -> RedisError {
    (redis::ErrorKind::InvalidClientConfig, "invalid TLS settings", what.to_owned()).into()
}
