//! How the API spells what the engine counts.

use lakh_engine::command::{MarketState, OrderType, SelfTradeMode, Side, TimeInForce};
use lakh_engine::event::CancelReason;

use crate::order_state::OrderStatus;
use crate::reports::Execution;

/// `BUY` or `SELL`.
pub const fn side(side: Side) -> &'static str {
    match side {
        Side::Bid => "BUY",
        Side::Ask => "SELL",
    }
}

/// `LIMIT`, `LIMIT_MAKER`, `MARKET`, or one of the types that wait for a trigger price.
pub const fn order_type(order_type: OrderType) -> &'static str {
    match order_type {
        OrderType::Limit => "LIMIT",
        OrderType::LimitMaker | OrderType::LimitMakerSlide => "LIMIT_MAKER",
        OrderType::Market => "MARKET",
        OrderType::StopLoss => "STOP_LOSS",
        OrderType::StopLossLimit => "STOP_LOSS_LIMIT",
        OrderType::TakeProfit => "TAKE_PROFIT",
        OrderType::TakeProfitLimit => "TAKE_PROFIT_LIMIT",
    }
}

/// `GTC`, `IOC`, `FOK` or `GTD`.
pub const fn time_in_force(time_in_force: TimeInForce) -> &'static str {
    match time_in_force {
        TimeInForce::GoodTillCancel => "GTC",
        TimeInForce::ImmediateOrCancel => "IOC",
        TimeInForce::FillOrKill => "FOK",
        TimeInForce::GoodTillDate => "GTD",
    }
}

/// The self-trade prevention mode.
pub const fn self_trade_mode(mode: SelfTradeMode) -> &'static str {
    match mode {
        SelfTradeMode::None => "NONE",
        SelfTradeMode::ExpireTaker => "EXPIRE_TAKER",
        SelfTradeMode::ExpireMaker => "EXPIRE_MAKER",
        SelfTradeMode::ExpireBoth => "EXPIRE_BOTH",
        SelfTradeMode::Decrement => "DECREMENT",
    }
}

/// The order's status.
pub const fn order_status(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::New => "NEW",
        OrderStatus::PartiallyFilled => "PARTIALLY_FILLED",
        OrderStatus::Filled => "FILLED",
        OrderStatus::Canceled => "CANCELED",
        OrderStatus::Expired => "EXPIRED",
        OrderStatus::ExpiredInMatch => "EXPIRED_IN_MATCH",
    }
}

/// What happened to an order. One that was triggered is reported as new once more, now on the book.
pub const fn execution_type(execution: &Execution) -> &'static str {
    match execution {
        Execution::New | Execution::Triggered => "NEW",
        Execution::Trade(_) => "TRADE",
        Execution::Canceled { reason, .. } if reason.is_owners_word() => "CANCELED",
        Execution::Canceled { reason: CancelReason::SelfTrade, .. } | Execution::Prevented { .. } => "TRADE_PREVENTION",
        Execution::Canceled { .. } => "EXPIRED",
        Execution::Reduced { .. } => "REPLACED",
    }
}

/// Why an order expired; `None` where its owner took it off or its own group did, which the status says.
pub const fn expiry_reason(reason: CancelReason) -> Option<&'static str> {
    match reason {
        CancelReason::NotFilled => Some("UNFILLED_IOC_QUANTITY_EXPIRED"),
        CancelReason::FillOrKill => Some("UNFILLED_FOK_ORDER_EXPIRED"),
        CancelReason::MaxFills => Some("MAX_FILLS_REACHED"),
        CancelReason::Expired => Some("GTD_EXPIRED"),
        CancelReason::LevelsFull => Some("BOOK_FULL"),
        CancelReason::Requested
        | CancelReason::MassCancel
        | CancelReason::SelfTrade
        | CancelReason::Amended
        | CancelReason::Requoted => None,
    }
}

/// The market's state as stock clients know it: `TRADING` only where everything is allowed.
pub const fn symbol_status(state: MarketState) -> &'static str {
    match state {
        MarketState::Open => "TRADING",
        MarketState::Halt => "HALT",
        MarketState::PreOpen | MarketState::PostOnly | MarketState::CancelOnly => "BREAK",
    }
}

/// The market's state exactly.
pub const fn market_state(state: MarketState) -> &'static str {
    match state {
        MarketState::PreOpen => "PRE_OPEN",
        MarketState::PostOnly => "POST_ONLY",
        MarketState::Open => "OPEN",
        MarketState::CancelOnly => "CANCEL_ONLY",
        MarketState::Halt => "HALT",
    }
}
