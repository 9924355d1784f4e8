//! The bytes of every message, written by hand: servers of others go by them, so they must never change.

use std::fmt::Debug;

use prost::Message;

use super::*;

/// Field 5, which nobody knows: a later version of the contract must not break this one.
const UNKNOWN: &[u8] = &[0x2a, 0x01, b'x'];
const HALF: [u8; 8] = 0.5_f64.to_le_bytes();

fn pinned<M: Message + Default + PartialEq>(message: &M, bytes: &[u8]) {
    assert_eq!(message.encode_to_vec(), bytes);
    let longer = [bytes, UNKNOWN].concat();
    assert!(M::decode(&*longer).unwrap() == *message);
    assert!(M::decode(&[][..]).unwrap() == M::default(), "everything may be missing");
}

fn reference() -> (ScaledObjectRef, Vec<u8>) {
    let metadata = [("k".to_owned(), "v".to_owned())].into();
    let message = ScaledObjectRef { name: "a".to_owned(), namespace: "b".to_owned(), scaler_metadata: metadata };
    let bytes = [0x0a, 1, b'a', 0x12, 1, b'b', 0x1a, 6, 0x0a, 1, b'k', 0x12, 1, b'v'];
    (message, bytes.to_vec())
}

#[test]
fn what_is_asked_has_its_field_numbers() {
    let (message, bytes) = reference();
    pinned(&message, &bytes);
    let request = GetMetricsRequest { scaled_object_ref: Some(message), metric_name: "m".to_owned() };
    let length = u8::try_from(bytes.len()).unwrap();
    pinned(&request, &[&[0x0a, length][..], &bytes, &[0x12, 1, b'm']].concat());
}

#[test]
fn what_is_answered_has_its_field_numbers() {
    pinned(&IsActiveResponse { result: true }, &[0x08, 1]);
    let spec = MetricSpec { metric_name: "m".to_owned(), target_size: 300, target_size_float: 0.5 };
    // 300 is 10 0101100 in groups of seven bits, the lowest first.
    let bytes = [&[0x0a, 1, b'm', 0x10, 0xac, 0x02, 0x19][..], &HALF].concat();
    pinned(&spec, &bytes);
    let length = u8::try_from(bytes.len()).unwrap();
    let twice = [&[0x0a, length][..], &bytes, &[0x0a, length], &bytes].concat();
    pinned(&GetMetricSpecResponse { metric_specs: vec![spec.clone(), spec] }, &twice);
    let value = MetricValue { metric_name: "m".to_owned(), metric_value: -1, metric_value_float: 0.5 };
    let minus_one = [&[0xff; 9][..], &[0x01]].concat();
    let bytes = [&[0x0a, 1, b'm', 0x10][..], &minus_one, &[0x19], &HALF].concat();
    pinned(&value, &bytes);
    let length = u8::try_from(bytes.len()).unwrap();
    pinned(&GetMetricsResponse { metric_values: vec![value] }, &[&[0x0a, length][..], &bytes].concat());
}

#[test]
fn the_calls_have_the_contracts_names() {
    let generated = include_str!(concat!(env!("OUT_DIR"), "/externalscaler.rs"));
    for method in ["IsActive", "StreamIsActive", "GetMetricSpec", "GetMetrics", "StreamMetricSpec"] {
        assert!(generated.contains(&format!("\"/externalscaler.ExternalScaler/{method}\"")), "{method}");
    }
}

#[test]
fn what_users_pass_on_cannot_be_printed() {
    trait Prints {
        fn prints(&self) -> bool;
    }
    // Inherent methods win over those of a trait, so the second is taken only where there is no `Debug`.
    struct Of<M>(M);
    impl<M: Debug> Of<M> {
        #[allow(dead_code, reason = "it is there for the types that have a `Debug`")]
        fn prints(&self) -> bool {
            let _ = &self.0;
            true
        }
    }
    impl<M> Prints for Of<M> {
        fn prints(&self) -> bool {
            false
        }
    }
    assert!(Of(IsActiveResponse::default()).prints());
    assert!(!Of(reference().0).prints() && !Of(GetMetricsRequest::default()).prints());
}
