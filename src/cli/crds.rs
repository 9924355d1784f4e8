//! Prints the CustomResourceDefinitions.

use std::process::ExitCode;

use super::validate::print;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print only this one: a plural name such as scaledobjects, or the name of its file. Without it, all are printed.
    name: Option<String>,
}

/// Runs this subcommand.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let all = match tidegate_crds::all() {
        Ok(all) => all,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let wanted = arguments.name.map(|name| name.to_lowercase());
    let is_wanted = |file: &str| wanted.as_deref().is_none_or(|name| names(file).contains(&name));
    let text: String = all.iter().filter(|(file, _)| is_wanted(file)).map(|(_, yaml)| yaml.as_str()).collect();
    match wanted {
        Some(name) if text.is_empty() => {
            let known: Vec<&str> = all.iter().map(|(file, _)| plural(file)).collect();
            eprintln!("error: there is no definition {name:?}; there are: {}", known.join(", "));
            ExitCode::from(2)
        }
        _ => print(&text),
    }
}

/// What a definition in this file may be called: `scaledobjects`, `scaledobject`, or the file's name.
fn names(file: &str) -> [&str; 4] {
    let plural = plural(file);
    [plural, plural.strip_suffix('s').unwrap_or(plural), file, file.strip_suffix(".yaml").unwrap_or(file)]
}

/// The files are called `<group>_<plural>.yaml`.
fn plural(file: &str) -> &str {
    let name = file.strip_suffix(".yaml").unwrap_or(file);
    name.split_once('_').map_or(name, |(_, plural)| plural)
}
