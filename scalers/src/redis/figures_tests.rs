use super::*;

const INFO: &str = "# Server\r\nrun_id:abc\r\n# Clients\r\nconnected_clients:12\r\nmaxclients:10000\r\n# Memory\r\n\
    used_memory:1048576\r\nused_memory_human:1.00M\r\nmem_fragmentation_ratio:1.25\r\n# Stats\r\nkeyspace_hits:30\r\n\
    keyspace_misses:10\r\nrdb_last_bgsave_time_sec:-1\r\n# Replication\r\nrole:master\r\n";

#[test]
fn a_field_is_found_by_its_whole_name() {
    let read = |name| value(INFO, name, "Redis at a:1").map_err(|error| error.message);
    assert_eq!(read("connected_clients"), Ok(Milli::units(12)));
    assert_eq!(read("mem_fragmentation_ratio"), Ok(Milli(1250)));
    assert_eq!(read("used_memory"), Ok(Milli::units(1_048_576)));
    let error = |name: &str, what: &str| Err(format!("field {name:?} of INFO of Redis at a:1 {what}"));
    assert_eq!(read("clients"), error("clients", "does not exist"));
    assert_eq!(read("connected_client"), error("connected_client", "does not exist"));
    assert_eq!(read("role"), error("role", "is not a number"));
    assert_eq!(read("used_memory_human"), error("used_memory_human", "is not a number"));
    let none = error("rdb_last_bgsave_time_sec", "has no value: it is below zero");
    assert_eq!(read("rdb_last_bgsave_time_sec"), none);
    assert_eq!(value(INFO, "role", "x").unwrap_err().kind, ReadErrorKind::Config);
}

#[test]
fn numbers_are_decimal_and_have_thousandths() {
    for (text, expected) in [("0", 0), ("7", 7000), ("1.5", 1500), ("0.0019", 1), ("-1", -1000), ("12.250", 12_250)] {
        assert_eq!(milli(text), Some(Milli(expected)), "{text}");
    }
    for text in ["", "-", ".5", "5.", "1e3", "+1", "1,5", "1.2.3", "nan", "inf", "9223372036854775807"] {
        assert_eq!(milli(text), None, "{text}");
    }
}

#[test]
fn only_names_of_fields_are_fields() {
    assert_eq!(Field::named("keyspace_hit_ratio"), Some(Field::HitRatio));
    assert_eq!(Field::named("used_cpu_sys"), Some(Field::Stated("used_cpu_sys".to_owned())));
    for bad in ["", "a b", "a:b", "a\r\nb", "naïve"] {
        assert_eq!(Field::named(bad), None, "{bad}");
    }
}

fn counted(run: &str, hits: i64, misses: i64) -> Lookups {
    Lookups { run: run.to_owned(), hits, misses }
}

#[test]
fn the_hit_ratio_is_that_of_the_interval_and_not_of_all_time() {
    assert_eq!(lookups(INFO, "x"), Ok(counted("abc", 30, 10)));
    let ratio = |before: &[Lookups], now: &[Lookups]| hit_ratio(Some(before), now);
    // 90 hits of 100 look-ups since then, though 90 of 1,100 in all.
    assert_eq!(ratio(&[counted("a", 0, 1000)], &[counted("a", 90, 1010)]), Ok(Milli(900)));
    assert_eq!(ratio(&[counted("a", 5, 5)], &[counted("a", 5, 8)]), Ok(Milli(0)), "3 misses: the source states 0");
    // 2 of 3 is 0.6667, rounded to 0.667.
    assert_eq!(ratio(&[counted("a", 0, 0)], &[counted("a", 2, 1)]), Ok(Milli(667)));
    // 10 of 10 and 10 of 30 are 20 of 40.
    let (before, now) = ([counted("a", 0, 0), counted("b", 0, 0)], [counted("a", 10, 0), counted("b", 10, 20)]);
    assert_eq!(ratio(&before, &now), Ok(Milli(500)));
}

#[test]
fn without_an_interval_or_a_look_up_there_is_no_ratio() {
    let now = [counted("a", 10, 10)];
    assert_eq!(hit_ratio(None, &now), Err("has no value before the second poll"));
    assert_eq!(hit_ratio(Some(&[]), &now), Err("has no value before the second poll"));
    assert_eq!(hit_ratio(Some(&now), &now), Err("has no value: nothing was looked up since the last poll"));
    let anew = Err("has no value: a server began to count anew since the last poll");
    for before in [counted("b", 1, 1), counted("a", 11, 1), counted("a", 1, 11)] {
        assert_eq!(hit_ratio(Some(&[before]), &now), anew);
    }
}
