//! Where the servers are and who we are: what triggers must have in common to share a client.

use std::sync::Arc;
use std::time::Duration;

use mongodb::Client;
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;
use mongodb::options::{
    ClientOptions, ConnectionString, HostInfo, ServerAddress, ServerMonitoringMode, Tls, TlsOptions as DriverTls,
};
use tidegate_calculator::source::{ReadError, ReadErrorKind, Secret};

use super::errors;
use super::files::{Failure, Files};
use crate::tls::TlsOptions;

/// How often the driver looks after a server, at most. While somebody waits for one it looks every half a second.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The longest that the driver may take to connect to a server, and to be told that it lives.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest that the driver may look for a server that fits the read preference.
const SELECT: Duration = Duration::from_secs(5);

/// Servers, and how to speak to them. Triggers with equal ones share a client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Access {
    /// The connection string, with the credentials in it.
    pub(super) address: Secret,
    /// What the trigger says about TLS; none leaves it to the connection string.
    pub(super) tls: Option<TlsOptions>,
}

impl Access {
    /// What the servers are called in messages: `MongoDB at a:27017, b:27017`.
    pub(super) fn name(&self) -> String {
        let hosts = match ConnectionString::parse(self.address.expose()).map(|parsed| parsed.host_info) {
            Ok(HostInfo::HostIdentifiers(hosts)) => hosts.iter().map(shown).collect::<Vec<_>>().join(", "),
            Ok(HostInfo::DnsRecord(name)) => name,
            _ => "an unknown address".to_owned(),
        };
        format!("MongoDB at {hosts}")
    }

    /// Whether anybody says who we are.
    pub(super) fn has_credentials(&self) -> bool {
        ConnectionString::parse(self.address.expose()).is_ok_and(|parsed| parsed.credential.is_some())
    }

    /// Makes a client of `pool` connections a server at most, whose monitors report to `watcher`.
    ///
    /// Only a connection string with `+srv` asks somebody here: the name service.
    pub(super) async fn client(
        &self,
        pool: u32,
        name: &str,
        watcher: Arc<dyn Fn(SdamEvent) + Send + Sync>,
    ) -> Result<Client, ReadError> {
        let options = ClientOptions::parse(self.address.expose()).await;
        let mut options = options.map_err(|error| errors::endpoint(name, &error))?;
        options.max_pool_size =
            Some(options.max_pool_size.filter(|wanted| *wanted > 0).map_or(pool, |it| it.min(pool)));
        // Connections are made when they are needed.
        options.min_pool_size = None;
        options.heartbeat_freq = Some(options.heartbeat_freq.map_or(HEARTBEAT, |wanted| wanted.max(HEARTBEAT)));
        options.connect_timeout = Some(options.connect_timeout.map_or(CONNECT, |wanted| wanted.min(CONNECT)));
        options.server_selection_timeout =
            Some(options.server_selection_timeout.map_or(SELECT, |wanted| wanted.min(SELECT)));
        // One connection a server for monitoring instead of two.
        options.server_monitoring_mode.get_or_insert(ServerMonitoringMode::Poll);
        options.app_name.get_or_insert_with(|| "tidegate".to_owned());
        options.sdam_event_handler = Some(EventHandler::Callback(watcher));
        let (tls, name) = (self.tls.clone(), name.to_owned());
        // Files are read and written, and certificates parsed. The driver finds the runtime from there as well.
        let made = tokio::task::spawn_blocking(move || build(options, tls, &name)).await;
        made.unwrap_or_else(|_| Err(errors::defect()))
    }
}

fn build(mut options: ClientOptions, tls: Option<TlsOptions>, name: &str) -> Result<Client, ReadError> {
    let in_address = match options.tls.take() {
        Some(Tls::Enabled(said)) => Some(said),
        Some(Tls::Disabled) | None => None,
    };
    let files = match (tls, in_address) {
        (None, None) => None,
        (tls, said) => {
            let files = Files::write(&tls.unwrap_or_default()).map_err(|failure| unwritten(name, &failure))?;
            let mut enabled = said.unwrap_or_else(|| DriverTls::builder().build());
            enabled.ca_file_path = Some(files.authorities.path().to_owned());
            enabled.cert_key_file_path = files.identity.as_ref().map(|file| file.path().to_owned());
            options.tls = Some(Tls::Enabled(enabled));
            Some(files)
        }
    };
    let client = Client::with_options(options).map_err(|error| errors::endpoint(name, &error));
    // The driver has read them.
    drop(files);
    client
}

fn unwritten(name: &str, failure: &Failure) -> ReadError {
    match failure {
        Failure::Flaw((field, what)) => ReadError::endpoint(ReadErrorKind::Config, format!("{name}: {field:?} {what}")),
        Failure::Io(error) => {
            let what = format!("{name}: certificates cannot be handed to the driver: {}", error.kind());
            ReadError::endpoint(ReadErrorKind::Unavailable, what)
        }
    }
}

/// An address as people write it.
pub(super) fn shown(address: &ServerAddress) -> String {
    match address {
        ServerAddress::Tcp { host, port } if host.contains(':') && !host.starts_with('[') => {
            format!("[{host}]:{}", port.unwrap_or(27017))
        }
        ServerAddress::Tcp { host, port } => format!("{host}:{}", port.unwrap_or(27017)),
        other => other.to_string(),
    }
}
