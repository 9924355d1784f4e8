//! The five fields of a cron expression: which minutes of which days they name.
//!
//! What is accepted, and what it means, is what KEDA's `cron` trigger accepts: numbers, names, `*`, `?`, lists, ranges and steps, Sunday
//! as 0 only, no seconds and no descriptors such as `@daily`. Each field is a set of bits, so an expression takes 24 bytes.

use std::ops::RangeInclusive;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, time};

/// How many days are searched. Any day of a month that exists at all is there within 8 years: 29 February from 2096 to 2104.
const HORIZON: usize = 9 * 366;

/// Which minutes of which days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    minutes: u64,
    hours: u64,
    days: Days,
}

/// Which days: both fields must agree if one of them says nothing, else either of them is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Days {
    of_month: u32,
    months: u16,
    of_week: u8,
    either: bool,
}

/// One field as it was read.
struct Field {
    bits: u64,
    /// Whether one of its entries is `*` or `?`, without a step.
    any: bool,
}

/// What a field may hold.
struct Bounds {
    name: &'static str,
    range: RangeInclusive<u32>,
    /// Names for values, in the order of the values from the lowest.
    names: &'static [&'static str],
    /// The range in words.
    allowed: &'static str,
}

const MINUTE: Bounds = Bounds { name: "minute", range: 0..=59, names: &[], allowed: "0 to 59" };
const HOUR: Bounds = Bounds { name: "hour", range: 0..=23, names: &[], allowed: "0 to 23" };
const DAY_OF_MONTH: Bounds = Bounds { name: "day of month", range: 1..=31, names: &[], allowed: "1 to 31" };
const MONTH: Bounds = Bounds {
    name: "month",
    range: 1..=12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    allowed: "1 to 12 or JAN to DEC",
};
const DAY_OF_WEEK: Bounds = Bounds {
    name: "day of week",
    range: 0..=6,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    allowed: "0 (Sunday) to 6 (Saturday) or SUN to SAT",
};

impl Fields {
    /// Reads five fields; the error says which one is wrong and what it may hold.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('@') {
            return Err(format!(
                "{text:?} is a descriptor; use the five fields minute hour day-of-month month day-of-week"
            ));
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            let given = parts.len();
            return Err(format!("it has {given} fields, not the five minute hour day-of-month month day-of-week"));
        };
        let (day, weekday) = (DAY_OF_MONTH.field(day)?, DAY_OF_WEEK.field(weekday)?);
        Ok(Self {
            minutes: MINUTE.field(minute)?.bits,
            hours: HOUR.field(hour)?.bits,
            days: Days {
                of_month: low_bits(day.bits),
                months: u16::try_from(MONTH.field(month)?.bits).unwrap_or(u16::MAX),
                of_week: u8::try_from(weekday.bits).unwrap_or(u8::MAX),
                either: !day.any && !weekday.any,
            },
        })
    }

    /// The first minute after this civil time, if there is one within the horizon.
    pub(super) fn after(&self, civil: DateTime) -> Option<DateTime> {
        let civil = whole_minute(civil).checked_add(1.minute()).ok()?;
        let (mut date, mut earliest) = (civil.date(), minute_of_day(civil));
        for _ in 0..HORIZON {
            if self.days.include(date)
                && let Some(at) = self.first_from(earliest)
            {
                return at_minute(date, at);
            }
            earliest = 0;
            date = self.days.later(date)?;
        }
        None
    }

    /// The last minute at or before this civil time, if there is one within the horizon.
    pub(super) fn at_or_before(&self, civil: DateTime) -> Option<DateTime> {
        let (mut date, mut latest) = (civil.date(), minute_of_day(civil));
        for _ in 0..HORIZON {
            if self.days.include(date)
                && let Some(at) = self.last_until(latest)
            {
                return at_minute(date, at);
            }
            latest = 24 * 60 - 1;
            date = self.days.earlier(date)?;
        }
        None
    }

    /// The first minute of a day that is not before `earliest`.
    fn first_from(&self, earliest: u32) -> Option<u32> {
        let (hour, minute) = (earliest / 60, earliest % 60);
        let within = lowest(self.minutes & (u64::MAX << minute)).filter(|_| self.hours >> hour & 1 == 1);
        if let Some(minute) = within {
            return Some(hour * 60 + minute);
        }
        Some(lowest(self.hours & (u64::MAX << (hour + 1)))? * 60 + lowest(self.minutes)?)
    }

    /// The last minute of a day that is not after `latest`.
    fn last_until(&self, latest: u32) -> Option<u32> {
        let (hour, minute) = (latest / 60, latest % 60);
        let within = highest(self.minutes & !(u64::MAX << (minute + 1))).filter(|_| self.hours >> hour & 1 == 1);
        if let Some(minute) = within {
            return Some(hour * 60 + minute);
        }
        Some(highest(self.hours & !(u64::MAX << hour))? * 60 + highest(self.minutes)?)
    }
}

impl Days {
    fn include(self, date: Date) -> bool {
        let month = self.names(date.month());
        let of_month = self.of_month >> date.day() & 1 == 1;
        let of_week = self.of_week >> date.weekday().to_sunday_zero_offset() & 1 == 1;
        month && if self.either { of_month || of_week } else { of_month && of_week }
    }

    fn names(self, month: i8) -> bool {
        self.months >> month & 1 == 1
    }

    /// The next day to look at: a month that is not named is skipped as a whole.
    fn later(self, date: Date) -> Option<Date> {
        let last = if self.names(date.month()) { date } else { date.last_of_month() };
        last.tomorrow().ok()
    }

    fn earlier(self, date: Date) -> Option<Date> {
        let first = if self.names(date.month()) { date } else { date.first_of_month() };
        first.yesterday().ok()
    }
}

impl Bounds {
    /// Reads a whole field. Entries that are empty are passed over, as KEDA does, but one must be there.
    fn field(&self, text: &str) -> Result<Field, String> {
        let mut field = Field { bits: 0, any: false };
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            let Field { bits, any } = self.entry(entry)?;
            field = Field { bits: field.bits | bits, any: field.any || any };
        }
        if field.bits == 0 { Err(self.wrong(text)) } else { Ok(field) }
    }

    /// Reads one entry: `*`, `?`, a value or a range, perhaps with a step.
    fn entry(&self, entry: &str) -> Result<Field, String> {
        let (range, step) = match entry.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step, entry)?)),
            None => (entry, None),
        };
        let (lowest, highest) = (*self.range.start(), *self.range.end());
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (lowest, highest),
            Some((first, last)) => (self.value(first, entry)?, self.value(last, entry)?),
            // A value with a step goes on to the end: 5/15 is 5, 20, 35, 50.
            None if step.is_some() => (self.value(range, entry)?, highest),
            None => (self.value(range, entry)?, self.value(range, entry)?),
        };
        if first > last {
            return Err(format!("the {} {entry:?} ends before it begins", self.name));
        }
        let step = step.unwrap_or(1);
        let values = (first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        let any = (range == "*" || range == "?") && step == 1;
        Ok(Field { bits: values.fold(0, |bits, value| bits | 1 << value), any })
    }

    fn value(&self, text: &str, entry: &str) -> Result<u32, String> {
        let named = self.names.iter().zip(self.range.clone()).find(|(name, _)| name.eq_ignore_ascii_case(text));
        let value = named.map(|(_, value)| value).or_else(|| number(text)).filter(|value| self.range.contains(value));
        value.ok_or_else(|| self.wrong(entry))
    }

    fn step(&self, text: &str, entry: &str) -> Result<u32, String> {
        let wrong = || format!("the {} {entry:?} has a step that is not a whole number of at least 1", self.name);
        number(text).filter(|step| *step > 0).ok_or_else(wrong)
    }

    fn wrong(&self, text: &str) -> String {
        format!("the {} {text:?} is not {}, a list, a range or a step of these", self.name, self.allowed)
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn low_bits(bits: u64) -> u32 {
    u32::try_from(bits).unwrap_or(u32::MAX)
}

fn lowest(bits: u64) -> Option<u32> {
    (bits != 0).then(|| bits.trailing_zeros())
}

fn highest(bits: u64) -> Option<u32> {
    bits.checked_ilog2()
}

fn minute_of_day(civil: DateTime) -> u32 {
    u32::from(civil.hour().unsigned_abs()) * 60 + u32::from(civil.minute().unsigned_abs())
}

fn whole_minute(civil: DateTime) -> DateTime {
    civil.date().to_datetime(time(civil.hour(), civil.minute(), 0, 0))
}

fn at_minute(date: Date, minute: u32) -> Option<DateTime> {
    date.to_datetime(time(0, 0, 0, 0)).checked_add(i64::from(minute).minutes()).ok()
}
