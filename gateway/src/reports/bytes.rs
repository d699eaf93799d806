//! Reports as bytes: what stands in the report log. Read back they are the same reports.
//!
//! | field | form |
//! |---|---|
//! | account | u32, little-endian |
//! | report sequence, journal sequence, time | u64 each, little-endian: the log finds reports by them |
//! | body | a tag byte, then its fields |
//! | position | count, then asset, available and held of each |
//!
//! Numbers of the body are LEB128 varints, since most are small and there are many: an execution report takes about
//! 100 bytes, a third of what fixed fields would. Decoding is total: any bytes give a report or `None`.
//! The log is rebuilt from the journal, so this form may change with [`FORMAT`] and no old form need be read.

use std::borrow::Cow;

use lakh_engine::command::{OrderType, SelfTradeMode, Side, TimeInForce};
use lakh_engine::event::{CancelReason, QuoteSet, Rejected};
use lakh_engine::ids::{AccountId, AssetId, ClientId, MarketId, OrderId, Sequence, TradeId};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};

use super::{AccountReport, AssetBalance, Execution, Fill, FundsDirection, ReportBody, Stamp};
use crate::account_state::Balance;
use crate::account_trades::TradeRole;
use crate::order_state::{OrderRecord, OrderStatus};

/// Raised whenever the bytes of a report change; a log of another form is thrown away and written anew.
pub const FORMAT: u8 = 1;
/// Longest report, in bytes: the longest body and 64 balances of at most 22 bytes.
pub const MAX_REPORT: usize = 2_048;

/// Appends a report without its position, which [`encode_position`] appends once it is known.
pub fn encode(report: &AccountReport<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(&report.account.0.to_le_bytes());
    out.extend_from_slice(&report.report_sequence.to_le_bytes());
    out.extend_from_slice(&report.stamp.sequence.0.to_le_bytes());
    out.extend_from_slice(&report.stamp.timestamp.0.to_le_bytes());
    encode_body(&report.body, out);
}

/// Appends a report's position.
pub fn encode_position<'a>(position: impl ExactSizeIterator<Item = &'a AssetBalance>, out: &mut Vec<u8>) {
    put(position.len() as u64, out);
    for AssetBalance { asset, balance } in position {
        put(u64::from(asset.0), out);
        put(balance.available.0, out);
        put(balance.held.0, out);
    }
}

/// Reads a report with its position; `None` for bytes that are none.
pub fn decode(bytes: &[u8]) -> Option<AccountReport<'static>> {
    let mut input = Input(bytes);
    let account = AccountId(u32::from_le_bytes(input.take()?));
    let report_sequence = u64::from_le_bytes(input.take()?);
    let sequence = Sequence(u64::from_le_bytes(input.take()?));
    let timestamp = Timestamp(u64::from_le_bytes(input.take()?));
    let body = decode_body(&mut input, account, report_sequence)?;
    let count = input.number()?;
    let mut position = Vec::with_capacity(usize::try_from(count).ok()?.min(64));
    for _ in 0..count {
        let asset = AssetId(input.number()?.try_into().ok()?);
        let balance = Balance { available: Atoms(input.number()?), held: Atoms(input.number()?) };
        position.push(AssetBalance { asset, balance });
    }
    let stamp = Stamp { sequence, timestamp };
    input.0.is_empty().then_some(AccountReport { account, report_sequence, stamp, body, position })
}

fn encode_body(body: &ReportBody<'_>, out: &mut Vec<u8>) {
    match body {
        ReportBody::Order { order, execution } => {
            out.push(0);
            encode_order(order, out);
            encode_execution(execution, out);
        }
        ReportBody::Rejected(rejected) => {
            out.push(1);
            put(rejected.code as u64, out);
            put_market(rejected.market, out);
            put_client_id(&rejected.client_id, out);
            put(rejected.order.0, out);
        }
        ReportBody::CancelAllAccepted { market } => {
            out.push(2);
            put_market(*market, out);
        }
        ReportBody::Funds { asset, amount, direction } => {
            out.extend_from_slice(&[3, *direction as u8]);
            put(u64::from(asset.0), out);
            put(amount.0, out);
        }
        ReportBody::ReplaceAnswered { market, cancel_refused, order_refused } => {
            out.push(4);
            put(u64::from(market.0), out);
            put_code(*cancel_refused, out);
            put_code(*order_refused, out);
        }
        ReportBody::FrameAccepted { operations } => out.extend_from_slice(&[5, *operations]),
        ReportBody::OperationDone { origin, index, refused, order } => {
            out.extend_from_slice(&[6, *index]);
            put(origin.0, out);
            put_code(*refused, out);
            put(order.0, out);
        }
        ReportBody::QuoteSet(quote) => {
            out.extend_from_slice(&[8, quote.slot]);
            put(u64::from(quote.market.0), out);
            put(quote.bid.0, out);
            put(quote.ask.0, out);
            put_code(quote.bid_refused, out);
            put_code(quote.ask_refused, out);
        }
        ReportBody::CancelAllTimerSet { at } => {
            out.push(7);
            put(at.0, out);
        }
    }
}

fn decode_body(input: &mut Input<'_>, account: AccountId, report_sequence: u64) -> Option<ReportBody<'static>> {
    Some(match input.byte()? {
        0 => {
            let order = decode_order(input, account)?;
            ReportBody::Order { order: Cow::Owned(order), execution: decode_execution(input)? }
        }
        1 => {
            let code = RejectCode::from_number(input.number()?.try_into().ok()?)?;
            let (market, client_id, order) = (input.market()?, input.client_id()?, OrderId(input.number()?));
            ReportBody::Rejected(Rejected { account, report_sequence, code, market, client_id, order })
        }
        2 => ReportBody::CancelAllAccepted { market: input.market()? },
        3 => {
            let direction = [FundsDirection::In, FundsDirection::Out].get(usize::from(input.byte()?)).copied()?;
            let asset = AssetId(input.number()?.try_into().ok()?);
            ReportBody::Funds { asset, amount: Atoms(input.number()?), direction }
        }
        4 => {
            let market = MarketId(input.number()?.try_into().ok()?);
            ReportBody::ReplaceAnswered { market, cancel_refused: input.code()?, order_refused: input.code()? }
        }
        5 => ReportBody::FrameAccepted { operations: input.byte()? },
        6 => {
            let (index, origin) = (input.byte()?, Sequence(input.number()?));
            ReportBody::OperationDone { origin, index, refused: input.code()?, order: OrderId(input.number()?) }
        }
        7 => ReportBody::CancelAllTimerSet { at: Timestamp(input.number()?) },
        8 => ReportBody::QuoteSet(QuoteSet {
            account,
            report_sequence,
            slot: input.byte()?,
            market: MarketId(input.number()?.try_into().ok()?),
            bid: OrderId(input.number()?),
            ask: OrderId(input.number()?),
            bid_refused: input.code()?,
            ask_refused: input.code()?,
        }),
        _ => return None,
    })
}

/// Appends an order as its owner sees it, without its account.
pub fn encode_order(order: &OrderRecord, out: &mut Vec<u8>) {
    let reason = order.cancel_reason.map_or(0, |reason| reason as u8 + 1);
    let (side, order_type) = (order.side as u8, order.order_type as u8);
    let (time_in_force, self_trade_mode) = (order.time_in_force as u8, order.self_trade_mode as u8);
    out.extend_from_slice(&[side, order_type, time_in_force, self_trade_mode, order.status as u8, reason]);
    put(u64::from(order.market.0), out);
    put(order.order.0, out);
    put_client_id(&order.client_id, out);
    for number in [order.price.0, order.trigger_price.0, order.quantity.0, order.display_quantity.0] {
        put(number, out);
    }
    for number in [order.quote_budget.0, order.executed.0, order.cumulative_quote.0, order.prevented.0] {
        put(number, out);
    }
    put(order.accepted_at.0, out);
    // Both are most often the same time again, so what is kept is how much later.
    put(order.updated_at.0.wrapping_sub(order.accepted_at.0), out);
    put(order.working_at.0.wrapping_sub(order.accepted_at.0), out);
    put(order.expires_at.0, out);
}

/// Reads an order of `account`.
fn decode_order(input: &mut Input<'_>, account: AccountId) -> Option<OrderRecord> {
    let [side, order_type, time_in_force, self_trade_mode, status, reason] = input.take()?;
    let (market, order) = (MarketId(input.number()?.try_into().ok()?), OrderId(input.number()?));
    let client_id = input.client_id()?;
    let [price, trigger_price] = [Ticks(input.number()?), Ticks(input.number()?)];
    let [quantity, display_quantity] = [Lots(input.number()?), Lots(input.number()?)];
    let (quote_budget, executed) = (Atoms(input.number()?), Lots(input.number()?));
    let (cumulative_quote, prevented) = (Atoms(input.number()?), Lots(input.number()?));
    let accepted_at = Timestamp(input.number()?);
    let later = |by: u64| Timestamp(accepted_at.0.wrapping_add(by));
    Some(OrderRecord {
        account,
        market,
        order,
        client_id,
        side: pick(&SIDES, side)?,
        order_type: pick(&ORDER_TYPES, order_type)?,
        time_in_force: pick(&TIMES_IN_FORCE, time_in_force)?,
        self_trade_mode: pick(&SELF_TRADE_MODES, self_trade_mode)?,
        price,
        trigger_price,
        quantity,
        display_quantity,
        quote_budget,
        executed,
        cumulative_quote,
        prevented,
        status: pick(&STATUSES, status)?,
        cancel_reason: match reason {
            0 => None,
            number => Some(pick(&CANCEL_REASONS, number - 1)?),
        },
        accepted_at,
        updated_at: later(input.number()?),
        working_at: later(input.number()?),
        expires_at: Timestamp(input.number()?),
    })
}

fn encode_execution(execution: &Execution, out: &mut Vec<u8>) {
    match execution {
        Execution::New => out.push(0),
        Execution::Triggered => out.push(1),
        Execution::Trade(fill) => {
            out.extend_from_slice(&[2, fill.role as u8]);
            for number in [fill.trade.0, fill.price.0, fill.quantity.0, fill.quote.0] {
                put(number, out);
            }
            // The sign goes to the lowest bit, so that small rebates are short, too.
            put((fill.fee.unsigned_abs() << 1) | u64::from(fill.fee < 0), out);
        }
        Execution::Canceled { reason, remaining } => {
            out.extend_from_slice(&[3, *reason as u8]);
            put(remaining.0, out);
        }
        Execution::Reduced { by } => {
            out.push(4);
            put(by.0, out);
        }
        Execution::Prevented { by } => {
            out.push(5);
            put(by.0, out);
        }
    }
}

fn decode_execution(input: &mut Input<'_>) -> Option<Execution> {
    Some(match input.byte()? {
        0 => Execution::New,
        1 => Execution::Triggered,
        2 => {
            let role = pick(&[TradeRole::Maker, TradeRole::Taker], input.byte()?)?;
            let (trade, price) = (TradeId(input.number()?), Ticks(input.number()?));
            let (quantity, quote) = (Lots(input.number()?), Atoms(input.number()?));
            let signed = input.number()?;
            let magnitude = i64::try_from(signed >> 1).ok()?;
            let fee = if signed & 1 == 1 { -magnitude } else { magnitude };
            Execution::Trade(Fill { trade, price, quantity, quote, fee, role })
        }
        3 => {
            let reason = pick(&CANCEL_REASONS, input.byte()?)?;
            Execution::Canceled { reason, remaining: Lots(input.number()?) }
        }
        4 => Execution::Reduced { by: Lots(input.number()?) },
        5 => Execution::Prevented { by: Lots(input.number()?) },
        _ => return None,
    })
}

const SIDES: [Side; 2] = [Side::Bid, Side::Ask];
const ORDER_TYPES: [OrderType; 8] = [
    OrderType::Limit,
    OrderType::LimitMaker,
    OrderType::Market,
    OrderType::StopLoss,
    OrderType::StopLossLimit,
    OrderType::TakeProfit,
    OrderType::TakeProfitLimit,
    OrderType::LimitMakerSlide,
];
const TIMES_IN_FORCE: [TimeInForce; 4] =
    [TimeInForce::GoodTillCancel, TimeInForce::ImmediateOrCancel, TimeInForce::FillOrKill, TimeInForce::GoodTillDate];
const SELF_TRADE_MODES: [SelfTradeMode; 5] = [
    SelfTradeMode::None,
    SelfTradeMode::ExpireTaker,
    SelfTradeMode::ExpireMaker,
    SelfTradeMode::ExpireBoth,
    SelfTradeMode::Decrement,
];
const STATUSES: [OrderStatus; 6] = [
    OrderStatus::New,
    OrderStatus::PartiallyFilled,
    OrderStatus::Filled,
    OrderStatus::Canceled,
    OrderStatus::Expired,
    OrderStatus::ExpiredInMatch,
];
const CANCEL_REASONS: [CancelReason; 10] = [
    CancelReason::Requested,
    CancelReason::MassCancel,
    CancelReason::NotFilled,
    CancelReason::FillOrKill,
    CancelReason::SelfTrade,
    CancelReason::MaxFills,
    CancelReason::Expired,
    CancelReason::LevelsFull,
    CancelReason::Amended,
    CancelReason::Requoted,
];

fn pick<T: Copy>(values: &[T], number: u8) -> Option<T> {
    values.get(usize::from(number)).copied()
}

/// Appends a number, seven bits a byte, lowest first.
fn put(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn put_market(market: Option<MarketId>, out: &mut Vec<u8>) {
    put(market.map_or(0, |market| u64::from(market.0) + 1), out);
}

fn put_code(code: Option<RejectCode>, out: &mut Vec<u8>) {
    put(code.map_or(0, |code| code as u64), out);
}

fn put_client_id(client_id: &ClientId, out: &mut Vec<u8>) {
    let text = client_id.as_str().as_bytes();
    out.push(u8::try_from(text.len()).expect("a client id has at most 36 bytes"));
    out.extend_from_slice(text);
}

/// What is still to be read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return None;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn market(&mut self) -> Option<Option<MarketId>> {
        match self.number()? {
            0 => Some(None),
            number => Some(Some(MarketId((number - 1).try_into().ok()?))),
        }
    }

    fn code(&mut self) -> Option<Option<RejectCode>> {
        match self.number()? {
            0 => Some(None),
            number => RejectCode::from_number(number.try_into().ok()?).map(Some),
        }
    }

    fn client_id(&mut self) -> Option<ClientId> {
        let length = usize::from(self.byte()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        ClientId::new(std::str::from_utf8(text).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> OrderRecord {
        OrderRecord {
            account: AccountId(7),
            market: MarketId(3),
            order: OrderId(u64::MAX),
            client_id: ClientId::new("js:ws/1").unwrap(),
            side: Side::Ask,
            order_type: OrderType::StopLossLimit,
            time_in_force: TimeInForce::GoodTillDate,
            self_trade_mode: SelfTradeMode::Decrement,
            price: Ticks(1 << 40),
            trigger_price: Ticks(127),
            quantity: Lots(128),
            display_quantity: Lots(0),
            quote_budget: Atoms(u64::MAX),
            executed: Lots(1),
            cumulative_quote: Atoms(2),
            prevented: Lots(3),
            status: OrderStatus::ExpiredInMatch,
            cancel_reason: Some(CancelReason::LevelsFull),
            accepted_at: Timestamp(1_700_000_000_000_000_000),
            updated_at: Timestamp(1_700_000_000_000_000_001),
            working_at: Timestamp::ZERO,
            expires_at: Timestamp(9),
        }
    }

    fn bodies() -> Vec<ReportBody<'static>> {
        let fill = Fill {
            trade: TradeId(5),
            price: Ticks(6),
            quantity: Lots(7),
            quote: Atoms(8),
            fee: -9,
            role: TradeRole::Taker,
        };
        let executions = [
            Execution::New,
            Execution::Triggered,
            Execution::Trade(fill),
            Execution::Trade(Fill { fee: i64::MAX, role: TradeRole::Maker, ..fill }),
            Execution::Canceled { reason: CancelReason::Expired, remaining: Lots(10) },
            Execution::Reduced { by: Lots(11) },
            Execution::Prevented { by: Lots(12) },
        ];
        let orders = executions.map(|execution| ReportBody::Order { order: Cow::Owned(order()), execution });
        let rejected = Rejected {
            account: AccountId(7),
            report_sequence: 99,
            code: RejectCode::WouldTrade,
            market: Some(MarketId(0)),
            client_id: ClientId::EMPTY,
            order: OrderId(64),
        };
        let others = [
            ReportBody::Rejected(rejected),
            ReportBody::Rejected(Rejected { market: None, ..rejected }),
            ReportBody::CancelAllAccepted { market: Some(MarketId(u16::MAX)) },
            ReportBody::Funds { asset: AssetId(2), amount: Atoms(3), direction: FundsDirection::Out },
            ReportBody::ReplaceAnswered {
                market: MarketId(1),
                cancel_refused: Some(RejectCode::OrderUnknown),
                order_refused: None,
            },
            ReportBody::FrameAccepted { operations: 64 },
            ReportBody::OperationDone { origin: Sequence(4), index: 63, refused: None, order: OrderId(0) },
            ReportBody::CancelAllTimerSet { at: Timestamp(5) },
            ReportBody::QuoteSet(QuoteSet {
                account: AccountId(7),
                report_sequence: 99,
                market: MarketId(3),
                slot: 255,
                bid: OrderId(1 << 50),
                ask: OrderId(0),
                bid_refused: None,
                ask_refused: Some(RejectCode::WouldTrade),
            }),
        ];
        orders.into_iter().chain(others).collect()
    }

    fn bytes_of(report: &AccountReport<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(report, &mut out);
        encode_position(report.position.iter(), &mut out);
        out
    }

    #[test]
    fn reports_come_back_as_they_were() {
        let balance = Balance { available: Atoms(u64::MAX), held: Atoms(0) };
        for body in bodies() {
            for position in [vec![], vec![AssetBalance { asset: AssetId(1), balance }; 64]] {
                let stamp = Stamp { sequence: Sequence(11), timestamp: Timestamp(12) };
                let report =
                    AccountReport { account: AccountId(7), report_sequence: 99, stamp, body: body.clone(), position };
                let bytes = bytes_of(&report);
                assert!(bytes.len() <= MAX_REPORT, "{} bytes", bytes.len());
                assert_eq!(decode(&bytes), Some(report));
                for end in 0..bytes.len() {
                    assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
                }
                assert_eq!(decode(&[bytes.as_slice(), &[0]].concat()), None, "something behind it");
            }
        }
    }

    #[test]
    fn any_byte_may_be_wrong() {
        let stamp = Stamp { sequence: Sequence(11), timestamp: Timestamp(12) };
        for body in bodies() {
            let report =
                AccountReport { account: AccountId(7), report_sequence: 99, stamp, body, position: Vec::new() };
            let bytes = bytes_of(&report);
            for at in 0..bytes.len() {
                for wrong in [0x00, 0x7f, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[at] = wrong;
                    // It is another report, or none; it never panics.
                    let _ = decode(&damaged);
                }
            }
        }
    }
}
