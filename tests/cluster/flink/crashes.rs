//! The operator is killed around every request with which an operation changes something, and started again: the job runs on, no TaskManager
//! leaves without its snapshot, nothing is done twice, and the change comes to its end.
//!
//! Each plot is played once without a fault, which tells its steps; then once for every moment at which the operator can die. To die after
//! one step and before the next is the same for the world, so only one of the two is played. `every_side_of_every_step` plays both, for
//! whoever wants to see it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use super::scripted_job::Manners;
use super::scripted_stage::{Lane, Opening, Scene};
use super::scripted_wire::{Side, Step};
use crate::cluster::operator::{Operator, until_held};
use crate::cluster::{SOON, trial};
use crate::harness::wait::eventually;

/// How many operators of one plot run side by side: they mostly wait.
const LANES: usize = 2;

/// Whoever starts acts.
const ALONE: &[&str] = &["--leader-elect=false"];
/// A lease whose holder is missed after 10 s: a busy machine lets nobody renew every second.
const LEASE: &[&str] = &["--lease-duration=10s", "--renew-deadline=8s", "--retry-period=1s"];

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("flink::crashes::checkpoint_in", || play(Plot::CheckpointIn, different)),
        trial("flink::crashes::checkpoint_out", || play(Plot::CheckpointOut, different)),
        trial("flink::crashes::stop_restore_in", || play(Plot::StopIn, different)),
        trial("flink::crashes::stop_restore_out", || play(Plot::StopOut, different)),
        trial("flink::crashes::to_zero", || play(Plot::ToZero, different)),
        trial("flink::crashes::from_zero", || play(Plot::FromZero, different)),
        trial("flink::crashes::a_standby_takes_over", standby),
        trial("flink::crashes::every_side_of_every_step", || {
            for plot in Plot::ALL {
                play(plot, all);
            }
        })
        .with_ignored_flag(true),
    ]
}

/// A change that is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plot {
    /// The adaptive scheduler, from 3 TaskManagers to 1.
    CheckpointIn,
    /// The same from 1 to 2.
    CheckpointOut,
    /// The default scheduler, from 2 TaskManagers to 1.
    StopIn,
    /// The same from 1 to 2.
    StopOut,
    /// From 2 to none.
    ToZero,
    /// From none to 2, after it was stopped.
    FromZero,
}

impl Plot {
    const ALL: [Self; 6] =
        [Self::CheckpointIn, Self::CheckpointOut, Self::StopIn, Self::StopOut, Self::ToZero, Self::FromZero];

    /// From how many TaskManagers to how many, and what it is called.
    const fn change(self) -> (u32, u32, &'static str) {
        match self {
            Self::CheckpointIn => (3, 1, "ScaleDown"),
            Self::StopIn => (2, 1, "ScaleDown"),
            Self::CheckpointOut | Self::StopOut => (1, 2, "ScaleUp"),
            Self::ToZero => (2, 0, "ToZero"),
            Self::FromZero => (0, 2, "FromZero"),
        }
    }

    fn opening(self) -> Opening {
        let adaptive = !matches!(self, Self::StopIn | Self::StopOut);
        let (from, _, _) = self.change();
        let least = u32::from(!matches!(self, Self::ToZero | Self::FromZero));
        let manners = Manners { adaptive, ..Manners::default() };
        // What goes to zero goes there at once, and not by way of 1.
        Opening { from: if from == 0 { 2 } else { from }, least, manners, lowers: least > 0, ..Opening::default() }
    }

    /// Brings a scene to where the plot begins, without a fault.
    fn prepare(self, scene: &Scene<'_>) {
        if self == Self::FromZero {
            scene.demand(0);
            assert_eq!(scene.until_ended("ToZero", 0), "Done");
        }
    }

    /// What must hold after the change: of zero, that the job can be had back.
    fn conclude(self, scene: &Scene<'_>) {
        if self == Self::ToZero {
            let target = scene.lane.space.get("deployments", &scene.name).unwrap();
            let path = target["metadata"]["annotations"]["tidegate.dev/flink-savepoint"].as_str().unwrap_or_default();
            assert!(path.contains("/savepoint-"), "{target:#}");
            scene.demand(2);
            assert_eq!(scene.until_ended("FromZero", 2), "Done");
        }
    }
}

/// A moment at which the operator dies.
type Moment = (Step, Side);

/// What came of one moment.
struct Row {
    at: Option<Moment>,
    /// Whether the moment came.
    killed: bool,
    end: String,
    seconds: f64,
    /// Snapshots, restarts and runs of the job.
    counts: (usize, u32, usize),
    violations: Vec<String>,
    steps: Vec<Step>,
}

/// The operators of a lane.
struct Crew<'a> {
    lane: &'a Lane,
    acting: Option<Operator>,
    /// The one that waits for the lease.
    waiting: Option<Operator>,
}

impl<'a> Crew<'a> {
    fn new(lane: &'a Lane, standby: bool) -> Self {
        let acting = Some(lane.operator());
        let waiting = standby.then(|| {
            until_held(&lane.space, None);
            lane.operator()
        });
        Self { lane, acting, waiting }
    }

    /// Starts anew what has ended by itself because its lease could not be renewed, as a kubelet does.
    fn tend(&mut self) {
        for place in [&mut self.acting, &mut self.waiting].into_iter().flatten() {
            if !place.is_running() {
                *place = self.lane.operator();
            }
        }
    }

    /// Kills the one that acts; another one comes after it.
    fn kill(&mut self) {
        self.acting.take().expect("somebody acts").kill();
        self.lane.wire.mend();
        let waiting = self.waiting.take();
        self.waiting = waiting.is_some().then(|| self.lane.operator());
        self.acting = Some(waiting.unwrap_or_else(|| self.lane.operator()));
    }
}

/// Plays one change; with a moment the operator dies there.
fn run(crew: &mut Crew<'_>, plot: Plot, at: Option<Moment>) -> Row {
    let lane = crew.lane;
    crew.tend();
    let opening = plot.opening();
    let (_, to, direction) = plot.change();
    let scene = lane.open(&opening);
    scene.until_at_rest(opening.from);
    plot.prepare(&scene);
    scene.guard();
    let before = scene.ended().map_or(0, |ended| ended.sequence);
    lane.wire.arm(at.clone());
    let begun = Instant::now();
    scene.demand(to);
    let killed = at.is_some() && comes(&scene, before);
    if killed {
        crew.kill();
    }
    let end = scene.until_ended(direction, to);
    let seconds = begun.elapsed().as_secs_f64();
    let steps = lane.wire.steps();
    // A moment that did not come must not come in what follows.
    lane.wire.arm(None);
    lane.wire.mend();
    plot.conclude(&scene);
    let (counts, violations) = (scene.counts(), scene.violations());
    if !violations.is_empty() || at.is_none() {
        println!("{plot:?} {at:?}\n{}", scene.story());
    }
    scene.close();
    Row { at, killed, end, seconds, counts, violations, steps }
}

/// Whether the moment comes; else the operation is over without it: a step that was repeated once need not be repeated always.
fn comes(scene: &Scene<'_>, before: u64) -> bool {
    let wire = &scene.lane.wire;
    eventually(SOON, "the moment to die, or the end", || {
        let over = || scene.ended().is_some_and(|ended| ended.sequence > before);
        if wire.is_cut() { Some(true) } else { over().then_some(false) }
    }) || {
        // What follows the end comes at once.
        std::thread::sleep(Duration::from_secs(5));
        wire.is_cut()
    }
}

/// Whether a step is told to Flink, or is of the replicas.
fn is_act((name, _): &Step) -> bool {
    !["store", "mark", "keep", "annotate", "plan"].iter().any(|part| name.starts_with(part))
}

/// One moment for each state of the world in which the operator can die: before every act, and after every step that no act follows.
fn different(steps: &[Step]) -> Vec<Moment> {
    let mut moments = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        // What is done side by side, or once more, leaves nothing behind that is new.
        let again = step.1 > 1 && ["mark", "keep", "plan"].contains(&step.0.as_str());
        if is_act(step) || index == 0 {
            moments.push((step.clone(), Side::Before));
        }
        if !again && !steps.get(index + 1).is_some_and(is_act) {
            moments.push((step.clone(), Side::After));
        }
    }
    moments
}

/// Both sides of every step.
fn all(steps: &[Step]) -> Vec<Moment> {
    steps.iter().flat_map(|step| [Side::Before, Side::After].map(|side| (step.clone(), side))).collect()
}

/// Plays it without a fault, and then once for each of the moments that `choose` makes of its steps.
fn play(plot: Plot, choose: fn(&[Step]) -> Vec<Moment>) {
    let first = Lane::new("flink-crash", ALONE);
    let whole = run(&mut Crew::new(&first, false), plot, None);
    drop(first);
    assert_eq!((whole.end.as_str(), &whole.violations), ("Done", &Vec::new()));
    let rows = side_by_side(plot, choose(&whole.steps), false);
    check(plot, &whole, rows);
}

/// Plays moments on several lanes.
fn side_by_side(plot: Plot, moments: Vec<Moment>, standby: bool) -> Vec<Row> {
    let (queue, rows) = (Mutex::new(VecDeque::from(moments)), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let lane = Lane::new("flink-crash", if standby { LEASE } else { ALONE });
                let mut crew = Crew::new(&lane, standby);
                while let Some(at) = next() {
                    let row = run(&mut crew, plot, Some(at));
                    rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                }
            });
        }
    });
    rows.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Prints the table, and says what must hold in every row.
fn check(plot: Plot, whole: &Row, mut rows: Vec<Row>) {
    let place = |row: &Row| row.at.as_ref().and_then(|(step, _)| whole.steps.iter().position(|other| other == step));
    rows.sort_by_key(|row| (place(row), row.at.as_ref().is_some_and(|(_, side)| *side == Side::After)));
    let mut table = format!("{plot:?}: killed ... | end | seconds | snapshots, restarts, runs\n");
    for row in std::iter::once(whole).chain(&rows) {
        let at = row.at.as_ref().map_or("never".to_owned(), |((name, nth), side)| {
            format!("{} {name} {nth}", format!("{side:?}").to_lowercase())
        });
        let came = if row.killed || row.at.is_none() { "" } else { " (did not come)" };
        let Row { end, seconds, counts, violations, .. } = row;
        writeln!(table, "{at}{came} | {end} | {seconds:.1} | {counts:?} {violations:?}").unwrap();
    }
    println!("{table}");
    let came = rows.iter().filter(|row| row.killed).count();
    assert!(came * 4 >= rows.len() * 3, "{came} of {} moments came\n{table}", rows.len());
    for row in &rows {
        // Whether two changes of the state are one store or two is a matter of moments; what is told to Flink is not.
        let told = row.at.as_ref().is_some_and(|(step, _)| is_act(step) && step.1 == 1);
        assert!(row.killed || !told, "{:?} never came\n{table}", row.at);
        assert_eq!((row.end.as_str(), &row.violations), ("Done", &Vec::new()), "{:?}\n{table}", row.at);
        let (snapshots, restarts, runs) = row.counts;
        assert_eq!(runs, whole.counts.2, "{:?}: it was run more than once\n{table}", row.at);
        // Of two pods that leave on a busy machine each may cost a restart.
        assert!(
            (whole.counts.1..=whole.counts.1 + 1).contains(&restarts),
            "{:?}: {restarts} restarts\n{table}",
            row.at
        );
        // On a busy machine one becomes too old before it is used.
        assert!(snapshots <= whole.counts.0 + 2, "{:?}: {snapshots} snapshots\n{table}", row.at);
    }
}

/// The one who waits for the lease takes over where the killed one was.
fn standby() {
    let step = |name: &str| (name.to_owned(), 1);
    let moments = [
        (step("store Snapshotting/Stop"), Side::After),
        (step("stop"), Side::After),
        (step("scale 1"), Side::Before),
        (step("scale 1"), Side::After),
        (step("run"), Side::Before),
        (step("run"), Side::After),
        (step("checkpoint"), Side::After),
        (step("store Done"), Side::Before),
    ];
    let rows = side_by_side(Plot::StopIn, moments.to_vec(), true);
    assert_eq!(rows.len(), moments.len());
    for row in rows {
        println!("{:?}: {} in {:.1} s, {:?}", row.at, row.end, row.seconds, row.counts);
        assert_eq!((row.end.as_str(), &row.violations), ("Done", &Vec::new()), "{:?}", row.at);
        assert!(row.killed && row.counts.2 == 1, "{:?}: it is run once", row.at);
    }
}
