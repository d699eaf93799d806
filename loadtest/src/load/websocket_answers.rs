//! Answers of a WebSocket connection: frames of the server, and out of each answer only what is needed.
//!
//! No JSON tree and no copy: a good answer costs its head, and of orders that go or trade the few numbers that change the
//! own book. A server's frames are not masked; what is split over several frames is no answer of this venue's. Pings are
//! not answered: the venue counts any frame as a sign of life, and requests are sent all the time.
//! Bounds: the longest answer that is read is [`MAX_FRAME_BYTES`].

use lakh_engine::units::{Lots, Ticks};

use crate::error::LoadtestError;
use crate::load::connection::Ledger;
use crate::load::plan::{Expected, RequestKind};
use crate::load::seen::Seen;
use crate::load::websocket_requests::barrier_frame;
use crate::market_text::MarketText;
use crate::scan::{Fields, scan_response};

/// Longest frame of the venue.
const MAX_FRAME_BYTES: usize = 4 << 20;
/// The frame is whole, in its first byte; the kinds of frames in the rest of it.
const WHOLE: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// See the module.
#[derive(Debug)]
pub(crate) struct WebSocketAnswers {
    /// What came and is not a whole frame yet.
    bytes: Vec<u8>,
    markets: Vec<MarketText>,
    pub(crate) barrier_refused: bool,
}

/// A frame's kind and payload, and the bytes that it has in all.
type Frame<'a> = (u8, &'a [u8], usize);

impl WebSocketAnswers {
    /// Nothing came yet; `markets` is how numbers are written.
    pub(crate) const fn new(markets: Vec<MarketText>) -> Self {
        Self { bytes: Vec::new(), markets, barrier_refused: false }
    }

    /// A read behind everything, as request `number`.
    pub(crate) fn barrier(&self, number: u64) -> Vec<u8> {
        barrier_frame(&self.markets[0], number)
    }

    /// Takes in what came; whether the barrier's answer was among it.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        ledger: &mut Ledger,
        seen: &mut Seen<'_>,
    ) -> Result<bool, LoadtestError> {
        let mut own = std::mem::take(&mut self.bytes);
        let mut barrier_answered = false;
        // Most reads end with a frame, so that nothing has to be copied.
        let joined = if own.is_empty() {
            bytes
        } else {
            own.extend_from_slice(bytes);
            &own
        };
        let mut at = 0;
        while let Some((kind, payload, length)) = next_frame(&joined[at..])? {
            at += length;
            match kind {
                TEXT => barrier_answered |= self.answer(payload, ledger, seen),
                PING | PONG => {}
                CLOSE => return Err(LoadtestError::connection("reading", "the venue closed it")),
                other => return Err(LoadtestError::Protocol(format!("a frame of kind {other}"))),
            }
        }
        self.bytes = joined[at..].to_vec();
        Ok(barrier_answered)
    }

    fn answer(&mut self, text: &[u8], ledger: &mut Ledger, seen: &mut Seen<'_>) -> bool {
        let Some(head) = scan_response(text) else {
            let text = String::from_utf8_lossy(&text[..text.len().min(120)]);
            seen.recorder.fault(format!("a message that answers nothing: {text}"));
            return false;
        };
        if head.id >= ledger.total() {
            self.barrier_refused = head.status != 200;
            return head.status == 200;
        }
        let outcome = if head.status == 200 { Ok(()) } else { Err(head.code) };
        let Some(expected) = ledger.conclude(head.id, outcome, seen) else { return false };
        if head.status == 200 && change_book(&expected, text, &self.markets, seen).is_none() {
            let text = String::from_utf8_lossy(&text[..text.len().min(600)]);
            seen.recorder.fault(format!("an answer that does not say what became of the order: {text}"));
        }
        false
    }
}

/// What a good answer changes in the own book; `None` where it does not say.
fn change_book(expected: &Expected, text: &[u8], markets: &[MarketText], seen: &mut Seen<'_>) -> Option<()> {
    let market = &markets[usize::from(expected.market)];
    let (price, quantity) = (Ticks(u64::from(expected.price)), Lots(u64::from(expected.quantity)));
    let old_price = Ticks(u64::from(expected.old_price));
    let mut fields = Fields::of(text);
    match expected.kind {
        RequestKind::Add | RequestKind::Maker => seen.book.add(expected.market, expected.side, price, quantity),
        RequestKind::Cancel | RequestKind::Replace => {
            let executed = market.parse_quantity(fields.next("executedQty")?)?;
            let rest = u64::from(expected.old_quantity).checked_sub(executed.raw())?;
            seen.book.take(expected.market, expected.side, old_price, Lots(rest));
            if expected.kind == RequestKind::Replace {
                seen.book.add(expected.market, expected.side, price, quantity);
            }
        }
        RequestKind::Reduce => {
            let by = Lots(u64::from(expected.old_quantity));
            seen.book.take(expected.market, expected.side, old_price, by);
        }
        RequestKind::Take | RequestKind::Cross => {
            let executed = market.parse_quantity(fields.next("executedQty")?)?;
            if !executed.is_zero() {
                seen.recorder.fill();
                take_fills(expected, executed, (&mut fields, market), seen)?;
            }
            if expected.kind == RequestKind::Cross {
                let rest = Lots(quantity.raw().checked_sub(executed.raw())?);
                seen.book.add(expected.market, expected.side, price, rest);
            }
        }
        RequestKind::PostOnly | RequestKind::Frame | RequestKind::Quotes => {}
    }
    Some(())
}

/// The maker's levels become smaller by what traded with them; all fills together are what was executed.
fn take_fills(
    expected: &Expected,
    executed: Lots,
    (fields, market): (&mut Fields<'_>, &MarketText),
    seen: &mut Seen<'_>,
) -> Option<()> {
    fields.next_array("fills")?;
    let mut left = executed.raw();
    while left > 0 {
        let price = market.parse_price(fields.next("price")?)?;
        let quantity = market.parse_quantity(fields.next("qty")?)?;
        left = left.checked_sub(quantity.raw())?;
        seen.book.take(expected.market, 1 - expected.side, price, quantity);
    }
    Some(())
}

/// The frame at the front; `None` while it is not all there.
fn next_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, LoadtestError> {
    let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    if first & 0xf0 != WHOLE || second & 0x80 != 0 {
        return Err(LoadtestError::Protocol("a frame that is in parts, compressed or masked".to_owned()));
    }
    let (length, header) = match second {
        126 => match rest.first_chunk::<2>() {
            Some(length) => (usize::from(u16::from_be_bytes(*length)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX), 10),
            None => return Ok(None),
        },
        short => (usize::from(short), 2),
    };
    if length > MAX_FRAME_BYTES {
        return Err(LoadtestError::Protocol(format!("a frame of {length} bytes")));
    }
    let whole = header + length;
    Ok(bytes.get(header..whole).map(|payload| (first & 0xf, payload, whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_each_length_are_found_and_parts_are_waited_for() {
        let payload = |length: usize| vec![b'x'; length];
        let mut long = vec![0x81, 126, 1, 0];
        long.extend(payload(256));
        let mut longest = vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0];
        longest.extend(payload(65_536));
        for (frame, kind, length) in [(vec![0x81, 2, b'x', b'x'], TEXT, 2), (long, TEXT, 256), (longest, TEXT, 65_536)]
        {
            let mut stream = frame.clone();
            stream.push(0x89);
            let (found, bytes, whole) = next_frame(&stream).unwrap().expect("a whole frame");
            assert_eq!((found, bytes.len(), whole), (kind, length, frame.len()));
            for cut in 0..frame.len() {
                assert!(next_frame(&frame[..cut]).unwrap().is_none(), "{cut} of {}", frame.len());
            }
        }
        assert_eq!(next_frame(&[0x88, 0]).unwrap(), Some((CLOSE, &[][..], 2)));
        for bad in [&[0x01, 0][..], &[0xc1, 0], &[0x81, 0x80], &[0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(matches!(next_frame(bad), Err(LoadtestError::Protocol(_))), "{bad:?}");
        }
    }
}
