//! What listening to real brokers costs.

use std::ops::RangeInclusive;
use std::sync::Mutex as Lock;

use kafka_protocol::protocol::{Encodable, Request};
use tokio::time::timeout;

use super::*;
use crate::kafka::connection::Connection;
use crate::kafka::connection::real_tests::harness::{Listener, NEWEST, Plan};
use crate::kafka::connection::real_tests::{ONE_AT_A_TIME, start};
use crate::kafka::requests::Link;
use crate::kafka::wire;

/// Counts what goes over all connections that it makes.
struct Counting {
    connector: Connector,
    counts: Arc<Lock<Counts>>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    connections: usize,
    requests: usize,
    fetches: usize,
    sent: usize,
    received: usize,
}

struct Counted {
    connection: Connection,
    counts: Arc<Lock<Counts>>,
}

impl Dial for Counting {
    type Link = Counted;

    async fn dial(&self, host: &str, port: u16) -> Result<Counted, ReadError> {
        let connection = self.connector.connect(host, port).await?;
        self.counts.lock().unwrap().connections += 1;
        Ok(Counted { connection, counts: Arc::clone(&self.counts) })
    }
}

impl Link for Counted {
    fn version<R: Request>(&self, range: RangeInclusive<i16>) -> Option<i16> {
        self.connection.version::<R>(range)
    }

    async fn call<R>(&self, request: R, version: i16) -> Result<R::Response, ReadError>
    where
        R: Request<Response: Send + 'static> + Send + Sync + 'static,
    {
        {
            let mut counts = self.counts.lock().unwrap();
            counts.requests += 1;
            counts.fetches += usize::from(R::KEY == 1);
            counts.sent += wire::frame(&request, version, 0).unwrap().len();
        }
        let response = self.connection.call(request, version).await?;
        // Length, correlation id, and what flexible versions add to them.
        self.counts.lock().unwrap().received += 9 + response.compute_size(version).unwrap();
        Ok(response)
    }

    fn alive(&self) -> bool {
        self.connection.alive()
    }
}

/// The processor time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..=12].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Prints what push costs: `cargo test --release -p tidegate-scalers --lib -- --ignored --nocapture listening_is_measured`.
#[tokio::test]
#[ignore = "prints figures"]
async fn listening_is_measured() {
    const TIME: Duration = Duration::from_mins(1);
    let _one = ONE_AT_A_TIME.lock().await;
    for brokers in [1, 3] {
        let Some(kafka) = start(&Plan::new(NEWEST).brokers(brokers), NEWEST, "figures") else { return };
        let topics: Vec<Arc<str>> = (0..3).map(|number| format!("topic{number}").into()).collect();
        for topic in &topics {
            kafka.admin().create(topic, 50);
        }
        let address = |address: &str| {
            let (host, port) = address.rsplit_once(':').unwrap();
            (host.to_owned(), port.parse::<u16>().unwrap())
        };
        let bootstrap: Vec<(String, u16)> = kafka.bootstrap(Listener::Open).split(',').map(address).collect();
        let begin = bootstrap.iter().map(Address::of).collect();
        let connector = Connector::new(Arc::new(Cluster { bootstrap, tls: None, sasl: None }));
        let counts = Arc::<Lock<Counts>>::default();
        let records = Records::dialing("Kafka", begin, Counting { connector, counts: Arc::clone(&counts) });
        let mut session = records.connect().await.unwrap();
        session.arm(&topics).await.unwrap();
        println!("{brokers} broker(s), 150 partitions, to begin: {:?}", *counts.lock().unwrap());
        for busy in [false, true] {
            let _ = timeout(Duration::from_secs(2), session.heard()).await;
            *counts.lock().unwrap() = Counts::default();
            let (before, until, mut heard, mut check) = (cpu(), Instant::now() + TIME, 0, Instant::now());
            let stop = Arc::new(std::sync::atomic::AtomicBool::new(!busy));
            let (stopped, writer) = (Arc::clone(&stop), kafka.records());
            let writing = std::thread::spawn(move || {
                while !stopped.load(std::sync::atomic::Ordering::SeqCst) {
                    writer.append("topic0", 7, 1000);
                }
            });
            while Instant::now() < until {
                if let Ok(topics) = timeout(Duration::from_secs(1), session.heard()).await {
                    heard += topics.unwrap().len();
                }
                if Instant::now() >= check {
                    check += Duration::from_secs(15);
                    session.check().await.unwrap();
                }
            }
            let used = cpu().saturating_sub(before);
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
            writing.join().unwrap();
            let what = if busy { "one partition is written to (with the writer's CPU)" } else { "quiet" };
            println!(
                "{brokers} broker(s), {what}, a minute: {used:?} CPU, heard {heard}, {:?}",
                *counts.lock().unwrap()
            );
        }
    }
}
