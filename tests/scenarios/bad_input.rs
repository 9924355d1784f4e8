//! Bad input is named exactly, and costs only what it is about: the object, the trigger or the file; the others go on.

use libtest_mimic::Trial;

use crate::harness::manifests::{App, Manifests};
use crate::harness::redis::Redis;
use crate::harness::tidegate::{Local, SOON, State, printed, run};
use crate::harness::wait::eventually;
use crate::harness::{trial, trial_with_redis};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("bad_input::local_names_each_and_the_others_go_on", local_names_each),
        trial("bad_input::validate_names_each_with_its_place", validate_names_each),
    ]
}

/// One object that is wrong in one way.
struct Case {
    /// The object's name, and the name of its file.
    name: &'static str,
    /// What stands in it instead of what: the lines of [`WELL`] are numbered in the findings.
    change: (&'static str, &'static str),
    /// What `tidegate validate` prints about it, after the file's name; none if other files decide.
    finding: Option<&'static str>,
    /// What the running object shows.
    shows: Shows,
}

/// How a running object shows what is wrong with it.
enum Shows {
    /// Its first trigger fails, and the message has this.
    Trigger(&'static str),
    /// It is refused, and the message has this.
    Refused(&'static str),
    /// Its target cannot be read, and the message has this.
    Target(&'static str),
    /// It is scaled all the same.
    Nothing,
}

/// An object with nothing wrong. Nobody listens at its address.
const WELL: &str = "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: NAME
  namespace: shop
spec:
  scaleTargetRef:
    name: NAME
  triggers:
    - type: redis
      metadata:
        address: 127.0.0.1:1
        listName: jobs
";

const CASES: &[Case] = &[
    Case {
        name: "unknown-type",
        change: ("type: redis", "type: reddis"),
        finding: Some(":10:7 error triggers[0].type: \"reddis\" is not a trigger type; did you mean redis?"),
        shows: Shows::Trigger("type: \"reddis\" is not a trigger type; did you mean redis?"),
    },
    Case {
        name: "missing-parameter",
        change: ("        listName: jobs\n", ""),
        finding: Some(":11:7 error triggers[0].metadata.listName: is required; it is read from metadata"),
        shows: Shows::Trigger("metadata.listName: is required"),
    },
    Case {
        name: "malformed-parameter",
        change: ("listName: jobs", "listName: jobs\n        listLength: 1O"),
        finding: Some(":14:9 error triggers[0].metadata.listLength: \"1O\" is not an integer >= 0"),
        shows: Shows::Trigger("metadata.listLength: \"1O\" is not an integer >= 0"),
    },
    Case {
        name: "unknown-parameter",
        change: ("listName: jobs", "listName: jobs\n        listLenght: \"5\""),
        finding: Some(
            ":14:9 warning triggers[0].metadata.listLenght: is not a parameter of redis and has no effect; did you mean listLength?",
        ),
        shows: Shows::Nothing,
    },
    Case {
        name: "wrong-type",
        change: ("  triggers:", "  maxReplicaCount: ten\n  triggers:"),
        finding: Some(":9:3 error maxReplicaCount: \"ten\" is a text, not an integer"),
        shows: Shows::Refused("maxReplicaCount: \"ten\" is a text, not an integer"),
    },
    Case {
        name: "min-above-max",
        change: ("  triggers:", "  minReplicaCount: 7\n  maxReplicaCount: 3\n  triggers:"),
        finding: Some(":9:3 error minReplicaCount: \"7\" is above maxReplicaCount (3)"),
        shows: Shows::Refused("minReplicaCount: \"7\" is above maxReplicaCount (3)"),
    },
    Case {
        name: "idle-not-below-min",
        change: ("  triggers:", "  idleReplicaCount: 2\n  minReplicaCount: 2\n  triggers:"),
        finding: Some(":9:3 error idleReplicaCount: \"2\" is not below minReplicaCount (2)"),
        shows: Shows::Refused("idleReplicaCount: \"2\" is not below minReplicaCount (2)"),
    },
    Case {
        name: "absent-key",
        change: ("      metadata:", "      authenticationRef: {name: redis}\n      metadata:"),
        finding: None,
        shows: Shows::Trigger("Secret shop/redis has no key password"),
    },
    Case {
        name: "absent-target",
        change: ("    name: absent-target", "    name: nowhere"),
        finding: Some(
            ":8:5 warning scaleTargetRef.name: \"nowhere\" names nothing: Deployment shop/nowhere is not in these files",
        ),
        shows: Shows::Target("nowhere"),
    },
    // Its target belongs to the object `good`.
    Case {
        name: "second-on-one-target",
        change: ("    name: second-on-one-target", "    name: good"),
        finding: None,
        shows: Shows::Refused("shop/good"),
    },
];

/// All cases side by side, with one good object among them.
fn manifests(address: &str) -> Manifests {
    let mut manifests = Manifests::new();
    manifests.add(&App { name: "good", address, list: "good", ..App::default() });
    for Case { name, change: (from, to), .. } in CASES {
        manifests.write(&format!("{name}.yaml"), &WELL.replace("NAME", name).replacen(from, to, 1));
        if !["absent-target", "second-on-one-target"].contains(name) {
            manifests.add_deployment(name, "exec sleep 3600");
        }
    }
    manifests.write("secret.yaml", SECRET);
    manifests.write("authentication.yaml", AUTHENTICATION);
    manifests.write("not-yaml.yaml", "a: [1,\nb: }\n");
    manifests
}

const SECRET: &str = "apiVersion: v1
kind: Secret
metadata: {name: redis, namespace: shop}
stringData: {user: me}
";

const AUTHENTICATION: &str = "apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: redis, namespace: shop}
spec:
  secretTargetRef:
    - {parameter: password, name: redis, key: password}
";

fn local_names_each() {
    let redis = Redis::shared();
    let manifests = manifests(&redis.address());
    let local = Local::start(&manifests);
    for Case { name, shows, .. } in CASES {
        local.until(name, "the object to say what is wrong", |state| shown(state, shows));
    }
    eventually(SOON, "the log to name the broken file", || local.log().contains("not-yaml.yaml:").then_some(()));

    redis.push("good", 15);
    local.until_replicas("good", 3);

    // A file that becomes unreadable takes nothing away.
    manifests.write("good-scaledobject.yaml", "kind: [\n");
    eventually(SOON, "the log to name the file", || local.log().contains("good-scaledobject.yaml:").then_some(()));
    redis.push("good", 15);
    local.until_replicas("good", 6);
}

fn shown(state: &State, shows: &Shows) -> bool {
    match shows {
        Shows::Trigger(text) => {
            state.failure().is_some_and(|(reason, message)| reason == "TriggerConfig" && message.contains(text))
        }
        Shows::Refused(text) => state.phase() == "Refused" && state.message().contains(text),
        Shows::Target(text) => state.phase() == "TargetFailed" && state.message().contains(text),
        Shows::Nothing => state.phase() == "Running",
    }
}

fn validate_names_each() {
    let manifests = manifests("127.0.0.1:1");
    let folder = manifests.folder();
    let (text, errors, code) = printed(&run(&["validate", "-f", folder.to_str().unwrap()]));
    assert_eq!(code, Some(1), "{text}{errors}");
    for (name, finding) in CASES.iter().filter_map(|case| Some((case.name, case.finding?))) {
        assert!(text.contains(&format!("{name}.yaml{finding}")), "{name}: {finding} is not in\n{text}{errors}");
    }
    assert!(
        text.contains("not-yaml.yaml:2:1 error is not YAML"),
        "the file is named, and the others are read:\n{text}"
    );
    assert!(
        text.contains("second-on-one-target.yaml:8:5 error") && text.contains("shop/good"),
        "one object a target:\n{text}"
    );

    // Warnings alone are no failure.
    let file = folder.join("unknown-parameter.yaml");
    let (text, errors, code) = printed(&run(&["validate", "-f", file.to_str().unwrap()]));
    assert_eq!(code, Some(0), "{text}{errors}");
}
