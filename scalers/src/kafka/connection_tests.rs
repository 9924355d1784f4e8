//! A broker of a few lines plays every fault; a real one proves the rest (`connection_real_tests.rs`).

use std::future::Future;

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::join_all;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiVersionsResponse, ListOffsetsRequest, MetadataRequest, MetadataResponse, OffsetFetchRequest, ResponseHeader,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use tidegate_calculator::source::ErrorScope;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

/// A broker that does with each connection what a script says.
struct Fake {
    port: u16,
    task: JoinHandle<()>,
}

/// One connection, seen by the broker.
struct Guest(TcpStream);

/// A request, as far as the broker looks at it.
struct Asked {
    key: i16,
    version: i16,
    correlation: i32,
}

impl Fake {
    async fn start<F: Future<Output = ()> + Send + 'static>(script: impl Fn(Guest) -> F + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(script(Guest(socket)));
            }
        });
        Self { port, task }
    }

    async fn connect_with(&self, tls: Option<TlsOptions>, sasl: Option<Sasl>) -> Result<Connection, ReadError> {
        let bootstrap = vec![("127.0.0.1".to_owned(), self.port)];
        Connector::new(Arc::new(Cluster { bootstrap, tls, sasl })).connect("127.0.0.1", self.port).await
    }

    async fn connect(&self) -> Result<Connection, ReadError> {
        self.connect_with(None, None).await
    }

    /// What the error says after the broker's name.
    fn told(&self, error: &ReadError) -> (ReadErrorKind, String) {
        assert_eq!(error.scope, ErrorScope::Endpoint);
        let rest = error.message.strip_prefix(&format!("Kafka broker 127.0.0.1:{}", self.port));
        (error.kind, rest.unwrap_or_else(|| panic!("{error}")).trim_start_matches([':', ' ']).to_owned())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Guest {
    /// The next request; none at the end.
    async fn asked(&mut self) -> Option<Asked> {
        let length = self.0.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut frame).await.ok()?;
        let number = |at| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let correlation = i32::from_be_bytes(frame[4..8].try_into().unwrap());
        Some(Asked { key: number(0), version: number(2), correlation })
    }

    async fn answer<R: Request>(&mut self, asked: &Asked, response: &R::Response) {
        self.0.write_all(&framed::<R>(asked.version, asked.correlation, response)).await.unwrap();
    }

    /// Answers ApiVersions with these APIs, each from version 0 on.
    async fn greet(&mut self, apis: &[(i16, i16)]) {
        let asked = self.asked().await.unwrap();
        assert_eq!((asked.key, asked.version), (18, 3));
        self.answer::<ApiVersionsRequest>(&asked, &speaks(apis)).await;
    }

    /// Waits until the client hangs up.
    async fn stay(&mut self) {
        while self.asked().await.is_some() {}
    }
}

fn framed<R: Request>(version: i16, correlation: i32, response: &R::Response) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header.encode(&mut bytes, R::Response::header_version(version)).unwrap();
    response.encode(&mut bytes, version).unwrap();
    let length = i32::try_from(bytes.len() - 4).unwrap();
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.freeze()
}

fn speaks(apis: &[(i16, i16)]) -> ApiVersionsResponse {
    let api = |(key, max): &(i16, i16)| ApiVersion::default().with_api_key(*key).with_max_version(*max);
    ApiVersionsResponse::default().with_api_keys(apis.iter().map(api).collect())
}

/// Metadata up to version 12, SASL as it is since Kafka 2.5.
const APIS: &[(i16, i16)] = &[(3, 12), (17, 1), (36, 2)];

async fn metadata(connection: &Connection) -> Result<MetadataResponse, ReadError> {
    connection.call(MetadataRequest::default(), 12).await
}

fn numbered(number: i32) -> MetadataResponse {
    MetadataResponse::default().with_throttle_time_ms(number)
}

#[tokio::test]
async fn the_highest_common_version_is_used() {
    let fake = Fake::start(|mut guest| async move {
        guest.greet(&[(3, 12), (9, 4), (2, 999)]).await;
        guest.stay().await;
    })
    .await;
    let connection = fake.connect().await.unwrap();
    assert_eq!(connection.version::<MetadataRequest>(0..=99), Some(12));
    assert_eq!(connection.version::<MetadataRequest>(4..=9), Some(9));
    assert_eq!(connection.version::<OffsetFetchRequest>(8..=9), None, "the broker speaks less");
    assert_eq!(connection.version::<OffsetFetchRequest>(0..=7), Some(4));
    let codec = <ListOffsetsRequest as Message>::VERSIONS;
    assert_eq!(connection.version::<ListOffsetsRequest>(0..=999), Some(codec.max), "the codec speaks less");
    assert_eq!(connection.version::<ListOffsetsRequest>(0..=0), None, "the codec has forgotten it");
    assert_eq!(connection.version::<SaslHandshakeRequest>(0..=1), None, "the broker does not know it");
    assert_eq!(format!("{connection:?}"), format!("Connection to Kafka broker 127.0.0.1:{}", fake.port));
}

#[tokio::test]
async fn an_old_broker_is_asked_again_in_its_own_words() {
    let fake = Fake::start(|mut guest| async move {
        let first = guest.asked().await.unwrap();
        assert_eq!((first.key, first.version), (18, 3));
        let refusal = speaks(&[(18, 2)]).with_error_code(35);
        let frame = framed::<ApiVersionsRequest>(0, first.correlation, &refusal);
        guest.0.write_all(&frame).await.unwrap();
        let second = guest.asked().await.unwrap();
        assert_eq!((second.key, second.version), (18, 0));
        guest.answer::<ApiVersionsRequest>(&second, &speaks(&[(3, 5)])).await;
        guest.stay().await;
    })
    .await;
    assert_eq!(fake.connect().await.unwrap().version::<MetadataRequest>(0..=99), Some(5));
}

#[tokio::test]
async fn another_refusal_of_the_first_request_is_told() {
    let fake = Fake::start(|mut guest| async move {
        let asked = guest.asked().await.unwrap();
        guest.answer::<ApiVersionsRequest>(&asked, &speaks(&[]).with_error_code(-1)).await;
        guest.stay().await;
    })
    .await;
    let message = "answered ApiVersions with UNKNOWN_SERVER_ERROR (-1)".to_owned();
    assert_eq!(fake.told(&fake.connect().await.unwrap_err()), (ReadErrorKind::Protocol, message));
}

#[tokio::test]
async fn many_wait_at_once_and_each_gets_its_own_answer() {
    const MANY: i32 = 300;
    let fake = Fake::start(|mut guest| async move {
        guest.greet(APIS).await;
        let mut all = Vec::new();
        for _ in 0..MANY {
            all.push(guest.asked().await.unwrap());
        }
        // In an order that no broker has.
        for asked in all.iter().rev() {
            guest.answer::<MetadataRequest>(asked, &numbered(asked.correlation)).await;
        }
        guest.stay().await;
    })
    .await;
    let connection = fake.connect().await.unwrap();
    let answers = join_all((0..MANY).map(|_| metadata(&connection))).await;
    let mut numbers: Vec<i32> = answers.into_iter().map(|answer| answer.unwrap().throttle_time_ms).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=MANY).collect::<Vec<_>>());
}

#[tokio::test]
async fn whoever_gives_up_harms_nobody() {
    let fake = Fake::start(|mut guest| async move {
        guest.greet(APIS).await;
        let first = guest.asked().await.unwrap();
        let second = guest.asked().await.unwrap();
        guest.answer::<MetadataRequest>(&first, &numbered(1)).await;
        guest.answer::<MetadataRequest>(&second, &numbered(2)).await;
        guest.stay().await;
    })
    .await;
    let connection = fake.connect().await.unwrap();
    assert!(timeout(Duration::from_millis(30), metadata(&connection)).await.is_err());
    assert_eq!(metadata(&connection).await.unwrap().throttle_time_ms, 2);
    assert!(connection.alive());
}

/// Greets, hears one request, says `bytes` and closes; the error of the request, and that of one after it.
async fn after_greeting(bytes: &'static [u8], close: bool) -> (Fake, Connection, ReadError) {
    let fake = Fake::start(move |mut guest| async move {
        guest.greet(APIS).await;
        guest.asked().await;
        guest.0.write_all(bytes).await.unwrap();
        if !close {
            guest.stay().await;
        }
    })
    .await;
    let connection = fake.connect().await.unwrap();
    let (error, second) = tokio::join!(metadata(&connection), metadata(&connection));
    let error = error.unwrap_err();
    assert_eq!(second.unwrap_err(), error, "everybody who waits hears it");
    assert!(!connection.alive());
    assert_eq!(metadata(&connection).await.unwrap_err(), error, "and everybody who comes later");
    (fake, connection, error)
}

#[tokio::test]
async fn a_connection_that_is_cut_fails_everybody() {
    let (fake, _connection, error) = after_greeting(b"", true).await;
    let message = "closed the connection; it may want SASL".to_owned();
    assert_eq!(fake.told(&error), (ReadErrorKind::Unavailable, message.clone()));
    let (fake, _connection, error) = after_greeting(&[0, 0, 0, 40, 0, 0], true).await;
    assert_eq!(fake.told(&error), (ReadErrorKind::Unavailable, message), "in the middle of an answer");
}

#[tokio::test]
async fn nonsense_ends_the_connection() {
    let stray = "does not speak Kafka's protocol: an answer to nothing that was asked";
    let length = "does not speak Kafka's protocol: a frame has an impossible length";
    let cases: [(&[u8], &str); 4] = [
        (&[0, 0, 0, 4, 0, 0, 0, 99], stray),
        (&[0, 0, 0, 0], length),
        (&[0x7f, 0xff, 0xff, 0xff], length),
        (b"garbage!", length),
    ];
    for (bytes, message) in cases {
        let (fake, _connection, error) = after_greeting(bytes, false).await;
        assert_eq!(fake.told(&error), (ReadErrorKind::Protocol, message.to_owned()));
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_ends_the_connection() {
    let fake = Fake::start(|mut guest| async move {
        guest.greet(APIS).await;
        guest.asked().await;
        // The right correlation id, then a list of two thousand million brokers.
        guest.0.write_all(&[0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]).await.unwrap();
        guest.stay().await;
    })
    .await;
    let connection = fake.connect().await.unwrap();
    let error = metadata(&connection).await.unwrap_err();
    let message = "sent an answer to Metadata v12 that cannot be read".to_owned();
    assert_eq!(fake.told(&error), (ReadErrorKind::Protocol, message));
    assert_eq!((connection.alive(), metadata(&connection).await.unwrap_err()), (false, error));
}

#[tokio::test]
async fn a_request_that_cannot_be_written_harms_nobody() {
    let fake = Fake::start(|mut guest| async move {
        guest.greet(APIS).await;
        let asked = guest.asked().await.unwrap();
        guest.answer::<MetadataRequest>(&asked, &numbered(7)).await;
        guest.stay().await;
    })
    .await;
    let connection = fake.connect().await.unwrap();
    let error = connection.call(MetadataRequest::default(), 99).await.unwrap_err();
    assert_eq!(fake.told(&error).1, "cannot be asked: Metadata v99 cannot be written");
    assert_eq!(metadata(&connection).await.unwrap().throttle_time_ms, 7);
}

#[tokio::test]
async fn a_broker_that_falls_silent_is_left_when_the_connection_is_dropped() {
    let (gone, mut heard) = tokio::sync::mpsc::channel(1);
    let fake = Fake::start(move |mut guest| {
        let gone = gone.clone();
        async move {
            guest.greet(APIS).await;
            guest.asked().await;
            guest.0.write_all(&[0, 0, 0, 40, 0, 0]).await.unwrap();
            guest.stay().await;
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let connection = fake.connect().await.unwrap();
    assert!(timeout(Duration::from_millis(30), metadata(&connection)).await.is_err());
    assert!(connection.alive(), "half a frame is no error yet");
    drop(connection);
    assert_eq!(timeout(Duration::from_secs(20), heard.recv()).await, Ok(Some(())));
}

#[tokio::test]
async fn the_system_asks_whether_a_silent_connection_still_stands() {
    let fake = Fake::start(|mut guest| async move { guest.stay().await }).await;
    let peer = Peer::new("127.0.0.1", fake.port, false, None);
    let socket = socket(&peer).await.unwrap();
    let seen = SockRef::from(&socket);
    assert!(seen.keepalive().unwrap());
    // Balancers and firewalls forget after a minute at the earliest.
    assert!(seen.tcp_keepalive_time().unwrap() <= Duration::from_secs(30));
    assert!(seen.tcp_keepalive_interval().unwrap() * seen.tcp_keepalive_retries().unwrap() <= Duration::from_secs(30));
}

#[tokio::test]
async fn an_address_that_is_silent_or_refuses_does_not_hide_the_next() {
    // A full queue of connections: what comes then is not answered, as if the packets were lost.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = silent.listen(0).unwrap();
    let unheard = silent.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(socket) = timeout(Duration::from_millis(100), TcpStream::connect(unheard)).await {
        filling.push(socket.unwrap());
        assert!(filling.len() < 100, "the queue is never full");
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fake = Fake::start(|mut guest| async move { guest.stay().await }).await;
    let living: SocketAddr = ([127, 0, 0, 1], fake.port).into();
    let reached = async |addresses: &[SocketAddr]| {
        let socket = timeout(CONNECT, race(addresses.iter().copied())).await.expect("in time");
        socket.and_then(|socket| socket.peer_addr()).map_err(|error| error.kind())
    };
    assert_eq!(reached(&[unheard, living]).await, Ok(living));
    assert_eq!(reached(&[closed, unheard, unheard, living]).await, Ok(living));
    assert_eq!(reached(&[living, unheard]).await, Ok(living));
    assert_eq!(reached(&[closed]).await, Err(io::ErrorKind::ConnectionRefused));
    assert_eq!(reached(&[]).await, Err(io::ErrorKind::NotFound));
}

#[tokio::test]
async fn a_broker_that_never_greets_is_given_up() {
    let fake = Fake::start(|mut guest| async move { guest.stay().await }).await;
    let message = "did not take the connection in time".to_owned();
    assert_eq!(fake.told(&fake.connect().await.unwrap_err()), (ReadErrorKind::Timeout, message));
}

#[tokio::test]
async fn what_listens_but_is_no_broker_of_ours_is_named() {
    let cases: [(&[u8], ReadErrorKind, &str); 3] = [
        (b"", ReadErrorKind::Unavailable, "closed the connection; it may want TLS, or not be Kafka"),
        (&[0x15, 3, 3, 0, 2, 2, 10], ReadErrorKind::Config, "speaks TLS, which is not switched on for the trigger"),
        (b"HTTP/1.1 400 Bad Request\r\n", ReadErrorKind::Protocol, "speaks HTTP, not Kafka's protocol"),
    ];
    for (bytes, kind, message) in cases {
        let fake = Fake::start(move |mut guest| async move {
            guest.asked().await;
            guest.0.write_all(bytes).await.unwrap();
        })
        .await;
        assert_eq!(fake.told(&fake.connect().await.unwrap_err()), (kind, message.to_owned()));
    }
}

#[tokio::test]
async fn tls_to_a_plain_listener_is_named() {
    let cases: [(&[u8], &str); 2] = [
        (b"", "ended the TLS handshake: it may not speak TLS"),
        (b"HTTP/1.1 400 Bad Request\r\n", "the server does not speak TLS"),
    ];
    for (bytes, message) in cases {
        let fake = Fake::start(move |mut guest| async move {
            guest.0.read_buf(&mut Vec::with_capacity(8192)).await.unwrap();
            guest.0.write_all(bytes).await.unwrap();
        })
        .await;
        let error = fake.connect_with(Some(TlsOptions::default()), None).await.unwrap_err();
        assert_eq!(fake.told(&error), (ReadErrorKind::Unavailable, message.to_owned()));
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let connector = Connector::new(Arc::new(Cluster { bootstrap: Vec::new(), tls: None, sasl: None }));
    let error = connector.connect("127.0.0.1", port).await.unwrap_err();
    let message = format!("Kafka broker 127.0.0.1:{port}: connection refused");
    assert_eq!((error.kind, error.message), (ReadErrorKind::Unavailable, message));
    let error = connector.connect("no-such-host.invalid", 9092).await.unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::Unavailable | ReadErrorKind::Timeout), "{error}");
    assert!(error.message.starts_with("Kafka broker no-such-host.invalid:9092"), "{error}");
}

#[tokio::test]
async fn tls_settings_that_cannot_be_used_are_a_question_of_configuration() {
    let fake = Fake::start(|mut guest| async move { guest.stay().await }).await;
    let options = TlsOptions { ca: Some(Secret::new("nonsense")), ..TlsOptions::default() };
    let error = fake.connect_with(Some(options), None).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Config, "{error}");
    assert!(!error.message.contains("nonsense"));
}

#[test]
fn a_cluster_is_named_by_its_first_brokers() {
    let bootstrap = vec![("a".to_owned(), 9092), ("::1".to_owned(), 9093)];
    assert_eq!(Cluster { bootstrap, tls: None, sasl: None }.name(), "Kafka at a:9092,[::1]:9093");
}

fn scram() -> Sasl {
    Sasl::ScramSha256(Login { username: Secret::new("alice"), password: Secret::new("hunter2") })
}

fn plain() -> Sasl {
    Sasl::Plain(Login { username: Secret::new("alice"), password: Secret::new("hunter2") })
}

/// Logs in at a broker that answers the handshake and each message of ours with these.
async fn log_in(
    sasl: Sasl,
    handshake: SaslHandshakeResponse,
    answers: Vec<SaslAuthenticateResponse>,
) -> (Fake, Result<Connection, ReadError>) {
    let fake = Fake::start(move |mut guest| {
        let (handshake, answers) = (handshake.clone(), answers.clone());
        async move {
            guest.greet(APIS).await;
            let asked = guest.asked().await.unwrap();
            guest.answer::<SaslHandshakeRequest>(&asked, &handshake).await;
            for answer in answers {
                let Some(asked) = guest.asked().await else { return };
                guest.answer::<SaslAuthenticateRequest>(&asked, &answer).await;
            }
            guest.stay().await;
        }
    })
    .await;
    let connection = fake.connect_with(None, Some(sasl)).await;
    (fake, connection)
}

fn says(bytes: &'static [u8]) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default().with_error_message(None).with_auth_bytes(Bytes::from_static(bytes))
}

async fn refusal(sasl: Sasl, handshake: i16, answers: Vec<SaslAuthenticateResponse>) -> (ReadErrorKind, String) {
    let mechanisms = ["PLAIN", "OAUTHBEARER"].map(StrBytes::from_static_str).to_vec();
    let handshake = SaslHandshakeResponse::default().with_error_code(handshake).with_mechanisms(mechanisms);
    let (fake, connection) = log_in(sasl, handshake, answers).await;
    let error = connection.unwrap_err();
    assert!(!error.message.contains("alice") && !error.message.contains("hunter2"), "{error}");
    fake.told(&error)
}

#[tokio::test]
async fn a_mechanism_that_is_not_enabled_is_a_question_of_configuration() {
    let message = "the SASL mechanism SCRAM-SHA-256 is not enabled; enabled are: PLAIN, OAUTHBEARER".to_owned();
    assert_eq!(refusal(scram(), 33, Vec::new()).await, (ReadErrorKind::Config, message));
    let message = "the listener wants no SASL".to_owned();
    assert_eq!(refusal(scram(), 34, Vec::new()).await, (ReadErrorKind::Config, message));
    let message = "answered SaslHandshake with unknown error code 1234".to_owned();
    assert_eq!(refusal(scram(), 1234, Vec::new()).await, (ReadErrorKind::Protocol, message));
}

#[tokio::test]
async fn a_refused_login_names_the_mechanism_and_not_the_user() {
    let wrong = says(b"").with_error_code(58).with_error_message(Some(StrBytes::from_static_str("no alice here")));
    let message = "refused the credentials (PLAIN: SASL_AUTHENTICATION_FAILED (58))".to_owned();
    assert_eq!(refusal(plain(), 0, vec![wrong]).await, (ReadErrorKind::Auth, message));
    let message = "answered SaslAuthenticate with UNKNOWN_SERVER_ERROR (-1)".to_owned();
    assert_eq!(refusal(plain(), 0, vec![says(b"").with_error_code(-1)]).await, (ReadErrorKind::Unavailable, message));
}

#[tokio::test]
async fn a_broker_that_breaks_the_rules_of_scram_is_refused() {
    let message = "does not speak SCRAM-SHA-256: the nonce is not ours".to_owned();
    let challenge = says(b"r=stolen,s=W22Z,i=4096");
    assert_eq!(refusal(scram(), 0, vec![challenge]).await, (ReadErrorKind::Protocol, message));
    let message = "refused the credentials (SCRAM-SHA-256: unknown-user)".to_owned();
    assert_eq!(refusal(scram(), 0, vec![says(b"e=unknown-user")]).await, (ReadErrorKind::Auth, message));
}

#[tokio::test]
async fn a_broker_without_authentication_requests_is_too_old() {
    let fake = Fake::start(|mut guest| async move {
        guest.greet(&[(3, 2), (17, 0)]).await;
        guest.stay().await;
    })
    .await;
    let error = fake.connect_with(None, Some(plain())).await.unwrap_err();
    let message = "SASL needs a broker of version 1.0 or newer".to_owned();
    assert_eq!(fake.told(&error), (ReadErrorKind::Config, message));
}

#[tokio::test]
async fn a_session_is_left_before_it_ends() {
    let handshake = SaslHandshakeResponse::default;
    let (_fake, forever) = log_in(plain(), handshake(), vec![says(b"")]).await;
    let (_fake, long) = log_in(plain(), handshake(), vec![says(b"").with_session_lifetime_ms(i64::MAX)]).await;
    let (_fake, short) = log_in(plain(), handshake(), vec![says(b"").with_session_lifetime_ms(1000)]).await;
    let (forever, long, short) = (forever.unwrap(), long.unwrap(), short.unwrap());
    assert!(forever.ends.is_none() && forever.alive() && long.alive());
    let left = short.ends.unwrap().saturating_duration_since(Instant::now());
    assert!(left <= Duration::from_millis(850), "{left:?}");
    tokio::time::sleep(left).await;
    assert!(!short.alive());
    let (_fake, negative) = log_in(plain(), handshake(), vec![says(b"").with_session_lifetime_ms(-5)]).await;
    assert!(negative.unwrap().ends.is_none());
}

#[tokio::test]
async fn a_refused_token_is_fetched_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let issuer = tokio::spawn(async move {
        for number in 1..=2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.read_buf(&mut Vec::with_capacity(8192)).await.unwrap();
            let body = format!(r#"{{"access_token":"t{number}","expires_in":3600}}"#);
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    let (client, secret) = (Secret::new("c"), Secret::new("s"));
    let sasl = Sasl::OAuthBearer(OAuth { endpoint, client, secret, scopes: Vec::new(), extensions: Vec::new() });
    let fake = Fake::start(|mut guest| async move {
        guest.greet(APIS).await;
        let asked = guest.asked().await.unwrap();
        guest.answer::<SaslHandshakeRequest>(&asked, &SaslHandshakeResponse::default()).await;
        for answer in [says(b"{\"status\":\"invalid_token\"}"), says(b"").with_error_code(58)] {
            let asked = guest.asked().await.unwrap();
            guest.answer::<SaslAuthenticateRequest>(&asked, &answer).await;
        }
        guest.stay().await;
    })
    .await;
    let connector = Connector::new(Arc::new(Cluster { bootstrap: Vec::new(), tls: None, sasl: Some(sasl) }));
    for _ in 1..=2 {
        let error = connector.connect("127.0.0.1", fake.port).await.unwrap_err();
        let message = "refused the credentials (OAUTHBEARER: SASL_AUTHENTICATION_FAILED (58))".to_owned();
        assert_eq!(fake.told(&error), (ReadErrorKind::Auth, message));
    }
    // It ends with the second fetch: the refused token was not kept.
    timeout(Duration::from_secs(20), issuer).await.unwrap().unwrap();
}
