//! What is read: counts, aggregations, zeros, and one client for all who ask the same servers.

use std::time::Duration;

use futures::future::join_all;
use mongodb::Client;
use mongodb::bson::{Decimal128, Document, doc};
use tidegate_calculator::source::{ErrorScope, Occasion, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::time::timeout;

use crate::scripted::{Script, Stub};
use crate::server::{DEADLINE, PATIENCE, Server, Trigger, eventually, value};

/// Seven that wait, with weights from 0 to 6, and two that are done.
async fn fill(server: &Server) {
    let waiting = (0..7).map(|weight| doc! { "state": "waiting", "weight": weight, "totals": { "half": 0.5 } });
    let done = (0..2).map(|weight| doc! { "state": "done", "weight": weight });
    server.jobs().await.insert_many(waiting.chain(done)).await.unwrap();
}

#[tokio::test]
async fn documents_are_counted_by_a_query_in_extended_json() {
    let Some(server) = Server::start(&[]).await else { return };
    fill(&server).await;
    let cases = [
        (r#"{"state": "waiting"}"#, 7),
        (r#"{"state": "waiting", "weight": {"$gte": {"$numberInt": "4"}}}"#, 3),
        (r#"{"weight": {"$lt": {"$numberLong": "1"}}}"#, 2),
        (r#"{"$or": [{"state": "done"}, {"weight": 6}]}"#, 3),
        (r#"{"_id": {"$exists": true}}"#, 9),
        (r#"{"state": {"$regex": "^wait"}}"#, 7),
        (r#"{"state": "nothing of the kind"}"#, 0),
        (r#"{"_id": {"$oid": "0123456789abcdef01234567"}}"#, 0),
    ];
    let endpoints = Endpoints::new();
    for (query, count) in cases {
        let read = value(&*server.trigger(&[("query", query)]).open(&endpoints)).await;
        assert_eq!(read, Ok((count * 1000, count > 0)), "{query}");
    }
    let absent = server.trigger(&[("collection", "nowhere")]);
    assert_eq!(absent.read().await, Ok((0, false)), "as in KEDA, a collection that is not there has no documents");
    let six = server.trigger(&[("activationQueryValue", "6")]);
    assert_eq!(six.read().await, Ok((7000, true)));
    let seven = server.trigger(&[("activationQueryValue", "7")]);
    assert_eq!(seven.read().await, Ok((7000, false)), "strictly greater");
}

#[tokio::test]
async fn an_aggregation_gives_the_field_of_its_first_document() {
    let Some(server) = Server::start(&[]).await else { return };
    fill(&server).await;
    let endpoints = Endpoints::new();
    let read = async |pipeline: &str, metadata: &[(&str, &str)]| {
        let trigger = server.trigger(&[("query", ""), ("pipeline", pipeline)]).with(metadata);
        value(&*trigger.open(&endpoints)).await
    };
    let sum = r#"[{"$match": {"state": "waiting"}}, {"$group": {"_id": null, "sum": {"$sum": "$weight"}}}]"#;
    assert_eq!(read(sum, &[("valueField", "sum")]).await, Ok((21_000, true)));
    let sorted = r#"[{"$match": {"state": "waiting"}}, {"$sort": {"state": 1, "weight": -1}}]"#;
    assert_eq!(read(sorted, &[("valueField", "weight")]).await, Ok((6_000, true)), "of several the first");
    assert_eq!(read(sorted, &[("valueField", "totals.half")]).await, Ok((500, true)));
    let count = r#"[{"$match": {"state": "waiting"}}, {"$count": "waiting"}]"#;
    assert_eq!(read(count, &[("valueField", "waiting")]).await, Ok((7_000, true)));
    let none = r#"[{"$match": {"state": "nowhere"}}, {"$project": {"weight": 1}}]"#;
    assert_eq!(read(none, &[("valueField", "weight"), ("emptyIsZero", "true")]).await, Ok((0, false)));
    for (pipeline, metadata, said) in [
        (none, ("valueField", "weight"), "the pipeline gives no document; \"emptyIsZero: true\" takes that for 0"),
        (sum, ("valueField", "total"), "the field \"total\" of the first document is not there"),
        (sorted, ("valueField", "state"), "the field \"state\" of the first document is not a number"),
        (r#"[{"$match": {"$bogus": 1}}]"#, ("valueField", "a"), "is refused (BadValue)"),
    ] {
        let error = read(pipeline, &[metadata]).await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Config, ErrorScope::Query), "{error}");
        assert!(error.message.ends_with(said), "{error}");
    }
}

#[tokio::test]
async fn where_nothing_is_counted_a_real_server_gives_no_document_and_that_is_zero() {
    let stub = Stub::start(Script::default()).await;
    let uri = format!("mongodb://{}/", stub.address());
    assert_eq!(Trigger::count(&uri, &[]).read().await, Ok((0, false)));
    let count = ("pipeline", r#"[{"$match": {"a": 1}}, {"$count": "count"}]"#);
    assert_eq!(Trigger::count(&uri, &[("query", ""), count]).read().await, Ok((0, false)));
    let group = ("pipeline", r#"[{"$group": {"_id": null, "count": {"$sum": 1}}}]"#);
    let error = Trigger::count(&uri, &[("query", ""), group]).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Config, ErrorScope::Query));
    let decimal = |text: &str| text.parse::<Decimal128>().unwrap();
    let cases: [(Document, Option<i64>); 7] = [
        (doc! { "count": 3_i64 }, Some(3_000)),
        (doc! { "count": 2.25 }, Some(2_250)),
        (doc! { "count": decimal("7.5") }, Some(7_500)),
        (doc! { "count": -4 }, Some(0)),
        (doc! { "count": f64::NAN }, None),
        (doc! { "count": decimal("Infinity") }, None),
        (doc! { "count": null }, None),
    ];
    for (document, expected) in cases {
        stub.set(|script| script.documents = vec![document.clone()]);
        let read = Trigger::count(&uri, &[("query", ""), group]).read().await;
        assert_eq!(read.map(|(value, _)| value).ok(), expected, "{document}");
    }
    let asked = stub.heard("aggregate");
    let patience =
        |command: &Document| command.get("maxTimeMS").and_then(|it| it.as_i32().map(i64::from).or_else(|| it.as_i64()));
    let deadline = i64::try_from(DEADLINE.as_millis()).unwrap();
    assert!(asked.iter().all(|command| patience(command).is_some_and(|it| it > 0 && it <= deadline)), "{asked:?}");
}

#[tokio::test]
async fn equal_questions_are_asked_once_and_all_share_one_client() {
    let stub = Stub::start(Script { documents: vec![doc! { "n": 4 }], ..Script::default() }).await;
    let uri = format!("mongodb://{}/", stub.address());
    let endpoints = Endpoints::new();
    let scalers: Vec<_> = (0..50).map(|_| Trigger::count(&uri, &[]).open(&endpoints)).collect();
    let others: Vec<_> =
        (0..20).map(|at| Trigger::count(&uri, &[("collection", &format!("jobs{at}"))]).open(&endpoints)).collect();
    assert!(scalers.iter().all(|scaler| scaler.endpoint() == others[0].endpoint()));
    // The first read may meet a client that is still connecting.
    let all = || join_all(scalers.iter().chain(&others).map(|scaler| value(&**scaler)));
    assert!(all().await.iter().all(|read| *read == Ok((4000, true))));
    let before = stub.heard("aggregate").len();
    assert!(all().await.iter().all(|read| *read == Ok((4000, true))));
    assert_eq!(stub.heard("aggregate").len() - before, 21, "one for 50 equal ones, one for each other");
    let own = Trigger::count(&uri, &[]).auth(&[("connectionString", &format!("{uri}?appName=other"))]).open(&endpoints);
    assert_ne!(own.endpoint(), scalers[0].endpoint());
}

#[tokio::test]
async fn a_slow_question_keeps_no_other_waiting() {
    let stub =
        Stub::start(Script { documents: vec![doc! { "n": 4 }], silent: vec!["serverStatus"], ..Script::default() })
            .await;
    let uri = format!("mongodb://{}/", stub.address());
    let endpoints = Endpoints::new();
    let (quick, slow) = (Trigger::count(&uri, &[]).open(&endpoints), Trigger::ops(&uri, &[]).open(&endpoints));
    assert_eq!(quick.endpoint(), slow.endpoint());
    assert_eq!(value(&*quick).await, Ok((4000, true)));
    let waiting = slow.read(Occasion::Poll, Duration::from_secs(3));
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        value(&*quick).await
    };
    let (hung, read) = tokio::join!(waiting, meanwhile);
    assert_eq!(read, Ok((4000, true)));
    let error = hung.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Timeout, ErrorScope::Query), "others were answered");
    assert_eq!(value(&*quick).await, Ok((4000, true)));
}

#[tokio::test]
async fn a_read_may_be_dropped_at_any_moment_and_read_again() {
    let Some(server) = Server::start(&[]).await else { return };
    fill(&server).await;
    let scaler = server.trigger(&[]).open(&Endpoints::new());
    for micros in [0, 1, 10, 100, 500, 1000, 2000, 3000, 5000, 10_000, 50_000] {
        let _ = timeout(Duration::from_micros(micros), scaler.read(Occasion::Poll, DEADLINE)).await;
        assert_eq!(value(&*scaler).await, Ok((7000, true)), "{micros}");
    }
}

/// The file descriptors of this process that are sockets.
fn sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    links
        .filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")))
        .count()
}

/// Runs the test of this name, which is ignored otherwise, in a process of its own: only there its descriptors are counted.
async fn alone(name: &str) {
    let program = std::env::current_exe().unwrap();
    let run = tokio::process::Command::new(program).args(["--exact", name, "--ignored", "--nocapture"]).output();
    let output = timeout(PATIENCE * 3, run).await.expect("in time").unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn nothing_is_left_of_a_hundred_triggers() {
    alone("values::a_hundred_triggers").await;
}

#[tokio::test]
#[ignore = "run in a process of its own by the test above"]
async fn a_hundred_triggers() {
    let Some(server) = Server::start(&[]).await else { return };
    fill(&server).await;
    // Makes what is made once, such as the list of authorities.
    assert_eq!(server.trigger(&[]).read().await, Ok((7000, true)));
    let admin = server.admin().await;
    // The test's own client looks at the server over more connections once it has seen it for a while.
    let mut counts = (sockets(), connections(&admin).await);
    for _ in 0..45 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = (sockets(), connections(&admin).await);
        counts = (counts.0.min(now.0), counts.1.min(now.1));
    }
    let uri = server.uri();
    for round in 0..100 {
        // Each among endpoints of its own, and with an address of its own: nothing is shared.
        let trigger = server.trigger(&[]).auth(&[("connectionString", &format!("{uri}?appName=trigger{round}"))]);
        assert_eq!(trigger.read().await, Ok((7000, true)));
    }
    assert!(sockets() > counts.0 + 100, "each outlives its last user by 30 s");
    eventually("all sockets are closed", async || sockets() <= counts.0).await;
    eventually("the server has no more connections", async || connections(&admin).await <= counts.1).await;
}

/// How many connections the server has.
async fn connections(admin: &Client) -> i64 {
    let status = admin.database("admin").run_command(doc! { "serverStatus": 1 }).await.unwrap();
    let current = status.get_document("connections").unwrap().get("current").cloned().unwrap();
    current.as_i64().or_else(|| current.as_i32().map(i64::from)).unwrap()
}
