//! A number in a ConfigMap or a Secret.

use tidegate_calculator::source::{ReadErrorKind, TriggerSpec};
use tidegate_scalers::{Known, check};

use crate::cluster::{Cluster, texts};
use crate::{errors, opened, read, spec};

/// What no message may show.
const CANARY: &str = "hunter2-canary";

type Pairs = &'static [(&'static str, &'static str)];

fn resource(more: &[(&str, &str)]) -> TriggerSpec {
    let base = [("resourceKind", "Secret"), ("resourceName", "plan"), ("key", "visitors"), ("targetValue", "100")];
    let mut spec = spec("kubernetes-resource", &base);
    spec.metadata.extend(more.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
    spec
}

fn holding(pairs: &[(&str, &str)]) -> Cluster {
    Cluster { texts: Ok(Some(texts(pairs))), ..Cluster::idle() }
}

#[tokio::test]
async fn a_number_is_read_in_every_format() {
    let json = r#"{"shops":[{"visitors":250.5},{"visitors":"2k"}]}"#;
    let yaml = "shops:\n- visitors: 7.9\n- visitors: 500m\n";
    let cases: [(&str, Pairs, i64); 10] = [
        ("250.5", &[], 250_500),
        (" 250\n", &[], 250_000),
        ("7.9", &[("valueType", "int64")], 7_000),
        ("500m", &[("valueType", "quantity")], 500),
        (json, &[("format", "json"), ("valueLocation", "shops.0.visitors")], 250_500),
        (json, &[("format", "json"), ("valueLocation", "shops.1.visitors")], 2_000_000),
        (json, &[("format", "json"), ("valueLocation", "shops.#")], 2_000),
        (yaml, &[("format", "yaml"), ("valueLocation", "shops.0.visitors")], 7_900),
        (yaml, &[("format", "yaml"), ("valueLocation", "shops.0.visitors"), ("valueType", "int64")], 7_000),
        (yaml, &[("format", "yaml"), ("valueLocation", "shops.1.visitors"), ("valueType", "quantity")], 500),
    ];
    for (text, more, value) in cases {
        let cluster = holding(&[("visitors", text), ("other", CANARY)]);
        assert_eq!(read(&resource(more), &cluster).await, Ok((value, true)), "{text} {more:?}");
    }
}

#[tokio::test]
async fn zero_is_a_value_and_below_zero_counts_as_it() {
    assert_eq!(read(&resource(&[]), &holding(&[("visitors", "0")])).await, Ok((0, false)));
    assert_eq!(read(&resource(&[]), &holding(&[("visitors", "-5")])).await, Ok((0, false)));
    let active = resource(&[("activationTargetValue", "10")]);
    assert_eq!(read(&active, &holding(&[("visitors", "10")])).await, Ok((10_000, false)));
    assert_eq!(read(&active, &holding(&[("visitors", "10.5")])).await, Ok((10_500, true)));
}

#[tokio::test]
async fn what_is_not_there_is_an_error_that_names_it() {
    let told = async |cluster: &Cluster, more: &[(&str, &str)]| {
        let error = read(&resource(more), cluster).await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Config, "{error}");
        error.message
    };
    let nothing = Cluster { texts: Ok(None), ..Cluster::idle() };
    assert_eq!(told(&nothing, &[]).await, "Secret shop/plan does not exist");
    let other = holding(&[("other", "5")]);
    assert_eq!(told(&other, &[]).await, "Secret shop/plan has no key visitors in its data");
    let json = holding(&[("visitors", r#"{"a":5}"#)]);
    assert_eq!(
        told(&json, &[("format", "json"), ("valueLocation", "b")]).await,
        "the text under the key visitors of Secret shop/plan has nothing at valueLocation"
    );
}

#[tokio::test]
async fn what_is_no_number_as_a_whole_is_an_error_that_repeats_nothing() {
    for text in ["12abc", "2k", "", "NaN", "inf", CANARY] {
        let error = read(&resource(&[]), &holding(&[("visitors", text)])).await.unwrap_err();
        let expected = "the text under the key visitors of Secret shop/plan is not a number as a whole";
        assert_eq!((error.kind, error.message.as_str()), (ReadErrorKind::Config, expected), "{text}");
    }
    let inside = [("format", "json"), ("valueLocation", "a")];
    for (text, expected) in [
        (format!(r#"{{"a":"{CANARY}"}}"#), "has something else than such a number at valueLocation"),
        (CANARY.to_owned(), "is not JSON"),
    ] {
        let cluster = holding(&[("visitors", &text)]);
        let error = read(&resource(&inside), &cluster).await.unwrap_err();
        assert!(error.message.ends_with(expected) && !error.message.contains(CANARY), "{error}");
        assert!(!format!("{error:?}{:?}{cluster:?}", cluster.texts).contains(CANARY));
    }
}

#[test]
fn the_metric_is_called_as_in_keda() {
    let name = |spec: &TriggerSpec| check(spec, Known::Nothing, Known::Nothing).metrics.remove(0).name;
    assert_eq!(name(&resource(&[])), "s1-secret-plan-visitors");
    assert_eq!(name(&resource(&[("resourceKind", "ConfigMap"), ("key", "a.b")])), "s1-configmap-plan-a-b");
}

#[test]
fn the_place_belongs_to_the_format() {
    let error = errors(&resource(&[("format", "yaml")]));
    assert_eq!(error, ["metadata.valueLocation: is required with format yaml"]);
    let error = errors(&resource(&[("valueLocation", "a")]));
    assert_eq!(
        error,
        ["metadata.valueLocation: \"a\" is not allowed with format number: the whole text is the number"]
    );
    let error = errors(&resource(&[("format", "json"), ("valueLocation", "a.*")])).remove(0);
    assert!(error.contains("wildcards"), "{error}");
}

#[tokio::test]
async fn the_object_alone_is_followed() {
    let cluster = holding(&[("visitors", "5")]);
    let scaler = opened(&resource(&[]), &cluster);
    let watch = scaler.watch(std::sync::Arc::new(|| {})).unwrap();
    assert_eq!(cluster.followed(), ["Secret shop/plan"]);
    drop(watch);
    assert!(cluster.followed().is_empty());
}
