//! A MongoDB server that says what a test wants, also while it runs: for `globalLock`, which no server that tests can
//! install has, and for refusals.
//!
//! It speaks the protocol's one message, `OP_MSG`, with the driver's own documents, so it shows nothing about the protocol
//! itself; a real server does.
// Each test that includes it uses a part of it.
#![allow(dead_code)]

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use mongodb::bson::{DateTime, Document, doc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// The kind of a message that both sides send.
const OP_MSG: i32 = 2013;
/// The kinds of a first message from a client that does not know yet what the server speaks, and of its answer.
const OP_QUERY: i32 = 2004;
const OP_REPLY: i32 = 1;

/// What the server says. Nobody need log in, and whoever does is refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// The documents that every aggregation gives.
    pub(crate) documents: Vec<Document>,
    /// What `serverStatus` says beside `ok`.
    pub(crate) status: Document,
    /// What `hello` says beside what every server says: `msg` of a mongos, the members of a replica set.
    pub(crate) hello: Document,
    /// Commands that fail, with the code and its name.
    pub(crate) failures: Vec<(&'static str, i32, &'static str)>,
    /// Commands that are never answered.
    pub(crate) silent: Vec<&'static str>,
}

/// A running server. Dropping it ends it, with all its connections.
pub(crate) struct Stub {
    pub(crate) port: u16,
    script: Arc<Mutex<Script>>,
    heard: Arc<Mutex<Vec<Document>>>,
    task: AbortHandle,
}

impl Script {
    /// A server on which so many operations wait: readers and writers.
    pub(crate) fn queue(readers: i32, writers: i32) -> Self {
        let mut script = Self::default();
        script.set_queue(readers, writers);
        script
    }

    /// From now on so many operations wait.
    pub(crate) fn set_queue(&mut self, readers: i32, writers: i32) {
        let counts = doc! { "total": readers + writers, "readers": readers, "writers": writers };
        self.status.insert(
            "globalLock",
            doc! { "currentQueue": counts, "activeClients": { "total": 3, "readers": 2, "writers": 1 } },
        );
    }

    fn answer(&self, command: &Document) -> Option<Document> {
        let name = command.keys().next().cloned().unwrap_or_default();
        if self.silent.contains(&name.as_str()) {
            return None;
        }
        if let Some((_, code, code_name)) = self.failures.iter().find(|(failing, ..)| *failing == name) {
            // A server's text may repeat what it was asked, with data in it.
            let text = format!("canary: {command}");
            return Some(doc! { "ok": 0, "errmsg": text, "code": *code, "codeName": *code_name });
        }
        Some(match name.to_lowercase().as_str() {
            "hello" | "ismaster" => self.hello(),
            "saslstart" | "saslcontinue" => {
                doc! { "ok": 0, "errmsg": "canary", "code": 18, "codeName": "AuthenticationFailed" }
            }
            "serverstatus" => {
                let mut status = self.status.clone();
                status.insert("ok", 1);
                status
            }
            "aggregate" => {
                let documents = self.documents.clone();
                doc! { "ok": 1, "cursor": { "id": 0_i64, "ns": "shop.jobs", "firstBatch": documents } }
            }
            "ping" | "endsessions" | "killcursors" => doc! { "ok": 1 },
            _ => doc! { "ok": 0, "errmsg": "canary", "code": 59, "codeName": "CommandNotFound" },
        })
    }

    fn hello(&self) -> Document {
        let mut hello = doc! {
            "helloOk": true,
            "isWritablePrimary": true,
            "ismaster": true,
            "maxBsonObjectSize": 16_777_216,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "localTime": DateTime::now(),
            "logicalSessionTimeoutMinutes": 30,
            "minWireVersion": 0,
            "maxWireVersion": 21,
            "readOnly": false,
            "ok": 1,
        };
        hello.extend(self.hello.clone());
        hello
    }
}

impl Stub {
    /// Starts one on a free port of the loopback.
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (script, heard) = (Arc::new(Mutex::new(script)), Arc::<Mutex<Vec<Document>>>::default());
        let (said, ears) = (Arc::clone(&script), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        connections.spawn(converse(stream, Arc::clone(&said), Arc::clone(&ears)));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { port, script, heard, task: task.abort_handle() }
    }

    /// Changes what it says.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The commands of this name that it has heard.
    pub(crate) fn heard(&self, name: &str) -> Vec<Document> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|command| command.keys().next().is_some_and(|first| first == name)).cloned().collect()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one connection by one script until the other side closes it.
pub(crate) fn serve(stream: TcpStream, script: Script) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(converse(stream, Arc::new(Mutex::new(script)), Arc::default()))
}

async fn converse(mut stream: TcpStream, script: Arc<Mutex<Script>>, heard: Arc<Mutex<Vec<Document>>>) {
    while let Some((id, kind, body)) = message(&mut stream).await {
        let Some(command) = command(kind, &body) else { return };
        heard.lock().unwrap().push(command.clone());
        let answer = script.lock().unwrap().answer(&command);
        let Some(answer) = answer else { continue };
        if stream.write_all(&framed(id, kind, &answer)).await.is_err() {
            return;
        }
    }
}

/// The next message: its number, its kind and what follows the header.
async fn message(stream: &mut TcpStream) -> Option<(i32, i32, Vec<u8>)> {
    let length = usize::try_from(stream.read_i32_le().await.ok()?).ok()?;
    let id = stream.read_i32_le().await.ok()?;
    let _answers = stream.read_i32_le().await.ok()?;
    let kind = stream.read_i32_le().await.ok()?;
    let mut body = vec![0; length.checked_sub(16)?];
    stream.read_exact(&mut body).await.ok()?;
    Some((id, kind, body))
}

/// The command in a message: behind the flags and the section's kind, or behind the name of a collection and two numbers.
fn command(kind: i32, body: &[u8]) -> Option<Document> {
    let document = match kind {
        OP_MSG => body.get(5..)?,
        OP_QUERY => body.get(4 + body.get(4..)?.iter().position(|byte| *byte == 0)? + 1 + 8..)?,
        _ => return None,
    };
    Document::from_reader(document).ok()
}

fn framed(to: i32, kind: i32, answer: &Document) -> Vec<u8> {
    let mut body = Vec::new();
    let answered = if kind == OP_MSG {
        // Flags, and a section of kind 0, which is one document.
        body.extend([0; 5]);
        OP_MSG
    } else {
        // Flags, cursor and position, and that one document follows.
        body.extend([0; 16]);
        body.extend(1_i32.to_le_bytes());
        OP_REPLY
    };
    answer.to_writer(&mut body).unwrap();
    let length = i32::try_from(16 + body.len()).unwrap();
    let head = [length, 1, to, answered].into_iter().flat_map(i32::to_le_bytes);
    head.chain(body).collect()
}
