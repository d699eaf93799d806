//! Mass cancels whose answer waits: it lists every order that went, and the engine may need several commands for that.
//!
//! A command's cancels stand in front of the `AgendaProgress` that counts them, and nothing comes between the parts of
//! one operation. Bounded by the engine's agenda, and each answer by the account's live orders.

use std::collections::HashMap;

use bytes::Bytes;
use lakh_engine::event::Completion;
use lakh_engine::ids::Sequence;

use crate::api_error::ApiError;
use crate::hand_over::RequestHandle;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct MassCancels {
    waiting: HashMap<Sequence, Waiting>,
    /// Elements of this command that no progress has claimed yet, each with a comma behind it.
    part: Vec<u8>,
}

#[derive(Debug)]
struct Waiting {
    handle: RequestHandle,
    elements: Vec<u8>,
}

impl MassCancels {
    /// A request waits for the operation that began at `origin`.
    pub(super) fn begin(&mut self, origin: Sequence, handle: RequestHandle) {
        self.waiting.insert(origin, Waiting { handle, elements: Vec::new() });
    }

    /// Where to put the next element of the answer, if anybody waits for one.
    pub(super) fn next_element(&mut self) -> Option<&mut Vec<u8>> {
        if self.waiting.is_empty() { None } else { Some(&mut self.part) }
    }

    /// The element is complete.
    pub(super) fn end_element(&mut self) {
        self.part.push(b',');
    }

    /// A part of the operation is done; when it was the last one, who waits and with what.
    pub(super) fn progress(
        &mut self,
        origin: Sequence,
        completion: Completion,
    ) -> Option<(RequestHandle, Result<Bytes, ApiError>)> {
        if let Some(waiting) = self.waiting.get_mut(&origin) {
            waiting.elements.append(&mut self.part);
        }
        self.part.clear();
        match completion {
            Completion::Pending => None,
            Completion::Finished => {
                self.waiting.remove(&origin).map(|waiting| (waiting.handle, list(waiting.elements)))
            }
        }
    }
}

/// The answer: an array, or that there was nothing to take off.
fn list(mut elements: Vec<u8>) -> Result<Bytes, ApiError> {
    if elements.pop().is_none() {
        return Err(ApiError::bad_request(-2011, "Unknown order sent."));
    }
    let mut array = Vec::with_capacity(elements.len() + 2);
    array.push(b'[');
    array.append(&mut elements);
    array.push(b']');
    Ok(Bytes::from(array))
}
