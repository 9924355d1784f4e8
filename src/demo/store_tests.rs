use super::*;

fn keys(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

fn push(store: &Store, items: &[&str]) -> usize {
    store.push(0, b"jobs", &keys(items), End::Head).unwrap()
}

fn waiting(store: &Store) -> Wait {
    store.pop_or_wait(0, keys(&["other", "jobs"])).unwrap_err()
}

async fn taken(wait: &mut Wait) -> String {
    String::from_utf8(wait.item().await.unwrap().value).unwrap()
}

#[tokio::test]
async fn items_go_to_those_who_wait_longest_first() {
    let store = Store::default();
    let (mut first, mut second, third) = (waiting(&store), waiting(&store), waiting(&store));
    assert_eq!(push(&store, &["a", "b"]), 2, "the length before anything is handed over");
    assert_eq!(taken(&mut first).await, "a");
    assert_eq!(taken(&mut second).await, "b");
    assert_eq!(store.length(0, b"jobs"), 0);
    drop(third);
    push(&store, &["c"]);
    assert_eq!(store.length(0, b"jobs"), 1, "nobody waits any more");
}

#[tokio::test]
async fn an_item_of_a_client_that_went_away_goes_to_the_next() {
    let store = Store::default();
    let (gone, mut next) = (waiting(&store), waiting(&store));
    push(&store, &["a"]);
    drop(gone);
    assert_eq!(taken(&mut next).await, "a");
}

#[tokio::test]
async fn an_item_that_nobody_took_is_first_again() {
    let store = Store::default();
    let gone = waiting(&store);
    push(&store, &["a", "b"]);
    drop(gone);
    assert_eq!(store.length(0, b"jobs"), 2);
    assert_eq!(store.pop_or_wait(0, keys(&["jobs"])).unwrap().value, b"a");
}

#[test]
fn lists_are_taken_from_in_the_order_of_the_question() {
    let store = Store::default();
    push(&store, &["low"]);
    store.push(0, b"urgent", &keys(&["high"]), End::Tail).unwrap();
    let item = store.pop_or_wait(0, keys(&["urgent", "jobs"])).unwrap();
    assert_eq!(item, Item { key: b"urgent".to_vec(), value: b"high".to_vec() });
    assert_eq!(store.remove(0, &keys(&["jobs", "urgent"])), 1, "an empty list is gone");
    assert_eq!(store.lock().bytes, 0);
}

#[test]
fn a_full_store_takes_no_more_and_says_so() {
    let store = Store::default();
    store.lock().bytes = CAPACITY - 10;
    let refused = store.push(0, b"jobs", &keys(&["a"]), End::Head).unwrap_err();
    assert!(refused.to_string().starts_with("OOM "), "{refused}");
    assert_eq!(store.length(0, b"jobs"), 0);
}

#[test]
fn who_has_read_a_key_hears_of_its_next_change_once() {
    let store = Store::default();
    store.listen(7, Tracking::Read(HashSet::new()), false, Arc::default());
    push(&store, &["a"]);
    assert_eq!(store.changes(7), keys(&[]), "it has not read the key yet");
    store.length(7, b"jobs");
    push(&store, &["b"]);
    push(&store, &["c"]);
    assert_eq!(store.changes(7), keys(&["jobs"]));
    push(&store, &["d"]);
    assert_eq!(store.changes(7), keys(&[]));
}

#[test]
fn prefixes_hear_of_every_change_but_their_own_if_they_want() {
    let store = Store::default();
    store.listen(7, Tracking::Prefixes(keys(&["jo"])), true, Arc::default());
    store.push(7, b"jobs", &keys(&["a"]), End::Head).unwrap();
    store.push(8, b"other", &keys(&["a"]), End::Head).unwrap();
    assert_eq!(store.changes(7), keys(&[]));
    store.remove(8, &keys(&["jobs"]));
    assert_eq!(store.changes(7), keys(&["jobs"]));
    store.ignore(7);
    push(&store, &["b"]);
    assert_eq!(store.changes(7), keys(&[]));
}

#[test]
fn a_client_that_reads_too_many_keys_is_told_at_once() {
    let store = Store::default();
    store.listen(7, Tracking::Read(HashSet::new()), false, Arc::default());
    for number in 0..TRACKED {
        store.length(7, format!("key-{number}").as_bytes());
    }
    assert_eq!(store.changes(7), keys(&[]));
    store.length(7, b"one-more");
    assert_eq!(store.changes(7), keys(&["one-more"]));
}
