use super::*;

fn counts(messages: u64, published: f64, delivered: f64) -> Counts {
    Counts { messages, published, delivered }
}

#[test]
fn a_queue_is_read_with_what_its_consumers_hold_or_without() {
    let body = br#"{"name":"jobs","messages":9,"messages_ready":4,"state":"running","something_new":{"a":[1]},
        "message_stats":{"publish":30,"publish_details":{"rate":2.5},"deliver_get_details":{"rate":0.5}}}"#;
    let facts = queue(body).unwrap();
    assert_eq!((facts.counts(false), facts.counts(true)), (Some(counts(9, 2.5, 0.5)), Some(counts(4, 2.5, 0.5))));
    assert!(facts.has_rates);
}

#[test]
fn rates_that_are_left_out_are_zero_and_counts_that_are_left_out_are_none() {
    let quiet = queue(br#"{"name":"jobs","messages":0,"messages_ready":0}"#).unwrap();
    assert_eq!((quiet.counts(false), quiet.has_rates), (Some(counts(0, 0.0, 0.0)), false));
    let half = queue(br#"{"name":"jobs","messages":1,"message_stats":{"publish_details":{"rate":1}}}"#).unwrap();
    assert_eq!((half.counts(false), half.counts(true)), (Some(counts(1, 1.0, 0.0)), None));
    let starting = queue(br#"{"name":"jobs"}"#).unwrap();
    assert_eq!((starting.counts(false), starting.counts(true)), (None, None));
    let null = queue(br#"{"name":"jobs","messages":null,"message_stats":null}"#).unwrap();
    assert_eq!((null.counts(false), null.has_rates), (None, false));
    let restarted = queue(br#"{"name":"j","messages":1,"message_stats":{"publish_details":{"rate":-3.5}}}"#).unwrap();
    assert_eq!(restarted.counts(false), Some(counts(1, 0.0, 0.0)));
}

#[test]
fn what_is_not_of_the_api_is_found_out() {
    let cases: [&[u8]; 7] = [
        b"<html></html>",
        b"{}",
        b"[]",
        b"7",
        br#"{"name":"jobs","messages":"9"}"#,
        br#"{"name":"jobs","messages":-1}"#,
        br#"{"name":"jobs","message_stats":{"publish_details":{"rate":"fast"}}}"#,
    ];
    for body in cases {
        assert_eq!(queue(body), Err(Foreign), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn pages_and_whole_lists_are_read() {
    let body = br#"{"filtered_count":3,"item_count":1,"page":2,"page_count":2,"page_size":2,"total_count":7,
        "items":[{"name":"a","messages":1,"messages_ready":1}]}"#;
    let page = page(body).unwrap();
    assert_eq!((page.pages, page.matching, page.total, page.queues[0].0.as_str()), (2, 3, 7, "a"));
    let whole = super::page(br#"[{"name":"a","messages":1},{"name":"b"}]"#).unwrap();
    assert_eq!((whole.pages, whole.matching, whole.total, whole.queues.len()), (1, 2, 2, 2));
    for body in [&b"{}"[..], br#"{"items":[]}"#, br#"[{"messages":1}]"#, b"oops"] {
        assert_eq!(super::page(body), Err(Foreign));
    }
}

#[test]
fn an_api_without_rates_says_so() {
    assert_eq!(keeps_no_rates(br#"{"rates_mode":"basic","disable_stats":false}"#), Ok(false));
    assert_eq!(keeps_no_rates(br#"{"rates_mode":"detailed"}"#), Ok(false));
    assert_eq!(keeps_no_rates(br#"{"rates_mode":"none"}"#), Ok(true));
    assert_eq!(keeps_no_rates(br#"{"rates_mode":"basic","disable_stats":true}"#), Ok(true));
    assert_eq!(keeps_no_rates(b"{}"), Err(Foreign));
}
