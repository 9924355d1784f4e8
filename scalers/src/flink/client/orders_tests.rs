use super::*;

fn trace(innermost: &str) -> String {
    let wrapped = "java.util.concurrent.CompletionException: org.apache.flink.util.FlinkException: Stop with savepoint operation could not \
         be completed.\n\tat a.B.c(B.java:1)\nCaused by: org.apache.flink.util.FlinkException: Stop with savepoint operation could not be \
         completed.\n\t... 5 more\n";
    format!("{wrapped}Caused by: {innermost}\n\t... 3 more\n{}", "\tat a.B.c(B.java:1)\n".repeat(3000))
}

#[test]
fn every_recorded_cause_of_a_failed_snapshot_has_its_class() {
    let checkpoint = |text: &str| format!("org.apache.flink.runtime.checkpoint.CheckpointException: {text}");
    let cases = [
        ("java.io.IOException: Failed to create savepoint directory at file:/proc/nope/sp".to_owned(), Class::Config),
        (
            "org.apache.flink.core.fs.UnsupportedFileSystemSchemeException: Could not find a file system implementation for \
             scheme 's3'."
                .to_owned(),
            Class::Config,
        ),
        (checkpoint("Checkpoint expired before completing."), Class::Transient),
        (checkpoint("Checkpoint Coordinator is suspending."), Class::Restarting),
        (checkpoint("The Flink job is currently not executing. Failure reason: Trigger checkpoint failure."), Class::Restarting),
        (
            checkpoint(
                "Checkpoint triggering task Source: lag-source (1/3) of job 00 is not being executed at the moment. Aborting \
                 checkpoint.",
            ),
            Class::Restarting,
        ),
        ("java.lang.IllegalStateException: Job e7d0 is not a streaming job.".to_owned(), Class::Restarting),
        (
            "org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job (00)".to_owned(),
            Class::Gone,
        ),
        (checkpoint("Checkpoint was declined."), Class::Transient),
    ];
    for (innermost, class) in cases {
        let failure = class_of_snapshot(&trace(&innermost));
        assert_eq!(failure.class, class, "{innermost}");
        assert!(failure.text.len() <= 300 && !failure.text.contains('\n'), "{}", failure.text);
    }
}

#[test]
fn a_stop_that_failed_after_its_savepoint_tells_the_path() {
    let text = "org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException: A savepoint has been created at: \
                s3://b/sp/savepoint-1a-2b, but the corresponding job 00 failed during stopping. The savepoint is consistent.";
    let failure = class_of_snapshot(&trace(text));
    assert_eq!((failure.class, failure.path.as_deref()), (Class::Stopping, Some("s3://b/sp/savepoint-1a-2b")));
}

fn refused(status: u16, text: &str) -> FlinkError {
    let body = serde_json::json!({ "errors": [text] }).to_string();
    errors::refusal("Flink at x", status, body.as_bytes(), &ReadError::query(ReadErrorKind::Unavailable, "plain"))
}

#[test]
fn every_refusal_has_its_class() {
    let cases = [
        (
            400,
            "a.RestHandlerException: Could not execute application.\nCaused by: a.DuplicateJobSubmissionException: Job has already been submitted.",
            Class::Conflict,
        ),
        (
            400,
            "a.B: Could not execute application.\nCaused by: a.DuplicateApplicationSubmissionException: again",
            Class::Conflict,
        ),
        (
            400,
            "a.RestHandlerException: The newly requested parallelism 48 for the job vertex 9d exceeds its maximum parallelism 24.",
            Class::Config,
        ),
        (
            500,
            "java.lang.UnsupportedOperationException: Cannot change the parallelism of a job running in reactive mode.",
            Class::Config,
        ),
        (500, "a.B: x\nCaused by: a.b.RestHandlerException: Jar file /data/nope.jar does not exist", Class::Gone),
        (500, "java.lang.NullPointerException: x", Class::Transient),
        (
            404,
            "a.RestHandlerException: Job could not be found.\nCaused by: a.FlinkJobNotFoundException: Could not find Flink job (00)",
            Class::Gone,
        ),
        (404, "Not found: /jars", Class::Config),
        (503, "Service temporarily unavailable due to an ongoing leader election. Please refresh.", Class::Unavailable),
        (500, "java.util.concurrent.TimeoutException: Invocation of x timed out", Class::Unavailable),
    ];
    for (status, text, class) in cases {
        assert_eq!(refused(status, text).class(), class, "{status} {text}");
    }
}

#[test]
fn the_edge_of_a_form_is_not_in_its_file() {
    let file = b"PK tidegate-edge and tidegate-edge-x inside";
    let content = Content::file("jarfile", "a.jar", file);
    assert_eq!(content.kind, "multipart/form-data; boundary=tidegate-edge-x-x");
    let text = String::from_utf8(content.bytes.to_vec()).unwrap();
    assert!(text.starts_with(
        "--tidegate-edge-x-x\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"a.jar\"\r\n"
    ));
    assert!(text.ends_with("inside\r\n--tidegate-edge-x-x--\r\n"));
}
