//! Frames: up to 64 operations under one signature, each with a result of its own. A quote counts as two, since it may
//! make two orders.
//!
//! The frame is admitted once, as a whole; then its operations are carried out in their order, each as if it had come
//! alone: one that is refused stops none behind it. They share the command's work; when too little of it is left for a
//! taker the rest stands in the agenda, and when an operation sets off a cascade of triggered orders the next one comes
//! behind it. What is left is kept in one buffer that is there from the start: nothing else is taken while a frame
//! stands in the agenda, so there is never a second one.

use alloc::vec::Vec;

use crate::agenda::AgendaItem;
use crate::allowance::Footing;
use crate::command::{FrameCommand, FrameOperation, KeyScope, OrderReference};
use crate::emitter::Emitter;
use crate::engine::{Moment, Reject, Shard};
use crate::event::Event;
use crate::ids::{AccountId, ClientId, KeyId, MarketId, OrderId, Sequence};
use crate::reject::RejectCode;
use crate::trading::{Admitted, Request, order_id};
use crate::triggers::LEAST_WORK;
use crate::wire::{DecodeError, Wire};

/// A frame and how far it has come.
#[derive(Debug)]
pub(crate) struct PendingFrame {
    account: AccountId,
    key: KeyId,
    origin: Sequence,
    /// The next operation.
    next: usize,
    /// Which of the frame's order ids is its first; follows from the operations in front of it.
    next_order: u64,
    operations: Vec<FrameOperation>,
}

impl PendingFrame {
    /// None, with room for the largest.
    pub(crate) fn new() -> Self {
        let operations = Vec::with_capacity(OrderId::PER_SEQUENCE as usize);
        Self { account: AccountId(0), key: KeyId(0), origin: Sequence(0), next: 0, next_order: 0, operations }
    }

    /// Leaves out what is left of it.
    pub(crate) fn give_up(&mut self) {
        self.next = self.operations.len();
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_done(&self) -> bool {
        self.next == self.operations.len()
    }
}

impl Wire for PendingFrame {
    fn encode(&self, out: &mut Vec<u8>) {
        self.account.encode(out);
        self.key.encode(out);
        self.origin.encode(out);
        self.index(self.next).encode(out);
        self.index(self.operations.len()).encode(out);
        self.operations.iter().for_each(|operation| operation.encode(out));
    }

    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let (account, key, origin) = (Wire::decode(input)?, Wire::decode(input)?, Wire::decode(input)?);
        let mut frame = Self { account, key, origin, ..Self::new() };
        let (next, count) = (u8::decode(input)?, u8::decode(input)?);
        if next >= count || u64::from(count) > OrderId::PER_SEQUENCE {
            return Err(DecodeError::BadValue);
        }
        frame.next = usize::from(next);
        for _ in 0..count {
            frame.operations.push(Wire::decode(input)?);
        }
        let order_ids = |operations: &[FrameOperation]| operations.iter().map(FrameOperation::order_ids).sum();
        frame.next_order = order_ids(&frame.operations[..frame.next]);
        let all: u64 = order_ids(&frame.operations);
        if all > OrderId::PER_SEQUENCE {
            return Err(DecodeError::BadValue);
        }
        Ok(frame)
    }
}

impl PendingFrame {
    fn index(&self, index: usize) -> u8 {
        u8::try_from(index).expect("at most 64 operations")
    }
}

impl Shard {
    /// Takes a trader's frame.
    #[inline(never)]
    pub(crate) fn take_frame(
        &mut self,
        moment: Moment,
        frame: &FrameCommand,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        let FrameCommand { account, key, ref operations, .. } = *frame;
        let Some(Admitted { digest, .. }) = self.let_in(moment, frame, events)? else { return Ok(()) };
        let order_ids: u64 = operations.iter().map(FrameOperation::order_ids).sum();
        let fits = (1..=OrderId::PER_SEQUENCE).contains(&order_ids);
        // An allowance is for orders that come one by one: a frame is on full evidence or not at all.
        let checked = match self.check_policy(moment.now, frame) {
            Ok(Footing::Allowed) => Err(RejectCode::EvidenceTooWeak),
            other => other.map(|_| ()),
        };
        let checked = checked.and(if fits { Ok(()) } else { Err(RejectCode::BadFrame) });
        let checked = checked.and(if frame.asking().only_cancels() { Ok(()) } else { self.check_not_blocked(account) });
        if let Err(code) = checked {
            self.refuse(frame.asking(), digest, (code.into(), (None, ClientId::EMPTY)), events);
            return Ok(());
        }
        let pending = &mut self.frame;
        pending.operations.clear();
        pending.operations.extend_from_slice(operations);
        pending.next_order = 0;
        (pending.account, pending.key, pending.origin, pending.next) = (account, key, moment.sequence, 0);
        let report_sequence = self.accounts.next_report(account);
        let operations = self.frame.index(self.frame.operations.len());
        events.push(Event::FrameAccepted { account, report_sequence, operations });
        self.read_ahead();
        self.work_on_frame(moment, events);
        Ok(())
    }

    /// Reads what the frame's operations name, before the first of them: resting orders have mostly left the caches, and so
    /// the reads of all of them wait for memory together and not one after the other. First the tables of ids for all
    /// operations, then the orders that stand there: so few instructions lie between two reads of the same kind that the
    /// processor has many on their way. Changes nothing.
    fn read_ahead(&self) {
        let account = self.frame.account;
        for operation in &self.frame.operations {
            let (market, target, placed) = names_in(operation);
            if let Some(market) = self.markets.get(usize::from(market.0)) {
                market.book.read_tables_ahead(account, target, placed);
            }
        }
        for operation in &self.frame.operations {
            if let (market, Some(target), _) = names_in(operation)
                && let Some(market) = self.markets.get(usize::from(market.0))
            {
                market.book.read_ahead(account, *target);
            }
        }
    }

    /// Carries out the next operations, as many as the command has work for.
    pub(crate) fn work_on_frame(&mut self, moment: Moment, events: &mut Emitter<'_>) {
        // Apart meanwhile, so that each operation is read where it lies: a copy is written in other pieces than it is read in.
        let operations = core::mem::take(&mut self.frame.operations);
        self.work_on(&operations, moment, events);
        self.frame.operations = operations;
    }

    fn work_on(&mut self, operations: &[FrameOperation], moment: Moment, events: &mut Emitter<'_>) {
        while let Some(operation) = operations.get(self.frame.next) {
            // A cascade that an operation has set off comes before the next operation.
            if self.work < LEAST_WORK || !self.agenda.is_empty() {
                self.agenda.push(AgendaItem::Frame);
                return;
            }
            self.work -= 1;
            let index = self.frame.next;
            self.frame.next += 1;
            let (account, key, origin) = (self.frame.account, self.frame.key, self.frame.origin);
            let bounded_key = if self.accounts.is_unbounded(key, account) { KeyId(0) } else { key };
            let at = Moment { sequence: origin, operation: self.frame.next_order, bounded_key, ..moment };
            self.frame.next_order += operation.order_ids();
            let refused = self.operate_in_frame(at, account, operation, events).err();
            events.push(Event::OperationDone {
                account,
                report_sequence: self.accounts.next_report(account),
                origin,
                index: self.frame.index(index),
                refused: refused.map(|reject| reject.code),
                order: refused.map_or(OrderId(0), |reject| reject.order),
            });
        }
    }

    fn operate_in_frame(
        &mut self,
        moment: Moment,
        account: AccountId,
        operation: &FrameOperation,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let (operations, market) = match operation {
            FrameOperation::PlaceOrder(order) => (KeyScope::PLACE, order.market),
            FrameOperation::CancelOrder(cancel) => (KeyScope::CANCEL, cancel.market),
            FrameOperation::AmendOrder(amend) => (amend.needed_scope(), amend.market),
            FrameOperation::ReplaceOrder(replace) => (KeyScope::PLACE | KeyScope::CANCEL, replace.order.market),
            FrameOperation::Quote(quote) => (KeyScope::PLACE | KeyScope::CANCEL, quote.market),
        };
        let needed = KeyScope { operations, market: Some(market), account: Some(account) };
        if moment.bounded_key != KeyId(0) {
            self.check_scope(moment.bounded_key, &needed)?;
        }
        match operation {
            FrameOperation::PlaceOrder(order) if moment.bounded_key == KeyId(0) && order.is_plain() => {
                self.place_plain(order_id(moment), account, order, events)
            }
            FrameOperation::PlaceOrder(order) => self.place_order(moment, account, order, events),
            FrameOperation::CancelOrder(cancel) => self.cancel_order(account, cancel, events),
            FrameOperation::AmendOrder(amend) => self.amend_order(moment, account, amend, events),
            FrameOperation::Quote(quote) => self.set_quote(moment, account, quote, events),
            FrameOperation::ReplaceOrder(replace) => self.replace_order(moment, account, replace, events),
        }
    }
}

/// Where an operation is, the order that it is about, and the client id of the one that it places.
fn names_in(operation: &FrameOperation) -> (MarketId, Option<&OrderReference>, Option<&ClientId>) {
    match operation {
        FrameOperation::PlaceOrder(order) => (order.market, None, Some(&order.client_id)),
        FrameOperation::CancelOrder(cancel) => (cancel.market, Some(&cancel.target), None),
        FrameOperation::AmendOrder(amend) => (amend.market, Some(&amend.target), None),
        FrameOperation::ReplaceOrder(replace) => {
            (replace.order.market, Some(&replace.target), Some(&replace.order.client_id))
        }
        FrameOperation::Quote(quote) => (quote.market, None, None),
    }
}
