//! Hears from the brokers that records arrived.
//!
//! The leader of a partition is asked for records from the log's end on ([`fetch`]), and keeps the question until there
//! is one. So a record is heard of in the time of one answer. A broker answers one connection in order: leaders are asked
//! over connections of their own, and what must be known first, who leads what and where the logs end, over others
//! ([`survey`]).
//!
//! A position in a log is what must not be lost: whatever comes after it is heard, sooner or later, whoever leads the
//! partition by then. A topic is listened to on and on, so arming it again costs nothing; how often it wakes is up to the
//! pacer. Where a position had to be looked up anew the topic is passed on once, for records may have been missed.

mod fetch;
mod lines;
mod survey;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_response::PartitionData;
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::sync::Mutex;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::brokers::Dial;
use super::connection::{Cluster, Connector};
use super::faults::Fault;
use super::metadata::Address;
use crate::endpoint::{Publisher, Session};
use fetch::{Failure, Verdict, verdict};
use lines::{Lines, Spot};
use survey::{Finding, Place, Survey};

/// The pause before what is in doubt is looked up once more; it doubles with every time in vain.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest such pause.
const LONGEST: Duration = Duration::from_secs(5);

/// The records of one cluster.
pub(super) struct Records<D: Dial = Connector> {
    name: String,
    bootstrap: Vec<Address>,
    dial: Arc<D>,
}

/// Everything that listens to one cluster.
pub(super) struct Listening<D: Dial = Connector> {
    name: String,
    topics: HashMap<Arc<str>, Topic>,
    lines: Lines<D>,
    survey: Arc<Mutex<Survey<Arc<D>>>>,
    /// A survey that goes on while the leaders are listened to. It ends even if nobody looks at it.
    looking: JoinSet<Result<Vec<Finding>, ReadError>>,
    /// When to look into what is in doubt, if anything is.
    look: Option<Instant>,
    /// How often in a row that was in vain.
    vain: u32,
    /// What was heard and not yet passed on.
    news: HashSet<Arc<str>>,
}

/// A topic that somebody wants to hear of.
#[derive(Default)]
struct Topic {
    places: Vec<Place>,
    /// Whether something must be looked up soon.
    doubtful: bool,
    /// Whether the user may not read it, as far as is known.
    refused: bool,
    /// Why it is not listened to, once that was told.
    told: Option<ReadError>,
}

impl Records {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        let name = cluster.name();
        let bootstrap = cluster.bootstrap.iter().map(Address::of).collect();
        Self::dialing(&name, bootstrap, Connector::new(cluster))
    }
}

/// Makes connections for several: they share what the maker keeps, such as a token.
impl<D: Dial> Dial for Arc<D> {
    type Link = D::Link;

    async fn dial(&self, host: &str, port: u16) -> Result<D::Link, ReadError> {
        D::dial(self, host, port).await
    }
}

impl<D: Dial> Records<D> {
    fn dialing(name: &str, bootstrap: Vec<Address>, dial: D) -> Self {
        Self { name: name.to_owned(), bootstrap, dial: Arc::new(dial) }
    }
}

#[async_trait]
impl<D: Dial> Publisher for Records<D> {
    type Topic = Arc<str>;
    type Session = Listening<D>;

    async fn connect(&self) -> Result<Listening<D>, ReadError> {
        let mut survey = Survey::new(&self.name, self.bootstrap.clone(), Arc::clone(&self.dial));
        // Of no topic: somebody must answer.
        survey.run(Vec::new()).await?;
        Ok(Listening {
            name: self.name.clone(),
            topics: HashMap::new(),
            lines: Lines::new(Arc::clone(&self.dial)),
            survey: Arc::new(Mutex::new(survey)),
            looking: JoinSet::new(),
            look: None,
            vain: 0,
            news: HashSet::new(),
        })
    }
}

#[async_trait]
impl<D: Dial> Session for Listening<D> {
    type Topic = Arc<str>;

    async fn arm(&mut self, topics: &[Arc<str>]) -> Result<(), ReadError> {
        let new: Vec<Arc<str>> = topics.iter().filter(|topic| !self.topics.contains_key(*topic)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let questions = new.iter().map(|topic| Finding::begin(Arc::clone(topic), Vec::new())).collect();
        self.topics.extend(new.into_iter().map(|topic| (topic, Topic::default())));
        let findings = self.survey.lock().await.run(questions).await?;
        for finding in findings {
            // Whoever listens anew is woken anyway.
            let _ = self.learn(finding);
        }
        self.look_again();
        Ok(())
    }

    async fn disarm(&mut self, topics: &[Arc<str>]) -> Result<(), ReadError> {
        for topic in topics {
            self.topics.remove(topic);
            self.news.remove(topic);
        }
        Ok(())
    }

    async fn heard(&mut self) -> Result<Vec<Arc<str>>, ReadError> {
        loop {
            if !self.news.is_empty() {
                return Ok(self.news.drain().collect());
            }
            self.look_up();
            self.lines.ask(wanted(&self.topics));
            let look = self.look.filter(|_| self.looking.is_empty());
            let due = self.lines.next_due().into_iter().chain(look).min();
            let due = due.unwrap_or_else(|| Instant::now() + LONGEST);
            tokio::select! {
                Some((leader, outcome)) = self.lines.answer() => match outcome {
                    Ok(said) => self.hear(&leader, &said),
                    Err(Failure::Unable(error)) => return Err(error),
                    Err(Failure::Lost(_)) => self.lose(&leader),
                },
                Some(found) = self.looking.join_next() => self.found(found)?,
                () = sleep_until(due) => {}
            }
        }
    }

    /// Looks everything up: leaders that moved, partitions that are new, topics that were not there or not allowed.
    async fn check(&mut self) -> Result<(), ReadError> {
        for topic in self.topics.values_mut() {
            topic.refused = false;
        }
        let questions = self.questions(|_| true);
        let findings = self.survey.lock().await.run(questions).await?;
        self.take(findings);
        self.lines.keep(wanted(&self.topics).map(|(leader, ..)| leader));
        Ok(())
    }
}

impl<D: Dial> Listening<D> {
    /// Starts to look into what is in doubt, once it is time.
    fn look_up(&mut self) {
        if !self.looking.is_empty() || self.look.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.look = None;
        let (survey, questions) = (Arc::clone(&self.survey), self.questions(|topic| topic.doubtful));
        if !questions.is_empty() {
            self.looking.spawn(async move { survey.lock().await.run(questions).await });
        }
    }

    fn questions(&self, of: impl Fn(&Topic) -> bool) -> Vec<Finding> {
        let asked = self.topics.iter().filter(|(_, topic)| of(topic));
        asked.map(|(name, topic)| Finding::begin(Arc::clone(name), topic.places.clone())).collect()
    }

    fn found(&mut self, found: Result<Result<Vec<Finding>, ReadError>, JoinError>) -> Result<(), ReadError> {
        let defect = |_| {
            let what = format!("looking up the leaders of {} failed by a defect of ours", self.name);
            Err(ReadError::endpoint(ReadErrorKind::Protocol, what))
        };
        let findings = found.unwrap_or_else(defect)?;
        self.take(findings);
        Ok(())
    }

    /// Takes in what was found out about topics that are listened to.
    fn take(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            let name = Arc::clone(&finding.topic);
            if self.learn(finding) {
                self.news.insert(name);
            }
        }
        let doubtful = self.topics.values().any(|topic| topic.doubtful);
        self.vain = if doubtful { self.vain.saturating_add(1) } else { 0 };
        self.look_again();
    }

    /// Puts down what was found out about one topic: whether it is listened to at a place where it was not.
    fn learn(&mut self, finding: Finding) -> bool {
        let Some(topic) = self.topics.get_mut(&finding.topic) else { return false };
        let before = std::mem::take(&mut topic.places);
        let mut missed = false;
        topic.places = finding.places;
        for (index, place) in topic.places.iter_mut().enumerate() {
            match before.get(index).and_then(|old| old.position) {
                // What was heard meanwhile counts.
                Some(position) => place.position = Some(position),
                None => missed |= place.position.is_some(),
            }
            place.losses = before.get(index).map_or(0, |old| old.losses);
        }
        let complete = |place: &Place| place.leader.is_some() && place.position.is_some();
        topic.doubtful = !finding.absent && (topic.places.is_empty() || !topic.places.iter().all(complete));
        if let Some(fault) = finding.fault.filter(|_| finding.absent) {
            topic.tell(&self.name, &finding.topic, fault.error);
        }
        missed
    }

    /// Sees to it that what is in doubt is looked up.
    fn look_again(&mut self) {
        let losses = self.topics.values().filter(|topic| topic.doubtful).map(Topic::losses).min();
        if let Some(losses) = losses {
            // The first time somebody else may lead it; then the same one may say the same for ever.
            let vain = self.vain.max(losses.saturating_sub(1));
            let pause = if vain == 0 { Duration::ZERO } else { PAUSE * 2_u32.pow((vain - 1).min(6)) };
            let at = Instant::now() + pause.min(LONGEST);
            self.look = Some(self.look.map_or(at, |look| look.min(at)));
        }
    }

    /// Takes in what a leader says of its partitions.
    fn hear(&mut self, leader: &Address, said: &FetchResponse) {
        let mut quiet = true;
        for answer in &said.responses {
            let name: &str = &answer.topic;
            let Some(name) = self.topics.get_key_value(name).map(|(name, _)| Arc::clone(name)) else { continue };
            let Some(topic) = self.topics.get_mut(&name) else { continue };
            for one in &answer.partitions {
                match topic.hear(leader, one) {
                    Verdict::Quiet => continue,
                    Verdict::News(_) => _ = self.news.insert(Arc::clone(&name)),
                    Verdict::Refused(code) => {
                        let subject = format!("topic {name:?} of {}", self.name);
                        topic.tell(&self.name, &name, Fault::code(&subject, code).error);
                    }
                    Verdict::Lost => {}
                }
                quiet = false;
            }
        }
        if !quiet {
            self.lines.hasten(leader, said);
            self.look_again();
        }
    }

    /// A leader does not answer. Whoever leads its partitions is looked up; the positions stay.
    fn lose(&mut self, leader: &Address) {
        for topic in self.topics.values_mut() {
            for place in topic.places.iter_mut().filter(|place| place.leader.as_ref() == Some(leader)) {
                place.leader = None;
                topic.doubtful = true;
            }
        }
        self.look_again();
    }
}

impl Topic {
    /// Takes in what a leader says of one partition. What it says of a place that is no longer its own is nothing.
    fn hear(&mut self, leader: &Address, said: &PartitionData) -> Verdict {
        let place = usize::try_from(said.partition_index).ok().and_then(|index| self.places.get_mut(index));
        let Some(place) = place.filter(|place| place.leader.as_ref() == Some(leader)) else { return Verdict::Quiet };
        let Some(position) = place.position else { return Verdict::Quiet };
        let verdict = verdict(said, position);
        place.losses = if verdict == Verdict::Lost { place.losses.saturating_add(1) } else { 0 };
        match verdict {
            Verdict::Quiet => self.told = None,
            Verdict::News(end) => {
                place.position = end;
                self.doubtful |= end.is_none();
                self.told = None;
            }
            Verdict::Refused(_) => self.refused = true,
            Verdict::Lost => (place.leader, self.doubtful) = (None, true),
        }
        verdict
    }

    /// How often in a row its leaders answered with an error: the least of what is in doubt.
    fn losses(&self) -> u32 {
        let doubtful = self.places.iter().filter(|place| place.leader.is_none() || place.position.is_none());
        doubtful.map(|place| place.losses).min().unwrap_or(0)
    }

    /// Tells once why the topic is not listened to.
    fn tell(&mut self, endpoint: &str, topic: &str, error: ReadError) {
        if self.told.as_ref() != Some(&error) {
            tracing::warn!(
                endpoint, topic, %error,
                "Push does not hear this topic, polling goes on; it must exist, and the user needs DESCRIBE and READ on it"
            );
        }
        self.told = Some(error);
    }
}

/// All partitions that can be listened to.
fn wanted(topics: &HashMap<Arc<str>, Topic>) -> impl Iterator<Item = Spot<'_>> {
    topics.iter().filter(|(_, topic)| !topic.refused).flat_map(|(name, topic)| {
        let places = topic.places.iter().zip(0..);
        places.filter_map(move |(place, index)| Some((place.leader.as_ref()?, name, index, place.position?)))
    })
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "push_real_tests.rs"]
mod real_tests;
