//! Finds one number in what a server says about itself.

use tidegate_calculator::source::{Milli, ReadError, ReadErrorKind};

/// The largest number that is taken, in units: beyond it thousandths do not fit.
pub(super) const LARGEST: i64 = i64::MAX / 1000;

/// The name of the figure that no field of `INFO` has.
const HIT_RATIO: &str = "keyspace_hit_ratio";

/// What is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Field {
    /// A field of `INFO`.
    Stated(String),
    /// The share of look-ups that found their key, from one poll to the next.
    HitRatio,
}

/// What a server has counted since it began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lookups {
    /// Another one after every restart.
    run: String,
    hits: i64,
    misses: i64,
}

impl Field {
    /// The field of this name; none if it cannot be one.
    pub(super) fn named(name: &str) -> Option<Self> {
        let known = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        match name {
            HIT_RATIO => Some(Self::HitRatio),
            name => (!name.is_empty() && name.chars().all(known)).then(|| Self::Stated(name.to_owned())),
        }
    }
}

/// The value of a field in the text of `INFO`; `server` names who said it.
pub(super) fn value(info: &str, name: &str, server: &str) -> Result<Milli, ReadError> {
    let config =
        |what: &str| ReadError::query(ReadErrorKind::Config, format!("field {name:?} of INFO of {server} {what}"));
    let text = find(info, name).ok_or_else(|| config("does not exist"))?;
    let value = milli(text).ok_or_else(|| config("is not a number"))?;
    // By a number below zero Redis says that it has none, such as the age of a snapshot that was never made.
    if value < Milli(0) { Err(config("has no value: it is below zero")) } else { Ok(value) }
}

/// What the text of `INFO` says about look-ups.
pub(super) fn lookups(info: &str, server: &str) -> Result<Lookups, ReadError> {
    let count = |name| value(info, name, server).map(|value| value.0 / 1000);
    let run = find(info, "run_id").unwrap_or_default().to_owned();
    Ok(Lookups { run, hits: count("keyspace_hits")?, misses: count("keyspace_misses")? })
}

/// The share of hits in all look-ups between the two moments, over all servers; or why there is none.
pub(super) fn hit_ratio(before: Option<&[Lookups]>, now: &[Lookups]) -> Result<Milli, &'static str> {
    let before = before.filter(|before| before.len() == now.len());
    let before = before.ok_or("has no value before the second poll")?;
    let (mut hits, mut all) = (0_i128, 0_i128);
    for (before, now) in before.iter().zip(now) {
        if before.run != now.run || before.hits > now.hits || before.misses > now.misses {
            return Err("has no value: a server began to count anew since the last poll");
        }
        let more = i128::from(now.hits) - i128::from(before.hits);
        hits += more;
        all += more + i128::from(now.misses) - i128::from(before.misses);
    }
    if all == 0 {
        return Err("has no value: nothing was looked up since the last poll");
    }
    // Rounded to the nearest thousandth.
    i64::try_from((hits * 2000 + all) / (all * 2)).map(Milli).map_err(|_| "has no value that fits")
}

fn find<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A decimal number in thousandths, those beyond the third cut off.
pub(super) fn milli(text: &str) -> Option<Milli> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return None;
    }
    let thousandths: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let units = whole.parse::<i64>().ok().filter(|units| *units < LARGEST)?;
    let milli = units * 1000 + thousandths;
    Some(Milli(if negative { -milli } else { milli }))
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
