//! The registry's entries: what each trigger type is called, takes and tells its users.

use super::declaration::place::Layout;
use super::declaration::{clients as client_words, lists, streams};
use super::{clients, open};
use crate::registry::TriggerType;

/// The entry of `redis`.
pub(crate) const TRIGGER_TYPE: TriggerType = TriggerType {
    name: "redis",
    summary: "The length of a list, set, sorted set or hash on a stand-alone Redis server.",
    parameters: lists::SINGLE,
    example: "\
- type: redis
  metadata:
    address: redis.shop.svc.cluster.local:6379
    listName: orders
    listLength: \"100\"
",
    example_metadata: &[
        ("address", "redis.shop.svc.cluster.local:6379"),
        ("listName", "orders"),
        ("listLength", "100"),
    ],
    scaler: "redisScaler",
    notes: concat!(include_str!("notes/lists.md"), include_str!("notes/single.md"), include_str!("notes/common.md")),
    check: |spec, values| lists::check(spec, values, Layout::Single),
    open: |spec, values, endpoints| open(lists::settings(spec, values, Layout::Single), endpoints),
};

/// The entry of `redis-cluster`.
pub(crate) const CLUSTER: TriggerType = TriggerType {
    name: "redis-cluster",
    summary: "The length of a list, set, sorted set or hash in a Redis cluster.",
    parameters: lists::CLUSTER,
    example: "\
- type: redis-cluster
  metadata:
    addresses: redis-0.redis.shop.svc.cluster.local:6379,redis-1.redis.shop.svc.cluster.local:6379
    listName: orders
    listLength: \"100\"
",
    example_metadata: &[
        ("addresses", "redis-0.redis.shop.svc.cluster.local:6379,redis-1.redis.shop.svc.cluster.local:6379"),
        ("listName", "orders"),
        ("listLength", "100"),
    ],
    notes: concat!(include_str!("notes/lists.md"), include_str!("notes/cluster.md"), include_str!("notes/common.md")),
    check: |spec, values| lists::check(spec, values, Layout::Cluster),
    open: |spec, values, endpoints| open(lists::settings(spec, values, Layout::Cluster), endpoints),
    ..TRIGGER_TYPE
};

/// The entry of `redis-sentinel`.
pub(crate) const SENTINEL: TriggerType = TriggerType {
    name: "redis-sentinel",
    summary: "The length of a list, set, sorted set or hash on the master that Redis Sentinels name.",
    parameters: lists::SENTINEL,
    example: "\
- type: redis-sentinel
  metadata:
    addresses: sentinel-0.shop.svc.cluster.local:26379,sentinel-1.shop.svc.cluster.local:26379
    sentinelMaster: mymaster
    listName: orders
    listLength: \"100\"
",
    example_metadata: &[
        ("addresses", "sentinel-0.shop.svc.cluster.local:26379,sentinel-1.shop.svc.cluster.local:26379"),
        ("sentinelMaster", "mymaster"),
        ("listName", "orders"),
        ("listLength", "100"),
    ],
    notes: concat!(include_str!("notes/lists.md"), include_str!("notes/sentinel.md"), include_str!("notes/common.md")),
    check: |spec, values| lists::check(spec, values, Layout::Sentinel),
    open: |spec, values, endpoints| open(lists::settings(spec, values, Layout::Sentinel), endpoints),
    ..TRIGGER_TYPE
};

/// The entry of `redis-streams`.
pub(crate) const STREAMS: TriggerType = TriggerType {
    name: "redis-streams",
    summary: "The entries of a stream on a stand-alone Redis server: all, those pending in a group, or its lag.",
    parameters: streams::SINGLE,
    example: "\
- type: redis-streams
  metadata:
    address: redis.shop.svc.cluster.local:6379
    stream: orders
    consumerGroup: billing
    lagCount: \"100\"
",
    example_metadata: &[
        ("address", "redis.shop.svc.cluster.local:6379"),
        ("stream", "orders"),
        ("consumerGroup", "billing"),
        ("lagCount", "100"),
    ],
    scaler: "redisStreamsScaler",
    notes: concat!(include_str!("notes/streams.md"), include_str!("notes/single.md"), include_str!("notes/common.md")),
    check: |spec, values| streams::check(spec, values, Layout::Single),
    open: |spec, values, endpoints| open(streams::settings(spec, values, Layout::Single), endpoints),
};

/// The entry of `redis-cluster-streams`.
pub(crate) const CLUSTER_STREAMS: TriggerType = TriggerType {
    name: "redis-cluster-streams",
    summary: "The entries of a stream in a Redis cluster: all, those pending in a group, or its lag.",
    parameters: streams::CLUSTER,
    example: "\
- type: redis-cluster-streams
  metadata:
    addresses: redis-0.redis.shop.svc.cluster.local:6379,redis-1.redis.shop.svc.cluster.local:6379
    stream: orders
    consumerGroup: billing
    lagCount: \"100\"
",
    example_metadata: &[
        ("addresses", "redis-0.redis.shop.svc.cluster.local:6379,redis-1.redis.shop.svc.cluster.local:6379"),
        ("stream", "orders"),
        ("consumerGroup", "billing"),
        ("lagCount", "100"),
    ],
    notes: concat!(include_str!("notes/streams.md"), include_str!("notes/cluster.md"), include_str!("notes/common.md")),
    check: |spec, values| streams::check(spec, values, Layout::Cluster),
    open: |spec, values, endpoints| open(streams::settings(spec, values, Layout::Cluster), endpoints),
    ..STREAMS
};

/// The entry of `redis-sentinel-streams`.
pub(crate) const SENTINEL_STREAMS: TriggerType = TriggerType {
    name: "redis-sentinel-streams",
    summary: "The entries of a stream on the master that Redis Sentinels name: all, those pending in a group, or its lag.",
    parameters: streams::SENTINEL,
    example: "\
- type: redis-sentinel-streams
  metadata:
    addresses: sentinel-0.shop.svc.cluster.local:26379,sentinel-1.shop.svc.cluster.local:26379
    sentinelMaster: mymaster
    stream: orders
    consumerGroup: billing
    lagCount: \"100\"
",
    example_metadata: &[
        ("addresses", "sentinel-0.shop.svc.cluster.local:26379,sentinel-1.shop.svc.cluster.local:26379"),
        ("sentinelMaster", "mymaster"),
        ("stream", "orders"),
        ("consumerGroup", "billing"),
        ("lagCount", "100"),
    ],
    notes: concat!(
        include_str!("notes/streams.md"),
        include_str!("notes/sentinel.md"),
        include_str!("notes/common.md")
    ),
    check: |spec, values| streams::check(spec, values, Layout::Sentinel),
    open: |spec, values, endpoints| open(streams::settings(spec, values, Layout::Sentinel), endpoints),
    ..STREAMS
};

/// The entry of `redis-clients`.
pub(crate) const CLIENTS: TriggerType = TriggerType {
    name: "redis-clients",
    summary: "A number that Redis servers state about themselves, such as how many clients they have.",
    parameters: client_words::PARAMETERS,
    example: "\
- type: redis-clients
  metadata:
    address: redis.shop.svc.cluster.local:6379
    field: connected_clients
    targetValue: \"50\"
",
    example_metadata: &[
        ("address", "redis.shop.svc.cluster.local:6379"),
        ("field", "connected_clients"),
        ("targetValue", "50"),
    ],
    scaler: "redisClientsScaler",
    notes: include_str!("notes/clients.md"),
    check: client_words::check,
    open: clients::open,
};
