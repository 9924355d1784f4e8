//! Groups with members, and groups that come and go.

use tidegate_scalers::Endpoints;

use crate::brokers::Listener;
use crate::brokers::consumers::Membership;
use crate::trigger::{Trigger, eventually, lag, shared};

/// What a member commits is seen at the next read, also while the group divides its partitions anew.
async fn is_followed(name: &str, membership: Membership) {
    let Some(kafka) = shared() else { return };
    let (admin, records) = (kafka.admin(), kafka.records());
    let group = format!("group-{name}");
    admin.create(name, 3);
    (0..3).for_each(|partition| records.append(name, partition, 5));
    let trigger = Trigger::new(&kafka.bootstrap(Listener::Open), &group);
    let scaler = trigger.with(&[("topic", name), ("offsetResetPolicy", "earliest")]).open(&Endpoints::new());
    assert_eq!(lag(&*scaler).await, Ok((15, true)), "nobody has committed");
    let first = records.consume(name, &group, membership);
    first.take(6);
    assert_eq!(lag(&*scaler).await, Ok((9, true)), "6 of 15 are read");
    // The second one joins: whatever the group is doing, its commits are what they were.
    let second = records.consume(name, &group, membership);
    for _ in 0..20 {
        assert_eq!(lag(&*scaler).await, Ok((9, true)), "nothing was committed since");
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    drop(second);
    first.take(9);
    assert_eq!(lag(&*scaler).await, Ok((0, false)), "all are read");
    drop(first);
    assert_eq!(lag(&*scaler).await, Ok((0, false)), "the commits outlive the members");
    // A group without members can be removed; its commits go with it.
    let forget = {
        let group = group.clone();
        tokio::task::spawn_blocking(move || admin.forget(&group))
    };
    forget.await.unwrap();
    eventually("the group is new again", async || lag(&*scaler).await == Ok((15, true))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_divides_its_partitions_itself_is_followed() {
    is_followed("classic", Membership::Classic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_partitions_the_broker_divides_is_followed() {
    is_followed("assigned", Membership::Assigned).await;
}
