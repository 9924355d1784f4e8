//! A token endpoint (OAuth 2.0, client credentials) for the brokers of the tests, which take tokens without a signature.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::brokers::{PASSWORD, READER};

/// A running endpoint. Dropping it ends it.
pub(crate) struct TokenEndpoint {
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

/// How it answers, and what it has done.
struct State {
    /// How long its tokens last, in seconds; in the past for those that have expired.
    life: AtomicI64,
    given: AtomicUsize,
}

impl TokenEndpoint {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State { life: AtomicI64::new(300), given: AtomicUsize::new(0) });
        let of_task = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = answer(stream, &of_task).await;
            }
        });
        Self { port, state, task }
    }

    /// As a trigger's `oauthTokenEndpointUri`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    /// From now on it gives tokens that last so many seconds.
    pub(crate) fn lasting(&self, seconds: i64) {
        self.state.life.store(seconds, Ordering::SeqCst);
    }

    /// How many tokens it has given.
    pub(crate) fn given(&self) -> usize {
        self.state.given.load(Ordering::SeqCst)
    }
}

impl Drop for TokenEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !complete(&request) {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let basic = format!("basic {}", STANDARD.encode(format!("{READER}:{PASSWORD}"))).to_lowercase();
    let known = text.to_lowercase().contains(&basic) || text.contains(&format!("client_secret={PASSWORD}"));
    let (status, body) = if known {
        state.given.fetch_add(1, Ordering::SeqCst);
        let life = state.life.load(Ordering::SeqCst);
        let token = token(life);
        ("200 OK", format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{}}}"#, life.max(60)))
    } else {
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned())
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// A token for the reader that nobody has signed.
fn token(life: i64) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let claims = format!(r#"{{"sub":"{READER}","iat":{},"exp":{}}}"#, now - 600, now + life);
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims))
}
