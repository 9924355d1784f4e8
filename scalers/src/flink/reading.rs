//! Asks Flink what one read of a trigger needs; what the answers mean is said by the pure modules beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use tidegate_calculator::source::{Deadline, Occasion, ReadError, ReadErrorKind};
use tokio::time::{Instant, sleep};

use super::client::jobs::{JobDetail, Vertex};
use super::client::metrics::Joined;
use super::client::{FlinkClient, FlinkError, JobId};
use super::demand::{self, Cluster, Node, Sample, Seen, Shape, Verdict};
use super::find::Wanted;
use super::measure::{self, Flaw, Load, Measure, TIMES};
use super::memory::{Facts, Memory, Pulse};
use super::settling::{self, Attempt};
use crate::http::named;

/// How many vertices are asked about at the same moment.
const AT_ONCE: usize = 8;

/// How long the JobManager needs to fetch metrics from its TaskManagers, usually a few milliseconds.
const FETCH: Duration = Duration::from_millis(400);

/// How often it fetches them if its settings say nothing, in milliseconds.
const USUAL_INTERVAL: u64 = 10_000;

/// The metric of a job that says for how long all its tasks run, fetched together with those of the tasks.
const ALL_RUN: &str = "allSubTasksRunningOrFinishedTime";

const PENDING: &str = "pendingRecords";
const READ_RATE: &str = "numRecordsInPerSecond";
const WRITTEN_RATE: &str = "numRecordsOutPerSecond";

/// One read of one trigger.
pub(super) struct Read<'a> {
    pub(super) client: &'a FlinkClient,
    pub(super) pulse: &'a Pulse,
    pub(super) memory: &'a Memory,
    pub(super) sources: &'a [String],
    /// Milliseconds that all tasks must have run before ratios and rates count.
    pub(super) stabilization: u64,
    pub(super) until: Instant,
}

impl Read<'_> {
    /// One number of the cluster.
    pub(super) async fn of_cluster(&self, measure: Measure) -> Result<f64, ReadError> {
        let overview = self.client.overview(self.left()).await?;
        Ok(f64::from(match measure {
            Measure::SlotsUsed => overview.slots_total.saturating_sub(overview.slots_available),
            Measure::SlotsFree => overview.slots_available,
            _ => overview.slots_total,
        }))
    }

    /// One number of a job.
    pub(super) async fn of_job(&self, wanted: &Wanted, measure: Measure) -> Result<f64, ReadError> {
        let of_checkpoints = matches!(measure, Measure::CheckpointAge | Measure::FailedCheckpoints);
        let interval = if of_checkpoints { 0 } else { self.fresh().await? };
        let detail = self.job(wanted).await?;
        let earliest = self.blame(settling::earliest(&detail, wanted))?;
        match measure {
            Measure::CheckpointAge => self.checkpoint_age(&detail).await,
            Measure::FailedCheckpoints => {
                let checkpoints = self.client.checkpoints(&detail.id, self.left()).await?;
                Ok(f64::from(measure::failed_in_a_row(&checkpoints)))
            }
            Measure::PendingRecords => {
                let (attempt, facts) = self.settled(&detail, earliest, interval, wanted).await?;
                self.pending_records(&detail, &attempt, &facts).await
            }
            Measure::TrueProcessingRate => {
                let (attempt, facts) = self.settled(&detail, earliest, self.stabilization, wanted).await?;
                self.true_rate(&detail, &attempt, &facts).await
            }
            _ => {
                self.settled(&detail, earliest, self.stabilization, wanted).await?;
                let loads = self.loads(&detail).await?;
                let loads: Vec<Load> = loads.into_iter().flatten().collect();
                self.told(match measure {
                    Measure::Backpressure => measure::worst_backpressure(&loads),
                    Measure::Idle => measure::busiest(&loads).map(|busy| 1.0 - busy),
                    _ => measure::busiest(&loads),
                })
            }
        }
    }

    /// The TaskManagers that a job needs. Only a poll is remembered.
    pub(super) async fn demand(
        &self,
        wanted: &Wanted,
        settings: &demand::Settings,
        slots_each: Option<u32>,
        occasion: Occasion,
    ) -> Result<Verdict, ReadError> {
        self.fresh().await?;
        let detail = self.job(wanted).await?;
        let earliest = self.blame(settling::earliest(&detail, wanted))?;
        let (attempt, facts) = self.settled(&detail, earliest, self.stabilization, wanted).await?;
        let loads = self.loads(&detail).await?;
        let sample = self.sample(&detail, &loads, &attempt, &facts).await?;
        let shape = self.shape(&detail, &attempt);
        let cluster = self.cluster(slots_each).await?.beside(shape.slots());
        let mut history = self.memory.demand();
        if occasion == Occasion::Poll {
            return Ok(history.look(&attempt, sample, &shape, cluster, settings));
        }
        let mut copy = history.clone();
        drop(history);
        Ok(copy.look(&attempt, sample, &shape, cluster, settings))
    }

    /// What is left of the time for this read.
    fn left(&self) -> Deadline {
        self.until.saturating_duration_since(Instant::now())
    }

    /// An error of a pure module, with the server's name in front.
    fn blame<T>(&self, outcome: Result<T, ReadError>) -> Result<T, ReadError> {
        outcome.map_err(|error| named(self.client.name(), &error))
    }

    /// The same for what is not there: it may come, so it is the source's state.
    fn told<T>(&self, outcome: Result<T, Flaw>) -> Result<T, ReadError> {
        let kind = |flaw| match flaw {
            Flaw::NoSource | Flaw::NoPending | Flaw::Nobody => ReadErrorKind::Config,
            Flaw::Missing | Flaw::NoRate => ReadErrorKind::Unavailable,
        };
        self.blame(outcome.map_err(|flaw| ReadError::query(kind(flaw), flaw.to_string())))
    }

    /// The job that is meant, as it is now.
    async fn job(&self, wanted: &Wanted) -> Result<JobDetail, ReadError> {
        if let Some(known) = self.memory.job() {
            match self.client.job(&known, self.left()).await {
                Ok(detail) if detail.state.is_live() => return Ok(detail),
                Ok(_) | Err(FlinkError::NotFound { .. }) => self.memory.found(None),
                Err(error) => return Err(error.into()),
            }
        }
        let jobs = self.client.jobs(self.left()).await?;
        let found = self.blame(wanted.among(&jobs))?;
        match self.client.job(&found, self.left()).await {
            Ok(detail) => {
                self.memory.found(Some(&found));
                Ok(detail)
            }
            // It went between the two answers.
            Err(FlinkError::NotFound { .. }) => self.blame(Err(wanted.absent())),
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing but an error unless all tasks have run for `wait` milliseconds.
    async fn settled(
        &self,
        detail: &JobDetail,
        earliest: i64,
        wait: u64,
        wanted: &Wanted,
    ) -> Result<(Attempt, Facts), ReadError> {
        let attempt = Attempt::of(detail);
        let mut facts = self.memory.facts(&attempt);
        self.blame(settling::too_early(detail.now, earliest, wait, wanted))?;
        // What the metrics say of themselves comes from the same fetch, so it cannot be older than they are: the job's state can be, by 3 s.
        if let Some(run) = self.client.job_metric(&detail.id, ALL_RUN, self.left()).await? {
            #[expect(clippy::cast_possible_truncation, reason = "it ends at the edge of the range")]
            let run = run as i64;
            self.blame(settling::too_early(run, 0, wait, wanted))?;
        } else {
            let since = self.since(detail, earliest, &attempt, &mut facts).await?;
            self.blame(settling::too_early(detail.now, since, wait, wanted))?;
        }
        Ok((attempt, facts))
    }

    /// Makes the JobManager's metrics as fresh as they can be: it fetches them when it is asked for some, and answers with what it had. So it is
    /// asked once for nothing if nobody has asked for a while. The result is how often it fetches, in milliseconds.
    async fn fresh(&self) -> Result<u64, ReadError> {
        let interval = if let Some(known) = self.pulse.interval() {
            known
        } else {
            let config = self.client.job_manager_config(self.left()).await?;
            let interval = config.millis("metrics.fetcher.update-interval").unwrap_or(USUAL_INTERVAL);
            self.pulse.learn(interval);
            interval
        };
        if self.pulse.is_due(Duration::from_millis(interval)) {
            self.client.refresh_metrics(self.left()).await?;
            sleep(FETCH.min(self.left() / 3)).await;
        }
        Ok(interval)
    }

    /// Since when all tasks run, asked of each vertex once: it may have restored its state for long before.
    async fn since(
        &self,
        detail: &JobDetail,
        earliest: i64,
        attempt: &Attempt,
        facts: &mut Facts,
    ) -> Result<i64, ReadError> {
        if let Some(known) = facts.since {
            return Ok(known);
        }
        let ask = |vertex: &Vertex| {
            let id = vertex.id.clone();
            async move { self.client.vertex(&detail.id, &id, self.left()).await }
        };
        let asked = each(detail.vertices.iter().map(ask).collect()).await?;
        // A version that does not say it leaves us with the deployment.
        let since = asked.iter().filter_map(settling::since).fold(earliest, i64::max);
        facts.since = Some(since);
        self.memory.learn(attempt, |facts| facts.since = Some(since));
        Ok(since)
    }

    async fn checkpoint_age(&self, detail: &JobDetail) -> Result<f64, ReadError> {
        let config = self.client.checkpoint_config(&detail.id, self.left()).await?;
        if config.interval.is_none() {
            let what = "the job takes no checkpoints by itself (execution.checkpointing.interval)";
            return self.blame(Err(ReadError::query(ReadErrorKind::Config, what)));
        }
        let checkpoints = self.client.checkpoints(&detail.id, self.left()).await?;
        let unknown = || ReadError::query(ReadErrorKind::Protocol, "the job does not say when it began");
        self.blame(measure::checkpoint_age(detail, &checkpoints).ok_or_else(unknown))
    }

    /// What the tasks of each vertex spend their time on; none for those that do not say.
    async fn loads(&self, detail: &JobDetail) -> Result<Vec<Option<Load>>, ReadError> {
        let ask = |vertex: &Vertex| {
            let (id, finished) = (vertex.id.clone(), vertex.is_finished());
            async move {
                if finished {
                    Ok(BTreeMap::new())
                } else {
                    self.client.metrics(&detail.id, &id, &TIMES, self.left()).await
                }
            }
        };
        let told = each(detail.vertices.iter().map(ask).collect()).await?;
        let loads = detail.vertices.iter().zip(&told).map(|(vertex, told)| {
            let is_source = detail.inputs(&vertex.id).is_empty();
            measure::load(vertex, is_source, told)
        });
        self.told(loads.collect())
    }

    /// The records that wait, over all sources that count.
    async fn pending_records(&self, detail: &JobDetail, attempt: &Attempt, facts: &Facts) -> Result<f64, ReadError> {
        let (mut pending, mut counted) = (0.0, Vec::new());
        for vertex in detail.sources().filter(|vertex| !vertex.is_finished()) {
            let names = self.names(&detail.id, vertex, attempt, facts).await?;
            let names = of_sources(&names, PENDING, self.sources);
            if names.is_empty() {
                // With names given, a vertex that has none of them is not meant.
                if self.sources.is_empty() {
                    return self.told(Err(Flaw::NoPending));
                }
                continue;
            }
            let told = self.metrics(&detail.id, vertex, &names, attempt).await?;
            pending += self.told(measure::sum(&told, &names).ok_or(Flaw::Missing))?;
            counted.extend(names);
        }
        // A source that is named and not there is missed: Kafka's tells nothing before its first record.
        let is_counted = |source: &String| counted.iter().any(|name| is_one_of(name, std::slice::from_ref(source)));
        if !self.sources.iter().all(is_counted) {
            return self.told(Err(Flaw::NoSource));
        }
        if counted.is_empty() { self.told(Err(Flaw::NoPending)) } else { Ok(pending) }
    }

    /// The records a second that the job could read: what its sources read, over how busy its busiest task is with it.
    async fn true_rate(&self, detail: &JobDetail, attempt: &Attempt, facts: &Facts) -> Result<f64, ReadError> {
        let mut rate: Option<f64> = None;
        for vertex in detail.sources().filter(|vertex| !vertex.is_finished()) {
            let names = self.names(&detail.id, vertex, attempt, facts).await?;
            if !self.sources.is_empty() && !names.iter().any(|name| is_one_of(name, self.sources)) {
                continue;
            }
            rate = Some(rate.unwrap_or_default() + self.source_rate(&detail.id, vertex, &names, attempt).await?);
        }
        let rate = self.told(rate.ok_or(Flaw::NoSource))?;
        let loads: Vec<Load> = self.loads(detail).await?.into_iter().flatten().collect();
        let busy = self.told(measure::busiest(&loads))?;
        if rate <= 0.0 || busy <= 0.0 {
            return self.told(Err(Flaw::NoRate));
        }
        Ok(rate / busy)
    }

    /// What a source reads a second: some sources count only what they write.
    async fn source_rate(
        &self,
        job: &JobId,
        vertex: &Vertex,
        names: &[String],
        attempt: &Attempt,
    ) -> Result<f64, ReadError> {
        for metric in [READ_RATE, WRITTEN_RATE] {
            let names = of_sources(names, metric, self.sources);
            if names.is_empty() {
                continue;
            }
            let told = self.metrics(job, vertex, &names, attempt).await?;
            let sum = self.told(measure::sum(&told, &names).ok_or(Flaw::Missing))?;
            if sum > 0.0 {
                return Ok(sum);
            }
        }
        let whole = [WRITTEN_RATE.to_owned()];
        let told = self.metrics(job, vertex, &whole, attempt).await?;
        self.told(measure::sum(&told, &whole).ok_or(Flaw::Missing))
    }

    /// The names of a vertex's metrics that matter, asked for once a run of the job.
    async fn names(
        &self,
        job: &JobId,
        vertex: &Vertex,
        attempt: &Attempt,
        facts: &Facts,
    ) -> Result<Vec<String>, ReadError> {
        if let Some(known) = facts.names.get(&vertex.id) {
            return Ok(known.clone());
        }
        let mut names = self.client.metric_names(job, &vertex.id, self.left()).await?;
        if names.is_empty() {
            return self.told(Err(Flaw::Missing));
        }
        names.retain(|name| matters(name));
        names.sort_unstable();
        // A source such as Kafka's tells what waits only after its first record, so until then its names are asked for again.
        if names.iter().any(|name| measure::operator(name, PENDING).is_some()) {
            self.memory.learn(attempt, |facts| drop(facts.names.insert(vertex.id.clone(), names.clone())));
        }
        Ok(names)
    }

    async fn metrics(
        &self,
        job: &JobId,
        vertex: &Vertex,
        names: &[String],
        attempt: &Attempt,
    ) -> Result<BTreeMap<String, Joined>, ReadError> {
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let told = self.client.metrics(job, &vertex.id, &asked, self.left()).await?;
        if told.len() < names.len() {
            // One of the names is unknown by now.
            self.memory.learn(attempt, |facts| drop(facts.names.remove(&vertex.id)));
        }
        Ok(told)
    }

    /// What the demand is computed from, of this moment.
    async fn sample(
        &self,
        detail: &JobDetail,
        loads: &[Option<Load>],
        attempt: &Attempt,
        facts: &Facts,
    ) -> Result<Sample, ReadError> {
        let mut vertices = Vec::new();
        for (vertex, load) in detail.vertices.iter().zip(loads).filter(|(vertex, _)| !vertex.is_finished()) {
            let totals = (vertex.metrics.read(), vertex.metrics.written());
            let ((Some(read), Some(written)), Some(load)) = (totals, load) else {
                return self.told(Err(Flaw::Missing));
            };
            let pending = if detail.inputs(&vertex.id).is_empty() {
                self.pending_of(&detail.id, vertex, attempt, facts).await?
            } else {
                None
            };
            #[expect(clippy::cast_precision_loss, reason = "a record more or less does not matter after 2^52 of them")]
            let (read, written) = (read as f64, written as f64);
            let Load { work, backpressure, .. } = *load;
            vertices.push(Seen { id: vertex.id.clone(), read, written, work, backpressure, pending });
        }
        Ok(Sample { at: detail.now, vertices })
    }

    /// The records that wait at one source; none if it does not say.
    async fn pending_of(
        &self,
        job: &JobId,
        vertex: &Vertex,
        attempt: &Attempt,
        facts: &Facts,
    ) -> Result<Option<f64>, ReadError> {
        let names = self.names(job, vertex, attempt, facts).await?;
        let names = of_sources(&names, PENDING, self.sources);
        if names.is_empty() {
            return Ok(None);
        }
        let told = self.metrics(job, vertex, &names, attempt).await?;
        self.told(measure::sum(&told, &names).ok_or(Flaw::Missing)).map(Some)
    }

    /// The graph of the job as it runs.
    fn shape(&self, detail: &JobDetail, attempt: &Attempt) -> Shape {
        let running: Vec<&Vertex> = detail.vertices.iter().filter(|vertex| !vertex.is_finished()).collect();
        let place = |id| running.iter().position(|vertex| vertex.id == id);
        let known = self.memory.facts(attempt);
        let node = |vertex: &&Vertex| {
            let inputs = detail.inputs(&vertex.id);
            let max_parallelism = vertex.max_parallelism.unwrap_or(vertex.parallelism).max(1);
            let keyed = inputs.iter().any(|input| input.ship_strategy == "HASH");
            let partitions = known.names.get(&vertex.id).and_then(|names| kafka_partitions(names));
            Node {
                id: vertex.id.clone(),
                parallelism: vertex.parallelism,
                max_parallelism,
                group: vertex.slot_sharing_group.clone(),
                inputs: inputs.iter().filter_map(|input| place(input.id.clone())).collect(),
                parts: if keyed { Some(max_parallelism) } else { partitions },
            }
        };
        Shape { nodes: running.iter().map(node).collect() }
    }

    async fn cluster(&self, slots_each: Option<u32>) -> Result<Cluster, ReadError> {
        Ok(Cluster::of(&self.client.task_managers(self.left()).await?, slots_each))
    }
}

/// Sees questions about vertices through, some at a time; the answers are in their order.
async fn each<T>(asked: Vec<impl Future<Output = Result<T, FlinkError>>>) -> Result<Vec<T>, ReadError> {
    let answers: Vec<Result<T, FlinkError>> = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    Ok(answers.into_iter().collect::<Result<_, _>>()?)
}

/// Whether a name of a source's metric is one that is ever asked for.
fn matters(name: &str) -> bool {
    let of_operator = [PENDING, READ_RATE, WRITTEN_RATE].iter().any(|metric| measure::operator(name, metric).is_some());
    of_operator || name.ends_with(".currentOffset")
}

/// Whether a metric is of one of the named sources.
fn is_one_of(name: &str, sources: &[String]) -> bool {
    name.split_once('.').is_some_and(|(operator, _)| measure::is_named(operator, sources))
}

/// The metrics of this kind that sources have: an operator that is none has no pending records, and `Source__` is how Flink begins the others.
fn of_sources(names: &[String], metric: &str, sources: &[String]) -> Vec<String> {
    let is_of_source = |name: &&String| {
        measure::operator(name, metric).is_some_and(|operator| {
            let is_source = metric == PENDING || operator.starts_with("Source__");
            is_source && !operator.contains('.') && measure::is_named(operator, sources)
        })
    };
    names.iter().filter(is_of_source).cloned().collect()
}

/// The partitions that a Kafka source reads, by the offsets that it tells; none for another source.
fn kafka_partitions(names: &[String]) -> Option<u32> {
    let is_offset = |name: &&String| name.contains(".KafkaSourceReader.topic.") && name.contains(".partition.");
    let count = names.iter().filter(is_offset).filter(|name| name.ends_with(".currentOffset")).count();
    u32::try_from(count).ok().filter(|count| *count > 0)
}
