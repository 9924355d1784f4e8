use std::sync::Mutex;

use bytes::BytesMut;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::find_coordinator_response::FindCoordinatorResponse as Seats;
use kafka_protocol::messages::offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};

use super::*;

/// A broker that understands one version and answers the same to everybody.
struct Fixed {
    version: i16,
    sent: Mutex<usize>,
}

impl Link for Fixed {
    fn version<R: Request>(&self, range: RangeInclusive<i16>) -> Option<i16> {
        range.contains(&self.version).then_some(self.version)
    }

    async fn call<R>(&self, request: R, version: i16) -> Result<R::Response, ReadError>
    where
        R: Request<Response: Send + 'static> + Send + Sync + 'static,
    {
        // The codec refuses a field that the version does not have.
        request.encode(&mut BytesMut::new(), version).unwrap();
        *self.sent.lock().unwrap() += 1;
        let answer: Box<dyn std::any::Any> = match ApiKey::try_from(R::KEY).unwrap() {
            ApiKey::FindCoordinator => {
                Box::new(Seats::default().with_node_id(BrokerId(4)).with_port(9004).with_error_code(15))
            }
            ApiKey::OffsetFetch => {
                let one = OffsetFetchResponsePartition::default().with_partition_index(2).with_committed_offset(8);
                let of = OffsetFetchResponseTopic::default()
                    .with_name(topic("a"))
                    .with_partitions(vec![one.with_error_code(3)]);
                Box::new(OffsetFetchResponse::default().with_topics(vec![of]).with_error_code(14))
            }
            ApiKey::Metadata => Box::new(MetadataResponse::default()),
            ApiKey::ListOffsets => Box::new(kafka_protocol::messages::ListOffsetsResponse::default()),
            key => panic!("nobody asks for {key:?}"),
        };
        Ok(*answer.downcast().unwrap())
    }

    fn alive(&self) -> bool {
        true
    }
}

async fn send(version: i16, ask: &Ask) -> (Result<Said, ReadError>, usize) {
    let link = Fixed { version, sent: Mutex::default() };
    let said = exchange(&link, ask).await;
    (said, link.sent.into_inner().unwrap())
}

fn asks() -> [Ask; 6] {
    let groups = ["g", "h"].map(Arc::from);
    let commits = |topics: Option<Vec<(Arc<str>, usize)>>| {
        groups.clone().map(|group| Commits { group, topics: topics.clone() }).to_vec()
    };
    let partition = |topic: &str, index| Partition { topic: topic.into(), index, epoch: 6 };
    [
        Ask::Topics(vec!["a".into(), "b".into()]),
        Ask::Coordinators(groups.to_vec()),
        Ask::Commits(commits(None)),
        Ask::Commits(commits(Some(vec![("a".into(), 3)]))),
        Ask::Ends(End::Stable, vec![partition("a", 0), partition("a", 1), partition("b", 0)]),
        Ask::Ends(End::Start, vec![partition("a", 0)]),
    ]
}

#[tokio::test]
async fn every_version_of_every_request_can_be_written() {
    let ranges = [METADATA, FIND_COORDINATOR, OFFSET_FETCH, OFFSET_FETCH, LIST_OFFSETS, LIST_OFFSETS];
    for (ask, range) in asks().iter().zip(ranges) {
        for version in range.clone() {
            let (said, sent) = send(version, ask).await;
            assert!(said.is_ok() && sent > 0, "{ask:?} in {version}");
        }
        let (said, sent) = send(range.end() + 1, ask).await;
        assert!(sent == 0, "nothing is sent to a broker that does not understand it");
        assert!(said.unwrap_err().message.contains("0.11"));
    }
}

#[tokio::test]
async fn many_groups_are_one_request_where_the_broker_can_take_them() {
    let [_, seats, _, commits, ..] = asks();
    for (ask, version, requests) in [(&seats, 3, 2), (&seats, 4, 1), (&commits, 7, 2), (&commits, 8, 1)] {
        assert_eq!(send(version, ask).await.1, requests, "{ask:?} in {version}");
    }
}

#[tokio::test]
async fn old_answers_get_the_form_of_new_ones() {
    let [_, seats, commits, ..] = asks();
    let (Ok(Said::Coordinators(said)), _) = send(3, &seats).await else { panic!() };
    let seen = said.iter().map(|seat| (seat.key.as_str(), seat.node_id.0, seat.port, seat.error_code));
    assert_eq!(seen.collect::<Vec<_>>(), [("g", 4, 9004, 15), ("h", 4, 9004, 15)]);
    let (Ok(Said::Commits(said)), _) = send(7, &commits).await else { panic!() };
    let seen = said.iter().map(|group| {
        let one = &group.topics[0].partitions[0];
        (
            group.group_id.as_str(),
            group.error_code,
            &**group.topics[0].name,
            one.partition_index,
            one.committed_offset,
            one.error_code,
        )
    });
    assert_eq!(seen.collect::<Vec<_>>(), [("g", 14, "a", 2, 8, 3), ("h", 14, "a", 2, 8, 3)]);
}

#[test]
fn ends_are_asked_for_by_topic_with_the_leaders_epoch_where_it_is_understood() {
    let [.., Ask::Ends(end, partitions), _] = asks() else { panic!() };
    let request = list_offsets(end, &partitions, 4);
    assert_eq!((request.replica_id.0, request.isolation_level, request.topics.len()), (-1, 1, 2));
    let of_a = &request.topics[0].partitions;
    let seen: Vec<_> = of_a.iter().map(|one| (one.partition_index, one.timestamp, one.current_leader_epoch)).collect();
    assert_eq!(seen, [(0, -1, 6), (1, -1, 6)]);
    assert_eq!(list_offsets(End::Latest, &partitions, 3).topics[0].partitions[0].current_leader_epoch, -1);
    let start = list_offsets(End::Start, &partitions, 7);
    assert_eq!((start.isolation_level, start.topics[0].partitions[0].timestamp), (0, -2));
    assert!(!metadata(&["a".into()]).allow_auto_topic_creation);
}
