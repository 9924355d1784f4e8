use super::*;

fn strings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text))).collect()
}

fn problems(metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> Vec<String> {
    let error = FlinkClient::open(&strings(metadata), &secrets(auth), &Endpoints::new()).unwrap_err();
    error.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn an_address_may_have_a_path_and_no_query() {
    let open = |url: &str| FlinkClient::open(&strings(&[("restUrl", url)]), &secrets(&[]), &Endpoints::new());
    let client = open("http://me:secret@flink:8081/proxy/").unwrap();
    assert_eq!(client.url("/jobs", &[("get", "a,b")]).as_str(), "http://flink:8081/proxy/jobs?get=a%2Cb");
    assert_eq!(format!("{client:?}"), "FlinkClient(\"Flink at http://flink:8081/proxy\")");
    assert_eq!(open("http://flink").unwrap().url("/overview", &[]).as_str(), "http://flink/overview");
    assert_eq!(
        problems(&[("restUrl", "http://flink?x=1")], &[]),
        ["metadata.restUrl: \"http://flink?x=1\" has a query, which an address cannot have"]
    );
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(problems(&[], &[]), ["metadata.restUrl: is required; it is read from metadata"]);
    let bearer = problems(&[("restUrl", "https://flink"), ("authModes", "bearer")], &[]);
    assert_eq!(bearer, ["authenticationRef.bearerToken: is required with authModes: bearer"]);
    let metadata = strings(&[("restUrl", "https://flink"), ("authModes", "bearer")]);
    let client = FlinkClient::open(&metadata, &secrets(&[("token", "canary")]), &Endpoints::new()).unwrap();
    assert!(!format!("{client:?}").contains("canary"));
}

#[test]
fn a_name_that_leads_elsewhere_becomes_no_part_of_an_address() {
    let client = FlinkClient::open(&strings(&[("restUrl", "http://flink")]), &secrets(&[]), &Endpoints::new()).unwrap();
    assert!(client.segment("127.0.0.1:44733-38fe34").is_ok());
    for text in ["", ".", "..", "a/b", "a?b", "a b", "%2e%2e"] {
        assert!(client.segment(text).is_err(), "{text}");
    }
}
