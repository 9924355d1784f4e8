//! What the triggers can say: their parameters, and what is wrong with their combination.
//!
//! Where to read from is said alike by all ([`place`]); what is read, by each in its own words ([`lists`], [`streams`],
//! [`clients`]).

pub(super) mod clients;
pub(super) mod lists;
pub(super) mod place;
pub(super) mod streams;

use tidegate_calculator::source::{MetricSpec, Problem};

use super::question::Question;
use super::source::Place;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use place::Layout;

const ACTIVATION: Parameter = Parameter::new(
    &["activation"],
    &[Metadata],
    Kind::Choice(&["poll", "push"]),
    "push reads at once when the server says that the key changed, besides polling. KEDA does not know it.",
)
.or("poll");

/// What a complete trigger on a key says.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) place: Place,
    pub(super) question: Question,
    /// The trigger is active above this.
    pub(super) activation: i64,
    pub(super) push: bool,
    pub(super) metric: MetricSpec,
}

fn pushes(values: &Values) -> bool {
    values.text(&ACTIVATION) == Some("push")
}

/// The database of the key; a cluster has one.
fn database(values: &Values, layout: Layout) -> Option<i64> {
    if layout == Layout::Cluster { Some(0) } else { values.integer(&place::DATABASE_INDEX) }
}

/// A target of nothing for one replica is taken as KEDA takes it.
fn zero(values: &Values, target: &Parameter, what: &str) -> Option<Problem> {
    let zero = values.integer(target) == Some(0);
    zero.then(|| values.problem(target, format!("makes any {what} ask for maxReplicaCount; use 1 or more")))
}

/// Two lists of parameters in one.
const fn joined<const ALL: usize>(own: &[Parameter], place: &[Parameter]) -> [Parameter; ALL] {
    let (mut all, mut index) = ([own[0]; ALL], 0);
    while index < ALL {
        all[index] = if index < own.len() { own[index] } else { place[index - own.len()] };
        index += 1;
    }
    all
}

#[cfg(test)]
#[path = "declaration_tests.rs"]
mod tests;
