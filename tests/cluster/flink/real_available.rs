//! A JobManager with high availability that dies while a snapshot is taken: its successor goes on, and no TaskManager leaves before another
//! snapshot is complete.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::json;
use tempfile::TempDir;

use super::fleet::{Fleet, NAME, POLICY};
use super::real_checkpoint::hook;
use super::real_operations::Stored;
use super::trial_with_flink;
use crate::cluster::SOON;
use crate::flink::server::{NEWEST, Plan, jars};
use crate::harness::children::Running;
use crate::harness::wait::eventually;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_flink("flink::available::no_taskmanager_leaves_without_a_snapshot_when_a_jobmanager_dies", dies)]
}

/// Flink's own ZooKeeper, on a free port of loopback.
struct ZooKeeper {
    port: u16,
    _process: Running,
    folder: TempDir,
}

impl ZooKeeper {
    fn start() -> Self {
        // Another process can take the port between our look and the start: then another one is tried.
        for _ in 0..5 {
            let folder = tempfile::Builder::new().prefix("tidegate-zookeeper-").tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let (config, data) = (folder.path().join("zoo.cfg"), folder.path().join("data"));
            fs::create_dir(&data).unwrap();
            // One server has no peers, so the two ports of its line are never opened. A tick bounds how short a session may be.
            let text = format!(
                "tickTime=500\ninitLimit=10\nsyncLimit=5\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\n\
                 admin.enableServer=false\n4lw.commands.whitelist=srvr\nserver.1=127.0.0.1:1:2\n",
                data.display()
            );
            fs::write(&config, text).unwrap();
            let mut java = Command::new("java");
            java.env("CLASSPATH", format!("{}/*", jars(NEWEST).display()));
            java.args(["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
            java.arg("org.apache.flink.runtime.zookeeper.FlinkZooKeeperQuorumPeer");
            java.arg("--zkConfigFile").arg(&config).args(["--peerId", "1"]);
            let log = folder.path().join("zookeeper.log");
            let mut process = Running::start(&mut java, &log);
            let listens = eventually(SOON, "an answer of ZooKeeper", || {
                let serves = serves(port);
                if process.is_running() { serves.then_some(true) } else { Some(false) }
            });
            if listens {
                return Self { port, _process: process, folder };
            }
            println!("ZooKeeper ended: {}", fs::read_to_string(log).unwrap_or_default());
        }
        panic!("ZooKeeper does not start");
    }

    /// The settings of a Flink that keeps in it what must outlive its JobManager.
    fn plan(&self) -> Plan {
        let storage = format!("file://{}/storage", self.folder.path().display());
        Plan::new(NEWEST)
            .with("execution.checkpointing.interval", "1 h")
            .with("high-availability.type", "zookeeper")
            .with("high-availability.zookeeper.quorum", format!("127.0.0.1:{}", self.port))
            .with("high-availability.zookeeper.client.session-timeout", "4000")
            .with("high-availability.cluster-id", "/tests")
            .with("high-availability.storageDir", storage)
    }
}

/// Whether a ZooKeeper serves there. That somebody listens is not enough: it may be the process that has taken the port.
fn serves(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"srvr")?;
        let mut start = [0; 17];
        stream.read_exact(&mut start)?;
        std::io::Result::Ok(start)
    };
    ask().is_ok_and(|start| &start == b"Zookeeper version")
}

fn dies() {
    let zookeeper = ZooKeeper::start();
    let mut fleet = Fleet::start("available", &zookeeper.plan(), 2);
    let job = fleet.submit(4, &json!({}));
    let first = fleet.checkpoint(&job);
    fleet.policy(&hook(&fleet));
    fleet.scale_by_number(Some(POLICY), 1, 2);
    let asked = fleet.space.watch(NAME);
    fleet.start_operator();
    // This one is not young enough to serve as the hook's.
    std::thread::sleep(Duration::from_secs(16));

    // The JobManager is killed while the snapshot is on its way.
    fleet.flink.knob("slow-ckpt", "8000");
    fleet.want(1);
    let begun = fleet
        .operations
        .until("a checkpoint is asked for", |stored| stored.operation["jobs"][0]["checkpoint"]["attempt"] == 1);
    assert_eq!(begun.phase(), "Snapshotting");
    std::thread::sleep(Duration::from_secs(2));
    fleet.flink.kill_job_manager();
    fleet.flink.release("slow-ckpt");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(asked.counts(), [2], "nothing has left\n{}", fleet.log());
    fleet.flink.start_job_manager_again();

    let ended = fleet.operations.ended(1);
    println!("{}: {:.1?}", ended.phase, ended.phases());
    let hook = ended.checkpoint();
    assert_eq!((ended.phase.as_str(), asked.counts()), ("Done", vec![2, 1]), "{:#}", ended.last());
    let before = |stored: &&Stored| stored.at < asked.changes()[1].0;
    let last = ended.course.iter().rfind(before).expect("something was stored before the write");
    let taken = &last.operation["jobs"][0]["checkpoint"]["taken"]["id"];
    assert_eq!(taken.as_u64(), Some(hook), "it was complete and stored when a TaskManager left");
    assert!(hook > first, "a new one: {hook}, not the {first} before the crash");
    assert_eq!(fleet.live(), [job.as_str()], "the same job");
    assert_eq!(fleet.parallelism(&job), [2, 2]);
    let restored = fleet.checkpoints(&job)["latest"]["restored"].clone();
    assert!(restored["id"].as_u64() >= Some(hook), "{restored}, hook {hook}");
    println!("{} records, each left exactly once", fleet.counts_exactly_once(&job));
}
