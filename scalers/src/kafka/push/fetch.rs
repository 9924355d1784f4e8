//! Asks a leader to speak up when one of its partitions has a record.
//!
//! The records themselves are not wanted. A leader sends one batch at most, as the smallest sizes ask for, and nobody
//! looks into it: that it came is the news, and how far each log goes is said beside it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::time::timeout;

use crate::kafka::brokers::Dial;
use crate::kafka::errors::UNSUPPORTED_VERSION;
use crate::kafka::faults;
use crate::kafka::metadata::Address;
use crate::kafka::requests::Link;

/// From 11 on followers answer as well, and hear of records half a second after the leader. Up to 10 they send us on.
const FETCH: RangeInclusive<i16> = 4..=10;

/// What else is understood; after 12 topics have ids instead of names.
const NEWER: RangeInclusive<i16> = 11..=12;

/// How long a leader keeps a request that it has no news for. Kafka's own idle consumer asks twice as often.
pub(super) const WAIT: Duration = Duration::from_secs(1);

/// How much later than that an answer may come, connecting included, before the broker counts as hung.
const GRACE: Duration = Duration::from_secs(5);

/// One byte of records is enough to answer, and more are not wanted.
const ONE_BYTE: i32 = 1;

/// A request that is no part of a fetch session of the broker's.
const NO_SESSION: i32 = -1;

/// A partition, and the offset of the first record that would be news.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    pub(super) topic: Arc<str>,
    pub(super) index: i32,
    pub(super) position: i64,
}

/// What a leader says of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing is new.
    Quiet,
    /// There are records, and where the log ends now; none if that must be asked for.
    News(Option<i64>),
    /// The user may not read the topic.
    Refused(i16),
    /// Somebody else may know more.
    Lost,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The broker understands no Fetch that we know: the cluster cannot push.
    Unable(ReadError),
    /// This broker cannot be reached, does not let us in, or answers something odd.
    Lost(ReadError),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Lost(error)
    }
}

/// Asks over this connection, or over a new one.
pub(super) async fn fetch<D: Dial>(
    dial: Arc<D>,
    link: Option<Arc<D::Link>>,
    leader: Address,
    wanted: Vec<Wanted>,
) -> Result<(Arc<D::Link>, FetchResponse), Failure> {
    let cannot = || {
        let what = format!("{leader} cannot push: no Fetch that we know");
        Failure::Unable(ReadError::endpoint(ReadErrorKind::Config, what))
    };
    let exchange = async {
        let link = match link.filter(|link| link.alive()) {
            Some(link) => link,
            None => Arc::new(dial.dial(&leader.host, leader.port).await?),
        };
        let version = link.version::<FetchRequest>(FETCH).or_else(|| link.version::<FetchRequest>(NEWER));
        let version = version.ok_or_else(cannot)?;
        let response = link.call(request(&wanted), version).await?;
        Ok::<_, Failure>((link, response))
    };
    let late = |_| Err(ReadError::endpoint(ReadErrorKind::Timeout, format!("{leader} did not answer in time")).into());
    let (link, response) = timeout(WAIT + GRACE, exchange).await.unwrap_or_else(late)?;
    match response.error_code {
        0 => Ok((link, response)),
        UNSUPPORTED_VERSION => Err(cannot()),
        code => {
            let what = format!("{leader} answered Fetch with {}", faults::name(code));
            Err(ReadError::endpoint(ReadErrorKind::Unavailable, what).into())
        }
    }
}

fn request(wanted: &[Wanted]) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for Wanted { topic, index, position } in wanted {
        // The leader's epoch is left out: any leader may serve us, and offsets outlive it.
        let partition = FetchPartition::default()
            .with_partition(*index)
            .with_fetch_offset(*position)
            .with_partition_max_bytes(ONE_BYTE);
        if let Some(last) = topics.last_mut().filter(|last| **last.topic == **topic) {
            last.partitions.push(partition);
        } else {
            let name = TopicName(StrBytes::from_string(topic.as_ref().to_owned()));
            topics.push(FetchTopic::default().with_topic(name).with_partitions(vec![partition]));
        }
    }
    let wait = i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX);
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(wait)
        .with_min_bytes(ONE_BYTE)
        .with_max_bytes(ONE_BYTE)
        .with_session_epoch(NO_SESSION)
        .with_topics(topics)
}

/// What an answer says of a partition that is listened to from this position on.
pub(super) fn verdict(said: &PartitionData, position: i64) -> Verdict {
    match Code::try_from_code(said.error_code) {
        None => {
            let beyond = Some(said.high_watermark).filter(|end| *end > position);
            let records = said.records.as_ref().is_some_and(|records| !records.is_empty());
            if beyond.is_some() || records { Verdict::News(beyond) } else { Verdict::Quiet }
        }
        // The log was cut, made anew, or its old records were deleted; and a batch that cannot be sent is a batch.
        Some(Code::OffsetOutOfRange | Code::UnsupportedCompressionType) => Verdict::News(None),
        Some(Code::TopicAuthorizationFailed) => Verdict::Refused(said.error_code),
        Some(_) => Verdict::Lost,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn said(code: i16, end: i64, records: &'static [u8]) -> PartitionData {
        let said = PartitionData::default().with_error_code(code).with_high_watermark(end);
        said.with_records(Some(Bytes::from_static(records)))
    }

    #[test]
    fn records_and_longer_logs_are_news() {
        let cases = [
            (said(0, 7, b""), Verdict::Quiet),
            (said(0, 3, b""), Verdict::Quiet),
            (said(0, 8, b""), Verdict::News(Some(8))),
            (said(0, 9, b"not even a batch"), Verdict::News(Some(9))),
            (said(0, -1, b"no end is said"), Verdict::News(None)),
            (said(1, -1, b""), Verdict::News(None)),
            (said(76, -1, b""), Verdict::News(None)),
            (said(29, -1, b""), Verdict::Refused(29)),
            (said(3, -1, b""), Verdict::Lost),
            (said(6, -1, b""), Verdict::Lost),
            (said(-1, 9, b""), Verdict::Lost),
            (said(999, 9, b""), Verdict::Lost),
        ];
        for (said, expected) in cases {
            assert_eq!(verdict(&said, 7), expected, "{said:?}");
        }
        assert_eq!(verdict(&PartitionData::default().with_high_watermark(7), 7), Verdict::Quiet);
    }

    #[test]
    fn partitions_of_a_topic_stand_together() {
        let wanted = |topic: &str, index| Wanted { topic: topic.into(), index, position: 5 };
        let request = request(&[wanted("a", 0), wanted("a", 3), wanted("b", 0)]);
        let topics: Vec<_> = request.topics.iter().map(|topic| (&**topic.topic, topic.partitions.len())).collect();
        assert_eq!(topics, [("a", 2), ("b", 1)]);
        assert_eq!((request.session_id, request.session_epoch, *request.replica_id), (0, -1, -1));
    }
}
