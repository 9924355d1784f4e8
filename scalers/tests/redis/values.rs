//! What is read: lengths of every type, databases, users, batches.

use futures::future::join_all;
use tidegate_calculator::source::{ErrorScope, Occasion, ReadErrorKind};
use tidegate_scalers::Endpoints;

use crate::server::{DEADLINE, Server, length};

#[tokio::test]
async fn every_type_is_counted_and_an_absent_key_is_zero() {
    let Some(server) = Server::start(&[]).await else { return };
    for line in ["RPUSH list a b c", "SADD set a b", "ZADD zset 1 a 2 b 3 c 4 d", "HSET hash a 1", "SET text hello"] {
        server.run::<()>(line).await;
    }
    let endpoints = Endpoints::new();
    for (name, expected) in
        [("list", (3, true)), ("set", (2, true)), ("zset", (4, true)), ("hash", (1, true)), ("absent", (0, false))]
    {
        let scaler = server.trigger(&[("listName", name)]).open(&endpoints);
        for round in 0..2 {
            assert_eq!(length(&*scaler).await, Ok(expected), "{name}, round {round}");
        }
    }
    assert_eq!(server.calls("llen").await, 2 + 2 + 2 * 3, "the second read of a set does not try LLEN again");
    let error = length(&*server.trigger(&[("listName", "text")]).open(&endpoints)).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Config, ErrorScope::Query));
    let expected =
        format!("key \"text\" of Redis at 127.0.0.1:{} is a string, not a list, set, sorted set or hash", server.port);
    assert_eq!(error.message, expected);
}

#[tokio::test]
async fn a_key_may_change_its_type_between_reads() {
    let Some(server) = Server::start(&[]).await else { return };
    let scaler = server.trigger(&[]).open(&Endpoints::new());
    for (line, expected) in
        [("RPUSH jobs a", 1), ("SADD jobs a b", 2), ("HSET jobs a 1 b 2 c 3", 3), ("RPUSH jobs a b", 2)]
    {
        server.run::<()>(line).await;
        assert_eq!(length(&*scaler).await.map(|(length, _)| length), Ok(expected), "{line}");
        server.run::<()>("DEL jobs").await;
        assert_eq!(length(&*scaler).await, Ok((0, false)));
    }
}

#[tokio::test]
async fn activity_is_strictly_above_the_threshold() {
    let Some(server) = Server::start(&[]).await else { return };
    let scaler = server.trigger(&[("activationListLength", "2")]).open(&Endpoints::new());
    for expected in [(1, false), (2, false), (3, true)] {
        server.run::<()>("RPUSH jobs x").await;
        assert_eq!(length(&*scaler).await, Ok(expected));
    }
    let (metric, _) = scaler.read(Occasion::Poll, DEADLINE).await.unwrap().remove(0);
    assert_eq!((metric.name.as_str(), metric.target.to_string().as_str()), ("s0-redis-jobs", "5"));
}

#[tokio::test]
async fn databases_share_one_connection_and_are_not_mixed_up() {
    let Some(server) = Server::start(&["--databases", "8"]).await else {
        return;
    };
    let (endpoints, mut admin) = (Endpoints::new(), server.admin().await);
    for database in 0..8 {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SELECT").arg(database).cmd("RPUSH").arg("jobs").arg(vec!["x"; database + 1]);
        pipeline.exec_async(&mut admin).await.unwrap();
    }
    let connections = server.info("stats", "total_connections_received").await;
    let indexes: Vec<String> = (0..9).map(|database| database.to_string()).collect();
    let scalers: Vec<_> =
        indexes.iter().map(|index| server.trigger(&[("databaseIndex", index)]).open(&endpoints)).collect();
    for _ in 0..3 {
        let mut answers = join_all(scalers.iter().map(|scaler| length(&**scaler))).await;
        let error = answers.pop().unwrap().unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Config, ErrorScope::Query), "{error}");
        assert!(error.message.contains("database 8 cannot be selected"), "{error}");
        let lengths: Vec<i64> = answers.into_iter().map(|answer| answer.unwrap().0).collect();
        assert_eq!(lengths, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
    // Every look at the statistics is a connection too.
    assert_eq!(server.info("stats", "total_connections_received").await - connections, 2);
}

#[tokio::test]
async fn five_hundred_lists_are_read_in_few_round_trips() {
    let Some(server) = Server::start(&[]).await else { return };
    let (endpoints, mut admin) = (Endpoints::new(), server.admin().await);
    let names: Vec<String> = (0..500).map(|index| format!("list-{index}")).collect();
    let mut pipeline = redis::pipe();
    for (index, name) in names.iter().enumerate() {
        pipeline.cmd("RPUSH").arg(name).arg(vec!["x"; index % 7 + 1]).ignore();
    }
    pipeline.exec_async(&mut admin).await.unwrap();
    let scalers: Vec<_> = names.iter().map(|name| server.trigger(&[("listName", name)]).open(&endpoints)).collect();
    assert!(scalers.windows(2).all(|pair| pair[0].endpoint() == pair[1].endpoint()));
    let reads = server.info("stats", "total_reads_processed").await;
    let answers = join_all(scalers.iter().map(|scaler| length(&**scaler))).await;
    for (index, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.map(|(length, _)| length), Ok(i64::try_from(index % 7 + 1).unwrap()));
    }
    assert_eq!(server.calls("llen").await, 500);
    // A batch of 500 questions is about 16 KiB, which the server takes in few gulps; one by one it would be 500.
    let reads = server.info("stats", "total_reads_processed").await - reads;
    assert!(reads < 50, "{reads} reads");
}

#[tokio::test]
async fn equal_questions_are_asked_once() {
    let Some(server) = Server::start(&[]).await else { return };
    let (endpoints, trigger) = (Endpoints::new(), server.trigger(&[]));
    server.run::<()>("RPUSH jobs a b").await;
    let scalers: Vec<_> = (0..500).map(|_| trigger.open(&endpoints)).collect();
    let answers = join_all(scalers.iter().map(|scaler| length(&**scaler))).await;
    assert!(answers.iter().all(|answer| *answer == Ok((2, true))));
    let calls = server.calls("llen").await;
    assert!(calls < 50, "{calls} calls");
}

#[tokio::test]
async fn an_acl_user_needs_no_more_than_the_length_command() {
    let Some(server) = Server::start(&[]).await else { return };
    server.run::<()>("ACL SETUSER scaler on >pass ~jobs ~bag resetchannels -@all +llen").await;
    server.run::<()>("RPUSH jobs a b c").await;
    server.run::<()>("SADD bag a").await;
    let auth = [("username", "scaler"), ("password", "pass")];
    let endpoints = Endpoints::new();
    let open = |name| server.trigger(&[("listName", name)]).auth(&auth).open(&endpoints);
    let (jobs, bag, secret) = (open("jobs"), open("bag"), open("secret"));
    let (jobs, bag, secret) = tokio::join!(length(&*jobs), length(&*bag), length(&*secret));
    assert_eq!(jobs, Ok((3, true)));
    server.run::<()>("ACL SETUSER sets on >pass ~bag resetchannels -@all +scard").await;
    let sets = server.trigger(&[("listName", "bag")]).auth(&[("username", "sets"), ("password", "pass")]);
    assert_eq!(sets.read().await, Ok((1, true)), "also where LLEN is forbidden");
    for (error, command) in [(bag.unwrap_err(), "SCARD"), (secret.unwrap_err(), "LLEN")] {
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Auth, ErrorScope::Query), "{error}");
        assert!(error.message.contains(&format!("no permission for {command}")), "{error}");
    }
}
