//! The JobManager of a Flink with one job, as far as the trigger asks it, for tests that are not about Flink itself.

use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the job's one source says.
#[derive(Clone, Copy)]
pub(crate) struct JobManager {
    /// The metrics of the source, as Flink writes them when it is asked for some.
    pub(crate) metrics: &'static str,
}

const JOB: &str = "6e9f20bfd6aa5914fbb059863cad0a9a";
const SOURCE: &str = "2c7cfca5c63d637d11bdacd2764e28fb";

impl JobManager {
    /// Answers requests until the other side closes the connection; each is heard at once, for they are short.
    pub(crate) fn serve(self, mut stream: TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut heard = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut heard).await {
                let request = String::from_utf8_lossy(&heard[..length]);
                let body = self.answer(request.split(' ').nth(1).unwrap_or_default());
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        })
    }

    fn answer(self, target: &str) -> String {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path.trim_start_matches("/jobs") {
            "/overview" => format!(r#"{{"jobs":[{{"jid":"{JOB}","name":"enrich","state":"RUNNING"}}]}}"#),
            path if path.ends_with("/subtasks/metrics") && query.is_empty() => {
                r#"[{"id":"busyTimeMsPerSecond"},{"id":"Source__orders.pendingRecords"}]"#.to_owned()
            }
            path if path.ends_with("/subtasks/metrics") => self.metrics.to_owned(),
            path if path.strip_prefix('/') == Some(JOB) => Self::detail(),
            path if path.ends_with("/metrics") => {
                r#"[{"id":"allSubTasksRunningOrFinishedTime","value":"3600000"}]"#.to_owned()
            }
            _ => "[]".to_owned(),
        }
    }

    /// The job has run for an hour.
    fn detail() -> String {
        let vertex = format!(
            r#"{{"id":"{SOURCE}","name":"Source: orders","parallelism":2,"maxParallelism":24,"start-time":1795298866133,"tasks":{{"RUNNING":2}}}}"#
        );
        let plan = format!(r#"{{"nodes":[{{"id":"{SOURCE}"}}]}}"#);
        format!(
            r#"{{"jid":"{JOB}","name":"enrich","state":"RUNNING","start-time":1795298865619,"now":1795302466133,"timestamps":{{"RUNNING":1795298866123}},"vertices":[{vertex}],"plan":{plan}}}"#
        )
    }
}
