//! How to play the source of each trigger type that reads a server of its own: one row a type.

use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Row;
#[cfg(feature = "external")]
use super::scripted_external::{self, Script};
#[cfg(feature = "flink")]
use super::scripted_flink;
#[cfg(feature = "kafka")]
use super::scripted_kafka;
#[cfg(feature = "mongodb")]
use super::scripted_mongodb;

#[cfg(feature = "external")]
const EXTERNAL: Row = Row {
    name: "external",
    metadata: &[("scalerAddress", "{address}"), ("queue", "jobs")],
    auth: &[],
    bad: &[
        (("scalerAddress", ""), "metadata.scalerAddress"),
        (("scalerAddress", "unix:/run/scaler.sock"), "metadata.scalerAddress"),
        (("scalerAddress", "nowhere:http"), "metadata.scalerAddress"),
        (("enableTLS", "yes"), "metadata.enableTLS"),
        (("unsafeSsl", "maybe"), "metadata.unsafeSsl"),
    ],
    zero: |stream| scripted_external::serve(stream, Script::saying(0, false)),
    refused: |stream| {
        let script = Script::saying(0, false).failing("GetMetrics", tonic::Code::Unauthenticated);
        scripted_external::serve(stream, script)
    },
    no_data: |stream| {
        let script = Script { values: [("jobs", Vec::new())].into(), ..Script::saying(0, false) };
        scripted_external::serve(stream, script)
    },
};

#[cfg(feature = "kafka")]
const CAUGHT_UP: scripted_kafka::Broker = scripted_kafka::Broker {
    topics: &[("jobs", &[scripted_kafka::Partition { committed: 7, log_start: 3, latest: 7 }])],
    refuses: false,
};

#[cfg(feature = "kafka")]
const KAFKA: Row = Row {
    name: "kafka",
    metadata: &[
        ("bootstrapServers", "{address}"),
        ("consumerGroup", "workers"),
        ("topic", "jobs"),
        ("sasl", "plaintext"),
    ],
    auth: &[("username", "reader"), ("password", "secret")],
    bad: &[
        (("bootstrapServers", ""), "metadata.bootstrapServers"),
        (("bootstrapServers", "nowhere"), "metadata.bootstrapServers"),
        (("consumerGroup", ""), "metadata.consumerGroup"),
        (("topic", "a b"), "metadata.topic"),
        (("partitionLimitation", "all"), "metadata.partitionLimitation"),
        (("lagThreshold", "0"), "metadata.lagThreshold"),
        (("activationLagThreshold", "-1"), "metadata.activationLagThreshold"),
        (("offsetResetPolicy", "first"), "metadata.offsetResetPolicy"),
        (("sasl", "gssapi"), "metadata.sasl"),
        (("sasl", "kerberos"), "metadata.sasl"),
        (("tls", "yes"), "metadata.tls"),
    ],
    zero: |stream| CAUGHT_UP.serve(stream),
    refused: |stream| scripted_kafka::Broker { refuses: true, ..CAUGHT_UP }.serve(stream),
    no_data: |stream| scripted_kafka::Broker { topics: &[], ..CAUGHT_UP }.serve(stream),
};

#[cfg(feature = "redis")]
const REDIS: Row = Row {
    name: "redis",
    metadata: &[("address", "{address}"), ("listName", "jobs"), ("listLength", "5")],
    auth: &[],
    bad: &[
        (("listName", ""), "metadata.listName"),
        (("address", ""), "metadata.address"),
        (("address", "nowhere"), "metadata.address"),
        (("listLength", "1O"), "metadata.listLength"),
        (("databaseIndex", "-1"), "metadata.databaseIndex"),
        (("enableTLS", "yes"), "metadata.enableTLS"),
    ],
    zero: |stream| say(stream, ":0\r\n"),
    refused: |stream| say(stream, "-NOAUTH Authentication required.\r\n"),
    no_data: |stream| say(stream, "$-1\r\n"),
};

#[cfg(feature = "redis")]
const REDIS_STREAMS: Row = Row {
    name: "redis-streams",
    metadata: &[("address", "{address}"), ("stream", "jobs"), ("consumerGroup", "workers"), ("lagCount", "5")],
    bad: &[
        (("stream", ""), "metadata.stream"),
        (("address", ""), "metadata.address"),
        (("address", "nowhere"), "metadata.address"),
        (("lagCount", "1O"), "metadata.lagCount"),
        (("pendingEntriesCount", "-1"), "metadata.pendingEntriesCount"),
        (("streamLength", "-1"), "metadata.streamLength"),
        (("activationLagCount", "x"), "metadata.activationLagCount"),
        (("activation", "pull"), "metadata.activation"),
    ],
    zero: |stream| say(stream, "-ERR no such key\r\n"),
    ..REDIS
};

/// A MongoDB whose aggregations give one number, if any.
#[cfg(feature = "mongodb")]
fn say_number(stream: TcpStream, number: Option<i32>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let documents = number.map(|number| mongodb::bson::doc! { "count": number }).into_iter().collect();
    scripted_mongodb::serve(stream, scripted_mongodb::Script { documents, ..scripted_mongodb::Script::default() })
}

/// A MongoDB that lets nobody in.
#[cfg(feature = "mongodb")]
fn refuse(stream: TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let failures = vec![("aggregate", 13, "Unauthorized"), ("serverStatus", 13, "Unauthorized")];
    scripted_mongodb::serve(stream, scripted_mongodb::Script { failures, ..scripted_mongodb::Script::default() })
}

/// A Redis that is a cluster of its own and its own Sentinel, and gives one answer to everything else.
#[cfg(feature = "redis")]
fn say_here(mut stream: TcpStream, answer: &'static str) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let port = stream.local_addr().unwrap().port().to_string();
        let slots = format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n");
        let master = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len());
        let mut heard = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut heard).await {
            let command = String::from_utf8_lossy(&heard[..length]);
            let answer = if command.contains("CLUSTER") {
                &slots
            } else if command.contains("SENTINEL") {
                &master
            } else {
                answer
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
}

pub(super) const ROWS: &[Row] = &[
    #[cfg(feature = "kafka")]
    Row { name: "apache-kafka", ..KAFKA },
    #[cfg(feature = "external")]
    EXTERNAL,
    #[cfg(feature = "external")]
    Row { name: "external-push", ..EXTERNAL },
    #[cfg(feature = "flink")]
    Row {
        name: "flink",
        metadata: &[
            ("restUrl", "http://{address}"),
            ("job", "enrich"),
            ("metric", "pendingRecords"),
            ("targetValue", "5"),
            ("authModes", "bearer"),
        ],
        auth: &[("token", "secret")],
        bad: &[
            (("restUrl", ""), "metadata.restUrl"),
            (("restUrl", "nowhere"), "metadata.restUrl"),
            (("restUrl", "http://flink?x=1"), "metadata.restUrl"),
            (("job", ""), "metadata.job"),
            (("mode", "guess"), "metadata.mode"),
            (("metric", ""), "metadata.metric"),
            (("metric", "load"), "metadata.metric"),
            (("targetValue", ""), "metadata.targetValue"),
            (("targetValue", "0"), "metadata.targetValue"),
            (("stabilization", "soon"), "metadata.stabilization"),
            (("slotsPerTaskManager", "0"), "metadata.slotsPerTaskManager"),
            (("authModes", "digest"), "metadata.authModes"),
            (("timeout", "soon"), "metadata.timeout"),
        ],
        zero: |stream| {
            let metrics = r#"[{"id":"Source__orders.pendingRecords","min":0.0,"max":0.0,"avg":0.0,"sum":0.0}]"#;
            scripted_flink::JobManager { metrics }.serve(stream)
        },
        refused: |stream| say(stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"),
        no_data: |stream| scripted_flink::JobManager { metrics: "[]" }.serve(stream),
    },
    #[cfg(feature = "kafka")]
    KAFKA,
    #[cfg(feature = "metrics-api")]
    Row {
        name: "metrics-api",
        metadata: &[
            ("url", "http://{address}/stats"),
            ("valueLocation", "jobs.waiting"),
            ("targetValue", "5"),
            ("authModes", "bearer"),
        ],
        auth: &[("token", "secret")],
        bad: &[
            (("url", ""), "metadata.url"),
            (("url", "nowhere"), "metadata.url"),
            (("valueLocation", ""), "metadata.valueLocation"),
            (("valueLocation", "jobs.*"), "metadata.valueLocation"),
            (("targetValue", ""), "metadata.targetValue"),
            (("targetValue", "0"), "metadata.targetValue"),
            (("format", "csv"), "metadata.format"),
            (("aggregationType", "median"), "metadata.aggregationType"),
            (("authModes", "digest"), "metadata.authModes"),
            (("unsafeSsl", "yes"), "metadata.unsafeSsl"),
            (("timeout", "soon"), "metadata.timeout"),
        ],
        zero: |stream| say_http(stream, r#"{"jobs":{"waiting":0}}"#),
        refused: |stream| say(stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"),
        no_data: |stream| say_http(stream, "{}"),
    },
    #[cfg(feature = "mongodb")]
    Row {
        name: "mongodb",
        metadata: &[
            ("connectionString", "mongodb://{address}/"),
            ("dbName", "shop"),
            ("collection", "jobs"),
            ("pipeline", r#"[{"$group": {"_id": null, "count": {"$sum": 1}}}]"#),
            ("queryValue", "5"),
        ],
        auth: &[],
        bad: &[
            (("connectionString", ""), "metadata.connectionString"),
            (("connectionString", "nowhere"), "metadata.connectionString"),
            (("dbName", ""), "metadata.dbName"),
            (("dbName", "a/b"), "metadata.dbName"),
            (("collection", ""), "metadata.collection"),
            (("pipeline", ""), "metadata.query"),
            (("pipeline", "{}"), "metadata.pipeline"),
            (("query", r#"{"state": "waiting"}"#), "metadata.pipeline"),
            (("emptyIsZero", "maybe"), "metadata.emptyIsZero"),
            (("queryValue", ""), "metadata.queryValue"),
            (("queryValue", "0"), "metadata.queryValue"),
            (("activationQueryValue", "NaN"), "metadata.activationQueryValue"),
            (("activation", "pull"), "metadata.activation"),
        ],
        zero: |stream| say_number(stream, Some(0)),
        refused: refuse,
        no_data: |stream| say_number(stream, None),
    },
    #[cfg(feature = "mongodb")]
    Row {
        name: "mongodb-ops-queue",
        metadata: &[("connectionString", "mongodb://{address}/"), ("targetValue", "5")],
        auth: &[],
        bad: &[
            (("connectionString", ""), "metadata.connectionString"),
            (("connectionString", "nowhere"), "metadata.connectionString"),
            (("targetValue", ""), "metadata.targetValue"),
            (("targetValue", "0"), "metadata.targetValue"),
            (("activationTargetValue", "many"), "metadata.activationTargetValue"),
            (("metric", "queue"), "metadata.metric"),
            (("members", "two"), "metadata.members"),
            (("slowerThan", "soon"), "metadata.slowerThan"),
        ],
        zero: |stream| scripted_mongodb::serve(stream, scripted_mongodb::Script::queue(0, 0)),
        refused: refuse,
        no_data: |stream| say_number(stream, None),
    },
    #[cfg(feature = "prometheus")]
    Row {
        name: "prometheus",
        metadata: &[
            ("serverAddress", "http://{address}"),
            ("query", "sum(jobs)"),
            ("threshold", "5"),
            ("ignoreNullValues", "false"),
        ],
        auth: &[],
        bad: &[
            (("serverAddress", ""), "metadata.serverAddress"),
            (("serverAddress", "nowhere"), "metadata.serverAddress"),
            (("query", ""), "metadata.query"),
            (("threshold", ""), "metadata.threshold"),
            (("threshold", "0"), "metadata.threshold"),
            (("activationThreshold", "NaN"), "metadata.activationThreshold"),
            (("queryParameters", "a"), "metadata.queryParameters"),
            (("ignoreNullValues", "maybe"), "metadata.ignoreNullValues"),
            (("authModes", "digest"), "metadata.authModes"),
        ],
        zero: |stream| {
            let vector = r#"{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"0"]}]}}"#;
            say_http(stream, vector)
        },
        refused: |stream| say(stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"),
        no_data: |stream| say_http(stream, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#),
    },
    #[cfg(feature = "rabbitmq")]
    Row {
        name: "rabbitmq",
        metadata: &[("host", "http://{address}"), ("queueName", "jobs"), ("mode", "QueueLength"), ("value", "5")],
        auth: &[("username", "reader"), ("password", "secret")],
        bad: &[
            (("host", ""), "metadata.host"),
            (("host", "nowhere"), "metadata.host"),
            (("protocol", "mqtt"), "metadata.protocol"),
            (("protocol", "amqp"), "metadata.host"),
            (("queueName", ""), "metadata.queueName"),
            (("mode", ""), "metadata.mode"),
            (("mode", "Length"), "metadata.mode"),
            (("value", ""), "metadata.value"),
            (("value", "-5"), "metadata.value"),
            (("value", "many"), "metadata.value"),
            (("activationValue", "NaN"), "metadata.activationValue"),
            (("queueLength", "5"), "metadata.queueLength"),
            (("operation", "min"), "metadata.operation"),
            (("pageSize", "0"), "metadata.pageSize"),
            (("useRegex", "maybe"), "metadata.useRegex"),
            (("excludeUnacknowledged", "maybe"), "metadata.excludeUnacknowledged"),
            (("timeout", "soon"), "metadata.timeout"),
            (("unsafeSsl", "maybe"), "metadata.unsafeSsl"),
        ],
        zero: |stream| say_http(stream, r#"{"name":"jobs","messages":0,"messages_ready":0}"#),
        refused: |stream| say(stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"),
        no_data: |stream| say_http(stream, r#"{"name":"jobs"}"#),
    },
    #[cfg(feature = "redis")]
    REDIS,
    #[cfg(feature = "redis")]
    Row {
        name: "redis-clients",
        metadata: &[("address", "{address}"), ("targetValue", "5")],
        bad: &[
            (("targetValue", ""), "metadata.targetValue"),
            (("targetValue", "0"), "metadata.targetValue"),
            (("activationTargetValue", "many"), "metadata.activationTargetValue"),
            (("field", "two words"), "metadata.field"),
            (("address", ""), "metadata.address"),
            (("address", "a:1,nowhere"), "metadata.address"),
        ],
        zero: |stream| say(stream, "$21\r\nconnected_clients:0\r\n\r\n"),
        no_data: |stream| say(stream, "$0\r\n\r\n"),
        ..REDIS
    },
    #[cfg(feature = "redis")]
    Row {
        name: "redis-cluster",
        bad: &[
            (("listName", ""), "metadata.listName"),
            (("address", ""), "metadata.address"),
            (("address", "a:1,nowhere"), "metadata.address"),
            (("listLength", "1O"), "metadata.listLength"),
        ],
        zero: |stream| say_here(stream, ":0\r\n"),
        no_data: |stream| say_here(stream, "$-1\r\n"),
        ..REDIS
    },
    #[cfg(feature = "redis")]
    Row {
        name: "redis-cluster-streams",
        zero: |stream| say_here(stream, "-ERR no such key\r\n"),
        no_data: |stream| say_here(stream, "$-1\r\n"),
        ..REDIS_STREAMS
    },
    #[cfg(feature = "redis")]
    Row {
        name: "redis-sentinel",
        metadata: &[("address", "{address}"), ("sentinelMaster", "mymaster"), ("listName", "jobs")],
        bad: &[
            (("listName", ""), "metadata.listName"),
            (("address", ""), "metadata.address"),
            (("address", "a:1,nowhere"), "metadata.address"),
            (("sentinelMaster", ""), "metadata.sentinelMaster"),
            (("databaseIndex", "-1"), "metadata.databaseIndex"),
        ],
        zero: |stream| say_here(stream, ":0\r\n"),
        no_data: |stream| say_here(stream, "$-1\r\n"),
        ..REDIS
    },
    #[cfg(feature = "redis")]
    Row {
        name: "redis-sentinel-streams",
        metadata: &[
            ("address", "{address}"),
            ("sentinelMaster", "mymaster"),
            ("stream", "jobs"),
            ("consumerGroup", "workers"),
            ("lagCount", "5"),
        ],
        zero: |stream| say_here(stream, "-ERR no such key\r\n"),
        no_data: |stream| say_here(stream, "$-1\r\n"),
        ..REDIS_STREAMS
    },
    #[cfg(feature = "redis")]
    REDIS_STREAMS,
    #[cfg(feature = "websocket")]
    Row {
        name: "websocket",
        metadata: &[
            ("url", "ws://{address}/stats"),
            ("valueLocation", "open"),
            ("targetValue", "5"),
            ("authModes", "bearer"),
            ("staleAfter", "5s"),
        ],
        auth: &[("token", "secret")],
        bad: &[
            (("url", ""), "metadata.url"),
            (("url", "http://gateway/stats"), "metadata.url"),
            (("url", "ws://"), "metadata.url"),
            (("source", "redis"), "metadata.source"),
            (("source", "pods"), "metadata.port"),
            (("staleAfter", "10"), "metadata.staleAfter"),
            (("valueLocation", ""), "metadata.valueLocation"),
            (("valueLocation", "a.*"), "metadata.valueLocation"),
            (("targetValue", ""), "metadata.targetValue"),
            (("targetValue", "0"), "metadata.targetValue"),
            (("activationTargetValue", "x"), "metadata.activationTargetValue"),
            (("authModes", "digest"), "metadata.authModes"),
        ],
        zero: |stream| say_in_a_stream(stream, r#"{"open":0}"#),
        refused: |stream| say(stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"),
        no_data: |stream| say_in_a_stream(stream, "{}"),
    },
];

/// Gives one answer to everything; an empty one is silence.
pub(super) fn say(mut stream: TcpStream, answer: impl Into<String>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let answer = answer.into();
    Box::pin(async move {
        let mut heard = [0; 4096];
        while stream.read(&mut heard).await.is_ok_and(|length| length > 0) {
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
}

/// Gives one answer to every request; each is heard at once, for they are short.
#[cfg(any(feature = "metrics-api", feature = "prometheus", feature = "rabbitmq"))]
fn say_http(stream: TcpStream, body: &'static str) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    say(stream, answer)
}

/// Sends one message into a WebSocket, which then stands until the other side closes it.
#[cfg(feature = "websocket")]
fn say_in_a_stream(stream: TcpStream, message: &'static str) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    use futures::{SinkExt as _, StreamExt as _};
    Box::pin(async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
        loop {
            if socket.send(message.into()).await.is_err() {
                return;
            }
            // Pings are answered while it reads.
            let second = tokio::time::sleep(std::time::Duration::from_secs(1));
            tokio::select! {
                () = second => {}
                heard = socket.next() => {
                    if heard.is_none_or(|heard| heard.is_err()) {
                        return;
                    }
                }
            }
        }
    })
}
