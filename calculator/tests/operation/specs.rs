//! Specs and beginnings that the tests share.

use tidegate_calculator::operation::Begin;
use tidegate_calculator::operation::spec::{
    Flink, HookSpec, Item, Jar, JobSelector, JobSpec, RunTemplate, SavepointOptions, StrategyChoice, Work,
};

/// A flink item with its defaults.
pub(crate) fn flink(strategy: StrategyChoice) -> Flink {
    let savepoint = SavepointOptions { directory: Some("s3://bucket/sp".to_owned()), ..SavepointOptions::default() };
    Flink { strategy, savepoint, ..Flink::default() }
}

/// How a job is run.
pub(crate) fn listed(name: &str) -> JobSpec {
    let run = RunTemplate { jar: Jar::Name(format!("{name}.jar")), ..RunTemplate::default() };
    JobSpec { select: JobSelector::Name(name.to_owned()), run: Some(run), ..JobSpec::default() }
}

/// The spec of one flink item.
pub(crate) fn spec(flink: Flink) -> HookSpec {
    HookSpec { pre_scale: vec![item(flink)], post_scale: Vec::new() }
}

pub(crate) fn item(flink: Flink) -> Item {
    Item { name: "state".to_owned(), work: Work::Flink(Box::new(flink)), ..Item::default() }
}

/// The beginning of a change.
pub(crate) fn begin(from: u32, to: u32, spec: HookSpec) -> Begin {
    Begin { uid: "uid-1".to_owned(), sequence: 1, attempt: 1, from, to, spec, ..Begin::default() }
}
