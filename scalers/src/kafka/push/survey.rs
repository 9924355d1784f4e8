//! Finds out who leads the partitions of topics and where their logs end, over connections that nothing waits on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::time::{Instant, sleep};

use crate::kafka::brokers::{Brokers, Dial};
use crate::kafka::faults::Fault;
use crate::kafka::metadata::{Address, ClusterMap};
use crate::kafka::requests::{Ask, End, Partition, Said};
use crate::kafka::round::Errand;

/// How long a survey may take. Two may come one after the other before the feed gives a session up.
const SURVEY: Duration = Duration::from_secs(2);

/// How long one broker may take for what it is asked at once.
const VISIT: Duration = Duration::from_millis(900);

/// The pauses before each try.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(150)];

/// How many brokers are asked side by side for what each of them knows, once the first did not answer.
const SIDE_BY_SIDE: usize = 8;

/// LEADER_NOT_AVAILABLE, said by the map and not by a broker.
const NO_LEADER: i16 = 5;

/// What is known of a cluster, and connections to ask it.
pub(super) struct Survey<D: Dial> {
    map: ClusterMap,
    brokers: Brokers<D>,
}

/// A partition as it is listened to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Place {
    /// Its leader; none while that must be looked up.
    pub(super) leader: Option<Address>,
    /// The offset of the first record that would be news; none until the log's end has been read.
    pub(super) position: Option<i64>,
    /// How often in a row its leader, or one after the other, answered with an error.
    pub(super) losses: u32,
}

/// What was found out about a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Finding {
    pub(super) topic: Arc<str>,
    /// By partition.
    pub(super) places: Vec<Place>,
    /// Whether there is no such topic, as far as the user may know.
    pub(super) absent: bool,
    /// Why it is not all that there is to know.
    pub(super) fault: Option<Fault>,
}

impl Finding {
    /// What is known so far.
    pub(super) fn begin(topic: Arc<str>, places: Vec<Place>) -> Self {
        Self { topic, places, absent: false, fault: None }
    }

    fn is_worth_another_try(&self) -> bool {
        !self.absent && self.fault.as_ref().is_some_and(|fault| fault.again)
    }
}

impl<D: Dial> Survey<D> {
    pub(super) fn new(name: &str, bootstrap: Vec<Address>, dial: D) -> Self {
        Self { map: ClusterMap::new(name, bootstrap), brokers: Brokers::new(dial) }
    }

    /// Asks for the leaders of these topics, and for the log ends of partitions that have no position. An error says that
    /// nobody in the cluster answers.
    pub(super) async fn run(&mut self, mut findings: Vec<Finding>) -> Result<Vec<Finding>, ReadError> {
        let until = Instant::now() + SURVEY;
        let mut open: Vec<usize> = (0..findings.len()).collect();
        for pause in PAUSES {
            sleep(pause).await;
            match self.find_leaders(&mut findings, &open, until).await {
                Err(error) if pause.is_zero() => return Err(error),
                // What was found out before is worth more than nothing.
                Err(_) => break,
                Ok(()) => {}
            }
            self.find_ends(&mut findings, &open, until).await;
            open.retain(|place| findings[*place].is_worth_another_try());
            if open.is_empty() || Instant::now() >= until {
                break;
            }
        }
        let map = &self.map;
        self.brokers.keep(|address| map.is_broker(address));
        Ok(findings)
    }

    async fn find_leaders(
        &mut self,
        findings: &mut [Finding],
        open: &[usize],
        until: Instant,
    ) -> Result<(), ReadError> {
        for finding in open.iter().map(|place| &findings[*place]) {
            for (_, index) in finding.places.iter().zip(0..).filter(|(place, _)| place.leader.is_none()) {
                self.map.doubt_leader(&finding.topic, index);
            }
        }
        let topics: Vec<Arc<str>> = open.iter().map(|place| Arc::clone(&findings[*place].topic)).collect();
        let faults = self.look_up(&topics, until).await?;
        for (place, fault) in open.iter().zip(faults) {
            let finding = &mut findings[*place];
            let kind = fault.as_ref().map(|fault| fault.error.kind);
            finding.fault = fault;
            finding.absent = matches!(kind, Some(ReadErrorKind::Auth | ReadErrorKind::Config));
            match kind {
                None => self.place(finding),
                Some(_) if finding.absent => finding.places.clear(),
                // What was known goes on being listened to.
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Asks one who answered before, then everybody else: what is wrong with each topic, if anything.
    async fn look_up(&mut self, topics: &[Arc<str>], until: Instant) -> Result<Vec<Option<Fault>>, ReadError> {
        let mut guides: Vec<Address> = Vec::new();
        for guide in self.map.guides() {
            if !guides.contains(guide) {
                guides.push(guide.clone());
            }
        }
        let others = guides.split_off(guides.len().min(1));
        let mut cause = None;
        for wave in [guides, others.into_iter().take(SIDE_BY_SIDE).collect()] {
            let errands = wave.into_iter().map(|to| Errand { to, ask: Ask::Topics(topics.to_vec()) }).collect();
            let visits = self.brokers.visit(errands, until.min(Instant::now() + VISIT)).await;
            for (Errand { to, .. }, outcome) in visits {
                let learned = match outcome {
                    Ok(Said::Topics(said)) => self.map.learn(&to, &said, topics, Instant::now().into_std()),
                    Ok(_) => continue,
                    Err(error) => Err(error),
                };
                match learned {
                    Ok(faults) => {
                        self.map.heard(&to);
                        return Ok(faults);
                    }
                    // What the user can do something about comes first.
                    Err(error) if matches!(error.kind, ReadErrorKind::Auth | ReadErrorKind::Config) => {
                        cause = Some(error);
                    }
                    Err(error) => cause = cause.or(Some(error)),
                }
            }
        }
        let nobody = || ReadError::endpoint(ReadErrorKind::Unavailable, format!("{} has no broker", self.map.name));
        Err(cause.unwrap_or_else(nobody))
    }

    /// Puts down who leads each partition.
    fn place(&self, finding: &mut Finding) {
        let leaders = (0..).map_while(|index| self.map.leader(&finding.topic, index));
        let leaders: Vec<Option<Address>> = leaders.map(|leader| self.map.address(leader.broker).cloned()).collect();
        finding.places.resize(leaders.len(), Place::default());
        for ((place, leader), index) in finding.places.iter_mut().zip(leaders).zip(0..) {
            if leader.is_none() {
                let subject = subject(&self.map, &finding.topic, index);
                finding.fault = Some(Fault::code(&subject, NO_LEADER));
            }
            place.leader = leader;
        }
    }

    async fn find_ends(&mut self, findings: &mut [Finding], open: &[usize], until: Instant) {
        let mut by_leader: BTreeMap<Address, Vec<Partition>> = BTreeMap::new();
        let mut rows: HashMap<Arc<str>, usize> = HashMap::new();
        for row in open {
            let Finding { topic, places, .. } = &findings[*row];
            rows.insert(Arc::clone(topic), *row);
            for (place, index) in places.iter().zip(0..).filter(|(place, _)| place.position.is_none()) {
                let Some(leader) = &place.leader else { continue };
                let epoch = self.map.leader(topic, index).map_or(-1, |leader| leader.epoch);
                let partition = Partition { topic: Arc::clone(topic), index, epoch };
                by_leader.entry(leader.clone()).or_default().push(partition);
            }
        }
        let errands = by_leader.into_iter().map(|(to, asked)| Errand { to, ask: Ask::Ends(End::Latest, asked) });
        let visits = self.brokers.visit(errands.collect(), until.min(Instant::now() + VISIT)).await;
        for (errand, outcome) in visits {
            let Ask::Ends(_, asked) = errand.ask else { continue };
            let said = match &outcome {
                Ok(Said::Ends(topics)) => Ok(by_partition(topics)),
                Ok(_) => continue,
                Err(error) => Err(error),
            };
            for partition in &asked {
                let Some(finding) = rows.get(&partition.topic).and_then(|row| findings.get_mut(*row)) else { continue };
                self.settle(finding, partition, &said);
            }
        }
    }

    /// Puts down the end of one log, or why it is not known.
    fn settle(&self, finding: &mut Finding, partition: &Partition, said: &Result<Ends<'_>, &ReadError>) {
        let Some(place) = usize::try_from(partition.index).ok().and_then(|index| finding.places.get_mut(index)) else {
            return;
        };
        let subject = subject(&self.map, &partition.topic, partition.index);
        let fault = match said {
            Err(error) => Fault::lost(&subject, error),
            Ok(said) => match said.get(&(&*partition.topic, partition.index)) {
                Some(one) if one.error_code == 0 && one.offset >= 0 => {
                    place.position = Some(one.offset);
                    return;
                }
                Some(one) if one.error_code != 0 => Fault::code(&subject, one.error_code),
                _ => Fault::unusable(&subject, "the answer has no offset for it"),
            },
        };
        place.leader = None;
        finding.fault = Some(fault);
    }
}

/// The ends of logs by topic and partition, as one broker says.
type Ends<'a> = HashMap<(&'a str, i32), &'a ListOffsetsPartitionResponse>;

fn by_partition(topics: &[ListOffsetsTopicResponse]) -> Ends<'_> {
    let listed = topics.iter().flat_map(|topic| topic.partitions.iter().map(move |one| (&**topic.name, one)));
    listed.map(|(topic, one)| ((topic, one.partition_index), one)).collect()
}

fn subject(map: &ClusterMap, topic: &str, index: i32) -> String {
    format!("partition {index} of topic {topic:?} of {}", map.name)
}
