//! What brokers are told: who listens where, with which security, and everything small and quick.

use std::fmt::Write;
use std::path::Path;

use super::Node;

/// The user that may read everything, with every mechanism.
pub(crate) const READER: &str = "reader";
/// The user that is let in and may read nothing but what a test grants.
pub(crate) const STRANGER: &str = "stranger";
/// The password of both.
pub(crate) const PASSWORD: &str = "s3cret-p4ss";

/// Which brokers to start.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(super) version: &'static str,
    pub(super) brokers: i32,
    pub(super) secured: bool,
    extra: Vec<(&'static str, String)>,
}

/// Where and how a broker listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Plain, everybody may do everything: for the tests themselves, between brokers, and for plain triggers.
    Open,
    /// The controllers among themselves; for brokers with a ZooKeeper, its port.
    Controller,
    /// SASL over TLS.
    Secure,
    /// TLS that asks for a client certificate.
    Mutual,
    /// As `Secure`, with a certificate that has expired.
    Expired,
    /// SASL without TLS; connections must prove themselves again every 2 seconds.
    Brief,
}

impl Listener {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Controller => "CONTROLLER",
            Self::Secure => "SECURE",
            Self::Mutual => "MUTUAL",
            Self::Expired => "EXPIRED",
            Self::Brief => "BRIEF",
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::Open | Self::Controller => "PLAINTEXT",
            Self::Secure | Self::Expired => "SASL_SSL",
            Self::Mutual => "SSL",
            Self::Brief => "SASL_PLAINTEXT",
        }
    }
}

/// How many listeners a broker has at most.
pub(super) const LISTENERS: usize = 6;

impl Plan {
    /// One broker without security.
    pub(crate) fn new(version: &'static str) -> Self {
        Self { version, brokers: 1, secured: false, extra: Vec::new() }
    }

    /// A cluster of so many.
    pub(crate) fn brokers(self, brokers: i32) -> Self {
        Self { brokers, ..self }
    }

    /// With all the listeners that ask who is there. Without being granted, only [`READER`] may do anything on them.
    pub(crate) fn secured(self) -> Self {
        Self { secured: true, ..self }
    }

    /// With one more broker setting.
    pub(crate) fn with(mut self, key: &'static str, value: &str) -> Self {
        self.extra.push((key, value.to_owned()));
        self
    }

    /// In old versions the brokers' own quorum is a preview that cannot do what the tests ask.
    pub(super) fn zookeeper(&self) -> bool {
        self.version.starts_with("2.")
    }

    pub(super) fn listeners(&self) -> Vec<Listener> {
        let mut all = vec![Listener::Open, Listener::Controller];
        if self.secured {
            all.extend([Listener::Secure, Listener::Mutual, Listener::Expired, Listener::Brief]);
        }
        all
    }
}

/// The file of one broker.
pub(super) fn broker(plan: &Plan, node: &Node, all: &[Node], folder: &Path) -> String {
    let mut text = common(plan, node, folder);
    text.push_str(&quorum(plan, node, all));
    text.push_str(&listeners(plan, node));
    if plan.secured {
        text.push_str(&security(folder));
    }
    for (key, value) in &plan.extra {
        writeln!(text, "{key}={value}").unwrap();
    }
    text
}

fn common(plan: &Plan, node: &Node, folder: &Path) -> String {
    let copies = plan.brokers.min(3);
    format!(
        "log.dirs={folder}/data-{id}\n\
         inter.broker.listener.name=OPEN\n\
         default.replication.factor={copies}\n\
         offsets.topic.replication.factor={copies}\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor={copies}\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         group.initial.rebalance.delay.ms=0\n\
         num.network.threads=1\n\
         num.io.threads=2\n\
         background.threads=2\n\
         log.cleaner.dedupe.buffer.size=2097152\n\
         replica.lag.time.max.ms=4000\n",
        folder = folder.display(),
        id = node.id,
    )
}

fn quorum(plan: &Plan, node: &Node, all: &[Node]) -> String {
    let id = node.id;
    if plan.zookeeper() {
        return format!("broker.id={id}\nzookeeper.connect=127.0.0.1:{}\n", all[0].port(Listener::Controller));
    }
    let voters = all.iter().map(|other| format!("{}@127.0.0.1:{}", other.id, other.port(Listener::Controller)));
    format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={voters}\n\
         controller.listener.names=CONTROLLER\n\
         controller.quorum.election.timeout.ms=1000\n\
         controller.quorum.fetch.timeout.ms=2000\n\
         broker.session.timeout.ms=4000\n\
         broker.heartbeat.interval.ms=500\n",
        voters = voters.collect::<Vec<_>>().join(","),
    )
}

fn listeners(plan: &Plan, node: &Node) -> String {
    let own = node.ports.iter().filter(|(listener, _)| !(plan.zookeeper() && *listener == Listener::Controller));
    let each = |line: &dyn Fn(Listener, u16) -> String, of: &mut dyn Iterator<Item = &(Listener, u16)>| {
        of.map(|(listener, port)| line(*listener, *port)).collect::<Vec<_>>().join(",")
    };
    let address = |listener: Listener, port| format!("{}://127.0.0.1:{port}", listener.name());
    let protocol = |listener: Listener, _| format!("{}:{}", listener.name(), listener.protocol());
    let mut outward = own.clone().filter(|(listener, _)| *listener != Listener::Controller);
    format!(
        "listeners={}\nadvertised.listeners={}\nlistener.security.protocol.map={}\n",
        each(&address, &mut own.clone()),
        each(&address, &mut outward),
        each(&protocol, &mut own.clone()),
    )
}

fn security(folder: &Path) -> String {
    let store = |listener: &str, file: &str| {
        format!(
            "listener.name.{listener}.ssl.keystore.type=PEM\n\
             listener.name.{listener}.ssl.keystore.location={folder}/{file}.pem\n\
             listener.name.{listener}.ssl.truststore.type=PEM\n\
             listener.name.{listener}.ssl.truststore.location={folder}/ca.pem\n",
            folder = folder.display(),
        )
    };
    let module = "org.apache.kafka.common.security";
    let users = format!("user_{READER}=\"{PASSWORD}\" user_{STRANGER}=\"{PASSWORD}\"");
    let plain = format!("{module}.plain.PlainLoginModule required {users};");
    let scram = format!("{module}.scram.ScramLoginModule required;");
    // The broker's own name is needed by the module and used for nothing.
    let bearer =
        format!("{module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";");
    let mechanisms = |listener: &str| {
        format!(
            "listener.name.{listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
             listener.name.{listener}.plain.sasl.jaas.config={plain}\n\
             listener.name.{listener}.scram-sha-256.sasl.jaas.config={scram}\n\
             listener.name.{listener}.scram-sha-512.sasl.jaas.config={scram}\n\
             listener.name.{listener}.oauthbearer.sasl.jaas.config={bearer}\n"
        )
    };
    let brief = ["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"]
        .map(|mechanism| format!("listener.name.brief.{mechanism}.connections.max.reauth.ms=2000\n"));
    let mut text = [store("secure", "server"), store("mutual", "server"), store("expired", "expired")].concat();
    text.extend(["secure", "expired", "brief"].map(mechanisms));
    text.extend(brief);
    text.push_str("listener.name.mutual.ssl.client.auth=required\n");
    text.push_str("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n");
    writeln!(text, "super.users=User:ANONYMOUS;User:{READER};User:CN={READER}").unwrap();
    text
}

/// The arguments that give a cluster its SCRAM users before its first start.
pub(super) fn first_users(plan: &Plan) -> Vec<String> {
    let users = [READER, STRANGER].into_iter().filter(|_| plan.secured);
    let each = |user| ["SCRAM-SHA-256", "SCRAM-SHA-512"].map(|mechanism| (user, mechanism));
    let argument = |(user, mechanism)| {
        ["--add-scram".to_owned(), format!("{mechanism}=[name={user},iterations=4096,password={PASSWORD}]")]
    };
    users.flat_map(each).flat_map(argument).collect()
}

/// The file of a ZooKeeper that lies beside a broker.
pub(super) fn zookeeper(beside: &Node, folder: &Path) -> String {
    format!(
        "dataDir={}/zookeeper\nclientPortAddress=127.0.0.1\nclientPort={}\nadmin.enableServer=false\n",
        folder.display(),
        beside.port(Listener::Controller)
    )
}
