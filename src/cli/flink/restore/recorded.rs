//! Finds the path that an operation recorded for a job that it stopped.

use std::collections::BTreeMap;

use tidegate_calculator::operation::progress::Parked;
use tidegate_calculator::operation::spec::{Flink, JobSelector};

use super::super::site::Remembered;

/// What is known of a stopped job: what operations left behind, else what the one under way has, else the annotation of the target.
pub(super) fn recorded(remembered: &Remembered, job: &str, flink: &Flink) -> Option<Parked> {
    let under_way = remembered.operation.iter().flat_map(tidegate_calculator::operation::Operation::parked);
    let all: Vec<Parked> = remembered.left.parked().iter().cloned().chain(under_way).collect();
    let parked = all.iter().find(|parked| parked.name == job).cloned();
    if parked.as_ref().is_some_and(|parked| parked.path.is_some()) {
        return parked;
    }
    let only = all.iter().all(|parked| parked.name == job);
    let bare = if parked.is_some() { only } else { !remembered.recorded && is_only(flink, job) };
    match remembered.annotation.as_deref().and_then(|text| annotated(text, job, bare)) {
        Some(path) => Some(Parked { name: job.to_owned(), path: Some(path), ..parked.unwrap_or_default() }),
        None => parked,
    }
}

/// Whether the hook lists this job and no other.
fn is_only(flink: &Flink, job: &str) -> bool {
    matches!(flink.jobs.list.as_slice(), [one] if one.select == JobSelector::Name(job.to_owned()))
}

/// The path of a job in the annotation: the only one, where it can be of no other job (`bare`), or one of an object of names and paths.
fn annotated(text: &str, job: &str, bare: bool) -> Option<String> {
    if !text.starts_with('{') {
        return bare.then(|| text.to_owned());
    }
    let mut paths: BTreeMap<String, Option<String>> = serde_json::from_str(text).ok()?;
    paths.remove(job).flatten()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tidegate_calculator::operation::spec::JobSpec;
    use tidegate_calculator::time::{Now, Tick};
    use tidegate_engine::Left;

    use super::*;

    fn remembered(left: &str, annotation: Option<&str>) -> Remembered {
        Remembered {
            now: Now { tick: Tick(0), wall: Timestamp::UNIX_EPOCH },
            operation: None,
            left: Left::read(left).unwrap(),
            annotation: annotation.map(str::to_owned),
            recorded: false,
            unseen: Vec::new(),
        }
    }

    #[test]
    fn the_record_counts_before_the_annotation() {
        let left = r#"{"v":1,"parked":[{"name":"enrich","id":"a","path":"s3://b/1","parallelism":3},{"name":"lost","id":"b","parallelism":2}]}"#;
        let flink = Flink::default();
        let both = remembered(left, Some(r#"{"enrich":"s3://b/0","lost":"s3://b/2"}"#));
        let path = |job: &str| recorded(&both, job, &flink).map(|parked| (parked.path.unwrap(), parked.parallelism));
        assert_eq!(path("enrich"), Some(("s3://b/1".to_owned(), 3)));
        assert_eq!(path("lost"), Some(("s3://b/2".to_owned(), 2)), "what the record does not know the annotation does");
        let bare = recorded(&remembered(left, Some("s3://b/1")), "lost", &flink).unwrap();
        assert_eq!(bare.path, None, "it is that of the other job");
        let lost = recorded(&remembered(left, None), "lost", &flink).unwrap();
        assert_eq!((lost.path, lost.parallelism), (None, 2));
    }

    #[test]
    fn the_annotation_has_one_path_or_names_with_paths() {
        let nothing = r#"{"v":1}"#;
        let mut flink = Flink::default();
        let entry = |name: &str| JobSpec { select: JobSelector::Name(name.to_owned()), ..JobSpec::default() };
        flink.jobs.list = vec![entry("enrich")];
        let of = |all: &Remembered, job: &str, flink: &Flink| recorded(all, job, flink).and_then(|parked| parked.path);
        let path = |text: &str, job: &str| of(&remembered(nothing, Some(text)), job, &flink);
        assert_eq!(path("s3://b/2", "enrich").as_deref(), Some("s3://b/2"), "no record, and no other job");
        assert_eq!(path("s3://b/2", "other"), None, "it may be that of another job");
        let stale = Remembered { recorded: true, ..remembered(nothing, Some("s3://b/2")) };
        assert_eq!(of(&stale, "enrich", &flink), None, "the record would know the job");
        let lost = r#"{"v":1,"parked":[{"name":"enrich","id":"a","parallelism":2}]}"#;
        assert_eq!(of(&remembered(lost, Some("s3://b/2")), "enrich", &flink).as_deref(), Some("s3://b/2"));
        let two = Flink {
            jobs: tidegate_calculator::operation::spec::Jobs {
                list: vec![entry("enrich"), entry("other")],
                ..flink.jobs.clone()
            },
            ..Flink::default()
        };
        assert_eq!(of(&remembered(nothing, Some("s3://b/2")), "enrich", &two), None);
        let several = r#"{"enrich":"s3://b/3","lost":null}"#;
        assert_eq!(path(several, "enrich").as_deref(), Some("s3://b/3"));
        assert_eq!([path(several, "lost"), path(several, "other"), path("{", "enrich")], [None, None, None]);
    }
}
