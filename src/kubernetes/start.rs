//! Puts the operator together: connects, follows the cluster, runs the engine, and acts once it holds the Lease.
//!
//! 1. Everybody watches, so that a follower is ready to take over.
//! 2. Whoever sees all that it needs (the definitions, its permissions, a live KEDA, other autoscalers) asks for the Lease.
//! 3. Whoever holds it acts. Its loss ends the process; on a request to stop, the engine stores what it knows, and the Lease is
//!    given back.

#[cfg(test)]
mod deploy_tests;
mod preflight;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tidegate_engine::driver::{self, Handle, World};
use tidegate_engine::protocol::Tenure;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::courtesy::Courtesy;
use super::events::Announcer;
use super::finalize::Finalizer;
use super::foreign::autoscalers::AutoscalerWatch;
use super::foreign::writers;
use super::journal::ClusterJournal;
use super::keda::KedaWatch;
use super::lease::{Elector, Fence, LeaseLost, Term, Times};
use super::operations::ClusterOperations;
use super::settings::Settings;
use super::{Following, follow};
use crate::clock::MachineClock;
use crate::hooks::Hooks;
use crate::sources::TriggerSources;

/// How long connecting to the API server may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the lease is not asked for because objects are still being listed: one kind that does not answer must not keep all.
const SYNC: Duration = Duration::from_secs(30);

/// How to reach the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// A kubeconfig file; without it the pod's ServiceAccount, else what kubectl would take.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig.
    pub context: Option<String>,
}

/// What to run and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is scaled, and whether.
    pub settings: Settings,
    /// How to reach the API server.
    pub connection: Connection,
    /// The times of the Lease; none if this is the only process.
    pub election: Option<Times>,
    /// Scale although a KEDA is alive.
    pub ignore_live_keda: bool,
}

/// Why the operator cannot start, or must end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was asked for something that does not go.
    #[error("{0}")]
    Usage(String),
    /// There is no way to an API server.
    #[error("{0}")]
    Connection(String),
    /// Another process may act now.
    #[error("{0}")]
    Lease(#[from] LeaseLost),
    /// A part has ended by itself.
    #[error("{0} has ended by itself, which is a defect; ending, so that it is started anew")]
    Ended(&'static str),
}

impl Failure {
    /// The stable reason of this failure.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Usage(_) => "UsageWrong",
            Self::Connection(_) => "ConnectionFailed",
            Self::Lease(_) => "LeaseLost",
            Self::Ended(_) => "PartEnded",
        }
    }
}

/// A running operator; everything of it ends when it is dropped.
pub struct Operator {
    handle: Handle,
    engine: JoinHandle<()>,
    lease: JoinHandle<Result<(), LeaseLost>>,
    vacate: oneshot::Sender<()>,
    tasks: JoinSet<&'static str>,
}

/// Starts the operator. It needs a tokio runtime.
///
/// # Errors
/// If the configuration of the connection is wrong. An API server that does not answer, or lacks something, is asked again.
pub async fn start(options: Options) -> Result<Operator, Failure> {
    let config = configure(&options.connection).await?;
    let settings = options.settings;
    tracing::info!("connecting to {} as {}", config.cluster_url, settings.identity);
    let lease_client = Client::try_from(config.clone()).map_err(|error| Failure::Connection(error.to_string()))?;
    let candidate = match options.election {
        Some(times) => {
            let (namespace, identity) = (&settings.own_namespace, &settings.identity);
            Candidate::Elector(Box::new(Elector::new(lease_client, namespace, identity, times)))
        }
        None => Candidate::Alone(watch::Sender::new(Tenure::Standby)),
    };
    let builder = ClientBuilder::try_from(config).map_err(|error| Failure::Connection(error.to_string()))?;
    let client = builder.with_layer(&Courtesy::default()).with_layer(&Fence(candidate.term())).build();
    Ok(assemble(client, &settings, candidate, options.ignore_live_keda))
}

/// Starts all parts and wires them.
fn assemble(client: Client, settings: &Settings, candidate: Candidate, ignore_live_keda: bool) -> Operator {
    let Following { objects, target, resolver, known, holds, attention, kept, surroundings, latest, tasks: following } =
        follow(&client, settings);
    let tenure = candidate.tenure();
    let keda = KedaWatch::new(client.clone(), &settings.keda_namespace, (!ignore_live_keda).then(|| holds.clone()));
    let autoscalers = AutoscalerWatch::new(client.clone(), &settings.namespaces, holds.clone());
    let announcer = Announcer::start(client.clone(), known.clone(), &settings.identity);
    let sender = announcer.clone();
    let journal = ClusterJournal::new(client.clone(), (known.clone(), holds.clone(), kept.clone()), announcer);
    let (journal, resets) = writers::listen(journal, client.clone(), known.clone(), holds.clone());
    let (alive, noticed) = (keda.alive(), autoscalers.synced());
    let finalizer =
        Finalizer::new(client.clone(), (known.clone(), holds, kept, attention), settings.mode, keda.alive())
            .telling(sender.clone());
    let sources = TriggerSources::within(Arc::new(surroundings));
    let actions = Arc::new(ClusterOperations::new(client.clone(), known.clone()));
    let operations = Hooks::new(actions, resolver.clone(), sources.endpoints());
    let world = World {
        objects,
        sources: Arc::new(sources),
        resolver,
        target,
        operations: Arc::new(operations),
        journal: Arc::new(journal),
        clock: Arc::new(MachineClock::new()),
    };
    let (informed, learn) = latest.follow(tenure.clone());
    let (handle, engine) = driver::start_with(world, informed, settings.read_deadline);
    let mut tasks = JoinSet::new();
    part(&mut tasks, "the list of what is stored", learn);
    part(&mut tasks, "the watch of a live KEDA", keda.run());
    part(&mut tasks, "the watch of autoscalers", autoscalers.run());
    part(&mut tasks, "the watch of resets", resets.run());
    part(&mut tasks, "the finalizer", finalizer.run(tenure));
    part(&mut tasks, "the sender of events", sender.ended());
    part(&mut tasks, "the index", async move {
        let mut following = following;
        while following.join_next().await.is_some() {}
    });
    let ready = ready(client, settings.clone(), handle.clone(), alive, noticed);
    let (vacate, vacated) = oneshot::channel();
    let lease = tokio::spawn(candidate.run(ready, vacated));
    Operator { handle, engine: tokio::spawn(engine), lease, vacate, tasks }
}

/// Spawns a part that must not end.
fn part(tasks: &mut JoinSet<&'static str>, name: &'static str, run: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(async move {
        run.await;
        name
    });
}

/// Returns when nothing that forbids acting can be unseen any more.
async fn ready(
    client: Client,
    settings: Settings,
    handle: Handle,
    mut alive: watch::Receiver<Option<bool>>,
    mut noticed: watch::Receiver<bool>,
) {
    preflight::check(&client, &settings).await;
    // Both senders live as long as the process.
    let _ = alive.wait_for(Option::is_some).await;
    let _ = noticed.wait_for(|noticed| *noticed).await;
    let synced = async {
        while !handle.synced().await {
            sleep(Duration::from_millis(100)).await;
        }
    };
    if timeout(SYNC, synced).await.is_err() {
        tracing::warn!("not everything could be listed within {SYNC:?}; going on with what is known");
    }
}

/// Who asks for the tenure.
enum Candidate {
    Elector(Box<Elector>),
    Alone(watch::Sender<Tenure>),
}

impl Candidate {
    fn term(&self) -> Term {
        match self {
            Self::Elector(elector) => elector.term(),
            Self::Alone(_) => Term::unlimited(),
        }
    }

    fn tenure(&self) -> watch::Receiver<Tenure> {
        match self {
            Self::Elector(elector) => elector.tenure(),
            Self::Alone(tenure) => tenure.subscribe(),
        }
    }

    async fn run(
        self,
        ready: impl Future<Output = ()> + Send,
        mut vacated: oneshot::Receiver<()>,
    ) -> Result<(), LeaseLost> {
        tokio::select! {
            () = ready => {}
            _ = &mut vacated => return Ok(()),
        }
        // A sender that is dropped means the same.
        let vacated = async move { vacated.await.unwrap_or_default() };
        match self {
            Self::Elector(elector) => elector.run(vacated).await,
            Self::Alone(tenure) => {
                tracing::info!("acting without a lease: no other replica may run");
                tenure.send_replace(Tenure::HELD);
                vacated.await;
                Ok(())
            }
        }
    }
}

impl Operator {
    /// Asks the engine.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Returns when the process must end.
    pub async fn failed(&mut self) -> Failure {
        tokio::select! {
            _ = &mut self.engine => Failure::Ended("the engine"),
            lease = &mut self.lease => lost(lease),
            Some(name) = self.tasks.join_next() => Failure::Ended(name.unwrap_or("a part")),
        }
    }

    /// Begins nothing new, stores what is not stored, and gives the Lease back.
    ///
    /// # Errors
    /// If the Lease is lost meanwhile.
    pub async fn stop(mut self) -> Result<(), Failure> {
        let drained = async {
            self.handle.drain().await;
            // A panic of the engine is an end as well.
            let _ = (&mut self.engine).await;
        };
        tokio::select! {
            () = drained => {}
            lease = &mut self.lease => return Err(lost(lease)),
        }
        // Whoever has ended already hears nothing.
        let _ = self.vacate.send(());
        match (&mut self.lease).await {
            Ok(result) => result.map_err(Failure::Lease),
            Err(_) => Err(Failure::Ended("the lease")),
        }
    }
}

fn lost(lease: Result<Result<(), LeaseLost>, tokio::task::JoinError>) -> Failure {
    match lease {
        Ok(Err(lost)) => Failure::Lease(lost),
        Ok(Ok(())) | Err(_) => Failure::Ended("the lease"),
    }
}

/// Where the API server is and who we are.
pub(super) async fn configure(connection: &Connection) -> Result<Config, Failure> {
    let options = KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
    let mut config = match &connection.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .map_err(|error| Failure::Usage(format!("--kubeconfig {}: {}", path.display(), unread(&error))))?;
            let known = contexts(&file);
            let chosen = Config::from_custom_kubeconfig(file, &options).await;
            chosen.map_err(|error| Failure::Connection(unusable(&error, &known)))?
        }
        None if connection.context.is_some() => {
            let chosen = Config::from_kubeconfig(&options).await;
            chosen.map_err(|error| Failure::Connection(unusable(&error, &default_contexts())))?
        }
        None => match Config::incluster() {
            Ok(config) => config,
            Err(_) => Config::from_kubeconfig(&options).await.map_err(|error| {
                let why = unusable(&error, &default_contexts());
                Failure::Connection(format!("this is no pod of a cluster, and no kubeconfig can be used: {why}"))
            })?,
        },
    };
    // Every call has an end of its own, and repeats are counted where they are made. Watches are quiet for minutes.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = None;
    Ok(config)
}

/// The names of the contexts of a kubeconfig.
fn contexts(file: &Kubeconfig) -> Vec<String> {
    file.contexts.iter().map(|context| context.name.clone()).collect()
}

/// The same of the kubeconfig that is taken if none is named; none if it cannot be read.
fn default_contexts() -> Vec<String> {
    Kubeconfig::read().map(|file| contexts(&file)).unwrap_or_default()
}

/// Why nothing could be connected to, for people; `known` are the contexts that there are.
fn unusable(error: &KubeconfigError, known: &[String]) -> String {
    match error {
        KubeconfigError::ReadConfig(_, path) => format!("{}: {}", path.display(), unread(error)),
        KubeconfigError::LoadContext(wanted) if known.is_empty() => {
            format!("the kubeconfig has no context {wanted:?}")
        }
        // The client looks for the context's content: a name alone is no context to it.
        KubeconfigError::LoadContext(wanted) if known.contains(wanted) => {
            format!("the context {wanted:?} of the kubeconfig names no cluster and no user")
        }
        KubeconfigError::LoadContext(wanted) => {
            format!("the kubeconfig has no context {wanted:?}; it has {}", known.join(", "))
        }
        KubeconfigError::Parse(_) => format!("the kubeconfig {}", unread(error)),
        other => chain(other),
    }
}

/// Why a file that is named already is no kubeconfig. Nothing that stands in it is repeated: a token may stand beside the fault.
fn unread(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(why, _) => format!("cannot be read: {why}"),
        KubeconfigError::Parse(why) => {
            let at =
                why.location().map_or(String::new(), |at| format!(" at line {}, column {}", at.line(), at.column()));
            format!("is malformed{at}: that is not YAML, or not what a kubeconfig has there")
        }
        other => chain(other),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of its own, because clients of clusters read it from there.
    async fn refused(text: &str, context: Option<&str>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        let connection = Connection { kubeconfig: Some(path), context: context.map(str::to_owned) };
        configure(&connection).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_of_no_use_is_said_in_words() {
        let connection = Connection { kubeconfig: Some(PathBuf::from("/nowhere/config")), context: None };
        let missing = configure(&connection).await.unwrap_err().to_string();
        assert!(missing.starts_with("--kubeconfig /nowhere/config: cannot be read: No such file"), "{missing}");
        let text = "contexts: [{name: tests, context: {cluster: c, user: u}}]\ncurrent-context: gone\n";
        let wrong = "the kubeconfig has no context \"prod\"; it has tests";
        assert_eq!(refused(text, Some("prod")).await, wrong);
        assert_eq!(refused("contexts: []\n", Some("prod")).await, "the kubeconfig has no context \"prod\"");
        assert!(refused(text, None).await.contains("no context \"gone\"; it has tests"));
        let empty = "contexts: [{name: c}, {name: tests, context: {cluster: c}}]\ncurrent-context: c\n";
        let wrong = "the context \"c\" of the kubeconfig names no cluster and no user";
        assert_eq!(refused(empty, Some("c")).await, wrong);
        assert_eq!(refused(empty, None).await, wrong);
    }

    #[tokio::test]
    async fn a_malformed_kubeconfig_is_placed_and_nothing_of_it_is_repeated() {
        let text = |user: &str, more: &str| format!("apiVersion: v1\nusers:\n- name: ops\n  user: {user}\n{more}");
        for (text, line) in [
            // Wrong types: a token where a map belongs, a map where a token belongs, and a token where a list belongs.
            (text("s3cret-token", ""), 4),
            (text("{token: {s3cret-token: 1}}", ""), 4),
            (text("{token: s3cret-token}", "contexts: s3cret-token\n"), 5),
            // Lists that are never closed: one where none belongs, and one where anything may stand, which the next key ends.
            (text("{token: [s3cret-token", "contexts: s3cret-token\n"), 4),
            (text("{token: s3cret-token}", "more: [s3cret-token\ncontexts: []\n"), 6),
            // Keys that are there twice.
            (text("{token: s3cret-token, token: s3cret-token}", ""), 4),
            (text("{token: a}\n  s3cret-token: s3cret-token\n  s3cret-token: b", ""), 6),
            (text("{token: \"s3cret-token\\q\"}", ""), 4),
            (text("{token: s3cret-token}", "clusters: *s3cret-token\n"), 5),
            // The second document of a file.
            (text("{token: a}", "---\nusers: s3cret-token\n"), 6),
        ] {
            let why = refused(&text, None).await;
            assert!(!why.contains("s3cret") && !why.contains("token"), "{why}");
            assert!(
                why.starts_with("--kubeconfig /") && why.contains(&format!(": is malformed at line {line}, column ")),
                "{text}{why}"
            );
        }
        // One that nobody named: the same, without a path.
        let error = Kubeconfig::from_yaml("users: s3cret-token\n").unwrap_err();
        let wrong =
            "the kubeconfig is malformed at line 1, column 8: that is not YAML, or not what a kubeconfig has there";
        assert_eq!(unusable(&error, &[]), wrong);
    }
}
