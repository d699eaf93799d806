//! What a cancel-replace is answered: both halves, or which of them failed and why.
//!
//! -2022 where nothing happened, -2021 where one half did; `error.data` names both halves either way, as clients expect
//! it. With `STOP_ON_FAILURE` the engine does both or neither, so nothing is ever half done there.

use bytes::Bytes;
use lakh_engine::event::{Event, Rejected};
use lakh_engine::reject::RejectCode;

use crate::api_error::ApiError;
use crate::hand_over::AnswerShape;
use crate::publisher::Publisher;
use crate::reports::Stamp;
use crate::request::refusal;
use crate::wire::json::response::error_body;
use crate::wire_encode::json::JsonWriter;

/// How one half went.
#[derive(Clone, Copy)]
enum Half {
    Done,
    Failed(RejectCode),
    NotAttempted,
}

impl Half {
    const fn name(self) -> &'static str {
        match self {
            Self::Done => "SUCCESS",
            Self::Failed(_) => "FAILURE",
            Self::NotAttempted => "NOT_ATTEMPTED",
        }
    }

    const fn of(refused: Option<RejectCode>) -> Self {
        match refused {
            None => Self::Done,
            Some(code) => Self::Failed(code),
        }
    }
}

impl Publisher {
    pub(super) fn replace_outcome(
        &self,
        shape: AnswerShape,
        stamp: Stamp,
        events: &[Event],
    ) -> Result<Bytes, ApiError> {
        let order_shape = match shape {
            AnswerShape::ReplacedAck => AnswerShape::OrderAck,
            AnswerShape::ReplacedResult => AnswerShape::OrderResult,
            _ => AnswerShape::OrderFull,
        };
        let halves = events.iter().find_map(|event| match event {
            Event::Rejected(rejected) => Some(rejected_halves(rejected)),
            Event::Duplicate(duplicate) => Some(Err(self.duplicate_error(duplicate, order_shape))),
            Event::ReplaceAnswered { cancel_refused, order_refused, .. } => {
                Some(Ok((Half::of(*cancel_refused), Half::of(*order_refused))))
            }
            _ => None,
        });
        let (cancel, order) = halves.ok_or_else(refusal::internal)??;
        let (mut cancel_response, mut order_response) = (Vec::new(), Vec::new());
        match cancel {
            Half::Done => {
                self.write_cancel_answer(stamp, events, &mut cancel_response).ok_or_else(refusal::internal)?
            }
            half => write_failure(half, &mut cancel_response),
        }
        match order {
            Half::Done => {
                let written = self.write_order_answer(order_shape, stamp, events, &mut order_response);
                written.ok_or_else(refusal::internal)?;
            }
            half => write_failure(half, &mut order_response),
        }
        let mut out = Vec::with_capacity(cancel_response.len() + order_response.len() + 128);
        let mut json = JsonWriter::new(&mut out);
        json.begin_object().key("cancelResult").text(cancel.name()).key("newOrderResult").text(order.name());
        json.key("cancelResponse").raw(&cancel_response).key("newOrderResponse").raw(&order_response);
        json.end_object();
        let body = Bytes::from(out);
        let failed = |status, code, message| {
            Err(ApiError { status, data: Some(body.clone()), ..ApiError::bad_request(code, message) })
        };
        match (cancel, order) {
            (Half::Done, Half::Done) => Ok(body),
            (Half::Done, _) | (_, Half::Done) => failed(409, -2021, "Order cancel-replace partially failed."),
            _ => failed(400, -2022, "Order cancel-replace failed."),
        }
    }
}

/// Which half a refusal of the whole is about: the other one was not tried, or nobody knows how it would have gone. A
/// refusal that is about neither, such as a time that has passed, is the request's own.
fn rejected_halves(rejected: &Rejected) -> Result<(Half, Half), ApiError> {
    use RejectCode as Code;
    match rejected.code {
        code @ (Code::OrderUnknown | Code::RestrictionNotMet) => Ok((Half::Failed(code), Half::NotAttempted)),
        code if (code as u16) >= Code::ExpiryPassed as u16 && (code as u16) < Code::NotAuthorised as u16 => {
            Ok((Half::NotAttempted, Half::Failed(code)))
        }
        code => Err(ApiError::from_reject(code)),
    }
}

fn write_failure(half: Half, out: &mut Vec<u8>) {
    match half {
        Half::Failed(code) => out.extend_from_slice(&error_body(&ApiError::from_reject(code))),
        Half::Done | Half::NotAttempted => out.extend_from_slice(b"null"),
    }
}
