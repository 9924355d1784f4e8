//! What is read for offsets that were set by hand.

use std::sync::Arc;

use tidegate_calculator::source::Occasion;
use tidegate_scalers::Endpoints;

use crate::brokers::{Kafka, Listener, Plan};
use crate::rows::{EARLIEST, all};
use crate::table::holds;
use crate::trigger::{DEADLINE, Trigger, available, eventually, lag, lag_on, shared};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_that_were_set_by_hand_read_as_the_table_says() {
    let Some(kafka) = shared() else { return };
    holds(kafka, all()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_brokers_read_the_same() {
    for version in ["3.9", "2.8"] {
        if available(version) {
            println!("Kafka {version}");
            let kafka = Kafka::start(&Plan::new(version));
            kafka.admin().ready_for_groups();
            holds(&kafka, all().filter(|row| row.everywhere)).await;
        }
    }
}

/// The brokers create a topic that a client asks for, unless the client says that it only wants to know.
#[tokio::test]
async fn reading_makes_no_topic() {
    let Some(kafka) = shared() else { return };
    let trigger = Trigger::new(&kafka.bootstrap(Listener::Open), "group-makes-none").with(&[("topic", "makes-none")]);
    for _ in 0..3 {
        trigger.read().await.unwrap_err();
    }
    assert!(!kafka.admin().has("makes-none"));
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_read_from_its_new_start() {
    let Some(kafka) = shared() else { return };
    let (admin, records) = (kafka.admin(), kafka.records());
    admin.create("anew", 1);
    records.append("anew", 0, 5);
    admin.commit("group-anew", "anew", 0, 4);
    let trigger = Trigger::new(&kafka.bootstrap(Listener::Open), "group-anew").with(&[("topic", "anew"), EARLIEST]);
    let scaler = trigger.open(&Endpoints::new());
    assert_eq!(lag(&*scaler).await, Ok((1, true)));
    admin.delete("anew");
    let error = lag(&*scaler).await.unwrap_err();
    assert!(error.message.contains("anew"), "{error}");
    admin.create("anew", 1);
    records.append("anew", 0, 2);
    // Until the broker has forgotten the commit, it is one behind the end: no lag. Then all that exist count.
    eventually("the 2 records of the new topic", async || match lag(&*scaler).await {
        Ok((2, true)) => true,
        Ok((0, false)) | Err(_) => false,
        Ok(other) => panic!("neither the old meaning nor the new one: {other:?}"),
    })
    .await;
}

#[tokio::test]
async fn persistent_lag_does_not_count_but_keeps_active() {
    let Some(kafka) = shared() else { return };
    let (admin, records) = (kafka.admin(), kafka.records());
    admin.create("stuck", 2);
    (0..2).for_each(|partition| records.append("stuck", partition, 10));
    (0..2).for_each(|partition| admin.commit("group-stuck", "stuck", partition, 4));
    let says = [("topic", "stuck"), ("excludePersistentLag", "true")];
    let trigger = Trigger::new(&kafka.bootstrap(Listener::Open), "group-stuck").with(&says);
    let endpoints = Endpoints::new();
    let scaler = trigger.open(&endpoints);
    assert_eq!(lag(&*scaler).await, Ok((12, true)), "the first poll has nothing to compare with");
    let check = async |scaler: &dyn tidegate_scalers::Scaler| lag_on(scaler, Occasion::Check, DEADLINE).await;
    admin.commit("group-stuck", "stuck", 1, 6);
    assert_eq!(check(&*scaler).await, Ok((10, true)), "a check compares with what the last poll compared with");
    assert_eq!(lag(&*scaler).await, Ok((4, true)), "the next poll sees that only partition 1 has moved");
    assert_eq!(check(&*scaler).await, Ok((4, true)), "and a check after it does not take that back");
    // A trigger that is built anew is opened before the old one goes: it knows what was read.
    let anew = trigger.with(&[("activationLagThreshold", "3")]).open(&endpoints);
    drop(scaler);
    assert_eq!(check(&*anew).await, Ok((4, true)), "its first read is no poll, and is judged like the last one");
    assert_eq!(lag(&*anew).await, Ok((0, true)), "nothing has moved since the last poll of the one before");
    admin.commit("group-stuck", "stuck", 0, 10);
    admin.commit("group-stuck", "stuck", 1, 10);
    assert_eq!(lag(&*anew).await, Ok((0, false)), "all is read");
}

/// All triggers of one cluster share one round and one connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_groups_read_at_once_each_get_their_own_number() {
    let Some(kafka) = shared() else { return };
    let (admin, records) = (kafka.admin(), kafka.records());
    admin.create("many", 2);
    records.append("many", 0, 100);
    records.append("many", 1, 100);
    let endpoints = Endpoints::new();
    let bootstrap = kafka.bootstrap(Listener::Open);
    let open = |number: i64| {
        let group = format!("group-many-{number}");
        admin.commit(&group, "many", 0, number);
        admin.commit(&group, "many", 1, 100 - number / 2);
        Arc::from(Trigger::new(&bootstrap, &group).with(&[("topic", "many")]).open(&endpoints))
    };
    let scalers: Vec<Arc<dyn tidegate_scalers::Scaler>> = (0..40).map(open).collect();
    let first = scalers[0].endpoint();
    assert!(first.is_some() && scalers.iter().all(|scaler| scaler.endpoint() == first));
    let reads: Vec<_> =
        scalers.iter().cloned().map(|scaler| tokio::spawn(async move { lag(&*scaler).await })).collect();
    for (number, read) in (0_i64..).zip(reads) {
        assert_eq!(read.await.unwrap(), Ok((100 - number + number / 2, true)), "group {number}");
    }
}
