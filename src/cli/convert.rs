//! Converts HorizontalPodAutoscalers.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::validate::{load, print};
use crate::conversion::{self, Converted, Outcome, comment};
use crate::manifests::{Document, Loaded};

/// The exit code for what cannot be converted or read, as for a wrong command line.
const REFUSED: u8 = 2;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads autoscaling/v2, v2beta2, v2beta1 and v1, also as a list (kubectl get hpa -A -o yaml | tidegate convert -). Comments say what \
differs and what is left out. An autoscaler that cannot be converted is named on standard error, and the others are printed.\n\n\
Exit codes: 0 all are converted, 2 one cannot be, there is none, a path that cannot be read or a wrong command line.")]
pub(super) struct Arguments {
    /// A file, a directory (with all *.yaml, *.yml and *.json below it), or - for standard input.
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,
}

/// Runs this subcommand.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let printout = Printout::of(&load(arguments.files));
    eprint!("{}", printout.errors);
    let printed = print(&printout.manifests);
    if printed == ExitCode::SUCCESS && printout.failed() { ExitCode::from(REFUSED) } else { printed }
}

/// What is printed: manifests on standard output, errors on standard error.
#[derive(Debug, Default)]
struct Printout {
    manifests: String,
    errors: String,
}

impl Printout {
    fn of(loaded: &Loaded) -> Self {
        let mut printout = Self::default();
        for broken in &loaded.broken {
            printout.error(&broken.to_string());
        }
        let (mut notes, mut autoscalers) = (Vec::new(), 0);
        for document in &loaded.documents {
            match conversion::convert(document) {
                Outcome::Converted(converted) => {
                    autoscalers += 1;
                    printout.converted(&converted);
                }
                Outcome::PassedOver(note) => notes.push(note),
                Outcome::Refused(problems) => {
                    autoscalers += 1;
                    for problem in problems {
                        printout.error(&format!("{} error {problem}", place(document, &problem.path)));
                    }
                }
            }
        }
        // Comments stand at the end, where they cannot be taken for words about the object below.
        for note in &notes {
            printout.manifests.push_str(&comment(note));
        }
        if autoscalers == 0 && loaded.broken.is_empty() {
            printout.error("error: there is no HorizontalPodAutoscaler to convert in what was given");
        }
        printout
    }

    fn converted(&mut self, converted: &Converted) {
        match converted.yaml() {
            Ok(yaml) => {
                self.manifests.push_str("---\n");
                self.manifests.push_str(&yaml);
            }
            Err(error) => self.error(&format!("error: {}: {error}", converted.origin)),
        }
    }

    fn error(&mut self, line: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.errors, "{line}");
    }

    fn failed(&self) -> bool {
        !self.errors.is_empty()
    }
}

/// Where a field of a document stands in its file.
fn place(document: &Document, path: &str) -> String {
    let file = document.file.display();
    document.position(path).map_or_else(|| file.to_string(), |at| format!("{file}:{}:{}", at.line, at.column))
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
