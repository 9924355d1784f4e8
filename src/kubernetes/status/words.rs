//! Texts and numbers in the form that the API server takes.

use jiff::Timestamp;
use tidegate_engine::subject::{Finding, Severity};

/// The longest message of a condition, in bytes: long enough for many findings, short enough for a status.
pub(in crate::kubernetes) const LONGEST_MESSAGE: usize = 4096;

/// KEDA's stages of a check, by the fields that they look at.
const STAGES: [(&str, &[&str]); 3] = [
    ("ScaledObject doesn't have correct scaleTargetRef specification", &["scaleTargetRef"]),
    (
        "ScaledObject doesn't have correct Idle/Min/Max Replica Counts specification",
        &["minReplicaCount", "maxReplicaCount", "idleReplicaCount"],
    ),
    ("ScaledObject doesn't have correct triggers specification", &["triggers"]),
];

/// All that keeps an object from being obeyed, in KEDA's form `<stage>: <error>`: errors first, then warnings. What is only
/// worth knowing is left out.
pub(in crate::kubernetes) fn refusal(findings: &[Finding]) -> String {
    let mut parts: Vec<(Option<&str>, Vec<String>)> = Vec::new();
    for severity in [Severity::Error, Severity::Warning] {
        for finding in findings.iter().filter(|finding| finding.severity == severity) {
            let stage = stage(&finding.problem.path);
            let text = finding.problem.to_string();
            match parts.iter_mut().find(|(known, _)| *known == stage) {
                Some((_, texts)) => texts.push(text),
                None => parts.push((stage, vec![text])),
            }
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(stage, texts)| match stage {
            Some(stage) => format!("{stage}: {}", texts.join("; ")),
            None => texts.join("; "),
        })
        .collect();
    cut(parts.join("; "), LONGEST_MESSAGE)
}

/// KEDA's stage that looks at this path; none for what KEDA checks nowhere, or elsewhere.
fn stage(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("spec.").unwrap_or(path);
    let first = path.split(['.', '[']).next().unwrap_or_default();
    STAGES.iter().find(|(_, fields)| fields.contains(&first)).map(|(stage, _)| *stage)
}

/// KEDA's prefix for a target that is absent or cannot be scaled.
pub(super) fn target_refusal(error: &str) -> String {
    cut(format!("{}: {error}", STAGES[0].0), LONGEST_MESSAGE)
}

/// A text of at most `longest` bytes; what is cut off shows as three dots.
pub(in crate::kubernetes) fn cut(text: String, longest: usize) -> String {
    if text.len() <= longest {
        return text;
    }
    let kept = text.floor_char_boundary(longest.saturating_sub(3));
    format!("{}...", &text[..kept])
}

/// A moment as the API keeps it: in whole seconds.
pub(in crate::kubernetes) fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A number of replicas as the API takes it.
pub(in crate::kubernetes) fn count(replicas: u32) -> i32 {
    i32::try_from(replicas).unwrap_or(i32::MAX)
}
