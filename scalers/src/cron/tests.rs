use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tidegate_calculator::calendar::Calendar;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(start: &str, end: &str, zone: &str) -> Window {
    Window { start: Calendar::new(start, zone).unwrap(), end: Calendar::new(end, zone).unwrap() }
}

fn spec(start: &str, end: &str, replicas: &str) -> TriggerSpec {
    let metadata = [("timezone", "Europe/Berlin"), ("start", start), ("end", end), ("desiredReplicas", replicas)];
    let metadata: BTreeMap<_, _> = metadata.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
    TriggerSpec { kind: "cron".to_owned(), metadata, ..TriggerSpec::default() }
}

fn scaler(start: &str, end: &str, replicas: &str) -> CronScaler {
    let spec = spec(start, end, replicas);
    let values = Values::resolve(&spec, declaration::PARAMETERS, crate::Known::Nothing, crate::Known::Nothing);
    declaration::settings(&spec, &values).unwrap()
}

/// Whether the window is open at these moments, `O` for open and `.` for closed.
fn opened(window: &Window, moments: &[&str]) -> String {
    moments.iter().map(|text| if window.is_open(at(text)) { 'O' } else { '.' }).collect()
}

#[test]
fn a_window_is_open_from_its_start_until_just_before_its_end() {
    // Berlin is at +02:00 in June: 08:00 there is 06:00Z, 20:00 is 18:00Z.
    let day = window("0 8 * * *", "0 20 * * *", "Europe/Berlin");
    let moments =
        ["2026-06-01T05:59:59.999Z", "2026-06-01T06:00:00Z", "2026-06-01T17:59:59.999Z", "2026-06-01T18:00:00Z"];
    assert_eq!(opened(&day, &moments), ".OO.");
    // Over midnight it is the other way round.
    let night = window("0 20 * * *", "0 8 * * *", "Europe/Berlin");
    assert_eq!(opened(&night, &moments), "O..O");
    // From Friday evening to Monday morning; the 5th is a Friday.
    let weekend = window("0 20 * * FRI", "0 8 * * MON", "UTC");
    let moments = ["2026-06-05T19:59:59Z", "2026-06-05T20:00:00Z", "2026-06-08T07:59:59Z", "2026-06-08T08:00:00Z"];
    assert_eq!(opened(&weekend, &moments), ".OO.");
}

#[test]
fn a_window_whose_start_is_skipped_by_the_clock_opens_when_it_has_jumped() {
    // On 29 March 2026 there is no 02:30 in Berlin: 03:00 there is 01:00Z. The end, 04:00, is 02:00Z.
    let early = window("30 2 * * *", "0 4 * * *", "Europe/Berlin");
    let moments = ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T01:59:59Z", "2026-03-29T02:00:00Z"];
    assert_eq!(opened(&early, &moments), ".OO.");
    // On 25 October 2026 02:30 is there twice, 00:30Z and 01:30Z: the window of 02:30 to 02:45 is open once.
    let twice = window("30 2 * * *", "45 2 * * *", "Europe/Berlin");
    let moments = ["2026-10-25T00:29:00Z", "2026-10-25T00:30:00Z", "2026-10-25T00:45:00Z", "2026-10-25T01:35:00Z"];
    assert_eq!(opened(&twice, &moments), ".O..");
}

#[test]
fn kedas_rule_is_kept_where_it_surprises() {
    // More ends than starts: before the start of the day the next end (04:00) comes before the next start (08:00).
    let many_ends = window("0 8 * * *", "0 */4 * * *", "UTC");
    let moments = ["2026-06-01T03:00:00Z", "2026-06-01T05:00:00Z", "2026-06-01T09:00:00Z", "2026-06-01T13:00:00Z"];
    assert_eq!(opened(&many_ends, &moments), "OOOO");
    // More starts than ends: at 09:00 the next start (10:00) comes before the next end, so it opens at the second start only.
    assert_eq!(opened(&window("0 8,10 * * *", "0 20 * * *", "UTC"), &moments), "...O");
    // Start and end at the same next moment, though written differently.
    assert_eq!(opened(&window("0 8 * * *", "00 8 * * *", "UTC"), &moments), "OOOO");
    // Never is the beginning of time.
    assert_eq!(opened(&window("0 8 31 2 *", "0 20 * * *", "UTC"), &moments), "OOOO");
    assert_eq!(opened(&window("0 8 * * *", "0 20 31 2 *", "UTC"), &moments), "....");
}

#[test]
fn an_open_window_asks_for_its_replicas_and_a_closed_one_for_none() {
    let said = |scaler: &CronScaler, text| {
        let readings = scaler.at(at(text));
        assert_eq!(readings.len(), 1);
        (readings[0].1.value.total(), readings[0].1.active)
    };
    let day = scaler("0 8 * * *", "0 20 * * *", "10");
    assert_eq!(said(&day, "2026-06-01T06:00:00Z"), (Milli::units(10), true));
    assert_eq!(said(&day, "2026-06-01T18:00:00Z"), (Milli::units(0), false));
    // A negative number counts as 0, and the window is still active.
    assert_eq!(said(&scaler("0 8 * * *", "0 20 * * *", "-3"), "2026-06-01T06:00:00Z"), (Milli::units(0), true));
}

#[test]
fn the_next_boundary_is_a_start_or_an_end() {
    let day = window("0 8 * * *", "0 20 * * *", "UTC");
    assert_eq!(day.next_boundary(at("2026-06-01T07:00:00Z")), Some(at("2026-06-01T08:00:00Z")));
    assert_eq!(day.next_boundary(at("2026-06-01T08:00:00Z")), Some(at("2026-06-01T20:00:00Z")));
    let half = window("0 8 31 2 *", "0 20 * * *", "UTC");
    assert_eq!(half.next_boundary(at("2026-06-01T20:00:00Z")), Some(at("2026-06-02T20:00:00Z")));
    assert_eq!(window("0 8 31 2 *", "0 8 30 2 *", "UTC").next_boundary(at("2026-06-01T20:00:00Z")), None);
}

#[test]
fn sleeping_never_ends_before_the_boundary_by_much_nor_spins() {
    let noon = at("2026-06-01T12:00:00Z");
    assert_eq!(until(noon, at("2026-06-01T11:59:58.5Z")), Duration::from_millis(1500));
    assert_eq!(until(noon, at("2026-06-01T11:59:59.9999Z")), Duration::from_millis(1));
    assert_eq!(until(noon, at("2026-06-01T12:00:01Z")), Duration::from_millis(1));
}

#[tokio::test]
async fn a_watch_wakes_at_every_boundary() {
    // The clock is wrong by as much as it takes to be 200 ms before a start, at 12:00, whose end comes a minute later.
    let start = at("2026-06-01T12:00:00Z");
    let wrong = start.duration_since(present()) - jiff::SignedDuration::from_millis(200);
    let clock = move || present().checked_add(wrong).unwrap();
    let (sender, mut woken) = mpsc::unbounded_channel();
    let wake: Wake = Arc::new(move || sender.send(clock()).unwrap_or(()));
    let task = tokio::spawn(ring(window("0 12 * * *", "1 12 * * *", "UTC"), wake, clock));
    let moment = timeout(Duration::from_secs(30), woken.recv()).await.unwrap().unwrap();
    assert!(moment >= start && moment.duration_since(start).as_secs() < 10, "{moment}");
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_noticed_within_a_minute() {
    // It is 11:00, an hour before the start. After half a minute somebody sets the clock to 12:30, and later back.
    let clock = Arc::new(Mutex::new(at("2026-06-01T11:00:00Z")));
    let (reader, (sender, mut woken)) = (Arc::clone(&clock), mpsc::unbounded_channel());
    let wake: Wake = Arc::new(move || sender.send(()).unwrap_or(()));
    let day = window("0 12 * * *", "0 20 * * *", "UTC");
    let task = tokio::spawn(ring(day, wake, move || *reader.lock().unwrap()));
    assert!(timeout(Duration::from_secs(30), woken.recv()).await.is_err());
    *clock.lock().unwrap() = at("2026-06-01T12:30:00Z");
    assert_eq!(timeout(Duration::from_secs(31), woken.recv()).await, Ok(Some(())));
    // Set back to before the start, it comes again.
    *clock.lock().unwrap() = at("2026-06-01T11:59:30Z");
    assert!(timeout(Duration::from_secs(61), woken.recv()).await.is_err());
    *clock.lock().unwrap() = at("2026-06-01T12:00:00Z");
    assert_eq!(timeout(Duration::from_secs(61), woken.recv()).await, Ok(Some(())));
    task.abort();
}

#[tokio::test]
async fn a_watch_ends_with_its_handle() {
    let (sender, mut woken) = mpsc::unbounded_channel::<()>();
    let day = scaler("0 8 * * *", "0 20 * * *", "1");
    let watch = day.watch(Arc::new(move || sender.send(()).unwrap_or(()))).unwrap();
    drop(watch);
    // The task is gone, and with it the sender.
    assert_eq!(timeout(Duration::from_secs(10), woken.recv()).await, Ok(None));
}

#[test]
fn without_a_runtime_there_is_no_watch() {
    assert!(scaler("0 8 * * *", "0 20 * * *", "1").watch(Arc::new(|| {})).is_none());
}
