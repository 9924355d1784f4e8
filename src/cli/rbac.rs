//! Prints the roles that the operator needs.

use std::process::ExitCode;

use super::validate::print;
use super::values;
use crate::kubernetes::rbac::Roles;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only for these namespaces (commas between them), as WATCH_NAMESPACE names them; without it, for all of the cluster
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',', value_parser = values::namespace)]
    namespaced: Vec<String>,
    /// The operator's own namespace
    #[arg(long, value_name = "NAMESPACE", default_value = "tidegate-system", value_parser = values::namespace)]
    own_namespace: String,
    /// The operator's ServiceAccount
    #[arg(long, value_name = "NAME", default_value = "tidegate", value_parser = values::name)]
    service_account: String,
    /// Where the Secrets and ConfigMaps of a ClusterTriggerAuthentication stand [default: the own namespace]
    #[arg(long, value_name = "NAMESPACE", env = "KEDA_CLUSTER_OBJECT_NAMESPACE", value_parser = values::namespace_or_none)]
    cluster_object_namespace: Option<String>,
}

/// Runs this subcommand.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { namespaced, own_namespace, service_account, cluster_object_namespace } = arguments;
    let cluster_objects = cluster_object_namespace.filter(|name| !name.is_empty());
    print(&Roles { own_namespace, account: service_account, namespaces: namespaced, cluster_objects }.yaml())
}
