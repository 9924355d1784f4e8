//! The metadata of triggers that pass all of it on to a server of the user's own.

use std::collections::BTreeMap;

use tidegate_calculator::source::{Problem, Secret, TriggerSpec};

use super::resolve::Known;
use super::unknown::FROM_ENV;
use super::{Parameter, REST};

/// Whether this trigger type passes on what it does not know itself.
pub(super) fn is_passed_on(declared: &[Parameter]) -> bool {
    declared.iter().any(|parameter| parameter.name() == REST)
}

/// The whole metadata as it is passed on: as it is written, but with the values of the variables that `...FromEnv` names.
///
/// A variable that is not there, or is empty, is left out with a warning; one that cannot be seen without.
pub(super) fn passed_on(spec: &TriggerSpec, env: Known<'_>) -> (BTreeMap<String, Secret>, Vec<Problem>) {
    let (mut passed, mut warnings) = (BTreeMap::new(), Vec::new());
    for (key, text) in &spec.metadata {
        if !key.ends_with(FROM_ENV) {
            passed.insert(key.clone(), Secret::new(text.as_str()));
            continue;
        }
        match env.variable(text.trim()) {
            None => {}
            Some(Some(value)) if !value.is_empty() => {
                passed.insert(key.clone(), Secret::new(value));
            }
            Some(value) => {
                let what = if value.is_none() { "is not" } else { "is empty" };
                let allowed = format!("{what} in the container's environment, so nothing is passed on");
                warnings.push(Problem { path: format!("metadata.{key}"), value: Some(text.clone()), allowed });
            }
        }
    }
    (passed, warnings)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn variables_stand_for_themselves_and_what_is_missing_is_left_out() {
        let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
        };
        let metadata = texts(&[("queue", " jobs "), ("dsnFromEnv", "DSN"), ("aFromEnv", "A"), ("bFromEnv", "B")]);
        let spec = TriggerSpec { metadata, ..TriggerSpec::default() };
        let env = [("DSN", " s3cret "), ("A", "")].map(|(name, text)| (name.to_owned(), Secret::new(text))).into();
        let (passed, warnings) = passed_on(&spec, Known::Values(&env));
        let shown: Vec<_> = passed.iter().map(|(key, text)| (key.as_str(), text.expose())).collect();
        assert_eq!(shown, [("dsnFromEnv", " s3cret "), ("queue", " jobs ")]);
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        let expected = [
            "metadata.aFromEnv: \"A\" is empty in the container's environment, so nothing is passed on",
            "metadata.bFromEnv: \"B\" is not in the container's environment, so nothing is passed on",
        ];
        assert_eq!(warnings, expected);
        assert!(passed_on(&spec, Known::Nothing).1.is_empty(), "what cannot be seen is no finding");
        assert_eq!(passed_on(&spec, Known::Names(&BTreeSet::new())).1.len(), 3);
    }
}
