//! `tidegate local`: scales processes of this machine by ScaledObjects and Deployments in files.
//!
//! What tidegate says goes to standard error, what the workers say to standard output.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use tidegate_engine::driver::Handle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::log::{LogFormat, set_up_log};
use super::signals::Signals;
use crate::local::{Ending, Local, LocalError, Options, Output, start};
use crate::server;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A file, or a directory with `*.yaml`, `*.yml` and `*.json` files below it; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Where replicas, processes and cooldowns are remembered [default: ~/.local/state/tidegate/HASH-OF-PATHS]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where health, metrics and the API are served, or `none`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    server: Server,
    /// Leave the workers running at the end; the next start adopts them
    #[arg(long)]
    keep_workers: bool,
    /// Keep the workers' output in its files only
    #[arg(long)]
    quiet_workers: bool,
    /// How tidegate writes what it does
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Say more; twice, say everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// The namespace of Secrets and ConfigMaps that a ClusterTriggerAuthentication names
    #[arg(long, value_name = "NAMESPACE", env = "KEDA_CLUSTER_OBJECT_NAMESPACE", default_value = "keda")]
    cluster_object_namespace: String,
}

/// `--server`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    At(SocketAddr),
    None,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        text.parse().map(Self::At).map_err(|_| "an address such as 127.0.0.1:8080, or none".to_owned())
    }
}

/// Why the subcommand ends with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Local(#[from] LocalError),
    #[error("--server {address}: {error}; name another address, or none")]
    Server { address: SocketAddr, error: std::io::Error },
    #[error("{0}")]
    System(#[from] std::io::Error),
    #[error("the engine has ended by itself, which is a defect; the workers are left running")]
    Engine,
}

/// Runs this subcommand.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    set_up_log(arguments.log_format, arguments.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(serve(arguments)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), Failure> {
    let ending = if arguments.keep_workers { Ending::Keep } else { Ending::Graceful };
    let mut signals = Signals::new()?;
    // A port that is taken must be said before anything is touched.
    let listener = match arguments.server {
        Server::At(address) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.map_err(|error| Failure::Server { address, error })?)
        }
        Server::None => None,
    };
    let mut options = Options::new(arguments.files);
    options.state = arguments.state.unwrap_or(options.state);
    options.cluster_namespace = arguments.cluster_object_namespace;
    options.output = if arguments.quiet_workers { Output::FilesOnly } else { Output::Prefixed };
    let mut local = start(options).await?;
    tracing::info!("state is kept in {}", local.state().display());
    let server = listener.map(|listener| Serving::start(listener, local.handle.clone())).transpose()?;
    let ended = tokio::select! {
        () = local.finished() => true,
        name = signals.next() => {
            say_goodbye(name, ending);
            false
        }
    };
    if ended {
        local.stop(Ending::Keep).await;
        return Err(Failure::Engine);
    }
    stop(&mut local, ending, &mut signals).await;
    if let Some(server) = server {
        server.stop().await;
    }
    Ok(())
}

fn say_goodbye(name: &str, ending: Ending) {
    match ending {
        Ending::Keep => tracing::info!("{name}: stopping; the workers go on, and the next start adopts them"),
        Ending::Graceful | Ending::Kill => {
            tracing::info!("{name}: stopping; the workers finish what they do (once more kills them)");
        }
    }
}

async fn stop(local: &mut Local, ending: Ending, signals: &mut Signals) {
    let hurried = tokio::select! {
        () = local.stop(ending) => false,
        _ = signals.next() => true,
    };
    if hurried {
        tracing::info!("killing what still runs");
        let hurry = if ending == Ending::Keep { Ending::Keep } else { Ending::Kill };
        local.stop(hurry).await;
    }
}

/// A running HTTP server.
struct Serving {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    fn start(listener: TcpListener, handle: Handle) -> std::io::Result<Self> {
        tracing::info!("serving http://{}/api/v1/objects, /metrics, /healthz", listener.local_addr()?);
        let (end, ended) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let ended = async move { ended.await.unwrap_or_default() };
            if let Err(error) = server::serve(listener, handle, ended).await {
                tracing::warn!("the HTTP server has ended: {error}");
            }
        });
        Ok(Self { end, task })
    }

    async fn stop(self) {
        // A server that has ended by itself hears nothing.
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_an_address_or_none() {
        assert_eq!("none".parse(), Ok(Server::None));
        assert_eq!("127.0.0.1:0".parse(), Ok(Server::At(([127, 0, 0, 1], 0).into())));
        assert!("8080".parse::<Server>().unwrap_err().contains("127.0.0.1:8080"));
    }
}
