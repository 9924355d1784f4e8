//! Reads triggers once, as the engine would: through the same sources, side by side, each with a deadline of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tidegate_calculator::observation::TargetState;
use tidegate_calculator::policy::Policy;
use tidegate_calculator::source::{MetricSpec, Occasion, Parameters, ReadError, ReadErrorKind, Reading, Readings};
use tidegate_engine::ports::Sources;
use tidegate_engine::subject::{ObjectId, Trigger};

use super::asks::asks;
use super::lines::{Line, Outcome};
use super::objects::calling;
use super::origin::{Origin, origins};
use super::world::World;
use crate::server::triggers::short_name;
use crate::sources::TriggerSources;

/// How many triggers are read at the same moment.
const AT_ONCE: usize = 256;
/// How much longer than its deadline a read may take before it is given up: a source says better itself what was late.
const GRACE: Duration = Duration::from_millis(500);

/// One trigger to read.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// The object.
    pub(super) object: ObjectId,
    /// The trigger.
    pub(super) trigger: Trigger,
    /// What is wrong with its text; then it is not read.
    pub(super) flaw: Option<String>,
    /// What the object asks for; none if it cannot be obeyed.
    pub(super) policy: Option<Arc<Policy>>,
    /// What was seen of the target, if anything was.
    pub(super) target: Option<TargetState>,
}

/// Reads all triggers; the lines have the order of the tasks.
pub(super) async fn read_all(tasks: Vec<Task>, world: &World, timeout: Duration) -> Vec<Line> {
    let sources = Arc::new(match world.cluster() {
        Some(cluster) => TriggerSources::within(cluster.surroundings()),
        None => TriggerSources::new(),
    });
    let reads = tasks.into_iter().map(|task| read(task, world, &sources, timeout));
    let lines: Vec<Vec<Line>> = futures::stream::iter(reads).buffered(AT_ONCE).collect().await;
    lines.into_iter().flatten().collect()
}

async fn read(task: Task, world: &World, sources: &Arc<TriggerSources>, timeout: Duration) -> Vec<Line> {
    let trigger = &task.trigger;
    let blamed = |found: Option<&Parameters>| origins(trigger, found, &world.desk(trigger), world.cluster_namespace());
    if let Some(flaw) = &task.flaw {
        let error = ReadError::query(ReadErrorKind::Config, flaw.clone());
        return vec![failed(&task, None, error, blamed(None))];
    }
    let parameters = match world.resolve(trigger) {
        Ok(parameters) => parameters,
        Err(error) => return vec![failed(&task, None, error, blamed(None))],
    };
    let origins = blamed(Some(&parameters));
    let source = match sources.open(&trigger.spec, &parameters) {
        Ok(source) => source,
        Err(error) => return vec![failed(&task, None, error.into(), origins)],
    };
    let (begun, sources) = (Instant::now(), Arc::clone(sources));
    // A task of its own, so that a defect of one source costs its own line alone.
    let reading = tokio::spawn(async move {
        let reading = sources.read(&source, Occasion::Check, timeout);
        let late = |_| Err(ReadError::query(ReadErrorKind::Timeout, "it did not answer in time"));
        tokio::time::timeout(timeout + GRACE, reading).await.unwrap_or_else(late)
    });
    let defect = |_| Err(ReadError::query(ReadErrorKind::Protocol, "reading it failed by a defect of ours"));
    let result = reading.await.unwrap_or_else(defect);
    let took = Some(begun.elapsed());
    match result {
        Ok(readings) if readings.is_empty() => {
            let error = ReadError::query(ReadErrorKind::Protocol, "it gave no reading");
            vec![failed(&task, took, error, origins)]
        }
        Ok(readings) => good(&task, took, &readings),
        Err(error) => vec![failed(&task, took, error, origins)],
    }
}

fn good(task: &Task, took: Option<Duration>, readings: &Readings) -> Vec<Line> {
    let spec = &task.trigger.spec;
    let asked = task.policy.as_ref().map(|policy| asks(policy, spec.index.into(), readings, task.target));
    let line = |(index, (metric, reading)): (usize, &(MetricSpec, Reading))| {
        let mut called = calling(&task.trigger.spec);
        if readings.len() > 1 {
            called = format!("{called}:{}", short_name(spec, &metric.name));
        }
        let asked = asked.as_ref().and_then(|asked| asked.get(index)).cloned();
        let outcome = Outcome::read(metric.clone(), reading.value.total(), reading.active, asked);
        line(task, called, took, outcome)
    };
    readings.iter().enumerate().map(line).collect()
}

fn failed(task: &Task, took: Option<Duration>, error: ReadError, mut credentials: Vec<Origin>) -> Line {
    match error.kind {
        ReadErrorKind::Auth => {}
        // Of what is malformed, only what the message is about.
        ReadErrorKind::Config => credentials
            .retain(|origin| error.message.contains(origin.parameter) && !error.message.contains(&origin.from)),
        _ => credentials.clear(),
    }
    let outcome = Outcome::Failed { kind: error.kind, message: error.message, credentials };
    line(task, calling(&task.trigger.spec), took, outcome)
}

fn line(task: &Task, name: String, took: Option<Duration>, outcome: Outcome) -> Line {
    let spec = &task.trigger.spec;
    Line { object: task.object.clone(), trigger: spec.index, kind: spec.kind.clone(), name, took, outcome }
}
