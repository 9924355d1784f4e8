//! One worker: takes items from the list one by one, works a while on each, and tells the results list about it.
//!
//! On SIGTERM it finishes the item that it has and takes no other, as a well-behaved replica does.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::client::{Client, ClientError};
use super::report::Report;
use super::{JOBS, RESULTS};

/// The shortest time that an item takes.
const SHORTEST: Duration = Duration::from_millis(300);
/// Items take up to this many milliseconds longer.
const SPREAD: u64 = 200;

/// Works until SIGTERM or SIGINT comes or the store goes away.
pub(super) async fn work(store: SocketAddr, name: &str) -> Result<(), ClientError> {
    let started = Timestamp::now();
    let mut stop = Stop::new()?;
    let (mut queue, mut results) = (Client::connect(store).await?, Client::connect(store).await?);
    tell(&mut results, &Report::Started { worker: name.to_owned(), at: started }).await?;
    say("ready");
    while let Some(item) = next(&mut queue, &mut stop).await? {
        perform(&item, &mut stop).await;
        tell(&mut results, &Report::Done { worker: name.to_owned(), item }).await?;
    }
    say("ended: no work is lost");
    Ok(())
}

/// The next item; none once the worker should end and has none.
async fn next(queue: &mut Client, stop: &mut Stop) -> Result<Option<String>, ClientError> {
    if stop.asked {
        return Ok(None);
    }
    queue.ask_item(JOBS).await?;
    tokio::select! {
        item = queue.next_item() => return item.map(Some),
        () = stop.wait() => {}
    }
    // An item may be on its way. Once the store sees that nothing more is asked, it sends the item or keeps it, and
    // then closes: nothing is taken and lost.
    queue.finish().await?;
    match queue.next_item().await {
        Ok(item) => Ok(Some(item)),
        Err(ClientError::Lost(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The work itself: it is finished also when the worker should end.
async fn perform(item: &str, stop: &mut Stop) {
    let done = sleep(effort(item));
    tokio::pin!(done);
    loop {
        tokio::select! {
            () = &mut done => break,
            () = stop.wait(), if !stop.asked => say(&format!("item {item} is finished before the end")),
        }
    }
    say(&format!("item {item} done"));
}

/// How long an item takes: different for every item, the same every time.
fn effort(item: &str) -> Duration {
    let number = item.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    SHORTEST + Duration::from_millis(number % (SPREAD + 1))
}

async fn tell(results: &mut Client, report: &Report) -> Result<(), ClientError> {
    results.push(RESULTS, &[report.to_string()]).await.map(drop)
}

/// A line of the worker's log. Nobody may read it any more; that is no reason to stop.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The wish that this worker ends.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    asked: bool,
}

impl Stop {
    fn new() -> Result<Self, ClientError> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, asked: false })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        self.asked = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::server::Server;

    #[tokio::test]
    async fn every_item_is_done_and_told() {
        let server = Server::start().await.unwrap();
        let (address, mut client) = (server.address, Client::connect(server.address).await.unwrap());
        let worker = tokio::spawn(async move { work(address, "w-0").await });
        client.push(JOBS, &["1".to_owned(), "2".to_owned()]).await.unwrap();
        let mut told = Vec::new();
        for _ in 0..3 {
            client.ask_item(RESULTS).await.unwrap();
            told.push(Report::parse(&client.next_item().await.unwrap()).unwrap());
        }
        assert!(matches!(&told[0], Report::Started { worker, .. } if worker == "w-0"));
        let done = |item: &str| Report::Done { worker: "w-0".to_owned(), item: item.to_owned() };
        assert_eq!(told[1..], [done("1"), done("2")]);
        drop(server);
        assert!(matches!(worker.await.unwrap(), Err(ClientError::Lost(_))), "a worker ends with its store");
    }

    #[test]
    fn items_take_between_300_and_500_ms() {
        let efforts: Vec<u128> = (0..200).map(|number| effort(&number.to_string()).as_millis()).collect();
        assert!(efforts.iter().all(|effort| (300..=500).contains(effort)));
        assert!(efforts.iter().max() > efforts.iter().min());
    }
}
