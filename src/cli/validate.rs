//! Checks manifests.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_calculator::policy::Settings;
use tidegate_engine::subject::{Finding, Severity};

use crate::manifests::{self, Broken, Cause, Document, Loaded};
use crate::validation::{self, Files, Report};

/// The exit code for errors in what was read.
const FOUND: u8 = 1;
/// The exit code for what could not be read, as for a wrong command line.
const UNREADABLE: u8 = 2;
/// The path that means standard input.
const STANDARD_INPUT: &str = "-";
/// The kinds whose objects stand in no namespace.
const CLUSTER_WIDE: [&str; 2] = ["ClusterTriggerAuthentication", "ClusterScalingPolicy"];
/// What standard input is called in findings.
const INPUT_NAME: &str = "stdin";

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Errors name everything that keeps an object or a trigger from working. What other objects refer to and is not among the \
given files is a warning, for it may stand on the cluster.\n\n\
Exit codes: 0 no errors, 1 errors, 2 a path that cannot be read, a directory that \
holds no object, or a wrong command line.")]
pub(super) struct Arguments {
    /// A file, a directory (with all *.yaml, *.yml and *.json below it), or - for standard input. May be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,
    /// How to print the findings.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// One line a finding and a summary.
    Text,
    /// An array of objects.
    Json,
}

/// Runs this subcommand.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { files, output } = arguments;
    let loaded = to_check(files);
    let reports = {
        let known = Files::new(&loaded.documents).for_cluster();
        validation::documents(&loaded.documents, &known, &Settings::default(), Timestamp::now())
    };
    let outcome = Outcome { loaded: &loaded, reports: &reports };
    let text = match output {
        Output::Text => outcome.to_string(),
        Output::Json => format!("{:#}\n", outcome.json()),
    };
    let printed = print(&text);
    if printed == ExitCode::SUCCESS { ExitCode::from(outcome.exit_code()) } else { printed }
}

/// Loads what is to be checked. A check of nothing succeeds always, so that whoever names the wrong directory would never learn it: one without
/// objects counts as unreadable.
fn to_check(files: Vec<PathBuf>) -> Loaded {
    let mut loaded = load(files.clone());
    let broken = loaded.broken.iter().map(|broken| &broken.file);
    let found: Vec<&PathBuf> = loaded.documents.iter().map(|document| &document.file).chain(broken).collect();
    let empty = |path: &PathBuf| path.is_dir() && !found.iter().any(|file| file.starts_with(path));
    let message = "holds no object: there is none in *.yaml, *.yml and *.json files below it";
    let nothing = |file| Broken { file, line: 0, column: 0, message: message.to_owned(), cause: Cause::Unreadable };
    let nothing: Vec<Broken> = files.into_iter().filter(empty).map(nothing).collect();
    loaded.broken.extend(nothing);
    loaded
}

/// Prints a whole text. A reader that has seen enough, such as `head`, is no error.
pub(super) fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: the output cannot be written: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Loads files, directories, and standard input where a path is `-`.
pub(super) fn load(paths: Vec<PathBuf>) -> Loaded {
    let (input, paths): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path == Path::new(STANDARD_INPUT));
    let mut loaded = manifests::load(&paths);
    if !input.is_empty() {
        let name = Path::new(INPUT_NAME);
        match manifests::text(name, io::stdin().lock()).and_then(|text| manifests::parse(name, &text)) {
            Ok(documents) => loaded.documents.extend(documents),
            Err(broken) => loaded.broken.push(broken),
        }
    }
    loaded
}

/// Everything that was read and what came of it.
struct Outcome<'a> {
    loaded: &'a Loaded,
    reports: &'a [Report],
}

impl Outcome<'_> {
    fn exit_code(&self) -> u8 {
        if self.loaded.broken.iter().any(|broken| broken.cause == Cause::Unreadable) {
            UNREADABLE
        } else if self.count(Severity::Error) > 0 {
            FOUND
        } else {
            0
        }
    }

    fn findings(&self) -> impl Iterator<Item = (&Document, &Finding)> {
        let pairs = self.loaded.documents.iter().zip(self.reports);
        pairs.flat_map(|(document, report)| report.findings.iter().map(move |finding| (document, finding)))
    }

    fn count(&self, severity: Severity) -> usize {
        let broken = if severity == Severity::Error { self.loaded.broken.len() } else { 0 };
        broken + self.findings().filter(|(_, finding)| finding.severity == severity).count()
    }

    fn json(&self) -> Value {
        let broken = self.loaded.broken.iter().map(broken_json);
        broken.chain(self.findings().map(|(document, finding)| finding_json(document, finding))).collect()
    }
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for broken in &self.loaded.broken {
            writeln!(f, "{broken}")?;
        }
        for (document, finding) in self.findings() {
            write!(f, "{}", document.file.display())?;
            if let Some(at) = validation::place(document, finding) {
                write!(f, ":{}:{}", at.line, at.column)?;
            }
            // Nobody can open standard input at a line: there the object is named.
            if document.file == Path::new(INPUT_NAME) {
                write!(f, " {}:", object_of(document))?;
            }
            writeln!(f, " {finding}")?;
        }
        let objects = self.reports.iter().filter(|report| report.ours).count();
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        write!(f, "{} checked", counted(objects, "object"))?;
        writeln!(f, ": {}, {}", counted(errors, "error"), counted(warnings, "warning"))
    }
}

fn broken_json(broken: &Broken) -> Value {
    let some = |number: usize| (number > 0).then_some(number);
    json!({
        "file": broken.file.display().to_string(),
        "line": some(broken.line),
        "column": some(broken.column),
        "object": null,
        "path": null,
        "value": null,
        "allowed": broken.message,
        "severity": Severity::Error.word(),
    })
}

/// `ScaledObject shop/orders`, or `ClusterScalingPolicy calm`.
fn object_of(document: &Document) -> String {
    let (kind, name) = (document.kind(), document.name());
    if CLUSTER_WIDE.contains(&kind) {
        format!("{kind} {name}")
    } else {
        format!("{kind} {}/{name}", document.namespace())
    }
}

fn finding_json(document: &Document, finding: &Finding) -> Value {
    let at = validation::place(document, finding);
    json!({
        "file": document.file.display().to_string(),
        "line": at.map(|at| at.line),
        "column": at.map(|at| at.column),
        "object": object_of(document),
        "path": finding.problem.path,
        "value": finding.problem.value,
        "allowed": finding.problem.allowed,
        "severity": finding.severity.word(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: &str = "\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: orders
spec:
  scaleTargetRef:
    name: orders
  maxReplicaCount: 10
  triggers:
  - type: redis
    metadata:
      address: 127.0.0.1:6379
      listName: jobs
      listLength: \"1O\"
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders
";

    /// The text, the JSON and the exit code for these files; a text of none is a file that does not exist.
    fn outcome(files: &[(&str, Option<&str>)]) -> (String, Value, u8) {
        let mut loaded = Loaded::default();
        for (name, text) in files {
            let name = Path::new(name);
            let read = text.map_or_else(|| manifests::text(name, NoFile), |text| Ok(text.to_owned()));
            let parsed = read.and_then(|text| manifests::parse(name, &text));
            match parsed {
                Ok(documents) => loaded.documents.extend(documents),
                Err(broken) => loaded.broken.push(broken),
            }
        }
        let known = Files::new(&loaded.documents).for_cluster();
        let reports = validation::documents(&loaded.documents, &known, &Settings::default(), Timestamp::UNIX_EPOCH);
        let outcome = Outcome { loaded: &loaded, reports: &reports };
        (outcome.to_string(), outcome.json(), outcome.exit_code())
    }

    #[test]
    fn findings_are_lines_with_their_place_and_a_summary() {
        let (text, json, code) = outcome(&[("orders.yaml", Some(ORDERS)), ("bad.yaml", Some("a: 1\na: 2\n"))]);
        let expected = "\
bad.yaml:2:1 error has the key \"a\" twice; it stands in line 1 already
orders.yaml:14:7 error triggers[0].metadata.listLength: \"1O\" is not an integer >= 0
1 object checked: 2 errors, 0 warnings
";
        assert_eq!((text.as_str(), code), (expected, FOUND));
        let expected = json!({
            "file": "orders.yaml",
            "line": 14,
            "column": 7,
            "object": "ScaledObject default/orders",
            "path": "triggers[0].metadata.listLength",
            "value": "1O",
            "allowed": "is not an integer >= 0",
            "severity": "error",
        });
        assert_eq!(json[1], expected);
        assert_eq!(
            (&json[0]["file"], &json[0]["line"], &json[0]["object"]),
            (&json!("bad.yaml"), &json!(2), &Value::Null)
        );
    }

    #[test]
    fn of_standard_input_the_object_is_named() {
        let (text, ..) = outcome(&[("stdin", Some(ORDERS))]);
        let line = "stdin:14:7 ScaledObject default/orders: error triggers[0].metadata.listLength: \"1O\" is not an integer >= 0";
        assert_eq!(text.lines().next(), Some(line));
    }

    #[test]
    fn what_stands_in_no_namespace_is_named_without_one() {
        let text = "\
apiVersion: tidegate.dev/v1alpha1
kind: ClusterScalingPolicy
metadata: {name: calm}
spec: {mode: Wrong}
---
apiVersion: keda.sh/v1alpha1
kind: ClusterTriggerAuthentication
metadata: {name: login, namespace: shop}
spec: {secretTargetRef: wrong}
---
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: calm, namespace: shop}
spec: {mode: Wrong}
";
        let (text, json, _) = outcome(&[("stdin", Some(text))]);
        let lines: Vec<&str> = text.lines().collect();
        let json: Vec<&Value> = json.as_array().unwrap().iter().collect();
        assert_eq!((lines.len(), json.len()), (4, 3), "{text}");
        let named = ["ClusterScalingPolicy calm", "ClusterTriggerAuthentication login", "ScalingPolicy shop/calm"];
        for ((line, json), named) in lines.iter().zip(json).zip(named) {
            assert!(line.contains(&format!(" {named}: ")), "{line}");
            assert_eq!(json["object"], named);
        }
    }

    #[test]
    fn the_exit_code_says_how_it_went() {
        let good = ORDERS.replace("1O", "10");
        assert_eq!(outcome(&[("a.yaml", Some(&good))]).2, 0);
        assert_eq!(
            outcome(&[("a.yaml", Some(&good.replace("orders\n---", "other\n---")))]).2,
            0,
            "warnings are no errors"
        );
        assert_eq!(outcome(&[]).0, "0 objects checked: 0 errors, 0 warnings\n");
        let (text, json, code) = outcome(&[("a.yaml", Some(ORDERS)), ("gone.yaml", None)]);
        assert!(text.starts_with("gone.yaml error cannot be read: "), "{text}");
        assert_eq!((&json[0]["line"], code), (&Value::Null, UNREADABLE));
    }

    #[test]
    fn a_directory_without_objects_is_not_checked_with_success() {
        let directory = tempfile::tempdir().unwrap();
        let (good, empty) = (directory.path().join("good"), directory.path().join("empty"));
        for (path, file) in [(&good, "orders.yaml"), (&empty, "notes.txt")] {
            std::fs::create_dir(path).unwrap();
            std::fs::write(path.join(file), ORDERS).unwrap();
        }
        let all = vec![directory.path().to_owned(), good, empty.clone()];
        let loaded = to_check(all);
        let outcome = Outcome { loaded: &loaded, reports: &[] };
        let lines: Vec<String> = loaded.broken.iter().map(ToString::to_string).collect();
        let message = "holds no object: there is none in *.yaml, *.yml and *.json files below it";
        assert_eq!(lines, [format!("{} error {message}", empty.display())]);
        assert_eq!(outcome.exit_code(), UNREADABLE);
    }

    /// Fails as a file does that is not there.
    struct NoFile;

    impl io::Read for NoFile {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}
