//! The demo as a newcomer runs it, piped: plain lines, a summary, exit code 0, and nothing left behind.

use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::children::Running;
use crate::harness::manifests::Manifests;
use crate::harness::tidegate::command;
use crate::harness::trial;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("demo::workers_go_up_and_back_to_0_within_a_minute", run)]
}

fn run() {
    let manifests = Manifests::new();
    let log = manifests.scratch().join("demo.log");
    let code = Running::start(&mut command(&["demo"]), &log).wait(Duration::from_mins(2));
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains('\u{1b}'), "a pipe gets plain lines:\n{text}");

    let summary = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in the summary:\n{text}")).trim().to_owned()
    };
    // `160 sent, 160 done`
    let items = summary("items ");
    let (sent, done) = items.split_once(" sent, ").unwrap();
    assert_eq!(Some(sent), done.strip_suffix(" done"), "{text}");
    for name in ["first worker ", "full size ", "back to 0 ", "writes "] {
        println!("demo: {name}{}", summary(name));
    }
    // `0 -> 10 -> 0 in 20 s`
    let result = summary("result ");
    let (way, seconds) = result.strip_suffix(" s").and_then(|result| result.split_once(" in ")).unwrap();
    let counts: Vec<u32> = way.split(" -> ").map(|count| count.parse().unwrap()).collect();
    assert!(matches!(counts[..], [0, top, 0] if top > 1), "{text}");
    assert!(seconds.parse::<u32>().unwrap() <= 60, "{text}");
    assert!(text.trim_end().ends_with(&result), "the result is the last line:\n{text}");
}
