use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Regex, Timestamp};

use super::*;

#[test]
fn extended_json_is_read_canonical_and_relaxed() {
    let id = ObjectId::parse_str("0123456789abcdef01234567").unwrap();
    let cases = [
        (
            r#"{"a": 1, "b": 2.5, "c": "x", "d": null, "e": [true]}"#,
            doc! { "a": 1, "b": 2.5, "c": "x", "d": null, "e": [true] },
        ),
        (r#"{"a": {"$numberInt": "7"}, "b": {"$numberLong": "8"}}"#, doc! { "a": 7, "b": 8_i64 }),
        (r#"{"a": {"$numberDouble": "0.5"}}"#, doc! { "a": 0.5 }),
        (r#"{"_id": {"$oid": "0123456789abcdef01234567"}}"#, doc! { "_id": id }),
        (
            r#"{"at": {"$gt": {"$date": "1970-01-01T00:00:01Z"}}}"#,
            doc! { "at": { "$gt": DateTime::from_millis(1000) } },
        ),
        (r#"{"at": {"$date": {"$numberLong": "1000"}}}"#, doc! { "at": DateTime::from_millis(1000) }),
        (r#"{"t": {"$timestamp": {"t": 5, "i": 6}}}"#, doc! { "t": Timestamp { time: 5, increment: 6 } }),
        (
            r#"{"n": {"$regularExpression": {"pattern": "^a", "options": "i"}}}"#,
            doc! { "n": Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() } },
        ),
        (r#"{"n": {"$regex": "^a", "$options": "i"}}"#, doc! { "n": { "$regex": "^a", "$options": "i" } }),
        (r#"{"n": {"$type": "string"}}"#, doc! { "n": { "$type": "string" } }),
        (r#"{"n": {"$exists": false}}"#, doc! { "n": { "$exists": false } }),
        (r#"{"big": 5000000000}"#, doc! { "big": 5_000_000_000_i64 }),
        ("{}", doc! {}),
    ];
    for (text, expected) in cases {
        let read = document(text).unwrap_or_else(|| panic!("{text}"));
        // What is sent counts: a number of another width is the same to the server.
        assert_eq!(format!("{read}"), format!("{expected}"), "{text}");
    }
    for text in
        ["", "[]", "7", "{a: 1}", r#"{"a": {"$oid": "xyz"}}"#, r#"{"$oid": "0123456789abcdef01234567"}"#, r#"{"a": 1"#]
    {
        assert_eq!(document(text), None, "{text}");
    }
}

#[test]
fn a_pipeline_keeps_the_order_of_its_fields() {
    let stages = pipeline(r#"[{"$sort": {"b": 1, "a": -1}}, {"$count": "count"}]"#).unwrap();
    assert_eq!(stages[0].get_document("$sort").unwrap().keys().collect::<Vec<_>>(), ["b", "a"]);
    for text in ["", "{}", "[7]", "[[]]", r#"[{"$match"}]"#] {
        assert_eq!(pipeline(text), None, "{text}");
    }
}

#[test]
fn no_document_is_zero_only_where_that_was_said() {
    let of = |empty_is_zero| Aggregation { stages: "[]".into(), field: "count".into(), empty_is_zero };
    assert_eq!(of(true).value(None, "x"), Ok(0.0));
    assert!(of(false).value(None, "x").is_err());
    assert_eq!(of(false).value(Some(&doc! { "count": 3 }), "x"), Ok(3.0));
    assert!(of(true).value(Some(&doc! { "other": 3 }), "x").is_err(), "an absent field is not an absent document");
}

#[test]
fn operations_are_counted_by_the_server_and_their_absence_is_zero() {
    let cursor = |batch: Vec<Bson>| doc! { "cursor": { "firstBatch": batch }, "ok": 1 };
    assert_eq!(counted(&cursor(vec![]), "x"), Ok(0.0));
    assert_eq!(counted(&cursor(vec![Bson::Document(doc! { "count": 4 })]), "x"), Ok(4.0));
    for odd in [doc! {}, doc! { "cursor": {} }, cursor(vec![Bson::Int32(4)]), cursor(vec![Bson::Document(doc! {})])] {
        assert_eq!(counted(&odd, "x").map_err(|error| error.kind), Err(ReadErrorKind::Protocol), "{odd}");
    }
    let command = Operations::Slow(90).command(Duration::from_millis(1500));
    assert_eq!(command.get_i64("maxTimeMS").ok(), Some(1500));
}
