use tidegate_calculator::observation::TargetState;
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::snapshot::Phase;
use tidegate_engine::subject::{ObjectId, TargetRef};

use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_000_000 + millis).unwrap()
}

fn burst(number: usize, items: u32) -> Burst {
    Burst { number, items }
}

fn snapshot(millis: i64, change: Option<(i64, u32, u32)>) -> Snapshot {
    let target = TargetRef {
        namespace: "demo".into(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "orders".into(),
    };
    let replicas = change.map_or(0, |(_, _, to)| to);
    Snapshot {
        id: ObjectId::new("demo", "orders"),
        target,
        subject: None,
        phase: Phase::Running,
        seen: Some(TargetState { replicas, existing: replicas, ready: Some(replicas) }),
        evidence: Vec::new(),
        metrics: Vec::new(),
        decision: None,
        decision_lag: Span::ZERO,
        next_check: None,
        last_active: None,
        last_change: change.map(|(millis, from, to)| LastChange { at: at(millis), from, to, why: String::new() }),
        operations: None,
        errors: Vec::new(),
        now: Now { tick: Tick(millis), wall: at(millis) },
    }
}

fn starts(story: &mut Story, workers: std::ops::Range<i64>, first: i64) {
    for worker in workers {
        let report = Report::Started { worker: format!("w-{worker}"), at: at(first + worker) };
        story.report(&report, at(first + worker));
    }
}

fn done(story: &mut Story, items: u32, millis: i64) {
    for item in 0..items {
        let report = Report::Done { worker: "w-0".to_owned(), item: item.to_string() };
        story.report(&report, at(millis));
    }
}

/// 40 items at 2 s, 8 workers; 120 items at 8 s, 10 workers; done at 13 s; zero at 22 s.
fn whole() -> Story {
    let mut story = Story::new(at(0));
    story.snapshot(&snapshot(1_000, None));
    story.burst(burst(1, 40), at(2_000));
    story.snapshot(&snapshot(2_100, Some((2_040, 0, 8))));
    starts(&mut story, 0..8, 2_060);
    done(&mut story, 40, 5_000);
    story.burst(burst(2, 120), at(8_000));
    story.snapshot(&snapshot(8_100, Some((8_050, 8, 10))));
    starts(&mut story, 8..10, 8_072);
    done(&mut story, 120, 13_000);
    story.snapshot(&snapshot(22_100, Some((22_000, 10, 0))));
    story
}

#[test]
fn a_whole_round_has_a_summary() {
    assert_eq!(
        whole().outcome().unwrap().to_string(),
        "items        160 sent, 160 done\n\
         first worker 60 ms from the first item to the first worker process\n\
         full size    67 ms from burst 1 to 8 worker processes\n\
         full size    81 ms from burst 2 to 10 worker processes\n\
         back to 0    9.0 s after the last item was done (cooldown 8 s from the last item seen waiting)\n\
         writes       3 of replicas: 0 -> 8 -> 10 -> 0\n\
         result       0 -> 10 -> 0 in 20 s\n"
    );
}

#[test]
fn every_change_is_one_line() {
    let lines: Vec<String> = whole().take_lines().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "   2.0 s  burst    40 items at once",
            "   2.0 s  scale    0 -> 8: ",
            "   2.1 s  workers  8 running",
            "   5.0 s  done     all 40 items",
            "   8.0 s  burst    120 items at once",
            "   8.0 s  scale    8 -> 10: ",
            "   8.1 s  workers  10 running",
            "  13.0 s  done     all 160 items",
            "  22.0 s  scale    10 -> 0: ",
            "  22.1 s  workers  0 running",
        ]
    );
}

#[test]
fn what_is_missing_is_named() {
    let mut story = Story::new(at(0));
    assert!(story.outcome().unwrap_err().starts_with("no item was sent"));
    story.burst(burst(1, 1), at(0));
    assert_eq!(story.outcome().unwrap_err(), "the replicas never left 0");
    story.snapshot(&snapshot(1, Some((1, 0, 1))));
    assert_eq!(story.outcome().unwrap_err(), "0 of 1 items were done");
    done(&mut story, 1, 2);
    assert_eq!(story.outcome().unwrap_err(), "the replicas are still 1 and not 0");
    story.snapshot(&snapshot(3, Some((3, 1, 0))));
    assert!(story.outcome().is_ok());
}

#[test]
fn trouble_is_told_when_it_comes_and_when_it_goes() {
    let mut story = Story::new(at(0));
    let mut failing = snapshot(1_000, None);
    let error = ReadError::endpoint(ReadErrorKind::Unavailable, "no connection");
    failing.evidence = vec![Evidence::Failed { error, since: Tick(0), good: None }];
    story.snapshot(&failing);
    story.snapshot(&failing);
    story.burst(burst(1, 1), at(1_500));
    assert_eq!(story.outcome().unwrap_err(), "the replicas never left 0; the trigger fails: no connection");
    failing.evidence.clear();
    story.snapshot(&failing);
    let told: Vec<String> =
        story.take_lines().into_iter().filter(|line| line.what == "trouble").map(|line| line.text).collect();
    assert_eq!(told, ["the trigger fails: no connection", "is over"]);
}

#[test]
fn the_next_round_does_not_tell_old_changes_again() {
    let story = whole();
    let mut next = story.next_round();
    next.snapshot(&snapshot(23_000, Some((22_000, 10, 0))));
    assert_eq!(next.take_lines(), []);
    next.burst(burst(1, 1), at(24_000));
    assert_eq!(next.outcome().unwrap_err(), "the replicas never left 0");
}

#[test]
fn a_rate_limit_is_named_where_it_held_the_workers() {
    let mut story = Story::new(at(0));
    story.burst(burst(1, 8), at(1_000));
    story.rate_limited = Some(at(1_500));
    story.snapshot(&snapshot(2_000, Some((2_000, 0, 1))));
    starts(&mut story, 0..1, 2_010);
    assert_eq!(story.full_sizes(), ["1.0 s from burst 1 to 1 worker processes (the rate limit held them first)"]);
    story.rate_limited = Some(at(900));
    assert_eq!(story.full_sizes(), ["1.0 s from burst 1 to 1 worker processes"]);
}

#[test]
fn a_change_is_told_with_the_decision_that_it_came_of() {
    let mut story = Story::new(at(0));
    let decided =
        |millis, desired, why: &str| Some(Decided { tick: Tick(millis), at: at(millis), desired, why: why.to_owned() });
    let change = LastChange { at: at(50), from: 0, to: 8, why: "the stored reason".to_owned() };
    story.decisions = [decided(40, 8, "it wants 8"), decided(60, 8, "it is held at 8")];
    assert_eq!(story.why_of(&change), "it wants 8");
    story.decisions = [decided(10, 0, "it rests"), decided(40, 8, "it wants 8")];
    assert_eq!(story.why_of(&change), "it wants 8");
    story.decisions = [decided(10, 0, "it rests"), decided(60, 8, "it is held at 8")];
    assert_eq!(story.why_of(&change), "the stored reason");
}
