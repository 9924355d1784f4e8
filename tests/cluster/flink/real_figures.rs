//! The benchmark of Flink: how long a change takes, how long the job stands still for it, and how much work is done twice, with the hook and
//! without.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::fleet::{Fleet, JOB, POLICY, RATE};
use super::{real_checkpoint, real_restore, trial_with_flink};
use crate::cluster::load::meter::{load_average, machine};
use crate::flink::server::{NEWEST, Plan};
use crate::harness::tidegate::binary;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_flink("flink::figures", figures).with_ignored_flag(true)]
}

/// How often each change is made.
const ROUNDS: &str = "TIDEGATE_BENCH_ROUNDS";
/// The interval of the job's checkpoints.
const INTERVAL: Duration = Duration::from_mins(1);
/// How old the last checkpoint is when a change becomes wanted: half the interval, which is what one meets on average.
const AGE: Duration = Duration::from_secs(30);
/// How often the job's output is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nothing but replicas.
    Without,
    /// With the hook, in place.
    Checkpoint,
    /// With the hook, by a stop and a run.
    StopRestore,
}

/// What one change has cost.
#[derive(Clone, Debug)]
struct Cost {
    /// Seconds from the moment at which it is wanted until every task runs at the new size.
    running: f64,
    /// Seconds in which no record left the job, at a stretch.
    still: f64,
    /// Seconds that Flink itself counts: in place those in which its scheduler does not execute the job, else from the end of one job to the
    /// start of the other one.
    down: f64,
    /// Records that came by once more.
    replayed: u64,
}

/// The costs of one change, made one way.
struct Row {
    change: &'static str,
    way: Way,
    costs: Vec<Cost>,
}

fn figures() {
    let rounds = std::env::var(ROUNDS).unwrap_or_else(|_| "3".to_owned());
    let rounds: usize = rounds.parse().unwrap_or_else(|_| panic!("{ROUNDS}: {rounds:?} is no number"));
    println!("{}\nthe operator is {}", machine(), binary().display());
    let row = |change, way| Row { change, way, costs: Vec::new() };
    let ways = [Way::Without, Way::Checkpoint, Way::StopRestore];
    let mut rows: Vec<Row> = ways.into_iter().flat_map(|way| [row("1 to 3", way), row("3 to 1", way)]).collect();
    for way in ways {
        println!("{way:?}: load average {}", load_average());
        let mut bench = Bench::start(way);
        for _ in 0..rounds {
            for (change, task_managers) in [("1 to 3", 3), ("3 to 1", 1)] {
                let cost = bench.change(task_managers);
                println!("{change} {way:?}: {cost:.1?}");
                rows.iter_mut().find(|row| row.change == change && row.way == way).unwrap().costs.push(cost);
            }
        }
        println!("{way:?}: {} records, each left exactly once", bench.fleet.counts_exactly_once(&bench.job));
    }
    println!("\n{}", table(&rows));
}

/// A cluster on which changes are measured.
struct Bench {
    fleet: Fleet,
    job: String,
    way: Way,
}

impl Bench {
    /// One TaskManager, and a job on both of its slots; in place it is asked for six.
    fn start(way: Way) -> Self {
        let interval = format!("{} s", INTERVAL.as_secs());
        let plan = Plan::new(NEWEST).with("execution.checkpointing.interval", interval);
        let plan = if way == Way::StopRestore { plan.with("jobmanager.scheduler", "default") } else { plan };
        let mut fleet = Fleet::start("figures", &plan, 1);
        // Without the hook nobody changes the requirements: the job takes what slots there are.
        let job = fleet.submit(if way == Way::Without { 6 } else { 2 }, &json!({}));
        match way {
            Way::Without => {}
            Way::Checkpoint => fleet.policy(&real_checkpoint::hook(&fleet)),
            Way::StopRestore => fleet.policy(&real_restore::hook(&fleet, &fleet.flink.url(), &[])),
        }
        fleet.start_operator();
        Self { fleet, job, way }
    }

    /// Makes one change when the last checkpoint is half an interval old.
    fn change(&mut self, task_managers: u32) -> Cost {
        // Pauses after a change count for one object: this one has made none.
        let policy = (self.way != Way::Without).then_some(POLICY);
        self.fleet.scale_by_number(policy, 1, 3);
        self.until_half_way();
        let replayed = self.fleet.records().replayed();
        let (before, stood) = (self.job.clone(), Standstill::watch(self.fleet.flink.path("seen")));
        let (wanted, begun) = (Timestamp::now(), Instant::now());
        self.fleet.want(task_managers);
        self.until_running(u64::from(task_managers) * 2);
        let running = begun.elapsed().as_secs_f64();
        if self.way != Way::Without {
            assert_eq!(self.fleet.operations.ended(1).phase, "Done", "{}", self.fleet.log());
        }
        self.fleet.until_size(task_managers);
        let replayed = self.fleet.records().replayed() - replayed;
        let still = stood.longest();
        let down = if self.way == Way::StopRestore { self.between(&before) } else { self.not_executing(wanted) };
        self.fleet.scale_by_nothing();
        Cost { running, still, down, replayed }
    }

    fn until_half_way(&self) {
        self.fleet.flink.eventually("a checkpoint that is half an interval old", || {
            let newest = self.fleet.checkpoints(&self.job)["latest"]["completed"]["trigger_timestamp"].as_i64()?;
            let age = Timestamp::now().as_millisecond() - newest;
            let age = Duration::from_millis(age.try_into().ok()?);
            (age >= AGE && age < AGE + Duration::from_secs(2)).then_some(())
        });
    }

    /// Waits until every task of a live job runs with this parallelism, and remembers that job.
    fn until_running(&mut self, parallelism: u64) {
        self.job = self.fleet.flink.eventually("the job runs at its new size", || {
            let all = self.fleet.flink.try_get("/jobs/overview").ok()?;
            let live = |job: &&Value| job["name"] == JOB && job["state"] == "RUNNING";
            let id = all["jobs"].as_array()?.iter().find(live)?["jid"].as_str()?.to_owned();
            let detail = self.fleet.flink.try_get(&format!("/jobs/{id}")).ok()?;
            let runs = |one: &Value| one["parallelism"] == parallelism && one["tasks"]["RUNNING"] == parallelism;
            let vertices = detail["vertices"].as_array()?;
            (!vertices.is_empty() && vertices.iter().all(runs)).then_some(id)
        });
    }

    /// How long the scheduler did not execute the job since a moment.
    fn not_executing(&self, since: Timestamp) -> f64 {
        let path = format!("/jobs/{}/rescales", self.job);
        let history = self.fleet.flink.get(&format!("{path}/history"));
        let recent = |one: &&Value| one["startTimestampInMillis"].as_i64() > Some(since.as_millisecond());
        let ids = history.as_array().unwrap().iter().filter(recent).filter_map(|one| one["rescaleUuid"].as_str());
        let states = ids.flat_map(|id| {
            let details = self.fleet.flink.get(&format!("{path}/details/{id}"));
            details["schedulerStates"].as_array().cloned().unwrap_or_default()
        });
        let idle = states.filter(|one| one["state"] != "Executing");
        idle.filter_map(|one| one["durationInMillis"].as_f64()).sum::<f64>() / 1000.0
    }

    /// From the end of a job to the moment at which the other one was running.
    fn between(&self, before: &str) -> f64 {
        let at = |job: &str, state: &str| {
            self.fleet.flink.get(&format!("/jobs/{job}"))["timestamps"][state].as_f64().unwrap() / 1000.0
        };
        at(&self.job, "RUNNING") - at(before, "FINISHED")
    }
}

/// The longest time in which a job's output does not grow.
struct Standstill {
    ended: Arc<AtomicBool>,
    looks: std::thread::JoinHandle<Duration>,
}

impl Standstill {
    fn watch(folder: PathBuf) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let looks = std::thread::spawn(move || {
            let (mut size, mut grown, mut longest) = (0, Instant::now(), Duration::ZERO);
            while !end.load(Ordering::Relaxed) {
                let files =
                    std::fs::read_dir(&folder).into_iter().flatten().filter_map(|file| file.ok()?.metadata().ok());
                let now: u64 = files.map(|file| file.len()).sum();
                if now > size {
                    longest = longest.max(grown.elapsed());
                    (size, grown) = (now, Instant::now());
                }
                std::thread::sleep(LOOK);
            }
            longest
        });
        Self { ended, looks }
    }

    fn longest(self) -> f64 {
        self.ended.store(true, Ordering::Relaxed);
        self.looks.join().unwrap().as_secs_f64()
    }
}

/// The table for the documentation.
fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{RATE} records a second, checkpoints every {} s, the last one {} s old, 2 slots a TaskManager; median (least to most)\n\n\
         | TaskManagers | how | wanted to running, s | no record leaves, s | down by Flink, s | records done twice |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        INTERVAL.as_secs(),
        AGE.as_secs()
    );
    for Row { change, way, costs } in rows {
        let column = |of: fn(&Cost) -> f64, digits: usize| {
            let mut all: Vec<f64> = costs.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            let (least, most) = (all.first().unwrap(), all.last().unwrap());
            format!("{:.digits$} ({least:.digits$} to {most:.digits$})", all[all.len() / 2])
        };
        #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 records")]
        let columns = [
            column(|cost| cost.running, 1),
            column(|cost| cost.still, 1),
            column(|cost| cost.down, 1),
            column(|cost| cost.replayed as f64, 0),
        ];
        let _ = writeln!(text, "| {change} | {way:?} | {} |", columns.join(" | "));
    }
    text
}
