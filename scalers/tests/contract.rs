//! What every trigger type must do, proven for each that is registered: one row a type, of [`ROWS`] in [`rows`] if it reads a server of its own,
//! else of those of the cluster.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "contract/abuse.rs"]
mod abuse;
#[path = "contract/canary.rs"]
mod canary;
#[cfg(any(feature = "cluster-metrics", feature = "kubernetes"))]
#[path = "contract/cluster.rs"]
mod cluster;
#[path = "contract/rows.rs"]
mod rows;
#[cfg(any(feature = "cluster-metrics", feature = "kubernetes"))]
#[path = "scripted/cluster.rs"]
mod scripted_cluster;
#[cfg(feature = "external")]
#[path = "scripted/external.rs"]
mod scripted_external;
#[cfg(feature = "flink")]
#[path = "scripted/flink.rs"]
mod scripted_flink;
#[cfg(feature = "kafka")]
#[path = "scripted/kafka.rs"]
mod scripted_kafka;
#[cfg(feature = "mongodb")]
#[path = "scripted/mongodb.rs"]
mod scripted_mongodb;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use rows::ROWS;
use tidegate_calculator::source::{MetricType, Occasion, Parameters, ReadError, ReadErrorKind, Secret, TriggerSpec};
use tidegate_scalers::{Endpoints, Known, Scaler, check, open, tells_metrics_itself, trigger_types};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// Plays the source's side of one connection until the other side closes it.
type Play = fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Types that read no server, so that nothing can be played; their modules test them.
const WITHOUT_SERVER: &[&str] = &[
    #[cfg(feature = "cron")]
    "cron", // the clock
];

/// How to play the source of one trigger type that reads a server of its own.
struct Row {
    name: &'static str,
    /// A complete trigger's metadata; `{address}` stands for the source's host:port.
    metadata: &'static [(&'static str, &'static str)],
    /// What its authentication provides.
    auth: &'static [(&'static str, &'static str)],
    /// Metadata that replaces single entries (an empty text removes one), and the path of the error that follows.
    bad: &'static [((&'static str, &'static str), &'static str)],
    /// Sources where nothing waits, that refuse credentials, and that have no data.
    zero: Play,
    refused: Play,
    no_data: Play,
}

const DEADLINE: Duration = Duration::from_secs(10);

impl Row {
    fn spec(&self, address: &str, replaced: &[(&str, &str)]) -> TriggerSpec {
        let metadata = self.metadata.iter().chain(replaced);
        let texts = metadata.map(|(key, text)| ((*key).to_owned(), text.replace("{address}", address)));
        let mut metadata: BTreeMap<String, String> = texts.collect();
        metadata.retain(|_, text| !text.is_empty());
        TriggerSpec { kind: self.name.to_owned(), metadata, ..TriggerSpec::default() }
    }

    fn parameters(&self) -> Parameters {
        let auth = self.auth.iter().map(|(name, text)| ((*name).to_owned(), Secret::new(*text)));
        Parameters { env: BTreeMap::new(), auth: auth.collect() }
    }

    fn open(&self, address: &str) -> Box<dyn Scaler> {
        open(&self.spec(address, &[]), &self.parameters(), &Endpoints::new()).unwrap()
    }

    async fn outcome(&self, play: Play) -> Result<(i64, bool), ReadError> {
        let scaler = self.open(&source(play).await);
        let readings = scaler.read(Occasion::Poll, DEADLINE).await?;
        let (metric, reading) = readings.first().expect("readings are never empty");
        assert!(metric.name.starts_with("s0-"), "{}", metric.name);
        Ok((reading.value.total().0, reading.active))
    }
}

/// A source that is played. It ends with the test's runtime.
async fn source(play: Play) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(play(stream));
        }
    });
    address
}

#[test]
fn every_type_has_a_row() {
    let mut rows: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    #[cfg(any(feature = "cluster-metrics", feature = "kubernetes"))]
    rows.extend(cluster::ROWS.iter().map(|row| row.name));
    rows.extend(WITHOUT_SERVER);
    rows.sort_unstable();
    assert_eq!(rows, trigger_types().iter().map(|known| known.name).collect::<Vec<_>>());
}

#[test]
fn bad_configuration_is_named_and_not_opened() {
    for row in ROWS {
        for (replaced, path) in row.bad {
            let spec = row.spec("localhost:1", &[*replaced]);
            let Parameters { env, auth } = row.parameters();
            let found = check(&spec, Known::Values(&env), Known::Values(&auth));
            assert_eq!(found.errors.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), [*path]);
            let error = open(&spec, &row.parameters(), &Endpoints::new()).err().expect("not opened");
            assert_eq!(error.problems, found.errors);
        }
        let mut spec = row.spec("localhost:1", &[]);
        spec.metric_type = MetricType::Utilization;
        let error = open(&spec, &row.parameters(), &Endpoints::new()).err().expect("not opened");
        assert_eq!(error.problems[0].path, "metricType");
    }
}

#[test]
fn unknown_parameters_are_warnings() {
    for row in ROWS {
        let spec = row.spec("localhost:1", &[("colourOfTheMoon", "blue")]);
        let (env, auth) = (BTreeSet::new(), row.auth.iter().map(|(name, _)| (*name).to_owned()).collect());
        let found = check(&spec, Known::Names(&env), Known::Names(&auth));
        // A server of the user's own gets all metadata, and it alone knows its metrics.
        let is_passed_on = tells_metrics_itself(row.name);
        assert!(found.errors.is_empty() && found.metrics.len() == usize::from(!is_passed_on), "{found:?}");
        // What the row says may be warned of as well, such as a login in the clear.
        let own = |path: &str| row.metadata.iter().any(|(name, _)| path == format!("metadata.{name}"));
        let strangers: Vec<&str> =
            found.warnings.iter().map(|problem| problem.path.as_str()).filter(|path| !own(path)).collect();
        assert_eq!(strangers, if is_passed_on { &[][..] } else { &["metadata.colourOfTheMoon"] });
        assert!(open(&spec, &row.parameters(), &Endpoints::new()).is_ok());
    }
}

#[test]
fn each_example_opens_without_a_word_and_without_a_runtime() {
    for known in trigger_types() {
        let metadata = known.example_metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        let kind = known.name.to_owned();
        let metric_type = example_metric_type(known.example);
        let spec = TriggerSpec { kind, metadata: metadata.collect(), metric_type, ..TriggerSpec::default() };
        let found = check(&spec, Known::Nothing, Known::Nothing);
        assert!(found.errors.is_empty() && found.warnings.is_empty(), "{found:?}");
        assert!(open(&spec, &Parameters::default(), &Endpoints::new()).is_ok());
        assert!(known.example.contains(&format!("type: {}", known.name)));
        for (key, text) in known.example_metadata {
            // YAML's quotation marks, and those of a text in JSON, are left out on both sides.
            let plain = |text: &str| text.trim().replace(['"', '\''], "");
            let mut lines = known.example.lines().map(plain);
            assert!(lines.any(|line| line == plain(&format!("{key}: {text}"))), "{key} is not in the example");
        }
    }
}

/// The `metricType` of an example.
fn example_metric_type(example: &str) -> MetricType {
    let said = example.lines().find_map(|line| line.trim().strip_prefix("metricType: "));
    let known = [MetricType::AverageValue, MetricType::Value, MetricType::Utilization];
    said.map_or_else(MetricType::default, |said| known.into_iter().find(|it| it.to_string() == said).unwrap())
}

#[tokio::test]
async fn a_source_that_says_nothing_is_a_timeout_within_the_deadline() {
    for row in ROWS {
        let scaler = row.open(&source(|stream| rows::say(stream, "")).await);
        let begun = Instant::now();
        let error = scaler.read(Occasion::Poll, Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Timeout, "{}: {error}", row.name);
        assert!(begun.elapsed() < DEADLINE / 2);
    }
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    for row in ROWS {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = row.open(&closed.to_string()).read(Occasion::Poll, DEADLINE).await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Unavailable, "{}: {error}", row.name);
    }
}

#[tokio::test]
async fn refused_credentials_are_told_apart() {
    for row in ROWS {
        let error = row.outcome(row.refused).await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Auth, "{}: {error}", row.name);
    }
}

#[tokio::test]
async fn zero_is_a_value_and_no_data_is_not() {
    for row in ROWS {
        assert_eq!(row.outcome(row.zero).await, Ok((0, false)), "{}", row.name);
        assert!(row.outcome(row.no_data).await.is_err(), "{}", row.name);
    }
}

#[tokio::test]
async fn a_read_may_be_dropped_at_any_time() {
    for row in ROWS {
        let scaler = row.open(&source(row.zero).await);
        for micros in [0, 1, 100, 1000, 3000, 10_000] {
            let _ = timeout(Duration::from_micros(micros), scaler.read(Occasion::Poll, DEADLINE)).await;
        }
        assert!(scaler.read(Occasion::Poll, DEADLINE).await.is_ok(), "{}", row.name);
    }
}

#[test]
fn secrets_stay_out_of_findings() {
    for known in trigger_types() {
        let provided = known.parameters.iter().flat_map(|parameter| parameter.names);
        let auth: BTreeMap<String, Secret> =
            provided.map(|name| ((*name).to_owned(), Secret::new("hunter2"))).collect();
        let spec = TriggerSpec { kind: known.name.to_owned(), ..TriggerSpec::default() };
        let found = check(&spec, Known::Nothing, Known::Values(&auth));
        assert!(!found.errors.is_empty(), "no parameter can be like that");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}

/// The pages in `docs/triggers` are printed from the declarations; `TIDEGATE_UPDATE=1` writes them.
#[test]
fn documentation_pages_are_up_to_date() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/triggers");
    for known in trigger_types() {
        let (path, page) = (folder.join(format!("{}.md", known.name)), tidegate_scalers::page(known.name).unwrap());
        if std::env::var("TIDEGATE_UPDATE").as_deref() == Ok("1") {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page, "docs/triggers/{}.md is out of date; set TIDEGATE_UPDATE=1 to write it", known.name);
    }
}

#[test]
fn every_printed_form_names_every_parameter() {
    for known in trigger_types() {
        let (page, text) =
            (tidegate_scalers::page(known.name).unwrap(), tidegate_scalers::explain(known.name).unwrap());
        let schema = tidegate_scalers::schema(known.name).unwrap();
        for name in known.parameters.iter().flat_map(|parameter| parameter.names) {
            assert!(page.contains(&format!("`{name}`")) && text.contains(name), "{name}");
        }
        for (key, _) in known.example_metadata {
            let declared = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
            assert_eq!(declared["type"], "string");
        }
        assert!(tidegate_scalers::table().contains(known.name));
    }
    assert!(tidegate_scalers::page("carrier-pigeon").is_none());
}
