//! Reads the text of a panic that was caught, so that a defect costs one object or one call and is told in words.

use std::any::Any;

/// What a panic said, if it said it in words.
pub(crate) fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "an unknown defect".to_owned())
}
