//! What happened in one round, as lines to read and as numbers for the summary. It does no I/O and reads no clock.

use std::fmt::{self, Write};

use jiff::Timestamp;
use tidegate_calculator::decision::Limit;
use tidegate_calculator::explain;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::time::Tick;
use tidegate_engine::protocol::LastChange;
use tidegate_engine::snapshot::Snapshot;

use super::manifests::COOLDOWN;
use super::producer::Burst;
use super::report::Report;

/// One line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When, since the demo began.
    pub(super) at: Millis,
    /// What kind of thing happened, in one word.
    pub(super) what: &'static str,
    /// What happened.
    pub(super) text: String,
}

/// A length of time in milliseconds, shown as `62 ms` or `8.6 s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Millis(pub(super) i64);

/// What has happened so far.
#[derive(Debug)]
pub(super) struct Story {
    begun: Timestamp,
    lines: Vec<Line>,
    bursts: Vec<(Burst, Timestamp)>,
    /// When each worker process began, in the order of the reports.
    starts: Vec<Timestamp>,
    changes: Vec<LastChange>,
    done: u64,
    last_done: Option<Timestamp>,
    running: Option<u32>,
    limit: Option<Limit>,
    /// The last decisions: the write that came of one may be seen only after the next.
    decisions: [Option<Decided>; 2],
    /// When a rate limit was last seen to hold the replicas.
    rate_limited: Option<Timestamp>,
    trouble: Option<String>,
}

/// A decision in words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decided {
    tick: Tick,
    at: Timestamp,
    desired: u32,
    why: String,
}

/// The measured numbers of a complete round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    lines: Vec<(&'static str, String)>,
}

impl Story {
    /// A round that begins now; `begun` is when the demo began.
    pub(super) fn new(begun: Timestamp) -> Self {
        let (lines, bursts, starts, changes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (last_done, running, limit, rate_limited, trouble) = (None, None, None, None, None);
        let (done, decisions) = (0, [None, None]);
        Self {
            begun,
            lines,
            bursts,
            starts,
            changes,
            done,
            last_done,
            running,
            limit,
            decisions,
            rate_limited,
            trouble,
        }
    }

    /// The round after this one. Changes that were told already are not told again.
    pub(super) fn next_round(&self) -> Self {
        let changes = self.changes.last().cloned().into_iter().collect();
        let (trouble, decisions) = (self.trouble.clone(), self.decisions.clone());
        let Self { limit, running, begun, .. } = *self;
        Self { changes, running, limit, decisions, trouble, ..Self::new(begun) }
    }

    /// The lines since this was asked last.
    pub(super) fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// Takes up lines of the round before that nobody has read yet.
    pub(super) fn keep_lines(&mut self, lines: Vec<Line>) {
        self.lines.extend(lines);
    }

    /// Adds a line.
    pub(super) fn tell(&mut self, at: Timestamp, what: &'static str, text: impl Into<String>) {
        let at = between(self.begun, at);
        self.lines.push(Line { at, what, text: text.into() });
    }

    /// A burst is being sent.
    pub(super) fn burst(&mut self, burst: Burst, at: Timestamp) {
        self.bursts.push((burst, at));
        self.tell(at, "burst", format!("{} items at once", burst.items));
    }

    /// A worker has told something.
    pub(super) fn report(&mut self, report: &Report, at: Timestamp) {
        match report {
            Report::Started { at, .. } => self.starts.push(*at),
            Report::Done { .. } => {
                self.done += 1;
                self.last_done = Some(at);
                if self.done == self.produced() {
                    self.tell(at, "done", format!("all {} items", self.done));
                }
            }
        }
    }

    /// The engine's view of the object.
    pub(super) fn snapshot(&mut self, snapshot: &Snapshot) {
        let at = snapshot.now.wall;
        self.trouble(snapshot, at);
        self.decided(snapshot);
        let limit = snapshot.decision.as_ref().map(|(decision, _)| decision.limited_by);
        let settled = snapshot.decision.as_ref().is_some_and(|(decision, _)| decision.write.is_none());
        match &snapshot.last_change {
            Some(change) if self.changes.last() != Some(change) => {
                self.tell(change.at, "scale", format!("{} -> {}: {}", change.from, change.to, self.why_of(change)));
                self.changes.push(change.clone());
            }
            // What is about to be written is told once it is written.
            _ if limit != self.limit && settled => self.tell(at, "why", why(snapshot)),
            _ => {}
        }
        self.limit = limit;
        if limit == Some(Limit::ScaleUpRate) {
            self.rate_limited = Some(at);
        }
        let running = snapshot.seen.map(|seen| seen.ready.unwrap_or(seen.existing));
        if running != self.running {
            if let Some(count) = running.filter(|count| *count > 0 || self.running.is_some()) {
                self.tell(at, "workers", format!("{count} running"));
            }
            self.running = running;
        }
    }

    /// Remembers the last decision, if it is a new one.
    fn decided(&mut self, snapshot: &Snapshot) {
        let Some((decision, tick)) = &snapshot.decision else { return };
        let (tick, at, desired) = (*tick, snapshot.now.wall_of(*tick), decision.desired);
        let [before, last] = &mut self.decisions;
        if last.as_ref().is_none_or(|last| (last.tick, last.desired) != (tick, desired)) {
            *before = last.replace(Decided { tick, at, desired, why: why(snapshot) });
        }
    }

    /// Why a change was made: the decision that stood for it when it was written.
    fn why_of<'a>(&'a self, change: &'a LastChange) -> &'a str {
        let fits = |decided: &&Decided| decided.desired == change.to && decided.at <= change.at;
        self.decisions.iter().rev().flatten().find(fits).map_or(&change.why, |decided| &decided.why)
    }

    /// A trigger that fails, or an object that cannot be scaled, is told once.
    fn trouble(&mut self, snapshot: &Snapshot, at: Timestamp) {
        let failed = snapshot.evidence.iter().find_map(|evidence| match evidence {
            Evidence::Failed { error, .. } => Some(format!("the trigger fails: {error}")),
            _ => None,
        });
        let trouble = failed.or_else(|| super::world::obstacle(&snapshot.phase));
        if trouble != self.trouble {
            self.tell(at, "trouble", trouble.clone().unwrap_or_else(|| "is over".to_owned()));
            self.trouble = trouble;
        }
    }

    /// How many items were sent.
    pub(super) fn produced(&self) -> u64 {
        self.bursts.iter().map(|(burst, _)| u64::from(burst.items)).sum()
    }

    /// Changes since the first burst.
    fn own_changes(&self) -> impl Iterator<Item = &LastChange> {
        let first = self.bursts.first().map(|(_, at)| *at);
        self.changes.iter().filter(move |change| first.is_some_and(|first| change.at >= first))
    }

    /// Whether workers came, did everything and are gone again; else what is missing.
    pub(super) fn outcome(&self) -> Result<Summary, String> {
        let Some((_, first)) = self.bursts.first() else {
            return Err(self.because("no item was sent, as the object did not come to rest at 0 replicas"));
        };
        let changes: Vec<&LastChange> = self.own_changes().collect();
        let Some(peak) = changes.iter().map(|change| change.to).max().filter(|peak| *peak > 0) else {
            return Err(self.because("the replicas never left 0"));
        };
        if self.done != self.produced() {
            return Err(self.because(&format!("{} of {} items were done", self.done, self.produced())));
        }
        match changes.last() {
            Some(last) if last.to == 0 => Ok(self.summary(*first, &changes, peak, last.at)),
            Some(last) => Err(self.because(&format!("the replicas are still {} and not 0", last.to))),
            None => Err(self.because("the replicas never left 0")),
        }
    }

    fn because(&self, missing: &str) -> String {
        self.trouble.as_ref().map_or_else(|| missing.to_owned(), |trouble| format!("{missing}; {trouble}"))
    }

    fn summary(&self, first: Timestamp, changes: &[&LastChange], peak: u32, zero: Timestamp) -> Summary {
        let mut lines = vec![("items", format!("{} sent, {} done", self.produced(), self.done))];
        if let Some(start) = self.starts.iter().filter(|start| **start >= first).min() {
            let reaction = between(first, *start);
            lines.push(("first worker", format!("{reaction} from the first item to the first worker process")));
        }
        lines.extend(self.full_sizes().into_iter().map(|text| ("full size", text)));
        if let Some(done) = self.last_done {
            let quiet = between(done, zero);
            lines.push((
                "back to 0",
                format!("{quiet} after the last item was done (cooldown {COOLDOWN} s from the last item seen waiting)"),
            ));
        }
        let mut path = changes.first().map_or_else(String::new, |change| change.from.to_string());
        for change in changes {
            // Writing to a String cannot fail.
            let _ = write!(path, " -> {}", change.to);
        }
        lines.push(("writes", format!("{} of replicas: {path}", changes.len())));
        let seconds = (between(first, zero).0 + 500) / 1000;
        lines.push(("result", format!("0 -> {peak} -> 0 in {seconds} s")));
        Summary { lines }
    }

    /// For each burst that raised the replicas: when as many worker processes had begun.
    fn full_sizes(&self) -> Vec<String> {
        let mut starts = self.starts.clone();
        starts.sort_unstable();
        let mut texts = Vec::new();
        for (place, (burst, at)) in self.bursts.iter().enumerate() {
            let end = self.bursts.get(place + 1).map(|(_, at)| *at);
            let within = |change: &&LastChange| change.at >= *at && end.is_none_or(|end| change.at < end);
            let Some(raise) = self.own_changes().filter(within).filter(|change| change.to > change.from).last() else {
                continue;
            };
            let needed = usize::try_from(raise.to).unwrap_or(usize::MAX);
            if let Some(start) = needed.checked_sub(1).and_then(|place| starts.get(place)) {
                let reaction = between(*at, *start);
                let held = self.rate_limited.is_some_and(|limited| limited >= *at && limited <= raise.at);
                let note = if held { " (the rate limit held them first)" } else { "" };
                texts.push(format!("{reaction} from burst {} to {} worker processes{note}", burst.number, raise.to));
            }
        }
        texts
    }
}

impl Summary {
    /// The last line's text: `0 -> 10 -> 0 in 20 s`.
    pub fn result(&self) -> &str {
        self.lines.last().map_or("", |(_, text)| text)
    }
}

/// One line that says why the object has the replicas that it has; empty before the first decision.
pub(super) fn why(snapshot: &Snapshot) -> String {
    match (&snapshot.subject, &snapshot.decision) {
        (Some(subject), Some((decision, _))) => {
            explain::why(&subject.policy, &snapshot.evidence, decision, snapshot.now)
        }
        _ => String::new(),
    }
}

fn between(from: Timestamp, to: Timestamp) -> Millis {
    Millis(to.as_millisecond() - from.as_millisecond())
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.max(0);
        if millis < 1000 { write!(f, "{millis} ms") } else { write!(f, "{}.{} s", millis / 1000, millis % 1000 / 100) }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.at.0.max(0);
        write!(f, "{:>4}.{} s  {:<8} {}", millis / 1000, millis % 1000 / 100, self.what, self.text)
    }
}

impl fmt::Display for Summary {
    /// One fact a line: a word or two, padded to 13 columns, and the fact. The last line is the result.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, text) in &self.lines {
            writeln!(f, "{name:<12} {text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
