//! Fetches tokens by client credentials (RFC 6749 §4.4), and keeps each until shortly before its end.
//!
//! The token endpoint is trusted by the system's certificate authorities and by those that the grant names.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde_json::Value;
use tidegate_calculator::source::{ReadError, ReadErrorKind, Secret};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::word;
use crate::network::told;
use crate::tls::TlsOptions;

/// How long the endpoint may take. Longer than a read may take: an answer that comes too late for one serves the next.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take while there is still a token to use.
const HASTE: Duration = Duration::from_secs(1);

/// For how long nobody asks again after a refusal, or after a failure while there is still a token to use.
const RESPITE: Duration = Duration::from_secs(15);

/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// How long a token is used whose end is not told.
const UNTOLD: Duration = Duration::from_mins(1);

/// Where tokens come from and for whom.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Grant {
    /// The token endpoint's URL.
    pub(crate) endpoint: String,
    /// The client's id.
    pub(crate) client: Secret,
    /// The client's secret.
    pub(crate) secret: Secret,
    /// The scopes asked for.
    pub(crate) scopes: Vec<String>,
    /// What else the endpoint is told, such as `audience`.
    pub(crate) extra: Vec<(String, Secret)>,
    /// Certificate authorities to trust beside the system's, PEM.
    pub(crate) ca: Option<Secret>,
}

/// The tokens of one client, at most one at a time.
pub(crate) struct Tokens(Arc<Source>);

struct Source {
    grant: Grant,
    kept: Arc<Mutex<Kept>>,
    /// Whether the endpoint wants the credentials in the form rather than in the header, as we once found.
    in_form: AtomicBool,
}

/// What the last fetches left behind.
#[derive(Default)]
struct Kept {
    token: Option<Token>,
    /// Why the last one failed, and until when it is not tried again.
    failure: Option<(ReadError, Instant)>,
}

struct Token {
    text: Secret,
    /// When to fetch the next one.
    fresh_until: Option<Instant>,
    /// Its end, as it was told: until then it will do if no other is to be had.
    good_until: Option<Instant>,
}

impl Tokens {
    pub(crate) fn new(grant: Grant) -> Self {
        Self(Arc::new(Source { grant, kept: Arc::default(), in_form: AtomicBool::new(false) }))
    }

    /// A token that is good for now. Many may wait; one fetches. Dropping the future does not stop the fetch.
    pub(crate) async fn get(&self) -> Result<Secret, ReadError> {
        let mut kept = Arc::clone(&self.0.kept).lock_owned().await;
        if let Some(known) = kept.answer(Instant::now()) {
            return known;
        }
        let source = Arc::clone(&self.0);
        let fetching = tokio::spawn(async move {
            let patience = if kept.usable(Instant::now()).is_some() { HASTE } else { PATIENCE };
            let late = |_| Err(source.failure(ReadErrorKind::Timeout, "did not answer in time"));
            let fetched = timeout(patience, source.fetch()).await.unwrap_or_else(late);
            kept.take(fetched, Instant::now())
        });
        let stopped = |_| self.0.failure(ReadErrorKind::Unavailable, "was not asked to the end");
        fetching.await.map_err(stopped)?
    }

    /// Forgets a token that was refused.
    pub(crate) async fn forget(&self, refused: &Secret) {
        let mut kept = self.0.kept.lock().await;
        if kept.token.as_ref().is_some_and(|token| token.text == *refused) {
            *kept = Kept::default();
        }
    }
}

impl Kept {
    /// What can be said without asking.
    fn answer(&self, now: Instant) -> Option<Result<Secret, ReadError>> {
        let fresh = |token: &&Token| token.fresh_until.is_some_and(|end| now < end);
        if let Some(token) = self.token.as_ref().filter(fresh) {
            return Some(Ok(token.text.clone()));
        }
        let (error, _) = self.failure.as_ref().filter(|(_, until)| now < *until)?;
        Some(self.usable(now).ok_or_else(|| error.clone()))
    }

    /// A token that will do if no other is to be had.
    fn usable(&self, now: Instant) -> Option<Secret> {
        let token = self.token.as_ref().filter(|token| token.good_until.is_some_and(|end| now < end))?;
        Some(token.text.clone())
    }

    /// Takes in what a fetch gave.
    fn take(&mut self, fetched: Result<Token, ReadError>, now: Instant) -> Result<Secret, ReadError> {
        let error = match fetched {
            Ok(token) => {
                let text = token.text.clone();
                *self = Self { token: Some(token), failure: None };
                return Ok(text);
            }
            Err(error) => error,
        };
        let usable = self.usable(now);
        let rests = usable.is_some() || error.kind == ReadErrorKind::Auth;
        self.failure = rests.then(|| (error.clone(), now + RESPITE));
        usable.ok_or(error)
    }
}

impl Source {
    async fn fetch(&self) -> Result<Token, ReadError> {
        let url = Url::parse(&self.grant.endpoint).map_err(|_| self.failure(ReadErrorKind::Config, "is not a URL"))?;
        let client = self.client(&url)?;
        let asked = Instant::now();
        let in_form = self.in_form.load(Ordering::Relaxed);
        let mut response = self.ask(&client, url.clone(), in_form).await?;
        // Servers differ in where they want the credentials, and say no more than that these are wrong.
        if matches!(response.status(), StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
            let other = self.ask(&client, url, !in_form).await?;
            if other.status().is_success() {
                self.in_form.store(!in_form, Ordering::Relaxed);
                response = other;
            }
        }
        let status = response.status();
        let body = self.body(response).await?;
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        token(&body, asked).map_err(|what| self.failure(ReadErrorKind::Protocol, what))
    }

    /// A client for one fetch: they are minutes apart, and a kept connection would only be found closed.
    fn client(&self, url: &Url) -> Result<Client, ReadError> {
        let unusable = || self.failure(ReadErrorKind::Config, "cannot be asked: no TLS client can be made");
        let trusted = TlsOptions { ca: self.grant.ca.clone(), ..TlsOptions::default() };
        let tls = trusted.client().map_err(|_| unusable())?;
        let mut builder = Client::builder().tls_backend_preconfigured((*tls).clone());
        // The proxies of the environment are for others than ourselves, as in Go's clients, and thus in KEDA.
        if is_local(url) {
            builder = builder.no_proxy();
        }
        // Credentials do not follow redirects.
        builder.redirect(redirect::Policy::none()).timeout(PATIENCE).build().map_err(|_| unusable())
    }

    async fn ask(&self, client: &Client, url: Url, in_form: bool) -> Result<Response, ReadError> {
        let Grant { client: id, secret, scopes, extra, .. } = &self.grant;
        let scopes = scopes.iter().map(String::as_str).filter(|scope| !scope.is_empty()).collect::<Vec<_>>().join(" ");
        let mut form = vec![("grant_type", "client_credentials")];
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        form.extend(extra.iter().map(|(name, value)| (name.as_str(), value.expose())));
        let request = client.post(url).header("accept", "application/json");
        let request = if in_form {
            form.extend([("client_id", id.expose()), ("client_secret", secret.expose())]);
            request
        } else {
            request.basic_auth(encoded(id), Some(encoded(secret)))
        };
        request.form(&form).send().await.map_err(|error| self.unreachable(&error))
    }

    async fn body(&self, mut response: Response) -> Result<Value, ReadError> {
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > LONGEST {
                return Err(self.failure(ReadErrorKind::Protocol, "answered with more than 64 KiB"));
            }
        }
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// The answer of a status that is no success.
    fn refused(&self, status: StatusCode, body: &Value) -> ReadError {
        let code = status.as_u16();
        match status {
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let why =
                    body.get("error").and_then(Value::as_str).map_or(String::new(), |why| format!(": {}", word(why)));
                self.failure(ReadErrorKind::Auth, &format!("refused the client's credentials or scopes ({code}{why})"))
            }
            _ if status.is_redirection() => {
                let what = format!("answered with a redirect ({code}), which credentials do not follow");
                self.failure(ReadErrorKind::Config, &what)
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                self.failure(ReadErrorKind::Config, &format!("is not a token endpoint (status {code})"))
            }
            _ => self.failure(ReadErrorKind::Unavailable, &format!("failed with status {code}")),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ReadError {
        if error.is_timeout() {
            return self.failure(ReadErrorKind::Timeout, "did not answer in time");
        }
        let mut cause: &(dyn Error + 'static) = error;
        while let Some(inner) = cause.source() {
            cause = inner;
            if let Some(error) = cause.downcast_ref::<io::Error>() {
                return self.failure(ReadErrorKind::Unavailable, &format!("cannot be reached: {}", told(error)));
            }
        }
        self.failure(ReadErrorKind::Unavailable, &format!("cannot be reached: {cause}"))
    }

    /// An error that names the endpoint without what its URL may hide: a password or a key in the query.
    fn failure(&self, kind: ReadErrorKind, what: &str) -> ReadError {
        let shown = Url::parse(&self.grant.endpoint).map_or_else(
            |_| "of the trigger".to_owned(),
            |url| format!("{}{}", url.origin().ascii_serialization(), url.path()),
        );
        ReadError::endpoint(kind, format!("the token endpoint {shown} {what}"))
    }
}

/// Whether a URL is one of this machine.
pub(crate) fn is_local(url: &Url) -> bool {
    let loopback = |host: &str| host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    url.host_str().is_some_and(|host| host == "localhost" || loopback(host.trim_matches(['[', ']'])))
}

/// Reads the answer (RFC 6749 §5.1); the error completes "the token endpoint ...".
fn token(answer: &Value, asked: Instant) -> Result<Token, &'static str> {
    let text = answer.get("access_token").and_then(Value::as_str).ok_or("answered without an access_token")?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("answered with an access_token that cannot be sent");
    }
    let bearer =
        answer.get("token_type").and_then(Value::as_str).is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !bearer {
        return Err("answered with a token that is not a bearer token");
    }
    let (fresh, good) = life(answer.get("expires_in"));
    let until = |life| asked.checked_add(life);
    Ok(Token { text: Secret::new(text), fresh_until: until(fresh), good_until: until(good) })
}

/// How long a token is used: four fifths of its life, and not its last ten seconds. And its whole life.
///
/// Kafka's sessions end with the token, and we leave them at 85 percent: then the next token is due already.
fn life(expires_in: Option<&Value>) -> (Duration, Duration) {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    match seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0) {
        // A year is as good as forever, and keeps the sum within the clock.
        Some(seconds) => {
            let bounded = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 31_536_000.0));
            (bounded((seconds * 0.8).min(seconds - 10.0)), bounded(seconds))
        }
        None => (UNTOLD, UNTOLD),
    }
}

/// A part of the header Basic, which is written as in forms before it becomes base64 (RFC 6749 §2.3.1).
fn encoded(secret: &Secret) -> String {
    let mut written = String::new();
    for byte in secret.expose().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => written.push(char::from(byte)),
            b' ' => written.push('+'),
            _ => {
                // Writing to a text cannot fail.
                let _ = write!(written, "%{byte:02X}");
            }
        }
    }
    written
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
