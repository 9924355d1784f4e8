//! A real gateway of WebSockets: it holds the connections of clients, and tells how many there are in a stream of its own.

use std::net::TcpListener;

use futures::{SinkExt as _, StreamExt as _};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_hdr_async, connect_async};

use super::super::objects::Deployment;
use super::super::operator::Account;
use super::super::space::Space;
use super::super::{runtime, trial, wait_for};
use super::scaled_object;

/// The path of the stream that tells how many connections are open.
const STATS: &str = "/stats";
/// How often the stream tells it when nothing changes.
const PULSE: Duration = Duration::from_secs(1);
/// Handshakes under way at a time.
const ABREAST: usize = 50;

/// A gateway. Dropping it ends it with all its connections.
pub(super) struct Gateway {
    port: u16,
    open: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

/// A client's side of a connection.
pub(super) type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("sources::a_gateway_with_1200_connections_has_3_replicas_behind_it", connections)]
}

/// 1,200 connections at 500 each are 3 replicas; 300 are one, and without any there is none.
fn connections() {
    let (gateway, space) = (Gateway::start(), Space::new("gateway"));
    space.deploy(&Deployment::default());
    let trigger = json!([{
        "type": "websocket",
        "metadata": {"url": gateway.stats(), "valueLocation": "connections.open", "targetValue": "500"},
    }]);
    space.apply(&scaled_object(&json!({"pollingInterval": 30}), &trigger).to_string());
    let operator = Account::new(&space).start();
    space.until_condition("app", "Ready", "True");
    space.until_condition("app", "Active", "False");
    let asked = space.watch("app");

    let mut clients = gateway.clients(1200);
    assert_eq!(gateway.open(), 1200);
    space.until_ready("app", 3);
    clients.truncate(300);
    space.until_replicas("app", 1);
    assert_eq!(gateway.open(), 300);
    clients.clear();
    space.until_replicas("app", 0);

    for (at, count) in asked.changes() {
        println!("{at:.1} {count} replicas are asked");
    }
    // Clients come and go one by one, and the replicas follow them.
    let counts = asked.counts();
    let highest = counts.iter().position(|count| *count == 3).expect("3 replicas");
    let (up, down) = counts.split_at(highest);
    let falls = down.windows(2).all(|pair| pair[0] > pair[1]);
    assert!(
        up.is_sorted() && falls && counts.first() == Some(&0),
        "0, up to 3, and down: {counts:?}\n{}",
        operator.log()
    );
}

impl Gateway {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (count, open) = watch::channel(0);
        let task = runtime().spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        connections.spawn(serve(stream, count.clone()));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { port, open, task }
    }

    /// The URL of the stream.
    pub(super) fn stats(&self) -> String {
        format!("ws://127.0.0.1:{}{STATS}", self.port)
    }

    /// How many connections are open, without those that hear the stream.
    pub(super) fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// Opens so many connections.
    pub(super) fn clients(&self, count: usize) -> Vec<Client> {
        let url = format!("ws://127.0.0.1:{}/room", self.port);
        let opened = futures::stream::iter(0..count).map(|_| connect_async(&url)).buffer_unordered(ABREAST);
        wait_for(opened.map(|client| client.unwrap().0).collect())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection: of a client, or of somebody who hears how many clients there are.
#[allow(clippy::result_large_err)]
async fn serve(stream: TcpStream, count: watch::Sender<usize>) {
    let mut path = String::new();
    let look = |request: &Request, response: Response| {
        request.uri().path().clone_into(&mut path);
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, look).await else { return };
    if path != STATS {
        count.send_modify(|count| *count += 1);
        while matches!(socket.next().await, Some(Ok(_))) {}
        count.send_modify(|count| *count -= 1);
        return;
    }
    let mut news = count.subscribe();
    loop {
        let open = *news.borrow_and_update();
        let text = json!({"connections": {"open": open}}).to_string();
        if socket.send(Message::text(text)).await.is_err() {
            return;
        }
        // Pings are answered while the socket is read.
        tokio::select! {
            _ = news.changed() => {}
            () = sleep(PULSE) => {}
            heard = socket.next() => {
                if !matches!(heard, Some(Ok(_))) {
                    return;
                }
            }
        }
    }
}
