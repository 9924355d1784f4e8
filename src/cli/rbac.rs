//! Prints the roles that the operator needs.

use std::process::ExitCode;

use super::validate::print;
use super::values::{self, Namespaces};
use crate::kubernetes::rbac::Roles;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only for these namespaces (commas between them), just as WATCH_NAMESPACE names them; without it, or if it names none, for all of
    /// the cluster
    #[arg(long, value_name = "NAMESPACES")]
    namespaced: Vec<Namespaces>,
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
    print(&roles(arguments).yaml())
}

/// The roles that these arguments ask for.
fn roles(arguments: Arguments) -> Roles {
    let Arguments { namespaced, own_namespace, service_account, cluster_object_namespace } = arguments;
    // The option may be repeated; a namespace that is named twice has its roles once.
    let mut namespaces: Vec<String> = Vec::new();
    for name in namespaced.into_iter().flat_map(|list| list.0) {
        if !namespaces.contains(&name) {
            namespaces.push(name);
        }
    }
    let cluster_objects = cluster_object_namespace.filter(|name| !name.is_empty());
    Roles { own_namespace, account: service_account, namespaces, cluster_objects }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn namespaces(words: &[&str]) -> Result<Vec<String>, String> {
        let line = Line::try_parse_from(std::iter::once(&"rbac").chain(words)).map_err(|error| error.to_string())?;
        Ok(roles(line.arguments).namespaces)
    }

    #[test]
    fn namespaces_read_as_the_operator_reads_them() {
        for (list, names) in [
            ("shop,bank", &["shop", "bank"][..]),
            (" shop, bank,,shop ,", &["shop", "bank"]),
            ("\"shop,bank\"", &["shop", "bank"]),
            // All of the cluster, as an operator with this WATCH_NAMESPACE takes it.
            ("", &[]),
            ("\"\"", &[]),
            (" , ", &[]),
        ] {
            assert_eq!(namespaces(&["--namespaced", list]).unwrap(), names, "{list}");
            assert_eq!(list.parse::<Namespaces>().unwrap().0, names, "{list}");
        }
        assert_eq!(namespaces(&[]).unwrap(), [""; 0]);
        let repeated = namespaces(&["--namespaced", "shop", "--namespaced", "bank,shop"]);
        assert_eq!(repeated.unwrap(), ["shop", "bank"]);
        let why = namespaces(&["--namespaced", "shop,Bank"]).unwrap_err();
        assert!(why.contains("--namespaced") && why.contains("\"Bank\" is no name of a namespace"), "{why}");
    }
}
