//! Whatever a cluster does, an answer is exactly what its brokers hold, or an error.

use std::any::Any;

use kafka_protocol::messages::{FindCoordinatorResponse, ListOffsetsResponse, MetadataResponse, OffsetFetchResponse};
use proptest::prelude::*;

use super::*;
use crate::kafka::stand_in::Topic;

const TOPICS: [&str; 3] = ["a", "b", "c"];
const GROUPS: [&str; 3] = ["g", "h", "i"];
const BROKERS: i32 = 3;

/// What happens between two rounds.
#[derive(Clone, Debug)]
enum Event {
    Wait(u64),
    Health(i32, Health),
    Restart(i32, u16),
    Lead(usize, usize, i32),
    Coordinate(usize, i32),
    Commit(usize, usize, i32, i64),
    Grow(usize, i32),
    Delete(usize),
    Remake(usize, i32),
    Fallback(i32),
    Catch(i32),
    Release(i32, Release),
    /// From now on answers are spoiled as this seed says.
    Spoil(u64),
    Honest,
}

fn event() -> impl Strategy<Value = Event> {
    let (broker, topic, group) = (1..=BROKERS, 0..TOPICS.len(), 0..GROUPS.len());
    let health = prop_oneof![
        Just(Health::Up),
        Just(Health::Up),
        Just(Health::Hung),
        Just(Health::Mute),
        Just(Health::Down),
        Just(Health::Closed)
    ];
    let release = prop_oneof![Just(Release::V4), Just(Release::V2), Just(Release::V011)];
    prop_oneof![
        (0..40_u64).prop_map(Event::Wait),
        (broker.clone(), health).prop_map(|(broker, health)| Event::Health(broker, health)),
        (broker.clone(), 9500..9600_u16).prop_map(|(broker, port)| Event::Restart(broker, port)),
        (topic.clone(), 0..4_usize, -1..=BROKERS).prop_map(|(topic, place, to)| Event::Lead(topic, place, to)),
        (group.clone(), broker.clone()).prop_map(|(group, to)| Event::Coordinate(group, to)),
        (group, topic.clone(), 0..4, 0..4000_i64).prop_map(|(g, t, place, offset)| Event::Commit(g, t, place, offset)),
        (topic.clone(), broker.clone()).prop_map(|(topic, leader)| Event::Grow(topic, leader)),
        topic.clone().prop_map(Event::Delete),
        (topic, broker.clone()).prop_map(|(topic, leader)| Event::Remake(topic, leader)),
        broker.clone().prop_map(Event::Fallback),
        broker.clone().prop_map(Event::Catch),
        (broker, release).prop_map(|(broker, release)| Event::Release(broker, release)),
        any::<u64>().prop_map(Event::Spoil),
        Just(Event::Honest),
    ]
}

fn any_query() -> impl Strategy<Value = Query> {
    let scope = prop_oneof![
        Just(Scope::GroupTopics),
        proptest::sample::subsequence(TOPICS.to_vec(), 1..=3)
            .prop_map(|names| Scope::Topics(names.into_iter().map(Into::into).collect())),
    ];
    let limits = prop_oneof![3 => Just(None), 1 => Just(Some(vec![0..=0, 2..=9])), 1 => Just(Some(vec![1..=1, 0..=0]))];
    (0..GROUPS.len(), scope, any::<[bool; 2]>(), limits).prop_map(|(group, scope, flags, limits)| {
        let ([committed_only, log_start], group) = (flags, GROUPS[group].into());
        let partitions = limits.filter(|_| scope != Scope::GroupTopics).map(Into::into);
        Query { group, scope, committed_only, log_start, partitions }
    })
}

/// Fresh that no other partition has ever had: an offset from elsewhere is found out.
struct Fresh(i64);

impl Fresh {
    fn log(&mut self, leader: i32, epoch: i32) -> Log {
        self.0 += 1000;
        Log { leader, epoch, code: 0, start: self.0, stable: self.0 + 400, latest: self.0 + 500 }
    }
}

fn first(numbers: &mut Fresh) -> StandIn {
    let cluster = StandIn::new(BROKERS);
    for (name, id) in TOPICS.iter().zip(1..) {
        let partitions = (1..=id).map(|leader| numbers.log(leader, 3)).collect();
        cluster.state().topics.insert((*name).to_owned(), Topic { id: 0, code: 0, partitions });
        cluster.state().topics.get_mut(*name).unwrap().id = u128::try_from(id).unwrap();
    }
    for (name, coordinator) in GROUPS.iter().zip(1..) {
        cluster.group(name, coordinator, &[("b", 0, 1500)]);
    }
    cluster
}

async fn happen(cluster: &StandIn, event: &Event, numbers: &mut Fresh) {
    if let Event::Wait(seconds) = event {
        return wait(*seconds).await;
    }
    match event {
        Event::Health(broker, health) => return cluster.health(*broker, *health),
        Event::Spoil(seed) => {
            let mut seed = *seed;
            return cluster.spoil(move |_, answer| spoil(answer, &mut seed));
        }
        _ => {}
    }
    let mut guard = cluster.state();
    let state = &mut *guard;
    let topic = |topic: &usize| TOPICS[*topic].to_owned();
    match event {
        Event::Restart(broker, port) => {
            let free = state.brokers.values().all(|other| other.port != *port);
            let broker = state.brokers.get_mut(broker).unwrap();
            broker.life += 1;
            broker.port = if free { *port } else { broker.port };
            broker.health = Health::Up;
        }
        Event::Lead(name, place, to) => {
            if let Some(log) = state.topics.get_mut(&topic(name)).and_then(|topic| topic.partitions.get_mut(*place)) {
                (log.leader, log.epoch) = (*to, log.epoch + 1);
            }
        }
        Event::Coordinate(group, to) => state.groups.get_mut(GROUPS[*group]).unwrap().coordinator = *to,
        Event::Commit(group, name, place, offset) => {
            state.groups.get_mut(GROUPS[*group]).unwrap().commits.insert((topic(name), *place), *offset);
        }
        Event::Grow(name, leader) => {
            if let Some(topic) = state.topics.get_mut(&topic(name)).filter(|topic| topic.partitions.len() < 5) {
                topic.partitions.push(numbers.log(*leader, 0));
            }
        }
        Event::Delete(name) => drop(state.topics.remove(&topic(name))),
        Event::Remake(name, leader) => {
            numbers.0 += 1000;
            let (id, log) = (u128::try_from(numbers.0).unwrap(), numbers.log(*leader, 0));
            state.topics.insert(topic(name), Topic { id, code: 0, partitions: vec![log] });
        }
        Event::Fallback(broker) => {
            let view = state.view(None);
            state.brokers.get_mut(broker).unwrap().behind = Some(view);
        }
        Event::Catch(broker) => state.brokers.get_mut(broker).unwrap().behind = None,
        Event::Release(broker, release) => state.brokers.get_mut(broker).unwrap().release = *release,
        Event::Honest => state.nonsense = None,
        Event::Wait(_) | Event::Health(..) | Event::Spoil(_) => {}
    }
}

/// A small generator: what is spoiled next.
fn draw(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

fn code(seed: &mut u64) -> i16 {
    const CODES: [i16; 14] = [-1, -2, 3, 5, 6, 14, 15, 16, 29, 30, 56, 74, 78, 999];
    CODES[usize::try_from(draw(seed, 14)).unwrap()]
}

/// Error codes in, and leaves out, what an answer should have had; never makes up an offset >= 0.
fn spoil(answer: &mut dyn Any, seed: &mut u64) {
    if draw(seed, 3) > 0 {
        return;
    }
    if let Some(said) = answer.downcast_mut::<MetadataResponse>() {
        match draw(seed, 4) {
            0 => said.brokers.clear(),
            1 => said.topics.truncate(1),
            2 => said.topics.iter_mut().for_each(|topic| topic.error_code = code(seed)),
            _ => said.topics.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(|one| {
                one.leader_id = i32::try_from(draw(seed, 6)).unwrap().into();
                one.partition_index += i32::from(draw(seed, 4) == 0);
            }),
        }
    } else if let Some(said) = answer.downcast_mut::<FindCoordinatorResponse>() {
        said.error_code = code(seed);
        match draw(seed, 2) {
            0 => said.coordinators.truncate(1),
            _ => said.coordinators.iter_mut().for_each(|one| one.error_code = code(seed)),
        }
    } else if let Some(said) = answer.downcast_mut::<ListOffsetsResponse>() {
        let kind = draw(seed, 4);
        said.topics.iter_mut().for_each(|topic| match kind {
            0 => drop(topic.partitions.pop()),
            1 => topic.partitions.iter_mut().for_each(|one| one.offset = -1),
            _ => topic.partitions.iter_mut().filter(|one| one.partition_index > 0).for_each(|one| {
                (one.error_code, one.offset) = (code(seed), -1);
            }),
        });
    } else if let Some(said) = answer.downcast_mut::<OffsetFetchResponse>() {
        if draw(seed, 2) == 0 {
            said.groups.iter_mut().for_each(|group| group.error_code = code(seed));
            said.error_code = code(seed);
        } else {
            let partitions = said.groups.iter_mut().flat_map(|group| &mut group.topics);
            partitions.flat_map(|topic| &mut topic.partitions).for_each(|one| one.committed_offset = -2);
            let partitions = said.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|one| one.error_code = code(seed));
        }
    }
}

/// Compares an answer with the truth. New partitions may be missing as long as they may be unknown.
fn check(cluster: &StandIn, query: &Query, answer: &Answer, complete: bool) {
    let state = cluster.state();
    let commits = &state.groups[&*query.group].commits;
    let names: Vec<String> = match &query.scope {
        Scope::Topics(names) => names.iter().map(ToString::to_string).collect(),
        Scope::GroupTopics => {
            let mut own: Vec<String> = commits.keys().map(|(topic, _)| topic.clone()).collect();
            own.dedup();
            own
        }
    };
    let answered: Vec<String> = answer.iter().map(|topic| topic.name.to_string()).collect();
    assert_eq!(answered, names);
    for topic in answer.iter() {
        let truth = &state.topics[&*topic.name].partitions;
        let wanted = |index: &i32| {
            let limits = query.partitions.as_ref();
            limits.is_none_or(|ranges| ranges.iter().any(|range| range.contains(index)))
        };
        let truth: Vec<(i32, &Log)> = (0..).zip(truth).filter(|(index, _)| wanted(index)).collect();
        assert!(!topic.partitions.is_empty() && topic.partitions.len() <= truth.len());
        assert!(!complete || topic.partitions.len() == truth.len(), "{} lacks partitions", topic.name);
        for ((index, log), one) in truth.into_iter().zip(&topic.partitions) {
            let committed = commits.get(&(topic.name.to_string(), index)).copied();
            let committed = committed.filter(|commit| *commit <= log.latest);
            let latest = if query.committed_only { log.stable } else { log.latest };
            let matters = committed.map_or(query.log_start, |commit| commit < latest);
            let log_start = matters.then_some(log.start);
            assert_eq!(*one, PartitionOffsets { partition: index, committed, log_start, latest });
        }
    }
}

/// Brings the cluster back to health: everybody up, knowing, honest; every partition led.
fn heal(cluster: &StandIn, numbers: &mut Fresh) {
    let mut state = cluster.state();
    state.nonsense = None;
    for broker in state.brokers.values_mut() {
        (broker.behind, broker.health) = (None, Health::Up);
    }
    for (topic, id) in TOPICS.iter().zip(900..) {
        let log = numbers.log(1, 0);
        let topic = state.topics.entry((*topic).to_owned()).or_insert(Topic { id, code: 0, partitions: vec![log] });
        for log in &mut topic.partitions {
            (log.leader, log.epoch) = (log.leader.max(1), log.epoch + 1);
        }
    }
    // A broker that nobody knows any more must be where we begin.
    for (port, broker) in (9001..).zip(state.brokers.values_mut()) {
        (broker.port, broker.life) = (port, broker.life + 1);
    }
}

async fn play(rounds: Vec<(Vec<Event>, Vec<Query>)>) {
    let mut numbers = Fresh(0);
    let cluster = first(&mut numbers);
    let mut offsets = backend(&cluster);
    let mut shaped: Option<Instant> = None;
    for (events, queries) in &rounds {
        for event in events {
            happen(&cluster, event, &mut numbers).await;
            if matches!(event, Event::Grow(..) | Event::Remake(..)) {
                shaped = Some(Instant::now());
            }
        }
        let behind = cluster.state().brokers.values().any(|broker| broker.behind.is_some());
        if behind || cluster.state().nonsense.is_some() {
            shaped = Some(Instant::now());
        }
        let complete = shaped.is_none_or(|at| at.elapsed() >= Duration::from_secs(10));
        let began = Instant::now();
        let answers = offsets.ask(queries).await;
        assert!(began.elapsed() <= part(ROUND, PATIENCE), "{:?}", began.elapsed());
        let Ok(answers) = answers else {
            offsets.hang_up();
            continue;
        };
        assert_eq!(answers.len(), queries.len());
        for (query, answer) in queries.iter().zip(&answers) {
            match answer {
                Ok(answer) => check(&cluster, query, answer, complete),
                Err(error) => assert_eq!(error.scope, ErrorScope::Query, "{error}"),
            }
        }
    }
    heal(&cluster, &mut numbers);
    let queries = [query("g", &TOPICS), query("h", &TOPICS), own("i")];
    for _ in 0..3 {
        wait(31).await;
        drop(offsets.ask(&queries).await);
    }
    let answers = offsets.ask(&queries).await.unwrap();
    for (query, answer) in queries.iter().zip(&answers) {
        check(&cluster, query, answer.as_ref().unwrap(), true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_is_exact_or_an_error(
        rounds in proptest::collection::vec(
            (proptest::collection::vec(event(), 0..6), proptest::collection::vec(any_query(), 1..6)),
            1..10,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(rounds));
    }
}
