use super::*;

#[test]
fn only_flags_that_cover_every_length_count() {
    for good in ["KA", "AK", "AKE", "Kglshz", "KEglshzxe$"] {
        assert!(Spoken::of(good).lengths, "{good}");
    }
    for bad in ["", "EA", "Kl", "Kglsh", "A"] {
        assert!(!Spoken::of(bad).lengths, "{bad}");
    }
}

#[test]
fn channels_name_database_and_key() {
    let key = Key { database: 3, name: "a__:b@c".into() };
    assert_eq!(channel(&key), "__keyspace@3__:a__:b@c");
}

#[test]
fn streams_have_a_class_of_their_own() {
    for (flags, lengths, streams) in
        [("KA", true, true), ("Kglshz", true, false), ("Kgt", false, true), ("Kt", false, false)]
    {
        assert_eq!(Spoken::of(flags), Spoken { lengths, streams }, "{flags}");
    }
}
