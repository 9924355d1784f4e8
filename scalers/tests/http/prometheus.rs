//! What the trigger `prometheus` makes of answers that a real one gives rarely.

use tidegate_calculator::source::ReadErrorKind;
use tidegate_scalers::{Known, check};

use crate::server::{Server, Trigger, header, http, vector};

async fn read(body: &str, metadata: &[(&str, &str)]) -> Result<(i64, bool), (ReadErrorKind, String)> {
    let server = Server::saying(body).await;
    let read = server.prometheus().with(metadata).read().await;
    let prefix = format!("Prometheus at {}: ", server.url());
    read.map_err(|error| (error.kind, error.message.strip_prefix(&prefix).unwrap().to_owned()))
}

fn scalar(value: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[1700000000,"{value}"]}}}}"#)
}

#[tokio::test]
async fn one_number_is_read_and_negative_is_zero() {
    let cases = [("3", 3000), ("0", 0), ("2.5e-1", 250), ("-4", 0), ("1234.5678", 1_234_568)];
    for (text, milli) in cases {
        for body in [vector(&[text]), scalar(text)] {
            assert_eq!(read(&body, &[]).await, Ok((milli, milli > 0)), "{body}");
        }
    }
    assert_eq!(
        read(&vector(&["-4"]), &[("activationThreshold", "-5")]).await,
        Ok((0, true)),
        "the value itself counts"
    );
    for (value, active) in [("7.5", false), ("7.6", true)] {
        assert_eq!(read(&vector(&[value]), &[("activationThreshold", "7.5")]).await.unwrap().1, active);
    }
}

#[tokio::test]
async fn nothing_is_zero_only_where_the_user_chose_it() {
    let empty_pair = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[]}]}}"#;
    for body in [vector(&[]).as_str(), empty_pair] {
        assert_eq!(read(body, &[]).await, Ok((0, false)));
        let error = read(body, &[("ignoreNullValues", "false")]).await.unwrap_err();
        assert_eq!(
            error,
            (ReadErrorKind::Config, "the query gives no series, and ignoreNullValues is false".to_owned())
        );
    }
    for body in [vector(&["NaN"]), scalar("NaN")] {
        assert_eq!(read(&body, &[("ignoreNullValues", "true")]).await, Ok((0, false)), "chosen in so many words");
        for metadata in [&[][..], &[("ignoreNullValues", "false")]] {
            assert!(read(&body, metadata).await.unwrap_err().1.starts_with("the value is NaN"));
        }
    }
    for infinite in ["+Inf", "-Inf"] {
        for metadata in [&[][..], &[("ignoreNullValues", "true")]] {
            assert_eq!(read(&vector(&[infinite]), metadata).await.unwrap_err().1, "the value is infinite");
        }
    }
}

#[tokio::test]
async fn what_is_not_one_number_is_an_error() {
    let data = |data: &str| format!(r#"{{"status":"success","data":{data}}}"#);
    let series = |value: &str| data(&format!(r#"{{"resultType":"vector","result":[{{"metric":{{}},{value}}}]}}"#));
    let cases = [
        (vector(&["1", "2"]), "the query gives more than one series; join them, for example with sum()"),
        (data(r#"{"resultType":"matrix","result":[]}"#), "the query gives a matrix, not one number"),
        (data(r#"{"resultType":"string","result":[1,"x"]}"#), "the query gives a string, not one number"),
        (series(r#""histogram":[1,{"count":"3"}]"#), "the query gives a histogram, not one number"),
        (series(r#""value":[1,null]"#), "the value is not a number in quotes"),
        (series(r#""value":[1,5]"#), "the value is not a number in quotes"),
        (series(r#""value":[1]"#), "the value is not a number in quotes"),
        (series(r#""value":[1,"many"]"#), "the value is not a number"),
        (data("null"), "the answer has no result"),
        ("{}".to_owned(), "the answer says nothing of success"),
        ("<html>".to_owned(), "the answer is not JSON; is this the address of a Prometheus?"),
    ];
    for (body, what) in cases {
        assert_eq!(read(&body, &[]).await.unwrap_err().1, what, "{body}");
    }
}

#[tokio::test]
async fn the_servers_own_errors_are_named_and_its_words_are_not() {
    let cases = [
        ("400 Bad Request", "bad_data", ReadErrorKind::Config, "does not accept the query (bad_data)"),
        ("422 Unprocessable Entity", "execution", ReadErrorKind::Config, "cannot work the query out (execution)"),
        ("503 Service Unavailable", "timeout", ReadErrorKind::Timeout, "gave up on the query (timeout)"),
        ("500 Internal Server Error", "internal", ReadErrorKind::Unavailable, "failed (internal)"),
        ("200 OK", "bad_data", ReadErrorKind::Config, "does not accept the query (bad_data)"),
        ("401 Unauthorized", "bad_data", ReadErrorKind::Auth, "wants credentials (status 401); set authModes"),
    ];
    for (status, cause, kind, what) in cases {
        let body = format!(r#"{{"status":"error","errorType":"{cause}","error":"canary"}}"#);
        let server = Server::start(move |_| http(status, &body)).await;
        let error = server.prometheus().read().await.unwrap_err();
        assert_eq!((error.kind, error.message), (kind, format!("Prometheus at {}: {what}", server.url())));
    }
}

#[tokio::test]
async fn the_question_has_all_that_the_trigger_says() {
    let server = Server::saying(&vector(&["3"])).await;
    let metadata = [
        ("serverAddress", &*format!("{}/select/0/prometheus/", server.url())),
        ("query", "sum(rate(a{b=\"c d\"}[2m])) + 1"),
        ("namespace", "shop & co"),
        ("queryParameters", "partial_response=false, x=a b"),
        ("customHeaders", "X-Scope-OrgID=shop, X-Two=2"),
    ];
    assert_eq!(server.prometheus().with(&metadata).read().await, Ok((3000, true)));
    let said = &server.heard()[0];
    let expected = "GET /select/0/prometheus/api/v1/query?query=sum%28rate%28a%7Bb%3D%22c+d%22%7D%5B2m%5D%29%29+%2B+1\
        &namespace=shop+%26+co&partial_response=false&x=a+b HTTP/1.1";
    assert_eq!(said.lines().next(), Some(expected));
    assert_eq!((header(said, "x-scope-orgid"), header(said, "x-two")), (Some("shop"), Some("2")));
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    let errors = |metadata: &[(&str, &str)], auth: &[(&str, &str)]| -> Vec<String> {
        let trigger = Trigger::prometheus("http://prometheus:9090").with(metadata).auth(auth);
        let (env, auth) = (Known::Values(&trigger.parameters.env), Known::Values(&trigger.parameters.auth));
        check(&trigger.spec, env, auth).errors.iter().map(ToString::to_string).collect()
    };
    let cases = [
        (("serverAddress", "http://p:9090?x=1"), "has a query; use queryParameters"),
        (("serverAddress", "p:9090"), "is not a URL with http:// or https://"),
        (("threshold", "0"), "is not a number >= 0.001"),
        (("threshold", "-1"), "is not a number >= 0.001"),
        (("queryParameters", "a=b=c"), "is not a list of name=value"),
        (("customHeaders", "a b=c"), "is not a list of name=value with names and values that a header can have"),
        (("awsRegion", "eu"), "asks for Amazon Managed Service for Prometheus, which is not supported"),
        (("credentialsFromEnv", "X"), "asks for Google Managed Service for Prometheus, which is not supported"),
    ];
    for (replaced, what) in cases {
        let found = errors(&[replaced], &[]);
        assert!(found.len() == 1 && found[0].ends_with(what), "{found:?}");
    }
    assert!(!errors(&[("customHeaders", "a b=canary")], &[])[0].contains("canary"));
    assert_eq!(errors(&[], &[("GoogleApplicationCredentials", "{}")]).len(), 1);
}
