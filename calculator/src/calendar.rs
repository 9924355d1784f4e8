//! When something happens by the calendar: a cron expression in a time zone.
//!
//! Used by the schedules of a ScalingPolicy and by KEDA's `cron` trigger. A moment inside a gap of daylight saving happens at the gap's
//! end, and an hour that is there twice counts once, at its first.

/// A cron expression in a time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    expression: Box<str>,
    zone: jiff::tz::TimeZone,
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
