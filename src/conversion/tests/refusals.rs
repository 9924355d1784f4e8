//! What cannot be converted is refused with its path, its value and what is allowed.

use super::*;

/// The problems of an autoscaler with this spec, in flow style.
fn refused(version: &str, spec: &str) -> Vec<String> {
    refused_as(version, "name: web", spec)
}

fn refused_as(version: &str, metadata: &str, spec: &str) -> Vec<String> {
    let kind = "kind: HorizontalPodAutoscaler";
    let text = format!("{{apiVersion: {version}, {kind}, metadata: {{{metadata}}}, spec: {spec}}}");
    match convert(&documents(&text)[0]) {
        Outcome::Refused(problems) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

const TARGET: &str = "scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 5";

/// The problems of one metric; paths begin at the metric.
fn metric(version: &str, metric: &str) -> Vec<String> {
    let problems = refused(version, &format!("{{{TARGET}, metrics: [{metric}]}}"));
    problems.iter().map(|text| text.strip_prefix("spec.metrics[0].").unwrap_or(text).to_owned()).collect()
}

#[test]
fn the_object_must_be_complete() {
    let versions = "autoscaling/v2, autoscaling/v2beta2, autoscaling/v2beta1, autoscaling/v1";
    assert_eq!(refused("autoscaling/v3", "{}"), [format!("apiVersion: \"autoscaling/v3\" is not one of {versions}")]);
    assert_eq!(
        refused_as("autoscaling/v2", "namespace: shop", "{}"),
        ["metadata.name: is required", "spec.scaleTargetRef: is required", "spec.maxReplicas: is required"]
    );
    assert_eq!(
        refused("autoscaling/v2", "{scaleTargetRef: {kind: Rollout, name: web}, maxReplicas: 0}"),
        [
            "spec.scaleTargetRef.apiVersion: is required for the kind Rollout",
            "spec.maxReplicas: \"0\" is not an integer >= 1"
        ]
    );
    assert_eq!(
        refused("autoscaling/v2", &format!("{{{TARGET}, minReplicas: 6}}")),
        ["spec.minReplicas: \"6\" is above maxReplicas (5); minReplicas <= maxReplicas is needed"]
    );
    let zero = "needs a metric of type Object or External, for without pods there are no others; use 1 or more";
    assert_eq!(
        refused("autoscaling/v2", &format!("{{{TARGET}, minReplicas: 0}}")),
        [format!("spec.minReplicas: \"0\" {zero}")]
    );
    assert_eq!(
        refused("autoscaling/v2", &format!("{{{TARGET}, behavior: fast}}")),
        ["spec.behavior: \"fast\" is not a map"]
    );
}

#[test]
fn a_metric_that_cannot_be_said_is_refused() {
    let other = "is not cpu or memory, the resources that triggers read; use a Pods or External metric instead";
    assert_eq!(
        metric(
            "autoscaling/v2",
            "{type: Resource, resource: {name: ephemeral-storage, target: {type: AverageValue, averageValue: 1Gi}}}"
        ),
        [format!("resource.name: \"ephemeral-storage\" {other}")]
    );
    assert_eq!(
        metric("autoscaling/v2", "{type: Disk, disk: {}}"),
        ["type: \"Disk\" is not one of Resource, ContainerResource, Pods, Object, External"]
    );
    assert_eq!(metric("autoscaling/v2", "{type: Pods}"), ["pods: is required"]);
    let container = "{type: ContainerResource, containerResource: {name: cpu, target: {averageUtilization: 50}}}";
    assert_eq!(metric("autoscaling/v2", container), ["containerResource.container: is required"]);
}

#[test]
fn a_metric_needs_its_target() {
    let resource =
        |target: &str| metric("autoscaling/v2", &format!("{{type: Resource, resource: {{name: cpu{target}}}}}"));
    assert_eq!(resource(""), ["resource.target: is required"]);
    assert_eq!(resource(", target: {}"), ["resource.target: needs averageUtilization or averageValue"]);
    assert_eq!(
        resource(", target: {type: Utilization, averageUtilization: 0}"),
        ["resource.target.averageUtilization: \"0\" is not an integer >= 1"]
    );
    assert_eq!(
        resource(", target: {averageValue: 1 GB}"),
        ["resource.target.averageValue: \"1 GB\" is not a quantity > 0, such as 500m, 100 or 2Gi"]
    );
    assert_eq!(
        metric("autoscaling/v2beta1", "{type: Resource, resource: {name: cpu}}"),
        ["resource: needs targetAverageUtilization or targetAverageValue"]
    );
    assert_eq!(
        metric("autoscaling/v2beta1", "{type: External, external: {targetValue: 0}}"),
        [
            "external.targetValue: \"0\" is not a quantity > 0, such as 500m, 100 or 2Gi",
            "external.metricName: is required"
        ]
    );
    // An object's type says which target counts.
    let object = "metric: {name: hits}, describedObject: {kind: Service, name: front}";
    assert_eq!(
        metric(
            "autoscaling/v2",
            &format!("{{type: Object, object: {{{object}, target: {{type: Value, averageValue: 5}}}}}}")
        ),
        ["object.target: needs value"]
    );
    assert_eq!(
        metric("autoscaling/v2", &format!("{{type: Object, object: {{{object}, target: {{type: Most, value: 5}}}}}}")),
        ["object.target.type: \"Most\" is not one of Utilization, Value, AverageValue"]
    );
}

#[test]
fn a_selector_must_be_one() {
    let external = |selector: &str| {
        let metric = format!("{{name: lag, selector: {selector}}}");
        self::metric(
            "autoscaling/v2",
            &format!("{{type: External, external: {{metric: {metric}, target: {{value: 5}}}}}}"),
        )
    };
    let here = "external.metric.selector";
    assert_eq!(external("{matchLabels: {a: 1}}"), [format!("{here}.matchLabels.a: \"1\" is not a text; quote it")]);
    let wrong = "is not one of In, NotIn, Exists, DoesNotExist";
    assert_eq!(
        external("{matchExpressions: [{key: a, operator: Like, values: [b]}]}"),
        [format!("{here}.matchExpressions[0].operator: \"Like\" {wrong}")]
    );
    assert_eq!(
        external("{matchExpressions: [{key: a, operator: In}]}"),
        [format!("{here}.matchExpressions[0].values: must have at least one entry for In")]
    );
    assert_eq!(
        external("{matchExpressions: [{key: a, operator: Exists, values: [b]}]}"),
        [format!("{here}.matchExpressions[0].values: \"[\\\"b\\\"]\" must be empty for Exists")]
    );
}

#[test]
fn annotations_must_be_json() {
    let annotations = "name: web, annotations: {autoscaling.alpha.kubernetes.io/metrics: '[', \
                       autoscaling.alpha.kubernetes.io/behavior: '[]'}";
    let wrong = "is not JSON, so that an API server passes it over; correct it or take it away";
    assert_eq!(
        refused_as("autoscaling/v1", annotations, &format!("{{{TARGET}}}")),
        [
            format!("metadata.annotations[autoscaling.alpha.kubernetes.io/metrics]: \"[\" {wrong}"),
            "metadata.annotations[autoscaling.alpha.kubernetes.io/behavior]: \"[]\" is not a map".to_owned(),
        ]
    );
}
