//! Consumers that are members of a group, with the client library that most programs use.

use std::time::Instant;

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};

use super::PATIENCE;
use super::records::Records;

/// By which protocol a consumer is a member of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    /// The members divide the partitions among themselves.
    Classic,
    /// The broker divides them (KIP-848); Kafka 4 and newer.
    Assigned,
}

/// A member of a group. Dropping it leaves the group.
pub(crate) struct Consumer {
    consumer: BaseConsumer,
}

impl Records {
    /// Joins a group and begins where it left off, or at the first record.
    pub(crate) fn consume(&self, topic: &str, group: &str, membership: Membership) -> Consumer {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", self.bootstrap()).set("group.id", group).set("log_level", "2");
        settings.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        // One record at a time, so that what is taken is what was asked for.
        settings.set("queued.min.messages", "1");
        if membership == Membership::Assigned {
            settings.set("group.protocol", "consumer");
        }
        let consumer: BaseConsumer = settings.create().unwrap();
        consumer.subscribe(&[topic]).unwrap();
        Consumer { consumer }
    }
}

impl Consumer {
    /// Takes so many records and commits after each.
    pub(crate) fn take(&self, count: usize) {
        let until = Instant::now() + PATIENCE;
        let mut taken = 0;
        while taken < count {
            assert!(Instant::now() < until, "only {taken} of {count} records came");
            let Some(message) = self.consumer.poll(std::time::Duration::from_millis(100)) else { continue };
            let message = message.unwrap_or_else(|error| panic!("record {taken}: {error}"));
            assert!(message.payload().is_some());
            self.consumer.commit_message(&message, CommitMode::Sync).unwrap();
            taken += 1;
        }
    }
}
