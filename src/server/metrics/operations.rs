//! The metrics of operations: what was counted of all of them, and what single objects are in the middle of.

use std::fmt;

use tidegate_engine::snapshot::Operations;

use super::{Samples, Scrape, seconds, whole};

/// What can be said of an object's operations, with the object's namespace and name.
fn each(scrape: &Scrape) -> impl Iterator<Item = (&str, &str, &Operations)> {
    let objects = scrape.objects.iter();
    objects.filter_map(|object| Some((&*object.id.namespace, &*object.id.name, object.operations.as_deref()?)))
}

pub(super) fn ended(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    scrape.tally.ended().try_for_each(|(labels, count)| out.put(labels, whole(count)))
}

pub(super) fn phases(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    scrape.tally.phases().try_for_each(|(phase, times)| out.put_histogram(&[phase], times))
}

pub(super) fn ages(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    let ages = scrape.tally.ages();
    // Whoever has no hooks is told nothing of snapshots.
    if ages.count() == 0 { Ok(()) } else { out.put_histogram(&[], ages) }
}

pub(super) fn running(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    each(scrape).try_for_each(|(namespace, name, operations)| match &operations.running {
        Some(running) => out.put(&[namespace, name, running.direction.as_str(), running.phase.as_str()], 1.0),
        None => Ok(()),
    })
}

pub(super) fn stopped(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    each(scrape).try_for_each(|(namespace, name, operations)| {
        let mut jobs = operations.stopped.iter();
        jobs.try_for_each(|job| out.put(&[namespace, name, &job.name], seconds(job.lasting)))
    })
}

pub(super) fn useful(scrape: &Scrape, out: &mut Samples<'_>) -> fmt::Result {
    each(scrape).try_for_each(|(namespace, name, operations)| match operations.useful {
        Some(useful) => out.put(&[namespace, name], f64::from(useful.replicas)),
        None => Ok(()),
    })
}
