use tidegate_calculator::source::MetricType;

use super::*;
use crate::parameters::Known;

fn spec(metadata: &[(&str, &str)]) -> TriggerSpec {
    let whole = [("timezone", "Etc/UTC"), ("start", "0 8 * * *"), ("end", "0 20 * * *"), ("desiredReplicas", "10")];
    let metadata = whole.iter().chain(metadata).map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    TriggerSpec { kind: "cron".to_owned(), metadata: metadata.collect(), ..TriggerSpec::default() }
}

fn checked(metadata: &[(&str, &str)]) -> Checked {
    crate::check(&spec(metadata), Known::Nothing, Known::Nothing)
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// The name that KEDA gives the metric of the trigger at this index.
fn name(index: u8, start: &str, end: &str) -> String {
    let spec = TriggerSpec { index, ..spec(&[("start", start), ("end", end)]) };
    let found = crate::check(&spec, Known::Nothing, Known::Nothing);
    assert_eq!(found.errors, []);
    found.metrics[0].name.clone()
}

#[test]
fn metrics_are_named_as_kedas() {
    assert_eq!(name(0, "0 0 * * Thu", "59 23 * * Thu"), "s0-cron-Etc-UTC-00xxThu-5923xxThu");
    assert_eq!(name(1, "0 */2 * * *", "0-1 23/2 * * *"), "s1-cron-Etc-UTC-0xSl2xxx-0-123Sl2xxx");
    assert_eq!(name(2, "0,30 8 ? * *", "0  9 * * ?"), "s2-cron-Etc-UTC-0Cm308Qmxx-09xxQm");
    let found = checked(&[]);
    assert_eq!((found.metrics[0].metric_type, found.metrics[0].target), (MetricType::AverageValue, Milli::units(1)));
}

#[test]
fn findings_name_the_field_the_value_and_what_is_allowed() {
    let errors = |metadata: &[(&str, &str)]| texts(&checked(metadata).errors);
    let zone = "is not the name of an IANA time zone, such as Europe/Berlin or Asia/Shanghai";
    assert_eq!(errors(&[("timezone", "Berlin")]), [format!("metadata.timezone: \"Berlin\" {zone}")]);
    assert_eq!(
        errors(&[("end", "0 8 * * *")]),
        ["metadata.end: \"0 8 * * *\" is the same as start; a window needs an end of its own"]
    );
    let replicas = |text: &str, wrong: &str| format!("metadata.desiredReplicas: \"{text}\" {wrong}");
    assert_eq!(errors(&[("desiredReplicas", "0")]), [replicas("0", "is not allowed; it must be 1 or more")]);
    assert_eq!(errors(&[("desiredReplicas", "ten")]), [replicas("ten", "is not an integer")]);
    // A zone and an expression may be wrong at once.
    let hour = "is not a cron expression: the hour \"25\" is not 0 to 23, a list, a range or a step of these";
    assert_eq!(
        errors(&[("timezone", "Berlin"), ("start", "0 25 * * *")]),
        [format!("metadata.timezone: \"Berlin\" {zone}"), format!("metadata.start: \"0 25 * * *\" {hour}")]
    );
    let missing = "is required; it is read from metadata";
    let found = errors(&[("timezone", ""), ("start", ""), ("end", ""), ("desiredReplicas", " ")]);
    assert_eq!(found, ["timezone", "start", "end", "desiredReplicas"].map(|key| format!("metadata.{key}: {missing}")));
}

#[test]
fn what_is_useless_is_a_warning() {
    let warnings = |metadata: &[(&str, &str)]| {
        let found = checked(metadata);
        assert_eq!(found.errors, []);
        texts(&found.warnings)
    };
    assert_eq!(
        warnings(&[("desiredReplicas", "-3")]),
        ["metadata.desiredReplicas: \"-3\" counts as 0: the window asks for no replicas; use 1 or more"]
    );
    assert_eq!(
        warnings(&[("start", "0 8 31 2 *"), ("end", "0 8 30 2 *")]),
        [
            "metadata.start: \"0 8 31 2 *\" never happens, so that the window is always open",
            "metadata.end: \"0 8 30 2 *\" never happens, so that the window is always closed"
        ]
    );
    assert_eq!(warnings(&[("start", "0 8 29 2 *")]), Vec::<String>::new());
}
