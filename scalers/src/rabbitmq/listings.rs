//! Decides how the queues of a virtual host are read that fall due at one moment: each by itself, or all out of one list.
//!
//! A list is one request for 500 queues, but the server works all of them out. So it is read where many of the virtual host's
//! queues are asked for, and else each trigger asks for its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_calculator::source::ReadError;
use tokio::time::{Instant, timeout};

use super::answer::Facts;
use super::pages::{List, Listed};
use crate::endpoint::Backend;
use crate::http::ServerHandle;

/// With fewer questions at one moment a list is never worth it.
const FEW: usize = 8;

/// A list is read where more than one in so many of its queues is asked for.
const SHARE: u64 = 20;

/// For how long the number of a virtual host's queues is taken for true.
const MEMORY: Duration = Duration::from_mins(5);

/// For how long no list is read after one failed or was late.
const REST: Duration = Duration::from_mins(1);

/// The list of a virtual host, for those who ask at the same moment. It answers none to whoever must ask for himself: always so
/// where the list is not worth it, fails, or does not have the queue, so that every error is told by the queue's own answer.
pub(super) struct Listings {
    server: ServerHandle,
    list: List,
    /// How many queues there are, and when that was so.
    total: Option<(u64, Instant)>,
    rests_until: Option<Instant>,
}

impl Listings {
    /// `list` is that of all queues of the virtual host.
    pub(super) fn new(server: ServerHandle, list: List) -> Self {
        Self { server, list, total: None, rests_until: None }
    }

    /// Whether the list is worth it for so many questions.
    async fn worth(&mut self, questions: usize, patience: Duration) -> Result<bool, ReadError> {
        let known = self.total.filter(|(_, at)| at.elapsed() < MEMORY);
        let total = match known {
            Some((total, _)) => total,
            None => self.list.total(&self.server, patience).await?,
        };
        self.total = Some((total, known.map_or_else(Instant::now, |(_, at)| at)));
        Ok(is_worth(questions, total))
    }

    async fn read(&mut self, questions: usize, patience: Duration) -> Result<Option<Listed>, ReadError> {
        if !self.worth(questions, patience).await? {
            return Ok(None);
        }
        let listed = self.list.read(&self.server, patience).await?;
        self.total = Some((listed.total, Instant::now()));
        Ok(Some(listed))
    }
}

/// More than one in [`SHARE`] of `total` queues is asked for.
fn is_worth(questions: usize, total: u64) -> bool {
    u64::try_from(questions).unwrap_or(u64::MAX).saturating_mul(SHARE) > total
}

#[async_trait]
impl Backend for Listings {
    type Query = Arc<str>;
    type Answer = Option<Facts>;

    async fn ask(
        &mut self,
        queues: &[Arc<str>],
        patience: Duration,
    ) -> Result<Vec<Result<Option<Facts>, ReadError>>, ReadError> {
        let alone = || Ok(queues.iter().map(|_| Ok(None)).collect());
        let rests = self.rests_until.is_some_and(|until| Instant::now() < until);
        if queues.len() < FEW || rests {
            return alone();
        }
        // The other half is for asking one by one. The requests themselves get all of it: one that ran out with nothing answered
        // since would say that the server hangs, and nobody would be asked at all.
        match timeout(patience / 2, self.read(queues.len(), patience)).await {
            Ok(Ok(Some(listed))) => Ok(queues.iter().map(|queue| Ok(listed.queues.get(&**queue).copied())).collect()),
            Ok(Ok(None)) => alone(),
            Ok(Err(_)) | Err(_) => {
                self.rests_until = Some(Instant::now() + REST);
                alone()
            }
        }
    }

    fn hang_up(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_worth_it_for_more_than_one_in_twenty() {
        let cases = [(8, 0, true), (8, 159, true), (8, 160, false), (100, 1999, true), (100, 2000, false)];
        for (questions, total, expected) in cases {
            assert_eq!(is_worth(questions, total), expected, "{questions} of {total}");
        }
    }
}
