//! Snapshots that fail on a real Flink: the cause has Flink's own words, no TaskManager leaves, and the job runs on under its id.

use std::fs;
use std::sync::Arc;

use serde_json::json;
use tidegate_calculator::operation::spec::{HookSpec, JobSelector, Select, StrategyChoice, Work};
use tidegate_calculator::operation::{Operation, Phase};
use tidegate_calculator::time::Span;

use super::course::{Course, Crash};
use super::server::{Flink, NEWEST, Plan};
use super::side::Side;
use super::{checkpoints, hooks};

/// Two jobs on two TaskManagers; one of them checkpoints once an hour and the other never. A snapshot may take 15 s: half of that is already too slow to begin with.
pub(super) fn nothing_leaves_without_a_snapshot() {
    let plan = Plan::new(NEWEST)
        .with("execution.checkpointing.interval", "1 h")
        .with("execution.checkpointing.timeout", "15 s");
    let flink = Flink::start(&plan, 2);
    let job = flink.submit(2, &["--name", "enrich", "--rate", "50"]);
    // The largest number is what Flink itself means by "off".
    let off = format!("{} ms", i64::MAX);
    let never = json!({"parallelism": 2, "flinkConfiguration": {"execution.checkpointing.interval": off}});
    let other = flink.run(&never, &["--name", "other", "--rate", "50"]);
    flink.wait_until_running(&job);
    flink.wait_until_running(&other);
    let side = Arc::new(Side::new(flink));
    let case = Case { side: &side, job: &job, other: &other };
    case.fails(
        1,
        ("no periodic checkpoints", "other"),
        StrategyChoice::Auto,
        ("NoCheckpointing", "checkpointing.interval"),
    );

    let refused = ("SnapshotFailed", "Failed to create savepoint directory at file:/proc/nope");
    case.fails(2, ("no directory for savepoints", "enrich"), StrategyChoice::StopRestore, refused);

    // A file is where the job's directory was.
    let directory = side.path("checkpoints").join(&job);
    let aside = directory.with_extension("aside");
    fs::rename(&directory, &aside).unwrap();
    fs::write(&directory, "").unwrap();
    let refused = ("SnapshotFailed", "FileAlreadyExistsException");
    case.fails(3, ("no directory for checkpoints", "enrich"), StrategyChoice::Checkpoint, refused);
    fs::remove_file(&directory).unwrap();
    fs::rename(&aside, &directory).unwrap();

    side.knob("slow-ckpt", "40000");
    let expired = ("SnapshotFailed", "Checkpoint expired before completing");
    case.fails(4, ("slower than its time-out", "enrich"), StrategyChoice::Checkpoint, expired);
    side.release("slow-ckpt");
}

struct Case<'a> {
    side: &'a Arc<Side>,
    job: &'a str,
    other: &'a str,
}

impl Case<'_> {
    /// Lowers from 2 to 1 with hooks for the job of this name alone: it ends without a change, for this reason and with these words.
    fn fails(
        &self,
        sequence: u64,
        (what, name): (&str, &str),
        strategy: StrategyChoice,
        (reason, words): (&str, &str),
    ) {
        let before = [self.job, self.other].map(|job| checkpoints(self.side, job)["counts"]["restored"].clone());
        let course = Course { to: 1, sequence, spec: self.spec(name, strategy), crash: Crash::Never };
        let operation: Operation = course.run(self.side);
        let state = operation.state();
        let cause = state.cause.as_ref().unwrap_or_else(|| panic!("{what}: {state:?}"));
        println!("{what}: {} {}: {}", state.phase.as_str(), cause.reason.reason(), cause.text);
        assert!(matches!(state.phase, Phase::Aborted | Phase::Failed), "{what}: {state:?}");
        assert_eq!(cause.reason.reason(), reason, "{what}: {}", cause.text);
        assert!(cause.text.contains(words), "{what}: {}", cause.text);
        assert_eq!((self.side.writes().len(), self.side.running()), (0, 2), "{what}");
        for (job, before) in [self.job, self.other].iter().zip(before) {
            assert_eq!(self.side.get(&format!("/jobs/{job}/status"))["status"], "RUNNING", "{what}");
            assert_eq!(checkpoints(self.side, job)["counts"]["restored"], before, "{what}: nothing restarted");
        }
    }

    fn spec(&self, name: &str, strategy: StrategyChoice) -> HookSpec {
        let mut spec = hooks(self.side, strategy);
        let Work::Flink(flink) = &mut spec.pre_scale[0].work else { panic!("{spec:?}") };
        flink.jobs.select = Select::Listed;
        // None that is there already serves instead.
        flink.checkpoint.max_age = Span::seconds(1);
        flink.jobs.list[0].select = JobSelector::Name(name.to_owned());
        flink.savepoint.directory = Some("file:///proc/nope".to_owned());
        spec
    }
}
