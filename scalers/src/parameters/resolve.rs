//! Finds the value of every declared parameter and collects everything that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidegate_calculator::source::{Milli, Problem, Secret, TriggerSpec};

use super::unknown::{self, FROM_ENV};
use super::{Deprecation, Parameter, Source, grammar, rest};

/// What is known of a source besides the metadata: a validator may have to judge without Secrets.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// Exactly these values.
    Values(&'a BTreeMap<String, Secret>),
    /// Exactly these names, their values unknown.
    Names(&'a BTreeSet<String>),
    /// It exists, but what it provides is unknown.
    Nothing,
}

/// The parameters of one trigger, found and checked.
#[derive(Clone, Debug)]
pub struct Values {
    found: BTreeMap<&'static str, Found>,
    dangling: BTreeMap<&'static str, Problem>,
    /// The parameters that metadata and authentication give at once.
    doubled: BTreeSet<&'static str>,
    /// The whole metadata, if this type passes it on.
    passed_on: BTreeMap<String, Secret>,
    /// What keeps the trigger from being built.
    pub errors: Vec<Problem>,
    /// What is likely a mistake, but harmless.
    pub warnings: Vec<Problem>,
}

/// What the sources say of one parameter.
#[derive(Clone, Debug)]
enum Found {
    Absent,
    /// A source has it or may have it, but we do not see the value.
    Unseen,
    Given {
        text: Secret,
        place: Place,
    },
}

/// Where a value stands, in words that may be printed.
#[derive(Clone, Debug)]
struct Place {
    path: String,
    shown: Option<String>,
    /// What the place says of the value: an environment variable is named where its value is meant.
    verb: &'static str,
}

/// One look into one source.
enum Sight<'a> {
    Absent,
    Unseen,
    Text(&'a str),
}

impl Known<'_> {
    fn look(&self, name: &str) -> Sight<'_> {
        match self {
            Self::Values(values) => values.get(name).map_or(Sight::Absent, |secret| Sight::Text(secret.expose())),
            Self::Names(names) if !names.contains(name) => Sight::Absent,
            Self::Names(_) | Self::Nothing => Sight::Unseen,
        }
    }

    /// The text of this name, as it is; none if it is not there, and none at all if that cannot be seen.
    #[expect(clippy::option_option, reason = "whether it is there and whether that is seen are two questions")]
    pub(super) fn variable(&self, name: &str) -> Option<Option<&str>> {
        match self.look(name) {
            Sight::Unseen => None,
            Sight::Absent => Some(None),
            Sight::Text(text) => Some(Some(text)),
        }
    }
}

impl Values {
    /// Looks every declared parameter up: sources in their order, within a source names in their order; the first text
    /// that is not blank wins, trimmed.
    pub fn resolve(spec: &TriggerSpec, declared: &[Parameter], env: Known<'_>, auth: Known<'_>) -> Self {
        let mut values = Self {
            found: BTreeMap::new(),
            dangling: BTreeMap::new(),
            doubled: BTreeSet::new(),
            passed_on: BTreeMap::new(),
            errors: Vec::new(),
            warnings: unknown::unknown(spec, declared),
        };
        for parameter in declared {
            let found = values.find(parameter, spec, env, auth);
            values.judge(parameter, &found);
            if is_doubled(parameter, spec, auth) {
                values.doubled.insert(parameter.name());
            }
            values.found.insert(parameter.name(), found);
        }
        if rest::is_passed_on(declared) {
            let (passed_on, warnings) = rest::passed_on(spec, env);
            values.passed_on = passed_on;
            values.warnings.extend(warnings);
        }
        values
    }

    /// The whole metadata as a type that declares [`REST`](super::REST) passes it on: as it is written, but with the values
    /// of the variables that `...FromEnv` names; those that are not there, or are empty, are left out.
    pub fn passed_on(&self) -> &BTreeMap<String, Secret> {
        &self.passed_on
    }

    fn find(&mut self, parameter: &Parameter, spec: &TriggerSpec, env: Known<'_>, auth: Known<'_>) -> Found {
        for source in parameter.sources {
            for name in parameter.names {
                let found = match source {
                    Source::Metadata => metadata(parameter, name, spec),
                    Source::Environment => self.environment(parameter, name, spec, env),
                    Source::Authentication => authentication(name, auth),
                };
                if !matches!(found, Found::Absent) {
                    return found;
                }
            }
        }
        Found::Absent
    }

    fn environment(&mut self, parameter: &Parameter, name: &str, spec: &TriggerSpec, env: Known<'_>) -> Found {
        let key = format!("{name}{FROM_ENV}");
        let Some(variable) = spec.metadata.get(&key).map(|text| text.trim()).filter(|text| !text.is_empty()) else {
            return Found::Absent;
        };
        let place = Place {
            path: format!("metadata.{key}"),
            shown: Some(variable.to_owned()),
            verb: "names a variable whose value",
        };
        match env.look(variable) {
            Sight::Unseen => Found::Unseen,
            Sight::Text(text) if !text.trim().is_empty() => Found::Given { text: Secret::new(text.trim()), place },
            sight => {
                let what = if matches!(sight, Sight::Absent) { "is not" } else { "is empty" };
                let problem = place.problem(format!("{what} in the container's environment"));
                self.dangling.entry(parameter.name()).or_insert(problem);
                Found::Absent
            }
        }
    }

    /// Books what is wrong with a parameter by itself.
    fn judge(&mut self, parameter: &Parameter, found: &Found) {
        if let Found::Given { text, place } = found {
            match parameter.deprecated {
                Some(Deprecation::Refused(instead)) => {
                    self.errors.push(place.problem(format!("is not supported any more; {instead}")));
                }
                Some(Deprecation::Announced(instead)) => {
                    self.warnings.push(place.problem(format!("is deprecated; {instead}")));
                }
                Some(Deprecation::Unused(reason)) => {
                    self.warnings.push(place.problem(format!("has no effect; {reason}")));
                }
                None => {}
            }
            if !parameter.kind.accepts(text.expose()) {
                self.errors.push(place.problem(format!("{}is not {}", place.prefix(), parameter.kind.expected())));
            }
            return;
        }
        let missing = matches!(found, Found::Absent) && parameter.required && parameter.default.is_none();
        match self.dangling.get(parameter.name()).cloned() {
            Some(problem) if missing => self.errors.push(problem),
            Some(problem) => self.warnings.push(problem),
            None if missing => self.errors.push(Problem {
                path: home(parameter),
                value: None,
                allowed: format!("is required; it is read from {}", unknown::places(parameter)),
            }),
            None => {}
        }
    }

    /// Whether a source gave the parameter a value that we see; a default does not count.
    pub fn given(&self, parameter: &Parameter) -> bool {
        matches!(self.found.get(parameter.name()), Some(Found::Given { .. }))
    }

    /// Whether the parameter may have a value that we do not see.
    pub fn unseen(&self, parameter: &Parameter) -> bool {
        matches!(self.found.get(parameter.name()), Some(Found::Unseen))
    }

    /// Whether metadata and authentication give it at once, so that a source is passed over.
    pub fn doubled(&self, parameter: &Parameter) -> bool {
        self.doubled.contains(parameter.name())
    }

    /// The environment variables that this parameter named in vain.
    pub fn dangling(&self, parameter: &Parameter) -> Option<Problem> {
        self.dangling.get(parameter.name()).cloned()
    }

    /// A finding about a parameter, which names the place that the value came from.
    pub fn problem(&self, parameter: &Parameter, allowed: impl Into<String>) -> Problem {
        match self.found.get(parameter.name()) {
            Some(Found::Given { place, .. }) => place.problem(format!("{}{}", place.prefix(), allowed.into())),
            _ => Problem { path: home(parameter), value: None, allowed: allowed.into() },
        }
    }

    /// The text, or the default.
    pub fn text<'a>(&'a self, parameter: &'a Parameter) -> Option<&'a str> {
        match self.found.get(parameter.name()) {
            Some(Found::Given { text, .. }) => Some(text.expose()),
            Some(Found::Unseen) => None,
            _ => parameter.default,
        }
    }

    /// The text as something that cannot be printed.
    pub fn secret(&self, parameter: &Parameter) -> Option<Secret> {
        self.text(parameter).map(Secret::new)
    }

    /// The value of an [`Kind::Integer`](super::Kind::Integer).
    pub fn integer(&self, parameter: &Parameter) -> Option<i64> {
        self.accepted(parameter).and_then(grammar::integer)
    }

    /// The value of a [`Kind::Number`](super::Kind::Number).
    pub fn number(&self, parameter: &Parameter) -> Option<f64> {
        self.accepted(parameter).and_then(grammar::number)
    }

    /// The value of a [`Kind::Bool`](super::Kind::Bool).
    pub fn truth(&self, parameter: &Parameter) -> Option<bool> {
        self.accepted(parameter).and_then(grammar::truth)
    }

    /// The value of a [`Kind::List`](super::Kind::List); empty when absent.
    pub fn list(&self, parameter: &Parameter) -> Vec<String> {
        self.text(parameter).map(grammar::list).unwrap_or_default()
    }

    /// The value of a [`Kind::Duration`](super::Kind::Duration).
    pub fn duration(&self, parameter: &Parameter) -> Option<Duration> {
        self.accepted(parameter).and_then(grammar::duration)
    }

    /// The value of a [`Kind::Quantity`](super::Kind::Quantity), in thousandths.
    pub fn quantity(&self, parameter: &Parameter) -> Option<Milli> {
        self.accepted(parameter).and_then(grammar::quantity)
    }

    fn accepted<'a>(&'a self, parameter: &'a Parameter) -> Option<&'a str> {
        self.text(parameter).filter(|text| parameter.kind.accepts(text))
    }
}

impl Place {
    fn problem(&self, allowed: String) -> Problem {
        Problem { path: self.path.clone(), value: self.shown.clone(), allowed }
    }

    fn prefix(&self) -> String {
        if self.verb.is_empty() { String::new() } else { format!("{} ", self.verb) }
    }
}

fn metadata(parameter: &Parameter, name: &str, spec: &TriggerSpec) -> Found {
    let Some(text) = spec.metadata.get(name).map(|text| text.trim()).filter(|text| !text.is_empty()) else {
        return Found::Absent;
    };
    let shown = (!parameter.secret).then(|| text.to_owned());
    Found::Given { text: Secret::new(text), place: Place { path: format!("metadata.{name}"), shown, verb: "" } }
}

/// What an authentication provides is never shown, whatever the parameter: it comes from Secrets.
fn authentication(name: &str, auth: Known<'_>) -> Found {
    match auth.look(name) {
        Sight::Unseen => Found::Unseen,
        Sight::Text(text) if !text.trim().is_empty() => Found::Given {
            text: Secret::new(text.trim()),
            place: Place { path: format!("authenticationRef.{name}"), shown: None, verb: "" },
        },
        _ => Found::Absent,
    }
}

/// Whether both metadata and authentication are seen to give it.
fn is_doubled(parameter: &Parameter, spec: &TriggerSpec, auth: Known<'_>) -> bool {
    let given = |found: Found| matches!(found, Found::Given { .. });
    parameter.reads(Source::Metadata)
        && parameter.reads(Source::Authentication)
        && parameter.names.iter().any(|name| given(metadata(parameter, name, spec)))
        && parameter.names.iter().any(|name| given(authentication(name, auth)))
}

/// Where a parameter that nobody gave would stand.
fn home(parameter: &Parameter) -> String {
    let root = if parameter.reads(Source::Metadata) { "metadata" } else { "authenticationRef" };
    format!("{root}.{}", parameter.name())
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Source::*};
    use super::*;

    const NAME: Parameter = Parameter::new(&["listName"], &[Metadata], Kind::Text, "").required();
    const LENGTH: Parameter = Parameter::new(&["listLength"], &[Metadata], Kind::at_least(0), "").or("5");
    const HOST: Parameter =
        Parameter::new(&["host", "hosts"], &[Metadata, Environment, Authentication], Kind::List, "");
    const PASSWORD: Parameter =
        Parameter::new(&["password"], &[Metadata, Environment, Authentication], Kind::Text, "").secret();
    const TLS: Parameter = Parameter::new(&["tls"], &[Authentication], Kind::Choice(&["enable", "disable"]), "");
    const DEPTH: Parameter = Parameter::new(&["depth"], &[Metadata, Environment], Kind::integer(), "").required();
    const OLD: Parameter =
        Parameter::new(&["old"], &[Metadata], Kind::Text, "").deprecated(Deprecation::Refused("use listName"));
    const ALL: &[Parameter] = &[NAME, LENGTH, HOST, PASSWORD, TLS, DEPTH, OLD];

    fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), Secret::new(*text))).collect()
    }

    fn resolve(metadata: &[(&str, &str)], env: &[(&str, &str)], auth: &[(&str, &str)]) -> Values {
        let metadata = metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        let spec = TriggerSpec { kind: "redis".to_owned(), metadata, ..TriggerSpec::default() };
        Values::resolve(&spec, ALL, Known::Values(&secrets(env)), Known::Values(&secrets(auth)))
    }

    fn texts(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sources_come_before_names_and_blank_is_absent() {
        let values = resolve(
            &[("listName", " jobs\n"), ("depth", "3"), ("host", "  "), ("hosts", "a, b"), ("hostFromEnv", "HOST")],
            &[("HOST", "c")],
            &[("host", "d")],
        );
        assert_eq!(values.text(&NAME), Some("jobs"));
        assert_eq!(values.list(&HOST), ["a", "b"]);
        assert_eq!(values.integer(&LENGTH), Some(5));
        assert_eq!(texts(&values.errors), Vec::<String>::new());
        let values = resolve(&[("hostFromEnv", "HOST")], &[("HOST", " c ")], &[("hosts", "d")]);
        assert_eq!(values.text(&HOST), Some("c"));
    }

    #[test]
    fn metadata_and_authentication_at_once_can_be_told() {
        let both = resolve(&[("host", "a"), ("password", " ")], &[], &[("hosts", "b"), ("password", "p")]);
        assert!(both.doubled(&HOST) && !both.doubled(&PASSWORD), "blank is absent");
        assert!(!resolve(&[("host", "a"), ("hosts", "b")], &[], &[("tls", "enable")]).doubled(&HOST));
        assert!(!resolve(&[("listName", "a")], &[], &[("listName", "b")]).doubled(&NAME), "of which one is not read");
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        let values = resolve(
            &[("listLength", "1O"), ("depthFromEnv", "DEPTH"), ("old", "x")],
            &[("DEPTH", "s3cret")],
            &[("tls", "enable,disable")],
        );
        let expected = [
            "metadata.listName: is required; it is read from metadata",
            "metadata.listLength: \"1O\" is not an integer >= 0",
            "authenticationRef.tls: is not one of enable, disable",
            "metadata.depthFromEnv: \"DEPTH\" names a variable whose value is not an integer",
            "metadata.old: \"x\" is not supported any more; use listName",
        ];
        assert_eq!(texts(&values.errors), expected);
    }

    #[test]
    fn a_variable_that_does_not_exist_is_said_to_be_missing() {
        let values = resolve(
            &[("listName", "jobs"), ("depthFromEnv", "DEPTH"), ("passwordFromEnv", "PW"), ("hostFromEnv", "HOST")],
            &[("PW", " ")],
            &[("host", "fallback")],
        );
        assert_eq!(texts(&values.errors), ["metadata.depthFromEnv: \"DEPTH\" is not in the container's environment"]);
        let warning = "metadata.passwordFromEnv: \"PW\" is empty in the container's environment";
        assert_eq!(texts(&values.warnings), [warning]);
        assert_eq!(values.text(&HOST), Some("fallback"));
    }

    #[test]
    fn a_secret_is_never_in_a_problem() {
        const PIN: Parameter = Parameter::new(&["pin"], &[Metadata], Kind::integer(), "").secret();
        let metadata = BTreeMap::from([("pin".to_owned(), "hunter2".to_owned())]);
        let spec = TriggerSpec { metadata, ..TriggerSpec::default() };
        let values = Values::resolve(&spec, &[PIN], Known::Nothing, Known::Nothing);
        assert_eq!(texts(&values.errors), ["metadata.pin: is not an integer"]);
        assert!(!format!("{values:?}").contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_seen_is_not_a_finding() {
        let metadata = BTreeMap::from([("depthFromEnv".to_owned(), "DEPTH".to_owned())]);
        let spec = TriggerSpec { metadata, ..TriggerSpec::default() };
        let values = Values::resolve(&spec, &[DEPTH, TLS], Known::Nothing, Known::Nothing);
        assert_eq!(texts(&values.errors), Vec::<String>::new());
        assert!(values.unseen(&DEPTH) && values.unseen(&TLS) && values.text(&TLS).is_none());
        let none = BTreeSet::new();
        let values = Values::resolve(&spec, &[DEPTH, TLS], Known::Names(&none), Known::Names(&none));
        assert_eq!(values.errors.len(), 1);
    }
}
