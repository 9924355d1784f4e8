//! Hooks of policies by themselves: what an operation begins with, and every rule with exactly what a user reads.

use tidegate_calculator::operation::phase::Direction;
use tidegate_calculator::operation::spec::{
    FirstStart, FlinkEndpoint, HookSpec, Item, Jar, JobSelector, LastState, OnFailure, RunTemplate, Select,
    VerifyCheckpoint, Work,
};
use tidegate_calculator::policy::Consent;
use tidegate_calculator::time::Span;
use tidegate_engine::subject::AuthenticationRef;

use super::attached::{faults, object, shop};
use super::policies::{found, policy};
use super::*;

pub(super) fn with_hooks(hooks: Value) -> Value {
    let mut policy = policy(json!({}));
    policy["spec"]["hooks"] = hooks;
    policy
}

pub(super) fn before(hook: Value) -> Value {
    with_hooks(json!({ "preScale": Value::Array(vec![hook]) }))
}

fn of(kind: &str, block: Value) -> Value {
    let mut hook = json!({ "name": "a" });
    hook[kind] = block;
    before(hook)
}

pub(super) fn flink(block: Value) -> Value {
    of("flink", block)
}

fn http(block: Value) -> Value {
    of("http", block)
}

fn job(template: Value) -> Value {
    let mut block = json!({});
    block["template"] = template;
    of("job", block)
}

/// The template of a Job that nothing is wrong with.
fn archive() -> Value {
    let pod = json!({ "restartPolicy": "Never", "containers": [{ "name": "a", "image": "archive:1" }] });
    json!({ "spec": { "template": { "spec": pod } } })
}

pub(super) fn judge(object: &Value, known: &dyn Surroundings) -> Validated {
    scaled_object(object, known, &Settings::default(), Timestamp::UNIX_EPOCH)
}

/// The hooks of the usual object with these policies.
pub(super) fn joined<const N: usize>(
    policies: [(&'static str, Value); N],
) -> (Option<std::sync::Arc<HookSpec>>, Subject) {
    let names = policies.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
    let validated = judge(&object(&names), &shop(policies));
    (validated.hooks, *validated.subject.unwrap())
}

/// Everything that a policy can say of Flink, each value another than the default.
fn full() -> Value {
    json!({
        "restUrl": "http://flink-jobmanager:8081/",
        "authenticationRef": { "name": "flink-rest" },
        "strategy": "Checkpoint",
        "jobs": {
            "select": "Listed", "batch": "Ignore",
            "list": [
                {
                    "name": "enrich", "share": 2, "raiseVertices": ["cbc357ccb763df2852fee8c4fc7d55f2"],
                    "run": {
                        "jar": { "name": "enrich.jar" }, "entryClass": "com.example.Enrich",
                        "programArgs": ["--topic", "orders"], "flinkConfiguration": { "a.b": "c" },
                        "allowNonRestoredState": true, "firstStart": "Empty",
                    },
                },
                { "namePattern": "join-.*", "run": { "jar": {
                    "url": "https://jars/a.jar", "sha256": "0123456789abcdef".repeat(4),
                    "authenticationRef": { "name": "jars", "kind": "ClusterTriggerAuthentication" },
                } } },
                { "id": "fd72014d4c864993a2e5a9287b4a9c5d" },
            ],
        },
        "slotsPerTaskManager": 4,
        "checkpoint": { "type": "Full", "maxAge": "45s", "order": "RemoveFirst" },
        "savepoint": {
            "directory": "s3://bucket/savepoints", "format": "Canonical", "claimMode": "Claim", "keep": 9,
            "minAge": "1h", "backup": true,
        },
        "flinkDeployment": { "allowStateless": true, "lastState": "AsIs", "backoffLimit": 0, "zero": "Suspend" },
        "verify": { "timeout": "7m", "checkpoint": "Wait", "maxRestarts": 0 },
    })
}

#[test]
fn every_field_arrives() {
    let state = json!({
        "name": "state", "directions": ["ScaleDown", "ToZero"], "timeout": "30m", "attempts": 5, "cooldown": "90s",
        "onFailure": { "scaleUp": "Abort", "scaleDown": "Proceed", "toZero": "Abort" }, "flink": full(),
    });
    let drain = json!({ "name": "drain", "http": {
        "url": "https://x/drain", "method": "PUT", "headers": { "X-A": "b" }, "body": "{}",
        "authenticationRef": { "name": "x" }, "expect": { "status": [200, 204] }, "async": { "pollUrl": "https://x/done" },
    } });
    let tell = json!({ "name": "tell", "job": { "template": archive() } });
    let hooks = with_hooks(json!({ "preScale": [state, drain], "postScale": [tell] }));
    assert_eq!(found(&hooks), Vec::<String>::new());
    let (hooks, subject) = joined([("a", hooks)]);
    assert_eq!((faults(&subject), subject.policy.consent), (vec![], Consent::Full));
    let hooks = hooks.unwrap();
    assert_eq!(hooks.check(), []);
    let [drain, state] = &hooks.pre_scale[..] else { panic!("http comes before flink: {hooks:?}") };
    let Work::Http(http) = &drain.work else { panic!("{drain:?}") };
    assert_eq!(
        (&*http.method, &http.headers[..], &*http.body, &http.expect_status[..], http.poll_url.as_deref()),
        ("PUT", &[("X-A".to_owned(), "b".to_owned())][..], "{}", &[200, 204][..], Some("https://x/done"))
    );
    assert_eq!((&*http.url, http.authentication_ref.as_deref()), ("https://x/drain", Some("x")));
    assert_eq!(state.directions, [Direction::ScaleDown, Direction::ToZero]);
    assert_eq!((state.timeout, state.attempts, state.cooldown), (Span::seconds(1800), 5, Span::seconds(90)));
    let table = state.on_failure;
    assert_eq!(
        [table.scale_up, table.scale_down, table.to_zero, table.from_zero],
        [Some(OnFailure::Abort), Some(OnFailure::Proceed), Some(OnFailure::Abort), None]
    );
    let flink = state.flink().unwrap();
    assert_eq!(flink.endpoint, Some(FlinkEndpoint::RestUrl("http://flink-jobmanager:8081".to_owned())));
    assert_eq!((flink.authentication_ref.as_deref(), flink.slots_per_task_manager), (Some("flink-rest"), Some(4)));
    assert_eq!(flink.jobs.select, Select::Listed);
    let [enrich, join, id] = &flink.jobs.list[..] else { panic!("{:?}", flink.jobs) };
    assert_eq!(
        (&enrich.select, enrich.share, enrich.raise_vertices.len()),
        (&JobSelector::Name("enrich".to_owned()), 2, 1)
    );
    let run = RunTemplate {
        jar: Jar::Name("enrich.jar".to_owned()),
        entry_class: Some("com.example.Enrich".to_owned()),
        program_args: vec!["--topic".to_owned(), "orders".to_owned()],
        flink_configuration: vec![("a.b".to_owned(), "c".to_owned())],
        allow_non_restored_state: true,
        first_start: FirstStart::Empty,
    };
    assert_eq!(enrich.run, Some(run));
    assert_eq!((&join.select, join.share), (&JobSelector::NamePattern("join-.*".to_owned()), 1));
    assert_eq!((&id.select, &id.run), (&JobSelector::Id("fd72014d4c864993a2e5a9287b4a9c5d".to_owned()), &None));
    let jar = &join.run.as_ref().unwrap().jar;
    assert!(matches!(jar, Jar::Url { authentication_ref: Some(text), .. } if text == "cluster/jars"), "{jar:?}");
    assert_eq!(hook_authentication("cluster/jars"), AuthenticationRef { cluster: true, name: "jars".into() });
    assert_eq!(
        (flink.checkpoint.max_age, flink.savepoint.keep, flink.savepoint.min_age),
        (Span::seconds(45), 9, Span::seconds(3600))
    );
    assert_eq!(flink.savepoint.directory.as_deref(), Some("s3://bucket/savepoints"));
    assert!(flink.savepoint.backup && flink.flink_deployment.allow_stateless);
    assert_eq!((flink.flink_deployment.last_state, flink.flink_deployment.backoff_limit), (LastState::AsItIs, 0));
    assert_eq!(
        (flink.verify.timeout, flink.verify.checkpoint, flink.verify.max_restarts),
        (Span::seconds(420), VerifyCheckpoint::Wait, 0)
    );
    let Work::Job(job) = &hooks.post_scale[0].work else { panic!("{hooks:?}") };
    assert_eq!(serde_json::from_str::<Value>(&job.template).unwrap(), archive());
}

#[test]
fn what_is_not_said_has_the_defaults_of_an_operation() {
    let hooks = json!({ "preScale": [
        { "name": "state", "flink": { "service": { "name": "jm" } } },
        { "name": "drain", "http": { "url": "https://x/drain" } },
    ] });
    let hooks = joined([("a", with_hooks(hooks))]).0.unwrap();
    let [drain, state] = &hooks.pre_scale[..] else { panic!("{hooks:?}") };
    let endpoint = FlinkEndpoint::Service { name: "jm".to_owned(), port: 8081, scheme: "http".to_owned() };
    let flink = tidegate_calculator::operation::spec::Flink { endpoint: Some(endpoint), ..Default::default() };
    let expected = Item { name: "state".to_owned(), work: Work::Flink(Box::new(flink)), ..Item::default() };
    assert_eq!(*state, expected);
    let http = tidegate_calculator::operation::spec::Http { url: "https://x/drain".to_owned(), ..Default::default() };
    assert_eq!(*drain, Item { name: "drain".to_owned(), work: Work::Http(http), ..Item::default() });
}

/// Each policy is refused with exactly this, whatever else is said of it.
fn refused<const N: usize>(cases: [(Value, &str); N]) {
    for (policy, expected) in cases {
        let findings = found(&policy);
        assert!(findings.contains(&format!("error {expected}")), "{expected}\n{findings:#?}");
    }
}

#[test]
fn what_the_definition_does_not_compare_is_refused() {
    let stops =
        |failure: Value| before(json!({ "name": "a", "flink": { "strategy": "StopRestore" }, "onFailure": failure }));
    let named = |fields: Value| {
        let mut hook = json!({ "name": "a", "job": { "template": archive() } });
        hook.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        before(hook)
    };
    refused([
        (before(json!({ "name": "a" })), "hooks.preScale[0]: must have exactly one of flink, http and job"),
        (
            named(json!({ "http": { "url": "http://x" } })),
            "hooks.preScale[0]: must have exactly one of flink, http and job",
        ),
        (named(json!({ "timeout": "0s" })), "hooks.preScale[0].timeout: \"0s\" is too short: at least 1s is needed"),
        (
            named(json!({ "cooldown": "8d" })),
            "hooks.preScale[0].cooldown: \"8d\" is not a duration, such as 90s or 1h30m",
        ),
        (named(json!({ "attempts": 0 })), "hooks.preScale[0].attempts: \"0\" is not an integer from 1 to 20"),
        (
            named(json!({ "directions": ["ToZero", "ToZero"] })),
            "hooks.preScale[0].directions[1]: \"ToZero\" stands in hooks.preScale[0].directions[0] already",
        ),
        (
            named(json!({ "directions": ["Down"] })),
            "hooks.preScale[0].directions[0]: \"Down\" is not one of ScaleUp, ScaleDown, ToZero, FromZero",
        ),
        (
            named(json!({ "onFailure": { "toZero": "Proceed" } })),
            "hooks.preScale[0].onFailure.toZero: \"Proceed\" is not possible here: without the work the jobs would be lost; Abort is",
        ),
        (
            named(json!({ "onFailure": { "fromZero": "Proceed" } })),
            "hooks.preScale[0].onFailure.fromZero: \"Proceed\" is not possible here: without the work the jobs would be lost; Abort is",
        ),
        (
            stops(json!({ "scaleUp": "Proceed" })),
            "hooks.preScale[0].onFailure.scaleUp: \"Proceed\" is not possible with strategy StopRestore: jobs are stopped by then; Abort is",
        ),
        (
            stops(json!({})),
            "hooks.preScale[0].flink.jobs.list: is required with strategy StopRestore: nothing says how a stopped job is run again",
        ),
    ]);
}

#[test]
fn what_a_hook_for_flink_cannot_say_is_refused() {
    let zeros = "0".repeat(64);
    let listed = |entry: Value| flink(json!({ "jobs": { "list": [entry] } }));
    refused([
        (
            flink(json!({ "slotsPerTaskManager": "two" })),
            "hooks.preScale[0].flink.slotsPerTaskManager: \"two\" is not Auto or an integer from 1 to 1000",
        ),
        (
            flink(json!({ "slotsPerTaskManager": -1 })),
            "hooks.preScale[0].flink.slotsPerTaskManager: \"-1\" is not Auto or an integer from 1 to 1000",
        ),
        (
            flink(json!({ "restUrl": "http://x", "service": { "name": "x" } })),
            "hooks.preScale[0].flink.service: is not possible together with restUrl",
        ),
        (
            flink(json!({ "restUrl": "http://x/?a=b" })),
            "hooks.preScale[0].flink.restUrl: \"http://x/?a=b\" has a query or a fragment; only what stands before /jobs is needed",
        ),
        (
            flink(json!({ "restUrl": "flink:8081" })),
            "hooks.preScale[0].flink.restUrl: \"flink:8081\" is not an http:// or https:// address",
        ),
        (
            flink(json!({ "service": { "name": "jm.shop" } })),
            "hooks.preScale[0].flink.service.name: \"jm.shop\" is not the name of a Service of the object's namespace",
        ),
        (
            flink(json!({ "authenticationRef": { "name": "" } })),
            "hooks.preScale[0].flink.authenticationRef.name: \"\" is not the name of an authentication",
        ),
        (
            flink(json!({ "jobs": { "select": "Listed" } })),
            "hooks.preScale[0].flink.jobs.list: is required with select Listed",
        ),
        (
            listed(json!({ "name": "j", "id": "0".repeat(32) })),
            "hooks.preScale[0].flink.jobs.list[0]: must have exactly one of name, namePattern and id",
        ),
        (
            listed(json!({ "id": "12" })),
            "hooks.preScale[0].flink.jobs.list[0].id: \"12\" is not 32 hexadecimal digits in lower case",
        ),
        (
            listed(json!({ "name": "j", "raiseVertices": ["source"] })),
            "hooks.preScale[0].flink.jobs.list[0].raiseVertices[0]: \"source\" is not 32 hexadecimal digits in lower case",
        ),
        (
            flink(json!({ "jobs": { "list": [{ "name": "j" }, { "namePattern": "j" }, { "name": "j" }] } })),
            "hooks.preScale[0].flink.jobs.list[2].name: \"j\" stands in hooks.preScale[0].flink.jobs.list[0] already",
        ),
        (
            listed(json!({ "namePattern": "j", "run": { "jar": { "name": "x" }, "firstStart": "Empty" } })),
            "hooks.preScale[0].flink.jobs.list[0].run.firstStart: \"Empty\" is only possible for an entry with name: it starts a job that was never seen",
        ),
        (
            flink(json!({ "strategy": "StopRestore", "jobs": { "list": [{ "name": "j" }] } })),
            "hooks.preScale[0].flink.jobs.list[0].run: is required with strategy StopRestore",
        ),
        (
            listed(json!({ "name": "j", "run": { "jar": { "name": "x", "sha256": zeros } } })),
            "hooks.preScale[0].flink.jobs.list[0].run.jar.sha256: is only for a jar with url",
        ),
        (
            listed(json!({ "name": "j", "run": { "jar": { "url": "http://x/a.jar" } } })),
            "hooks.preScale[0].flink.jobs.list[0].run.jar.sha256: is required with url: whoever serves it must not choose what is run",
        ),
        (
            flink(json!({ "checkpoint": { "maxAge": "0s" } })),
            "hooks.preScale[0].flink.checkpoint.maxAge: \"0s\" is too short: at least 1s is needed",
        ),
        (
            flink(json!({ "savepoint": { "directory": "savepoints" } })),
            "hooks.preScale[0].flink.savepoint.directory: \"savepoints\" is not an address such as s3://bucket/savepoints, or an absolute path",
        ),
        (
            flink(json!({ "verify": { "checkpoint": "None" } })),
            "hooks.preScale[0].flink.verify.checkpoint: \"None\" is not one of Trigger, Wait",
        ),
    ]);
    // The text of the parser of expressions is its own.
    let findings = found(&listed(json!({ "namePattern": "a(" })));
    let start = "error hooks.preScale[0].flink.jobs.list[0].namePattern: \"a(\" is not a regular expression: ";
    assert!(findings.len() == 1 && findings[0].starts_with(start), "{findings:?}");
}

#[test]
fn what_a_request_or_a_job_cannot_be_is_refused() {
    let changed = |pointer: &str, value: Value| {
        let mut template = archive();
        set(&mut template, pointer, value);
        job(template)
    };
    refused([
        (http(json!({ "url": "x" })), "hooks.preScale[0].http.url: \"x\" is not an http:// or https:// address"),
        (
            http(json!({ "url": "https:x" })),
            "hooks.preScale[0].http.url: \"https:x\" is not an http:// or https:// address",
        ),
        (
            http(json!({ "url": "https://me:secret@x/" })),
            "hooks.preScale[0].http.url: holds a login, which everybody reads who reads the policy; authenticationRef is the place for it",
        ),
        (
            http(json!({ "url": "https://x", "async": { "pollUrl": "ftp://x" } })),
            "hooks.preScale[0].http.async.pollUrl: \"ftp://x\" is not an http:// or https:// address",
        ),
        (
            http(json!({ "url": "https://x", "method": "HEAD" })),
            "hooks.preScale[0].http.method: \"HEAD\" is not one of GET, POST, PUT, PATCH, DELETE",
        ),
        (
            http(json!({ "url": "https://x", "expect": { "status": [600] } })),
            "hooks.preScale[0].http.expect.status[0]: \"600\" is not an integer from 100 to 599",
        ),
        (
            http(json!({ "url": "https://x", "headers": { "idempotency-key": "1" } })),
            "hooks.preScale[0].http.headers.idempotency-key: is set by the operation: it is the same for every repetition of one attempt",
        ),
        (
            http(json!({ "url": "https://x", "headers": { "a b": "1" } })),
            "hooks.preScale[0].http.headers[a b]: is not the name of a header",
        ),
        (
            http(json!({ "url": "https://x", "headers": { "A": "1\n2" } })),
            "hooks.preScale[0].http.headers.A: has a value with characters that a header cannot hold",
        ),
        (
            http(json!({ "url": "https://x", "headers": { "A": "1", "a": "2" } })),
            "hooks.preScale[0].http.headers.a: stands twice: the case of letters makes no difference",
        ),
        (
            before(json!({ "name": "a", "job": { "template": "x" } })),
            "hooks.preScale[0].job.template: \"x\" is a text, not a map",
        ),
        (
            job(json!({ "spec": {} })),
            "hooks.preScale[0].job.template.spec.template.spec.containers: is required, with at least one entry: a Job runs a pod",
        ),
        (
            changed("/spec/template/spec/restartPolicy", json!("Always")),
            "hooks.preScale[0].job.template.spec.template.spec.restartPolicy: \"Always\" is not Never or OnFailure",
        ),
        (
            changed("/spec/template/spec/restartPolicy", Value::Null),
            "hooks.preScale[0].job.template.spec.template.spec.restartPolicy: must be Never or OnFailure",
        ),
        (
            changed("/spec/ttlSecondsAfterFinished", json!(10)),
            "hooks.preScale[0].job.template.spec.ttlSecondsAfterFinished: \"10\" is too short: an ended Job must be seen before it goes; at least 300, or nothing, is needed",
        ),
        (
            changed("/spec/suspend", json!(true)),
            "hooks.preScale[0].job.template.spec.suspend: \"true\" means that the Job never runs",
        ),
        // 95 bytes of braces, names and the rest around the image.
        (
            changed("/spec/template/spec/containers/0", json!({ "name": "a", "image": "x".repeat(16_384) })),
            "hooks.preScale[0].job.template: has 16479 bytes; at most 16384 are allowed: what is long belongs into an image",
        ),
        (
            changed("/spec/backoffLimit", json!("three")),
            "hooks.preScale[0].job.template: is not the template of a Job: invalid type: string \"three\", expected i32",
        ),
    ]);
}

#[test]
fn one_hook_is_for_flink_and_none_after_the_change() {
    let [one, other] = ["a", "b"].map(|name| json!({ "name": name, "flink": {} }));
    let hooks = with_hooks(json!({ "preScale": [one, other], "postScale": [one] }));
    let expected = [
        "error hooks.preScale[1].flink: is the second of preScale; one is possible",
        "error hooks.postScale[0].flink: is only for preScale; it verifies by itself",
    ];
    assert_eq!(found(&hooks), expected);
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let cases = [
        (with_hooks(json!({ "preScale": [] })), "hooks: has no effect without preScale or postScale"),
        (
            before(json!({ "name": "a", "directions": ["ScaleUp", "ToZero"], "flink": {} })),
            "hooks.preScale[0].directions: leaves out ScaleDown: TaskManagers go without a snapshot there",
        ),
        (
            with_hooks(
                json!({ "postScale": [{ "name": "a", "http": { "url": "http://x" }, "onFailure": { "scaleDown": "Abort" } }] }),
            ),
            "hooks.postScale[0].onFailure: has no effect in postScale, where a failure is told and changes nothing",
        ),
        (
            http(json!({ "url": "https://x", "headers": { "authorization": "Bearer a" } })),
            "hooks.preScale[0].http.headers.authorization: can be read by everybody who reads the policy; authenticationRef is the place for secrets",
        ),
        (
            http(json!({ "url": "https://x", "method": "GET", "body": "x" })),
            "hooks.preScale[0].http.body: is rarely read with method GET; POST is the default",
        ),
        (
            flink(json!({ "jobs": { "list": [{ "id": "0".repeat(32), "run": { "jar": { "name": "x" } } }] } })),
            "hooks.preScale[0].flink.jobs.list[0].run: is of use once: a job that is run again has another id, which this entry does not name; name is better",
        ),
    ];
    for (policy, expected) in cases {
        assert_eq!(found(&policy), [format!("warning {expected}")]);
    }
    let mut template = archive();
    template["metadata"] = json!({ "name": "mine", "labels": { "a": "b" } });
    template["spce"] = json!({});
    let expected = [
        "warning hooks.preScale[0].job.template.spce: is not metadata or spec, and has no effect; did you mean spec?",
        "warning hooks.preScale[0].job.template.metadata.name: has no effect: it is given by the operation and its object",
    ];
    assert_eq!(found(&job(template)), expected);
}

#[test]
fn blocks_that_are_not_there_yet_stay_refused_by_name() {
    let spec = json!({
        "victims": { "onlyIdle": true }, "distribution": { "zones": {} }, "actions": [{ "name": "a" }],
        "vertical": [{ "container": "a" }], "replaceUnhealthy": { "atMost": 1 },
    });
    let expected = ["victims", "distribution", "actions", "vertical", "replaceUnhealthy"];
    assert_eq!(found(&policy(spec)), expected.map(|name| format!("error {name}: is not supported yet")));
}
