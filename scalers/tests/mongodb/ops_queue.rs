//! What waits inside servers. No server that tests can install has `globalLock`, so a scripted one says it.

use mongodb::bson::doc;
use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_scalers::Endpoints;

use crate::scripted::{Script, Stub};
use crate::server::{Server, Trigger, value};

const QUERY: ErrorScope = ErrorScope::Query;

fn uri(stub: &Stub) -> String {
    format!("mongodb://{}/", stub.address())
}

#[tokio::test]
async fn every_figure_of_the_global_lock_is_read() {
    let stub = Stub::start(Script::queue(900, 334)).await;
    let endpoints = Endpoints::new();
    let cases = [
        ("currentQueue", 1234),
        ("currentQueueReaders", 900),
        ("currentQueueWriters", 334),
        ("activeClients", 3),
        ("activeClientsReaders", 2),
        ("activeClientsWriters", 1),
    ];
    for (metric, expected) in cases {
        for members in ["primary", "any", "all"] {
            let trigger = Trigger::ops(&uri(&stub), &[("metric", metric), ("members", members)]);
            assert_eq!(value(&*trigger.open(&endpoints)).await, Ok((expected * 1000, true)), "{metric} {members}");
        }
    }
    let scaler = Trigger::ops(&uri(&stub), &[("activationTargetValue", "5")]).open(&endpoints);
    stub.set(|script| script.set_queue(5, 0));
    assert_eq!(value(&*scaler).await, Ok((5000, false)), "strictly greater");
    stub.set(|script| script.set_queue(0, 0));
    assert_eq!(value(&*scaler).await, Ok((0, false)));
}

#[tokio::test]
async fn an_answer_without_the_field_is_an_error_and_never_zero() {
    let stub = Stub::start(Script::default()).await;
    let trigger = Trigger::ops(&uri(&stub), &[]);
    for (status, said) in [
        (doc! {}, "is not there; a mongos has no such queues"),
        (doc! { "globalLock": {} }, "is not there"),
        (doc! { "globalLock": { "currentQueue": { "readers": 1 } } }, "is not there"),
        (doc! { "globalLock": { "currentQueue": { "total": "many" } } }, "is not a number"),
        (doc! { "globalLock": { "currentQueue": { "total": null } } }, "is null"),
    ] {
        stub.set(|script| script.status = status);
        let error = trigger.read().await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Config, QUERY));
        assert!(error.message.ends_with(&format!("globalLock.currentQueue.total of serverStatus {said}")), "{error}");
    }
    let Some(server) = Server::start(&[]).await else { return };
    let error = Trigger::ops(&server.uri(), &[]).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Config, QUERY), "this server has no globalLock: {error}");
}

#[tokio::test]
async fn operations_are_counted_by_their_state() {
    let stub = Stub::start(Script { documents: vec![doc! { "count": 12 }], ..Script::default() }).await;
    let slow = [("metric", "slowOps"), ("slowerThan", "90s")];
    assert_eq!(Trigger::ops(&uri(&stub), &[("metric", "waitingOps")]).read().await, Ok((12_000, true)));
    assert_eq!(Trigger::ops(&uri(&stub), &slow).read().await, Ok((12_000, true)));
    stub.set(|script| script.documents.clear());
    assert_eq!(Trigger::ops(&uri(&stub), &slow).read().await, Ok((0, false)), "where nothing is counted");
    stub.set(|script| script.documents = vec![doc! { "other": 1 }]);
    let error = Trigger::ops(&uri(&stub), &slow).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Protocol, QUERY));
    let asked = stub.heard("aggregate");
    let wanted =
        |at: usize| asked[at].get_array("pipeline").unwrap()[1].as_document().unwrap().get_document("$match").unwrap();
    assert_eq!(wanted(0).get_bool("waitingForLock").ok(), Some(true));
    assert_eq!(wanted(1).get_document("secs_running").ok(), Some(&doc! { "$gt": 90_i64 }));
}

#[tokio::test]
async fn a_real_server_lists_its_operations() {
    let Some(server) = Server::start(&[]).await else { return };
    for metric in ["waitingOps", "slowOps"] {
        for members in ["primary", "any", "all"] {
            let trigger = Trigger::ops(&server.uri(), &[("metric", metric), ("members", members)]);
            assert_eq!(trigger.read().await, Ok((0, false)), "{metric} {members}");
        }
    }
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let Some(server) = Server::with_users(&[("reader", "pass", &["read"])]).await else { return };
    let uri = format!("mongodb://reader:pass@127.0.0.1:{}/?authSource=shop", server.port);
    for (metric, right) in [("currentQueue", "action serverStatus"), ("waitingOps", "action inprog")] {
        let error = Trigger::ops(&uri, &[("metric", metric)]).read().await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Auth, QUERY), "{error}");
        assert!(error.message.contains(right) && error.message.contains("the role clusterMonitor"), "{error}");
    }
    let port = server.port.to_string();
    let single = Trigger::ops("", &[("metric", "waitingOps"), ("host", "127.0.0.1"), ("port", &port)]);
    let root = single.auth(&[("username", "root"), ("password", "r00t")]);
    assert_eq!(root.read().await, Ok((0, false)), "users are looked up in admin");
}

/// Two members of one replica set: the first is the primary.
async fn replica_set() -> (Stub, Stub) {
    let (first, second) = (Stub::start(Script::queue(10, 5)).await, Stub::start(Script::queue(100, 0)).await);
    let hosts = [first.address(), second.address()];
    let common = |me: &Stub| doc! { "setName": "rs0", "setVersion": 1, "hosts": hosts.to_vec(), "me": me.address(), "primary": &hosts[0] };
    first.set(|script| script.hello = common(&first));
    second.set(|script| {
        script.hello = common(&second);
        script.hello.extend(doc! { "secondary": true, "isWritablePrimary": false, "ismaster": false });
    });
    (first, second)
}

#[tokio::test]
async fn members_are_the_primary_or_all_added_up_and_a_missing_one_is_an_error() {
    let (first, second) = replica_set().await;
    let uri = format!("mongodb://{}/?replicaSet=rs0", second.address());
    let endpoints = Endpoints::new();
    let of = |members| Trigger::ops(&uri, &[("members", members)]).open(&endpoints);
    let (primary, any, all) = (of("primary"), of("any"), of("all"));
    assert_eq!(value(&*primary).await, Ok((15_000, true)));
    assert!([Ok((15_000, true)), Ok((100_000, true))].contains(&value(&*any).await));
    assert_eq!(value(&*all).await, Ok((115_000, true)));
    second.set(|script| script.status.clear());
    let error = value(&*all).await.unwrap_err();
    assert!(error.message.contains(&format!("member {}: globalLock", second.address())), "{error}");
    // A member that recovers serves nobody, so nothing waits in it.
    second.set(|script| {
        script.hello.insert("secondary", false);
    });
    let begun = tokio::time::Instant::now();
    while value(&*all).await != Ok((15_000, true)) {
        assert!(begun.elapsed() < crate::server::PATIENCE, "the driver looks every 10 s");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    drop(second);
    let lonely = Trigger::ops(&format!("mongodb://{}/?replicaSet=rs0", first.address()), &[("members", "all")]);
    let error = lonely.read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, QUERY), "{error}");
    assert!(error.message.contains("member") && error.message.contains("connection refused"), "{error}");
    assert_eq!(value(&*primary).await, Ok((15_000, true)));
}
