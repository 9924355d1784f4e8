//! Programs that publish into queues and take messages out of them, through a client library that is not ours.
// More than one test binary uses it, and none uses everything.
#![allow(dead_code)]

use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};

/// A connection with one channel, on which publishing is confirmed.
pub(crate) struct Client {
    // Closes when it is dropped.
    _connection: Connection,
    channel: Channel,
}

/// A consumer that acknowledges when it is told to, and holds until then.
pub(crate) struct Worker {
    client: Client,
    consumer: Consumer,
    held: Vec<Delivery>,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        let properties = ConnectionProperties::default().with_connection_name("worker".into());
        let connection = Connection::connect(url, properties).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { _connection: connection, channel }
    }

    /// Publishes persistent messages; the broker has them when this returns.
    pub(crate) async fn publish(&self, queue: &str, count: usize) {
        let (options, persistent) = (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
        for _ in 0..count {
            let sent = self.channel.basic_publish("".into(), queue.into(), options, b"work", persistent.clone()).await;
            sent.unwrap().await.unwrap();
        }
    }
}

impl Worker {
    /// Takes messages, but holds so many at most.
    pub(crate) async fn start(url: &str, queue: &str, prefetch: u16) -> Self {
        let client = Client::connect(url).await;
        client.channel.basic_qos(prefetch, BasicQosOptions::default()).await.unwrap();
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer = client.channel.basic_consume(queue.into(), "worker".into(), options, none).await.unwrap();
        Self { client, consumer, held: Vec::new() }
    }

    /// Waits until it holds so many.
    pub(crate) async fn hold(&mut self, count: usize) {
        while self.held.len() < count {
            self.held.push(self.consumer.next().await.expect("a message").unwrap());
        }
    }

    /// Acknowledges the oldest ones that it holds.
    pub(crate) async fn acknowledge(&mut self, count: usize) {
        for delivery in self.held.drain(..count) {
            delivery.ack(BasicAckOptions::default()).await.unwrap();
        }
    }

    /// Publishes over the same connection.
    pub(crate) async fn publish(&self, queue: &str, count: usize) {
        self.client.publish(queue, count).await;
    }
}
