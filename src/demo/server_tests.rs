use std::process::Command;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, ProtocolVersion, PushKind, RedisConnectionInfo};

use super::*;
use crate::demo::client::{Client, ClientError};

const PATIENCE: Duration = Duration::from_secs(20);

async fn crate_client(server: &Server) -> MultiplexedConnection {
    let client = redis::Client::open(format!("redis://{}", server.address)).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Runs the real `redis-cli`; none if it is not installed, which only passes outside of CI.
async fn redis_cli(server: &Server, arguments: &[&str]) -> Option<String> {
    let (port, arguments): (_, Vec<String>) =
        (server.address.port().to_string(), arguments.iter().map(ToString::to_string).collect());
    let run = move || Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
    match tokio::task::spawn_blocking(run).await.unwrap() {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap().trim_end().to_owned()),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "redis-cli: {error}");
            println!("skipped: redis-cli is not installed");
            None
        }
    }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !condition().await {
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {PATIENCE:?}: {what}");
}

#[tokio::test]
async fn the_real_command_line_client_is_served() {
    let server = Server::start().await.unwrap();
    let Some(pong) = redis_cli(&server, &["PING"]).await else { return };
    assert_eq!(pong, "PONG");
    assert_eq!(redis_cli(&server, &["LPUSH", "jobs", "a", "b c"]).await.unwrap(), "2");
    assert_eq!(redis_cli(&server, &["-3", "BRPOP", "jobs", "1"]).await.unwrap(), "jobs\na");
    assert_eq!(redis_cli(&server, &["TYPE", "jobs"]).await.unwrap(), "list");
    assert_eq!(redis_cli(&server, &["BRPOP", "none", "0.05"]).await.unwrap(), "");
    assert!(redis_cli(&server, &["GET", "jobs"]).await.unwrap().starts_with("ERR unknown command 'GET'"));
    assert_eq!(redis_cli(&server, &["-n", "0", "-a", "x", "--user", "default", "LLEN", "jobs"]).await.unwrap(), "1");
}

#[tokio::test]
async fn the_redis_crate_is_served_in_both_protocols() {
    let server = Server::start().await.unwrap();
    let mut two = crate_client(&server).await;
    let length: usize = two.lpush("jobs", &["a", "b", "c"]).await.unwrap();
    assert_eq!(length, 3);
    let (first, kind): (usize, String) =
        redis::pipe().cmd("LLEN").arg("jobs").cmd("TYPE").arg("jobs").query_async(&mut two).await.unwrap();
    assert_eq!((first, kind.as_str()), (3, "list"));
    let item: Option<(String, String)> = two.brpop("jobs", 0.0).await.unwrap();
    assert_eq!(item, Some(("jobs".to_owned(), "a".to_owned())));
    let nothing: Option<(String, String)> = two.brpop("empty", 0.05).await.unwrap();
    assert_eq!(nothing, None);
    let refused = redis::cmd("GET").arg("jobs").query_async::<()>(&mut two).await.unwrap_err();
    assert!(refused.to_string().contains("unknown command"), "{refused}");
}

#[tokio::test]
async fn changes_are_pushed_to_a_client_that_tracks() {
    let server = Server::start().await.unwrap();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let config = redis::AsyncConnectionConfig::new().set_push_sender(told);
    let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut three, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await.unwrap();
    let driver = tokio::spawn(driver);
    redis::cmd("CLIENT").arg("TRACKING").arg("ON").query_async::<()>(&mut three).await.unwrap();
    let length: usize = three.llen("jobs").await.unwrap();
    assert_eq!(length, 0);
    let mut other = crate_client(&server).await;
    let _: usize = other.lpush("jobs", "a").await.unwrap();
    let push = timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!(push.kind, PushKind::Invalidate);
    assert_eq!(push.data, [redis::Value::Array(vec![redis::Value::BulkString(b"jobs".to_vec())])]);
    driver.abort();
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_waits_loses_nothing() {
    let server = Server::start().await.unwrap();
    let mut producer = Client::connect(server.address).await.unwrap();
    for _ in 0..20 {
        let mut gone = Client::connect(server.address).await.unwrap();
        gone.ask_item("jobs").await.unwrap();
        drop(gone);
        producer.push("jobs", &["a".to_owned()]).await.unwrap();
    }
    until("all items are there", async || producer.length("jobs").await.unwrap() == 20).await;
}

#[tokio::test]
async fn a_client_that_finishes_gets_its_item_or_the_list_keeps_it() {
    let server = Server::start().await.unwrap();
    let mut producer = Client::connect(server.address).await.unwrap();
    let (mut received, mut kept) = (0, 0);
    for round in 0..50 {
        let mut worker = Client::connect(server.address).await.unwrap();
        worker.ask_item("jobs").await.unwrap();
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        let items = ["a".to_owned()];
        let (pushed, finished) = tokio::join!(producer.push("jobs", &items), worker.finish());
        finished.unwrap();
        pushed.unwrap();
        match worker.next_item().await {
            Ok(_) => received += 1,
            Err(ClientError::Lost(_)) => kept += 1,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(received + kept, round + 1);
    }
    // Kept items may have been taken by later rounds, so only the sum is certain.
    assert_eq!(producer.length("jobs").await.unwrap(), 50 - received);
}

#[tokio::test]
async fn pipelines_split_anywhere_are_answered_in_order() {
    let server = Server::start().await.unwrap();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut input = Vec::new();
    for words in [&["BRPOP", "jobs", "0.05"][..], &["LPUSH", "jobs", "a"], &["BRPOP", "jobs", "0"], &["QUIT"]] {
        resp::write_command(words, &mut input);
    }
    for part in input.chunks(7) {
        stream.write_all(part).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut answers = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answers)).await.unwrap().unwrap();
    assert_eq!(answers, "*-1\r\n:1\r\n*2\r\n$4\r\njobs\r\n$1\r\na\r\n+OK\r\n");
}

#[tokio::test]
async fn what_is_not_resp_ends_the_connection_with_a_reason() {
    let server = Server::start().await.unwrap();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"*1\r\n$99999999\r\n").await.unwrap();
    let mut answers = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answers)).await.unwrap().unwrap();
    assert_eq!(answers, "-ERR Protocol error: length of a word is longer than 65536\r\n");
}

#[tokio::test]
async fn a_server_that_is_dropped_closes_its_connections() {
    let server = Server::start().await.unwrap();
    let mut client = Client::connect(server.address).await.unwrap();
    client.ask_item("jobs").await.unwrap();
    drop(server);
    let ended = timeout(PATIENCE, client.next_item()).await.unwrap();
    assert!(matches!(ended, Err(ClientError::Lost(_))), "{ended:?}");
}

#[cfg(feature = "redis")]
mod trigger {
    use std::collections::BTreeMap;

    use tidegate_calculator::source::{Milli, Occasion, Parameters, TriggerSpec};
    use tidegate_scalers::{Endpoints, Scaler};

    use super::*;

    fn open(server: &Server, endpoints: &Endpoints) -> Box<dyn Scaler> {
        let address = server.address.to_string();
        let metadata =
            [("address", address.as_str()), ("listName", "jobs"), ("listLength", "5"), ("activation", "push")];
        let metadata: BTreeMap<String, String> =
            metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
        let spec = TriggerSpec { kind: "redis".to_owned(), metadata, ..TriggerSpec::default() };
        tidegate_scalers::open(&spec, &Parameters::default(), endpoints).unwrap()
    }

    async fn length(trigger: &dyn Scaler) -> Milli {
        trigger.read(Occasion::Poll, PATIENCE).await.unwrap()[0].1.value.total()
    }

    #[tokio::test]
    async fn the_real_trigger_reads_the_store_and_is_woken_by_it() {
        let server = Server::start().await.unwrap();
        let trigger = open(&server, &Endpoints::new());
        let bell = Arc::new(tokio::sync::Notify::new());
        let wake = Arc::clone(&bell);
        let watch = trigger.watch(Arc::new(move || wake.notify_one())).unwrap();
        assert_eq!(length(&*trigger).await, Milli::units(0));
        let mut producer = Client::connect(server.address).await.unwrap();
        // The subscription may begin a moment later, so that the first pushes are not heard.
        for pushed in 1.. {
            producer.push("jobs", &["a".to_owned()]).await.unwrap();
            if timeout(Duration::from_millis(200), bell.notified()).await.is_ok() {
                assert_eq!(length(&*trigger).await, Milli::units(pushed));
                break;
            }
            assert!(pushed < 100, "never woken");
        }
        drop(watch);
    }
}
