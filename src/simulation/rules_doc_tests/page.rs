//! Reads `docs/rules.md`: its YAML, what `tidegate validate` says of it, and its timelines.
//!
//! A timeline is a line such as "From 2026-11-30 12:00:00 UTC, `orders` with 2 replicas:" and the table below it. Its columns are `UTC`
//! (a time of day, with the day where it is another one), one a trigger (what its source says from then on; empty is as before), perhaps
//! `done` (a command in a code span), `replicas`, and `why` (code spans, each of which the explanation contains).

use std::iter::Peekable;
use std::str::Lines;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::simulation::scripted::Said;

/// What matters of the page, in its order.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// Manifests, and the line of the page before their first one.
    Yaml(usize, String),
    /// What `tidegate validate` prints about the manifests above.
    Validated(String),
    /// A timeline.
    Timeline(Timeline),
}

/// What happens to one object.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    pub(super) start: Timestamp,
    /// The name of the `ScaledObject`.
    pub(super) object: String,
    /// The replicas before the first row.
    pub(super) replicas: u32,
    pub(super) rows: Vec<Row>,
}

/// One moment of a timeline.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) at: Timestamp,
    pub(super) said: Vec<(String, Said)>,
    pub(super) done: Option<String>,
    pub(super) replicas: u32,
    pub(super) why: Vec<String>,
}

/// The numbered lines that are still to be read.
type Rest<'a> = Peekable<std::iter::Enumerate<Lines<'a>>>;

/// Reads the page.
pub(super) fn read(text: &str) -> Vec<Part> {
    let (mut parts, mut rest) = (Vec::new(), text.lines().enumerate().peekable());
    while let Some((index, line)) = rest.next() {
        match line {
            "```yaml" => parts.push(Part::Yaml(index + 1, fenced(&mut rest))),
            "```text" => parts.push(Part::Validated(fenced(&mut rest))),
            _ if line.starts_with("From ") => parts.push(Part::Timeline(timeline(index + 1, line, &mut rest))),
            _ => assert!(!line.starts_with("| UTC"), "line {}: a timeline without its From", index + 1),
        }
    }
    parts
}

fn fenced(rest: &mut Rest<'_>) -> String {
    let lines = rest.map(|(_, line)| line).take_while(|line| *line != "```");
    lines.fold(String::new(), |text, line| text + line + "\n")
}

fn timeline(line: usize, text: &str, rest: &mut Rest<'_>) -> Timeline {
    let wrong = || format!("line {line}: {text:?} is not From DATE TIME UTC, `OBJECT` with N replicas:");
    let head =
        text.strip_prefix("From ").and_then(|text| text.split_once(" UTC, `")).unwrap_or_else(|| panic!("{}", wrong()));
    let (object, count) = head.1.split_once("` with ").unwrap_or_else(|| panic!("{}", wrong()));
    let replicas =
        count.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{}", wrong()));
    let start = moment(head.0, None);
    assert_eq!(rest.next().map(|(_, line)| line), Some(""), "line {line}: an empty line and a table come next");
    let header = rest.next().map(|(_, line)| cells(line)).unwrap_or_default();
    assert_eq!((header[0].as_str(), header.last().unwrap().as_str()), ("UTC", "why"), "line {line}");
    rest.next();
    let mut rows: Vec<Row> = Vec::new();
    while let Some((index, line)) = rest.next_if(|(_, line)| line.starts_with('|')) {
        let before = rows.last().map_or(start, |row| row.at);
        rows.push(row(index + 1, &header, &cells(line), before));
    }
    assert_eq!(rows.first().map(|row| row.at), Some(start), "line {line}: the first row is not the start");
    Timeline { start, object: object.to_owned(), replicas, rows }
}

fn row(line: usize, header: &[String], cells: &[String], before: Timestamp) -> Row {
    assert_eq!(header.len(), cells.len(), "line {line}: the cells are not as many as the columns");
    let mut row = Row { line, at: before, said: Vec::new(), done: None, replicas: 0, why: Vec::new() };
    for (name, cell) in header.iter().zip(cells) {
        match name.as_str() {
            "UTC" => row.at = moment(cell, Some(before)),
            "replicas" => row.replicas = cell.parse().unwrap_or_else(|_| panic!("line {line}: replicas {cell:?}")),
            "why" => row.why = spans(line, cell),
            _ if cell.is_empty() => {}
            "done" => row.done = spans(line, cell).pop(),
            _ => row.said.push((name.clone(), cell.parse().unwrap_or_else(|error| panic!("line {line}: {error}")))),
        }
    }
    assert!(!row.why.is_empty(), "line {line}: a row says why");
    assert!(row.at >= before, "line {line}: {} is before the row above", row.at);
    row
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The code spans of a cell that has nothing but such, with commas between them.
fn spans(line: usize, cell: &str) -> Vec<String> {
    let outside: String = cell.split('`').step_by(2).collect();
    assert!(outside.chars().all(|c| c == ',' || c == ' '), "line {line}: {outside:?} is not checked by anybody");
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `12:00:00` of the day before, or with a day.
fn moment(text: &str, before: Option<Timestamp>) -> Timestamp {
    let wrong = |error: jiff::Error| -> Timestamp { panic!("{text:?} is no moment: {error}") };
    let (date, time): (Date, &str) = match (text.split_once(' '), before) {
        (Some((date, time)), _) => (date.parse().unwrap(), time),
        (None, Some(before)) => (before.to_zoned(TimeZone::UTC).date(), text),
        (None, None) => panic!("{text:?} has no day"),
    };
    let time: Time = time.parse().unwrap_or_else(|error| panic!("{text:?} is no time: {error}"));
    date.to_datetime(time).to_zoned(TimeZone::UTC).map_or_else(wrong, |zoned| zoned.timestamp())
}
