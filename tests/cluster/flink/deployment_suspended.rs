//! A person has suspended the job of a FlinkDeployment: nothing is written to it until that person resumes it, with hooks and without.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::super::operator::Operator;
use super::super::{SOON, trial};
use super::deployment::{Enrich, Setup, scaled};
use super::operator::Deed;
use crate::harness::wait::eventually;

/// The annotation of a job that was suspended in order to scale.
const SUSPENDED: &str = "tidegate.dev/suspended";
/// What the condition says.
const LEFT_ALONE: &str = "is \"suspended\", and Tidegate did not set it";

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("flink::deployment::a_suspension_by_a_person_is_no_zero_of_ours", without_a_hook),
        trial("flink::deployment::what_is_left_of_our_suspension_makes_no_other_one_ours", left_over),
        trial("flink::deployment::a_suspension_stays_ours_whatever_else_changes_in_the_spec", other_changes),
        trial("flink::deployment::a_person_can_hand_the_job_over_and_take_it_back", handed_over),
        trial("flink::deployment::a_suspension_during_a_change_is_waited_for", during_a_change),
        trial("flink::deployment::the_end_of_a_scaled_object_resumes_what_it_has_suspended", restored),
    ]
}

impl Enrich {
    /// One whose ScaledObject names no policy, so that no hook takes part. It rests at 0.
    fn without_a_hook(purpose: &str) -> Self {
        let enrich = Self::new(purpose, &Setup { min: 0, ..Setup::default() }, &json!({}));
        enrich.space.merge("scaledobjects", "enrich", &no_policy());
        enrich
    }

    /// Deletes the ScaledObject and waits until it is gone.
    fn delete_object(&self) {
        self.space.delete("scaledobjects", "enrich");
        eventually(SOON, "a ScaledObject that is gone", || {
            self.space.get("scaledobjects", "enrich").is_none().then_some(())
        });
    }

    /// As a person does it.
    fn set_state(&self, state: &str) {
        self.space.merge("flinkdeployments", "enrich", &json!({"spec": {"job": {"state": state}}}));
    }

    fn annotate(&self, value: Option<&str>) {
        let body = json!({"metadata": {"annotations": {SUSPENDED: value}}});
        self.space.merge("flinkdeployments", "enrich", &body);
    }

    /// The annotation of a job that was suspended in order to scale.
    fn annotation(&self) -> Option<String> {
        self.deployment()["metadata"]["annotations"][SUSPENDED].as_str().map(str::to_owned)
    }

    /// Waits until the job rests, suspended by us: it says which generation of the spec that was.
    fn until_rests(&self) -> Value {
        let rests = self.space.until("flinkdeployments", "enrich", "a job that rests at zero", |object| {
            object["spec"]["job"]["state"] == "suspended"
                && object["metadata"]["annotations"][SUSPENDED].is_string()
                && object["status"]["lifecycleState"] == "SUSPENDED"
        });
        self.space.until("scalerecords", "enrich", "a record of zero", |record| record["status"]["replicas"] == 0);
        let (generation, named) = (&rests["metadata"]["generation"], &rests["metadata"]["annotations"][SUSPENDED]);
        assert_eq!(*named, generation.to_string(), "the generation that the suspension made");
        rests
    }

    fn until_suspended(&self) {
        self.space.until("flinkdeployments", "enrich", "a suspended job", |object| {
            object["status"]["lifecycleState"] == "SUSPENDED"
        });
    }

    /// Nothing at all is written to it for a while, and it is not read again and again.
    fn left_alone(&self, operator: &Operator) {
        self.until_said("Held", LEFT_ALONE);
        let record = self.space.get("scalerecords", "enrich").unwrap();
        let reasons = super::super::space::conditions(&record).map(|one| one["reason"].clone());
        assert!(reasons.into_iter().any(|reason| reason == "JobSuspended"), "{record:#}");
        let (before, mut from) = (self.deployment(), self.space.plane().audit().now());
        self.untouched(Duration::from_secs(8));
        let asked = operator.follow(&mut from);
        assert_eq!(self.deployment()["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"], "{asked}");
        let reads = asked.of("flinkdeployments").count() + asked.of("flinkdeployments/scale").count();
        // A watch that ends begins anew; it decides every second.
        assert!(reads <= 2, "{asked}");
    }
}

/// Without a policy there is no hook.
fn no_policy() -> Value {
    json!({"metadata": {"annotations": {"tidegate.dev/policies": null}}})
}

/// The trigger wants zero, and the job rests already: not by us, so the next work must not resume it.
fn without_a_hook() {
    let enrich = Enrich::without_a_hook("byhand0");
    enrich.set_state("suspended");
    enrich.until_suspended();
    enrich.want(0);
    let operator = enrich.start();
    enrich.left_alone(&operator);
    assert_eq!(enrich.annotation(), None);
    enrich.want(4);
    enrich.left_alone(&operator);
    assert_eq!((enrich.asked(), enrich.annotation()), (2.into(), None));
    enrich.set_state("running");
    enrich.until_running(4);
    enrich.until_unsaid("Held");

    // While it is followed, too.
    enrich.set_state("suspended");
    enrich.until_suspended();
    enrich.want(0);
    enrich.left_alone(&operator);
    enrich.set_state("running");
    enrich.until_rests();
    enrich.want(3);
    enrich.until_running(3);
    assert_eq!(enrich.annotation(), None);
    enrich.was_permitted(&operator);
}

/// Somebody else resumes what we have suspended while nobody of us looks, and suspends it again.
fn left_over() {
    let enrich = Enrich::without_a_hook("leftover");
    enrich.want(0);
    let operator = enrich.start();
    let ours = enrich.until_rests()["metadata"]["annotations"][SUSPENDED].clone();
    operator.kill();
    enrich.set_state("running");
    enrich.until_running(2);
    enrich.set_state("suspended");
    enrich.until_suspended();
    let operator = enrich.start();
    enrich.left_alone(&operator);
    enrich.want(3);
    enrich.left_alone(&operator);
    assert_eq!(enrich.annotation().map(Value::from), Some(ours), "nothing was written");
    enrich.set_state("running");
    enrich.until_running(3);
    assert_eq!(enrich.annotation(), None, "it goes with the next write");
    enrich.want(0);
    enrich.until_rests();
    enrich.was_permitted(&operator);
}

/// Another image, twice, while the job rests: that is another generation, and still our suspension.
fn other_changes() {
    let enrich = Enrich::without_a_hook("image");
    enrich.want(0);
    let operator = enrich.start();
    enrich.until_rests();
    for image in ["flink:1.20.1", "flink:1.20.2"] {
        enrich.space.merge("flinkdeployments", "enrich", &json!({"spec": {"image": image}}));
    }
    enrich.until_suspended();
    operator.kill();
    let operator = enrich.start();
    enrich.want(4);
    enrich.until_running(4);
    assert_eq!(enrich.annotation(), None);
    enrich.was_permitted(&operator);
}

/// With the value that earlier versions wrote a person lets us resume the job, and without the annotation the job is his.
fn handed_over() {
    let enrich = Enrich::without_a_hook("handover");
    enrich.set_state("suspended");
    enrich.until_suspended();
    enrich.want(0);
    let operator = enrich.start();
    enrich.until_said("Held", LEFT_ALONE);
    enrich.annotate(Some("true"));
    enrich.until_unsaid("Held");
    enrich.space.until("scalerecords", "enrich", "a record of zero", |record| record["status"]["replicas"] == 0);
    enrich.want(3);
    enrich.until_running(3);
    assert_eq!(enrich.annotation(), None);

    enrich.want(0);
    enrich.until_rests();
    enrich.annotate(None);
    enrich.until_said("Held", LEFT_ALONE);
    enrich.want(4);
    enrich.left_alone(&operator);
    enrich.set_state("running");
    enrich.until_running(4);
    enrich.was_permitted(&operator);
}

/// The operator takes the change back while a person has suspended the job: that waits for the person, and nothing is given up for good.
fn during_a_change() {
    let hook = json!({"cooldown": "1s", "flink": {"verify": {"timeout": "12s"}}});
    let enrich = Enrich::new("during", &Setup::default(), &hook);
    let operator = enrich.start();
    enrich.want(4);
    enrich
        .space
        .until("flinkdeployments", "enrich", "a write", |object| object["spec"]["taskManager"]["replicas"] == 4);
    enrich.set_state("suspended");
    enrich.until_suspended();
    // Past the time that the operator has for the change, and more refusals than a setting gets.
    enrich.untouched(Duration::from_secs(30));
    enrich.until_said("Held", LEFT_ALONE);
    assert_eq!((enrich.asked(), enrich.writes(&operator).len()), (4.into(), 1));
    enrich.set_state("running");
    enrich.until_running(4);
    let deeds = enrich.flink.deeds();
    assert!(deeds.iter().all(|(_, deed)| *deed != Deed::Refused), "{deeds:#?}");
    enrich.until_unsaid("Held");
    enrich.want(5);
    enrich.until_running(5);
    enrich.was_permitted(&operator);
}

/// The replicas of before come back with the job; one that a person has suspended is left alone there, too.
fn restored() {
    let enrich = Enrich::without_a_hook("restored");
    let restores = json!({"spec": {"advanced": {"restoreToOriginalReplicaCount": true}}});
    enrich.space.merge("scaledobjects", "enrich", &restores);
    let operator = enrich.start();
    enrich.want(3);
    enrich.until_running(3);
    enrich.want(0);
    enrich.until_rests();
    enrich.delete_object();
    enrich.until_running(2);
    assert_eq!(enrich.annotation(), None);

    enrich.want(2);
    let mut again = scaled(0);
    again["metadata"]["annotations"] = Value::Null;
    again["spec"]["advanced"]["restoreToOriginalReplicaCount"] = true.into();
    enrich.space.apply(&again.to_string());
    enrich.want(3);
    enrich.until_running(3);
    enrich.set_state("suspended");
    enrich.until_said("Held", LEFT_ALONE);
    enrich.delete_object();
    enrich.untouched(Duration::from_secs(3));
    assert_eq!((enrich.asked(), enrich.annotation()), (3.into(), None));
    assert!(operator.log().contains(LEFT_ALONE), "{}", operator.log());
    enrich.was_permitted(&operator);
}
