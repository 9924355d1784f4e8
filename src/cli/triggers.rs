//! Lists and explains trigger types.

use std::process::ExitCode;

use serde_json::Value;
use tidegate_scalers as scalers;

use super::validate::print;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Explain the parameters of this trigger type. Without it, all types are listed.
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
    /// Print the JSON schema of the type's metadata; without a type, of all types by name.
    #[arg(long, conflicts_with = "page")]
    schema: bool,
    /// Print the type's documentation page in Markdown.
    #[arg(long, requires = "kind")]
    page: bool,
}

/// Runs this subcommand.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let text = match &arguments.kind {
        None if arguments.schema => {
            let schema = |known: &scalers::TriggerType| Some((known.name.to_owned(), scalers::schema(known.name)?));
            Some(pretty(&scalers::trigger_types().iter().filter_map(schema).collect()))
        }
        None => Some(scalers::table()),
        Some(kind) if arguments.schema => scalers::schema(kind).as_ref().map(pretty),
        Some(kind) if arguments.page => scalers::page(kind),
        Some(kind) => scalers::explain(kind),
    };
    if let Some(text) = text {
        return print(&text);
    }
    let known: Vec<&str> = scalers::trigger_types().iter().map(|known| known.name).collect();
    let kind = arguments.kind.unwrap_or_default();
    eprintln!("error: there is no trigger type {kind:?}; there are: {}", known.join(", "));
    ExitCode::from(2)
}

fn pretty(schema: &Value) -> String {
    format!("{schema:#}\n")
}
