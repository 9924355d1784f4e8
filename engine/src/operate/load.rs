//! How an operation outlives its process: what is stored is told by the world, and read once this process acts and has seen the target.

use tidegate_calculator::operation::{Event, Operation, stored};

use super::aftermath::Aftermath;
use super::{Operating, Recalled};
use crate::core::Context;
use crate::object::Object;
use crate::protocol::{self, Stored};

impl Object {
    /// What is stored of operations. It counts until it is read; after that it is only the echo of what this process stored, unless it could
    /// not be read and somebody has mended it.
    pub(crate) fn recall_operation(&mut self, stored: &Stored, cx: &mut Context<'_>) {
        let (operation, aftermath) = (stored.operation.clone(), stored.aftermath.clone());
        let recalled = Recalled { operation, aftermath };
        let nothing = recalled == Recalled::default();
        let counts = self.operating.as_ref().is_none_or(|operating| {
            let mended = operating.unreadable.as_ref().is_some_and(|kept| *kept != recalled);
            !cx.held || operating.recalled.is_some() || mended
        });
        if !counts || (self.operating.is_none() && nothing) {
            return;
        }
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
        match read(&recalled, cx) {
            Ok((operation, aftermath)) => {
                self.operating().aftermath = aftermath;
                if let Some(operation) = operation {
                    let state = operation.state();
                    let why = format!("operation {} from {} to {}", state.id.short(), state.from, state.to);
                    self.run_operation(operation, why);
                    // What must not be touched is not touched even once.
                    self.restrain(cx);
                    self.operate(Event::Woken, cx);
                }
            }
            Err((reason, message)) => {
                self.operating().unreadable = Some(recalled);
                let message = format!("{message}; no operation begins until it is taken out of the record by hand");
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

/// What the texts hold, or the reason and the text of what cannot be read.
fn read(recalled: &Recalled, cx: &Context<'_>) -> Result<(Option<Operation>, Aftermath), (String, String)> {
    let aftermath = recalled.aftermath.as_deref().map(Aftermath::read).transpose();
    let aftermath = aftermath.map_err(|error| (error.reason().to_owned(), error.to_string()))?;
    let operation = recalled.operation.as_deref().map(|text| stored::read(text, cx.now)).transpose();
    let operation = operation.map_err(|error| (error.reason().to_owned(), error.to_string()))?;
    Ok((operation, aftermath.unwrap_or_default()))
}
