//! A server that answers every command by a script.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::server::Trigger;

type Script = dyn Fn(&[String]) -> Option<String> + Send + Sync;

/// The running server; dropping it stops it.
pub(crate) struct Fake {
    port: u16,
    heard: Arc<Mutex<Vec<Vec<String>>>>,
    task: JoinHandle<()>,
}

impl Fake {
    /// The script gets a command and says the reply as sent; none closes the connection.
    pub(crate) async fn start(script: impl Fn(&[String]) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, heard) = (listener.local_addr().unwrap().port(), Arc::default());
        let (log, script): (_, Arc<Script>) = (Arc::clone(&heard), Arc::new(script));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { port, heard, task }
    }

    pub(crate) fn trigger(&self) -> Trigger {
        Trigger::new(&format!("127.0.0.1:{}", self.port), &[])
    }

    /// All commands so far.
    pub(crate) fn heard(&self) -> Vec<Vec<String>> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<Vec<String>>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(command) = command(&mut stream).await {
        log.lock().unwrap().push(command.clone());
        let Some(reply) = script(&command) else { return };
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One array of bulk strings.
async fn command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for _ in 0..number(stream, '*').await? {
        let mut word = vec![0; number(stream, '$').await? + 2];
        stream.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8(word).ok()?);
    }
    Some(words)
}

async fn number(stream: &mut BufReader<TcpStream>, mark: char) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(mark)?.parse().ok()
}
