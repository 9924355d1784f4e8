//! Finds objects that want to scale the same target: one of them must win.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_calculator::source::Problem;
use tidegate_engine::subject::{Finding, ObjectId, Severity, TargetRef};

/// That an object wants to scale a target.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Which object.
    pub id: &'a ObjectId,
    /// Its target.
    pub target: &'a TargetRef,
    /// When the object was created.
    pub created: Timestamp,
}

/// The claims that lose, by their position, each with the finding that names the winner: the oldest object wins, of
/// equally old ones the first (design: a second object on the same target is refused).
pub fn conflicts(claims: &[Claim<'_>]) -> Vec<(usize, Finding)> {
    let mut winners: BTreeMap<_, usize> = BTreeMap::new();
    for (index, claim) in claims.iter().enumerate() {
        let winner = winners.entry(what(claim.target)).or_insert(index);
        if claim.created < claims[*winner].created {
            *winner = index;
        }
    }
    let loser = |(index, claim): (usize, &Claim<'_>)| {
        let winner = *winners.get(&what(claim.target))?;
        (winner != index).then(|| (index, finding(claim, &claims[winner])))
    };
    claims.iter().enumerate().filter_map(loser).collect()
}

/// A target without the version of its API: two versions show the same object.
fn what(target: &TargetRef) -> (&str, &str, &str, &str) {
    let group = target.api_version.rsplit_once('/').map_or("", |(group, _)| group);
    (&target.namespace, group, &target.kind, &target.name)
}

fn finding(loser: &Claim<'_>, winner: &Claim<'_>) -> Finding {
    let why = if winner.created < loser.created { "is older" } else { "comes first" };
    let allowed = format!("is scaled by ScaledObject {} already, which {why}; one object a target", winner.id);
    let problem =
        Problem { path: "scaleTargetRef.name".to_owned(), value: Some(loser.target.name.to_string()), allowed };
    Finding { problem, severity: Severity::Error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_wins_and_of_equals_the_first() {
        let ids = ["a", "b", "c", "d"].map(|name| ObjectId::new("shop", name));
        let target = |name: &str, api_version: &str| TargetRef {
            namespace: "shop".into(),
            api_version: api_version.into(),
            kind: "Deployment".into(),
            name: name.into(),
        };
        let targets =
            [target("x", "apps/v1"), target("x", "apps/v1beta1"), target("x", "apps/v1"), target("y", "apps/v1")];
        let at = |second| Timestamp::from_second(second).unwrap();
        let claims = |seconds: [i64; 4]| -> Vec<(usize, String)> {
            let claim = |index: usize| Claim { id: &ids[index], target: &targets[index], created: at(seconds[index]) };
            let claims: Vec<_> = (0..4).map(claim).collect();
            conflicts(&claims).into_iter().map(|(index, finding)| (index, finding.to_string())).collect()
        };
        let text = |winner, why| {
            format!(
                "error scaleTargetRef.name: \"x\" is scaled by ScaledObject shop/{winner} already, which {why}; one object a target"
            )
        };
        assert_eq!(claims([5, 5, 5, 5]), [(1, text("a", "comes first")), (2, text("a", "comes first"))]);
        assert_eq!(claims([5, 3, 4, 1]), [(0, text("b", "is older")), (2, text("b", "is older"))]);
    }
}
