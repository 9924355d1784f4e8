//! The trigger `flink`: how a Flink job fares, or how many TaskManagers it needs, as its JobManager says.
//!
//! [`client`] asks the JobManager and is there for whoever else has to do with Flink. Of the trigger itself, `reading` asks what a read needs;
//! which job is meant (`find`), whether its numbers mean anything yet (`settling`), what they mean (`measure`) and what the job needs
//! (`demand`) is pure. What is kept between reads is in `memory`.

pub mod client;
mod declaration;
mod demand;
mod find;
mod measure;
mod memory;
mod reading;
mod settling;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, Milli, Occasion, ReadError, ReadErrorKind, Reading, Readings,
    TriggerSpec, Wake,
};
use tokio::time::Instant;

use crate::endpoint::Endpoints;
use crate::http::{named, reported};
use crate::parameters::Values;
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use client::FlinkClient;
use declaration::{Question, Settings};
use memory::{Memory, Pulse};
use reading::Read;

/// For how long an answer serves equal questions. Flink's own answers are up to 3 s old.
const HOLD: Duration = Duration::from_secs(1);

/// One built `flink` trigger.
struct FlinkScaler {
    client: FlinkClient,
    pulse: Arc<Pulse>,
    memory: Arc<Memory>,
    settings: Settings,
}

/// The registry's entry.
pub(crate) const TRIGGER_TYPE: TriggerType = TriggerType {
    name: "flink",
    summary: "How busy, held back or far behind a Flink job is, or how many TaskManagers it needs.",
    parameters: declaration::PARAMETERS,
    example: "\
- type: flink
  metadata:
    restUrl: http://flink-jobmanager.shop.svc.cluster.local:8081
    job: enrich
    metric: pendingRecords
    targetValue: \"10000\"
",
    example_metadata: &[
        ("restUrl", "http://flink-jobmanager.shop.svc.cluster.local:8081"),
        ("job", "enrich"),
        ("metric", "pendingRecords"),
        ("targetValue", "10000"),
    ],
    scaler: "flinkScaler",
    notes: include_str!("notes.md"),
    check: declaration::check,
    open,
};

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let settings = declaration::settings(spec, values).ok_or_else(incomplete)?;
    let client = FlinkClient::new(endpoints, &settings.address.url, &settings.access, HOLD);
    let client = client.counting(spec, &settings.metric.name);
    let memory = Memory::open(endpoints, spec, settings.address.url.as_str(), settings.job.as_ref());
    let pulse = Pulse::open(endpoints, client.id());
    Ok(Box::new(FlinkScaler { client, pulse, memory, settings }))
}

#[async_trait]
impl Scaler for FlinkScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.client.id())
    }

    async fn read(&self, occasion: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let patience = self.settings.timeout.map_or(deadline, |timeout| timeout.min(deadline));
        let reading = tokio::time::timeout(patience, self.look(occasion, patience)).await;
        let late = || ReadError::query(ReadErrorKind::Timeout, "did not answer in time");
        let reading = reading.unwrap_or_else(|_| Err(named(self.client.name(), &late())))?;
        Ok(vec![(self.settings.metric.clone(), reading)])
    }

    fn watch(&self, _: Wake) -> Option<Watch> {
        None
    }
}

impl FlinkScaler {
    async fn look(&self, occasion: Occasion, patience: Deadline) -> Result<Reading, ReadError> {
        let Settings { job, question, sources, stabilization, activation, .. } = &self.settings;
        let read = Read {
            client: &self.client,
            pulse: &self.pulse,
            memory: &self.memory,
            sources,
            stabilization: *stabilization,
            until: Instant::now() + patience,
        };
        let total = |value: Milli, active| Reading { value: Measured::Total(vec![value]), active };
        let value = match (question, job) {
            (Question::Demand(settings, slots), Some(job)) => {
                let verdict = read.demand(job, settings, *slots, occasion).await?;
                // As long as nobody knows what there is to do, the job counts as having something.
                let active = verdict.demand.is_none_or(|demand| demand > *activation);
                return Ok(total(Milli::units(i64::from(verdict.task_managers)), active));
            }
            (Question::Measure(measure), Some(job)) => read.of_job(job, *measure).await?,
            (Question::Measure(measure), None) => read.of_cluster(*measure).await?,
            (Question::Demand(..), None) => return Err(ConfigError::one("metadata.job", None, "is required").into()),
        };
        Ok(total(reported(value), value > *activation))
    }
}
