//! Groups with members, and groups that come and go.

use tidegate_calculator::source::ReadErrorKind;
use tidegate_scalers::Endpoints;

use crate::brokers::admin::Resource;
use crate::brokers::consumers::Membership;
use crate::brokers::{Listener, PASSWORD, STRANGER};
use crate::push::rule_describe;
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

/// Brokers leave such a topic out of the group's own without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_of_the_group_that_may_not_be_seen_any_more_is_an_error_and_no_lag_of_zero() {
    let Some(kafka) = shared() else { return };
    let (admin, records) = (kafka.admin(), kafka.records());
    admin.create("own-hidden", 1);
    records.append("own-hidden", 0, 5);
    admin.commit("group-own-hidden", "own-hidden", 0, 2);
    admin.grant(STRANGER, Resource::Topic, "own-hidden");
    admin.grant(STRANGER, Resource::Group, "group-own-hidden");
    let trigger = Trigger::new(&kafka.bootstrap(Listener::Secure), "group-own-hidden").with(&[("tls", "enable")]);
    let login = [("sasl", "scram_sha256"), ("username", STRANGER), ("password", PASSWORD)];
    let trigger = trigger.auth(&[("ca", kafka.certificates().ca.as_str())]).auth(&login);
    let scaler = trigger.open(&Endpoints::new());
    eventually("the rights are known", async || lag(&*scaler).await == Ok((3, true))).await;
    rule_describe(kafka, STRANGER, "own-hidden", 2);
    let mut refused = 0;
    eventually("the read fails, again and again", async || {
        match lag(&*scaler).await {
            Ok(lag) => assert_eq!(lag, (3, true), "until the broker knows the rule"),
            Err(error) => {
                assert_eq!(error.kind, ReadErrorKind::Auth, "{error}");
                assert!(error.message.contains("own-hidden"), "{error}");
                refused += 1;
            }
        }
        refused >= 3
    })
    .await;
}
