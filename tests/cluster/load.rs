//! The load benchmark: what many ScaledObjects cost the operator and the API server, and how soon an event becomes replicas.
//!
//! One control plane for each number of objects, and no pods: a Deployment is a number of replicas. The operator has the printed roles;
//! what it asked, and when its writes were answered, is taken from the API server's audit log. [`field`] has the objects and their lists,
//! [`meter`] the processor time and the memory, [`figures`] what is measured, the budgets, and the table that is printed. [`groups`] is
//! the same for many consumer groups of a Kafka, [`sources`] for many triggers on one server of each kind.

mod field;
mod figures;
mod groups;
pub(super) mod meter;
mod relay;
mod sources;
mod tap;

use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use self::field::{Field, Mode, Writes};
use self::figures::{Latency, Table};
use self::meter::{Meter, load_average, machine, spread};
use super::control_plane::ControlPlane;
use super::image;
use super::operator::{Account, Operator, until_held};
use super::space::Space;
use super::trial_with_redis;
use crate::harness::tidegate::binary;

/// The numbers of objects, with commas between them.
const SIZES: &str = "TIDEGATE_BENCH_OBJECTS";
/// The objects that get events first, alone.
const FEW: usize = 20;
/// How long the operator must have written nothing before a quiet time is measured.
const QUIET: Duration = Duration::from_secs(20);
/// How long that may take.
const SETTLE: Duration = Duration::from_mins(10);
/// The quiet time that is measured.
const MINUTE: Duration = Duration::from_mins(1);

pub(super) fn trials() -> Vec<Trial> {
    let groups = super::kafka::trial("kafka::load", groups::load);
    let sources = super::kafka::trial("load::sources", sources::load);
    [trial_with_redis("load", load), groups, sources].map(|trial| trial.with_ignored_flag(true)).into()
}

fn load() {
    let sizes = std::env::var(SIZES).unwrap_or_else(|_| "100,1000,10000".to_owned());
    let sizes =
        sizes.split(',').map(|size| size.trim().parse().unwrap_or_else(|_| panic!("{SIZES}: {size:?} is no number")));
    let sizes: Vec<usize> = sizes.collect();
    assert!(sizes.iter().all(|size| *size > FEW), "{SIZES}: more than {FEW} objects are needed, here are {sizes:?}");
    println!("{}", machine());
    println!("the operator is {}", binary().display());
    let mut tables: Vec<Table> = Vec::new();
    for size in sizes {
        let mut table = Run::start(size).measure();
        if let Some(fewer) = tables.last() {
            table.compare(fewer);
        }
        println!("\n{table}");
        tables.push(table);
    }
}

/// One measurement.
struct Run {
    // Dropped in this order: the operator ends before the servers that it asks.
    operator: Operator,
    field: Field,
    /// Where the Lease stands.
    _own: Space,
    plane: Arc<ControlPlane>,
    table: Table,
}

impl Run {
    /// Starts everything; there are no objects yet.
    fn start(objects: usize) -> Self {
        println!("\n{objects} objects");
        let plane = Arc::new(ControlPlane::start_bare());
        let field = Field::new(&plane, objects);
        let own = Space::on(&plane, "operator");
        let operator = Account::cluster_wide(&own).start_as(image::outside(), &[]);
        until_held(&own, None);
        Self { operator, field, _own: own, plane, table: Table::new(objects) }
    }

    /// Everything in order. The lists are filled and emptied once for triggers that poll, and once for triggers that are pushed.
    fn measure(mut self) -> Table {
        self.apply();
        self.quiet_minute("idle", &figures::IDLE);
        self.events(Mode::Poll, &figures::POLLED);
        self.quiet_minute("active", &figures::ACTIVE);
        self.empty(&figures::EMPTIED_POLLED);
        self.listen();
        self.events(Mode::Push, &figures::PUSHED);
        self.empty(&figures::EMPTIED_PUSHED);
        self.table.add(&figures::PEAK, self.meter().memory("VmHWM"));
        self.limits();
        assert!(self.operator.is_running(), "the operator ended: {}", self.operator.log());
        self.operator.terminate();
        assert_eq!(self.operator.wait(), Some(0), "{}", self.operator.log());
        self.table
    }

    /// Applies all objects, and waits until each is ready and read.
    fn apply(&mut self) {
        self.begin("apply");
        let empty = self.meter().memory("VmRSS");
        let begun = Instant::now();
        self.field.create_targets();
        self.say(&format!("the Deployments were created in {:.1} s", begun.elapsed().as_secs_f64()));
        let mut moment = self.plane.audit().now();
        let (since, begun) = (moment, Instant::now());
        let applied = self.field.create_objects();
        self.table.add(&figures::APPLIED, begun.elapsed().as_secs_f64());
        let ready = self.field.until_ready(&self.operator, &mut moment);
        self.table.add(&figures::READY, ready.duration_since(applied).as_secs_f64().max(0.0));
        self.say(&format!("{:?}", self.operator.requests(since).counts()));
        self.settle();
        self.table.add(&figures::EMPTY, empty);
    }

    /// A minute in which nothing changes.
    fn quiet_minute(&mut self, name: &str, figures: &'static figures::Quiet) {
        self.settle();
        self.begin(name);
        let meter = self.meter();
        let (moment, before, begun) = (self.plane.audit().now(), meter.processor(), Instant::now());
        std::thread::sleep(MINUTE);
        let spent = (meter.processor() - before) / begun.elapsed().as_secs_f64();
        let requests = self.operator.requests(moment);
        let writes = requests.writes();
        self.say(&format!("{:?}", requests.counts()));
        self.table.add(&figures.processor, spent * 1000.0);
        self.table.add(&figures.resident, meter.memory("VmRSS"));
        self.table.add(&figures.requests, figures::count(requests.count()));
        self.table.add(&figures.writes, figures::count(writes.count()));
        self.table.add(&figures.others, figures::count(writes.without_lease().count()));
        self.say(&format!("resident: {}", meter.parts()));
    }

    /// Events for a few objects, then for all others at once.
    fn events(&mut self, mode: Mode, figures: &'static figures::Events) {
        let (few, others) = self.field.split(FEW);
        let writes = self.scaled(&format!("{mode}, {FEW} objects"), |field| field.fill(few.clone()), 5);
        self.table.add_all(&figures.few_first, writes.first());
        self.table.add_all(&figures.few_full, writes.last());
        let writes = self.scaled(&format!("{mode}, all others"), |field| field.fill(others.clone()), 5);
        self.table.add_all(&figures.others_first, writes.first());
        self.table.add_all(&figures.others_full, writes.last());
        self.table.add(&figures.writes_each, writes.each());
    }

    /// Empties all lists.
    fn empty(&mut self, figure: &'static figures::Figure) {
        self.settle();
        let all = 0..self.field.objects();
        let writes = self.scaled("all lists are emptied", |field| field.clear(all.clone()), 0);
        self.table.add_all(figure, writes.last());
        self.settle();
    }

    /// Turns all triggers into such that are pushed.
    fn listen(&mut self) {
        self.begin("activation: push");
        let begun = Instant::now();
        self.field.push_from_now_on();
        self.say(&format!("patched after {:.1} s", begun.elapsed().as_secs_f64()));
        self.field.until_armed();
        self.say(&format!("all are listened to after {:.1} s", begun.elapsed().as_secs_f64()));
        self.settle();
        self.table.add(&figures::LISTENING, self.meter().memory("VmRSS"));
    }

    /// Does something to lists and waits until the replicas of their objects have followed.
    fn scaled(&mut self, name: &str, act: impl FnOnce(&Field) -> field::Acted, replicas: i64) -> Writes {
        self.begin(name);
        let [etcd, apiserver] = self.plane.servers().map(Meter::new);
        let meters = [("operator", self.meter()), ("apiserver", apiserver), ("etcd", etcd)];
        let before = meters.each_ref().map(|(_, meter)| meter.processor());
        let mut moment = self.plane.audit().now();
        let acted = act(&self.field);
        let writes = self.field.until_scaled(&self.operator, &mut moment, &acted, replicas);
        let last = writes.last().into_iter().fold(0.0, f64::max);
        let spent = meters
            .iter()
            .zip(before)
            .map(|((name, meter), before)| format!("{name} {:.2} s", meter.processor() - before));
        let spent: Vec<String> = spent.collect();
        self.say(&format!(
            "the last write was answered after {last:.2} s; processor time until all were seen: {}",
            spent.join(", ")
        ));
        self.say(&format!("a write of /scale at the API server, ms: {}", Latency(spread(writes.served().to_vec()))));
        self.table.served(writes.served());
        writes
    }

    fn settle(&self) {
        settle(&self.plane, &self.operator);
    }

    /// What else could have been the limit: the API server's bounds on requests, and memory.
    fn limits(&mut self) {
        let [etcd, apiserver, _] = self.plane.memory();
        let metrics = self.plane.print(&["get", "--raw", "/metrics"]);
        let sum = |name: &str| meter::sum(&metrics, name, "workload-low");
        let (rejected, waited, asked) = (
            sum("apiserver_flowcontrol_rejected_requests_total"),
            sum("apiserver_flowcontrol_request_wait_duration_seconds_sum"),
            sum("apiserver_flowcontrol_request_wait_duration_seconds_count"),
        );
        self.table.note(format!(
            "API server: {apiserver} MiB resident at the end, etcd {etcd} MiB. Of the operator's {asked} requests it rejected {rejected} \
             and let them wait {:.2} ms on average for its own bounds.",
            waited / asked.max(1.0) * 1000.0
        ));
    }

    fn begin(&mut self, name: &str) {
        let load = load_average();
        println!("  {name} (load average {load})");
        self.table.began(name, &load);
    }

    #[allow(clippy::unused_self)]
    fn say(&self, text: &str) {
        println!("    {text}");
    }

    fn meter(&self) -> Meter {
        Meter::new(self.operator.pid())
    }
}

/// Waits until an operator writes nothing but the Lease.
fn settle(plane: &ControlPlane, operator: &Operator) {
    let (begun, mut moment) = (Instant::now(), plane.audit().now());
    let mut last = Instant::now();
    while last.elapsed() < QUIET {
        assert!(begun.elapsed() < SETTLE, "the operator still writes after {SETTLE:?}");
        std::thread::sleep(Duration::from_secs(1));
        if operator.follow(&mut moment).writes().without_lease().count() > 0 {
            last = Instant::now();
        }
    }
}
