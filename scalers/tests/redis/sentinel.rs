//! Real Sentinels, a master and a replica: failovers, Sentinels that are gone, users of both.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::RedisResult;
use tempfile::TempDir;
use tidegate_calculator::source::{ErrorScope, Occasion, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::time::{Instant, sleep};

use crate::push::{PUSH, Watched};
use crate::server::{DEADLINE, PATIENCE, Server, Trigger, class, eventually, free_port, length};

const ENDPOINT: ErrorScope = ErrorScope::Endpoint;

/// A running Sentinel; dropping it ends it.
pub(crate) struct Sentinel {
    port: u16,
    child: Child,
    _directory: TempDir,
}

impl Sentinel {
    /// A Sentinel that decides alone, quickly, about the master on this port.
    async fn start(master: u16) -> Self {
        Self::with(master, "").await
    }

    /// The same, with these lines of configuration behind the others; if they name certificates, over TLS alone.
    pub(crate) async fn with(master: u16, more: &str) -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let listen = if more.contains("tls-cert-file") { "port 0\ntls-port" } else { "port" };
        let text = format!(
            "bind 127.0.0.1\n{listen} {port}\nsentinel monitor mymaster 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n{more}\n",
        );
        let file = directory.path().join("sentinel.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").current_dir(directory.path());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let sentinel = Self { port, child, _directory: directory };
        eventually("the Sentinel listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok())
            .await;
        sentinel
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    async fn run(&self, line: &str) -> RedisResult<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
        crate::server::command(&mut client.get_multiplexed_async_connection().await?, line).await
    }

    /// Waits until it knows a replica that it could make the master.
    async fn knows_a_replica(&self) {
        eventually("the Sentinel knows the replica", async || {
            let told = format!("{:?}", self.run("SENTINEL REPLICAS mymaster").await);
            // Before it has heard from the replica, the link it tells of is not up.
            told.contains("master-link-status") && !told.contains("\"err\"")
        })
        .await;
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.end();
    }
}

/// A master with two items in `jobs`, and a replica that has them too.
async fn pair() -> Option<(Server, Server)> {
    let master = Server::start(&[]).await?;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]).await?;
    master.run::<()>("RPUSH jobs a b").await;
    eventually("the replica is in step", async || replica.run::<i64>("LLEN jobs").await == 2).await;
    Some((master, replica))
}

fn list(addresses: &str) -> Trigger {
    let metadata = [("addresses", addresses), ("sentinelMaster", "mymaster"), ("listName", "jobs")];
    Trigger::of("redis-sentinel", &metadata)
}

#[tokio::test]
async fn the_master_is_found_and_read() {
    let Some(master) = Server::start(&[]).await else { return };
    let sentinel = Sentinel::start(master.port).await;
    master.run::<()>("RPUSH jobs a b").await;
    let mut admin = master.admin().await;
    redis::pipe().cmd("SELECT").arg(3).cmd("SADD").arg("jobs").arg("a").exec_async(&mut admin).await.unwrap();
    assert_eq!(list(&sentinel.address()).read().await, Ok((2, true)));
    assert_eq!(list(&sentinel.address()).with(&[("databaseIndex", "3")]).read().await, Ok((1, true)));
    assert_eq!(list(&sentinel.address()).with(&[("listName", "absent")]).read().await, Ok((0, false)));
    let port = sentinel.port.to_string();
    let by_host = list("").with(&[("hosts", "127.0.0.1"), ("ports", &port)]);
    assert_eq!(by_host.read().await, Ok((2, true)));
    master.run::<()>("XADD orders * item x").await;
    let metadata =
        [("address", sentinel.address()), ("sentinelMaster", "mymaster".to_owned()), ("stream", "orders".to_owned())];
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(key, text)| (*key, text.as_str())).collect();
    let stream = Trigger::of("redis-sentinel-streams", &metadata);
    assert_eq!(stream.read().await, Ok((1, true)));
    let unknown = list(&sentinel.address()).with(&[("sentinelMaster", "another")]).read().await.unwrap_err();
    assert_eq!((unknown.kind, unknown.scope), (ReadErrorKind::Config, ENDPOINT));
    let expected = format!("Sentinel at {} knows no master \"another\"", sentinel.address());
    assert_eq!(unknown.message, expected);
}

#[tokio::test]
async fn a_failover_is_followed_and_nothing_is_ever_zero() {
    let Some((mut master, replica)) = pair().await else { return };
    let sentinel = Sentinel::start(master.port).await;
    sentinel.knows_a_replica().await;
    let endpoints = Endpoints::new();
    let scaler = list(&sentinel.address()).open(&endpoints);
    let watched = Watched::open(&list(&sentinel.address()).with(&[PUSH]), &endpoints).await;
    assert_eq!(length(&*scaler).await, Ok((2, true)));
    master.stop();
    let (until, mut failed) = (Instant::now() + PATIENCE, 0);
    loop {
        match length(&*scaler).await {
            Ok(read) => {
                assert_eq!(read, (2, true));
                break;
            }
            Err(error) => {
                assert_eq!(error.kind, ReadErrorKind::Unavailable, "{error}");
                failed += 1;
            }
        }
        assert!(Instant::now() < until, "the replica has not taken over");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(failed > 0, "the master was gone for a while");
    eventually("a push from the new master", async || {
        let before = watched.rest().await;
        replica.run::<()>("RPUSH jobs x").await;
        sleep(Duration::from_millis(500)).await;
        watched.rest().await > before
    })
    .await;
    // The old master comes back empty and is made a replica: it is never read.
    master.start_again().await;
    for _ in 0..20 {
        assert!(length(&*scaler).await.is_ok_and(|(count, _)| count >= 2));
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_failover_by_hand_costs_at_most_a_moment() {
    let Some((master, replica)) = pair().await else { return };
    let sentinel = Sentinel::start(master.port).await;
    sentinel.knows_a_replica().await;
    let scaler = list(&sentinel.address()).open(&Endpoints::new());
    assert_eq!(length(&*scaler).await, Ok((2, true)));
    assert!(sentinel.run("SENTINEL FAILOVER mymaster").await.is_ok());
    eventually("the replica is the master", async || {
        replica.run::<String>("INFO replication").await.contains("role:master")
    })
    .await;
    eventually("the old master is a replica", async || {
        master.run::<String>("INFO replication").await.contains("role:slave")
    })
    .await;
    replica.run::<()>("RPUSH jobs c").await;
    eventually("the new master is read", async || length(&*scaler).await == Ok((3, true))).await;
    let before = replica.calls("llen").await;
    assert_eq!(length(&*scaler).await, Ok((3, true)));
    assert_eq!(replica.calls("llen").await, before + 1, "and not the old one, which says the same by now");
}

#[tokio::test]
async fn a_master_that_hangs_is_a_timeout_and_then_its_successor_is_read() {
    let Some((master, _replica)) = pair().await else { return };
    let sentinel = Sentinel::start(master.port).await;
    sentinel.knows_a_replica().await;
    let scaler = list(&sentinel.address()).open(&Endpoints::new());
    assert_eq!(length(&*scaler).await, Ok((2, true)));
    master.hang();
    let begun = Instant::now();
    let error = scaler.read(Occasion::Poll, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Timeout, "{error}");
    assert!(begun.elapsed() < PATIENCE / 6);
    eventually("the successor is read", async || length(&*scaler).await == Ok((2, true))).await;
    master.go_on();
    for _ in 0..10 {
        assert_eq!(length(&*scaler).await, Ok((2, true)));
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn sentinels_that_are_gone_or_hang_keep_nobody_from_reading() {
    let Some(master) = Server::start(&[]).await else { return };
    let Some(hung) = Server::start(&[]).await else { return };
    let mut sentinel = Sentinel::start(master.port).await;
    hung.hang();
    let gone = format!("127.0.0.1:{}", free_port());
    let all = format!("{gone},{},{}", hung.address(), sentinel.address());
    let scaler = list(&all).open(&Endpoints::new());
    assert_eq!(length(&*scaler).await, Ok((0, false)), "one of three is enough");
    sentinel.end();
    hung.go_on();
    master.run::<()>("RPUSH jobs a").await;
    assert_eq!(length(&*scaler).await, Ok((1, true)), "the known master is read on");
    let none = list(&format!("{gone},{}", sentinel.address()));
    assert_eq!(class(none.read().await), (ReadErrorKind::Unavailable, ENDPOINT));
    let no_sentinel = list(&master.address()).read().await.unwrap_err();
    assert_eq!((no_sentinel.kind, no_sentinel.scope), (ReadErrorKind::Protocol, ENDPOINT));
    assert!(no_sentinel.message.starts_with("Sentinel at "), "{no_sentinel}");
}

#[tokio::test]
async fn sentinels_and_the_master_have_users_of_their_own_that_are_never_printed() {
    let Some(master) = Server::start(&["--requirepass", "of-the-master"]).await else { return };
    let more = "requirepass of-the-sentinels\nsentinel auth-pass mymaster of-the-master";
    let sentinel = Sentinel::with(master.port, more).await;
    let with = |pairs: &[(&str, &str)]| list(&sentinel.address()).auth(pairs);
    let right = [("password", "of-the-master"), ("sentinelPassword", "of-the-sentinels")];
    assert_eq!(with(&right).read().await, Ok((0, false)));
    let auth = (ReadErrorKind::Auth, ENDPOINT);
    for (pairs, who) in [
        (&right[..1], "Sentinel at"),
        (&right[1..], "Redis at"),
        (&[("password", "canary"), right[1]][..], "Redis at"),
        (&[right[0], ("sentinelPassword", "canary")], "Sentinel at"),
        (&[right[0], ("sentinelPassword", "of-the-sentinels"), ("sentinelUsername", "canary")], "Sentinel at"),
    ] {
        let error = with(pairs).read().await.unwrap_err();
        assert_eq!((error.kind, error.scope), auth, "{error}");
        assert!(error.message.starts_with(who), "{error}");
        assert!(!format!("{error:?}").contains("canary") && !error.message.contains("of-the"), "{error:?}");
    }
    // A user of the master who may do no more than read.
    let client = format!("redis://:of-the-master@{}/", master.address());
    let mut admin = redis::Client::open(client).unwrap().get_multiplexed_async_connection().await.unwrap();
    let rule = "ACL SETUSER scaler on >pass ~jobs resetchannels -@all +llen";
    crate::server::command::<()>(&mut admin, rule).await.unwrap();
    let restricted = with(&[("username", "scaler"), ("password", "pass"), right[1]]);
    assert_eq!(restricted.read().await, Ok((0, false)), "the role is not asked for by force");
}

#[tokio::test]
async fn triggers_of_a_master_share_one_connection() {
    let Some(master) = Server::start(&[]).await else { return };
    let sentinel = Sentinel::start(master.port).await;
    let endpoints = Endpoints::new();
    let names: Vec<String> = (0..100).map(|index| format!("jobs-{index}")).collect();
    let open = |name: &String| list(&sentinel.address()).with(&[("listName", name)]).open(&endpoints);
    let scalers: Vec<_> = names.iter().map(open).collect();
    assert!(scalers.windows(2).all(|pair| pair[0].endpoint() == pair[1].endpoint()));
    let before = master.info("clients", "connected_clients").await;
    for _ in 0..3 {
        let reads = scalers.iter().map(|scaler| scaler.read(Occasion::Poll, DEADLINE));
        assert!(futures::future::join_all(reads).await.iter().all(Result::is_ok));
    }
    assert_eq!(master.info("clients", "connected_clients").await, before + 1);
}
