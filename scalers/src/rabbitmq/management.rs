//! Reads queues over the management API: one by its name, or all whose names match an expression.

use std::sync::Arc;

use reqwest::Url;
use tidegate_calculator::source::{Deadline, EndpointId, ReadError, TriggerSpec};
use tokio::time::{Duration, Instant};

use super::answer::{self, COLUMNS, Facts};
use super::declaration::{Management, Wanted};
use super::figures::{Counts, Operation};
use super::listings::Listings;
use super::pages::{List, request};
use super::{failures, place};
use crate::endpoint::{Endpoint, Endpoints, identify};
use crate::http::{Request, ServerHandle, named};

/// For how long what the API says about itself is taken for true.
const HOLD: Duration = Duration::from_secs(30);

/// The most queues a page of our own lists.
const PAGE: i64 = 500;

/// The queues of one trigger.
pub(super) struct Queues {
    server: ServerHandle,
    name: String,
    vhost: String,
    ready_only: bool,
    timeout: Option<Duration>,
    overview: Request,
    source: Source,
}

enum Source {
    One { queue: Arc<str>, url: Url, together: Endpoint<Listings> },
    Matching { list: List, operation: Operation },
}

impl Queues {
    pub(super) fn open(endpoints: &Endpoints, management: Management, spec: &TriggerSpec, metric: &str) -> Self {
        let Management { name, access, queues, mut overview, vhost, wanted, ready_only, timeout } = management;
        let server = ServerHandle::open(endpoints, &queues, &access).counting(spec, metric);
        let source = match wanted {
            Wanted::Matching { pattern, page, operation } => {
                Source::Matching { list: List { url: queues, pattern: Some(pattern), size: page }, operation }
            }
            Wanted::One(queue) => {
                let mut url = queues.clone();
                url.set_path(&format!("{}/{}", queues.path(), place::encoded(&queue)));
                url.query_pairs_mut().append_pair("columns", COLUMNS);
                let id = identify("rabbitmq lists", &(server.id(), queues.as_str()));
                // Opened here and not while the other is: only one at a time may be.
                let second = ServerHandle::open(endpoints, &queues, &access);
                let list = List { url: queues, pattern: None, size: PAGE };
                let listings = || Listings::new(second, list);
                Source::One {
                    queue: queue.into(),
                    url,
                    together: Endpoint::open(endpoints, id, "its list of queues", listings),
                }
            }
        };
        overview.query_pairs_mut().append_pair("columns", "rates_mode,disable_stats");
        let overview = Request { hold: HOLD, ..request(overview) };
        Self { server, name, vhost, ready_only, timeout, overview, source }
    }

    pub(super) fn id(&self) -> EndpointId {
        self.server.id()
    }

    /// The numbers of the queue, or of all of them together.
    pub(super) async fn read(&self, needs_rates: bool, deadline: Deadline) -> Result<Counts, ReadError> {
        let until = Instant::now() + self.timeout.map_or(deadline, |timeout| timeout.min(deadline));
        let found = self.find(until).await.map_err(|error| named(&self.name, &error))?;
        if needs_rates && found.iter().any(|(_, facts)| !facts.has_rates) {
            self.check_rates(until).await.map_err(|error| named(&self.name, &error))?;
        }
        let counted = found.iter().map(|(queue, facts)| {
            facts.counts(self.ready_only).ok_or_else(|| named(&self.name, &failures::unknown(queue, &self.vhost)))
        });
        let counted: Vec<Counts> = counted.collect::<Result<_, _>>()?;
        Ok(match &self.source {
            Source::One { .. } => counted.first().copied().unwrap_or_default(),
            Source::Matching { operation, .. } => operation.join(&counted),
        })
    }

    /// The queues by name; of one trigger's own queue exactly one.
    async fn find(&self, until: Instant) -> Result<Vec<(String, Facts)>, ReadError> {
        let left = || until.saturating_duration_since(Instant::now());
        match &self.source {
            Source::Matching { list, .. } => Ok(list.read(&self.server, left()).await?.queues.into_iter().collect()),
            Source::One { queue, url, together } => {
                let facts = match together.ask(Arc::clone(queue), left()).await? {
                    Some(facts) => facts,
                    None => self.one(queue, url, left()).await?,
                };
                Ok(vec![(queue.as_ref().to_owned(), facts)])
            }
        }
    }

    async fn one(&self, queue: &str, url: &Url, patience: Deadline) -> Result<Facts, ReadError> {
        let reply = self.server.get(request(url.clone()), patience).await?;
        if reply.status.is_success() {
            return answer::queue(&reply.body).map_err(failures::foreign);
        }
        let refused = failures::refused(&reply);
        let message = format!("queue {queue:?} in virtual host {:?}: {}", self.vhost, refused.message);
        Err(ReadError { message, ..refused })
    }

    /// An error if the server keeps no rates: where it says nothing of them, they would all be taken for 0.
    async fn check_rates(&self, until: Instant) -> Result<(), ReadError> {
        let left = until.saturating_duration_since(Instant::now());
        let reply = self.server.get(self.overview.clone(), left).await?;
        if !reply.status.is_success() {
            return Err(failures::refused(&reply));
        }
        match answer::keeps_no_rates(&reply.body) {
            Ok(false) => Ok(()),
            Ok(true) => Err(failures::no_rates()),
            Err(foreign) => Err(failures::foreign(foreign)),
        }
    }
}
