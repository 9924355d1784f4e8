//! `external-push` with a server of the user's own. It is written without the definition that Tidegate's client is made of, so the
//! contract's names and numbers stand here a second time.

use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use libtest_mimic::Trial;
use tokio::sync::broadcast;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::harness::manifests::Manifests;
use crate::harness::tidegate::{Local, SOON};
use crate::harness::trial;
use crate::harness::wait::eventually;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("external::a_push_starts_workers_long_before_the_next_poll", pushed)]
}

/// With a poll every 300 s only the push can start a worker.
fn pushed() {
    let scaler = Arc::new(Scaler { jobs: AtomicI64::new(0), news: broadcast::Sender::new(16) });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let address = runtime.block_on(serve(&scaler));

    let mut manifests = Manifests::new();
    let started = manifests.scratch().join("started");
    manifests.add_deployment("pushed", &format!("date +%s%N >>{}\nexec sleep 3600", started.display()));
    manifests.write("pushed-scaledobject.yaml", &scaled_object(&address));
    let local = Local::start(&manifests);
    local.until("pushed", "a first decision at 0", |state| state.replicas() == Some(0) && state.reads());
    eventually(SOON, "the stream", || (scaler.news.receiver_count() > 0).then_some(()));
    // The reading that follows the opening of the stream is done, so what comes now is heard by the stream alone.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(local.changes("pushed"), []);

    scaler.jobs.store(40, Ordering::SeqCst);
    let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    scaler.news.send(true).unwrap();
    let first: u128 =
        eventually(SOON, "the start of a worker", || fs::read_to_string(&started).ok()?.lines().next()?.parse().ok());
    // 40 jobs at 5 each: 8 workers.
    local.until_replicas("pushed", 8);
    assert_eq!(local.changes("pushed"), [(0, 8)]);
    let millis = first.saturating_sub(begun) / 1_000_000;
    println!("external-push: true to first worker process {millis} ms");
    assert!(millis < 2000, "{millis} ms");
    drop(local);
    runtime.shutdown_background();
}

fn scaled_object(address: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: pushed
  namespace: shop
spec:
  scaleTargetRef:
    name: pushed
  pollingInterval: 300
  maxReplicaCount: 10
  triggers:
    - type: external-push
      metadata:
        scalerAddress: {address}
        queue: jobs
"
    )
}

/// A queue, and whoever wants to know when something is in it.
struct Scaler {
    jobs: AtomicI64,
    news: broadcast::Sender<bool>,
}

async fn serve(scaler: &Arc<Scaler>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Server::builder().add_service(Contract(Arc::clone(scaler)));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

/// What is asked; this server has one queue, whoever asks.
#[derive(Clone, PartialEq, prost::Message)]
struct Question {}

#[derive(Clone, PartialEq, prost::Message)]
struct Activity {
    #[prost(bool, tag = "1")]
    result: bool,
}

/// The answers to `GetMetricSpec` and `GetMetrics` look alike.
#[derive(Clone, PartialEq, prost::Message)]
struct Numbers {
    #[prost(message, repeated, tag = "1")]
    all: Vec<Number>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "2")]
    number: i64,
}

/// The service `ExternalScaler`.
#[derive(Clone)]
struct Contract(Arc<Scaler>);

impl NamedService for Contract {
    const NAME: &'static str = "externalscaler.ExternalScaler";
}

impl Service<http::Request<Body>> for Contract {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Self(scaler) = self.clone();
        Box::pin(async move {
            let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let jobs = scaler.jobs.load(Ordering::SeqCst);
            let number = |number| Numbers { all: vec![Number { name: "jobs".to_owned(), number }] };
            Ok(match method.as_str() {
                "IsActive" => {
                    Grpc::new(ProstCodec::default()).unary(Answer(Activity { result: jobs > 0 }), request).await
                }
                "GetMetricSpec" => Grpc::new(ProstCodec::default()).unary(Answer(number(5)), request).await,
                "GetMetrics" => Grpc::new(ProstCodec::default()).unary(Answer(number(jobs)), request).await,
                "StreamIsActive" => Grpc::new(ProstCodec::default()).server_streaming(Changes(scaler), request).await,
                _ => Status::unimplemented(method).into_http(),
            })
        })
    }
}

/// One answer to every question.
struct Answer<M>(M);

impl<M: Clone> UnaryService<Question> for Answer<M> {
    type Response = M;
    type Future = std::future::Ready<Result<Response<M>, Status>>;

    fn call(&mut self, _: Request<Question>) -> Self::Future {
        ready_with(self.0.clone())
    }
}

fn ready_with<M>(message: M) -> std::future::Ready<Result<Response<M>, Status>> {
    std::future::ready(Ok(Response::new(message)))
}

/// All changes from now on.
struct Changes(Arc<Scaler>);

impl ServerStreamingService<Question> for Changes {
    type Response = Activity;
    type ResponseStream = BoxStream<'static, Result<Activity, Status>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<Question>) -> Self::Future {
        let step = |mut news: broadcast::Receiver<bool>| async move {
            let result = news.recv().await.ok()?;
            Some((Ok(Activity { result }), news))
        };
        ready_with(stream::unfold(self.0.news.subscribe(), step).boxed())
    }
}
