//! `tidegate run`: the operator on a cluster.
//!
//! Flags have the names of KEDA's operator and of the controller manager where those have one; KEDA's environment variables are
//! understood.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use tidegate_calculator::hpa::pods::Youth;
use tidegate_calculator::policy;
use tidegate_calculator::time::Span;
use tidegate_engine::READ_DEADLINE;
use tidegate_engine::driver::Handle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::log::{LogFormat, set_up_log};
use super::signals::Signals;
use super::values::Namespaces;
use crate::kubernetes::lease::Times;
use crate::kubernetes::settings::{Mode, Settings};
use crate::kubernetes::start::{Connection, Failure, Operator, Options, start};
use crate::server::{self, Paths};

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The namespaces whose objects are scaled, with commas between them; empty means all
    #[arg(long, value_name = "NAMESPACES", env = "WATCH_NAMESPACE", default_value = "", hide_default_value = true)]
    watch_namespace: Namespaces,
    /// Only ScaledObjects with these labels are scaled
    #[arg(long, value_name = "SELECTOR", env = "WATCH_LABEL_SELECTOR")]
    watch_label_selector: Option<String>,
    /// Where the Secrets and ConfigMaps of a ClusterTriggerAuthentication stand [default: the own namespace]
    #[arg(long, value_name = "NAMESPACE", env = "KEDA_CLUSTER_OBJECT_NAMESPACE")]
    cluster_object_namespace: Option<String>,
    /// Where this process runs and its lease stands
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "tidegate-system")]
    own_namespace: String,
    /// Who holds the lease; no two living processes may share it [default: one made up]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// Whether targets are touched
    #[arg(long, value_name = "MODE", value_enum, ignore_case = true, default_value_t = ModeArgument::Auto)]
    mode: ModeArgument,
    /// Take and renew a lease, so that of several replicas one acts
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true", require_equals = true)]
    leader_elect: bool,
    #[command(flatten)]
    lease: LeaseArguments,
    /// Where a live KEDA is looked for
    #[arg(long, value_name = "NAMESPACE", default_value = "keda")]
    keda_namespace: String,
    /// Scale although a KEDA is alive: only when it scales other objects
    #[arg(long)]
    ignore_live_keda: bool,
    /// How long a trigger's source may take to answer, in milliseconds, from 1 to 600000
    #[arg(long, value_name = "MILLISECONDS", env = "KEDA_HTTP_DEFAULT_TIMEOUT", default_value = "3000")]
    read_timeout: Milliseconds,
    #[command(flatten)]
    calculator: CalculatorArguments,
    /// Where metrics are served, or `none`
    #[arg(long, value_name = "ADDRESS", default_value = ":8080")]
    metrics_bind_address: Address,
    /// Where the probes are served, or `none`
    #[arg(long, value_name = "ADDRESS", default_value = ":8081")]
    health_probe_bind_address: Address,
    /// Where the API is served that `tidegate explain` asks, or `none`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
    api_bind_address: Address,
    /// A kubeconfig file [default: the pod's ServiceAccount, else KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// How tidegate writes what it does
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Say more; twice, say everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// The times of the lease.
#[derive(Debug, clap::Args)]
struct LeaseArguments {
    /// How long others wait after the last renewal, in whole seconds
    #[arg(long, value_name = "TIME", env = "KEDA_OPERATOR_LEADER_ELECTION_LEASE_DURATION", default_value = "15s")]
    lease_duration: Time,
    /// How long the holder acts without a renewal; less than the lease duration
    #[arg(long, value_name = "TIME", env = "KEDA_OPERATOR_LEADER_ELECTION_RENEW_DEADLINE", default_value = "10s")]
    renew_deadline: Time,
    /// The time between renewals; less than the renew deadline
    #[arg(long, value_name = "TIME", env = "KEDA_OPERATOR_LEADER_ELECTION_RETRY_PERIOD", default_value = "2s")]
    retry_period: Time,
}

/// What a HorizontalPodAutoscaler takes from its controller manager.
#[derive(Debug, clap::Args)]
struct CalculatorArguments {
    /// How often an active object is decided about at least
    #[arg(long, value_name = "TIME", alias = "horizontal-pod-autoscaler-sync-period", default_value = "15s")]
    sync_period: Time,
    /// How near to its target a metric changes nothing
    #[arg(long, value_name = "RATIO", alias = "horizontal-pod-autoscaler-tolerance", default_value = "0.1")]
    tolerance: Tolerance,
    /// How long the highest recommendation counts, for objects without a behavior of their own
    #[arg(
        long,
        value_name = "TIME",
        alias = "horizontal-pod-autoscaler-downscale-stabilization",
        default_value = "5m"
    )]
    downscale_stabilization: Time,
    /// How long after its start a pod's cpu counts only if the pod was ready while it was measured
    #[arg(
        long,
        value_name = "TIME",
        alias = "horizontal-pod-autoscaler-cpu-initialization-period",
        default_value = "5m"
    )]
    cpu_initialization_period: Delay,
    /// How soon after its start a pod that is not ready must have changed to count as one that was never ready
    #[arg(
        long,
        value_name = "TIME",
        alias = "horizontal-pod-autoscaler-initial-readiness-delay",
        default_value = "30s"
    )]
    initial_readiness_delay: Delay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ModeArgument {
    /// Scale, unless another writer is found
    #[value(name = "Auto")]
    Auto,
    /// Decide, explain and record, and touch no target
    #[value(name = "Observe")]
    Observe,
}

/// `IP:PORT`, `:PORT` for all addresses of the machine (IPv6 and IPv4), or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    At(SocketAddr),
    None,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" || text == "0" {
            return Ok(Self::None);
        }
        let parsed = match text.strip_prefix(':') {
            Some(port) => port.parse().ok().map(|port: u16| (Ipv6Addr::UNSPECIFIED, port).into()),
            None => text.parse().ok(),
        };
        parsed.map(Self::At).ok_or_else(|| "an address such as :8080 or 127.0.0.1:8080, or none".to_owned())
    }
}

/// A length of time above zero, such as `15s` or `5m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time(Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed: Option<SignedDuration> = text.parse().ok();
        let time = parsed.and_then(|time| Duration::try_from(time).ok()).filter(|time| time.as_millis() > 0);
        time.map(Self).ok_or_else(|| "a time above zero, such as 15s or 5m".to_owned())
    }
}

/// A length of time, such as `30s`, or `0s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delay(Span);

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed: Option<SignedDuration> = text.parse().ok();
        let time = parsed.filter(|time| !time.is_negative()).and_then(|time| i64::try_from(time.as_millis()).ok());
        time.map(|time| Self(Span(time))).ok_or_else(|| "a time of zero or more, such as 0s, 30s or 5m".to_owned())
    }
}

/// `KEDA_HTTP_DEFAULT_TIMEOUT`; set to nothing it is as if it was not set, as with KEDA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Milliseconds(Span);

impl FromStr for Milliseconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(READ_DEADLINE));
        }
        let number = text.parse().ok().filter(|number| (1..=600_000).contains(number));
        number
            .map(|number| Self(Span(number)))
            .ok_or_else(|| "whole milliseconds from 1 to 600000, such as 3000".to_owned())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Tolerance(f64);

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number: &f64| (0.0..=1.0).contains(number));
        number.map(Self).ok_or_else(|| "a ratio from 0 to 1, such as 0.1".to_owned())
    }
}

impl Time {
    fn span(self) -> Span {
        Span(i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX))
    }
}

impl LeaseArguments {
    fn times(&self) -> Result<Times, Failure> {
        let times =
            Times { duration: self.lease_duration.0, deadline: self.renew_deadline.0, retry: self.retry_period.0 };
        let wrong = |problem: String| Err(Failure::Usage(problem));
        if times.duration.subsec_nanos() > 0 {
            return wrong(format!("--lease-duration {:?}: whole seconds are needed", times.duration));
        }
        if times.deadline >= times.duration {
            return wrong(format!(
                "--renew-deadline {:?} is not below --lease-duration {:?}",
                times.deadline, times.duration
            ));
        }
        if times.retry >= times.deadline {
            return wrong(format!(
                "--retry-period {:?} is not below --renew-deadline {:?}",
                times.retry, times.deadline
            ));
        }
        Ok(times)
    }
}

impl Arguments {
    fn options(&self) -> Result<Options, Failure> {
        let calculator = policy::Settings {
            sync_period: self.calculator.sync_period.span(),
            tolerance: self.calculator.tolerance.0,
            downscale_window: self.calculator.downscale_stabilization.span(),
            youth: Youth {
                initialization: self.calculator.cpu_initialization_period.0,
                readiness_delay: self.calculator.initial_readiness_delay.0,
            },
        };
        let cluster_object_namespace = self.cluster_object_namespace.clone().filter(|name| !name.is_empty());
        let mode = match self.mode {
            ModeArgument::Auto => Mode::Auto,
            ModeArgument::Observe => Mode::Observe,
        };
        let settings = Settings {
            namespaces: self.watch_namespace.0.clone(),
            label_selector: self.watch_label_selector.clone().filter(|selector| !selector.is_empty()),
            cluster_object_namespace: cluster_object_namespace.unwrap_or_else(|| self.own_namespace.clone()),
            keda_namespace: self.keda_namespace.clone(),
            mode,
            own_namespace: self.own_namespace.clone(),
            identity: self.identity.clone().filter(|name| !name.is_empty()).unwrap_or_else(made_up),
            calculator,
            read_deadline: self.read_timeout.0,
        };
        Ok(Options {
            settings,
            connection: Connection { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() },
            election: self.leader_elect.then_some(self.lease.times()?),
            ignore_live_keda: self.ignore_live_keda,
        })
    }
}

/// What is set in the environment for KEDA and is not obeyed.
fn unsupported(environment: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let name = "KEDA_RESTRICT_SECRET_ACCESS";
    let set = environment(name).filter(|value| value.eq_ignore_ascii_case("true"));
    let warning = |value| {
        format!(
            "{name}={value} is not supported: the Secrets that triggers refer to are read in the namespaces of their objects; \
             restrict the role instead, see `tidegate rbac --namespaced`"
        )
    };
    set.map(warning).into_iter().collect()
}

/// A name that no other process has: the host's and a random number.
fn made_up() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "tidegate".to_owned());
    format!("{host}_{random:016x}")
}

/// Runs this subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    set_up_log(arguments.log_format, arguments.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(serve(arguments));
    // Nothing may be waited for: whoever has lost the lease must end now.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let mut signals = Signals::new().map_err(|error| Failure::Usage(error.to_string()))?;
    let options = arguments.options()?;
    for warning in unsupported(|name| std::env::var(name).ok()) {
        tracing::warn!("{warning}");
    }
    let listeners = [
        bind("--metrics-bind-address", arguments.metrics_bind_address, Paths::Metrics).await?,
        bind("--health-probe-bind-address", arguments.health_probe_bind_address, Paths::Probes).await?,
        bind("--api-bind-address", arguments.api_bind_address, Paths::All).await?,
    ];
    let mut operator = tokio::select! {
        operator = start(options) => operator?,
        name = signals.next() => {
            tracing::info!("{name}: stopping before anything was begun");
            return Ok(());
        }
    };
    let servers: Vec<Serving> = listeners
        .into_iter()
        .flatten()
        .map(|(listener, paths)| Serving::start(listener, operator.handle(), paths))
        .collect();
    tokio::select! {
        failure = operator.failed() => return Err(failure),
        name = signals.next() => tracing::info!("{name}: stopping; what is not stored is stored now"),
    }
    drain(operator, &mut signals).await?;
    for server in servers {
        server.stop().await;
    }
    Ok(())
}

/// Drains, unless a second signal hurries it.
async fn drain(operator: Operator, signals: &mut Signals) -> Result<(), Failure> {
    tokio::select! {
        result = operator.stop() => result,
        name = signals.next() => {
            tracing::warn!("{name}: ending at once; the lease runs out by itself");
            Ok(())
        }
    }
}

async fn bind(flag: &str, address: Address, paths: Paths) -> Result<Option<(TcpListener, Paths)>, Failure> {
    let Address::At(address) = address else { return Ok(None) };
    let everywhere = address.ip() == Ipv6Addr::UNSPECIFIED;
    let bound = match TcpListener::bind(address).await {
        // A machine without IPv6.
        Err(error) if everywhere && error.kind() != std::io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    match bound {
        Ok(listener) => Ok(Some((listener, paths))),
        Err(error) => Err(Failure::Usage(format!("{flag} {address}: {error}; name another address, or none"))),
    }
}

/// A running HTTP server.
struct Serving {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    fn start(listener: TcpListener, handle: Handle, paths: Paths) -> Self {
        if let Ok(address) = listener.local_addr() {
            let what = match paths {
                Paths::All => "/api/v1/objects, /metrics, /healthz, /readyz",
                Paths::Metrics => "/metrics",
                Paths::Probes => "/healthz, /readyz",
            };
            tracing::info!("serving http://{address} {what}");
        }
        let (end, ended) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let ended = async move { ended.await.unwrap_or_default() };
            if let Err(error) = server::serve_paths(listener, handle, paths, ended).await {
                tracing::warn!("an HTTP server has ended: {error}");
            }
        });
        Self { end, task }
    }

    async fn stop(self) {
        // A server that has ended by itself hears nothing.
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

#[cfg(test)]
mod tests;
