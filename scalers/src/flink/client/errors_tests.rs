use super::*;

const TRACE: &str = "org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\n\tat \
    org.apache.flink.Handler.run(Handler.java:1)\nCaused by: java.util.concurrent.CompletionException: wrapped\n\tat x.Y.z(Y.java:1)\n\
    Caused by: org.apache.flink.runtime.client.DuplicateJobSubmissionException: Job has already been submitted.\n\t... 12 more";

fn body(texts: &[&str]) -> Vec<u8> {
    serde_json::json!({ "errors": texts }).to_string().into_bytes()
}

fn plain() -> ReadError {
    ReadError::query(ReadErrorKind::Unavailable, "failed with status 502")
}

#[test]
fn the_innermost_cause_counts() {
    let cause = Cause::read(&body(&["Internal server error.", TRACE])).unwrap();
    assert_eq!(cause.class, "DuplicateJobSubmissionException");
    assert_eq!(cause.text, "Job has already been submitted.");
    let first = "<Exception on server side:\njava.lang.UnsupportedOperationException: Not here.\n\tat a.B.c(B.java:2)";
    let cause = Cause::read(&body(&["Internal server error.", first])).unwrap();
    assert_eq!(cause.to_string(), "UnsupportedOperationException: Not here.");
    let cause = Cause::read(&body(&["Unable to load requested file /x."])).unwrap();
    assert_eq!((cause.class.as_str(), cause.text.as_str()), ("", "Unable to load requested file /x."));
    assert_eq!(Cause::read(&body(&[])).unwrap().to_string(), "no cause is named");
    assert_eq!(Cause::read(b"<html>"), None);
}

#[test]
fn long_traces_are_cut() {
    let line = format!("Caused by: a.b.LongException: {}\u{7}\n", "x".repeat(94 * 1024));
    let cause = Cause::read(&body(&[&format!("{TRACE}\n{line}{}", "\tat a.B.c(B.java)\n".repeat(5000))])).unwrap();
    assert_eq!((cause.class.as_str(), cause.text.len()), ("LongException", LONGEST + 3));
    assert!(cause.to_string().len() < 400 && !cause.text.contains('\u{7}'));
}

#[test]
fn a_status_is_flinks_own_or_a_proxys() {
    let refusal = |status, body: &[u8]| refusal("Flink at x", status, body, &plain());
    let missing = refusal(404, &body(&["a.b.NotFoundException: no job"]));
    assert!(missing.is_not_found());
    assert_eq!(missing.reason(), "FlinkNotFound");
    assert_eq!(missing.to_string(), "Flink at x: there is no such thing (NotFoundException: no job)");
    assert!(!refusal(404, b"<html>a proxy's page</html>").is_not_found());
    let error = ReadError::from(refusal(503, &body(&["Service temporarily unavailable"])));
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ReadErrorKind::Unavailable, "Flink at x: is electing a leader (status 503)")
    );
    let error = ReadError::from(refusal(502, b""));
    assert_eq!(error.message, "Flink at x: failed with status 502");
    let error = ReadError::from(refusal(400, &body(&[TRACE])));
    assert_eq!(error.kind, ReadErrorKind::Config);
    assert_eq!(error.message, "Flink at x: refused with status 400 (DuplicateJobSubmissionException)", "classes alone");
    assert_eq!(refusal(500, &body(&[TRACE])).reason(), "FlinkRefused");
}
