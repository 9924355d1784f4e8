//! The report for people.

use std::fmt::Write as _;

use tidegate_calculator::time::Span;

use super::{Bounds, Change, Checkpointing, Cluster, Job, Report, Snapshot, Target, Vertex};

/// How many jobs that have ended are shown.
const ENDED: usize = 5;

/// All of it.
pub(super) fn of(report: &Report) -> String {
    let mut lines = Lines::default();
    head(report, &mut lines);
    if let Some(flink) = &report.flink {
        settings(flink, &mut lines);
        jobs(&report.jobs, &mut lines);
    }
    changes(&report.changes, &mut lines);
    bounds(report, &mut lines);
    remembered(report, &mut lines);
    if !report.unknown.is_empty() {
        lines.title("Not known");
        for text in &report.unknown {
            lines.add(1, text);
        }
    }
    lines.0
}

/// Lines with their indent.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, indent: usize, text: &str) {
        let line = format!("{:width$}{text}", "", width = 2 * indent);
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    fn title(&mut self, text: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.add(0, text);
    }

    /// Rows with aligned cells; the last cell is as long as it is.
    fn table(&mut self, indent: usize, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a text cannot fail.
                let _ = write!(line, "{cell:width$}  ");
            }
            self.add(indent, line.trim_end());
        }
    }
}

fn head(report: &Report, lines: &mut Lines) {
    if let Some(object) = &report.object {
        let target = report.target.as_ref().map(|target| format!(" -> {}", shown_target(target)));
        lines.add(0, &format!("ScaledObject {object}{}", target.unwrap_or_default()));
    }
    if let Some(deployment) = &report.deployment {
        let yes =
            [(deployment.running, "running"), (deployment.settled, "settled"), (deployment.suspended, "suspended")];
        let words: Vec<&str> = yes.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
        let words = if words.is_empty() { "not settled".to_owned() } else { words.join(", ") };
        let error = deployment.error.as_ref().map(|error| format!("; the operator says: {error}")).unwrap_or_default();
        lines.add(0, &format!("FlinkDeployment: {words}, upgradeMode {}{error}", deployment.upgrade_mode));
    }
    let Some(flink) = &report.flink else { return };
    let slots: u32 = flink.task_managers.iter().map(|manager| manager.slots).sum();
    let free: u32 = flink.task_managers.iter().map(|manager| manager.free).sum();
    let can = |is: bool, what: &str| if is { what.to_owned() } else { format!("no {what}") };
    lines.add(
        0,
        &format!(
            "{}: version {}, scheduler {}, {}, {}",
            flink.address,
            flink.version,
            flink.scheduler,
            can(flink.web_submit, "jars (web-submit)"),
            can(flink.web_rescale, "requirements (web-rescale)")
        ),
    );
    lines.add(
        0,
        &format!(
            "{}, {}, {free} free",
            counted(flink.task_managers.len(), "TaskManager"),
            counted(usize::try_from(slots).unwrap_or(usize::MAX), "slot")
        ),
    );
    let row = |manager: &super::TaskManager| {
        let pod = match &manager.pod {
            Some(pod) if *pod == manager.id => String::new(),
            Some(pod) => format!("pod {pod}"),
            None if report.target.as_ref().is_some_and(|target| target.pods.is_some()) => {
                "no pod of the target".to_owned()
            }
            None => String::new(),
        };
        vec![manager.id.clone(), format!("{} of {} free", manager.free, manager.slots), pod]
    };
    lines.table(1, &flink.task_managers.iter().map(row).collect::<Vec<_>>());
}

fn shown_target(target: &Target) -> String {
    let replicas = target.replicas.map_or_else(
        || "replicas not known".to_owned(),
        |replicas| counted(usize::try_from(replicas).unwrap_or(usize::MAX), "replica"),
    );
    let pods = target.pods.as_ref().map(|pods| format!(", {}", counted(pods.len(), "pod"))).unwrap_or_default();
    format!("{}: {replicas}{pods}", target.name)
}

fn settings(flink: &Cluster, lines: &mut Lines) {
    lines.title("Settings of the JobManager");
    let Some(settings) = &flink.settings else {
        return lines.add(1, "Flink does not say them");
    };
    let set = settings.iter().filter_map(|one| Some(vec![one.name.clone(), one.value.clone()?]));
    lines.table(1, &set.collect::<Vec<_>>());
    let unset: Vec<&str> = settings.iter().filter(|one| one.value.is_none()).map(|one| one.name.as_str()).collect();
    if !unset.is_empty() {
        lines.add(1, "not set:");
        for name in unset {
            lines.add(2, name);
        }
    }
}

fn jobs(jobs: &[Job], lines: &mut Lines) {
    lines.title("Jobs");
    if jobs.is_empty() {
        lines.add(1, "none");
    }
    jobs.iter().filter(|job| job.live).for_each(|job| live(job, lines));
    let ended: Vec<&Job> = jobs.iter().filter(|job| !job.live).collect();
    let rows = ended.iter().take(ENDED).map(|job| vec![job.name.clone(), job.id.clone(), job.state.clone()]);
    lines.table(1, &rows.collect::<Vec<_>>());
    if ended.len() > ENDED {
        lines.add(1, &format!("and {} more that have ended", ended.len() - ENDED));
    }
}

fn live(job: &Job, lines: &mut Lines) {
    let mut words = vec![job.state.clone()];
    if job.state == "RUNNING" && !job.runs_wholly {
        words.push("but not every task runs".to_owned());
    }
    words.extend(job.batch.then(|| "batch".to_owned()));
    words.extend((!job.looked_after).then(|| "not looked after".to_owned()));
    words.extend(job.restarts.map(|restarts| counted(usize::try_from(restarts).unwrap_or(usize::MAX), "restart")));
    lines.add(1, &format!("{}  {}  {}", job.name, job.id, words.join(", ")));
    lines.table(2, &job.vertices.iter().map(vertex).collect::<Vec<_>>());
    match &job.checkpointing {
        Some(checkpointing) => lines.add(2, &shown_checkpointing(checkpointing, job.p95_milliseconds)),
        None => lines.add(2, "how it checkpoints is not known"),
    }
    let age = job.young_enough.map(|young| {
        if young { "; young enough for a change now" } else { "; too old for a change, a new one would be taken" }
    });
    match &job.checkpoint {
        Some(snapshot) => {
            lines.add(2, &format!("newest checkpoint {}{}", shown_snapshot(snapshot), age.unwrap_or_default()));
        }
        None => lines.add(2, "no completed checkpoint"),
    }
    if job.failed_in_a_row > 0 {
        lines.add(2, &format!("{} failed since then", job.failed_in_a_row));
    }
    if let Some(savepoint) = &job.savepoint {
        lines.add(2, &format!("newest savepoint {}", shown_snapshot(savepoint)));
    }
    if let Some(restored) = &job.restored {
        let kind = if restored.savepoint { "savepoint" } else { "checkpoint" };
        let path = restored.path.as_ref().map(|path| format!(" at {path}")).unwrap_or_default();
        lines.add(2, &format!("restored from {kind} {}{path}", restored.id));
    }
    if let Some(rescale) = &job.rescale {
        let cause = rescale.cause.as_deref().unwrap_or("of unknown cause");
        let end = rescale.end.as_deref().unwrap_or("under way");
        let took = rescale.took_milliseconds.map(|took| format!(" after {}", Span(took))).unwrap_or_default();
        lines.add(2, &format!("newest rescale {}: {cause}, {end}{took}", rescale.id));
    }
}

fn vertex(vertex: &Vertex) -> Vec<String> {
    let upper = vertex.upper_bound.map(|upper| format!("upper bound {upper}, ")).unwrap_or_default();
    vec![
        vertex.name.clone().unwrap_or_else(|| vertex.id.clone()),
        format!("{} of {} run", vertex.running, vertex.parallelism),
        format!("{upper}maximum {}", vertex.max_parallelism),
    ]
}

fn shown_checkpointing(of: &Checkpointing, p95: Option<i64>) -> String {
    let every = of.interval_milliseconds.map_or_else(
        || "no periodic checkpoints".to_owned(),
        |interval| format!("a checkpoint every {}", Span(interval)),
    );
    let mut parts = vec![every, format!("time-out {}", Span(of.timeout_milliseconds))];
    parts.extend(of.tolerable_failed.map(|count| format!("{count} may fail")));
    parts.extend(of.unaligned.map(|unaligned| if unaligned { "unaligned" } else { "aligned" }.to_owned()));
    parts.extend(of.state_backend.clone());
    parts.extend(p95.map(|p95| format!("95 of 100 took up to {}", Span(p95))));
    parts.join(", ")
}

fn shown_snapshot(snapshot: &Snapshot) -> String {
    let id = snapshot.id.map_or_else(|| "without a number".to_owned(), |id| id.to_string());
    let took = snapshot.took_milliseconds.and_then(|took| i64::try_from(took).ok());
    let took = took.map(|took| format!(", took {}", Span(took))).unwrap_or_default();
    let path = snapshot.path.as_ref().map(|path| format!(", at {path}")).unwrap_or_default();
    format!("{id}: {} old{took}{path}", Span(snapshot.age_milliseconds))
}

fn changes(changes: &[Change], lines: &mut Lines) {
    if changes.is_empty() {
        return;
    }
    lines.title("What a change would do now");
    let width = changes.iter().map(|change| change.direction.len()).max().unwrap_or(0);
    for change in changes {
        let what = match (change.outcome.as_str(), &change.strategy, &change.reason) {
            ("Made", Some(strategy), _) => strategy.clone(),
            ("Waits", _, Some(reason)) => format!("would wait ({reason})"),
            ("Useless", _, Some(reason)) => format!("of no use ({reason})"),
            (_, _, Some(reason)) => format!("refused ({reason})"),
            (outcome, ..) => outcome.to_owned(),
        };
        let aside = if change.possible == Some(false) { " (not from the present replicas)" } else { "" };
        lines.add(1, &format!("{:width$}  {what}: {}{aside}", change.direction, change.why));
        let indent = format!("{:width$}  ", "");
        if !change.stages.is_empty() {
            lines.add(1, &format!("{indent}stages: {}", change.stages.join(", ")));
        }
        let mut rest = Vec::new();
        rest.extend(change.on_failure.as_ref().map(|word| format!("on a failure before it: {word}")));
        if change.outcome == "Made" {
            rest.push(format!("then a pause of {}", Span(change.cooldown_milliseconds)));
        }
        rest.extend(change.not_before.as_ref().map(|when| format!("not before {when}")));
        if !rest.is_empty() {
            lines.add(1, &format!("{indent}{}", rest.join("; ")));
        }
    }
}

fn bounds(report: &Report, lines: &mut Lines) {
    if report.bounds.is_empty() {
        return;
    }
    lines.title("Parallelism by count of TaskManagers (upper bounds, in the order of the vertices)");
    let row = |bounds: &Bounds| {
        let jobs = bounds.jobs.iter().map(|job| {
            let list = job.vertices.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            format!("{}: {list}", job.job)
        });
        let count = usize::try_from(bounds.task_managers).unwrap_or(usize::MAX);
        let slots = usize::try_from(bounds.slots).unwrap_or(usize::MAX);
        vec![counted(count, "TaskManager"), counted(slots, "slot"), jobs.collect::<Vec<_>>().join("; ")]
    };
    lines.table(1, &report.bounds.iter().map(row).collect::<Vec<_>>());
    if let Some(last) = report.last_useful_task_managers {
        lines.add(1, &format!("more than {last} are of no use: no vertex could get more"));
    }
}

fn remembered(report: &Report, lines: &mut Lines) {
    if !report.operation.is_empty() {
        lines.title("Operation under way");
        report.operation.iter().for_each(|line| lines.add(1, line));
    }
    if !report.stopped.is_empty() {
        lines.title("Stopped by an operation, and not running");
        let row = |job: &super::Stopped| {
            let path = job.path.clone().unwrap_or_else(|| "path not known".to_owned());
            vec![job.job.clone(), format!("parallelism {}", job.parallelism), path]
        };
        lines.table(1, &report.stopped.iter().map(row).collect::<Vec<_>>());
    }
    if !report.savepoints.is_empty() {
        lines.title("Savepoints of operations, the newest last");
        let row = |kept: &tidegate_calculator::operation::retention::Kept| {
            let at = jiff::Timestamp::from_millisecond(kept.at).map(|at| at.strftime("%FT%TZ").to_string());
            vec![at.unwrap_or_default(), kept.job.clone(), kept.path.clone()]
        };
        lines.table(1, &report.savepoints.iter().map(row).collect::<Vec<_>>());
    }
    if let Some(annotation) = &report.annotation {
        lines.title(&format!("Annotation tidegate.dev/flink-savepoint of the target: {annotation}"));
    }
}

/// `1 slot`, `2 slots`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
