//! The stored form of the memory: small, versioned, and read back never less careful than what was stored.
//!
//! The text is JSON with wall times in milliseconds: `v` version, `n` replicas, `a` whether active, `t` the last activity (only while
//! inactive: "active" lasts until the text is read, so it need not be written anew), `w` the last write, `p` and `l` the highest and
//! lowest recommendations, `u` and `d` replicas added and removed, `c` the latest counts; lists hold `[time, replicas]`, oldest first. `f` are
//! the failing triggers of an object with a fallback, `[for how long, trigger]`: a length of time, because downtime does not count. `r` is
//! what rules remember, only with rules ([`super::rules`]); a build that does not know it starts their timers anew.
//!
//! Recommendations change the text with every pass, but they are not worth a write of their own: a text stays good until the next
//! scaling or flip of activity ([`Memory::flips`]), because the count found at load is held for one window anyway. So a steady object
//! is stored never.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Memory;
use super::counts::Counts;
use super::events::{Event, Events, LONGEST_PERIOD};
use super::failing::{Failing, First};
use super::recommendations::{Entry, LONGEST_WINDOW, Recommendations};
use super::rules::RuleMemory;
use super::rules::stored::StoredRules;
use crate::policy::Policy;
use crate::time::{Now, Span, Tick};

/// The version that is written.
const VERSION: u32 = 1;

/// How many of the highest and of the lowest recommendations are stored.
const KEPT: usize = 8;

/// A checkpoint as text: JSON of at most [`Checkpoint::LONGEST`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checkpoint(pub String);

/// A checkpoint that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not JSON of the expected form.
    #[error("the checkpoint cannot be read: {0}")]
    Malformed(String),
    /// Written by a newer version.
    #[error("the checkpoint has version {0}; versions up to 1 are known")]
    Version(u32),
}

impl CheckpointError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "CheckpointMalformed",
            Self::Version(_) => "CheckpointVersion",
        }
    }
}

impl Checkpoint {
    /// The longest text: what a ScaleRecord's status takes.
    pub const LONGEST: usize = 8 * 1024;

    /// The stored form of `memory` at `now`.
    pub fn of(memory: &Memory, now: Now) -> Self {
        let wall = |tick: Tick| now.wall_of(tick).as_millisecond();
        let (peaks, lows) = memory.recommendations.entries();
        let young = |entry: &&Entry| entry.at.age(now.tick) <= LONGEST_WINDOW;
        let mut peaks: Vec<Pair> = peaks.filter(young).map(|entry| Pair(wall(entry.at), entry.replicas)).collect();
        merge_nearest(&mut peaks);
        // The newest lows are the highest: without the others a raise may come earlier, never later.
        let lows: Vec<Pair> = lows.filter(young).map(|entry| Pair(wall(entry.at), entry.replicas)).collect();
        let lows = lows.get(lows.len().saturating_sub(KEPT)..).unwrap_or_default().to_vec();
        let events = |events: &Events| -> Vec<Pair> {
            let young = |event: &&Event| event.at.age(now.tick) < LONGEST_PERIOD;
            events.iter().filter(young).map(|event| Pair(wall(event.at), event.amount)).collect()
        };
        let counts: Vec<(Tick, u32)> = memory.counts.iter().copied().collect();
        let ended = counts.iter().skip(1).filter(|(end, _)| end.age(now.tick) >= LONGEST_PERIOD).count();
        let stored = Stored {
            v: VERSION,
            n: memory.replicas,
            a: memory.active,
            t: memory.last_active.filter(|_| !memory.active).map(wall),
            w: memory.last_write.map(wall),
            p: peaks,
            l: lows,
            u: events(&memory.ups),
            d: events(&memory.downs),
            f: stored_failing(&memory.failing),
            c: counts.into_iter().skip(ended).map(|(at, replicas)| Pair(wall(at), replicas)).collect(),
            r: memory.rules.as_deref().map(|rules| StoredRules::of(rules, now)),
        };
        // Numbers and lists of numbers always have a JSON form; an empty text would be a fresh memory.
        Self(serde_json::to_string(&stored).unwrap_or_default())
    }

    /// The memory that this text holds, as seen at `now` with the target at `replicas`. An empty text is a fresh memory.
    ///
    /// A difference between `replicas` and the stored count is taken for our own write at this moment; `replicas` are recorded
    /// as a recommendation, so that a restart lowers nothing for one window; "active" is taken to have lasted until now. Times in
    /// the future are taken for now.
    pub fn restore(&self, policy: &Policy, replicas: u32, now: Now) -> Result<Memory, CheckpointError> {
        self.restore_after(policy, replicas, now, None)
    }

    /// As [`Checkpoint::restore`], where `alive` is when the process that stored the text is known to have been at work last. Until then
    /// it would have stored the reset of a timer that the text holds, so only what came after is a gap in its data.
    pub fn restore_after(
        &self,
        policy: &Policy,
        replicas: u32,
        now: Now,
        alive: Option<Timestamp>,
    ) -> Result<Memory, CheckpointError> {
        let mut memory = if self.0.trim().is_empty() {
            Memory::default()
        } else {
            Stored::parse(&self.0)?.memory(policy, now, alive)?
        };
        memory.failing = acting(&memory.failing, policy);
        if policy.remembers_rules() {
            // Of a timer that was not stored nobody knows since when; what was read before now does not tell either.
            let mut rules = RuleMemory { changed: Some(now.tick), ..memory.rules() };
            rules.bounds.unknown = rules.bounds.within.is_none();
            memory.rules = Some(Box::new(rules));
        }
        if let Some(before) = memory.replicas.filter(|before| *before != replicas) {
            memory.scaled(policy, before, replicas, now.tick);
        }
        memory.recommendations.hold(now.tick, replicas);
        memory.replicas = Some(replicas);
        Ok(memory)
    }
}

/// A wall time in milliseconds and a number of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair(pub(crate) i64, pub(crate) u32);

/// The form of version 1; the module says what the fields are.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    a: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    p: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    l: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    u: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    d: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    c: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    f: Vec<Pair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<StoredRules>,
}

/// Every version has this field; nothing else is looked at before it is known.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

impl Stored {
    fn parse(text: &str) -> Result<Self, CheckpointError> {
        let malformed = |error: serde_json::Error| CheckpointError::Malformed(error.to_string());
        let version = serde_json::from_str::<Versioned>(text).map_err(malformed)?.v;
        if version > VERSION {
            return Err(CheckpointError::Version(version));
        }
        serde_json::from_str(text).map_err(malformed)
    }

    fn memory(&self, policy: &Policy, now: Now, alive: Option<Timestamp>) -> Result<Memory, CheckpointError> {
        let entry = |(at, replicas)| Entry { at, replicas };
        let peaks = ticks(&self.p, now)?.into_iter().map(entry);
        let lows = ticks(&self.l, now)?.into_iter().map(entry);
        let events = |pairs: &[Pair]| -> Result<Events, CheckpointError> {
            let mut events = Events::default();
            for (at, amount) in ticks(pairs, now)? {
                events.push(at, amount);
            }
            Ok(events)
        };
        let last_active = self.t.map(|millis| tick(millis, now)).transpose()?;
        let rules = self.r.as_ref().filter(|_| policy.remembers_rules());
        let rules = rules.map(|rules| rules.memory(policy, now, alive)).transpose()?;
        Ok(Memory {
            recommendations: Recommendations::restore(peaks, lows),
            ups: events(&self.u)?,
            downs: events(&self.d)?,
            counts: Counts::restore(ticks(&self.c, now)?.into_iter()),
            last_active: if self.a { Some(now.tick) } else { last_active },
            active: self.a,
            last_write: self.w.map(|millis| tick(millis, now)).transpose()?,
            failing: restored_failing(&self.f, now.tick),
            replicas: self.n,
            rules: rules.map(Box::new),
        })
    }
}

/// How many failing triggers are stored: beyond them a fallback begins to count anew at load.
const FAILING: usize = 64;

fn stored_failing(failing: &Failing) -> Vec<Pair> {
    failing.iter().take(FAILING).map(|first| Pair(first.since.age(first.seen).0, first.trigger.into())).collect()
}

/// The time that was counted ends now.
fn restored_failing(pairs: &[Pair], now: Tick) -> Failing {
    let mut failing = Failing::default();
    for Pair(length, trigger) in pairs {
        if let Ok(trigger) = u8::try_from(*trigger) {
            failing.push(First { trigger, since: now - Span((*length).max(0)), seen: now, acting: false });
        }
    }
    failing
}

/// Which of them a fallback acted for when they were stored.
fn acting(failing: &Failing, policy: &Policy) -> Failing {
    let mut restored = Failing::default();
    let patience = policy.fallback.as_ref().map(|fallback| fallback.patience(policy.polling_interval));
    for first in failing.iter() {
        let acting = patience.is_some_and(|patience| first.since.age(first.seen) >= patience);
        restored.push(First { acting, ..*first });
    }
    restored
}

pub(super) fn tick(millis: i64, now: Now) -> Result<Tick, CheckpointError> {
    let wall = Timestamp::from_millisecond(millis)
        .map_err(|_| CheckpointError::Malformed(format!("{millis} is not a time in milliseconds since 1970")))?;
    Ok(now.tick_of(wall))
}

/// The pairs as ticks, oldest first.
fn ticks(pairs: &[Pair], now: Now) -> Result<Vec<(Tick, u32)>, CheckpointError> {
    let mut ticks = pairs.iter().map(|pair| Ok((tick(pair.0, now)?, pair.1))).collect::<Result<Vec<_>, _>>()?;
    ticks.sort_by_key(|(at, _)| *at);
    Ok(ticks)
}

/// Two neighbours become one that is as high as the older and as young as the newer: it holds more replicas for longer.
fn merge_nearest(peaks: &mut Vec<Pair>) {
    while peaks.len() > KEPT {
        let gap = |index: &usize| peaks[index + 1].0 - peaks[*index].0;
        let Some(nearest) = (0..peaks.len() - 1).min_by_key(gap) else {
            return;
        };
        let older = peaks.remove(nearest);
        peaks[nearest].1 = older.1;
    }
}
