//! Finds metadata that no parameter declares, and guesses what was meant.

use tidegate_calculator::source::{Problem, TriggerSpec};

use super::{Parameter, REST, Source, rest};

/// The suffix that turns a parameter's name into the key that names an environment variable.
pub(super) const FROM_ENV: &str = "FromEnv";

/// One warning for every metadata key that means nothing to this trigger type.
pub(super) fn unknown(spec: &TriggerSpec, declared: &[Parameter]) -> Vec<Problem> {
    let keys = metadata_keys(declared);
    let strangers = spec.metadata.keys().filter(|key| !keys.contains(*key));
    if rest::is_passed_on(declared) {
        return strangers.filter_map(|key| slip(key, &keys)).collect();
    }
    strangers.map(|key| stranger(&spec.kind, key, declared, &keys)).collect()
}

/// Metadata that is passed on, although it was likely meant for us.
fn slip(key: &str, keys: &[String]) -> Option<Problem> {
    let known = nearest(key, keys.iter().map(String::as_str))?;
    let allowed = format!("is only passed on to the server; did you mean {known}?");
    Some(Problem { path: format!("metadata.{key}"), value: None, allowed })
}

/// Every metadata key that some parameter reads.
fn metadata_keys(declared: &[Parameter]) -> Vec<String> {
    let mut keys = Vec::new();
    for parameter in declared.iter().filter(|parameter| parameter.name() != REST) {
        for name in parameter.names {
            if parameter.reads(Source::Metadata) {
                keys.push((*name).to_owned());
            }
            if parameter.reads(Source::Environment) {
                keys.push(format!("{name}{FROM_ENV}"));
            }
        }
    }
    keys
}

fn stranger(kind: &str, key: &str, declared: &[Parameter], keys: &[String]) -> Problem {
    let plain = key.strip_suffix(FROM_ENV).unwrap_or(key);
    let elsewhere = declared.iter().find(|parameter| parameter.names.contains(&plain));
    let hint = match elsewhere {
        Some(parameter) => format!("; {plain} can only come from {}", places(parameter)),
        None => match nearest(key, keys.iter().map(String::as_str)) {
            Some(known) => format!("; did you mean {known}?"),
            None => String::new(),
        },
    };
    let allowed = format!("is not a parameter of {kind} and has no effect{hint}");
    Problem { path: format!("metadata.{key}"), value: None, allowed }
}

/// The sources of a parameter in words.
pub(super) fn places(parameter: &Parameter) -> String {
    let place = |source: &Source| match source {
        Source::Metadata => "metadata",
        Source::Environment => "the container's environment (...FromEnv)",
        Source::Authentication => "authenticationRef",
    };
    parameter.sources.iter().map(place).collect::<Vec<_>>().join(", ")
}

/// The known name that differs from the written one by as little as a slip of the finger; the closest of several.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let near = known.into_iter().filter_map(|name| {
        let allowed = if name.len() <= 4 { 1 } else { 2 };
        let changes = distance(&written, &name.to_lowercase());
        (changes <= allowed).then_some((changes, name))
    });
    near.min_by_key(|(changes, _)| *changes).map(|(_, name)| name)
}

/// How many letters must be changed, added, dropped or swapped with their neighbour to get from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Source::*};
    use super::*;

    const DECLARED: &[Parameter] = &[
        Parameter::new(&["listName"], &[Metadata], Kind::Text, ""),
        Parameter::new(&["password"], &[Environment, Authentication], Kind::Text, "").secret(),
    ];

    fn findings(keys: &[&str]) -> Vec<String> {
        let metadata = keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect();
        let spec = TriggerSpec { kind: "redis".to_owned(), metadata, ..TriggerSpec::default() };
        unknown(&spec, DECLARED).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_declared_is_known() {
        assert_eq!(findings(&["listName", "passwordFromEnv"]), Vec::<String>::new());
    }

    #[test]
    fn what_is_passed_on_is_warned_of_only_if_it_looks_like_a_slip() {
        let rest = Parameter::new(&[REST], &[Metadata], Kind::Text, "");
        let declared = [DECLARED[0], rest];
        let metadata = ["anything", "listname", "xFromEnv"].map(|key| (key.to_owned(), "x".to_owned())).into();
        let spec = TriggerSpec { kind: "external".to_owned(), metadata, ..TriggerSpec::default() };
        let found: Vec<_> = unknown(&spec, &declared).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["metadata.listname: is only passed on to the server; did you mean listName?"]);
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let text = "metadata.lsitName: is not a parameter of redis and has no effect; did you mean listName?";
        assert_eq!(findings(&["lsitName"]), [text]);
        assert!(findings(&["listname"])[0].ends_with("did you mean listName?"));
        assert!(findings(&["colour"])[0].ends_with("has no effect"));
    }

    #[test]
    fn a_parameter_in_the_wrong_place_is_told_where_it_belongs() {
        assert!(findings(&["password"])[0].contains("can only come from the container's environment"));
        assert!(findings(&["listNameFromEnv"])[0].contains("listName can only come from metadata"));
    }
}
