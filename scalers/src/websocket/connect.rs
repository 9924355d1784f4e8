//! Makes a WebSocket to a gateway: socket, TLS, handshake, and what their failures mean.

use std::io;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use reqwest::Url;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error as TlsError};
use tidegate_calculator::source::{ErrorScope, ReadError, ReadErrorKind, Secret};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::http::{Access, ApiKey, Credentials, Login, Tokens, status};
use crate::network::{about_us, is_closed, tls_error, told};

/// The longest message that is read, in bytes. A longer one ends the connection.
const LONGEST: usize = 1024 * 1024;

/// How much is read at once: messages of a stream of numbers are short.
const BUFFER: usize = 8 * 1024;

/// What a WebSocket runs over.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A WebSocket that stands.
pub(super) type Socket = WebSocketStream<Box<dyn Wire>>;

/// A gateway and how to reach it.
pub(super) struct Dial {
    url: Url,
    access: Access,
    tls: OnceLock<Arc<ClientConfig>>,
    tokens: Option<Tokens>,
}

impl Dial {
    /// Nothing is connected yet. The scheme of `url` is http for ws.
    pub(super) fn new(url: &Url, access: &Access) -> Self {
        let tokens = match &access.credentials.login {
            Some(Login::OAuth(grant)) => Some(Tokens::new(grant.clone())),
            _ => None,
        };
        Self { url: url.clone(), access: access.clone(), tls: OnceLock::new(), tokens }
    }

    /// Connects. Errors complete "GATEWAY: ..." and are the gateway's.
    pub(super) async fn connect(&self) -> Result<Socket, ReadError> {
        let (request, token) = self.request().await?;
        let wire = self.wire().await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(LONGEST))
            .max_frame_size(Some(LONGEST));
        match client_async_with_config(request, wire, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(answer)) => {
                if let (Some(tokens), Some(token), StatusCode::UNAUTHORIZED) = (&self.tokens, token, answer.status()) {
                    // It may have been revoked; the next try has a new one.
                    tokens.forget(&token).await;
                }
                let error = status(answer.status(), None, self.has_credentials());
                Err(ReadError { scope: ErrorScope::Endpoint, ..error })
            }
            Err(error) => Err(failure(&error)),
        }
    }

    fn has_credentials(&self) -> bool {
        self.access.credentials != Credentials::default() || self.access.tls.cert.is_some()
    }

    async fn wire(&self) -> Result<Box<dyn Wire>, ReadError> {
        let unreachable = |error: io::Error| ReadError::endpoint(ReadErrorKind::Unavailable, told(&error));
        let (host, port) = (self.url.host_str().unwrap_or_default(), self.url.port_or_known_default().unwrap_or(80));
        let bare = host.trim_matches(['[', ']']);
        let socket = TcpStream::connect((bare, port)).await.map_err(unreachable)?;
        socket.set_nodelay(true).map_err(unreachable)?;
        if self.url.scheme() == "http" {
            return Ok(Box::new(socket));
        }
        let name =
            ServerName::try_from(bare.to_owned()).map_err(|_| config("the host is not a name that TLS can check"))?;
        let stream = TlsConnector::from(self.tls()?).connect(name, socket).await.map_err(|error| broken(&error))?;
        Ok(Box::new(stream))
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, ReadError> {
        if let Some(made) = self.tls.get() {
            return Ok(Arc::clone(made));
        }
        let made = self.access.tls.client().map_err(|(field, what)| config(format!("{field:?} {what}")))?;
        Ok(Arc::clone(self.tls.get_or_init(|| made)))
    }

    /// The request for a WebSocket with everything that says who we are, and the token in it that was fetched.
    async fn request(&self) -> Result<(Request, Option<Secret>), ReadError> {
        let Credentials { login, api_key, custom } = &self.access.credentials;
        let mut url = self.url.clone();
        if let Some(ApiKey { name, key, in_query: true }) = api_key {
            url.query_pairs_mut().append_pair(name, key.expose());
        }
        let text = url.as_str().replacen("http", "ws", 1);
        let mut request = text.into_client_request().map_err(|_| config("the URL cannot be asked for"))?;
        let (authorization, token) = self.authorization(login.as_ref()).await?;
        let key = api_key.iter().filter(|key| !key.in_query).map(|key| (&key.name, &key.key));
        // A login comes before a header of the same name; two of them would be refused.
        let is_free = |name: &String| login.is_none() || !name.eq_ignore_ascii_case("authorization");
        let named = custom.iter().map(|(name, value)| (name, value)).chain(key).filter(|(name, _)| is_free(name));
        let agent = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
        let mut headers = vec![("user-agent", Secret::new(agent))];
        headers.extend(authorization.map(|value| ("authorization", value)));
        headers.extend(named.map(|(name, value)| (name.as_str(), value.clone())));
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| config("a header has no name"))?;
            let value = HeaderValue::from_str(value.expose()).map_err(|_| config("a header cannot be sent"))?;
            request.headers_mut().insert(name, value);
        }
        Ok((request, token))
    }

    async fn authorization(&self, login: Option<&Login>) -> Result<(Option<Secret>, Option<Secret>), ReadError> {
        let bearer = |token: &Secret| Secret::new(format!("Bearer {}", token.expose()));
        Ok(match (login, &self.tokens) {
            (Some(Login::Basic(user, password)), _) => {
                let pair = STANDARD.encode(format!("{}:{}", user.expose(), password.expose()));
                (Some(Secret::new(format!("Basic {pair}"))), None)
            }
            (Some(Login::Bearer(token)), _) => (Some(bearer(token)), None),
            (_, Some(tokens)) => {
                let token = tokens.get().await?;
                (Some(bearer(&token)), Some(token))
            }
            _ => (None, None),
        })
    }
}

/// Something that no try can mend.
fn config(what: impl Into<String>) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Config, what)
}

/// What a failure of a WebSocket means.
pub(super) fn failure(error: &Error) -> ReadError {
    let (kind, what) = match error {
        Error::Io(error) => return broken(error),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::HandshakeIncomplete | ProtocolError::ResetWithoutClosingHandshake) => {
            (ReadErrorKind::Unavailable, "the connection was cut")
        }
        Error::Capacity(_) => (ReadErrorKind::Protocol, "sent a message of more than 1 MiB"),
        Error::Url(_) | Error::HttpFormat(_) => (ReadErrorKind::Config, "the URL cannot be asked for"),
        _ => (ReadErrorKind::Protocol, "does not speak WebSocket"),
    };
    ReadError::endpoint(kind, what)
}

/// What a failure of the socket or of TLS means.
fn broken(error: &io::Error) -> ReadError {
    match tls_error(error) {
        Some(TlsError::AlertReceived(alert)) if about_us(*alert) => {
            let what = format!("refused our certificate, or wants one (TLS alert {alert:?})");
            ReadError::endpoint(ReadErrorKind::Auth, what)
        }
        None if is_closed(error) => ReadError::endpoint(ReadErrorKind::Unavailable, "the connection was cut"),
        _ => ReadError::endpoint(ReadErrorKind::Unavailable, told(error)),
    }
}

/// The next message, if the gateway has closed the stream: what that means.
pub(super) async fn next(socket: &mut Socket) -> Result<tokio_tungstenite::tungstenite::Message, ReadError> {
    match socket.next().await {
        Some(Ok(message)) => Ok(message),
        Some(Err(error)) => Err(failure(&error)),
        None => Err(failure(&Error::ConnectionClosed)),
    }
}
