//! Flinks that refuse us, hang, go and come back, and what is left of us when we go.

use std::time::{Duration, Instant};

use tidegate_calculator::source::{Occasion, ReadErrorKind};
use tidegate_loopback::Authority;
use tidegate_scalers::Endpoints;
use tokio::time::{sleep, timeout};

use crate::cluster::{Flink, NEWEST, PATIENCE, Plan, is_there};
use crate::proxy::{Proxy, TOKEN};
use crate::trigger::{DEADLINE, Told, Trigger, kind, told, until, value};

fn slots(url: &str) -> Trigger {
    Trigger::new(url, "slots").without(&["job"])
}

const TWO: Told = Ok((2000, true));

#[tokio::test(flavor = "multi_thread")]
async fn a_flink_that_fails_is_told_by_how_it_fails() {
    if !is_there(NEWEST) {
        return;
    }
    let mut flink = Flink::start(&Plan::new(NEWEST), 1);
    credentials(&flink).await;
    private_authorities(&flink).await;
    dropped_reads(&flink).await;
    nothing_is_left(&flink).await;
    hangs(&flink).await;
    stops_and_comes_back(&mut flink).await;
}

async fn credentials(flink: &Flink) {
    let proxy = Proxy::guarded(flink.port()).await;
    let trigger = slots(&format!("http://127.0.0.1:{}", proxy.port)).with(&[("authModes", "bearer")]);
    assert_eq!(trigger.clone().auth(&[("token", TOKEN)]).read().await, TWO);
    let (kind, message) = trigger.auth(&[("token", "canary")]).read().await.unwrap_err();
    assert_eq!(kind, ReadErrorKind::Auth);
    let at = format!("Flink at http://127.0.0.1:{}", proxy.port);
    assert_eq!(message, format!("{at}: refused the credentials (status 401)"), "and no word of the secret");
    let (_, message) = slots(&format!("http://127.0.0.1:{}", proxy.port)).read().await.unwrap_err();
    assert_eq!(message, format!("{at}: wants credentials (status 401); set authModes"));
}

async fn private_authorities(flink: &Flink) {
    let (ours, strange) = (Authority::new(), Authority::new());
    let proxy = Proxy::tls(flink.port(), &ours).await;
    let trigger = slots(&format!("https://localhost:{}", proxy.port));
    assert_eq!(trigger.clone().auth(&[("ca", &ours.pem())]).read().await, TWO);
    assert_eq!(trigger.clone().with(&[("unsafeSsl", "true")]).read().await, TWO);
    for trigger in [trigger.clone(), trigger.auth(&[("ca", &strange.pem())])] {
        let (kind, message) = trigger.read().await.unwrap_err();
        assert_eq!(kind, ReadErrorKind::Unavailable);
        assert!(message.ends_with("is signed by an authority that is not trusted"), "{message}");
    }
    let (kind, message) = slots(&format!("https://127.0.0.1:{}", flink.port())).read().await.unwrap_err();
    assert_eq!(kind, ReadErrorKind::Unavailable, "{message}");
}

async fn dropped_reads(flink: &Flink) {
    let (endpoints, job) = (Endpoints::new(), flink.submit(2, &["--name", "enrich", "--rate", "10"]));
    flink.wait_until_running(&job);
    let pending = Trigger::new(&flink.url(), "pendingRecords").open(&endpoints);
    for micros in [0, 1, 100, 1000, 3000, 10_000, 100_000, 450_000] {
        let _ = timeout(Duration::from_micros(micros), pending.read(Occasion::Poll, DEADLINE)).await;
    }
    until("it is read as if nothing had happened", &*pending, Result::is_ok).await;
    flink.cancel(&job);
}

async fn nothing_is_left(flink: &Flink) {
    let proxy = Proxy::open(flink.port()).await;
    let trigger = slots(&format!("http://127.0.0.1:{}", proxy.port));
    let endpoints = Endpoints::new();
    for _ in 0..100 {
        assert_eq!(value(&*trigger.open(&endpoints)).await, TWO);
    }
    let (made, _) = proxy.connections();
    assert!(made <= 4, "{made} connections for one read at a time");
    assert!(sockets_to(proxy.port) > 0, "the count counts");
    // A connection outlives its last user for half a minute.
    let begun = Instant::now();
    while proxy.connections().1 > 0 || sockets_to(proxy.port) > 0 {
        let left = (proxy.connections(), sockets_to(proxy.port));
        assert!(begun.elapsed() < PATIENCE, "{left:?} are left");
        sleep(Duration::from_millis(200)).await;
    }
}

/// How many sockets to this port of ours this process has open. Other tests run beside this one, so files alone would tell nothing.
fn sockets_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2].ends_with(&remote).then(|| format!("socket:[{}]", fields[9]))
    };
    let inodes: Vec<String> = table.lines().skip(1).filter_map(inode).collect();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.ok()?.path().read_link().ok());
    open.filter(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str())).count()
}

async fn hangs(flink: &Flink) {
    let scaler = slots(&flink.url()).open(&Endpoints::new());
    assert_eq!(value(&*scaler).await, TWO);
    flink.hang();
    // The answer of a moment ago may still serve.
    sleep(Duration::from_millis(1500)).await;
    let begun = Instant::now();
    let late = told(scaler.read(Occasion::Poll, Duration::from_millis(500)).await);
    assert_eq!(kind(&late), Some(ReadErrorKind::Timeout), "{late:?}");
    assert!(begun.elapsed() < DEADLINE / 2);
    let begun = Instant::now();
    let patient = slots(&flink.url()).with(&[("timeout", "300ms")]);
    assert_eq!(kind(&patient.read().await), Some(ReadErrorKind::Timeout));
    assert!(begun.elapsed() < DEADLINE / 2, "the trigger's own limit is shorter");
    flink.go_on();
    until("it is read again", &*scaler, |told| *told == TWO).await;
}

async fn stops_and_comes_back(flink: &mut Flink) {
    let endpoints = Endpoints::new();
    let scaler = slots(&flink.url()).open(&endpoints);
    let job = flink.submit(1, &["--name", "enrich", "--rate", "10"]);
    flink.wait_until_running(&job);
    let failed = Trigger::new(&flink.url(), "failedCheckpoints").open(&endpoints);
    until("the job is read", &*failed, Result::is_ok).await;
    flink.kill_job_manager();
    until("nobody answers", &*scaler, |told| kind(told) == Some(ReadErrorKind::Unavailable)).await;
    flink.start_job_manager_again();
    until("the TaskManager is there again", &*scaler, |told| *told == TWO).await;
    let absent = format!("Flink at {}: there is no job \"enrich\"", flink.url());
    until("a new JobManager knows no job", &*failed, |told| *told == Err((ReadErrorKind::Unavailable, absent.clone())))
        .await;
}
