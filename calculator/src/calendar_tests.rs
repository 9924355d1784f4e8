use jiff::ToSpan;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

fn calendar(expression: &str, zone: &str) -> Calendar {
    Calendar::new(expression, zone).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The moments in a stretch of time, found forward; backward must find the same.
fn moments(calendar: &Calendar, from: &str, until: &str) -> Vec<String> {
    let (from, until) = (at(from), at(until));
    let forward: Vec<Timestamp> = std::iter::successors(calendar.next_after(from), |last| calendar.next_after(*last))
        .take_while(|at| *at <= until)
        .collect();
    let before = |moment: &Timestamp| calendar.last_at_or_before(moment.checked_sub(1.nanosecond()).unwrap());
    let mut backward: Vec<Timestamp> =
        std::iter::successors(calendar.last_at_or_before(until), before).take_while(|at| *at > from).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    forward.iter().map(ToString::to_string).collect()
}

#[test]
fn a_moment_in_a_gap_happens_at_the_gaps_end() {
    // Berlin: on 29 March 2026 the clock goes from 02:00 to 03:00 at 01:00Z.
    let berlin = moments(&calendar("30 2 * * *", "Europe/Berlin"), "2026-03-27T12:00:00Z", "2026-03-30T12:00:00Z");
    assert_eq!(berlin, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    // Several moments inside one gap, and the one at its end, are one.
    let often = moments(&calendar("*/15 1-3 * * *", "Europe/Berlin"), "2026-03-29T00:40:00Z", "2026-03-29T01:20:00Z");
    assert_eq!(often, ["2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"]);
    // New York: on 8 March 2026 from 02:00 to 03:00 at 07:00Z.
    let york = moments(&calendar("0 2 * * *", "America/New_York"), "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z");
    assert_eq!(york, ["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"]);
    // Lord Howe moves by half an hour: on 4 October 2026 from 02:00 to 02:30 at 15:30Z of the day before.
    let howe =
        moments(&calendar("10,45 2 * * *", "Australia/Lord_Howe"), "2026-10-03T12:00:00Z", "2026-10-03T16:00:00Z");
    assert_eq!(howe, ["2026-10-03T15:30:00Z", "2026-10-03T15:45:00Z"]);
    // Samoa skipped all of 30 December 2011: what would have happened on it happens as the 31st begins.
    let apia = moments(&calendar("0 12 30 * *", "Pacific/Apia"), "2011-12-01T00:00:00Z", "2012-01-01T00:00:00Z");
    assert_eq!(apia, ["2011-12-30T10:00:00Z"]);
}

#[test]
fn an_hour_that_is_there_twice_counts_once() {
    // Berlin: on 25 October 2026 the clock goes from 03:00 back to 02:00 at 01:00Z, so 02:30 is 00:30Z and again 01:30Z.
    let berlin = calendar("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        moments(&berlin, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    // In the second 02:10 the first 02:30 is over already.
    assert_eq!(berlin.last_at_or_before(at("2026-10-25T01:10:00Z")), Some(at("2026-10-25T00:30:00Z")));
    let hourly = moments(&calendar("0 * * * *", "Europe/Berlin"), "2026-10-24T23:30:00Z", "2026-10-25T03:00:00Z");
    assert_eq!(hourly, ["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"]);
    // New York: on 1 November 2026 from 02:00 back to 01:00 at 06:00Z.
    let york = moments(&calendar("0 1 * * *", "America/New_York"), "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z");
    assert_eq!(york, ["2026-11-01T05:00:00Z", "2026-11-02T06:00:00Z"]);
    // Lord Howe: on 5 April 2026 from 02:00 back to 01:30 at 15:00Z of the day before.
    let howe =
        moments(&calendar("*/20 1 * * *", "Australia/Lord_Howe"), "2026-04-04T13:50:00Z", "2026-04-04T16:00:00Z");
    assert_eq!(howe, ["2026-04-04T14:00:00Z", "2026-04-04T14:20:00Z", "2026-04-04T14:40:00Z"]);
}

#[test]
fn zones_without_daylight_saving_have_even_days() {
    let shanghai = moments(&calendar("0 22 * * *", "Asia/Shanghai"), "2026-03-27T20:00:00Z", "2026-03-30T20:00:00Z");
    assert_eq!(shanghai, ["2026-03-28T14:00:00Z", "2026-03-29T14:00:00Z", "2026-03-30T14:00:00Z"]);
    // Five and a half hours ahead.
    let kolkata = moments(&calendar("0 9 * * MON-FRI", "Asia/Kolkata"), "2026-10-23T00:00:00Z", "2026-10-26T23:00:00Z");
    assert_eq!(kolkata, ["2026-10-23T03:30:00Z", "2026-10-26T03:30:00Z"]);
}

#[test]
fn months_end_and_leap_days_come() {
    let last = moments(&calendar("0 0 31 * *", "UTC"), "2026-01-31T00:00:00Z", "2026-08-31T00:00:00Z");
    let expected = ["03-31", "05-31", "07-31", "08-31"].map(|day| format!("2026-{day}T00:00:00Z"));
    assert_eq!(last, expected);
    let leap = calendar("0 0 29 2 *", "UTC");
    assert_eq!(leap.next_after(at("2026-01-01T00:00:00Z")), Some(at("2028-02-29T00:00:00Z")));
    assert_eq!(leap.last_at_or_before(at("2028-02-28T23:59:59Z")), Some(at("2024-02-29T00:00:00Z")));
    // 2100 is no leap year.
    assert_eq!(leap.next_after(at("2096-03-01T00:00:00Z")), Some(at("2104-02-29T00:00:00Z")));
    assert_eq!(leap.last_at_or_before(at("2104-02-01T00:00:00Z")), Some(at("2096-02-29T00:00:00Z")));
}

#[test]
fn what_never_happens_is_no_moment() {
    for expression in ["0 0 31 2 *", "0 0 30 FEB *", "0 0 31 4,6,9,11 ?"] {
        let never = calendar(expression, "Europe/Berlin");
        assert_eq!(never.next_after(at("2026-01-01T00:00:00Z")), None, "{expression}");
        assert_eq!(never.last_at_or_before(at("2026-01-01T00:00:00Z")), None, "{expression}");
    }
}

#[test]
fn a_moment_is_its_own_last_and_not_its_own_next() {
    let noon = calendar("0 12 * * *", "UTC");
    let (exact, just_before) = (at("2026-06-01T12:00:00Z"), at("2026-06-01T11:59:59.999Z"));
    assert_eq!(noon.last_at_or_before(exact), Some(exact));
    assert_eq!(noon.last_at_or_before(just_before), Some(at("2026-05-31T12:00:00Z")));
    assert_eq!(noon.next_after(just_before), Some(exact));
    assert_eq!(noon.next_after(exact), Some(at("2026-06-02T12:00:00Z")));
}

#[test]
fn at_the_ends_of_time_there_is_none() {
    let noon = calendar("0 12 * * *", "UTC");
    assert_eq!(noon.next_after(Timestamp::MAX), None);
    assert_eq!(noon.last_at_or_before(Timestamp::MIN), None);
}

/// The days of June 2026 on which an expression happens; the 1st is a Monday.
fn june(day_of_month: &str, day_of_week: &str) -> Vec<i8> {
    let expression = format!("0 0 {day_of_month} 6 {day_of_week}");
    let found = moments(&calendar(&expression, "UTC"), "2026-05-31T12:00:00Z", "2026-06-30T12:00:00Z");
    found.iter().map(|text| at(text).to_zoned(TimeZone::UTC).day()).collect()
}

#[test]
fn two_restricted_days_are_either_and_otherwise_both() {
    assert_eq!(june("10", "*"), [10]);
    assert_eq!(june("*", "SUN"), [7, 14, 21, 28]);
    assert_eq!(june("?", "0"), [7, 14, 21, 28]);
    // Both are restricted: either is enough.
    assert_eq!(june("10", "SUN"), [7, 10, 14, 21, 28]);
    // A step of more than one restricts, `*/1` does not; a list with a star in it says nothing.
    assert_eq!(june("*/10", "SUN"), [1, 7, 11, 14, 21, 28]);
    assert_eq!(june("*/1", "SUN"), [7, 14, 21, 28]);
    assert_eq!(june("5,*", "SUN"), [7, 14, 21, 28]);
    assert_eq!(june("10", "sat,Sun,"), [6, 7, 10, 13, 14, 20, 21, 27, 28]);
}

#[test]
fn entries_are_values_ranges_steps_and_lists() {
    let minutes = |field: &str| {
        let found =
            moments(&calendar(&format!("{field} 8 * * *"), "UTC"), "2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z");
        found.iter().map(|text| at(text).to_zoned(TimeZone::UTC).minute()).collect::<Vec<_>>()
    };
    assert_eq!(minutes("59"), [59]);
    assert_eq!(minutes("0,30,15-17"), [0, 15, 16, 17, 30]);
    assert_eq!(minutes("*/25"), [0, 25, 50]);
    assert_eq!(minutes("50/4"), [50, 54, 58]);
    assert_eq!(minutes("10-20/5"), [10, 15, 20]);
    assert_eq!(minutes("?/30"), [0, 30]);
    assert_eq!(minutes("7/100"), [7]);
    let quarter = moments(&calendar("0 0 1 jan,APR-Jun *", "UTC"), "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    assert_eq!(quarter.iter().map(|text| &text[5..7]).collect::<Vec<_>>(), ["04", "05", "06", "01"]);
}

#[test]
fn what_is_wrong_is_named() {
    let text = |expression| Calendar::new(expression, "UTC").unwrap_err().to_string();
    let bad = |what: &str| format!("is not a cron expression: {what}");
    let fields = "not the five minute hour day-of-month month day-of-week";
    assert_eq!(text(""), bad(&format!("it has 0 fields, {fields}")));
    assert_eq!(text("0 0 12 * * *"), bad(&format!("it has 6 fields, {fields}")));
    let daily = "\"@daily\" is a descriptor; use the five fields minute hour day-of-month month day-of-week";
    assert_eq!(text("@daily"), bad(daily));
    let hour = "is not 0 to 23, a list, a range or a step of these";
    assert_eq!(text("0 24 * * *"), bad(&format!("the hour \"24\" {hour}")));
    assert_eq!(text("0 8-+9 * * *"), bad(&format!("the hour \"8-+9\" {hour}")));
    assert_eq!(text("0 , * * *"), bad(&format!("the hour \",\" {hour}")));
    assert_eq!(text("0 *-8 * * *"), bad(&format!("the hour \"*-8\" {hour}")));
    assert_eq!(text("0 18-8 * * *"), bad("the hour \"18-8\" ends before it begins"));
    assert_eq!(text("*/0 8 * * *"), bad("the minute \"*/0\" has a step that is not a whole number of at least 1"));
    let weekday = "is not 0 (Sunday) to 6 (Saturday) or SUN to SAT, a list, a range or a step of these";
    assert_eq!(text("0 8 * * 7"), bad(&format!("the day of week \"7\" {weekday}")));
    assert_eq!(text("0 8 * * FRI#2"), bad(&format!("the day of week \"FRI#2\" {weekday}")));
    let month = "is not 1 to 12 or JAN to DEC, a list, a range or a step of these";
    assert_eq!(text("0 8 * MONDAY *"), bad(&format!("the month \"MONDAY\" {month}")));
    for expression in
        ["0 8 0 * *", "0 8 32 * *", "0 8 L * *", "0 8 15W * *", "60 8 * * *", "0 8 * 13 *", "99999999999 8 * * *"]
    {
        assert_eq!(Calendar::new(expression, "UTC").unwrap_err().reason(), "CronMalformed", "{expression}");
    }
}

#[test]
fn zones_are_those_of_the_iana_data() {
    for zone in ["", " ", "Local", "Mars/Olympus", "UTC+2", "/etc/localtime", "../Europe/Berlin"] {
        let error = Calendar::new("0 8 * * *", zone).unwrap_err();
        assert_eq!((&error, error.reason()), (&CalendarError::Zone, "TimeZoneUnknown"), "{zone}");
    }
    for zone in ["UTC", "Etc/UTC", "Etc/GMT-2", "GMT", "US/Eastern", "Asia/Shanghai"] {
        assert_eq!(calendar("0 8 * * *", zone).zone(), zone);
    }
}

#[test]
fn a_zone_in_the_expression_counts() {
    let morning = calendar(" TZ=Asia/Shanghai  0 8 * * * ", "Europe/Berlin");
    assert_eq!((morning.zone(), morning.expression()), ("Asia/Shanghai", "TZ=Asia/Shanghai  0 8 * * *"));
    assert_eq!(morning.next_after(at("2026-06-01T00:00:00Z")), Some(at("2026-06-02T00:00:00Z")));
    assert_eq!(calendar("CRON_TZ=UTC 0 8 * * *", "Europe/Berlin").zone(), "UTC");
    let error = Calendar::new("TZ=Mars/Olympus 0 8 * * *", "UTC").unwrap_err().to_string();
    assert_eq!(error, "is not a cron expression: \"Mars/Olympus\" is not the name of an IANA time zone");
}

/// One field: anything, one value, a range with a step, or a list.
fn field(lowest: u32, highest: u32) -> impl Strategy<Value = String> {
    let value = lowest..=highest;
    prop_oneof![
        Just("*".to_owned()),
        value.clone().prop_map(|value| value.to_string()),
        (value.clone(), value.clone(), 1..20_u32).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
        prop::collection::vec(value, 1..4).prop_map(|list| list
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(",")),
    ]
}

fn expressions() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6))
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

fn zones() -> impl Strategy<Value = &'static str> {
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Nuuk"];
    prop::sample::select(zones.to_vec())
}

/// Seconds from 1970 to 2100; half of them within a day of a change of New York's clock in 2026.
fn walls() -> impl Strategy<Value = i64> {
    let [spring, autumn] = ["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"].map(|text| at(text).as_second());
    let near = |change: i64| change - 86_400..change + 86_400;
    prop_oneof![2 => 0..4_102_444_800_i64, 1 => near(spring), 1 => near(autumn)]
}

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 2_000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn next_and_last_agree(expression in expressions(), zone in zones(), wall in walls(), later in 0..200_000_i64) {
        let calendar = calendar(&expression, zone);
        let (wall, later) = (Timestamp::from_second(wall).unwrap(), Timestamp::from_second(wall + later).unwrap());
        let (last, next) = (calendar.last_at_or_before(wall), calendar.next_after(wall));
        if let Some(next) = next {
            prop_assert!(next > wall);
            prop_assert_eq!(calendar.last_at_or_before(next), Some(next));
            // Nothing lies between the last and the next.
            let just_before = next.checked_sub(1.nanosecond()).unwrap();
            prop_assert_eq!(calendar.last_at_or_before(just_before), last);
            prop_assert!(calendar.next_after(next).is_none_or(|second| second > next));
        }
        if let Some(last) = last {
            prop_assert!(last <= wall);
            prop_assert_eq!(calendar.next_after(last), next);
        }
        // Time only goes forward.
        prop_assert!(calendar.last_at_or_before(later) >= last);
        prop_assert!(next.is_none() || calendar.next_after(later).is_none_or(|second| Some(second) >= next));
    }

    #[test]
    fn every_moment_is_shown_by_the_clock_or_ends_a_gap(expression in expressions(), zone in zones(), wall in walls()) {
        let calendar = calendar(&expression, zone);
        let Some(next) = calendar.next_after(Timestamp::from_second(wall).unwrap()) else { return Ok(()) };
        let change = calendar.zone.preceding(next.checked_add(1.nanosecond()).unwrap()).next();
        let ends_a_gap = change.is_some_and(|change| change.timestamp() == next);
        let shown = calendar.zone.to_datetime(next);
        prop_assert!(ends_a_gap || calendar.fields.at_or_before(shown) == Some(shown), "{} {}", expression, next);
    }
}
