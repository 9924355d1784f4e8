//! Serves the embedded store on a free port of the loopback interface: one task a connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::commands::{Outcome, Session, item_answer};
use super::resp::{self, Value, Version};
use super::store::{Item, Store, Wait};

/// The most connections at a time; more wait until one ends.
const CONNECTIONS: usize = 256;
/// How long a client may take to read its answers.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// Answers of a pipeline are sent once they are this long.
const FLUSH: usize = 64 * 1024;
/// Rests after a connection could not be accepted: out of files, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running store; dropping it closes all connections.
#[derive(Debug)]
pub(super) struct Server {
    /// Where it listens.
    pub(super) address: SocketAddr,
    task: AbortHandle,
}

impl Server {
    /// A new, empty store.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, Store::default())).abort_handle();
        Ok(Self { address, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, store: Store) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = Connection::new(stream, store.clone());
                connections.spawn(async move {
                    // An error only means that this client has gone away.
                    let _ = connection.run().await;
                    drop(place);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One client.
struct Connection {
    stream: TcpStream,
    store: Store,
    session: Session,
    input: Vec<u8>,
    /// How much of the input has been answered.
    taken: usize,
    output: Vec<u8>,
}

/// Whether a connection goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Goes,
    Ends,
}

impl Connection {
    fn new(stream: TcpStream, store: Store) -> Self {
        // Only a matter of speed.
        let _ = stream.set_nodelay(true);
        let session = Session::new(store.clone());
        Self { stream, store, session, input: Vec::new(), taken: 0, output: Vec::new() }
    }

    async fn run(mut self) -> io::Result<()> {
        loop {
            let next = self.answer_all().await?;
            self.flush().await?;
            if next == Next::Ends {
                return Ok(());
            }
            let wake = Arc::clone(&self.session.wake);
            tokio::select! {
                read = self.stream.read_buf(&mut self.input) => if read? == 0 { return Ok(()) },
                () = wake.notified() => self.tell_changes(),
            }
        }
    }

    /// Answers every command that is there completely.
    async fn answer_all(&mut self) -> io::Result<Next> {
        loop {
            match resp::command(&self.input[self.taken..]) {
                Ok(Some((words, length))) => {
                    self.taken += length;
                    if !words.is_empty() && self.answer(&words).await? == Next::Ends {
                        return Ok(Next::Ends);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.write(&Value::Error(format!("ERR Protocol error: {error}")));
                    return Ok(Next::Ends);
                }
            }
        }
        self.input.drain(..self.taken);
        self.taken = 0;
        Ok(Next::Goes)
    }

    async fn answer(&mut self, words: &[Vec<u8>]) -> io::Result<Next> {
        match self.session.execute(words) {
            Outcome::Answer(value) => self.write(&value),
            Outcome::Item(item) => self.deliver(item).await?,
            Outcome::Wait(wait, limit) => match self.wait(wait, limit).await? {
                Some(item) => self.deliver(item).await?,
                None => self.write(&Value::NullArray),
            },
            Outcome::Quit(value) => {
                self.write(&value);
                return Ok(Next::Ends);
            }
        }
        if self.output.len() >= FLUSH {
            self.flush().await?;
        }
        Ok(Next::Goes)
    }

    /// The next item, or none when the time is over. Reading comes first: a client that has gone away gets nothing.
    async fn wait(&mut self, mut wait: Wait, limit: Option<Duration>) -> io::Result<Option<Item>> {
        self.flush().await?;
        let over = async {
            match limit {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let wake = Arc::clone(&self.session.wake);
        loop {
            tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input) => {
                    if read? == 0 || self.input.len() - self.taken > resp::MESSAGE {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
                item = wait.item() => return Ok(item),
                () = wake.notified() => {
                    self.tell_changes();
                    self.flush().await?;
                }
                () = &mut over => return Ok(None),
            }
        }
    }

    /// Hands an item over; it goes back if the client has gone away.
    async fn deliver(&mut self, item: Item) -> io::Result<()> {
        // The item may have come faster than the news that the client has closed: let that arrive first.
        yield_now().await;
        let sent = match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Err(io::ErrorKind::ConnectionAborted.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => {
                self.write(&item_answer(&item));
                self.flush().await
            }
        };
        if sent.is_err() {
            self.store.put_back(item);
        }
        sent
    }

    fn tell_changes(&mut self) {
        for key in self.store.changes(self.session.id) {
            let keys = Value::Array(vec![Value::Bulk(key)]);
            self.write(&Value::Push(vec![Value::Bulk(b"invalidate".to_vec()), keys]));
        }
    }

    fn write(&mut self, value: &Value) {
        let version: Version = self.session.version;
        resp::write_value(value, version, &mut self.output);
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        timeout(WRITE_LIMIT, self.stream.write_all(&self.output)).await.map_err(io::Error::from)??;
        self.output.clear();
        Ok(())
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
