//! An API server that shows a handful of objects and takes nothing.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// The server; its threads end with the process.
pub(super) struct ApiServer {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    /// One that shows these objects under their paths.
    pub(super) fn start(objects: BTreeMap<String, Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let (log, objects) = (Arc::clone(&heard), Arc::new(objects));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, objects) = (Arc::clone(&log), Arc::clone(&objects));
                thread::spawn(move || answer(stream, &objects, &log));
            }
        });
        Self { port, heard }
    }

    /// A kubeconfig for it.
    pub(super) fn kubeconfig(&self) -> String {
        let cluster = json!({ "server": format!("http://127.0.0.1:{}", self.port) });
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [{ "name": "a", "cluster": cluster }],
            "contexts": [{ "name": "a", "context": { "cluster": "a", "user": "a" } }],
            "users": [{ "name": "a", "user": {} }],
        })
        .to_string()
    }

    /// The methods and paths of all requests.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// One request over each connection.
fn answer(mut stream: TcpStream, objects: &BTreeMap<String, Value>, log: &Mutex<Vec<String>>) -> Option<()> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (line, _) = text.split_once(" HTTP/1.1")?;
    log.lock().unwrap().push(line.to_owned());
    let path = line.split_once(' ')?.1.split('?').next()?;
    let missing = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": path });
    let (status, body) = objects.get(path).map_or(("404 Not Found", &missing), |object| ("200 OK", object));
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()
}
