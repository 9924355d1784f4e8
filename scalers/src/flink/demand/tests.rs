use super::align::align;
use super::capacity::{capacity, parallelism};
use super::flow::{Flow, Rate, rates};
use super::*;

const MINUTE: i64 = 60_000;

fn settings() -> Settings {
    Settings {
        utilization: 0.7,
        catch_up: Duration::from_mins(30),
        restart_time: Duration::from_mins(5),
        window: Duration::from_mins(15),
        scale_down_delay: Duration::from_hours(1),
    }
}

fn id(number: usize) -> VertexId {
    format!("{number:032x}").parse().unwrap()
}

fn node(number: usize, parallelism: u32, inputs: &[usize]) -> Node {
    Node { id: id(number), parallelism, max_parallelism: 128, group: None, inputs: inputs.to_vec(), parts: None }
}

/// A source and one vertex after it.
fn pair(parallelism: u32) -> Shape {
    Shape { nodes: vec![node(0, parallelism, &[]), node(1, parallelism, &[0])] }
}

fn flow(read: f64, work: f64) -> Flow {
    Flow { read, written: read, work, backpressure: 0.0, lag: Some(0.0), lag_change: Some(0.0) }
}

/// The parallelism that follows from these flows.
fn wanted(shape: &Shape, flows: &[Flow]) -> Vec<u32> {
    let settings = settings();
    let rates = rates(shape, flows, settings.catch_up).expect("something is passed on");
    parallelism(shape, flows, &rates, &settings)
}

#[test]
fn parts_are_shared_evenly_where_that_is_near() {
    // 24 parts: 5 subtasks have 4 at least, 6 divide them evenly.
    assert_eq!(align(5, 1, 24, 128), 6);
    // 128 parts: from 100 on each has 1 at least, until each has exactly 1.
    assert_eq!(align(100, 1, 128, 128), 128);
    assert_eq!(align(100, 1, 128, 120), 100, "nothing below the bound is better");
    // Shrinking from 12 to 7: 8 divide 24. From 7 to 5 it is 6; from 6 to 5 it would be 6 again, the present one.
    assert_eq!([align(7, 12, 24, 24), align(5, 7, 24, 24), align(5, 6, 24, 24)], [8, 6, 6]);
    // 10 parts, 4 wanted: 10/4 = 2, and 5 divide them.
    assert_eq!(align(4, 1, 10, 128), 5);
    assert_eq!(align(30, 4, 24, 128), 24, "more subtasks than parts would idle");
    assert_eq!([align(24, 4, 24, 24), align(3, 1, 0, 24), align(1, 4, 24, 24)], [24, 3, 1]);
}

#[test]
fn capacity_is_what_comes_what_waits_and_what_a_restart_costs() {
    // 700 a second at 0.7: 1000. With 5 min of restart to catch up with in 30: 700 * 5/30 = 117 more. And 36,000 waiting: 20 a second.
    let rate = Rate { target: 700.0, catch_up: 20.0 };
    assert!((capacity(rate, 0.7, None) - 1020.0).abs() < 0.5);
    assert!((capacity(rate, 0.7, Some(&settings())) - 1137.0).abs() < 0.5);
    assert!(capacity(rate, 0.0, None).is_infinite());
    let patient = Settings { catch_up: Duration::ZERO, ..settings() };
    assert!((capacity(rate, 0.7, Some(&patient)) - 1020.0).abs() < 0.5, "without catching up a restart costs nothing");
}

#[test]
fn nothing_changes_within_the_band() {
    // The band of 0.7 is 0.4 to 1.0. At 0.6 busy the true rate is 1000/0.6 = 1667, between 1000/1.0 and 1000/0.4 + 167 = 2667.
    for work in [0.4, 0.6, 0.7, 0.95] {
        assert_eq!(wanted(&pair(4), &[flow(1000.0, work / 10.0 + 0.4), flow(1000.0, work)]), [4, 4], "{work}");
    }
    // 0.3 busy: true rate 3333 > 2667. Wanted is 4 * (1000/0.7 + 167 = 1595) / 3333 = 1.9, so 2; the source at 0.5 keeps 4 * 1595/2000 = 3.2.
    assert_eq!(wanted(&pair(4), &[flow(1000.0, 0.5), flow(1000.0, 0.3)]), [4, 2]);
}

#[test]
fn what_cannot_keep_up_grows_by_what_it_lacks() {
    // Always busy with 1000 a second, and 200 a second more come than are read: 1200 > 1000. Wanted: 1200/0.7 = 1714 and 200 for the
    // restart: 1914, so 4 * 1.914 = 7.7. The source could do 10,000: 4 * 1914/10000 is less than 0.4 of it, so 2.
    let source = Flow { lag: Some(10_000.0), lag_change: Some(200.0), ..flow(1000.0, 0.1) };
    // 10,000 that wait are worked off in 30 min: 6 a second. (1714 + 200 + 6) / 1000 * 4 = 7.68.
    assert_eq!(wanted(&pair(4), &[source, flow(1000.0, 1.0)]), [2, 8]);
}

#[test]
fn nothing_is_taken_away_while_catching_up() {
    // 301 s of input wait, so the job is far behind, however idle it seems; at 299 s it is not.
    // The source is held back, and could read 10,000.
    let behind = |seconds: f64| Flow { backpressure: 0.9, lag: Some(1000.0 * seconds), ..flow(1000.0, 0.1) };
    let sink = flow(1000.0, 0.1);
    // Far behind: 301,000 / 1800 = 167 a second besides; (1595 + 167) / 10,000 of it is less, but nothing shrinks.
    assert_eq!(wanted(&pair(4), &[behind(301.0), sink]), [4, 4]);
    assert_eq!(wanted(&pair(4), &[behind(299.0), sink]), [2, 2], "no more than to 0.4 at once: 1.6 of 4");
    // It grows where it cannot keep up: 0.99 busy with 1000, but 1167 a second are to be taken.
    assert_eq!(wanted(&pair(4), &[behind(301.0), flow(1000.0, 0.99)]), [4, 7]);
}

#[test]
fn a_source_that_catches_up_shows_what_it_can_do() {
    // It reads 1000, held back for half of the time: it could read 2000, whatever its busy time of 0.1 says (10,000).
    let source = Flow { backpressure: 0.5, lag: Some(30_000.0), ..flow(1000.0, 0.1) };
    assert!((source.true_rate(true) - 2000.0).abs() < 1e-9);
    assert!((source.true_rate(false) - 10_000.0).abs() < 1e-9, "only of a source");
    // Within 15 % of each other, busy time counts: 1000/0.45 = 2222 is less than 2300.
    assert!((Flow { work: 0.45, ..source }.true_rate(true) - 2222.2).abs() < 0.1);
    // 29 s of input do not prove that it works as fast as it can.
    assert!((Flow { lag: Some(29_000.0), ..source }.true_rate(true) - 10_000.0).abs() < 1e-9);
    assert!(flow(0.0, 0.0).true_rate(true).is_infinite());
}

#[test]
fn targets_follow_the_graph() {
    // 0 -> 2, 1 -> 2, 2 -> 3 and 2 -> 4. The nodes stand in no order.
    let shape = Shape {
        nodes: vec![node(0, 4, &[]), node(1, 4, &[]), node(2, 4, &[0, 1]), node(3, 4, &[2]), node(4, 4, &[2])],
    };
    // 0 reads 1000 and passes on 100 of them, 1 reads 300 and passes on all. Of 400, 3 gets 800 (two each) and 4 gets 40.
    let flows = [
        Flow { written: 100.0, lag_change: Some(1000.0), lag: Some(18_000.0), ..flow(1000.0, 0.5) },
        flow(300.0, 0.5),
        Flow { written: 840.0, ..flow(400.0, 0.5) },
        flow(800.0, 0.5),
        flow(40.0, 0.5),
    ];
    let rates = rates(&shape, &flows, Duration::from_mins(30)).unwrap();
    let targets: Vec<f64> = rates.iter().map(|rate| rate.target.round()).collect();
    // 0 gets 2000, so 2 gets 200 + 300; 3 gets twice that and 4 a tenth.
    assert_eq!(targets, [2000.0, 300.0, 500.0, 1000.0, 50.0]);
    // 18,000 in 30 min are 10 a second at the source, of which a tenth comes on, and so on.
    let catch_up: Vec<f64> = rates.iter().map(|rate| (rate.catch_up * 100.0).round() / 100.0).collect();
    assert_eq!(catch_up, [10.0, 0.0, 1.0, 2.0, 0.1]);
}

#[test]
fn records_on_their_way_do_not_look_like_more_of_them() {
    // The source was held back for nearly the whole window, while the vertex after it worked off what was on its way.
    let held = Flow { backpressure: 1.0, lag: Some(9_000.0), lag_change: Some(399.5), ..flow(0.5, 0.0) };
    let flows = [held, flow(250.0, 1.0)];
    let rates = rates(&pair(2), &flows, Duration::from_mins(30)).unwrap();
    assert_eq!((rates[1].target.round(), rates[1].catch_up.round()), (400.0, 5.0));
    // 400/0.7 + 400/6 + 5 are 643: 2 * 643/250 is 5.1.
    assert_eq!(wanted(&pair(2), &flows), [2, 6]);
    // Held back all along, it shows nothing of what it passes on.
    let nothing = [Flow { read: 0.0, written: 0.0, ..held }, flow(250.0, 1.0)];
    assert_eq!(super::flow::rates(&pair(2), &nothing, Duration::from_mins(30)), None);
}

#[test]
fn a_graph_that_goes_in_circles_or_stands_still_ends() {
    let circle = Shape { nodes: vec![node(0, 2, &[]), node(1, 2, &[0, 2]), node(2, 2, &[1])] };
    assert_eq!(circle.in_order(), [0, 1, 2]);
    let idle = Flow { lag: None, lag_change: None, ..flow(0.0, 0.0) };
    // Nothing comes, so less is needed, but no more is taken away at once than to 0.4: 2 of 4.
    assert_eq!(wanted(&pair(4), &[idle, idle]), [2, 2]);
}

#[test]
fn a_vertex_that_was_declared_with_one_subtask_stays() {
    let shape = Shape { nodes: vec![node(0, 4, &[]), node(1, 1, &[0]), node(2, 4, &[1])] };
    let flows = [flow(1000.0, 0.6), flow(1000.0, 1.0), flow(1000.0, 0.6)];
    // It is the bottleneck, and no TaskManager helps it.
    assert_eq!(wanted(&shape, &flows), [4, 1, 4]);
    // Where all have one, nobody was declared so: 1 * 1595/1000 = 1.6. Sources at 0.6: 1595/1667, so 1.
    assert_eq!(wanted(&pair(1), &[flow(1000.0, 0.6), flow(1000.0, 1.05)]), [1, 2]);
}

#[test]
fn the_maximum_bounds_what_is_wanted() {
    let mut shape = pair(4);
    shape.nodes[1].max_parallelism = 6;
    shape.nodes[1].parts = Some(6);
    // 4 * (2000/0.7 + 333 = 3190)/1000 = 12.8, but 6 is the most.
    let source = Flow { lag_change: Some(1000.0), ..flow(1000.0, 0.1) };
    assert_eq!(wanted(&shape, &[source, flow(1000.0, 1.0)])[1], 6);
}

#[test]
fn slots_are_shared_within_a_group() {
    let mut shape = Shape { nodes: vec![node(0, 2, &[]), node(1, 6, &[0]), node(2, 3, &[1])] };
    assert_eq!(shape.slots(), 6);
    shape.nodes[2].group = Some("own".to_owned());
    assert_eq!(shape.slots(), 9);
    let cluster = Cluster { task_managers: 4, slots_each: 2, slots_used: 11 }.beside(9);
    // 9 of ours and 2 of another job are 11, which take 6 TaskManagers of 2.
    assert_eq!((cluster.task_managers(9), cluster.present(9), cluster.present(1)), (6, 6, 4));
    assert_eq!(Cluster { task_managers: 0, slots_each: 0, slots_used: 0 }.task_managers(0), 1);
}

#[test]
fn a_taskmanager_without_a_report_makes_the_others_no_smaller() {
    let manager = |slots, free| {
        let text = format!(r#"{{"id":"a","path":"b","slotsNumber":{slots},"freeSlots":{free}}}"#);
        serde_json::from_str(&text).unwrap()
    };
    let managers = [manager(4, 1), manager(0, 0), manager(4, 4)];
    assert_eq!(Cluster::of(&managers, None), Cluster { task_managers: 3, slots_each: 4, slots_used: 3 });
    assert_eq!(Cluster::of(&managers, Some(8)).slots_each, 8, "what the user says counts");
    assert_eq!(Cluster::of(&managers[1..2], None), Cluster { task_managers: 1, slots_each: 1, slots_used: 0 });
}

#[test]
fn of_what_was_wanted_within_the_delay_the_highest_counts() {
    let (mut wishes, delay) = (Wishes::default(), Duration::from_hours(1));
    let mut at = |minutes: i64, wish| {
        wishes.add(minutes * MINUTE, wish, delay);
        wishes.highest().unwrap()
    };
    assert_eq!([at(0, 4), at(10, 2), at(20, 3), at(69, 2)], [4, 4, 4, 4]);
    // Since minute 10 fewer than 4 were enough; the most of that hour were the 3 of minute 20, which is wanted until minute 69.
    assert_eq!([at(70, 2), at(128, 2), at(129, 2)], [3, 3, 2]);
    // A wish to grow holds at once, and the delay begins anew.
    assert_eq!([at(130, 5), at(131, 1), at(190, 1), at(191, 1)], [5, 5, 5, 1]);
}

fn attempt(since: i64) -> Attempt {
    let text = format!(
        r#"{{"jid":"{:032x}","name":"a","state":"RUNNING","now":{since},"timestamps":{{"RUNNING":{since}}}}}"#,
        7
    );
    Attempt::of(&serde_json::from_str(&text).unwrap())
}

/// A sample of a source and a vertex that took `rate` records a second since time 0, with this much work.
fn sample(at: i64, rate: i32, work: f64) -> Sample {
    let records = f64::from(rate) * f64::from(i32::try_from(at / 1000).unwrap());
    let seen = |number, work| Seen {
        id: id(number),
        read: records,
        written: records,
        work,
        backpressure: 0.0,
        pending: (number == 0).then_some(0.0),
    };
    Sample { at, vertices: vec![seen(0, 0.5), seen(1, work)] }
}

const CLUSTER: Cluster = Cluster { task_managers: 2, slots_each: 2, slots_used: 0 };

#[test]
fn until_the_window_is_full_what_is_there_is_right() {
    let (mut history, settings) = (History::default(), settings());
    let mut look =
        |minutes: i64| history.look(&attempt(1), sample(minutes * MINUTE, 1000, 1.2), &pair(4), CLUSTER, &settings);
    for minutes in [0, 5, 14] {
        assert_eq!(look(minutes), Verdict { task_managers: 2, demand: None });
    }
    // 1.2 is more than can be, so the true rate is 833, below the 1000 that come: 4 * 1595/833 = 7.7, 8 slots on 4 TaskManagers.
    assert_eq!(look(15), Verdict { task_managers: 4, demand: Some(1000.0) });
}

#[test]
fn fewer_wait_for_the_delay_and_a_restart_begins_anew() {
    let (mut history, settings) = (History::default(), settings());
    let mut look = |minutes: i64, run| {
        let verdict = history.look(&attempt(run), sample(minutes * MINUTE, 1000, 0.1), &pair(4), CLUSTER, &settings);
        verdict.task_managers
    };
    // The source at 0.5 needs 4 * 1595/2000 = 3.2, so 4 slots: with a TaskManager of 2 slots nothing is saved.
    assert_eq!([look(0, 1), look(15, 1), look(80, 1)], [2, 2, 2]);
    let mut history = History::default();
    let mut look = |minutes: i64, run| {
        let mut sample = sample(minutes * MINUTE, 1000, 0.1);
        sample.vertices[0].work = 0.1;
        history.look(&attempt(run), sample, &pair(4), CLUSTER, &settings).task_managers
    };
    // Both could do with 2 slots, from minute 15 on, when the window is full first.
    assert_eq!([look(0, 1), look(15, 1), look(45, 1), look(74, 1), look(75, 1)], [2, 2, 2, 2, 1]);
    // After a restart nothing is known: the window is empty, and so is the list of wishes.
    assert_eq!([look(76, 2), look(91, 2), look(150, 2), look(151, 2)], [2, 2, 2, 1]);
    // A clock that was set back makes nothing comparable either.
    assert_eq!(look(100, 2), 2);
}

#[test]
fn what_counts_backwards_or_is_missing_is_no_data() {
    let (mut history, settings) = (History::default(), settings());
    let mut look = |sample| history.look(&attempt(1), sample, &pair(4), CLUSTER, &settings);
    look(sample(0, 1000, 1.0));
    look(sample(10 * MINUTE, 1000, 1.0));
    let mut less = sample(15 * MINUTE, 1000, 1.0);
    less.vertices[1].read = -1.0;
    assert_eq!(look(less).demand, None);
    let mut missing = sample(16 * MINUTE, 1000, 1.0);
    missing.vertices.pop();
    assert_eq!(look(missing).demand, None);
}

#[test]
fn the_window_is_bounded_and_keeps_its_beginning() {
    let (mut window, span) = (Window::default(), Duration::from_mins(15));
    for second in 0..7200 {
        window.add(sample(second * 1000, 1000, 0.5), span);
        assert!(window.flows(&pair(4), span).is_some() == (second >= 900), "{second}");
    }
    assert!(window.samples.len() <= 250, "{}", window.samples.len());
    let flows = window.flows(&pair(4), span).unwrap();
    assert!((flows[1].read - 1000.0).abs() < 1.0 && (flows[1].work - 0.5).abs() < 1e-9);
}
