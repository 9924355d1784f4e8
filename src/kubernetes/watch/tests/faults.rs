//! An API server that fails in every way: nothing is told that is not so, nothing is asked in a tight loop, and all is caught up with
//! afterwards.

use std::time::Duration;

use serde_json::json;
use tidegate_engine::ports::{Objects as _, Resolver as _, Target as _};
use tidegate_engine::protocol::ApplyError;
use tokio::time::{Instant, sleep, timeout};

use super::super::{Following, follow_with};
use super::following::{DEPLOYMENT, OBJECT, SECRET, object, references, shop, target, told};
use crate::kubernetes::fake::{Fake, Fault, Watches};
use crate::kubernetes::patience::{Patience, Times};
use crate::kubernetes::settings::Settings;

/// A fortieth of the usual times.
const TIMES: Times = Times {
    first: Duration::from_millis(25),
    longest: Duration::from_millis(750),
    page: Duration::from_millis(750),
    open: Duration::from_millis(250),
    stand: Duration::from_millis(900),
    late: Duration::from_millis(100),
};
/// A time in which much could be asked.
const WHILE: Duration = Duration::from_secs(2);
/// What one watch may ask in [`WHILE`]: pauses of 12, 25, 50, 100, 200 and then 375 ms are the shortest by chance, and the ends of watches
/// are no failures. A tight loop asks thousands of times.
const FEW: usize = 14;

const LISTS: &str = "GET /apis/apps/v1/deployments*limit=";
const WATCHES: &str = "GET /apis/apps/v1/deployments*watch=";
const OBJECTS: &str = "GET /apis/keda.sh/v1alpha1/scaledobjects*limit=";

fn start(fake: &Fake, settings: &Settings) -> Following {
    follow_with(&fake.client(), settings, Patience::with_times(TIMES))
}

async fn synced(fake: &Fake) -> Following {
    let mut following = start(fake, &Settings::default());
    for word in ["set shop/orders", "orders has 1", "Synced"] {
        assert_eq!(told(&mut following).await, word);
    }
    following
}

/// Somebody sets the replicas.
fn set(fake: &Fake, replicas: u32) {
    let mut deployment = fake.at(DEPLOYMENT);
    deployment["spec"]["replicas"] = json!(replicas);
    fake.put(DEPLOYMENT, deployment);
}

async fn quiet(following: &mut Following) {
    if let Ok(change) = timeout(WHILE, following.objects.next()).await {
        panic!("nothing has changed, and this was told: {change:?}");
    }
}

/// Plays a fault for a while: nothing is told, little is asked. Afterwards what changed meanwhile is told.
async fn survives(begin: impl FnOnce(&Fake), end: impl FnOnce(&Fake)) -> Fake {
    let fake = shop();
    let mut following = synced(&fake).await;
    // The watches stand.
    sleep(Duration::from_millis(50)).await;
    fake.taken();
    begin(&fake);
    quiet(&mut following).await;
    for pattern in [LISTS, WATCHES] {
        assert!(fake.requests(pattern).len() <= FEW, "{:#?}", fake.requests(pattern));
    }
    set(&fake, 4);
    end(&fake);
    assert_eq!(told(&mut following).await, "orders has 4");
    fake
}

#[tokio::test]
async fn a_stalled_watch_is_noticed() {
    let fake = survives(Fake::stall, |_| {}).await;
    assert!(!fake.requests(WATCHES).is_empty());
    assert_eq!(fake.requests(LISTS).len(), 0, "it goes on from where it was");
}

#[tokio::test]
async fn watches_that_are_all_too_old_at_once_are_listed_anew_with_growing_pauses() {
    let fake = survives(|fake| fake.watches(Watches::Gone), |fake| fake.watches(Watches::Good)).await;
    assert!(fake.requests(LISTS).len() > 2, "it goes on");
}

#[tokio::test]
async fn watches_that_end_as_soon_as_they_begin_are_not_asked_in_a_loop() {
    let fake = survives(|fake| fake.watches(Watches::End), |fake| fake.watches(Watches::Good)).await;
    assert_eq!(fake.requests(LISTS).len(), 0, "they go on from where they were");
}

#[tokio::test]
async fn an_api_server_that_answers_nothing_well_is_asked_with_growing_pauses() {
    for fault in [Fault::Refuse(500), Fault::Refuse(503), Fault::Refuse(429), Fault::Refuse(410), Fault::Hang] {
        println!("{fault:?}");
        let begin = |fake: &Fake| {
            fake.fail("GET", fault.clone(), usize::MAX);
            fake.watches(Watches::End);
        };
        let end = |fake: &Fake| {
            fake.watches(Watches::Good);
            fake.mend();
        };
        survives(begin, end).await;
    }
}

#[tokio::test]
async fn a_watch_whose_version_is_refused_is_listed_anew() {
    let fake = shop();
    fake.fail(WATCHES, Fault::Refuse(410), 1);
    let mut following = synced(&fake).await;
    set(&fake, 3);
    assert_eq!(told(&mut following).await, "orders has 3");
    assert_eq!(fake.requests(LISTS).len(), 2);
}

#[tokio::test]
async fn a_list_or_a_watch_without_an_answer_is_asked_again() {
    let fake = shop();
    fake.fail(LISTS, Fault::Hang, 1);
    fake.fail(WATCHES, Fault::Hang, 1);
    let mut following = start(&fake, &Settings::default());
    assert_eq!(told(&mut following).await, "set shop/orders");
    let why = "deployments.apps cannot be watched: the API server cannot be reached: no answer came within 750ms";
    assert_eq!(told(&mut following).await, why);
    assert_eq!(told(&mut following).await, "Synced");
    // The first sight of its environment.
    assert_eq!(told(&mut following).await, "parameters shop/orders");
    assert_eq!(told(&mut following).await, "orders has 1");
    set(&fake, 2);
    assert_eq!(told(&mut following).await, "orders has 2");
}

#[tokio::test]
async fn a_list_that_is_too_old_in_the_middle_begins_anew_and_loses_nothing() {
    const MANY: usize = 1200;
    let fake = shop();
    for number in 0..MANY {
        let mut other = object(None);
        other["spec"]["scaleTargetRef"]["name"] = json!(format!("other-{number}"));
        fake.put(&format!("{OBJECT}-{number}"), other);
    }
    let mut following = start(&fake, &Settings::default());
    let mut words = Vec::new();
    while words.last().is_none_or(|word| word != "Synced") {
        words.push(told(&mut following).await);
    }
    assert_eq!(words.iter().filter(|word| word.starts_with("set ")).count(), MANY + 1);
    assert_eq!(fake.requests(OBJECTS).len(), 3, "in pages");
    fake.taken();

    fake.fail("GET /apis/keda.sh/v1alpha1/scaledobjects*continue", Fault::Refuse(410), 2);
    fake.expire(&format!("{OBJECT}-7"));
    assert_eq!(told(&mut following).await, "gone shop/orders-7");
    quiet(&mut following).await;
    let begun = fake.requests(OBJECTS).into_iter().filter(|line| !line.contains("continue")).count();
    assert_eq!(begun, 3, "twice in vain");
}

#[tokio::test]
async fn lists_of_many_namespaces_are_bounded() {
    let fake = shop();
    let namespaces = (0..12).map(|number| format!("n{number}")).chain(["shop".to_owned()]).collect();
    fake.fail("GET /apis*limit=", Fault::Late(Duration::from_millis(20)), usize::MAX);
    let mut following = start(&fake, &Settings { namespaces, ..Settings::default() });
    while told(&mut following).await != "Synced" {}
    assert!((2..=8).contains(&fake.busiest()), "{}", fake.busiest());
}

#[tokio::test]
async fn a_pause_that_the_api_server_asks_for_is_kept_by_lists_and_watches() {
    for pattern in [OBJECTS, "GET /apis/keda.sh/v1alpha1/scaledobjects*watch="] {
        for fault in [Fault::Busy(2), Fault::Ask(429, 2), Fault::Ask(503, 2)] {
            let fake = shop();
            fake.fail(pattern, fault, 1);
            let begun = Instant::now();
            let _following = start(&fake, &Settings::default());
            while fake.requests(pattern).len() < 2 {
                sleep(Duration::from_millis(5)).await;
                assert!(begun.elapsed() < Duration::from_secs(20));
            }
            assert!(begun.elapsed() >= Duration::from_secs(2), "{pattern}: {:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn a_pause_that_the_api_server_asks_for_is_kept_by_writes() {
    let fake = shop();
    let following = synced(&fake).await;
    let version = following.target.refresh(&target()).await.unwrap().version;
    fake.fail("PUT", Fault::Busy(3), 1);
    let orders = target();
    let apply = || following.target.apply(&orders, 4, &version);
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(matches!(apply().await, Err(ApplyError::Refused(_))));
    }
    assert_eq!(fake.requests("PUT").len(), 1);
    // Other requests go on.
    following.target.refresh(&target()).await.unwrap();
    following.resolver.resolve(&references()).await.unwrap();
    assert_eq!(fake.requests(&format!("GET {SECRET}")).len(), 1);
    while apply().await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert_eq!(fake.requests("PUT").len(), 2);
}
