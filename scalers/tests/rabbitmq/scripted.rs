//! A management API that answers by a script and remembers what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Says status and body to a path with its query; an empty body of status 0 is silence.
type Script = dyn Fn(&str) -> (u16, String) + Send + Sync;

/// The running server; dropping it stops it.
pub(crate) struct Api {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Api {
    pub(crate) async fn start(script: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, heard) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
        let (log, script): (_, Arc<Script>) = (Arc::clone(&heard), Arc::new(script));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { port, heard, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://guest:guest@127.0.0.1:{}", self.port)
    }

    /// The requests so far, head and all.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The paths that were asked for so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.heard().iter().map(|request| request.split(' ').nth(1).unwrap().to_owned()).collect()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<String>>>) {
    let mut heard = Vec::new();
    loop {
        while !is_whole(&heard) {
            if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let request = String::from_utf8(std::mem::take(&mut heard)).unwrap();
        let path = request.split(' ').nth(1).unwrap().to_owned();
        log.lock().unwrap().push(request);
        let (status, body) = script(&path);
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if status > 0 && stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
