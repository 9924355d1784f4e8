//! A service that is scaled by the clients of a Redis server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use libtest_mimic::Trial;
use serde_json::json;

use super::super::objects::Deployment;
use super::super::operator::Account;
use super::super::space::Space;
use super::super::trial_with_redis;
use super::scaled_object;
use crate::harness::redis::Redis;

/// `targetValue`: the clients that one replica takes care of.
const LIMIT: usize = 10;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_redis("sources::redis_clients_above_the_limit_add_pods", above_the_limit)]
}

fn above_the_limit() {
    // A server of its own: every client of it counts.
    let redis = Redis::start(None);
    let space = Space::new("clients");
    space.deploy(&Deployment { replicas: 1, ..Deployment::default() });
    let trigger = json!([{
        "type": "redis-clients", "metadata": {"address": redis.address(), "targetValue": LIMIT.to_string()},
    }]);
    space.apply(&scaled_object(&json!({"minReplicaCount": 1}), &trigger).to_string());
    let operator = Account::new(&space).start();
    space.until_condition("app", "Ready", "True");
    let asked = space.watch("app");

    // 25 of ours, and few more: the operator itself, and whoever looks. From 21 to 30 are 3 replicas.
    let mut clients: Vec<TcpStream> = (0..25).map(|_| client(&redis)).collect();
    space.until_ready("app", 3);
    // At most 6 are left: that is one replica.
    clients.truncate(2);
    space.until_replicas("app", 1);

    let counts = asked.counts();
    assert_eq!(counts, [1, 3, 1], "clients come and go within one read: {}", operator.log());
}

/// A client that is connected and has said so.
fn client(redis: &Redis) -> TcpStream {
    let mut stream = TcpStream::connect(redis.address()).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
    stream
}
