//! How a process that goes on for long writes what it does: to standard error, as short lines or as JSON.

use std::fmt;
use std::io::IsTerminal as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::local::files::FINDINGS;

/// `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// Short lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Sets the log up for the whole process. `verbose` counts how much more is said.
pub(super) fn set_up_log(format: LogFormat, verbose: u8) {
    // What the Kubernetes client says of failures is said by us as well, in words.
    let filter = match verbose {
        0 => "info,kube_runtime=off,kube_client=off",
        1 => "debug,kube_runtime=info,kube_client=info,hyper_util=info,tower=info,rustls=info",
        _ => "trace",
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    // An error only says that a log is set up already.
    let _ = match format {
        LogFormat::Text => builder.event_format(Lines).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).try_init(),
    };
}

/// One short line an event: the time, what is wrong if something is, and the text.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "{} ", jiff::Zoned::now().strftime("%H:%M:%S"))?;
        let level = *event.metadata().level();
        if level <= Level::WARN && event.metadata().target() != FINDINGS {
            let (word, colour) = if level == Level::ERROR { ("error", 31) } else { ("warning", 33) };
            if writer.has_ansi_escapes() {
                write!(writer, "\u{1b}[{colour}m{word}\u{1b}[0m ")?;
            } else {
                write!(writer, "{word} ")?;
            }
        }
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
