//! The metrics: KEDA's names and labels for what KEDA also knows, our own for the rest.
//!
//! Nothing is counted on the way but HTTP requests, which the triggers themselves count ([`requests`]), and what operations did ([`Tally`]):
//! every other number is computed from snapshots when somebody scrapes. All names, labels and help
//! texts stand in one list, `FAMILIES`. What is unknown has no series: a trigger that failed has no value, not a zero.

mod operations;

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::source::Milli;
use tidegate_calculator::time::Span;
use tidegate_engine::snapshot::{Phase, Snapshot};
use tidegate_engine::tally::{Histogram, Tally};
use tidegate_scalers::requests::{self, Asker, Counted};

use super::explanation::seconds;
use super::triggers;

/// What `/metrics` says about its own form.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The labels of KEDA's metrics about one metric of one trigger.
const TRIGGER: &[&str] = &["namespace", "metric", "scaledObject", "scaler", "triggerIndex", "type"];
/// The labels of metrics about one object.
const OBJECT: &[&str] = &["namespace", "scaledObject"];

/// One metric: the only place where its name stands.
struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    samples: fn(&Scrape, &mut Samples<'_>) -> fmt::Result,
}

/// What a metric is. The encoder appends `_total` to a counter's name, and `_bucket`, `_sum` and `_count` to a histogram's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// All metrics, in the order in which they are printed.
static FAMILIES: &[Family] = &[
    Family {
        name: "keda_build_info",
        help: "The build that runs; always 1",
        kind: Kind::Gauge,
        labels: &["version", "git_commit", "goversion", "goos", "goarch"],
        samples: build_info,
    },
    Family {
        name: "keda_scaler_active",
        help: "Whether the trigger's source is above its activation threshold; absent while the trigger fails",
        kind: Kind::Gauge,
        labels: TRIGGER,
        samples: |scrape, out| scrape.readings(out, |_, active| f64::from(u8::from(active))),
    },
    Family {
        name: "keda_scaler_metrics_value",
        help: "The trigger's last value, in units of its source; absent while the trigger fails",
        kind: Kind::Gauge,
        labels: TRIGGER,
        samples: |scrape, out| scrape.readings(out, |value, _| units(value)),
    },
    Family {
        name: "keda_scaler_detail_errors",
        help: "Reads of the trigger that failed",
        kind: Kind::Counter,
        labels: TRIGGER,
        samples: |scrape, out| scrape.rows.iter().try_for_each(|row| out.put(&row.labels(), whole(row.errors))),
    },
    Family {
        name: "keda_scaler_http_requests",
        help: "HTTP requests of the trigger, by the status of the answer; error if there was none",
        kind: Kind::Counter,
        labels: &["namespace", "scaled_resource", "scaler", "trigger_name", "metric_name", "status_code"],
        samples: http_requests,
    },
    Family {
        name: "keda_scaled_object_errors",
        help: "Reads that failed, over all triggers of the object",
        kind: Kind::Counter,
        labels: OBJECT,
        samples: |scrape, out| scrape.objects(out, |object| Some(whole(object.errors.iter().sum()))),
    },
    Family {
        name: "keda_scaled_object_paused",
        help: "Whether a pause annotation holds the object",
        kind: Kind::Gauge,
        labels: OBJECT,
        samples: |scrape, out| scrape.objects(out, |object| Some(f64::from(u8::from(object.phase == Phase::Paused)))),
    },
    Family {
        name: "keda_trigger_registered_total",
        help: "Triggers by type",
        kind: Kind::Gauge,
        labels: &["type"],
        samples: trigger_counts,
    },
    Family {
        name: "keda_resource_registered_total",
        help: "Objects by kind and namespace",
        kind: Kind::Gauge,
        labels: &["type", "namespace"],
        samples: object_counts,
    },
    Family {
        name: "tidegate_replicas",
        help: "The replicas that the target is asked to have now",
        kind: Kind::Gauge,
        labels: OBJECT,
        samples: |scrape, out| scrape.objects(out, |object| object.seen.map(|seen| f64::from(seen.replicas))),
    },
    Family {
        name: "tidegate_desired_replicas",
        help: "The replicas that the last decision stands for",
        kind: Kind::Gauge,
        labels: OBJECT,
        samples: |scrape, out| {
            scrape.objects(out, |object| object.decision.as_ref().map(|(decision, _)| f64::from(decision.desired)))
        },
    },
    Family {
        name: "tidegate_min_replicas",
        help: "minReplicaCount",
        kind: Kind::Gauge,
        labels: OBJECT,
        samples: |scrape, out| {
            scrape.objects(out, |object| object.subject.as_ref().map(|subject| f64::from(subject.policy.min)))
        },
    },
    Family {
        name: "tidegate_max_replicas",
        help: "maxReplicaCount",
        kind: Kind::Gauge,
        labels: OBJECT,
        samples: |scrape, out| {
            scrape.objects(out, |object| object.subject.as_ref().map(|subject| f64::from(subject.policy.max)))
        },
    },
    Family {
        name: "tidegate_limited_by",
        help: "What had the last word on the desired replicas, as the label reason; always 1",
        kind: Kind::Gauge,
        labels: &["namespace", "scaledObject", "reason"],
        samples: limits,
    },
    Family {
        name: "tidegate_phase",
        help: "What the object is doing, as the label phase; always 1",
        kind: Kind::Gauge,
        labels: &["namespace", "scaledObject", "phase"],
        samples: phases,
    },
    Family {
        name: "tidegate_last_good_reading_age_seconds",
        help: "The time since the trigger last gave a value; absent if it never did",
        kind: Kind::Gauge,
        labels: TRIGGER,
        samples: |scrape, out| {
            let known = scrape.rows.iter().filter_map(|row| row.good_age.map(|age| (row, age)));
            known.into_iter().try_for_each(|(row, age)| out.put(&row.labels(), seconds(age)))
        },
    },
    Family {
        name: "tidegate_decision_lag_seconds",
        help: "How late the last decision was against the moment it was due",
        kind: Kind::Gauge,
        labels: OBJECT,
        samples: |scrape, out| {
            scrape.objects(out, |object| object.decision.as_ref().map(|_| seconds(object.decision_lag)))
        },
    },
    Family {
        name: "tidegate_operations",
        help: "Operations that have ended, by how, how they kept state, and in which direction they went",
        kind: Kind::Counter,
        labels: &["outcome", "strategy", "direction"],
        samples: operations::ended,
    },
    Family {
        name: "tidegate_operation_phase_seconds",
        help: "How long operations were in a phase",
        kind: Kind::Histogram,
        labels: &["phase"],
        samples: operations::phases,
    },
    Family {
        name: "tidegate_operation_snapshot_age_seconds",
        help: "How old the oldest snapshot was when an operation wrote the replicas",
        kind: Kind::Histogram,
        labels: &[],
        samples: operations::ages,
    },
    Family {
        name: "tidegate_operation_running",
        help: "An operation that is under way, with its direction and the label phase; always 1",
        kind: Kind::Gauge,
        labels: &["namespace", "scaledObject", "direction", "phase"],
        samples: operations::running,
    },
    Family {
        name: "tidegate_flink_job_stopped_seconds",
        help: "For how long a Flink job that we stopped has not run although it should; absent while it runs, and at zero on purpose",
        kind: Kind::Gauge,
        labels: &["namespace", "scaledObject", "job"],
        samples: operations::stopped,
    },
    Family {
        name: "tidegate_last_useful_replicas",
        help: "Above how many replicas more are of no use to the Flink jobs; absent while that is not known",
        kind: Kind::Gauge,
        labels: OBJECT,
        samples: operations::useful,
    },
];

/// All metrics of these objects, in the OpenMetrics text format.
pub fn render(objects: Vec<Snapshot>, tally: Tally) -> Result<String, fmt::Error> {
    render_with(objects, tally, requests::counted())
}

fn render_with(objects: Vec<Snapshot>, tally: Tally, requests: Vec<Counted>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape::of(objects, tally, requests)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// What one scrape looks at.
#[derive(Debug)]
struct Scrape {
    objects: Vec<Snapshot>,
    rows: Vec<Row>,
    tally: Tally,
    requests: Vec<Counted>,
}

/// One metric of one trigger.
#[derive(Debug)]
struct Row {
    namespace: String,
    metric: String,
    object: String,
    scaler: String,
    index: String,
    kind: String,
    reading: Option<(Milli, bool)>,
    errors: u64,
    good_age: Option<Span>,
}

/// Writes the samples of one family.
struct Samples<'a> {
    metric: MetricEncoder<'a>,
    kind: Kind,
    labels: &'static [&'static str],
}

impl Samples<'_> {
    /// One sample; `values` in the order of the family's labels.
    fn put(&mut self, values: &[&str], value: f64) -> fmt::Result {
        let labels: Vec<(&str, &str)> = self.labels.iter().copied().zip(values.iter().copied()).collect();
        let mut sample = self.metric.encode_family(&labels)?;
        match self.kind {
            Kind::Gauge => sample.encode_gauge(&value),
            Kind::Counter => sample.encode_counter::<NoLabelSet, _, f64>(&value, None),
            // It has no single value.
            Kind::Histogram => Ok(()),
        }
    }

    /// A whole histogram; `values` as for [`Samples::put`].
    fn put_histogram(&mut self, values: &[&str], histogram: &Histogram) -> fmt::Result {
        let labels: Vec<(&str, &str)> = self.labels.iter().copied().zip(values.iter().copied()).collect();
        let bound = |bound: Option<u32>| bound.map_or(f64::INFINITY, f64::from);
        let buckets: Vec<(f64, u64)> = histogram.buckets().map(|(most, count)| (bound(most), count)).collect();
        let (sum, count) = (seconds(histogram.sum()), histogram.count());
        if labels.is_empty() {
            return self.metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
        }
        self.metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in FAMILIES {
            let metric_type = match family.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
                Kind::Histogram => MetricType::Histogram,
            };
            let metric = encoder.encode_descriptor(family.name, family.help, None, metric_type)?;
            (family.samples)(self, &mut Samples { metric, kind: family.kind, labels: family.labels })?;
        }
        Ok(())
    }
}

impl Scrape {
    fn of(objects: Vec<Snapshot>, tally: Tally, requests: Vec<Counted>) -> Self {
        let rows = objects.iter().flat_map(Row::of).collect();
        Self { objects, rows, tally, requests }
    }

    /// One sample an object, for those of which the number is known.
    fn objects(&self, out: &mut Samples<'_>, number: impl Fn(&Snapshot) -> Option<f64>) -> fmt::Result {
        for object in &self.objects {
            if let Some(number) = number(object) {
                out.put(&[&object.id.namespace, &object.id.name], number)?;
            }
        }
        Ok(())
    }

    /// One sample a metric that has a reading.
    fn readings(&self, out: &mut Samples<'_>, number: impl Fn(Milli, bool) -> f64) -> fmt::Result {
        for row in &self.rows {
            if let Some((value, active)) = row.reading {
                out.put(&row.labels(), number(value, active))?;
            }
        }
        Ok(())
    }
}

impl Row {
    /// All metrics of all triggers of an object.
    fn of(object: &Snapshot) -> Vec<Self> {
        let Some(subject) = &object.subject else {
            return Vec::new();
        };
        let mut rows = Vec::new();
        for (index, trigger) in subject.triggers.iter().enumerate() {
            let evidence = object.evidence.get(index);
            let before = object.metrics.get(index).map(|names| &**names).unwrap_or_default();
            for (position, metric) in triggers::metric_names(&trigger.spec, evidence, before).into_iter().enumerate() {
                let reading = match evidence {
                    Some(Evidence::Good { readings, .. }) => readings.get(position),
                    _ => None,
                };
                rows.push(Self {
                    namespace: object.id.namespace.to_string(),
                    metric,
                    object: object.id.name.to_string(),
                    scaler: triggers::scaler(&trigger.spec).to_owned(),
                    index: index.to_string(),
                    kind: triggers::known_type(&trigger.spec).to_owned(),
                    reading: reading.map(|(_, reading)| (reading.value.total(), reading.active)),
                    errors: object.errors.get(index).copied().unwrap_or(0),
                    good_age: evidence.and_then(Evidence::last_good).map(|at| at.age(object.now.tick)),
                });
            }
        }
        rows
    }

    /// The values of [`TRIGGER`].
    fn labels(&self) -> [&str; 6] {
        [&self.namespace, &self.metric, &self.object, &self.scaler, &self.index, &self.kind]
    }
}

fn build_info(_: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    let version = env!("CARGO_PKG_VERSION");
    let commit = option_env!("TIDEGATE_GIT_COMMIT").unwrap_or("unknown");
    // KEDA's label is kept so that its dashboards work; it names our compiler, as KEDA's names its own.
    let compiler = concat!("rust", env!("CARGO_PKG_RUST_VERSION"));
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    out.put(&[version, commit, compiler, std::env::consts::OS, architecture], 1.0)
}

fn http_requests(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    scrape.requests.iter().try_for_each(|counted| {
        let Asker { namespace, object, kind, trigger, metric } = &counted.asker;
        let status = counted.status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        out.put(&[namespace, object, kind, trigger, metric, &status], whole(counted.count))
    })
}

fn trigger_counts(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for trigger in
        scrape.objects.iter().filter_map(|object| object.subject.as_ref()).flat_map(|subject| &subject.triggers)
    {
        *counts.entry(triggers::known_type(&trigger.spec)).or_default() += 1;
    }
    counts.into_iter().try_for_each(|(kind, count)| out.put(&[kind], whole(count)))
}

fn object_counts(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for object in &scrape.objects {
        *counts.entry(&object.id.namespace).or_default() += 1;
    }
    counts.into_iter().try_for_each(|(namespace, count)| out.put(&["scaled_object", namespace], whole(count)))
}

fn limits(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    for object in &scrape.objects {
        if let Some((decision, _)) = &object.decision {
            out.put(&[&object.id.namespace, &object.id.name, decision.limited_by.reason()], 1.0)?;
        }
    }
    Ok(())
}

fn phases(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    let mut each = scrape.objects.iter();
    each.try_for_each(|object| out.put(&[&object.id.namespace, &object.id.name, object.phase.reason()], 1.0))
}

/// Units of a source from thousandths.
#[expect(
    clippy::cast_precision_loss,
    reason = "a metric is a float; beyond 2^53 thousandths the last digits do not matter"
)]
fn units(value: Milli) -> f64 {
    value.0 as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn whole(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::of_operations;
