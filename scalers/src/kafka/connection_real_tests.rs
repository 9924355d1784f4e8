//! Connections to real brokers: every way in, every wrong way, and what a broker that fails looks like.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use kafka_protocol::messages::MetadataRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::*;
use harness::{Kafka, Listener, NEWEST, PASSWORD, Plan, READER};

#[path = "../../../tests/harness/kafka/mod.rs"]
pub(in crate::kafka) mod harness;

/// The brokers of a plan, unless their version is not there. That fails under CI.
pub(in crate::kafka) fn start(plan: &Plan, version: &str, test: &str) -> Option<Kafka> {
    let Some(missing) = harness::missing(version) else {
        return Some(Kafka::start(plan));
    };
    let under_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!under_ci, "{test} needs {missing}");
    println!("skipped: {test} needs {missing}");
    None
}

/// The secured broker of all tests that do it no harm.
fn shared() -> Option<&'static Kafka> {
    static SHARED: LazyLock<Option<Kafka>> =
        LazyLock::new(|| start(&Plan::new(NEWEST).secured(), NEWEST, "the connection to a secured broker"));
    SHARED.as_ref()
}

/// Tests that start brokers of their own do it one after the other: each takes a third of a gigabyte.
pub(in crate::kafka) static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

fn trusted(kafka: &Kafka) -> TlsOptions {
    TlsOptions { ca: Some(Secret::new(kafka.certificates().ca.clone())), ..TlsOptions::default() }
}

fn login(password: &str) -> Login {
    Login { username: Secret::new(READER), password: Secret::new(password) }
}

async fn connect(
    kafka: &Kafka,
    listener: Listener,
    tls: Option<TlsOptions>,
    sasl: Option<Sasl>,
) -> Result<Connection, ReadError> {
    let address = kafka.address(1, listener);
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let connector = Connector::new(Arc::new(Cluster { bootstrap: Vec::new(), tls, sasl }));
    connector.connect("127.0.0.1", port).await
}

/// Connects and asks one thing; some refusals only come with the first answer.
async fn refusal(
    kafka: &Kafka,
    listener: Listener,
    tls: Option<TlsOptions>,
    sasl: Option<Sasl>,
) -> (ReadErrorKind, String) {
    let error = match connect(kafka, listener, tls, sasl).await {
        Ok(connection) => brokers(&connection).await.unwrap_err(),
        Err(error) => error,
    };
    let name = format!("Kafka broker {}", kafka.address(1, listener));
    (error.kind, error.message.strip_prefix(&name).unwrap().trim_start_matches([':', ' ']).to_owned())
}

/// How many brokers the broker knows.
async fn brokers(connection: &Connection) -> Result<usize, ReadError> {
    let version = connection.version::<MetadataRequest>(0..=12).unwrap();
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    Ok(connection.call(request, version).await?.brokers.len())
}

#[tokio::test]
async fn hundreds_of_requests_share_a_plain_connection() {
    let Some(kafka) = shared() else { return };
    let connection = connect(kafka, Listener::Open, None, None).await.unwrap();
    for answer in join_all((0..500).map(|_| brokers(&connection))).await {
        assert_eq!(answer, Ok(1));
    }
    assert!(connection.alive());
}

#[tokio::test]
async fn every_mechanism_logs_in_over_tls() {
    let Some(kafka) = shared() else { return };
    for sasl in [Sasl::Plain, Sasl::ScramSha256, Sasl::ScramSha512] {
        let connection = connect(kafka, Listener::Secure, Some(trusted(kafka)), Some(sasl(login(PASSWORD)))).await;
        assert_eq!(brokers(&connection.unwrap()).await, Ok(1));
        let sasl = sasl(login("wrong"));
        let mechanism = sasl.mechanism();
        let message = format!("refused the credentials ({mechanism}: SASL_AUTHENTICATION_FAILED (58))");
        let told = refusal(kafka, Listener::Secure, Some(trusted(kafka)), Some(sasl)).await;
        assert_eq!(told, (ReadErrorKind::Auth, message));
    }
}

/// An endpoint that gives one token, without a signature, which the brokers of the tests take.
async fn issuer(claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let token = format!("{}.{}.", part(r#"{"alg":"none"}"#), part(claims));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.read_buf(&mut Vec::with_capacity(8192)).await.unwrap();
        let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":60}}"#);
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    });
    url
}

#[tokio::test]
async fn a_token_logs_in_and_its_session_ends_with_it() {
    let Some(kafka) = shared() else { return };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let sasl = async |expires: u64| {
        let endpoint = issuer(&format!(r#"{{"sub":"{READER}","iat":{},"exp":{expires}}}"#, now - 600)).await;
        let (client, secret) = (Secret::new("c"), Secret::new("s"));
        let extensions = vec![("traceId".to_owned(), "123".to_owned())];
        Some(Sasl::OAuthBearer(OAuth { endpoint, client, secret, scopes: Vec::new(), extensions }))
    };
    let good = connect(kafka, Listener::Secure, Some(trusted(kafka)), sasl(now + 60).await).await.unwrap();
    assert_eq!(brokers(&good).await, Ok(1));
    let left = good.ends.expect("a token ends").saturating_duration_since(Instant::now());
    assert!(left <= Duration::from_secs(51) && left > Duration::from_secs(20), "{left:?}");
    let told = refusal(kafka, Listener::Secure, Some(trusted(kafka)), sasl(now - 300).await).await;
    let message = "refused the credentials (OAUTHBEARER: SASL_AUTHENTICATION_FAILED (58))".to_owned();
    assert_eq!(told, (ReadErrorKind::Auth, message));
}

#[tokio::test]
async fn a_session_that_the_broker_limits_is_left_before_its_end() {
    let Some(kafka) = shared() else { return };
    let sasl = || Some(Sasl::ScramSha256(login(PASSWORD)));
    let connection = connect(kafka, Listener::Brief, None, sasl()).await.unwrap();
    assert_eq!((brokers(&connection).await, connection.alive()), (Ok(1), true));
    let left = connection.ends.expect("the listener limits sessions").saturating_duration_since(Instant::now());
    assert!(left < Duration::from_secs(2), "{left:?}");
    tokio::time::sleep(left).await;
    assert!(!connection.alive());
    // What would happen otherwise.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(brokers(&connection).await.unwrap_err().kind, ReadErrorKind::Unavailable);
    assert_eq!(brokers(&connect(kafka, Listener::Brief, None, sasl()).await.unwrap()).await, Ok(1));
}

#[tokio::test]
async fn certificates_that_cannot_be_trusted_are_named() {
    let Some(kafka) = shared() else { return };
    let sasl = || Some(Sasl::Plain(login(PASSWORD)));
    let told = refusal(kafka, Listener::Secure, Some(TlsOptions::default()), sasl()).await;
    let message = "the server's certificate is signed by an authority that is not trusted".to_owned();
    assert_eq!(told, (ReadErrorKind::Unavailable, message));
    let told = refusal(kafka, Listener::Expired, Some(trusted(kafka)), sasl()).await;
    assert_eq!(told, (ReadErrorKind::Unavailable, "the server's certificate has expired".to_owned()));
    let insecure = TlsOptions { insecure: true, ..TlsOptions::default() };
    let connection = connect(kafka, Listener::Expired, Some(insecure), sasl()).await.unwrap();
    assert_eq!(brokers(&connection).await, Ok(1));
}

#[tokio::test]
async fn a_client_certificate_lets_in_and_a_wrong_one_is_about_credentials() {
    let Some(kafka) = shared() else { return };
    let made = kafka.certificates();
    let identified = |(cert, key): &(String, String)| {
        let (cert, key) = (Some(Secret::new(cert.clone())), Some(Secret::new(key.clone())));
        Some(TlsOptions { cert, key, ..trusted(kafka) })
    };
    let connection = connect(kafka, Listener::Mutual, identified(&made.client), None).await.unwrap();
    assert_eq!(brokers(&connection).await, Ok(1));
    for tls in [Some(trusted(kafka)), identified(&made.stranger)] {
        let (kind, message) = refusal(kafka, Listener::Mutual, tls, None).await;
        assert_eq!(kind, ReadErrorKind::Auth, "{message}");
        assert!(message.starts_with("refused our certificate, or wants one (TLS alert "), "{message}");
    }
}

#[tokio::test]
async fn the_wrong_kind_of_listener_is_named() {
    let Some(kafka) = shared() else { return };
    let sasl = || Some(Sasl::ScramSha512(login(PASSWORD)));
    let told = refusal(kafka, Listener::Open, Some(trusted(kafka)), None).await;
    assert_eq!(told.1, "ended the TLS handshake: it may not speak TLS");
    let told = refusal(kafka, Listener::Secure, None, sasl()).await;
    assert_eq!(told, (ReadErrorKind::Config, "speaks TLS, which is not switched on for the trigger".to_owned()));
    let told = refusal(kafka, Listener::Secure, Some(trusted(kafka)), None).await;
    assert_eq!(told, (ReadErrorKind::Unavailable, "closed the connection; it may want SASL".to_owned()));
    let told = refusal(kafka, Listener::Open, None, sasl()).await;
    assert_eq!(told, (ReadErrorKind::Config, "the listener wants no SASL".to_owned()));
}

#[tokio::test]
async fn older_brokers_are_spoken_to_in_their_versions() {
    let _one = ONE_AT_A_TIME.lock().await;
    for version in ["3.9", "2.8"] {
        let Some(kafka) = start(&Plan::new(version), version, "an older broker") else { return };
        let connection = connect(&kafka, Listener::Open, None, None).await.unwrap();
        assert_eq!(brokers(&connection).await, Ok(1), "Kafka {version}");
    }
}

/// Asks until nothing is answered: a process that is told to stop may still run for a moment.
async fn fall_silent(connection: &Connection) {
    while let Ok(answer) = timeout(Duration::from_millis(200), brokers(connection)).await {
        assert_eq!(answer, Ok(1));
    }
}

#[tokio::test]
async fn a_broker_that_hangs_is_waited_for_and_one_that_dies_is_lost() {
    let _one = ONE_AT_A_TIME.lock().await;
    let Some(mut kafka) = start(&Plan::new(NEWEST), NEWEST, "a broker that dies") else { return };
    let connection = connect(&kafka, Listener::Open, None, None).await.unwrap();
    kafka.hang(1);
    fall_silent(&connection).await;
    assert!(connection.alive());
    let told = refusal(&kafka, Listener::Open, None, None).await;
    assert_eq!(told, (ReadErrorKind::Timeout, "did not take the connection in time".to_owned()));
    kafka.go_on(1);
    assert_eq!(brokers(&connection).await, Ok(1), "the answer that nobody waits for harms nobody");
    kafka.hang(1);
    fall_silent(&connection).await;
    let asked = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        kafka.kill(1);
    };
    let (answer, ()) = tokio::join!(brokers(&connection), asked);
    assert_eq!(answer.unwrap_err().kind, ReadErrorKind::Unavailable);
    assert!(!connection.alive());
    let told = refusal(&kafka, Listener::Open, None, None).await;
    assert_eq!(told, (ReadErrorKind::Unavailable, "connection refused".to_owned()));
}
