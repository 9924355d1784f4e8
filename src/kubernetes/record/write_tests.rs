//! What people read of an object whose replicas cannot be written.

use tidegate_engine::protocol::ApplyError;

use super::*;
use crate::kubernetes::known::StatusView;
use crate::kubernetes::status;
use crate::kubernetes::status::fixtures::{active, facts, hold};

const WHY: &str = "update of deployments.apps/scale in namespace shop is forbidden; the role needs it";

fn refused() -> Entry {
    Entry { apply_error: Some(ApplyError::Refused(WHY.to_owned())), ..active() }
}

#[test]
fn a_record_names_the_refusal_until_it_is_over() {
    let now = Timestamp::UNIX_EPOCH;
    let able = |entry: &Entry| {
        let status = next(&facts().target, entry, &ScaleRecordStatus::default(), None, now);
        let condition = status.conditions[0].clone();
        (condition.type_, condition.status, condition.reason, condition.message)
    };
    let expected = ("AbleToScale", "False", "FailedUpdateScale", WHY);
    assert_eq!(able(&refused()), (expected.0.into(), expected.1.into(), expected.2.into(), expected.3.into()));
    assert_eq!(able(&active()).1, "True");
    let held = Entry { phase: hold("ForeignAutoscaler"), ..refused() };
    assert_eq!(able(&held).2, "ForeignAutoscaler", "what keeps us from trying is named first");
}

#[test]
fn a_scaled_object_is_not_ready_while_it_cannot_be_scaled() {
    let ready = |entry: &Entry| {
        let status = status::change(&facts(), entry, &StatusView::default()).unwrap().status;
        assert!(status::last_activity(&status).lasts);
        let ready = status.conditions.into_iter().find(|condition| condition.kind == "Ready").unwrap();
        (ready.status, ready.reason.unwrap(), ready.message.unwrap())
    };
    assert_eq!(ready(&refused()), ("False".to_owned(), "FailedUpdateScale".to_owned(), WHY.to_owned()));
    assert_eq!(ready(&active()).0, "True");
}
