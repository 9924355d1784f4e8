use super::*;

fn line(name: &str, took: u64, outcome: Outcome) -> Line {
    let took = (took > 0).then(|| Duration::from_millis(took));
    Line {
        object: ObjectId::new("shop", "orders"),
        trigger: 0,
        kind: "redis".to_owned(),
        name: name.to_owned(),
        took,
        outcome,
    }
}

fn read(value: i64, asks: Option<Asks>) -> Outcome {
    let metric = MetricSpec {
        name: "s0-redis-jobs".to_owned(),
        metric_type: MetricType::AverageValue,
        target: Milli(2_500),
        exact: false,
    };
    Outcome::Read { metric, value: Milli(value), active: value > 0, asks }
}

fn failed(kind: ReadErrorKind, message: &str, credentials: &[(&'static str, &str)]) -> Outcome {
    let origin = |(parameter, from): &(&'static str, &str)| Origin { parameter, from: (*from).to_owned() };
    Outcome::Failed { kind, message: message.to_owned(), credentials: credentials.iter().map(origin).collect() }
}

#[test]
fn lines_are_aligned_and_end_with_what_follows() {
    let lines = [
        line("jobs", 12, read(790_000, Some(Asks::Replicas(8)))),
        line("long-name", 1_234, read(500, Some(Asks::Times(1.583)))),
        line("jobs", 3, read(0, None)),
    ];
    let expected = "\
OK  redis  jobs       value=790  active=yes  12ms  -> 8
OK  redis  long-name  value=0.5  active=yes  1.2s  -> x1.58 of the Ready pods
OK  redis  jobs       value=0    active=no   3ms
";
    assert_eq!(text(&lines), expected);
    assert!(all_read(&lines));
}

#[test]
fn failures_begin_with_their_class_and_name_where_credentials_come_from() {
    let secret = [("password", "Secret shop/redis key password")];
    let lines = [
        line("jobs", 12, read(1_000, Some(Asks::Untold("a Signal".to_owned())))),
        line("jobs", 5, failed(ReadErrorKind::Auth, "127.0.0.1:1 refused the credentials", &secret)),
        line("jobs", 5, failed(ReadErrorKind::Auth, "127.0.0.1:1 wants credentials", &[])),
        line("jobs", 0, failed(ReadErrorKind::Config, "Secret shop/redis does not exist", &[])),
        line("jobs", 10_200, failed(ReadErrorKind::Timeout, "127.0.0.1:1 did not answer in time", &[])),
    ];
    let expected = "\
OK       redis  jobs  value=1  active=yes  12ms  -> ? (a Signal)
AUTH     redis  jobs  127.0.0.1:1 refused the credentials; password from Secret shop/redis key password
AUTH     redis  jobs  127.0.0.1:1 wants credentials; the trigger gives no credentials
CONFIG   redis  jobs  Secret shop/redis does not exist
TIMEOUT  redis  jobs  127.0.0.1:1 did not answer in time (after 10s)
";
    assert_eq!(text(&lines), expected);
    assert!(!all_read(&lines));
    let words = [ReadErrorKind::Unavailable, ReadErrorKind::Protocol, ReadErrorKind::Settling];
    assert_eq!(words.map(|kind| word(&failed(kind, "", &[]))), ["UNAVAILABLE", "PROTOCOL", "SETTLING"]);
}

#[test]
fn objects_are_named_where_there_are_several() {
    let other = Line { object: ObjectId::new("bank", "mails"), ..line("mails", 1, read(0, None)) };
    let text = text(&[line("jobs", 1, read(0, None)), other]);
    let begin: Vec<_> =
        text.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(begin, ["OK shop/orders redis", "OK bank/mails redis"]);
    assert_eq!(super::text(&[]), "");
}

#[test]
fn programs_get_every_field_every_time() {
    let secret = [("password", "metadata.password")];
    let printed = json(&[
        line("jobs", 12, read(790_500, Some(Asks::Replicas(8)))),
        line("jobs", 0, failed(ReadErrorKind::Auth, "refused", &secret)),
    ]);
    let expected = json!([
        {
            "object": "shop/orders", "trigger": 0, "type": "redis", "name": "jobs", "result": "OK", "milliseconds": 12,
            "metric": "s0-redis-jobs", "metricType": "AverageValue", "target": 2.5, "value": 790.5, "active": true,
            "replicas": 8, "ratio": null, "untold": null, "message": null, "credentials": [],
        },
        {
            "object": "shop/orders", "trigger": 0, "type": "redis", "name": "jobs", "result": "AUTH", "milliseconds": null,
            "metric": null, "metricType": null, "target": null, "value": null, "active": null,
            "replicas": null, "ratio": null, "untold": null, "message": "refused",
            "credentials": [{ "parameter": "password", "from": "metadata.password" }],
        },
    ]);
    assert_eq!(printed, expected);
}
