//! When queues are read out of one list and when one by one, and what lists may do while they are read.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_scalers::Endpoints;

use crate::scripted::Api;
use crate::trigger::{Trigger, class, value, value_within};

/// A number in the query of a path.
fn number(path: &str, name: &str) -> Option<usize> {
    let query = path.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// An API with queues `q0`, `q1`, ... which hold as many messages as their number; what is beyond is missing.
fn answer(queues: usize, path: &str) -> (u16, String) {
    let Some(page) = number(path, "page") else {
        let name = path.split('?').next().unwrap().rsplit('/').next().unwrap();
        let known = name.strip_prefix('q').and_then(|number| number.parse().ok()).filter(|number| *number < queues);
        return match known {
            Some(number) => (200, queue(number)),
            None => (404, r#"{"error":"Object Not Found","reason":"Not Found"}"#.to_owned()),
        };
    };
    let size = number(path, "page_size").unwrap();
    let items = (0..queues).skip((page - 1) * size).take(size).map(queue).collect::<Vec<_>>().join(",");
    let pages = queues.div_ceil(size);
    let mut body = format!(r#"{{"filtered_count":{queues},"total_count":{queues},"page_count":{pages},"#);
    write!(body, r#""item_count":1,"items":[{items}]}}"#).unwrap();
    (200, body)
}

fn queue(number: usize) -> String {
    format!(r#"{{"name":"q{number}","messages":{number},"messages_ready":0}}"#)
}

/// Reads so many queues at once, twice, and says what was asked.
async fn asked(api: &Api, queues: usize) -> Vec<String> {
    let endpoints = Endpoints::new();
    let open = |number| Trigger::new(&api.url(), &format!("q{number}")).open(&endpoints);
    let scalers: Vec<_> = (0..queues).map(open).collect();
    for _ in 0..2 {
        let outcomes = join_all(scalers.iter().map(|scaler| value(&**scaler))).await;
        for (number, outcome) in (0_i64..).zip(outcomes) {
            assert_eq!(outcome, Ok((number * 1000, number > 0)));
        }
    }
    api.paths()
}

#[tokio::test]
async fn many_of_a_virtual_hosts_queues_are_read_out_of_one_list() {
    let api = Api::start(|path| answer(1200, path)).await;
    let paths = asked(&api, 100).await;
    // 100 of 1200 are more than one in 20: how many there are, and then twice three pages of 500.
    assert_eq!(paths.len(), 1 + 2 * 3, "{paths:?}");
    assert!(paths.iter().all(|path| path.contains("columns=name")), "{paths:?}");
}

#[tokio::test]
async fn few_of_a_virtual_hosts_queues_are_read_one_by_one() {
    let api = Api::start(|path| answer(1200, path)).await;
    let paths = asked(&api, 50).await;
    assert_eq!(paths.len(), 1 + 2 * 50, "how many there are, and then each queue");
    let api = Api::start(|path| answer(9, path)).await;
    let paths = asked(&api, 7).await;
    assert_eq!(paths.len(), 2 * 7, "so few are not worth a look at how many there are");
}

#[tokio::test]
async fn a_list_that_fails_or_hangs_costs_nobody_a_reading() {
    for broken in [(500, String::new()), (200, "oops".to_owned()), (0, String::new())] {
        let api = Api::start(move |path| if path.contains("page=") { broken.clone() } else { answer(50, path) }).await;
        let endpoints = Endpoints::new();
        let open = |number| Trigger::new(&api.url(), &format!("q{number}")).open(&endpoints);
        let scalers: Vec<_> = (0..20).map(open).collect();
        for _ in 0..2 {
            let reads = scalers.iter().map(|scaler| value_within(&**scaler, Duration::from_secs(8)));
            let outcomes = join_all(reads).await;
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        }
        let lists = api.paths().iter().filter(|path| path.contains("page=")).count();
        assert_eq!(lists, 1, "it is left alone for a while");
    }
}

#[tokio::test]
async fn a_queue_that_the_list_does_not_have_is_asked_for_by_itself() {
    let api = Api::start(|path| answer(20, path)).await;
    let endpoints = Endpoints::new();
    let scalers: Vec<_> =
        (10..30).map(|number| Trigger::new(&api.url(), &format!("q{number}")).open(&endpoints)).collect();
    let outcomes = join_all(scalers.iter().map(|scaler| value(&**scaler))).await;
    for (number, outcome) in (10_i64..).zip(outcomes) {
        if number < 20 {
            assert_eq!(outcome, Ok((number * 1000, true)));
        } else {
            assert_eq!(class(&outcome), (ReadErrorKind::Config, ErrorScope::Query));
        }
    }
}

#[tokio::test]
async fn a_list_that_changes_while_it_is_read_is_begun_again() {
    let pages = AtomicUsize::new(0);
    // The third page is the first of the second try: from then on there are seven queues and no longer eight.
    let shrinking = move |path: &str| {
        let page = if path.contains("page=") { pages.fetch_add(1, Ordering::SeqCst) } else { 9 };
        answer(if page == 0 { 8 } else { 7 }, path)
    };
    let api = Api::start(shrinking).await;
    let trigger = Trigger::new(&api.url(), "^q").with(&[("useRegex", "true"), ("pageSize", "3")]);
    // 0 + 1 + ... + 6 = 21
    assert_eq!(trigger.read().await, Ok((21_000, true)));
    assert_eq!(api.paths().len(), 2 + 3);
    let calls = AtomicUsize::new(0);
    let restless = Api::start(move |path| answer(8 + calls.fetch_add(1, Ordering::SeqCst) % 2, path)).await;
    let trigger = Trigger::new(&restless.url(), "^q").with(&[("useRegex", "true"), ("pageSize", "3")]);
    let outcome = trigger.read().await;
    assert_eq!(class(&outcome), (ReadErrorKind::Unavailable, ErrorScope::Query), "{outcome:?}");
}

#[tokio::test]
async fn a_server_without_rates_or_counts_gives_none() {
    let rates = |mode: &'static str| {
        move |path: &str| {
            if path.contains("/overview") {
                return (200, format!(r#"{{"rates_mode":"{mode}"}}"#));
            }
            answer(5, path)
        }
    };
    let (without, with) = (Api::start(rates("none")).await, Api::start(rates("basic")).await);
    let outcome = Trigger::new(&without.url(), "q1").mode("DeliverGetRate").read().await;
    assert_eq!(class(&outcome), (ReadErrorKind::Config, ErrorScope::Query), "{outcome:?}");
    assert_eq!(Trigger::new(&with.url(), "q1").mode("DeliverGetRate").read().await, Ok((0, false)));
    assert_eq!(Trigger::new(&without.url(), "q1").read().await, Ok((1000, true)), "a length needs no rates");
    let starting = Api::start(|_| (200, r#"{"name":"q1"}"#.to_owned())).await;
    let outcome = Trigger::new(&starting.url(), "q1").read().await;
    assert_eq!(class(&outcome), (ReadErrorKind::Unavailable, ErrorScope::Query), "{outcome:?}");
}

#[tokio::test]
async fn a_timeout_shortens_the_deadline_and_equal_questions_are_asked_once() {
    let silent = Api::start(|_| (0, String::new())).await;
    let scaler = Trigger::new(&silent.url(), "q1").with(&[("timeout", "200")]).open(&Endpoints::new());
    let begun = tokio::time::Instant::now();
    assert_eq!(value(&*scaler).await.unwrap_err().kind, ReadErrorKind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let api = Api::start(|path| answer(5, path)).await;
    let endpoints = Endpoints::new();
    let scalers: Vec<_> = (0..50).map(|_| Trigger::new(&api.url(), "q3").open(&endpoints)).collect();
    let outcomes = join_all(scalers.iter().map(|scaler| value(&**scaler))).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Ok((3000, true))));
    assert!(api.paths().len() < 5, "{} requests", api.paths().len());
}
