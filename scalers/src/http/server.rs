//! One HTTP server with one set of credentials, shared by every trigger that asks it.
//!
//! Requests go out side by side, each with a deadline of its own, so that a slow one keeps no other waiting. Equal
//! requests that wait to be sent are sent once; where a request says so, its answer also serves those that come within
//! a moment after. Redirects are followed within the same scheme, host and port, and not at all with credentials.

pub(crate) mod orders;

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, LOCATION, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url};
use tidegate_calculator::source::{
    Deadline, EndpointId, ErrorScope, ReadError, ReadErrorKind, Secret, TargetRef, TriggerSpec,
};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::failures;
use super::token::{Grant, Tokens, is_local};
use crate::endpoint::{Breaker, Endpoints, LINGER, Lingering, identify, lock};
use crate::requests::{Asker, Tally};
use crate::tls::TlsOptions;

/// How many requests one server has at the same moment; Prometheus works on twenty queries at most.
const AT_ONCE: usize = 16;

/// How many pods of one target are asked at the same moment.
const PODS_AT_ONCE: usize = 64;

/// How long a request waits for equal ones before it is sent: triggers of one server fall due together.
const COLLECT: Duration = Duration::from_millis(2);

/// The longest body that is read, in bytes. Beyond it a number is no longer looked for, and nothing is kept.
const LONGEST: usize = 4 * 1024 * 1024;

/// The longest body that is kept for requests to come, in bytes.
const KEPT: usize = 64 * 1024;

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// The longest rest that a server can ask for (`Retry-After`): longer ones would outlast a usual polling interval.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// What triggers must have in common to share a server, besides its address.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Access {
    /// How the server is trusted, and our certificate.
    pub(crate) tls: TlsOptions,
    /// Who we are.
    pub(crate) credentials: Credentials,
}

/// Who we are: any of these.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Credentials {
    /// What goes into the header `Authorization`.
    pub(crate) login: Option<Login>,
    /// A key in a header or in the query.
    pub(crate) api_key: Option<ApiKey>,
    /// Name and value of a header.
    pub(crate) custom: Option<(String, Secret)>,
}

/// A way to fill the header `Authorization`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Login {
    /// User and password.
    Basic(Secret, Secret),
    /// A token.
    Bearer(Secret),
    /// A token that is fetched.
    OAuth(Grant),
}

/// A key that the server gave us.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ApiKey {
    /// The name of the header or of the part of the query.
    pub(crate) name: String,
    /// The key.
    pub(crate) key: Secret,
    /// Whether it goes into the query.
    pub(crate) in_query: bool,
}

/// One question: a GET. Equal ones are asked once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Request {
    /// What is asked for. Usually of the server itself; a pod behind a Service has an address of its own.
    pub(crate) url: Url,
    /// Headers of the trigger's own.
    pub(crate) headers: Vec<(String, Secret)>,
    /// The media types that we can read.
    pub(crate) accept: &'static str,
    /// For how long after it was sent its answer serves equal requests; zero for none.
    pub(crate) hold: Duration,
}

/// An answer of any status.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Its status; no redirect that was followed.
    pub(crate) status: StatusCode,
    /// Its body, of [`LONGEST`] at most.
    pub(crate) body: Vec<u8>,
    /// Where a redirect would lead: scheme, host and port.
    location: Option<String>,
    has_credentials: bool,
}

type Outcome = Result<Arc<Reply>, ReadError>;

/// What was asked, as far as reading the answer depends on it.
struct Asked<'a> {
    url: &'a Url,
    headers: &'a [(String, Secret)],
    longest: usize,
}

/// A server. It is made without a runtime and connects at the first request.
pub(crate) struct Server {
    base: Url,
    access: Access,
    client: OnceLock<Client>,
    /// The client for what changes something.
    orders: OnceLock<Client>,
    tokens: Option<Tokens>,
    turns: Semaphore,
    breaker: Mutex<Breaker>,
    /// When it last answered anything.
    answered: Mutex<Option<Instant>>,
    flights: Mutex<HashMap<Arc<Request>, Flight>>,
}

/// A request under way, as those see it who may join it.
struct Flight {
    sent: Option<Instant>,
    answer: watch::Receiver<Option<Outcome>>,
}

/// A use of a server. After the last one its connections stay open for [`LINGER`].
pub(crate) struct ServerHandle {
    server: Lingering<Server>,
    tally: Option<Tally>,
}

impl ServerHandle {
    /// Joins the server of this URL (its scheme, host and port) and access, or makes it.
    pub(crate) fn open(endpoints: &Endpoints, url: &Url, access: &Access) -> Self {
        let id = identify("http", &(url.origin().ascii_serialization(), access));
        Self { server: Lingering::join(endpoints, id, || Server::new(url, access)), tally: None }
    }

    /// The same, and what is asked through it is counted for this metric of this trigger.
    pub(crate) fn counting(mut self, spec: &TriggerSpec, metric: &str) -> Self {
        self.tally = Some(Tally::of(Asker::of(spec, metric)));
        self
    }

    /// Asks one question. Errors complete "SERVER: ..." ([`failures::named`]); dropping the future stops nothing.
    pub(crate) async fn get(&self, request: Request, patience: Deadline) -> Outcome {
        if let Some(refusal) = self.server.refusal(&request) {
            return Err(refusal);
        }
        let outcome = self.server.ask(request, patience).await;
        if let Some(tally) = &self.tally {
            tally.count(outcome.as_ref().ok().map(|reply| reply.status.as_u16()));
        }
        outcome
    }

    /// Joins the pods of a target, as one server at many addresses, or makes it: each request names a pod, so none counts for the
    /// breaker. The host of `url` is localhost: no proxy stands between us and pods.
    pub(crate) fn open_pods(endpoints: &Endpoints, of: &TargetRef, url: &Url, access: &Access) -> Self {
        let id = identify("http-pods", &(of, access));
        let make = || Server { turns: Semaphore::new(PODS_AT_ONCE), ..Server::new(url, access) };
        Self { server: Lingering::join(endpoints, id, make), tally: None }
    }

    /// What triggers on this server have in common.
    pub(crate) fn id(&self) -> EndpointId {
        self.server.id()
    }
}

impl Deref for ServerHandle {
    type Target = Arc<Server>;

    fn deref(&self) -> &Self::Target {
        &self.server
    }
}

impl Server {
    fn new(url: &Url, access: &Access) -> Self {
        let tokens = match &access.credentials.login {
            Some(Login::OAuth(grant)) => Some(Tokens::new(grant.clone())),
            _ => None,
        };
        Self {
            base: url.clone(),
            access: access.clone(),
            client: OnceLock::new(),
            orders: OnceLock::new(),
            tokens,
            turns: Semaphore::new(AT_ONCE),
            breaker: Mutex::default(),
            answered: Mutex::default(),
            flights: Mutex::default(),
        }
    }

    /// Why nothing is asked now, if the server is left alone for a while.
    fn refusal(&self, request: &Request) -> Option<ReadError> {
        let broken = self.owns(&request.url).then(|| lock(&self.breaker).refusal(Instant::now()).cloned());
        broken.flatten()
    }

    async fn ask(self: &Arc<Self>, request: Request, patience: Deadline) -> Outcome {
        let until = Instant::now() + patience;
        let mut answer = self.join(request, patience);
        let arrival = async {
            let gone = |_| ReadError::endpoint(ReadErrorKind::Protocol, "reading failed by a defect of ours");
            let outcome = answer.wait_for(Option::is_some).await.map_err(gone)?;
            outcome.clone().unwrap_or_else(|| Err(failures::late(true)))
        };
        timeout_at(until, arrival).await.unwrap_or_else(|_| Err(failures::late(true)))
    }

    /// Whether a URL is one of the server itself.
    fn owns(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Joins an equal request that is not sent yet or whose answer still serves, or begins one.
    fn join(self: &Arc<Self>, request: Request, patience: Duration) -> watch::Receiver<Option<Outcome>> {
        let (request, now) = (Arc::new(request), Instant::now());
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&request) {
            let useless = flight.answer.borrow().as_ref().is_some_and(|outcome| !is_kept(outcome));
            if !useless && flight.sent.is_none_or(|sent| now < sent + request.hold) {
                return flight.answer.clone();
            }
        }
        let (sender, answer) = watch::channel(None);
        flights.insert(Arc::clone(&request), Flight { sent: None, answer: answer.clone() });
        tokio::spawn(Arc::clone(self).fly(request, patience, sender));
        answer
    }

    /// Sees one request through, whoever still waits for it.
    async fn fly(self: Arc<Self>, request: Arc<Request>, patience: Duration, sender: watch::Sender<Option<Outcome>>) {
        let mine = sender.subscribe();
        // A defect that ends this task must leave no flight behind that nobody sees through.
        let _landing = Landing { server: &self, request: &request, mine: &mine };
        let begun = Instant::now();
        let exchange = async {
            sleep(COLLECT).await;
            let turn = self.turns.acquire().await;
            self.sent(&request, &mine);
            let outcome = self.exchange(&request).await;
            drop(turn);
            outcome
        };
        let outcome = timeout(patience, exchange).await.unwrap_or_else(|_| Err(self.late(begun)));
        self.book(&request, &outcome);
        let serves = is_kept(&outcome);
        let sent =
            lock(&self.flights).get(&request).filter(|flight| flight.answer.same_channel(&mine)).and_then(|f| f.sent);
        drop(sender.send(Some(outcome)));
        if let Some(sent) = sent.filter(|_| serves) {
            sleep_until(sent + request.hold).await;
        }
    }

    /// From now on nobody may join, but for those whom the answer still serves.
    fn sent(&self, request: &Arc<Request>, mine: &watch::Receiver<Option<Outcome>>) {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get_mut(request).filter(|flight| flight.answer.same_channel(mine)) {
            flight.sent = Some(Instant::now());
            if request.hold.is_zero() {
                flights.remove(request);
            }
        }
    }

    /// No answer in time: the server's failure, unless it has answered others meanwhile.
    fn late(&self, begun: Instant) -> ReadError {
        failures::late(lock(&self.answered).is_some_and(|answered| answered > begun))
    }

    /// Tells the breaker. Only a failure of the server itself counts; a pod behind a Service is none.
    fn book(&self, request: &Request, outcome: &Outcome) {
        if !self.owns(&request.url) {
            return;
        }
        match outcome {
            Err(error) if error.scope == ErrorScope::Endpoint => {
                lock(&self.breaker).failed(Instant::now(), error.clone());
            }
            Err(_) => {}
            // One that asked for a rest has been told of already.
            Ok(reply) if reply.rests() => {}
            Ok(_) => lock(&self.breaker).succeeded(),
        }
    }

    async fn exchange(&self, request: &Request) -> Outcome {
        let client = self.client()?;
        let mut response = self.send(client, request).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some((tokens, token)) = self.refused_token().await
        {
            // It may have been revoked: one more try with a new one.
            tokens.forget(&token).await;
            response = self.send(client, request).await?;
        }
        *lock(&self.answered) = Some(Instant::now());
        let asked = Asked { url: &request.url, headers: &request.headers, longest: LONGEST };
        let reply = self.reply(&asked, response).await?;
        Ok(Arc::new(reply))
    }

    async fn refused_token(&self) -> Option<(&Tokens, Secret)> {
        let tokens = self.tokens.as_ref()?;
        Some((tokens, tokens.get().await.ok()?))
    }

    /// Sends, once more if the connection was one that the server had closed while it was idle.
    async fn send(&self, client: &Client, request: &Request) -> Result<Response, ReadError> {
        let scoped = |error: ReadError| {
            if self.owns(&request.url) { error } else { ReadError::query(error.kind, error.message) }
        };
        match self.prepared(client, request).await?.send().await {
            Ok(response) => Ok(response),
            Err(error) if failures::was_cut(&error) && !error.is_connect() => {
                let again = self.prepared(client, request).await?.send().await;
                again.map_err(|error| scoped(failures::broken(&error)))
            }
            Err(error) => Err(scoped(failures::broken(&error))),
        }
    }

    async fn prepared(&self, client: &Client, request: &Request) -> Result<RequestBuilder, ReadError> {
        self.signed(client, Method::GET, &request.url, &request.headers, request.accept).await
    }

    /// A request with everything that says who we are.
    async fn signed(
        &self,
        client: &Client,
        method: Method,
        url: &Url,
        headers: &[(String, Secret)],
        accept: &str,
    ) -> Result<RequestBuilder, ReadError> {
        let Credentials { login, api_key, custom } = &self.access.credentials;
        let mut url = url.clone();
        if let Some(ApiKey { name, key, in_query: true }) = api_key {
            url.query_pairs_mut().append_pair(name, key.expose());
        }
        let key = api_key.iter().filter(|key| !key.in_query).map(|key| (&key.name, &key.key));
        let named = headers.iter().chain(custom).map(|(name, value)| (name, value)).chain(key);
        // A login comes before a header of the same name, as in KEDA; two of them would be refused.
        let is_free = |name: &String| login.is_none() || !name.eq_ignore_ascii_case("authorization");
        let mut prepared = client.request(method, url).header("accept", accept);
        for (name, value) in named.filter(|(name, _)| is_free(name)) {
            prepared = prepared.header(name, value.expose());
        }
        Ok(match login {
            Some(Login::Basic(user, password)) => prepared.basic_auth(user.expose(), Some(password.expose())),
            Some(Login::Bearer(token)) => prepared.bearer_auth(token.expose()),
            Some(Login::OAuth(_)) | None => match &self.tokens {
                Some(tokens) => prepared.bearer_auth(tokens.get().await?.expose()),
                None => prepared,
            },
        })
    }

    async fn reply(&self, asked: &Asked<'_>, mut response: Response) -> Result<Reply, ReadError> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.and_then(|to| asked.url.join(to).ok());
        let mut reply = Reply {
            status: response.status(),
            body: Vec::new(),
            location: location.map(|url| url.origin().ascii_serialization()),
            has_credentials: self.has_credentials() || !asked.headers.is_empty(),
        };
        if let Some(pause) = retry_after(&response).filter(|_| reply.rests() && self.owns(asked.url)) {
            let error = ReadError { scope: ErrorScope::Endpoint, ..reply.failure() };
            lock(&self.breaker).rest(Instant::now(), pause.min(LONGEST_REST), error);
        }
        let torn =
            |error: &reqwest::Error| ReadError::query(ReadErrorKind::Unavailable, failures::broken(error).message);
        if asked.longest == 0 {
            return Ok(reply);
        }
        while let Some(piece) = response.chunk().await.map_err(|error| torn(&error))? {
            if reply.body.len() + piece.len() > asked.longest {
                let what = format!("answered with more than {} MiB", asked.longest.div_ceil(1024 * 1024));
                return Err(ReadError::query(ReadErrorKind::Protocol, what));
            }
            reply.body.extend_from_slice(&piece);
        }
        Ok(reply)
    }

    fn has_credentials(&self) -> bool {
        self.access.credentials != Credentials::default() || self.access.tls.cert.is_some()
    }

    fn client(&self) -> Result<&Client, ReadError> {
        if let Some(made) = self.client.get() {
            return Ok(made);
        }
        let redirects = if self.has_credentials() { Policy::none() } else { Policy::custom(follow) };
        let builder = self.builder()?.pool_max_idle_per_host(AT_ONCE).redirect(redirects);
        let made = builder.build().map_err(|_| unusable("no HTTP client can be made".to_owned()))?;
        Ok(self.client.get_or_init(|| made))
    }

    /// What all our clients have in common.
    fn builder(&self) -> Result<ClientBuilder, ReadError> {
        let tls = self.access.tls.client().map_err(|(field, what)| unusable(format!("{field:?} {what}")))?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .referer(false)
            .pool_idle_timeout(LINGER);
        // The proxies of the environment are for others than ourselves, as in Go's clients, and thus in KEDA.
        if is_local(&self.base) {
            builder = builder.no_proxy();
        }
        Ok(builder)
    }
}

fn unusable(what: String) -> ReadError {
    ReadError::query(ReadErrorKind::Config, what)
}

/// Whether an answer may serve requests to come.
fn is_kept(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(reply) if reply.status.is_success() && reply.body.len() <= KEPT)
}

/// Follows a redirect within the same scheme, host and port.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// The rest that a server asks for: seconds, or a date. A date that is over asks for none.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    rest(text.trim(), response.headers().get(DATE).and_then(|date| date.to_str().ok()), SystemTime::now())
}

/// The same of a header's text. A date is taken by the clock that it was written with: the answer's own `Date` says how late it is there,
/// so that a clock of ours that is wrong makes no rest longer or shorter.
fn rest(text: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or(now);
    until.duration_since(now).ok().filter(|rest| !rest.is_zero())
}

impl Reply {
    /// The body of an answer that has this status.
    pub(crate) fn expect(&self, accepted: impl Fn(StatusCode) -> bool) -> Result<&[u8], ReadError> {
        if accepted(self.status) { Ok(&self.body) } else { Err(self.failure()) }
    }

    /// What its status means if it is no success.
    pub(crate) fn failure(&self) -> ReadError {
        failures::status(self.status, self.location.as_deref(), self.has_credentials)
    }

    /// Whether a `Retry-After` of it counts.
    fn rests(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// Takes a flight off the list, if it is still the one that stands there.
struct Landing<'a> {
    server: &'a Server,
    request: &'a Arc<Request>,
    mine: &'a watch::Receiver<Option<Outcome>>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let mut flights = lock(&self.server.flights);
        if flights.get(self.request).is_some_and(|flight| flight.answer.same_channel(self.mine)) {
            flights.remove(self.request);
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
