//! What a round answers in the end.

use std::sync::Arc;

use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::{Committed, Need, Round, Stage, Topic, includes, index, latest};
use crate::kafka::offsets::{Answer, PartitionOffsets, Query, Scope, TopicOffsets};
use crate::kafka::requests::End;

impl Round<'_> {
    /// The answers, in the order of the queries. An error for all of them if nobody could be asked anything.
    pub(in crate::kafka) fn finish(self) -> Result<Vec<Result<Answer, ReadError>>, ReadError> {
        let failed = |topic: &Topic| topic.partitions.iter().flatten().any(|end| matches!(end, Need::Failed(_)));
        for (name, _) in self.topics.iter().filter(|(_, topic)| failed(topic)) {
            // It may have been looked up since, for the sake of another partition. The next round looks anew.
            self.ledger.map.doubt_topic(name);
        }
        self.down.keys().for_each(|address| self.ledger.map.shun(address, self.ledger.now));
        self.ledger.map.forget(self.ledger.now);
        if !self.heard && !self.down.is_empty() {
            return Err(self.unreachable());
        }
        Ok(self.queries.iter().zip(&self.stages).map(|(query, stage)| self.answer(query, stage)).collect())
    }

    fn answer(&self, query: &Query, stage: &Stage) -> Result<Answer, ReadError> {
        if let Stage::Refused(error) = stage {
            return Err(error.clone());
        }
        // What went wrong first tells most: without topics and log ends nobody asks for the rest.
        if let Scope::Topics(names) = &query.scope {
            names.iter().try_for_each(|name| self.latest(name, query).map(drop))?;
        }
        let group = self.groups.get(&query.group).map(|group| &group.commits);
        let committed = done(group, || format!("group {:?}", query.group), self)?;
        let own: Vec<Arc<str>>;
        let names = match &query.scope {
            Scope::Topics(names) => names,
            Scope::GroupTopics => {
                let mut sorted: Vec<Arc<str>> = committed.topics.keys().cloned().collect();
                sorted.sort_unstable();
                own = sorted;
                &own
            }
        };
        let latest = names.iter().map(|name| self.latest(name, query)).collect::<Result<Vec<_>, _>>()?;
        if !latest.is_empty() && latest.iter().all(Vec::is_empty) {
            let what = format!("partitionLimitation names no partition of {}", names.join(", "));
            return Err(ReadError::query(ReadErrorKind::Config, what));
        }
        let topics = names.iter().zip(latest).map(|(name, latest)| self.offsets(name, query, committed, &latest));
        topics.collect::<Result<Vec<_>, _>>().map(Arc::new)
    }

    /// The log ends of the partitions of a topic that the query asks for, by place.
    fn latest(&self, name: &Arc<str>, query: &Query) -> Result<Vec<(usize, i64)>, ReadError> {
        let topic = self.topic(name)?;
        let end = latest(query.committed_only);
        let places = (0..topic.partitions.len()).filter(|place| includes(&query.partitions, index(*place)));
        places.map(|place| Ok((place, self.end(name, topic, place, end)?))).collect()
    }

    /// A topic whose partitions are known.
    fn topic(&self, name: &str) -> Result<&Topic, ReadError> {
        match self.topics.get(name) {
            Some(topic) if topic.is_shaped() => Ok(topic),
            topic => {
                done(topic.map(|topic| &topic.metadata), || format!("topic {name:?}"), self)?;
                Err(self.overdue(&format!("topic {name:?}")))
            }
        }
    }

    fn end(&self, name: &str, topic: &Topic, place: usize, end: End) -> Result<i64, ReadError> {
        let need = topic.partitions.get(place).map(|ends| &ends[end as usize]);
        match (need, &topic.metadata) {
            // The leader could not be looked up again, which is why the end is still open.
            (Some(Need::Open(_)), Need::Failed(error)) => Err(error.clone()),
            _ => done(need, || format!("partition {place} of topic {name:?}"), self).copied(),
        }
    }

    fn offsets(
        &self,
        name: &Arc<str>,
        query: &Query,
        committed: &Committed,
        latest: &[(usize, i64)],
    ) -> Result<TopicOffsets, ReadError> {
        let (topic, commit_of) = (self.topic(name)?, committed.of(name));
        let partition = |(place, latest): &(usize, i64)| {
            let (partition, place, mut latest) = (index(*place), *place, *latest);
            let commit = commit_of(partition).ok_or_else(|| {
                let what = format!("group {:?}, partition {partition} of topic {name:?}", query.group);
                let what = format!("{what} of {}: the answer leaves it out", self.ledger.map.name);
                ReadError::query(ReadErrorKind::Protocol, what)
            })?;
            let mut committed = commit.clone()?;
            if let Some(commit) = committed.filter(|commit| *commit > latest) {
                let again = self.end(name, topic, place, End::Again)?;
                // No record of this log was ever there. Else the group was quicker than we, or an open transaction holds
                // back the end that counts.
                committed = (commit <= again).then_some(commit);
                latest = if query.committed_only { latest } else { again };
            }
            let matters = committed.map_or(query.log_start, |commit| commit < latest);
            let log_start = if matters { Some(self.end(name, topic, place, End::Start)?) } else { None };
            Ok(PartitionOffsets { partition, committed, log_start, latest })
        };
        let partitions = latest.iter().map(partition).collect::<Result<Vec<_>, ReadError>>()?;
        Ok(TopicOffsets { name: Arc::clone(name), partitions })
    }

    fn overdue(&self, subject: &str) -> ReadError {
        let what = format!("{subject} of {}: no answer came in time", self.ledger.map.name);
        ReadError::query(ReadErrorKind::Timeout, what)
    }
}

/// What was found out, or why it was not.
fn done<'n, T>(need: Option<&'n Need<T>>, subject: impl Fn() -> String, round: &Round<'_>) -> Result<&'n T, ReadError> {
    match need {
        Some(Need::Done(found)) => Ok(found),
        Some(Need::Failed(error)) => Err(error.clone()),
        Some(Need::Open(_) | Need::Unwanted) | None => Err(round.overdue(&subject())),
    }
}
