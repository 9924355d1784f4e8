//! Reads a list of queues from the management API, page by page.

use std::collections::BTreeMap;

use reqwest::{StatusCode, Url};
use tidegate_calculator::source::{Deadline, ReadError, ReadErrorKind};
use tokio::time::Instant;

use super::answer::{self, COLUMNS, Facts, Page};
use super::failures;
use crate::http::{Request, ServerHandle};

/// How often a list is begun again that has changed while it was read.
const TRIES: usize = 3;

/// A list to be read.
#[derive(Clone, Debug)]
pub(super) struct List {
    /// The list of a virtual host.
    pub(super) url: Url,
    /// The names of the queues match this; none for all.
    pub(super) pattern: Option<String>,
    /// Queues a page, 500 at most.
    pub(super) size: i64,
}

/// A list that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) queues: BTreeMap<String, Facts>,
    /// How many queues the virtual host has.
    pub(super) total: u64,
}

impl List {
    /// The request for one page.
    fn page(&self, number: u64, columns: &str) -> Request {
        let mut url = self.url.clone();
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("page", &number.to_string()).append_pair("page_size", &self.size.to_string());
            if let Some(pattern) = &self.pattern {
                query.append_pair("use_regex", "true").append_pair("name", pattern);
            }
            // The order of the pages' queues must be the same for all pages.
            query.append_pair("sort", "name").append_pair("columns", columns);
        }
        request(url)
    }

    /// Reads all pages. Errors complete "SERVER: ...".
    pub(super) async fn read(&self, server: &ServerHandle, patience: Deadline) -> Result<Listed, ReadError> {
        let until = Instant::now() + patience;
        for _ in 0..TRIES {
            if let Some(listed) = self.once(server, until).await? {
                return Ok(listed);
            }
        }
        let what = "the list of queues changes faster than it can be read";
        Err(ReadError::query(ReadErrorKind::Unavailable, what))
    }

    /// How many queues the virtual host has.
    pub(super) async fn total(&self, server: &ServerHandle, patience: Deadline) -> Result<u64, ReadError> {
        let one = Self { size: 1, ..self.clone() };
        let page = one.get(server, 1, "name", Instant::now() + patience).await?;
        Ok(page.map_or(0, |page| page.total))
    }

    /// One reading of all pages; none if queues came or went meanwhile, so that one may be missing.
    async fn once(&self, server: &ServerHandle, until: Instant) -> Result<Option<Listed>, ReadError> {
        let mut listed = Listed::default();
        let (mut number, mut matching) = (1, None);
        loop {
            let Some(page) = self.get(server, number, COLUMNS, until).await? else { return Ok(None) };
            if *matching.get_or_insert(page.matching) != page.matching {
                return Ok(None);
            }
            listed.queues.extend(page.queues);
            if number >= page.pages {
                listed.total = page.total;
                let found = u64::try_from(listed.queues.len()).unwrap_or(u64::MAX);
                return Ok((found == page.matching).then_some(listed));
            }
            number += 1;
        }
    }

    /// One page; none if there is no such page any more.
    async fn get(
        &self,
        server: &ServerHandle,
        number: u64,
        columns: &str,
        until: Instant,
    ) -> Result<Option<Page>, ReadError> {
        let left = until.saturating_duration_since(Instant::now());
        let reply = server.get(self.page(number, columns), left).await?;
        match reply.status {
            StatusCode::BAD_REQUEST if number > 1 => Ok(None),
            StatusCode::BAD_REQUEST if self.pattern.is_some() => {
                let what = "does not take queueName for a regular expression (status 400)";
                Err(ReadError::query(ReadErrorKind::Config, what))
            }
            status if status.is_success() => answer::page(&reply.body).map(Some).map_err(failures::foreign),
            _ => Err(failures::refused(&reply)),
        }
    }
}

/// A question to the API, whose answer serves nobody who asks later.
pub(super) fn request(url: Url) -> Request {
    Request { url, headers: Vec::new(), accept: "application/json", hold: std::time::Duration::ZERO }
}
