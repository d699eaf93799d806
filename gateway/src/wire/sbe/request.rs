//! What a message of order entry asks of the engine, from its bytes alone.
//!
//! The audit builds each command a second time from the signed bytes in the journal, so nothing else flows into it: not
//! the session, not the clock, not the message's number or sending time, which are not signed. Only the form is looked
//! at here (numbers that mean something, texts, groups); whether an order makes sense is the engine's to say.

use lakh_engine::command::{
    AmendMode, AmendOrder, CancelAll, CancelOrder, CancelRestriction, Command, EvidenceGrade, FrameCommand,
    FrameOperation, Operation, OrderReference, OrderType, PlaceOrder, Quote, QuoteSide, ReplaceMode, ReplaceOrder,
    ReplayGuard, SelfTradeMode, Side, SignedCommand, TimeInForce,
};
use lakh_engine::ids::{AccountId, ClientId, KeyId, MarketId, OrderId};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};
use zerocopy::little_endian::U64;

use super::enums::{ALL_MARKETS, Code, OperationKind, SideFilter, WireEnum};
use super::orders::{
    AmendOrder as AmendOrderBlock, CancelAllAfter, CancelOrder as CancelOrderBlock, MassCancel, MassQuote, NewOrder,
    OperationEntry, OrderFrame, QuoteEntry, ReplaceOrder as ReplaceOrderBlock,
};
use super::{Block, Frame, entries, unpadded};

/// Bytes of a block in front of what is signed: number and sending time.
pub const UNSIGNED_BYTES: usize = 16;
/// Bytes of the signature at a block's end.
pub const SIGNATURE_BYTES: usize = 64;
/// Most operations of a frame.
pub const MAX_OPERATIONS: usize = OrderId::PER_SEQUENCE as usize;
/// Most quotes of a message: two orders each.
pub const MAX_QUOTES: usize = MAX_OPERATIONS / 2;

/// What a message asks, and on which terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRequest {
    /// For whom.
    pub account: AccountId,
    /// Used once.
    pub nonce: u64,
    /// Refused once this time has come.
    pub valid_until: Timestamp,
    /// What.
    pub asked: Asked,
}

/// One operation or a frame of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One operation.
    Operation(Operation),
    /// Up to 64.
    Frame(Box<[FrameOperation]>),
}

/// The parts of a signed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedParts<'a> {
    /// What of its block is signed.
    pub block: &'a [u8],
    /// What stands behind its block, signed too.
    pub group: &'a [u8],
    /// The signature.
    pub signature: &'a [u8; SIGNATURE_BYTES],
}

impl OrderRequest {
    /// Reads a message of order entry.
    ///
    /// # Errors
    /// What is wrong with its form; [`Code::BadTemplate`] for another message.
    pub fn from_frame<'a>(frame: &Frame<'a>) -> Result<(Self, SignedParts<'a>), Code> {
        let request = match frame.template {
            NewOrder::TEMPLATE => new_order(frame.request()?)?,
            CancelOrderBlock::TEMPLATE => cancel_order(frame.request()?)?,
            ReplaceOrderBlock::TEMPLATE => replace_order(frame.request()?)?,
            AmendOrderBlock::TEMPLATE => amend_order(frame.request()?)?,
            MassCancel::TEMPLATE => mass_cancel(frame.request()?)?,
            CancelAllAfter::TEMPLATE => cancel_all_after(frame.request()?)?,
            MassQuote::TEMPLATE => mass_quote(frame.request()?, frame.entries()?)?,
            OrderFrame::TEMPLATE => order_frame(frame.request()?, frame.entries()?)?,
            _ => return Err(Code::BadTemplate),
        };
        let block_length = block_length(frame.template).ok_or(Code::BadTemplate)?;
        let (block, group) = frame.body().split_at(block_length);
        let (block, signature) = block.split_last_chunk().ok_or(Code::BadBlockLength)?;
        Ok((request, SignedParts { block: &block[UNSIGNED_BYTES..], group, signature }))
    }

    /// Reads what the journal has of a message: its signed bytes, block and group one behind the other.
    ///
    /// # Errors
    /// As [`OrderRequest::from_frame`].
    pub fn from_signed_body(template: u16, body: &[u8]) -> Result<Self, Code> {
        let block_length = block_length(template).ok_or(Code::BadTemplate)?;
        let signed = block_length - UNSIGNED_BYTES - SIGNATURE_BYTES;
        let (signed, group) = body.split_at_checked(signed).ok_or(Code::BadBlockLength)?;
        let mut block = vec![0; block_length];
        block[UNSIGNED_BYTES..block_length - SIGNATURE_BYTES].copy_from_slice(signed);
        let has_group = matches!(template, MassQuote::TEMPLATE | OrderFrame::TEMPLATE);
        if !has_group && !group.is_empty() {
            return Err(Code::BadLength);
        }
        match template {
            NewOrder::TEMPLATE => new_order(typed(&block)?),
            CancelOrderBlock::TEMPLATE => cancel_order(typed(&block)?),
            ReplaceOrderBlock::TEMPLATE => replace_order(typed(&block)?),
            AmendOrderBlock::TEMPLATE => amend_order(typed(&block)?),
            MassCancel::TEMPLATE => mass_cancel(typed(&block)?),
            CancelAllAfter::TEMPLATE => cancel_all_after(typed(&block)?),
            MassQuote::TEMPLATE => mass_quote(typed(&block)?, entries(group)?),
            OrderFrame::TEMPLATE => order_frame(typed(&block)?, entries(group)?),
            _ => Err(Code::BadTemplate),
        }
    }

    /// The command that this is under a key.
    pub fn command(self, key: KeyId) -> Command {
        let Self { account, nonce, valid_until, asked } = self;
        let (grade, replay_guard) = (EvidenceGrade::Native, ReplayGuard::Nonce { nonce });
        match asked {
            Asked::Operation(operation) => {
                Command::Signed(SignedCommand { account, key, grade, replay_guard, valid_until, operation })
            }
            Asked::Frame(operations) => {
                Command::Frame(FrameCommand { account, key, grade, replay_guard, valid_until, operations })
            }
        }
    }
}

fn block_length(template: u16) -> Option<usize> {
    Some(match template {
        NewOrder::TEMPLATE => size_of::<NewOrder>(),
        CancelOrderBlock::TEMPLATE => size_of::<CancelOrderBlock>(),
        ReplaceOrderBlock::TEMPLATE => size_of::<ReplaceOrderBlock>(),
        AmendOrderBlock::TEMPLATE => size_of::<AmendOrderBlock>(),
        MassCancel::TEMPLATE => size_of::<MassCancel>(),
        CancelAllAfter::TEMPLATE => size_of::<CancelAllAfter>(),
        MassQuote::TEMPLATE => size_of::<MassQuote>(),
        OrderFrame::TEMPLATE => size_of::<OrderFrame>(),
        _ => return None,
    })
}

fn typed<B: Block>(block: &[u8]) -> Result<&B, Code> {
    B::ref_from_bytes(block).map_err(|_| Code::BadBlockLength)
}

/// The parts of an order that each message has which places one.
macro_rules! order_of {
    ($from:expr) => {{
        let from = $from;
        PlaceOrder {
            market: MarketId(from.market_id.get()),
            side: Side::from_wire(from.side)?,
            order_type: OrderType::from_wire(from.order_type)?,
            time_in_force: TimeInForce::from_wire(from.time_in_force)?,
            price: Ticks(from.price.get()),
            trigger_price: Ticks(from.trigger_price.get()),
            quantity: Lots(from.quantity.get()),
            display_quantity: Lots(from.display_quantity.get()),
            quote_budget: Atoms(from.quote_budget.get()),
            self_trade_mode: SelfTradeMode::from_wire(from.self_trade_mode)?,
            expires_at: Timestamp(from.expires_at.get()),
            client_id: client_id(&from.client_order_id)?,
        }
    }};
}

/// A request on the terms that each signed message names.
macro_rules! on_terms_of {
    ($from:expr, $asked:expr) => {
        Ok(OrderRequest {
            account: AccountId($from.account_id.get()),
            nonce: $from.nonce.get(),
            valid_until: Timestamp($from.valid_until.get()),
            asked: $asked,
        })
    };
}

fn new_order(block: &NewOrder) -> Result<OrderRequest, Code> {
    on_terms_of!(block, Asked::Operation(Operation::PlaceOrder(order_of!(block))))
}

fn cancel_order(block: &CancelOrderBlock) -> Result<OrderRequest, Code> {
    let target = target(block.order_id.get(), &block.client_order_id)?;
    let cancel = CancelOrder { market: MarketId(block.market_id.get()), target };
    on_terms_of!(block, Asked::Operation(Operation::CancelOrder(cancel)))
}

fn replace_order(block: &ReplaceOrderBlock) -> Result<OrderRequest, Code> {
    let replace = ReplaceOrder {
        target: target(block.target_order_id.get(), &block.target_client_order_id)?,
        restriction: CancelRestriction::from_wire(block.restriction)?,
        mode: ReplaceMode::from_wire(block.mode)?,
        order: order_of!(block),
    };
    on_terms_of!(block, Asked::Operation(Operation::ReplaceOrder(replace)))
}

fn amend_order(block: &AmendOrderBlock) -> Result<OrderRequest, Code> {
    let amend = amend(
        MarketId(block.market_id.get()),
        target(block.order_id.get(), &block.client_order_id)?,
        Lots(block.new_quantity.get()),
        Ticks(block.new_price.get()),
    );
    on_terms_of!(block, Asked::Operation(Operation::AmendOrder(amend)))
}

/// Less of an order keeps its place; another price may lose it.
fn amend(market: MarketId, target: OrderReference, new_quantity: Lots, new_price: Ticks) -> AmendOrder {
    match new_price {
        Ticks::ZERO => AmendOrder::less(market, target, new_quantity),
        new_price => AmendOrder { market, target, new_quantity, new_price, mode: AmendMode::MayLosePriority },
    }
}

fn mass_cancel(block: &MassCancel) -> Result<OrderRequest, Code> {
    let side = match SideFilter::from_wire(block.side)? {
        SideFilter::Bid => Some(Side::Bid),
        SideFilter::Ask => Some(Side::Ask),
        SideFilter::Both => None,
    };
    let market = Some(block.market_id.get()).filter(|market| *market != ALL_MARKETS).map(MarketId);
    on_terms_of!(block, Asked::Operation(Operation::CancelAll(CancelAll { market, side })))
}

fn cancel_all_after(block: &CancelAllAfter) -> Result<OrderRequest, Code> {
    let timeout_ms = block.timeout.get();
    on_terms_of!(block, Asked::Operation(Operation::CancelAllAfter { timeout_ms }))
}

/// Quotes are a frame's operations with a message of their own: each sets both sides of one slot.
fn mass_quote(block: &MassQuote, quotes: &[QuoteEntry]) -> Result<OrderRequest, Code> {
    if !(1..=MAX_QUOTES).contains(&quotes.len()) {
        return Err(Code::BadGroup);
    }
    let order_type = OrderType::from_wire(block.order_type)?;
    let self_trade_mode = SelfTradeMode::from_wire(block.self_trade_mode)?;
    let side = |price: U64, quantity: U64| QuoteSide { price: Ticks(price.get()), quantity: Lots(quantity.get()) };
    let quote = |entry: &QuoteEntry| {
        FrameOperation::Quote(Quote {
            market: MarketId(block.market_id.get()),
            slot: entry.slot,
            order_type,
            self_trade_mode,
            bid: side(entry.bid_price, entry.bid_quantity),
            ask: side(entry.ask_price, entry.ask_quantity),
        })
    };
    on_terms_of!(block, Asked::Frame(quotes.iter().map(quote).collect()))
}

fn order_frame(block: &OrderFrame, operations: &[OperationEntry]) -> Result<OrderRequest, Code> {
    if !(1..=MAX_OPERATIONS).contains(&operations.len()) {
        return Err(Code::BadGroup);
    }
    // Collected as a result it would grow step by step and be copied each time: whether all are good is not known before.
    let mut read = Vec::with_capacity(operations.len());
    for entry in operations {
        read.push(operation(entry)?);
    }
    on_terms_of!(block, Asked::Frame(read.into_boxed_slice()))
}

fn operation(entry: &OperationEntry) -> Result<FrameOperation, Code> {
    let market = MarketId(entry.market_id.get());
    let target = || target(entry.target_order_id.get(), &entry.target_client_order_id);
    match OperationKind::from_wire(entry.kind)? {
        OperationKind::Place => {
            check_unused(entry.target_order_id.get() == 0 && entry.target_client_order_id == [0; 24])?;
            check_unused((entry.restriction, entry.mode) == (0, 0))?;
            Ok(FrameOperation::PlaceOrder(order_of!(entry)))
        }
        OperationKind::Cancel => {
            check_unused((entry.price.get(), entry.quantity.get()) == (0, 0))?;
            check_only_named(entry)?;
            Ok(FrameOperation::CancelOrder(CancelOrder { market, target: target()? }))
        }
        OperationKind::Amend => {
            check_only_named(entry)?;
            let (new_quantity, new_price) = (Lots(entry.quantity.get()), Ticks(entry.price.get()));
            Ok(FrameOperation::AmendOrder(amend(market, target()?, new_quantity, new_price)))
        }
        OperationKind::Replace => Ok(FrameOperation::ReplaceOrder(ReplaceOrder {
            target: target()?,
            restriction: CancelRestriction::from_wire(entry.restriction)?,
            mode: ReplaceMode::from_wire(entry.mode)?,
            order: order_of!(entry),
        })),
    }
}

/// Nothing but what names an order, and price and quantity, may be there. Field by field: an entry that is made to be compared
/// with is read in larger pieces than it was written in, and that waits for every write before.
fn check_only_named(entry: &OperationEntry) -> Result<(), Code> {
    let OperationEntry {
        kind: _,
        market_id: _,
        side,
        order_type,
        time_in_force,
        self_trade_mode,
        price: _,
        quantity: _,
        trigger_price,
        display_quantity,
        quote_budget,
        expires_at,
        client_order_id,
        target_order_id: _,
        target_client_order_id: _,
        restriction,
        mode,
    } = entry;
    let bytes = side | order_type | time_in_force | self_trade_mode | restriction | mode;
    let words = trigger_price.get() | display_quantity.get() | quote_budget.get() | expires_at.get();
    check_unused(bytes == 0 && words == 0 && *client_order_id == [0; 24])
}

/// What does not count must be zero, or the client means something that does not happen.
const fn check_unused(is_zero: bool) -> Result<(), Code> {
    if is_zero { Ok(()) } else { Err(Code::UnusedField) }
}

/// Which order is meant.
fn target(order: u64, client: &[u8; 24]) -> Result<OrderReference, Code> {
    let client_id = client_id(client)?;
    match (order, client_id.is_empty()) {
        (0, _) => Ok(OrderReference::ClientId(client_id)),
        (order, true) => Ok(OrderReference::OrderId(OrderId(order))),
        (_, false) => Err(Code::UnusedField),
    }
}

/// The client's id of an order: the same characters that the other face takes.
fn client_id(bytes: &[u8]) -> Result<ClientId, Code> {
    let text = unpadded(bytes)?;
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-');
    if !text.iter().all(legal) {
        return Err(Code::BadText);
    }
    ClientId::from_bytes(text).ok_or(Code::BadText)
}
