//! Starts real servers that speak MongoDB's protocol on free loopback ports, and the triggers that read from them.
//!
//! The server is SecantusDB in a Python environment of its own, which `tools/install mongodb` makes: MongoDB itself is in
//! no package registry.
// Each test that includes it uses a part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use tempfile::TempDir;
use tidegate_calculator::source::{
    Deadline, ErrorScope, Occasion, Parameters, ReadError, ReadErrorKind, Reading, Secret, TriggerSpec,
};
use tidegate_loopback::Process;
pub(crate) use tidegate_loopback::{PATIENCE, eventually, free_port};
use tidegate_scalers::{Endpoints, Scaler, open};

/// What reads are given that should succeed.
pub(crate) const DEADLINE: Deadline = Duration::from_secs(20);

/// A running server; dropping it ends it.
pub(crate) struct Server {
    pub(crate) port: u16,
    arguments: Vec<String>,
    process: Process,
}

/// The program, if it is installed.
pub(crate) fn program() -> Option<PathBuf> {
    let versions = include_str!("../../../tools/versions");
    let version = versions.lines().find_map(|line| line.strip_prefix("secantusdb_version="))?;
    let cache = std::env::var_os("TIDEGATE_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/tidegate")))?;
    Some(cache.join(format!("secantusdb-{version}/bin/secantusd-py"))).filter(|path| path.exists())
}

impl Server {
    /// Starts a server with these arguments, or says why the test is skipped.
    pub(crate) async fn start(arguments: &[&str]) -> Option<Self> {
        Self::start_in(tempfile::tempdir().unwrap(), arguments).await
    }

    /// The same, with the data of a folder.
    pub(crate) async fn start_in(directory: TempDir, arguments: &[&str]) -> Option<Self> {
        if program().is_none() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "secantusdb is required in CI");
            println!("skipped: secantusdb is not installed (tools/install mongodb)");
            return None;
        }
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let process = Process::start(directory, |port, folder| command_line(port, folder, &arguments)).await;
        Some(Self { port: process.port(), arguments, process })
    }

    /// A server where these may log in: user, password, roles of the database `shop`. `root` with `r00t` may do all.
    pub(crate) async fn with_users(users: &[(&str, &str, &[&str])]) -> Option<Self> {
        let mut server = Self::start(&[]).await?;
        let admin = server.admin().await;
        let create = |user: &str, password: &str, roles: &[&str]| {
            doc! { "createUser": user, "pwd": password, "roles": roles.iter().copied().map(str::to_owned).collect::<Vec<_>>() }
        };
        admin.database("admin").run_command(create("root", "r00t", &["root"])).await.unwrap();
        for (user, password, roles) in users {
            admin.database("shop").run_command(create(user, password, roles)).await.unwrap();
        }
        drop(admin);
        server.stop_in_order();
        server.arguments.push("--auth".to_owned());
        server.start_again().await;
        Some(server)
    }

    /// A client of the driver, of the test's own.
    pub(crate) async fn admin(&self) -> Client {
        Client::with_uri_str(self.uri()).await.unwrap()
    }

    /// The collection `shop.jobs`, by a client of the test's own.
    pub(crate) async fn jobs(&self) -> Collection<Document> {
        self.admin().await.database("shop").collection("jobs")
    }

    /// Ends it so that all that it was told is kept.
    pub(crate) fn stop_in_order(&mut self) {
        self.process.stop_in_order();
    }

    pub(crate) fn stop(&mut self) {
        self.process.stop();
    }

    pub(crate) async fn start_again(&mut self) {
        self.process.start_again(|port, folder| command_line(port, folder, &self.arguments)).await;
    }

    pub(crate) fn hang(&self) {
        self.process.hang();
    }

    pub(crate) fn go_on(&self) {
        self.process.go_on();
    }

    /// A connection string without a user.
    pub(crate) fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/", self.port)
    }

    /// A trigger on the waiting documents of `shop.jobs`, with these metadata on top.
    pub(crate) fn trigger(&self, metadata: &[(&str, &str)]) -> Trigger {
        Trigger::count(&self.uri(), metadata)
    }
}

/// A trigger in the making.
#[derive(Clone, Default)]
pub(crate) struct Trigger {
    spec: TriggerSpec,
    parameters: Parameters,
}

impl Trigger {
    /// A trigger on the waiting documents of `shop.jobs`.
    pub(crate) fn count(uri: &str, metadata: &[(&str, &str)]) -> Self {
        let query = ("query", r#"{"state": "waiting"}"#);
        let base = [("dbName", "shop"), ("collection", "jobs"), query, ("queryValue", "5")];
        Self::of("mongodb").auth(&[("connectionString", uri)]).with(&base).with(metadata)
    }

    /// A trigger on what waits inside servers.
    pub(crate) fn ops(uri: &str, metadata: &[(&str, &str)]) -> Self {
        Self::of("mongodb-ops-queue").auth(&[("connectionString", uri)]).with(&[("targetValue", "5")]).with(metadata)
    }

    fn of(kind: &str) -> Self {
        Self { spec: TriggerSpec { kind: kind.to_owned(), ..TriggerSpec::default() }, ..Self::default() }
    }

    /// The same, with these metadata on top; an empty text takes one away.
    pub(crate) fn with(mut self, metadata: &[(&str, &str)]) -> Self {
        self.spec.metadata.extend(metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
        self.spec.metadata.retain(|_, text| !text.is_empty());
        self
    }

    /// The same, with what an authentication provides on top.
    pub(crate) fn auth(mut self, pairs: &[(&str, &str)]) -> Self {
        self.parameters.auth.extend(pairs.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text))));
        self.parameters.auth.retain(|_, text| !text.expose().is_empty());
        self
    }

    pub(crate) fn open(&self, endpoints: &Endpoints) -> Box<dyn Scaler> {
        open(&self.spec, &self.parameters, endpoints).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens it among endpoints of its own and reads once.
    pub(crate) async fn read(&self) -> Result<(i64, bool), ReadError> {
        value(&*self.open(&Endpoints::new())).await
    }
}

/// The total in thousandths that a trigger reads, and whether it is active.
pub(crate) async fn value(scaler: &dyn Scaler) -> Result<(i64, bool), ReadError> {
    let readings = scaler.read(Occasion::Poll, DEADLINE).await?;
    let [(_, Reading { value, active })] = readings.as_slice() else { panic!("one metric: {readings:?}") };
    Ok((value.total().0, *active))
}

/// A failure's class.
pub(crate) fn class(outcome: Result<(i64, bool), ReadError>) -> (ReadErrorKind, ErrorScope) {
    let error = outcome.expect_err("a failure");
    (error.kind, error.scope)
}

fn command_line(port: u16, folder: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(program().unwrap());
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--log-level", "ERROR", "--cache-size", "64M"]);
    command.arg("--storage-path").arg(folder.join("data")).args(arguments);
    command
}
