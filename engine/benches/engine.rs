//! What one input costs the engine, and what one object costs in memory.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::TargetState;
use tidegate_calculator::policy::Policy;
use tidegate_calculator::source::{
    EndpointId, Measured, MetricSpec, MetricType, Milli, Reading, Readings, TriggerSpec,
};
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::core::Engine;
use tidegate_engine::protocol::{Change, Command, Input, Seen, Version};
use tidegate_engine::subject::{ObjectId, References, Subject, TargetRef, Trigger};

const START: i64 = 1_767_225_600_000;

/// An engine over simulated objects that answers every command at once.
struct Fleet {
    engine: Engine,
    now: Now,
    backlog: i64,
    handled: u64,
}

fn moment(tick: i64) -> Now {
    Now { tick: Tick(tick), wall: Timestamp::from_millisecond(START + tick).unwrap_or_default() }
}

fn target(number: u32) -> TargetRef {
    let name = format!("orders-{number}");
    TargetRef {
        namespace: "shop".into(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: name.as_str().into(),
    }
}

fn subject(number: u32) -> Subject {
    let target = target(number);
    let pairs = [
        ("address", "redis.shop:6379".to_owned()),
        ("listName", format!("jobs-{number}")),
        ("listLength", "5".to_owned()),
    ];
    let metadata = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Subject {
        id: ObjectId::new("shop", &target.name),
        uid: "uid".into(),
        generation: 1,
        created: Timestamp::from_millisecond(START).unwrap_or_default(),
        policy: Policy { polling_interval: Span::seconds(30), max: 20, ..Policy::with_defaults("redis") },
        triggers: vec![Trigger {
            spec: TriggerSpec { kind: "redis".to_owned(), metadata, ..TriggerSpec::default() },
            references: References { target: target.clone(), container: None, authentication: None },
        }],
        target,
        hold: None,
        faults: Vec::new(),
        hooks: None,
    }
}

fn readings(total: i64) -> Readings {
    let spec = MetricSpec {
        name: "s0-redis-jobs".to_owned(),
        metric_type: MetricType::AverageValue,
        target: Milli::units(5),
        exact: false,
    };
    vec![(spec, Reading { value: Measured::Total(vec![Milli::units(total)]), active: total > 0 })]
}

impl Fleet {
    fn new(objects: u32, backlog: i64) -> Self {
        let mut fleet = Self { engine: Engine::default(), now: moment(0), backlog, handled: 0 };
        for number in 0..objects {
            fleet.feed(Input::Object(Change::Set(subject(number).into(), Checkpoint::default())));
            let state = TargetState { replicas: 0, existing: 0, ready: Some(0) };
            let seen = Seen { state, version: Version("1".into()) };
            fleet.feed(Input::Object(Change::Target(target(number), Ok(seen))));
        }
        fleet
    }

    /// Feeds an input and answers all that comes of it.
    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        let mut out = Vec::new();
        while let Some(input) = inputs.pop() {
            self.engine.handle(self.now, input, &mut out);
            self.handled += 1;
            for command in out.drain(..) {
                inputs.extend(match command {
                    Command::Open(call, ..) => Some(Input::Opened(call, Ok(Some(EndpointId(1))))),
                    Command::Read(call, ..) => Some(Input::Read(call, Ok(readings(self.backlog)))),
                    Command::Apply(call, ..) => Some(Input::Applied(call, Ok(Version("2".into())))),
                    Command::Store(call, ..) => Some(Input::Stored(call, Ok(()))),
                    _ => None,
                });
            }
        }
    }

    fn run_to(&mut self, tick: i64) {
        while let Some(due) = self.engine.next_due().filter(|due| due.0 <= tick) {
            self.now = moment(due.0);
            self.feed(Input::Tick);
        }
        self.now = moment(tick);
    }
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

fn memory(_: &mut Criterion) {
    let objects = 10_000;
    let before = resident();
    let mut fleet = Fleet::new(objects, 40);
    fleet.run_to(600_000);
    let each = (resident() - before) / u64::from(objects);
    println!("memory: {each} bytes an object at {objects} objects, active for 10 minutes ({} inputs)", fleet.handled);
}

fn handle(criterion: &mut Criterion) {
    let mut idle = Fleet::new(1_000, 0);
    idle.run_to(60_000);
    criterion.bench_function("handle: a tick at which nothing is due", |bencher| {
        let now = idle.now;
        bencher.iter(|| idle.engine.handle(now, Input::Tick, &mut Vec::new()));
    });
    for (name, backlog) in [("idle", 0), ("active", 40)] {
        criterion.bench_function(&format!("one minute of 1,000 {name} objects"), |bencher| {
            let fresh = || {
                let mut fleet = Fleet::new(1_000, backlog);
                fleet.run_to(60_000);
                fleet
            };
            bencher.iter_batched(
                fresh,
                |mut fleet| {
                    fleet.run_to(120_000);
                    fleet
                },
                BatchSize::LargeInput,
            );
        });
        let mut fleet = Fleet::new(1_000, backlog);
        fleet.run_to(60_000);
        let before = fleet.handled;
        fleet.run_to(120_000);
        println!("one minute of 1,000 {name} objects is {} inputs", fleet.handled - before);
    }
}

criterion_group!(benches, memory, handle);
criterion_main!(benches);
