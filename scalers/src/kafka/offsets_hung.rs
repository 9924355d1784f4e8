//! Brokers that hang, are slow, or come back.

use tokio::time::timeout;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_costs_one_round_a_second_and_only_its_queries() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    cluster.group("mail", 2, &[("mails", 0, 1)]);
    let queries = [query("shop", &["orders"]), query("mail", &["mails"]), own("bill")];
    offsets.ask(&queries).await.unwrap();
    cluster.health(3, Health::Hung);
    // It is waited for a little from time to time, less and less: it may be back.
    for (wait_before, within) in [(0, 1_100), (15, 520), (1, 20), (15, 270), (1, 20), (15, 150)] {
        wait(wait_before).await;
        let began = Instant::now();
        let answers = offsets.ask(&queries).await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(within), "{:?}", began.elapsed());
        let (scope, kind, message) = failure(&answers[0]);
        assert_eq!((scope, kind), (ErrorScope::Query, ReadErrorKind::Timeout));
        assert!(message.contains("kafka:9003 did not answer in time"), "{message}");
        assert_eq!(numbers(&answers[1])[0].1[0], (Some(1), Some(10), 100));
        assert!(failure(&answers[2]).2.contains("partition 2 of topic \"orders\""), "{:?}", answers[2]);
    }
    cluster.health(3, Health::Up);
    wait(15).await;
    let answers = offsets.ask(&queries).await.unwrap();
    assert_eq!(numbers(&answers[0]), orders_of_shop(), "it is seen to be back in the first round after");
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_logs_us_in_and_then_says_nothing_is_left_alone_for_longer_and_longer() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"]), query("bill", &["mails"])];
    offsets.ask(&queries).await.unwrap();
    cluster.health(3, Health::Mute);
    let mut slow = 0;
    for _ in 0..60 {
        let began = Instant::now();
        assert!(offsets.ask(&queries).await.unwrap()[1].is_ok());
        slow += u32::from(began.elapsed() > Duration::from_millis(500));
        wait(1).await;
    }
    assert!((2..=6).contains(&slow), "{slow} slow rounds in a minute");
    cluster.health(3, Health::Up);
    wait(31).await;
    for _ in 0..2 {
        offsets.ask(&queries).await.unwrap();
        wait(1).await;
    }
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0]), orders_of_shop());
}

#[tokio::test(start_paused = true)]
async fn a_blip_of_a_broker_costs_one_poll_however_rare_polls_are() {
    for pause in [5, 15, 30, 300] {
        let cluster = three();
        let mut offsets = backend(&cluster);
        let queries = [query("shop", &["orders"])];
        offsets.ask(&queries).await.unwrap();
        for polls_hung in [1, 4] {
            wait(pause).await;
            cluster.health(3, Health::Hung);
            for _ in 0..polls_hung {
                assert_eq!(failure(&offsets.ask(&queries).await.unwrap()[0]).1, ReadErrorKind::Timeout);
                wait(pause).await;
            }
            cluster.health(3, Health::Up);
            for _ in 0..3 {
                let answers = offsets.ask(&queries).await.unwrap();
                assert_eq!(numbers(&answers[0]), orders_of_shop(), "{polls_hung} polls in vain, every {pause} s");
                wait(pause).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_something_on_the_way_forgets_are_made_anew_by_the_next_poll() {
    let cluster = three();
    cluster.state().forgets = Some(Duration::from_mins(4));
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"])];
    let mut well = Vec::new();
    for _ in 0..8 {
        let answers = offsets.ask(&queries).await;
        if answers.is_err() {
            offsets.hang_up();
        }
        well.push(answers.is_ok_and(|answers| answers[0].is_ok()));
        wait(300).await;
    }
    // Keepalive, which this cluster has not, spares these failures.
    assert!(well[0] && well.windows(2).all(|two| two[0] || two[1]), "{well:?}");
}

#[tokio::test(start_paused = true)]
async fn how_slow_a_broker_may_be_is_a_matter_of_patience() {
    for (takes, patience, reads) in [(700, 3, true), (1100, 3, false), (1100, 6, true), (2400, 10, true)] {
        let cluster = three();
        cluster.state().takes = Duration::from_millis(takes);
        let mut offsets = backend(&cluster);
        let mut read = 0;
        for _ in 0..6 {
            let answers = Backend::ask(&mut offsets, &[query("shop", &["mails"])], Duration::from_secs(patience)).await;
            if answers.is_err() {
                offsets.hang_up();
            }
            read += u32::from(answers.is_ok_and(|answers| answers[0].is_ok()));
            wait(30).await;
        }
        // The first reads make the connections.
        assert_eq!(read >= 4, reads, "{read} of 6 reads, an answer takes {takes} ms, patience {patience} s");
    }
}

#[tokio::test(start_paused = true)]
async fn with_little_patience_a_hung_broker_still_costs_only_its_queries() {
    for patience in [500, 1000] {
        let (cluster, patience) = (three(), Duration::from_millis(patience));
        cluster.group("mail", 2, &[("mails", 0, 1)]);
        let mut offsets = backend(&cluster);
        let queries = [query("shop", &["orders"]), query("mail", &["mails"])];
        offsets.ask(&queries).await.unwrap();
        cluster.health(3, Health::Hung);
        for _ in 0..6 {
            wait(30).await;
            let answers = timeout(patience, Backend::ask(&mut offsets, &queries, patience)).await.unwrap().unwrap();
            assert!(answers[0].is_err());
            assert_eq!(numbers(&answers[1])[0].1[0], (Some(1), Some(10), 100));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_that_is_dropped_leaves_what_is_known_of_the_brokers() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"])];
    offsets.ask(&queries).await.unwrap();
    cluster.health(3, Health::Hung);
    assert!(timeout(Duration::from_millis(100), offsets.ask(&queries)).await.is_err());
    assert_eq!(offsets.brokers.open(), 3, "the connections stay");
    assert!(offsets.ask(&queries).await.unwrap()[0].is_err());
    assert!(timeout(Duration::from_millis(100), offsets.ask(&queries)).await.is_ok(), "it is known to hang");
}

#[tokio::test(start_paused = true)]
async fn the_last_of_many_hung_brokers_is_asked_in_the_end() {
    let cluster = StandIn::new(6);
    cluster.topic("news", &[6]);
    cluster.group("late", 6, &[("news", 0, 3)]);
    (1..=5).for_each(|broker| cluster.health(broker, Health::Hung));
    for (pause, polls) in [(1, 3), (30, 4)] {
        let bootstrap = (9001..=9006).map(|port| Address { host: "kafka".into(), port }).collect();
        let mut offsets = Offsets::dialing("Kafka at kafka:9001", bootstrap, cluster.clone());
        for _ in 0..polls {
            match offsets.ask(&[query("late", &["news"])]).await {
                Ok(_) => {}
                Err(_) => offsets.hang_up(),
            }
            wait(pause).await;
        }
        assert_eq!(numbers(&offsets.ask(&[query("late", &["news"])]).await.unwrap()[0])[0].1[0].2, 100);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_broker_is_not_needed_for_what_any_broker_knows() {
    let cluster = three();
    cluster.topic("news", &[2]);
    cluster.group("late", 2, &[("news", 0, 3)]);
    cluster.health(1, Health::Hung);
    let mut offsets = backend(&cluster);
    let answers = offsets.ask(&[query("late", &["news"])]).await.unwrap();
    assert_eq!(numbers(&answers[0])[0].1[0], (Some(3), Some(10), 100), "the second bootstrap broker knows all");
}
