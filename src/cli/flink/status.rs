//! `tidegate flink status`: what the hook sees, and what it would do in each direction.

use jiff::Timestamp;
use tidegate_calculator::decision::Limit;
use tidegate_calculator::operation::bounds::Bound;
use tidegate_calculator::operation::facts::Inspection;
use tidegate_calculator::operation::progress::Job;
use tidegate_calculator::operation::refusal::Cause;
use tidegate_calculator::operation::sizing::Sizing;
use tidegate_calculator::operation::spec::{Flink, OnFailure};
use tidegate_calculator::operation::{Begin, Direction, Foreseen, Foresight, Stage, explain, foresee};
use tidegate_engine::Rest;
use tidegate_engine::subject::Fault;

use super::error::CommandError;
use super::look::{self, Seen};
use super::report::{self, Report, without_password};
use super::site::{Object, Place, Remembered, Site, find};
use super::{BAD_INPUT, Output, Printed, UNDONE};
use crate::cli::values::positive;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate flink status --cluster shop/enrich
      all comes from the cluster
  tidegate flink status -f enrich/
      the hook from files, and Flink; no cluster is asked
  tidegate flink status --rest-url http://127.0.0.1:8081
      a JobManager alone, with the defaults of a hook
  tidegate flink status --cluster shop/enrich --rest-url http://127.0.0.1:8081
      through kubectl port-forward svc/enrich-jobmanager 8081

It reads and changes nothing. What a change would do is said by the same rules by which an operation decides; what cannot be known \
without a cluster is named at the end.

Exit codes: 0 all was seen, 1 Flink or the target could not be seen, 2 a file or an object is not in order, or a wrong command line.")]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Say also what the jobs would get with this many TaskManagers.
    #[arg(long, value_name = "COUNT", value_parser = positive)]
    replicas: Option<u32>,
    /// How to print it.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Runs this subcommand.
pub(super) async fn status(arguments: Arguments) -> Printed {
    let Arguments { place, replicas, output } = arguments;
    let site = find(place).await?;
    let faults = site.object.as_ref().map(|object| object.faults.as_slice()).unwrap_or_default();
    if !faults.is_empty() {
        eprintln!("lowering is forbidden until the policies are mended: {}", without_password(&Fault::joined(faults)));
    }
    let ill = !faults.is_empty() || site.in_order().is_err();
    let seen = match look::inspect(&site).await {
        Err(error) if ill => {
            // What is wrong with the object comes first; Flink's failure is told beside it.
            eprintln!("error: {} ({})", error.shown(), error.reason());
            let flaws = site.object.iter().flat_map(|object| object.flaws.iter().cloned());
            let why = flaws.chain(faults.iter().map(|fault| fault.message.clone())).collect();
            return Err(CommandError::NotInOrder { object: site.id().to_string(), why });
        }
        seen => seen?,
    };
    let report = report(&site, &seen, replicas).await?;
    let code = match &seen.missed {
        _ if ill => BAD_INPUT,
        Some(_) => UNDONE,
        None => 0,
    };
    let text = match output {
        Output::Text => report.text(),
        Output::Json => report.json(),
    };
    Ok((text, code))
}

async fn report(site: &Site, seen: &Seen, replicas: Option<u32>) -> Result<Report, CommandError> {
    let flink = site.flink()?;
    let (cluster, jobs) = look::cluster(site, seen).await?.unzip();
    let met = met(flink, site.remembered.as_ref(), &seen.inspection);
    let slots_per = slots_per(flink, &seen.inspection);
    let mut report = Report {
        object: site.object.as_ref().map(|object| object.id.to_string()),
        target: target(site, seen),
        deployment: seen.inspection.deployment.as_ref().map(look::deployment),
        flink: cluster,
        jobs: jobs.unwrap_or_default(),
        changes: Direction::ALL.into_iter().filter_map(|direction| change(direction, site, seen)).collect(),
        bounds: slots_per.map(|slots| bounds(&met, slots, counts(seen, replicas))).unwrap_or_default(),
        last_useful_task_managers: last_useful(flink, site.remembered.as_ref(), &seen.inspection),
        unknown: unknown(site, seen),
        ..Report::default()
    };
    if let Some(remembered) = &site.remembered {
        remember(remembered, &mut report);
    }
    Ok(report)
}

/// The target as far as it was seen.
fn target(site: &Site, seen: &Seen) -> Option<report::Target> {
    let name = site.object.as_ref()?.target.to_string();
    let facts = seen.target.then_some(&seen.inspection.target);
    let pods = facts.map(|facts| facts.pods.iter().map(|pod| pod.name.clone()).collect());
    Some(report::Target { name, replicas: facts.map(|facts| facts.replicas), pods })
}

/// The jobs that a change would look after, as it would meet them.
fn met(flink: &Flink, remembered: Option<&Remembered>, inspection: &Inspection) -> Vec<Job> {
    let shapes = remembered.map(|remembered| remembered.left.shapes()).unwrap_or_default();
    let jobs = inspection.cluster.iter().flat_map(|cluster| &cluster.jobs);
    jobs.filter(|job| flink.looks_after(job)).map(|job| Job::meet(job, flink, shapes)).collect()
}

/// The count of TaskManagers above which more are of no use; none if it is not known.
fn last_useful(flink: &Flink, remembered: Option<&Remembered>, inspection: &Inspection) -> Option<u32> {
    let shapes = remembered.map(|remembered| remembered.left.shapes()).unwrap_or_default();
    Some(Sizing::of(inspection, flink, shapes)?.last_useful(flink)?.replicas)
}

/// Slots of one TaskManager; none if nothing says it.
fn slots_per(flink: &Flink, inspection: &Inspection) -> Option<u32> {
    let managers = inspection.cluster.iter().flat_map(|cluster| &cluster.task_managers);
    flink.slots_per_task_manager.or(managers.map(|manager| manager.slots).min())
}

/// The counts of TaskManagers that bounds are said for: the present one, its neighbours, and the one that was asked for.
fn counts(seen: &Seen, asked: Option<u32>) -> Vec<u32> {
    let present = seen.inspection.target.replicas;
    let around = present.saturating_sub(1)..=present.saturating_add(1);
    let mut counts: Vec<u32> = around.chain(asked).filter(|count| *count > 0).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

fn bounds(jobs: &[Job], slots_per: u32, counts: Vec<u32>) -> Vec<report::Bounds> {
    if jobs.is_empty() {
        return Vec::new();
    }
    let of_job = |(job, bounds): (&Job, Vec<Bound>)| report::JobBounds {
        job: job.name.clone(),
        vertices: bounds.into_iter().map(|bound| bound.upper).collect(),
    };
    let at = |count: u32| {
        let slots = slots_per.saturating_mul(count);
        let jobs = jobs.iter().zip(Job::bounds(jobs, slots)).map(of_job).collect();
        report::Bounds { task_managers: count, slots, jobs }
    };
    counts.into_iter().map(at).collect()
}

/// What would become of a change in this direction.
fn change(direction: Direction, site: &Site, seen: &Seen) -> Option<report::Change> {
    let present = seen.inspection.target.replicas;
    let some = present.max(2);
    let (from, to) = match direction {
        Direction::ScaleUp => (some, some.saturating_add(1)),
        Direction::ScaleDown => (some, some.saturating_sub(1)),
        Direction::ToZero => (some, 0),
        Direction::FromZero => (0, some),
    };
    let left = site.remembered.as_ref().map(|remembered| &remembered.left);
    let begin = Begin {
        attempt: 1,
        from,
        to,
        spec: site.spec.clone(),
        parked: left.map(|left| left.parked().to_vec()).unwrap_or_default(),
        shapes: left.map(|left| left.shapes().to_vec()).unwrap_or_default(),
        ..Begin::default()
    };
    let foresight = foresee(begin, &seen.inspection)?;
    let possible = match direction {
        Direction::FromZero => present == 0,
        Direction::ScaleDown => present > 1,
        Direction::ScaleUp | Direction::ToZero => present > 0,
    };
    let possible = seen.target.then_some(possible);
    let change = site.object.as_ref().and_then(|object| forbidden(direction, object, possible));
    let change = change.unwrap_or_else(|| shown(&foresight, possible));
    Some(report::Change { not_before: not_before(direction, site), ..change })
}

/// A change that is not made whatever Flink says: nothing is scaled by an object that is not in order, and nothing is lowered while a policy
/// takes no part.
fn forbidden(direction: Direction, object: &Object, possible: Option<bool>) -> Option<report::Change> {
    let faults = object.faults.as_slice();
    let (reason, why) = if !object.flaws.is_empty() {
        ("Refused", format!("the object is not in order: {}", object.flaws.join("; ")))
    } else if direction.lowers() && !faults.is_empty() {
        let missing = faults.iter().any(|fault| fault.kind.is_missing());
        let limit = if missing { Limit::PolicyMissing } else { Limit::PolicyInvalid };
        (limit.reason(), format!("nothing is lowered until the policies are mended: {}", Fault::joined(faults)))
    } else {
        return None;
    };
    Some(report::Change {
        direction: direction.as_str().to_owned(),
        possible,
        outcome: "Refused".to_owned(),
        reason: Some(reason.to_owned()),
        why: without_password(&why),
        ..report::Change::default()
    })
}

fn shown(foresight: &Foresight, possible: Option<bool>) -> report::Change {
    let on_failure = foresight.on_failure.map(|word| match word {
        OnFailure::Proceed => "Proceed".to_owned(),
        OnFailure::Abort => "Abort".to_owned(),
    });
    let change = report::Change {
        direction: foresight.direction.as_str().to_owned(),
        possible,
        on_failure,
        cooldown_milliseconds: foresight.cooldown.0,
        ..report::Change::default()
    };
    match &foresight.seen {
        Foreseen::Made { strategy, why, plan } => report::Change {
            outcome: "Made".to_owned(),
            strategy: Some(strategy.as_str().to_owned()),
            why: why.clone(),
            stages: plan.iter().copied().map(stage).collect(),
            ..change
        },
        Foreseen::Waits(cause) => because("Waits", cause, change),
        Foreseen::Refused(cause) => because("Refused", cause, change),
        Foreseen::Useless(cause) => because("Useless", cause, change),
    }
}

/// A change that would not be made.
fn because(outcome: &str, cause: &Cause, change: report::Change) -> report::Change {
    let reason = Some(cause.reason.reason().to_owned());
    report::Change { outcome: outcome.to_owned(), reason, why: cause.text.clone(), ..change }
}

/// A stage by its stored name.
fn stage(stage: Stage) -> String {
    format!("{stage:?}")
}

/// What the operations before leave to be waited for.
fn not_before(direction: Direction, site: &Site) -> Option<String> {
    let (remembered, object) = site.remembered.as_ref().zip(site.object.as_ref())?;
    Some(match remembered.left.rest(direction, object.generation, remembered.now)? {
        Rest::Until(at) => Timestamp::from_millisecond(at).ok()?.strftime("%FT%TZ").to_string(),
        Rest::Changed => "the object or a policy has changed".to_owned(),
    })
}

/// What the cluster remembers.
fn remember(remembered: &Remembered, report: &mut Report) {
    if let Some(operation) = &remembered.operation {
        let explained = explain::explain(operation, remembered.now.tick);
        report.operation = std::iter::once(explained.headline)
            .chain([format!("waits for {}", explained.waiting)])
            .chain(explained.jobs)
            .chain(explained.reasons)
            .map(|line| without_password(&line))
            .collect();
    }
    let stopped = remembered.left.parked().iter().map(|job| report::Stopped {
        job: job.name.clone(),
        id: job.id.clone(),
        parallelism: job.parallelism,
        path: job.path.as_deref().map(without_password),
    });
    report.stopped = stopped.collect();
    report.savepoints = remembered.left.savepoints().to_vec();
    for kept in &mut report.savepoints {
        kept.path = without_password(&kept.path);
    }
    report.annotation = remembered.annotation.as_deref().map(without_password);
}

/// What is not known, and what therefore was not looked at.
fn unknown(site: &Site, seen: &Seen) -> Vec<String> {
    let mut unknown = Vec::new();
    if !seen.target {
        let why = match &seen.missed {
            Some(failure) => format!("the target could not be seen ({})", without_password(&failure.text)),
            None => "no cluster is looked at".to_owned(),
        };
        unknown.extend([
            format!("the replicas of the target: {why}; the count of TaskManagers stands for them"),
            "whether its pods are these TaskManagers (TargetNotTaskManagers)".to_owned(),
            "whether the Flink Kubernetes Operator owns it (TargetOwnedByFlinkOperator)".to_owned(),
        ]);
    }
    match &site.remembered {
        None => unknown.extend([
            "jobs that operations stopped, and their savepoints: a change from zero is judged as if there were none"
                .to_owned(),
            "pauses after earlier operations".to_owned(),
        ]),
        Some(remembered) => unknown.extend(remembered.unseen.iter().cloned()),
    }
    if site.object.is_none() {
        unknown.push("what a policy says: the defaults of a hook stand for it, and no job has a `run`".to_owned());
    }
    unknown
}

#[cfg(test)]
mod tests {
    use tidegate_engine::subject::{FaultKind, ObjectId, TargetRef};

    use super::*;

    fn object(flaws: &[&str], faults: &[(FaultKind, &str)]) -> Object {
        let fault = |(kind, message): &(FaultKind, &str)| Fault { kind: *kind, message: (*message).to_owned() };
        Object {
            id: ObjectId::new("shop", "enrich"),
            generation: 1,
            target: TargetRef::default(),
            flaws: flaws.iter().map(|&flaw| flaw.to_owned()).collect(),
            faults: faults.iter().map(fault).collect(),
        }
    }

    #[test]
    fn a_change_that_is_forbidden_is_listed_as_nothing_else() {
        let forbids = |object: &Object| {
            Direction::ALL.map(|direction| {
                let change = forbidden(direction, object, Some(true))?;
                assert_eq!((&*change.direction, &*change.outcome), (direction.as_str(), "Refused"));
                assert!(change.strategy.is_none() && change.stages.is_empty());
                change.reason
            })
        };
        assert_eq!(forbids(&object(&[], &[])), [None, None, None, None]);
        let lowering = |reason: &str| [None, Some(reason.to_owned()), Some(reason.to_owned()), None];
        assert_eq!(forbids(&object(&[], &[(FaultKind::Invalid, "calm")])), lowering("PolicyInvalid"));
        let both = [(FaultKind::Invalid, "calm"), (FaultKind::Missing, "night")];
        assert_eq!(forbids(&object(&[], &both)), lowering("PolicyMissing"));
        let all = [const { Some("Refused") }; 4].map(|reason| reason.map(str::to_owned));
        assert_eq!(forbids(&object(&["maxReplicaCount: 0"], &[])), all);
        let change = forbidden(Direction::ToZero, &object(&[], &both), None).unwrap();
        assert_eq!(change.why, "nothing is lowered until the policies are mended: calm; night");
    }
}
