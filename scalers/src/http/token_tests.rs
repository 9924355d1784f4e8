use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers every request with what `answer` says to its text, and counts them. Nothing is an endpoint that hangs.
async fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !whole(&request) {
                if socket.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            counted.fetch_add(1, Ordering::SeqCst);
            let reply = answer(&String::from_utf8(request).unwrap());
            socket.write_all(reply.as_bytes()).await.unwrap();
            if reply.is_empty() {
                held.push(socket);
            }
        }
    });
    (url, count)
}

fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn tokens(endpoint: &str, scopes: &[&str]) -> Tokens {
    Tokens::new(Grant {
        endpoint: endpoint.to_owned(),
        client: Secret::new("cli ent"),
        secret: Secret::new("s:ü"),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        extra: Vec::new(),
        ca: None,
    })
}

async fn failure(status: &str, body: &str) -> (ReadErrorKind, String) {
    let reply = http(status, body);
    let (url, _) = server(move |_| reply.clone()).await;
    let error = tokens(&url, &[]).get().await.unwrap_err();
    (error.kind, error.message.replace(&url, "URL"))
}

const GOOD: &str = r#"{"access_token":"abc.def","token_type":"Bearer","expires_in":3600}"#;

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_was_refused() {
    let (url, count) = server(|request| {
        assert!(request.starts_with("POST /token HTTP/1.1\r\n"), "{request}");
        // Name and secret are written as in a form first: `cli+ent:s%3A%C3%BC`.
        assert!(request.contains("authorization: Basic Y2xpK2VudDpzJTNBJUMzJUJD\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\ngrant_type=client_credentials&scope=read+write"), "{request}");
        http("200 OK", GOOD)
    })
    .await;
    let tokens = tokens(&url, &["read", "write", ""]);
    let (first, second) = tokio::join!(tokens.get(), tokens.get());
    assert_eq!([first.unwrap(), second.unwrap()].map(|token| token.expose().to_owned()), ["abc.def", "abc.def"]);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    tokens.forget(&Secret::new("another")).await;
    tokens.get().await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    tokens.forget(&Secret::new("abc.def")).await;
    tokens.get().await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_server_that_wants_the_credentials_in_the_form_gets_them_there() {
    let (url, count) = server(|request| {
        let in_form = request.ends_with("grant_type=client_credentials&client_id=cli+ent&client_secret=s%3A%C3%BC");
        assert_ne!(in_form, request.contains("authorization: "), "{request}");
        if in_form { http("200 OK", &GOOD.replace("3600", "0")) } else { http("401 Unauthorized", "{}") }
    })
    .await;
    let tokens = tokens(&url, &[]);
    tokens.get().await.unwrap();
    tokens.get().await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 3, "the second fetch knows the way");
}

#[tokio::test]
async fn a_fetch_goes_on_when_its_asker_gives_up() {
    let gate = Arc::new(std::sync::Barrier::new(2));
    let server_gate = Arc::clone(&gate);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let tokens = tokens(&url, &[]);
    let asked = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.read_buf(&mut Vec::with_capacity(8192)).await.unwrap();
        tokio::task::spawn_blocking(move || server_gate.wait()).await.unwrap();
        socket.write_all(http("200 OK", GOOD).as_bytes()).await.unwrap();
    });
    let impatient = tokio::time::timeout(Duration::from_millis(50), tokens.get()).await;
    assert!(impatient.is_err());
    tokio::task::spawn_blocking(move || gate.wait()).await.unwrap();
    assert_eq!(tokens.get().await.unwrap().expose(), "abc.def");
    asked.await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_still_good_is_used_when_the_next_cannot_be_had() {
    for failure in ["401 Unauthorized", "503 Service Unavailable", "hangs"] {
        let given = AtomicBool::new(false);
        let (url, count) = server(move |_| {
            let first = !given.swap(true, Ordering::SeqCst);
            match failure {
                // Eight seconds are all within the last ten.
                _ if first => http("200 OK", &GOOD.replace("3600", "8")),
                "hangs" => String::new(),
                failure => http(failure, "{}"),
            }
        })
        .await;
        let tokens = tokens(&url, &[]);
        assert_eq!(tokens.get().await.unwrap().expose(), "abc.def");
        assert_eq!(tokens.get().await.unwrap().expose(), "abc.def", "{failure}");
        let asked = count.load(Ordering::SeqCst);
        assert!(asked >= 2, "the next one was asked for: {asked}");
        assert_eq!(tokens.get().await.unwrap().expose(), "abc.def", "{failure}");
        assert_eq!(count.load(Ordering::SeqCst), asked, "and is not asked for all the time");
        tokens.forget(&Secret::new("abc.def")).await;
        assert_eq!(kept(&tokens).await, None, "what Kafka refused is not good");
    }
}

/// The token that is kept.
async fn kept(tokens: &Tokens) -> Option<String> {
    tokens.0.kept.lock().await.token.as_ref().map(|token| token.text.expose().to_owned())
}

#[tokio::test]
async fn a_refusal_is_kept_for_a_while_and_no_other_failure() {
    for (status, kind, kept) in [
        ("401 Unauthorized", ReadErrorKind::Auth, true),
        ("503 Service Unavailable", ReadErrorKind::Unavailable, false),
    ] {
        let (url, count) = server(move |_| http(status, "{}")).await;
        let tokens = tokens(&url, &[]);
        let first = tokens.get().await.unwrap_err();
        let asked = count.load(Ordering::SeqCst);
        assert_eq!((tokens.get().await.unwrap_err(), first.kind), (first, kind));
        assert_eq!(count.load(Ordering::SeqCst) == asked, kept, "{status}");
    }
    let error = || ReadError::endpoint(ReadErrorKind::Auth, "refused");
    let (mut kept, now) = (Kept::default(), Instant::now());
    assert!(kept.take(Err(error()), now).is_err() && kept.answer(now).is_some());
    assert!(kept.answer(now + RESPITE).is_none(), "then it is asked again");
    let good_until = Some(now + Duration::from_mins(1));
    kept.token = Some(Token { text: Secret::new("t"), fresh_until: Some(now), good_until });
    assert!(kept.take(Err(error()), now).is_ok());
    assert!(kept.take(Err(error()), now + Duration::from_mins(1)).is_err(), "not beyond its end");
}

#[tokio::test]
async fn failures_are_told_apart() {
    let cases = [
        (
            "401 Unauthorized",
            r#"{"error":"invalid_client"}"#,
            ReadErrorKind::Auth,
            "refused the client's credentials or scopes (401: invalid_client)",
        ),
        (
            "400 Bad Request",
            r#"{"error":"<script>"}"#,
            ReadErrorKind::Auth,
            "refused the client's credentials or scopes (400: no reason that can be told)",
        ),
        ("403 Forbidden", "no", ReadErrorKind::Auth, "refused the client's credentials or scopes (403)"),
        (
            "302 Found\r\nlocation: http://127.0.0.1:1/",
            "",
            ReadErrorKind::Config,
            "answered with a redirect (302), which credentials do not follow",
        ),
        ("404 Not Found", "", ReadErrorKind::Config, "is not a token endpoint (status 404)"),
        ("503 Service Unavailable", "", ReadErrorKind::Unavailable, "failed with status 503"),
        ("429 Too Many Requests", "", ReadErrorKind::Unavailable, "failed with status 429"),
        ("200 OK", "<html>", ReadErrorKind::Protocol, "answered without an access_token"),
        (
            "200 OK",
            r#"{"access_token":"a\u0001b"}"#,
            ReadErrorKind::Protocol,
            "answered with an access_token that cannot be sent",
        ),
        (
            "200 OK",
            r#"{"access_token":"ab","token_type":"mac"}"#,
            ReadErrorKind::Protocol,
            "answered with a token that is not a bearer token",
        ),
    ];
    for (status, body, kind, what) in cases {
        assert_eq!(failure(status, body).await, (kind, format!("the token endpoint URL {what}")));
    }
    let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(LONGEST));
    assert_eq!(failure("200 OK", &long).await.1, "the token endpoint URL answered with more than 64 KiB");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unavailable() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = tokens(&format!("http://me:secret@127.0.0.1:{port}/t?key=hidden"), &[]).get().await.unwrap_err();
    let message = format!("the token endpoint http://127.0.0.1:{port}/t cannot be reached: connection refused");
    assert_eq!((error.kind, error.message), (ReadErrorKind::Unavailable, message));
}

#[tokio::test]
async fn an_endpoint_with_a_private_certificate_is_not_trusted() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let (socket, _) = listener.accept().await.unwrap();
        drop(acceptor.accept(socket).await);
    });
    let error = tokens(&format!("https://localhost:{port}/"), &[]).get().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
    assert!(
        error.message.ends_with("the server's certificate is signed by an authority that is not trusted"),
        "{error}"
    );
}

#[test]
fn a_token_is_left_before_its_end() {
    let seconds = |text: &str| life(Some(&serde_json::from_str(text).unwrap())).0.as_secs();
    assert_eq!([seconds("3600"), seconds("\"3600\""), seconds("3600.5")], [2880; 3]);
    assert_eq!([seconds("30"), seconds("10"), seconds("5"), seconds("0")], [20, 0, 0, 0]);
    assert_eq!(seconds("1e300"), 31_536_000);
    for untold in ["null", "-5", "\"soon\"", "true", "\"NaN\""] {
        assert_eq!(seconds(untold), UNTOLD.as_secs(), "{untold}");
    }
    assert_eq!(life(None), (UNTOLD, UNTOLD));
    assert_eq!(life(Some(&Value::from(3600))).1, Duration::from_hours(1));
}

#[test]
fn proxies_are_not_asked_for_what_is_on_this_machine() {
    let local = |url: &str| is_local(&Url::parse(url).unwrap());
    assert!(["http://localhost:1/", "http://127.0.0.2/", "https://[::1]:4/"].into_iter().all(local));
    assert!(!["http://localhost.example/", "http://10.0.0.1/", "https://[fe80::1]/"].into_iter().any(local));
}
