use super::*;

fn key(database: i64, name: &str) -> Key {
    Key { database, name: name.into() }
}

fn server_error(line: &str) -> RedisError {
    redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
}

fn errands(keys: &[Key]) -> Vec<Errand<'_>> {
    keys.iter().enumerate().map(|(place, key)| Errand { place, key, commands: vec!["LLEN"] }).collect()
}

#[test]
fn answers_behind_a_refused_select_are_thrown_away() {
    let keys = [key(0, "a"), key(1, "b"), key(1, "c"), key(2, "d")];
    assert_eq!(pipeline(&errands(&keys), 0).len(), 6);
    let (ok, no) = (|| Ok(Value::Okay), || Err(server_error("ERR DB index is out of range")));
    let replies = vec![Ok(Value::Int(1)), no(), Ok(Value::Int(2)), Ok(Value::Int(3)), ok(), Ok(Value::Int(4))];
    let mut database = 0;
    let sorted = sort(errands(&keys), replies, &mut database, 4);
    assert_eq!(database, 2);
    assert!(matches!(sorted[0][..], [("LLEN", Ok(Value::Int(1)))]));
    assert!(matches!(sorted[1][..], [("SELECT", Err(_))]) && matches!(sorted[2][..], [("SELECT", Err(_))]));
    assert!(matches!(sorted[3][..], [("LLEN", Ok(Value::Int(4)))]));
}

#[test]
fn a_refused_select_at_the_end_leaves_the_database_as_it_was() {
    let keys = [key(1, "a"), key(9, "b")];
    let replies = vec![Ok(Value::Int(1)), Err(server_error("ERR DB index is out of range")), Ok(Value::Int(2))];
    let mut database = 1;
    drop(sort(errands(&keys), replies, &mut database, 2));
    assert_eq!(database, 1);
}

#[test]
fn a_missing_reply_is_an_error_and_not_a_zero() {
    let keys = [key(0, "a")];
    let sorted = sort(errands(&keys), Vec::new(), &mut 0, 1);
    assert!(matches!(sorted[0][..], [("LLEN", Err(_))]));
}
