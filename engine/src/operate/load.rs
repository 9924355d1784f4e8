//! How an operation outlives its process: what is stored is told by the world, and read once this process acts and has seen the target.

use tidegate_calculator::operation::{Event, stored};

use super::aftermath::Aftermath;
use super::{Kept, Operating, Recalled};
use crate::core::Context;
use crate::object::Object;
use crate::protocol::{self, Stored, Unreadable};

impl Object {
    /// What is stored of operations. It counts until it is read; after that it is only the echo of what this process stored, unless it could
    /// not be read and somebody has mended it.
    pub(crate) fn recall_operation(&mut self, stored: &Stored, cx: &mut Context<'_>) {
        let (operation, aftermath) = (stored.operation.clone(), stored.aftermath.clone());
        let recalled = Recalled { operation, aftermath };
        let nothing = recalled == Recalled::default();
        let counts = self.operating.as_ref().is_none_or(|operating| {
            let mended = operating.unreadable.as_ref().is_some_and(|kept| kept.texts != recalled);
            !cx.held || operating.recalled.is_some() || mended
        });
        if !counts || (self.operating.is_none() && nothing) {
            return;
        }
        // What was told of texts that could not be read is told no more.
        self.record.dirty |= self.operating.as_ref().is_some_and(|operating| operating.unreadable.is_some());
        let recalled = (!nothing).then_some(recalled);
        self.operating = Some(Box::new(Operating { recalled, ..Operating::default() }));
        self.load_operation(cx);
    }

    /// Reads what is stored of operations, and goes on with the one that was under way.
    pub(crate) fn load_operation(&mut self, cx: &mut Context<'_>) {
        if !cx.acting || self.subject.is_none() || self.target_seen().is_none() {
            return;
        }
        let Some(recalled) = self.operating.as_mut().and_then(|operating| operating.recalled.take()) else { return };
        let aftermath = recalled.aftermath.as_deref().map(Aftermath::read).transpose();
        let aftermath = aftermath.map_err(|error| why(error.reason(), &error, &recalled));
        let operation = recalled.operation.as_deref().map(|text| stored::read(text, cx.now)).transpose();
        let operation = operation.map_err(|error| why(error.reason(), &error, &recalled));
        // What is left behind is seen also if the operation that is under way cannot be read.
        let (aftermath, unread) = aftermath.map_or_else(|why| (None, Some(why)), |aftermath| (aftermath, None));
        self.operating().aftermath = aftermath.unwrap_or_default();
        match unread.map_or(operation, Err) {
            Ok(operation) => {
                // An earlier process may have told that it cannot be read. What is stored as it was is not written.
                self.record.dirty = true;
                if let Some(operation) = operation {
                    let state = operation.state();
                    let why = format!("operation {} from {} to {}", state.id.short(), state.from, state.to);
                    self.run_operation(operation, why);
                    // What must not be touched is not touched even once.
                    self.restrain(cx);
                    self.renew_hooks(cx);
                    self.operate(Event::Woken, cx);
                }
            }
            Err(why) => {
                let (reason, message) = (why.reason.to_owned(), why.message.clone());
                self.operating().unreadable = Some(Kept { texts: recalled, why });
                self.record.dirty = true;
                cx.announce(&self.id, protocol::Event::Operation { reason, message, warning: true });
            }
        }
    }

    /// Another process acts: it reads the operation back from what is stored.
    pub(crate) fn drop_operation(&mut self) {
        self.operating = None;
        self.freeze_gates();
    }
}

/// Why a text cannot be read, and what that means.
fn why(reason: &'static str, error: &dyn std::error::Error, recalled: &Recalled) -> Unreadable {
    let meaning = match &recalled.operation {
        Some(_) => "a job may be stopped, so nothing is scaled",
        None => "no change is made that hooks take part in",
    };
    let mended = "run a version that can read it, or take it out of the record by hand";
    Unreadable { reason, message: format!("{error}; {meaning} until that is mended: {mended}") }
}
