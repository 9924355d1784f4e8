//! Finds the path that an operation recorded for a job that it stopped.

use std::collections::BTreeMap;

use tidegate_calculator::operation::progress::Parked;

use super::super::site::Remembered;

/// What is known of a stopped job: what operations left behind, else what the one under way has, else the annotation of the target.
pub(super) fn recorded(remembered: &Remembered, job: &str) -> Option<Parked> {
    let under_way = remembered.operation.iter().flat_map(tidegate_calculator::operation::Operation::parked);
    let mut all = remembered.left.parked().iter().cloned().chain(under_way);
    let parked = all.find(|parked| parked.name == job);
    if parked.as_ref().is_some_and(|parked| parked.path.is_some()) {
        return parked;
    }
    match remembered.annotation.as_deref().and_then(|text| annotated(text, job)) {
        Some(path) => Some(Parked { name: job.to_owned(), path: Some(path), ..parked.unwrap_or_default() }),
        None => parked,
    }
}

/// The path of a job in the annotation: the only one, or one of an object of names and paths.
fn annotated(text: &str, job: &str) -> Option<String> {
    if !text.starts_with('{') {
        return Some(text.to_owned());
    }
    let mut paths: BTreeMap<String, Option<String>> = serde_json::from_str(text).ok()?;
    paths.remove(job).flatten()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tidegate_calculator::time::{Now, Tick};
    use tidegate_engine::Left;

    use super::*;

    fn remembered(left: &str, annotation: Option<&str>) -> Remembered {
        Remembered {
            now: Now { tick: Tick(0), wall: Timestamp::UNIX_EPOCH },
            operation: None,
            left: Left::read(left).unwrap(),
            annotation: annotation.map(str::to_owned),
            unseen: Vec::new(),
        }
    }

    #[test]
    fn the_record_counts_before_the_annotation() {
        let left = r#"{"v":1,"parked":[{"name":"enrich","id":"a","path":"s3://b/1","parallelism":3},{"name":"lost","id":"b","parallelism":2}]}"#;
        let both = remembered(left, Some("s3://b/2"));
        let path = |job: &str| recorded(&both, job).map(|parked| (parked.path.unwrap(), parked.parallelism));
        assert_eq!(path("enrich"), Some(("s3://b/1".to_owned(), 3)));
        assert_eq!(path("lost"), Some(("s3://b/2".to_owned(), 2)), "what the record does not know the annotation does");
        let lost = recorded(&remembered(left, None), "lost").unwrap();
        assert_eq!((lost.path, lost.parallelism), (None, 2));
    }

    #[test]
    fn the_annotation_has_one_path_or_names_with_paths() {
        let nothing = r#"{"v":1}"#;
        let path =
            |text: &str, job: &str| recorded(&remembered(nothing, Some(text)), job).and_then(|parked| parked.path);
        assert_eq!(path("s3://b/2", "enrich").as_deref(), Some("s3://b/2"));
        let several = r#"{"enrich":"s3://b/3","lost":null}"#;
        assert_eq!(path(several, "enrich").as_deref(), Some("s3://b/3"));
        assert_eq!([path(several, "lost"), path(several, "other"), path("{", "enrich")], [None, None, None]);
    }
}
