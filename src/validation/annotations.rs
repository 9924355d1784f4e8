//! The annotations that users steer an object with (keda-semantics §1.5).

use std::collections::BTreeMap;

use tidegate_calculator::policy::Pause;
use tidegate_crds::annotations::{
    self as known, FORCE_ACTIVATION, HPA_EXCLUDED_LABELS, HPA_OWNERSHIP_VALIDATION, PAUSED, PAUSED_REPLICAS,
    PAUSED_SCALE_IN, PAUSED_SCALE_OUT, POLICIES, TRANSFER_HPA_OWNERSHIP,
};

use super::findings::{Findings, guess, shown};
use crate::manifests::path;

/// Annotations that are true or false.
const SWITCHES: [&str; 4] = [PAUSED, PAUSED_SCALE_IN, PAUSED_SCALE_OUT, FORCE_ACTIVATION];
/// Annotations about the `HorizontalPodAutoscaler` that KEDA makes and we do not.
const ABOUT_HPA: [&str; 3] = [TRANSFER_HPA_OWNERSHIP, HPA_OWNERSHIP_VALIDATION, HPA_EXCLUDED_LABELS];
/// Groups whose annotations are all known: another one is a mistake.
const OURS: [&str; 2] = ["autoscaling.keda.sh/", "tidegate.dev/"];

/// What the annotations of one object say.
#[derive(Clone, Debug, Default)]
pub(super) struct Steering {
    pub(super) pause: Pause,
    pub(super) paused_scale_in: bool,
    pub(super) paused_scale_out: bool,
    pub(super) force_activation: bool,
}

/// Reads them, and says which of them are not what they seem.
pub(super) fn read(all: &BTreeMap<String, String>, findings: &mut Findings) -> Steering {
    for name in SWITCHES {
        if let Some(text) = all.get(name).filter(|text| known::go_bool(text).is_none()) {
            findings.warn(place(name), Some(shown(&text.as_str().into())), "is not true or false and counts as true");
        }
    }
    for name in ABOUT_HPA.iter().filter(|name| all.contains_key(**name)) {
        findings.tell(place(name), None, "has no effect: no HorizontalPodAutoscaler is made");
    }
    for name in all.keys().filter(|name| OURS.iter().any(|group| name.starts_with(group))) {
        let mut names = SWITCHES.into_iter().chain([PAUSED_REPLICAS, POLICIES]);
        if !names.clone().any(|known| known == name) {
            let guess = guess(name, &mut names);
            findings.warn(place(name), None, format!("is not a known annotation and has no effect{guess}"));
        }
    }
    let on = |name| known::switch(Some(all), name);
    Steering {
        pause: pause(all, findings),
        paused_scale_in: on(PAUSED_SCALE_IN),
        paused_scale_out: on(PAUSED_SCALE_OUT),
        force_activation: on(FORCE_ACTIVATION),
    }
}

/// The annotations whose change is a change of the object.
pub(super) fn that_matter(name: &str) -> bool {
    SWITCHES.contains(&name) || name == PAUSED_REPLICAS || name == POLICIES
}

/// `paused-replicas` pauses by being there, whatever `paused` says.
fn pause(all: &BTreeMap<String, String>, findings: &mut Findings) -> Pause {
    let Some(text) = all.get(PAUSED_REPLICAS) else {
        return if known::switch(Some(all), PAUSED) { Pause::Plain } else { Pause::No };
    };
    let count = text.parse::<i32>().ok().and_then(|count| u32::try_from(count).ok());
    if count.is_none() {
        findings.refuse(place(PAUSED_REPLICAS), Some(shown(&text.as_str().into())), "is not an integer >= 0");
    }
    count.map_or(Pause::Plain, Pause::At)
}

fn place(name: &str) -> String {
    path::child("metadata.annotations", name)
}
