//! When something happens by the calendar: a cron expression in a time zone.
//!
//! Used by the schedules of a ScalingPolicy and by KEDA's `cron` trigger. A moment inside a gap of daylight saving happens at the gap's
//! end, and an hour that is there twice counts once, at its first. So every day has exactly the moments that its expression names, which
//! is what somebody means who writes "from 8 to 20 o'clock"; the usual cron skips some and repeats others.
//!
//! The zones come from data that is built in, so a calendar means the same on every machine.

mod expression;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

use expression::Fields;

/// How many candidates one search looks at: more than there are minutes in the longest gap or repetition that a zone ever had, a day.
const CANDIDATES: usize = 2 * 24 * 60;

/// A cron expression in a time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    expression: Box<str>,
    zone: TimeZone,
    fields: Fields,
}

/// Why there is no such calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// Not a cron expression.
    #[error("is not a cron expression: {0}")]
    Expression(String),
    /// Not the name of a time zone in the IANA data.
    #[error("is not the name of an IANA time zone")]
    Zone,
}

impl CalendarError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Expression(_) => "CronMalformed",
            Self::Zone => "TimeZoneUnknown",
        }
    }
}

impl Calendar {
    /// Reads an expression of five fields (minute, hour, day of month, month, day of week) in the zone of this IANA name.
    ///
    /// If day of month and day of week are both restricted, a day that either names counts. As in KEDA, an expression may begin with a
    /// zone of its own, which then counts (`TZ=Europe/Berlin 0 8 * * *`, also `CRON_TZ=`).
    pub fn new(expression: &str, zone: &str) -> Result<Self, CalendarError> {
        let zone = named_zone(zone).ok_or(CalendarError::Zone)?;
        let (own, fields) = split_zone(expression.trim())?;
        let fields = Fields::parse(fields).map_err(CalendarError::Expression)?;
        Ok(Self { expression: expression.trim().into(), zone: own.unwrap_or(zone), fields })
    }

    /// The expression as it was given.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The IANA name of the zone that counts.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The last moment that is not after `wall`; none if there was none in the nine years before.
    pub fn last_at_or_before(&self, wall: Timestamp) -> Option<Timestamp> {
        let mut civil = self.zone.to_datetime(wall);
        // The second time that a clock shows an hour, all of that hour has happened, also what it shows later.
        if let AmbiguousOffset::Fold { before, after } = self.zone.to_ambiguous_timestamp(civil).offset()
            && self.zone.to_offset(wall) == after
        {
            civil = civil.checked_add(i64::from(before.seconds() - after.seconds()).seconds()).ok()?;
        }
        for _ in 0..CANDIDATES {
            civil = self.fields.at_or_before(civil)?;
            match self.moment(civil)? {
                moment if moment <= wall => return Some(moment),
                _ => civil = civil.checked_sub(1.minute()).ok()?,
            }
        }
        None
    }

    /// The first moment after `wall`; none if there will be none in the nine years after.
    pub fn next_after(&self, wall: Timestamp) -> Option<Timestamp> {
        let mut civil = self.zone.to_datetime(wall);
        for _ in 0..CANDIDATES {
            civil = self.fields.after(civil)?;
            match self.moment(civil)? {
                moment if moment > wall => return Some(moment),
                _ => {}
            }
        }
        None
    }

    /// When a clock of the zone first shows this time, or passes it.
    fn moment(&self, civil: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        let AmbiguousOffset::Gap { after, .. } = ambiguous.offset() else {
            return ambiguous.compatible().ok();
        };
        // By the later offset the time would have been before the gap: the change of the clock follows it.
        let early = after.to_timestamp(civil).ok()?;
        let change = self.zone.following(early).find(|change| change.offset() == after);
        change.map(|change| change.timestamp())
    }
}

fn named_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

/// Takes a zone off the front of an expression.
fn split_zone(expression: &str) -> Result<(Option<TimeZone>, &str), CalendarError> {
    let Some(rest) = expression.strip_prefix("CRON_TZ=").or_else(|| expression.strip_prefix("TZ=")) else {
        return Ok((None, expression));
    };
    let (name, fields) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let unknown = || CalendarError::Expression(format!("{name:?} is not the name of an IANA time zone"));
    Ok((Some(named_zone(name).ok_or_else(unknown)?), fields.trim_start()))
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
