//! The trigger `prometheus` on a real Prometheus that scrapes a page of the test's own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tidegate_calculator::source::ReadErrorKind;
use tidegate_scalers::Endpoints;
use tokio::time::{Instant, sleep};

use crate::server::{Server, Trigger, http, value};

/// Long enough for a busy machine; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is scraped.
const PAGE: &str =
    "# TYPE jobs gauge\njobs{queue=\"mail\"} 40\njobs{queue=\"print\"} 2.5\n# TYPE drained gauge\ndrained 0\n";

/// A running Prometheus; dropping it ends it.
struct Prometheus {
    port: u16,
    child: Child,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `page` every second, or says why the test is skipped.
    async fn start(page: &Server) -> Option<Self> {
        if Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "prometheus is required in CI");
            println!("skipped: prometheus is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: page\n  static_configs:\n  - targets: ['127.0.0.1:{}']\n",
            page.port
        );
        std::fs::write(directory.path().join("prometheus.yml"), config).unwrap();
        // Somebody else may take the free port before the server does; then another one is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut child = Command::new("prometheus")
                .args(["--config.file", "prometheus.yml", "--storage.tsdb.path", "data", "--log.level", "error"])
                .args(["--web.listen-address", &format!("127.0.0.1:{port}"), "--storage.tsdb.min-block-duration", "2h"])
                .current_dir(directory.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let until = Instant::now() + PATIENCE;
            while child.try_wait().unwrap().is_none() && Instant::now() < until {
                if Trigger::prometheus(&format!("http://127.0.0.1:{port}"))
                    .with(&[("query", "vector(1)")])
                    .read()
                    .await
                    .is_ok()
                {
                    return Some(Self { port, child, _directory: directory });
                }
                sleep(Duration::from_millis(100)).await;
            }
            end(&mut child);
        }
        panic!("prometheus does not start");
    }

    fn trigger(&self, query: &str) -> Trigger {
        Trigger::prometheus(&format!("http://127.0.0.1:{}", self.port)).with(&[("query", query)])
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

async fn page() -> Server {
    let answer = http("200 OK\r\ncontent-type: text/plain; version=0.0.4", PAGE);
    Server::start(move |_| answer.clone()).await
}

#[tokio::test]
async fn a_real_prometheus_is_read() {
    let page = page().await;
    let Some(prometheus) = Prometheus::start(&page).await else { return };
    let until = Instant::now() + PATIENCE;
    let endpoints = Endpoints::new();
    let scaler = prometheus.trigger("sum(jobs)").open(&endpoints);
    while value(&*scaler).await != Ok((42_500, true)) {
        assert!(Instant::now() < until, "nothing was scraped in time");
        sleep(Duration::from_millis(200)).await;
    }
    let cases = [
        ("jobs{queue=\"mail\"}", Ok((40_000, true))),
        ("drained", Ok((0, false))),
        ("scalar(jobs{queue=\"print\"}) * 2", Ok((5_000, true))),
        ("nothing_of_the_kind", Ok((0, false))),
        ("-jobs{queue=\"mail\"}", Ok((0, false))),
        ("drained / drained", Err("the value is NaN; \"ignoreNullValues: true\" in so many words takes it for 0")),
        ("jobs{queue=\"mail\"} / on() drained", Err("the value is infinite")),
        ("jobs", Err("the query gives more than one series; join them, for example with sum()")),
        ("jobs[1m]", Err("the query gives a matrix, not one number")),
        ("\"text\"", Err("the query gives a string, not one number")),
        ("sum(jobs", Err("does not accept the query (bad_data)")),
        ("jobs + on() jobs", Err("cannot work the query out (execution)")),
    ];
    for (query, expected) in cases {
        let read = value(&*prometheus.trigger(query).open(&endpoints)).await;
        let told = read.map_err(|error| {
            assert_eq!(error.kind, ReadErrorKind::Config);
            error
                .message
                .split_once(&format!("Prometheus at http://127.0.0.1:{}: ", prometheus.port))
                .unwrap()
                .1
                .to_owned()
        });
        assert_eq!(told, expected.map_err(str::to_owned), "{query}");
    }
}

#[tokio::test]
async fn what_prometheus_scrapes_can_be_read_without_it() {
    let page = page().await;
    let at = |place: &str| page.metrics_api().with(&[("format", "prometheus"), ("valueLocation", place)]);
    assert_eq!(at("jobs{queue=\"print\"}").read().await, Ok((2_500, true)));
    assert_eq!(at("drained").read().await, Ok((0, false)));
}
