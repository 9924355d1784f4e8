//! Replays `docs/rules.md`, so that the page cannot say what does not happen: its YAML goes through validation, its timelines through the
//! engine in virtual time, and every row is compared with the replicas and the explanation of its moment.

mod page;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use tidegate_calculator::explain;
use tidegate_calculator::policy::Settings;
use tidegate_calculator::source::Milli;
use tidegate_calculator::time::{Span, Tick};
use tidegate_crds::annotations::POLICIES;
use tidegate_engine::snapshot::Snapshot;
use tidegate_engine::subject::{ObjectId, Severity, Subject};

use super::scripted::Said;
use super::{Edit, Faults, Simulation, Trace, Writer};
use crate::manifests::{self, Document};
use crate::server::explanation::explain;
use crate::validation::{self, Files};
use page::{Part, Row, Timeline};

/// The page.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.md");
/// The namespace of all objects of the page.
const NAMESPACE: &str = "shop";
/// The name of the file that the manifests of the page would stand in.
const FILE: &str = "rules.yaml";
/// What stands for everything that an object of the page could scale.
const DEPLOYMENT: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: NAME, namespace: shop}}";
/// How long a row lasts: to the end of its second, because a stabilization window ends a millisecond after it.
const SECOND: Span = Span(999);

/// What has been applied so far: as on a cluster, a later manifest takes the place of one with the same kind and name.
#[derive(Clone, Default)]
struct Applied(Vec<Document>);

impl Applied {
    fn apply(&mut self, documents: &[Document]) {
        for document in documents {
            self.delete(document.kind(), document.name());
            self.0.push(document.clone());
        }
    }

    fn delete(&mut self, kind: &str, name: &str) {
        self.0.retain(|one| (one.kind(), one.name()) != (kind, name));
    }

    fn find(&self, kind: &str, name: &str) -> Document {
        let found = self.0.iter().find(|one| (one.kind(), one.name()) == (kind, name));
        found.unwrap_or_else(|| panic!("the page has no {kind} {name}")).clone()
    }

    /// Applies these, each object with something that it can scale; the errors and warnings about anything.
    fn take(&mut self, documents: &[Document]) -> Vec<String> {
        self.apply(documents);
        for object in documents.iter().filter(|one| one.kind() == "ScaledObject") {
            self.apply(&parse(&DEPLOYMENT.replace("NAME", object.name())));
        }
        let said = self.judge(Timestamp::UNIX_EPOCH).0.into_iter();
        said.filter(|(severity, _)| *severity != Severity::Info).map(|(_, text)| text).collect()
    }

    /// The findings about all documents, in the form of `tidegate validate`, and the subjects.
    fn judge(&self, created: Timestamp) -> (Vec<(Severity, String)>, Vec<Subject>) {
        let reports = validation::documents(&self.0, &Files::new(&self.0).for_cluster(), &Settings::default(), created);
        let (mut said, mut subjects) = (Vec::new(), Vec::new());
        for (document, report) in self.0.iter().zip(reports) {
            for finding in &report.findings {
                let at = validation::place(document, finding).unwrap();
                said.push((finding.severity, format!("{FILE}:{}:{} {finding}\n", at.line, at.column)));
            }
            subjects.extend(report.scaled_object.and_then(|validated| validated.subject).map(|subject| *subject));
        }
        (said, subjects)
    }

    fn subject(&self, name: &str, created: Timestamp) -> Subject {
        let id = ObjectId::new(NAMESPACE, name);
        let found = self.judge(created).1.into_iter().find(|subject| subject.id == id);
        found.unwrap_or_else(|| panic!("the page has no ScaledObject {id} that can be obeyed"))
    }
}

fn page() -> Vec<Part> {
    page::read(&std::fs::read_to_string(PAGE).unwrap())
}

fn parse(text: &str) -> Vec<Document> {
    manifests::parse(Path::new(FILE), text).unwrap_or_else(|broken| panic!("{broken}"))
}

/// What the page comes to before its timelines are played: each with what has been applied until then, and what is wrong.
fn prepare(parts: &[Part]) -> (Vec<(Applied, Timeline)>, Vec<String>) {
    let (mut applied, mut timelines, mut wrong) = (Applied::default(), Vec::new(), Vec::new());
    let mut parts = parts.iter().peekable();
    while let Some(part) = parts.next() {
        match part {
            Part::Yaml(line, text) => {
                let documents = parse(text);
                match parts.next_if(|part| matches!(part, Part::Validated(_))) {
                    Some(Part::Validated(expected)) => {
                        let said = Applied(documents).judge(Timestamp::UNIX_EPOCH).0;
                        let said: String = said.into_iter().map(|(_, text)| text).collect();
                        if said != *expected {
                            wrong.push(format!("line {line}: tidegate validate says\n{said}"));
                        }
                    }
                    _ => wrong.extend(applied.take(&documents).into_iter().map(|text| format!("line {line}: {text}"))),
                }
            }
            Part::Validated(_) => wrong.push("what validate says has no YAML before it".to_owned()),
            Part::Timeline(timeline) => timelines.push((applied.clone(), timeline.clone())),
        }
    }
    (timelines, wrong)
}

/// One timeline on its way.
struct Replay<'a> {
    timeline: &'a Timeline,
    /// What is applied at the moment, and what the page has applied before the timeline.
    applied: Applied,
    whole: &'a Applied,
    subject: Subject,
    simulation: Simulation,
    /// The first row's moment, at which the object is created: a moment at which it is read anyway.
    begin: Tick,
}

impl<'a> Replay<'a> {
    fn new(applied: &'a Applied, timeline: &'a Timeline) -> Self {
        let subject = applied.subject(&timeline.object, timeline.start);
        let begin = moment_of_a_read(&subject);
        let mut trace = Trace::default();
        for row in &timeline.rows {
            let at = begin + since(timeline, row.at);
            row.said.iter().for_each(|(trigger, said)| trace.say(at - Tick(0), trigger, *said));
        }
        let start = timeline.start - SignedDuration::from_millis(begin.0);
        let mut simulation = Simulation::new(start, trace, Faults::default());
        simulation.deploy(subject.target.clone(), timeline.replicas, Span::ZERO);
        simulation.at(begin, Edit::Set(Box::new(subject.clone())));
        Self { timeline, applied: applied.clone(), whole: applied, subject, simulation, begin }
    }

    /// What is there at each row.
    fn play(mut self) -> Vec<Seen> {
        let (mut seen, mut changes) = (Vec::new(), 0);
        for row in &self.timeline.rows {
            let at = self.begin + since(self.timeline, row.at);
            if let Some(done) = &row.done {
                self.perform(row, done, at);
            }
            let new: Vec<_> = self.simulation.run(at + SECOND).unwrap().changes[changes..].to_vec();
            changes += new.len();
            let before = new.iter().filter(|change| change.at < at);
            let before = before.map(|change| {
                let when = self.timeline.start + SignedDuration::from_millis((change.at - self.begin).0);
                format!("{} -> {} at {when}: {:?}", change.from, change.to, change.why)
            });
            let ours = new.iter().rev().find(|change| change.at >= at && change.by != Writer::Foreign);
            let why = ours.and_then(|change| change.why.clone()).unwrap_or_default();
            let snapshot = self.simulation.ask(Some(self.subject.id.clone())).remove(0);
            let text = format!("{why} {}", words(&snapshot));
            seen.push(Seen {
                replicas: self.simulation.target(&self.subject.target).unwrap().replicas,
                text: text.split_whitespace().collect::<Vec<_>>().join(" "),
                before: before.collect(),
            });
        }
        seen
    }

    /// What somebody does at this moment, before anything is read.
    fn perform(&mut self, row: &Row, command: &str, at: Tick) {
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["scale", count] => {
                let edit = Edit::Replicas(self.subject.target.clone(), count.parse().unwrap());
                return self.simulation.at(at, edit);
            }
            ["delete", policy] => self.applied.delete("ScalingPolicy", policy),
            ["apply", policy] => {
                let policy = self.whole.find("ScalingPolicy", policy);
                self.applied.apply(&[policy]);
            }
            ["annotate", policies] => {
                let mut object = self.applied.find("ScaledObject", &self.timeline.object);
                object.value["metadata"]["annotations"][POLICIES] = policies.into();
                self.applied.apply(&[object]);
            }
            _ => panic!("line {}: {command:?} is no command", row.line),
        }
        let subject = self.applied.subject(&self.timeline.object, self.timeline.start);
        self.simulation.at(at, Edit::Set(Box::new(subject)));
    }
}

/// What is there at one row.
struct Seen {
    replicas: u32,
    /// Why it is so: of a change its reason, and what is explained after it.
    text: String,
    /// Changes since the row above.
    before: Vec<String>,
}

/// What is not as the rows say.
fn compare(rows: &[Row], seen: &[Seen]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (row, seen) in rows.iter().zip(seen) {
        wrong.extend(seen.before.iter().map(|change| format!("before line {}: {change}", row.line)));
        if seen.replicas != row.replicas || row.why.iter().any(|why| !seen.text.contains(why.as_str())) {
            wrong.push(format!("line {}: {} replicas, {}", row.line, seen.replicas, seen.text));
        }
    }
    wrong
}

/// How long after the start of the timeline.
fn since(timeline: &Timeline, at: Timestamp) -> Span {
    Span(i64::try_from(at.duration_since(timeline.start).as_millis()).unwrap())
}

/// What `tidegate explain` and the ScaleRecord say.
fn words(snapshot: &Snapshot) -> String {
    let line = match (&snapshot.subject, &snapshot.decision) {
        (Some(subject), Some((decision, _))) => {
            explain::why(&subject.policy, &snapshot.evidence, decision, snapshot.now)
        }
        _ => String::new(),
    };
    format!("{line}\n{}", explain(snapshot).text())
}

/// A moment at which such an object is read because it is due. An object that is created then is read every 15 s from its start on.
fn moment_of_a_read(subject: &Subject) -> Tick {
    let mut simulation = Simulation::new(Timestamp::UNIX_EPOCH, Trace::default(), Faults::default());
    simulation.deploy(subject.target.clone(), 1, Span::ZERO);
    simulation.set(subject.clone());
    let reads = &simulation.run(Tick(60_000)).unwrap().reads;
    reads.last().unwrap().at
}

#[test]
fn every_row_happens_as_it_is_told() {
    let (timelines, mut wrong) = prepare(&page());
    let rows: usize = timelines.iter().map(|(_, timeline)| timeline.rows.len()).sum();
    for (applied, timeline) in &timelines {
        wrong.extend(compare(&timeline.rows, &Replay::new(applied, timeline).play()));
    }
    assert!(wrong.is_empty(), "docs/rules.md is not true:\n\n{}", wrong.join("\n\n"));
    assert!(
        timelines.len() > 12 && rows > 90,
        "{} timelines, {rows} rows: the page was not understood",
        timelines.len()
    );
}

/// Every number of a table that is altered is noticed: times, what triggers say, replicas, and what stands in `why`.
#[test]
fn an_altered_number_is_noticed() {
    let mut unnoticed = Vec::new();
    for (applied, timeline) in &prepare(&page()).0 {
        let seen = Replay::new(applied, timeline).play();
        for index in 0..timeline.rows.len() {
            let told = retold(&timeline.rows, index).into_iter().filter(|(_, rows)| compare(rows, &seen).is_empty());
            let other = altered(&timeline.rows, index).into_iter().filter(|(_, rows)| {
                let timeline = Timeline { rows: rows.clone(), ..timeline.clone() };
                compare(rows, &Replay::new(applied, &timeline).play()).is_empty()
            });
            let line = timeline.rows[index].line;
            unnoticed.extend(told.chain(other).map(|(what, _)| format!("line {line}: {what}")));
        }
    }
    assert!(unnoticed.is_empty(), "nobody would notice another number:\n{}", unnoticed.join("\n"));
}

/// What was altered, and the rows with it.
type Alteration = (String, Vec<Row>);

/// These rows, up to the one after `index`, with that one altered.
fn with(rows: &[Row], index: usize, what: &str, alter: impl FnOnce(&mut Row)) -> Alteration {
    let mut rows = rows[..rows.len().min(index + 2)].to_vec();
    alter(&mut rows[index]);
    (what.to_owned(), rows)
}

/// A row that tells another outcome: another count of replicas, and each digit of `why` another one.
fn retold(rows: &[Row], index: usize) -> Vec<Alteration> {
    let mut all = vec![with(rows, index, "replicas", |row| row.replicas += 1)];
    for (place, why) in rows[index].why.iter().enumerate() {
        for (at, digit) in why.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
            let other = if digit == '9' { "8" } else { "9" };
            all.push(with(rows, index, why, |row| row.why[place].replace_range(at..=at, other)));
        }
    }
    all
}

/// A row to which something else leads: other values, and, where time alone changes the replicas, another time.
fn altered(rows: &[Row], index: usize) -> Vec<Alteration> {
    let (row, mut all) = (&rows[index], Vec::new());
    if index > 0 && row.said.is_empty() && row.done.is_none() && row.replicas != rows[index - 1].replicas {
        for seconds in [-15, 15] {
            all.push(with(rows, index, "time", |row| row.at += SignedDuration::from_secs(seconds)));
        }
    }
    for (place, (name, said)) in row.said.iter().enumerate() {
        let Said::Number(number) = said else { continue };
        let other = Said::Number(Milli(number.0 + number.0 / 10 + 10));
        all.push(with(rows, index, name, |row| row.said[place].1 = other));
    }
    all
}
