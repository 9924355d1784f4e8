//! Http items against a server that answers by a script, and what needs no server at all.

use std::sync::Mutex;

use async_trait::async_trait;
use tidegate_calculator::operation::facts::{DeploymentFacts, TargetFacts};
use tidegate_calculator::operation::spec::Http;
use tidegate_calculator::source::{Parameters, ReadError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A world in which nothing but servers can be called.
struct Nothing;

#[async_trait]
impl ClusterActions for Nothing {
    async fn target(&self, _: &TargetRef) -> Result<TargetFacts, Failure> {
        Ok(TargetFacts { replicas: 2, version: "7".to_owned(), ..TargetFacts::default() })
    }
    async fn deployment(&self, _: &TargetRef) -> Result<Option<DeploymentFacts>, Failure> {
        Ok(None)
    }
    async fn patch(&self, _: &TargetRef, _: u32, version: &str) -> Result<(), Failure> {
        if version == "7" { Ok(()) } else { Err(Failure::new(Class::Conflict, "it changed")) }
    }
    async fn mark_victims(&self, _: &TargetRef, _: &[String]) -> Result<(), Failure> {
        // Never ends: its caller must.
        std::future::pending().await
    }
    async fn annotate(&self, _: &TargetRef, _: &str) -> Result<(), Failure> {
        Ok(())
    }
    async fn create_snapshot(&self, _: &TargetRef, _: &str, _: u32) -> Result<(), Failure> {
        Ok(())
    }
    async fn snapshot(&self, _: &TargetRef, _: &str) -> Result<SnapshotEnd, Failure> {
        Ok(SnapshotEnd::Abandoned)
    }
    async fn create_job(&self, _: &ObjectId, _: &str, _: &str) -> Result<(), Failure> {
        Ok(())
    }
    async fn job(&self, _: &ObjectId, _: &str) -> Result<JobEnd, Failure> {
        Ok(JobEnd::Failed("no more room".to_owned()))
    }
}

struct Tokens;

#[async_trait]
impl Resolver for Tokens {
    async fn resolve(&self, references: &References) -> Result<Parameters, ReadError> {
        let name = references.authentication.as_ref().map(|reference| &*reference.name);
        if name != Some("keeper") {
            return Err(ReadError::query(ReadErrorKind::Config, "there is no such TriggerAuthentication"));
        }
        let auth = [("authModes", "bearer"), ("token", "canary")];
        let auth = auth.map(|(key, text)| (key.to_owned(), Secret::new(text)));
        Ok(Parameters { env: BTreeMap::new(), auth: auth.into() })
    }
}

fn hooks() -> Hooks {
    Hooks::new(Arc::new(Nothing), Arc::new(Tokens), Endpoints::new())
}

async fn perform(action: Action) -> Outcome {
    let id = ObjectId { namespace: "shop".into(), name: "orders".into() };
    let target = TargetRef { namespace: "shop".into(), name: "orders".into(), ..TargetRef::default() };
    hooks().perform(&id, &target, &HookSpec::default(), &action).await
}

/// Answers each request with the next of these lines, each over a connection of its own; an empty one closes it. Gives all that was heard.
async fn serving(answers: &[&str]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let (log, answers) = (Arc::clone(&heard), answers.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let whole = |bytes: &[u8]| {
                let text = String::from_utf8_lossy(bytes).into_owned();
                let (front, body) = text.split_once("\r\n\r\n")?;
                let length = front
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
                (body.len() >= length.unwrap_or(0)).then_some(())
            };
            while whole(&bytes).is_none() && stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {}
            log.lock().unwrap().push(String::from_utf8(bytes).unwrap());
            if !answer.is_empty() {
                let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        }
    });
    (url, heard)
}

fn call(http: Http) -> Action {
    Action::CallHttp { item: "drain".to_owned(), key: "aaaa".to_owned(), http }
}

fn class(outcome: &Outcome) -> Option<Class> {
    match outcome {
        Outcome::Failed(failure) => Some(failure.class),
        _ => None,
    }
}

#[tokio::test]
async fn an_item_is_called_once_with_its_key_and_credentials() {
    let (url, heard) = serving(&["200 OK"]).await;
    let http = Http {
        url: format!("{url}/drain?x=1"),
        headers: vec![("X-Team".to_owned(), "b".to_owned()), ("idempotency-key".to_owned(), "mine".to_owned())],
        body: r#"{"a":1}"#.to_owned(),
        authentication_ref: Some("keeper".to_owned()),
        ..Http::default()
    };
    assert_eq!(perform(call(http)).await, Outcome::Done);
    let heard = heard.lock().unwrap().clone();
    let [request] = heard.as_slice() else { panic!("{heard:?}") };
    assert!(request.starts_with("POST /drain?x=1 HTTP/1.1\r\n") && request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    for line in ["idempotency-key: aaaa", "authorization: Bearer canary", "content-type: application/json", "x-team: b"]
    {
        assert!(request.contains(&format!("{line}\r\n")), "{line}: {request}");
    }
    assert!(!request.contains("mine"));
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_not_repeated_and_said_to_be_lost() {
    let (url, heard) = serving(&["", "200 OK"]).await;
    let outcome = perform(call(Http { url, ..Http::default() })).await;
    assert_eq!(class(&outcome), Some(Class::Lost), "{outcome:?}");
    assert_eq!(heard.lock().unwrap().len(), 1);
    // Nobody listens: nothing can have happened.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = perform(call(Http { url: format!("http://{closed}"), ..Http::default() })).await;
    assert_eq!(class(&outcome), Some(Class::Unavailable), "{outcome:?}");
}

#[tokio::test]
async fn statuses_are_judged_by_what_is_expected() {
    let cases: [(&str, &[u16], Option<Class>); 7] = [
        ("204 No Content", &[200, 204], None),
        ("204 No Content", &[], Some(Class::Config)),
        ("404 Not Found", &[], Some(Class::Config)),
        ("404 Not Found", &[404], None),
        ("500 Oops", &[], Some(Class::Transient)),
        ("503 Busy", &[], Some(Class::Unavailable)),
        ("302 Found", &[], Some(Class::Config)),
    ];
    for (answer, expected, failed) in cases {
        let (url, _) = serving(&[answer]).await;
        let outcome = perform(call(Http { url, expect_status: expected.to_vec(), ..Http::default() })).await;
        assert_eq!(class(&outcome), failed, "{answer} {expected:?}: {outcome:?}");
        assert!(failed.is_some() || outcome == Outcome::Done);
    }
}

#[tokio::test]
async fn what_is_accepted_is_polled_until_it_is_done() {
    let (url, heard) = serving(&["202 Accepted", "202 Accepted", "404 Not Found", "200 OK", ""]).await;
    let http = Http { poll_url: Some(format!("{url}/done")), url, ..Http::default() };
    assert_eq!(perform(call(http.clone())).await, Outcome::InProgress);
    let poll = || perform(Action::PollHttp { item: "drain".to_owned(), key: "aaaa".to_owned(), http: http.clone() });
    assert_eq!(poll().await, Outcome::InProgress);
    assert_eq!(poll().await, Outcome::NotFound);
    assert_eq!(poll().await, Outcome::Done);
    assert_eq!(class(&poll().await), Some(Class::Unavailable), "a question that is lost did nothing");
    let heard = heard.lock().unwrap().clone();
    assert!(heard[1].starts_with("GET /done ") && heard[1].contains("idempotency-key: aaaa"), "{heard:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_a_matter_of_the_spec() {
    for http in [
        Http { url: "ftp://x".to_owned(), ..Http::default() },
        Http { url: "http://x".to_owned(), method: "A B".to_owned(), ..Http::default() },
        Http { url: "http://x".to_owned(), headers: vec![("a b".to_owned(), String::new())], ..Http::default() },
        Http { url: "http://x".to_owned(), authentication_ref: Some("none".to_owned()), ..Http::default() },
    ] {
        assert_eq!(class(&perform(call(http.clone())).await), Some(Class::Config), "{http:?}");
    }
}

#[tokio::test]
async fn what_the_world_says_is_passed_on() {
    let Outcome::Inspected(seen) = perform(Action::Inspect).await else { panic!("it can be inspected") };
    assert_eq!((seen.target.replicas, seen.cluster, seen.deployment), (2, None, None));
    let patch = |version: &str| perform(Action::Patch { to: 1, version: version.to_owned() });
    assert_eq!(patch("7").await, Outcome::Done);
    assert_eq!(class(&patch("8").await), Some(Class::Conflict));
    let job = perform(Action::PollJob { name: "a".to_owned() }).await;
    assert_eq!(job, Outcome::Failed(Failure::new(Class::Transient, "no more room")));
    let abandoned = perform(Action::PollSnapshotResource { name: "a".to_owned() }).await;
    assert_eq!(class(&abandoned), Some(Class::Restarting));
}

#[tokio::test]
async fn every_action_ends() {
    let within = |action: Action| async move {
        let id = ObjectId { namespace: "shop".into(), name: "orders".into() };
        let limit = Duration::from_millis(50);
        hooks().perform_within(limit, &id, &TargetRef::default(), &HookSpec::default(), &action).await
    };
    // As a task of its own, as the engine's driver does it.
    let outcome = tokio::spawn(within(Action::MarkVictims { pods: Vec::new() })).await.unwrap();
    assert_eq!(class(&outcome), Some(Class::Lost), "it may have been done");
}
