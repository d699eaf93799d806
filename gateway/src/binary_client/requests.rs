//! A client's requests: numbered, signed and written one behind the other.

use ed25519_dalek::{Signer as _, SigningKey};
use lakh_engine::command::{
    AmendOrder, CancelOrder, CancelRestriction, FrameOperation, OrderReference, PlaceOrder, ReplaceMode, ReplaceOrder,
    Side,
};
use lakh_engine::ids::{ClientId, MarketId};
use lakh_engine::units::Timestamp;
use zerocopy::FromBytes;

use crate::auth::native::{LogonText, SigningDomain, tag_text};
use crate::wire::sbe::enums::{
    ALL_MARKETS, Channel, DisconnectChoice, OperationKind, SessionRole, SideFilter, StartMode, WireEnum,
};
use crate::wire::sbe::market::{GapFillRequest, MarketDataSubscribe, MarketDataUnsubscribe, MarketListRequest};
use crate::wire::sbe::orders::{
    AmendOrder as AmendOrderBlock, CancelAllAfter, CancelOrder as CancelOrderBlock, MassCancel, MassQuote, NewOrder,
    OperationEntry, OrderFrame, QuoteEntry, ReplaceOrder as ReplaceOrderBlock,
};
use crate::wire::sbe::request::{SIGNATURE_BYTES, UNSIGNED_BYTES};
use crate::wire::sbe::session::{Heartbeat, Logon, LogonAccepted, Logout, TestRequest};
use crate::wire::sbe::{Block, HEADER_BYTES, padded, put, put_with_group};

/// For how long a request is good, in nanoseconds.
const VALID_NS: u64 = 30_000_000_000;

/// How a session is opened.
#[derive(Clone, Debug)]
pub struct LogonOptions {
    /// The venue's tag.
    pub venue_tag: [u8; 16],
    /// The client's name of the session, at most 16 characters.
    pub sender: String,
    /// What it is for.
    pub role: SessionRole,
    /// The last report that the client has; `None` for those from now on only.
    pub resume_from: Option<u64>,
    /// What becomes of the account's orders when its last session ends.
    pub disconnect: DisconnectChoice,
    /// Longest silence in milliseconds: 500 ..= 60,000.
    pub heartbeat_ms: u32,
    /// The first nonce: above every one that the key has used, by at most 2^20.
    pub first_nonce: u64,
}

impl LogonOptions {
    /// A trading session at this venue of a key that has used no nonce yet.
    pub fn new(venue_tag: [u8; 16]) -> Self {
        Self {
            venue_tag,
            sender: "lakh-client".to_owned(),
            role: SessionRole::Trading,
            resume_from: None,
            disconnect: DisconnectChoice::Unchanged,
            heartbeat_ms: 10_000,
            first_nonce: 1,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Requests {
    key: SigningKey,
    domain: SigningDomain,
    account: u32,
    sequence_number: u64,
    nonce: u64,
    bytes: Vec<u8>,
}

/// Fills what every signed message begins with; nonce and signature follow when it is written.
macro_rules! signed {
    ($self:ident, $name:ident, $now:expr, { $($field:ident: $value:expr,)* }) => {
        $name {
            sequence_number: $self.sequence_number.into(),
            sending_time: $now.0.into(),
            account_id: $self.account.into(),
            nonce: $self.nonce.into(),
            valid_until: $now.0.saturating_add(VALID_NS).into(),
            signature: [0; SIGNATURE_BYTES],
            $($field: $value.into(),)*
        }
    };
    ($self:ident, $name:ident, $now:expr, order $order:expr, { $($field:ident: $value:expr,)* }) => {
        signed!($self, $name, $now, {
            market_id: $order.market.0,
            side: $order.side.wire(),
            order_type: $order.order_type.wire(),
            time_in_force: $order.time_in_force.wire(),
            self_trade_mode: $order.self_trade_mode.wire(),
            price: $order.price.0,
            quantity: $order.quantity.0,
            trigger_price: $order.trigger_price.0,
            display_quantity: $order.display_quantity.0,
            quote_budget: $order.quote_budget.0,
            expires_at: $order.expires_at.0,
            client_order_id: client_id(&$order.client_id),
            $($field: $value,)*
        })
    };
}

impl Requests {
    /// No requests yet, of a session that is not open.
    pub fn new(key: SigningKey) -> Self {
        let domain = SigningDomain::of_logon(0, [0; 20]);
        Self { key, domain, account: 0, sequence_number: 0, nonce: 0, bytes: Vec::new() }
    }

    /// What is to be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// It has been sent.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Number of the last request.
    pub const fn last_sequence(&self) -> u64 {
        self.sequence_number
    }

    /// The last nonce that was used.
    pub const fn last_nonce(&self) -> u64 {
        self.nonce
    }

    /// The first message of a session.
    pub fn log_on(&mut self, options: &LogonOptions, now: Timestamp) {
        self.nonce = options.first_nonce.saturating_sub(1);
        self.sequence_number = 1;
        let target = tag_text(options.venue_tag);
        let sender = padded::<16>(options.sender.as_bytes());
        let length = options.sender.len().min(sender.len());
        let text = LogonText {
            sender: &sender[..length],
            target: &target,
            sequence_number: 1,
            sending_time: now,
            choice: options.disconnect,
        };
        put(
            &mut self.bytes,
            &Logon {
                sequence_number: 1.into(),
                sending_time: now.0.into(),
                sender_comp_id: sender,
                target_comp_id: target,
                public_key: self.key.verifying_key().to_bytes(),
                heartbeat_interval: options.heartbeat_ms.into(),
                resume_from_sequence: options.resume_from.unwrap_or(u64::MAX).into(),
                role: options.role.wire(),
                disconnect_mode: options.disconnect.wire(),
                signature: self.key.sign(&text.encode()).to_bytes(),
            },
        );
    }

    /// The session is open: from here on requests are bound to the venue's contract.
    pub fn logged_on(&mut self, accepted: &LogonAccepted) {
        self.account = accepted.account_id.get();
        self.domain = SigningDomain::of_logon(accepted.chain_id.get(), accepted.contract);
    }

    /// A new order; the number of the request.
    pub fn place(&mut self, order: &PlaceOrder, now: Timestamp) -> u64 {
        self.next_signed();
        let block = signed!(self, NewOrder, now, order order, {});
        self.sign(&block, |out, block| put(out, block))
    }

    /// Takes one order off.
    pub fn cancel(&mut self, cancel: &CancelOrder, now: Timestamp) -> u64 {
        self.next_signed();
        let (order, client) = target(&cancel.target);
        let block = signed!(self, CancelOrderBlock, now, {
            market_id: cancel.market.0,
            order_id: order,
            client_order_id: client,
        });
        self.sign(&block, |out, block| put(out, block))
    }

    /// Takes one order off and places another one.
    pub fn replace(&mut self, replace: &ReplaceOrder, now: Timestamp) -> u64 {
        self.next_signed();
        let (order, client) = target(&replace.target);
        let block = signed!(self, ReplaceOrderBlock, now, order replace.order, {
            target_order_id: order,
            target_client_order_id: client,
            restriction: replace.restriction.wire(),
            mode: replace.mode.wire(),
        });
        self.sign(&block, |out, block| put(out, block))
    }

    /// Makes one order smaller.
    pub fn amend(&mut self, amend: &AmendOrder, now: Timestamp) -> u64 {
        self.next_signed();
        let (order, client) = target(&amend.target);
        let block = signed!(self, AmendOrderBlock, now, {
            market_id: amend.market.0,
            order_id: order,
            client_order_id: client,
            new_quantity: amend.new_quantity.0,
            new_price: 0,
        });
        self.sign(&block, |out, block| put(out, block))
    }

    /// Takes all orders off: in one market or in all, on one side or on both.
    pub fn mass_cancel(&mut self, market: Option<MarketId>, side: Option<Side>, now: Timestamp) -> u64 {
        self.next_signed();
        let side = match side {
            Some(Side::Bid) => SideFilter::Bid,
            Some(Side::Ask) => SideFilter::Ask,
            None => SideFilter::Both,
        };
        let market = market.map_or(ALL_MARKETS, |market| market.0);
        let block = signed!(self, MassCancel, now, { market_id: market, side: side.wire(), });
        self.sign(&block, |out, block| put(out, block))
    }

    /// Sets the dead-man timer; 0 takes it off.
    pub fn cancel_all_after(&mut self, timeout_ms: u32, now: Timestamp) -> u64 {
        self.next_signed();
        let block = signed!(self, CancelAllAfter, now, { timeout: timeout_ms, });
        self.sign(&block, |out, block| put(out, block))
    }

    /// Up to 64 operations under one signature.
    pub fn frame(&mut self, operations: &[FrameOperation], now: Timestamp) -> u64 {
        self.next_signed();
        let entries: Vec<OperationEntry> = operations.iter().map(operation).collect();
        let block = signed!(self, OrderFrame, now, {});
        self.sign(&block, |out, block| put_with_group(out, block, &entries))
    }

    /// Two-sided quotes by slot.
    pub fn mass_quote(&mut self, terms: &PlaceOrder, quotes: &[QuoteEntry], now: Timestamp) -> u64 {
        self.next_signed();
        let block = signed!(self, MassQuote, now, {
            market_id: terms.market.0,
            order_type: terms.order_type.wire(),
            self_trade_mode: terms.self_trade_mode.wire(),
        });
        self.sign(&block, |out, block| put_with_group(out, block, quotes))
    }

    /// Asks for a channel of a market: from a snapshot on, or behind the change that the client has.
    pub fn subscribe(&mut self, market: MarketId, channel: Channel, after: Option<u64>, now: Timestamp) -> u64 {
        self.sequence_number += 1;
        let start = if after.is_some() { StartMode::AfterSequence } else { StartMode::Snapshot };
        put(
            &mut self.bytes,
            &MarketDataSubscribe {
                sequence_number: self.sequence_number.into(),
                sending_time: now.0.into(),
                feed_sequence: after.unwrap_or(0).into(),
                conflation: 0.into(),
                market_id: market.0.into(),
                channel: channel.wire(),
                start: start.wire(),
            },
        );
        self.sequence_number
    }

    /// Asks for price levels no more often than each `conflation_ms`.
    pub fn subscribe_conflated(&mut self, market: MarketId, conflation_ms: u32, now: Timestamp) -> u64 {
        self.sequence_number += 1;
        put(
            &mut self.bytes,
            &MarketDataSubscribe {
                sequence_number: self.sequence_number.into(),
                sending_time: now.0.into(),
                feed_sequence: 0.into(),
                conflation: conflation_ms.into(),
                market_id: market.0.into(),
                channel: Channel::Levels.wire(),
                start: StartMode::Snapshot.wire(),
            },
        );
        self.sequence_number
    }

    /// Ends a channel.
    pub fn unsubscribe(&mut self, market: MarketId, channel: Channel, now: Timestamp) -> u64 {
        self.sequence_number += 1;
        put(
            &mut self.bytes,
            &MarketDataUnsubscribe {
                sequence_number: self.sequence_number.into(),
                sending_time: now.0.into(),
                market_id: market.0.into(),
                channel: channel.wire(),
            },
        );
        self.sequence_number
    }

    /// Asks for changes again: from the first to the last.
    pub fn gap_fill(&mut self, market: MarketId, channel: Channel, range: (u64, u64), now: Timestamp) -> u64 {
        self.sequence_number += 1;
        put(
            &mut self.bytes,
            &GapFillRequest {
                sequence_number: self.sequence_number.into(),
                sending_time: now.0.into(),
                first_feed_sequence: range.0.into(),
                last_feed_sequence: range.1.into(),
                market_id: market.0.into(),
                channel: channel.wire(),
            },
        );
        self.sequence_number
    }

    /// Asks what is traded.
    pub fn markets(&mut self, market: Option<MarketId>, now: Timestamp) -> u64 {
        self.sequence_number += 1;
        let (sequence_number, sending_time) = (self.sequence_number.into(), now.0.into());
        let market_id = market.map_or(ALL_MARKETS, |market| market.0).into();
        put(&mut self.bytes, &MarketListRequest { sequence_number, sending_time, market_id });
        self.sequence_number
    }

    /// Says that the client is there.
    pub fn heartbeat(&mut self, test_id: u64, now: Timestamp) {
        self.sequence_number += 1;
        let (sequence_number, sending_time) = (self.sequence_number.into(), now.0.into());
        put(&mut self.bytes, &Heartbeat { sequence_number, sending_time, test_id: test_id.into() });
    }

    /// Asks for a heartbeat.
    pub fn test_request(&mut self, test_id: u64, now: Timestamp) {
        self.sequence_number += 1;
        let (sequence_number, sending_time) = (self.sequence_number.into(), now.0.into());
        put(&mut self.bytes, &TestRequest { sequence_number, sending_time, test_id: test_id.into() });
    }

    /// Ends the session.
    pub fn log_out(&mut self, now: Timestamp) {
        self.sequence_number += 1;
        let (sequence_number, sending_time) = (self.sequence_number.into(), now.0.into());
        put(&mut self.bytes, &Logout { sequence_number, sending_time, code: 0.into(), text: [0; 40] });
    }

    fn next_signed(&mut self) {
        self.sequence_number += 1;
        self.nonce += 1;
    }

    /// Writes a message and puts its signature into it.
    fn sign<B: Block>(&mut self, block: &B, write: impl FnOnce(&mut Vec<u8>, &B)) -> u64 {
        let start = self.bytes.len();
        write(&mut self.bytes, block);
        let body = &mut self.bytes[start + HEADER_BYTES..];
        let (block, group) = body.split_at_mut(size_of::<B>());
        let (signed, signature) = block.split_at_mut(size_of::<B>() - SIGNATURE_BYTES);
        let digest = self.domain.digest(B::TEMPLATE, &signed[UNSIGNED_BYTES..], group);
        signature.copy_from_slice(&self.key.sign(&digest).to_bytes());
        self.sequence_number
    }
}

fn target(target: &OrderReference) -> (u64, [u8; 24]) {
    match target {
        OrderReference::OrderId(order) => (order.0, [0; 24]),
        OrderReference::ClientId(id) => (0, client_id(id)),
    }
}

fn client_id(id: &ClientId) -> [u8; 24] {
    padded(id.as_bytes())
}

fn operation(operation: &FrameOperation) -> OperationEntry {
    let empty = OperationEntry::read_from_bytes(&[0; size_of::<OperationEntry>()]).expect("as many bytes as it has");
    let of = |kind: OperationKind, market: MarketId| OperationEntry {
        kind: kind.wire(),
        market_id: market.0.into(),
        ..empty
    };
    let named = |entry: OperationEntry, reference: &OrderReference| {
        let (order, client) = target(reference);
        OperationEntry { target_order_id: order.into(), target_client_order_id: client, ..entry }
    };
    match operation {
        FrameOperation::PlaceOrder(order) => with_order(of(OperationKind::Place, order.market), order),
        FrameOperation::CancelOrder(cancel) => named(of(OperationKind::Cancel, cancel.market), &cancel.target),
        FrameOperation::AmendOrder(amend) => {
            let entry = named(of(OperationKind::Amend, amend.market), &amend.target);
            OperationEntry { quantity: amend.new_quantity.0.into(), price: amend.new_price.0.into(), ..entry }
        }
        // A number of no kind, which the venue refuses: quotes travel in a message of their own.
        FrameOperation::Quote(quote) => OperationEntry { kind: u8::MAX, ..of(OperationKind::Place, quote.market) },
        FrameOperation::ReplaceOrder(ReplaceOrder { target, restriction, mode, order }) => {
            let (restriction, mode): (CancelRestriction, ReplaceMode) = (*restriction, *mode);
            let entry = with_order(of(OperationKind::Replace, order.market), order);
            OperationEntry { restriction: restriction.wire(), mode: mode.wire(), ..named(entry, target) }
        }
    }
}

fn with_order(entry: OperationEntry, order: &PlaceOrder) -> OperationEntry {
    OperationEntry {
        side: order.side.wire(),
        order_type: order.order_type.wire(),
        time_in_force: order.time_in_force.wire(),
        self_trade_mode: order.self_trade_mode.wire(),
        price: order.price.0.into(),
        quantity: order.quantity.0.into(),
        trigger_price: order.trigger_price.0.into(),
        display_quantity: order.display_quantity.0.into(),
        quote_budget: order.quote_budget.0.into(),
        expires_at: order.expires_at.0.into(),
        client_order_id: client_id(&order.client_id),
        ..entry
    }
}
