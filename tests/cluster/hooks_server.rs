//! A server that hooks call: it answers by a script and remembers what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{runtime, wait_for};

/// The longest request that is listened to.
const LONGEST: usize = 64 * 1024;

/// The server; it ends when it is dropped.
pub(crate) struct Server {
    port: u16,
    talk: Arc<Mutex<Talk>>,
    serving: JoinHandle<()>,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Timestamp,
    /// As `POST /drain`.
    pub(crate) line: String,
    /// By their names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// One answer: a status, 200 with a text, or a connection that is closed without one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Status(u16),
    Text(&'static str),
    Close,
}

#[derive(Default)]
struct Talk {
    heard: Vec<Heard>,
    /// By their paths; the last one is given again and again.
    answers: HashMap<String, Vec<Answer>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = wait_for(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let talk = Arc::<Mutex<Talk>>::default();
        let shared = talk.clone();
        let serving = runtime().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, shared.clone()));
            }
        });
        Self { port, talk, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers what is asked for a path so, one after the other; the last one is given again and again.
    pub(crate) fn says(&self, path: &str, answers: &[Answer]) {
        lock(&self.talk).answers.insert(path.to_owned(), answers.to_vec());
    }

    /// What it was asked for a path.
    pub(crate) fn heard(&self, path: &str) -> Vec<Heard> {
        let of = |heard: &&Heard| heard.line.split(' ').nth(1) == Some(path);
        lock(&self.talk).heard.iter().filter(of).cloned().collect()
    }
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One request a connection.
async fn answer(mut stream: TcpStream, talk: Arc<Mutex<Talk>>) {
    let mut bytes = Vec::new();
    let heard = loop {
        if let Some(heard) = whole(&bytes) {
            break heard;
        }
        if bytes.len() > LONGEST || stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let said = {
        let mut talk = lock(&talk);
        let path = heard.line.split(' ').nth(1).unwrap_or_default().to_owned();
        talk.heard.push(heard);
        match talk.answers.get_mut(&path) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers.first().copied().unwrap_or(Answer::Status(404)),
            None => Answer::Status(404),
        }
    };
    let (status, text) = match said {
        Answer::Status(status) => (status, ""),
        Answer::Text(text) => (200, text),
        Answer::Close => return,
    };
    let length = text.len();
    let whole = format!("HTTP/1.1 {status} So\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}");
    let _ = stream.write_all(whole.as_bytes()).await;
}

/// A request, once it is there as a whole.
fn whole(bytes: &[u8]) -> Option<Heard> {
    let text = String::from_utf8_lossy(bytes);
    let (front, body) = text.split_once("\r\n\r\n")?;
    let mut lines = front.lines();
    let line = lines.next()?.rsplit_once(' ')?.0.to_owned();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    (body.len() >= length).then(|| Heard { at: Timestamp::now(), line, headers, body: body.to_owned() })
}

fn lock(talk: &Mutex<Talk>) -> MutexGuard<'_, Talk> {
    talk.lock().unwrap_or_else(PoisonError::into_inner)
}
