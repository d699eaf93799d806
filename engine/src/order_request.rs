//! What a trader says of orders: the plain data of the operations that place, change and take off orders.
//!
//! Part of [`crate::command`], where every name of this file stands too. Whether the fields of an order go together is
//! looked at in `validate`; any values have bytes.

use crate::account_request::KeyScope;
use crate::ids::{ClientId, MarketId, OrderId};
use crate::units::{Atoms, Lots, Ticks, Timestamp};

/// Side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Side {
    /// Buys base for quote.
    Bid = 0,
    /// Sells base for quote.
    Ask = 1,
}

impl Side {
    /// The other one.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Bid => Self::Ask,
            Self::Ask => Self::Bid,
        }
    }
}

/// How an order meets the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OrderType {
    /// Trades up to its limit price; what is left is up to its time in force.
    Limit = 0,
    /// Post-only: refused when it would trade.
    LimitMaker = 1,
    /// Trades at once, bounded by a worst price, a quote budget or the market's band.
    Market = 2,
    /// Waits until the last price has come against it (a buy: up to the trigger price, a sell: down to it), then trades
    /// at once, bounded by a worst price or by the market's band around the trigger price.
    StopLoss = 3,
    /// Waits like a stop-loss, then is a limit order.
    StopLossLimit = 4,
    /// Waits until the last price has come to meet it (a buy: down to the trigger price, a sell: up to it), then trades
    /// at once, bounded like a stop-loss.
    TakeProfit = 5,
    /// Waits like a take-profit, then is a limit order.
    TakeProfitLimit = 6,
    /// Post-only: where it would trade it rests one tick behind the best opposite price instead.
    LimitMakerSlide = 7,
}

impl OrderType {
    /// Whether it waits for its trigger price first.
    pub const fn waits(self) -> bool {
        matches!(self, Self::StopLoss | Self::StopLossLimit | Self::TakeProfit | Self::TakeProfitLimit)
    }
}

/// What becomes of what does not trade at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TimeInForce {
    /// Rests until cancelled.
    GoodTillCancel = 0,
    /// Is dropped.
    ImmediateOrCancel = 1,
    /// All at once or nothing.
    FillOrKill = 2,
    /// Rests until cancelled or until its own time has come.
    GoodTillDate = 3,
}

impl TimeInForce {
    /// Whether what does not trade at once goes on the book.
    pub const fn rests(self) -> bool {
        matches!(self, Self::GoodTillCancel | Self::GoodTillDate)
    }
}

/// What happens when two orders of one self-trade group would trade; the taker's mode decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SelfTradeMode {
    /// They trade.
    None = 0,
    /// What is left of the incoming order is dropped.
    ExpireTaker = 1,
    /// The resting order is dropped and matching goes on.
    ExpireMaker = 2,
    /// Both are dropped.
    ExpireBoth = 3,
    /// Both become smaller by what would have traded; the smaller one is dropped, matching goes on with what is left.
    Decrement = 4,
}

/// A new order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Where.
    pub market: MarketId,
    /// Which side.
    pub side: Side,
    /// How it meets the book.
    pub order_type: OrderType,
    /// What becomes of the rest. A market order is immediate-or-cancel or fill-or-kill.
    pub time_in_force: TimeInForce,
    /// Limit price; for an order that trades at once when its turn comes the worst price, or 0 for the market's band.
    pub price: Ticks,
    /// For an order that waits: the last price at which it is triggered. Else 0.
    pub trigger_price: Ticks,
    /// Quantity; 0 for a market order by quote budget.
    pub quantity: Lots,
    /// How much of it the book shows at a time, 0 for all. Only an order that rests may hide a part; when what is shown
    /// has traded the next part comes behind all others of the price. At most [`PlaceOrder::MAX_PARTS`] parts.
    pub display_quantity: Lots,
    /// For a market order without quantity: quote atoms to spend or to receive, before fees. Else 0.
    pub quote_budget: Atoms,
    /// What happens when it meets its own group.
    pub self_trade_mode: SelfTradeMode,
    /// For [`TimeInForce::GoodTillDate`] when it ends; else 0.
    pub expires_at: Timestamp,
    /// The client's id, or empty. Those that begin with `~` are quotes'.
    pub client_id: ClientId,
}

/// What few orders ask for. Nearly every order has [`OrderOptions::PLAIN`], which are carried as values of their own so
/// that the compiler knows them on that way and leaves out what looks at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderOptions {
    pub(crate) order_type: OrderType,
    pub(crate) trigger_price: Ticks,
    pub(crate) display_quantity: Lots,
    pub(crate) quote_budget: Atoms,
    pub(crate) expires_at: Timestamp,
}

impl OrderOptions {
    /// Those of [`PlaceOrder::is_plain`].
    pub(crate) const PLAIN: Self = Self {
        order_type: OrderType::Limit,
        trigger_price: Ticks::ZERO,
        display_quantity: Lots::ZERO,
        quote_budget: Atoms::ZERO,
        expires_at: Timestamp::ZERO,
    };

    /// An order's own.
    pub(crate) const fn of(request: &PlaceOrder) -> Self {
        let &PlaceOrder { order_type, trigger_price, display_quantity, quote_budget, expires_at, .. } = request;
        Self { order_type, trigger_price, display_quantity, quote_budget, expires_at }
    }
}

impl PlaceOrder {
    /// Whether it is a limit order of which nothing is said but price, quantity and what becomes of the rest: nearly every
    /// order is, and most rules have nothing to look at then.
    #[inline(always)]
    pub(crate) const fn is_plain(&self) -> bool {
        let rare = self.trigger_price.0 | self.display_quantity.0 | self.quote_budget.0 | self.expires_at.0;
        rare == 0
            && matches!(self.order_type, OrderType::Limit)
            && !matches!(self.time_in_force, TimeInForce::GoodTillDate)
    }

    /// Parts that an order may be shown in.
    pub const MAX_PARTS: u64 = 100;

    /// A limit order that rests until cancelled, with nothing else asked for; other orders are this one with changes.
    pub const fn limit(market: MarketId, side: Side, price: Ticks, quantity: Lots) -> Self {
        Self {
            market,
            side,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            price,
            trigger_price: Ticks::ZERO,
            quantity,
            display_quantity: Lots::ZERO,
            quote_budget: Atoms::ZERO,
            self_trade_mode: SelfTradeMode::None,
            expires_at: Timestamp::ZERO,
            client_id: ClientId::EMPTY,
        }
    }
}

/// Names one live order of the asking account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderReference {
    /// By the venue's id.
    OrderId(OrderId),
    /// By the client's id.
    ClientId(ClientId),
}

/// Takes one order off the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelOrder {
    /// Where.
    pub market: MarketId,
    /// Which.
    pub target: OrderReference,
}

/// Changes one order's quantity or price.
///
/// Less of it at the same price leaves the order in its place. Anything else, where that is allowed, takes it off and places another one, both or
/// neither: what is left of it by the new numbers, alike in everything else, the client's id included, under a new order
/// id and behind all others of its price; where that crosses the book it trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmendOrder {
    /// Where.
    pub market: MarketId,
    /// Which.
    pub target: OrderReference,
    /// Its new whole quantity, what has traded included: above what has traded.
    pub new_quantity: Lots,
    /// Its new limit price; 0 for the one that it has.
    pub new_price: Ticks,
    /// Whether it may lose its place.
    pub mode: AmendMode,
}

impl AmendOrder {
    /// Less of an order, which keeps its priority.
    pub const fn less(market: MarketId, target: OrderReference, new_quantity: Lots) -> Self {
        Self { market, target, new_quantity, new_price: Ticks::ZERO, mode: AmendMode::KeepPriority }
    }

    /// What a key needs to be allowed for it: less of an order is less than a new one.
    pub const fn needed_scope(&self) -> u8 {
        match self.mode {
            AmendMode::KeepPriority => KeyScope::AMEND,
            AmendMode::MayLosePriority => KeyScope::PLACE | KeyScope::CANCEL,
        }
    }
}

/// Whether an order that is amended may lose its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum AmendMode {
    /// It may not: only less of it is taken.
    #[default]
    KeepPriority = 0,
    /// It may, where what is asked for needs it.
    MayLosePriority = 1,
}

/// Both sides of one of an account's quotes. What stood there by the same number and is not asked for again goes, then
/// what is asked for comes, each side for itself; a side that is refused is then not there at all.
///
/// A side that is asked for as it stands keeps its place. Quotes are limit orders like others, good till cancelled; the
/// side of quote 7 has the client's id `~7b` or `~7a`, by which it can be cancelled too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Where.
    pub market: MarketId,
    /// Which of the account's quotes there.
    pub slot: u8,
    /// [`OrderType::Limit`] or one of the post-only ones.
    pub order_type: OrderType,
    /// What happens when it meets its own group.
    pub self_trade_mode: SelfTradeMode,
    /// What it buys.
    pub bid: QuoteSide,
    /// What it sells, at a higher price.
    pub ask: QuoteSide,
}

/// One side of a quote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuoteSide {
    /// Limit price.
    pub price: Ticks,
    /// How much; 0 for nothing on this side.
    pub quantity: Lots,
}

impl Quote {
    /// The side.
    pub const fn side(&self, side: Side) -> QuoteSide {
        match side {
            Side::Bid => self.bid,
            Side::Ask => self.ask,
        }
    }
}

/// Takes one order off and places another one in the same market, with nothing in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplaceOrder {
    /// Which one goes.
    pub target: OrderReference,
    /// In what state it has to be.
    pub restriction: CancelRestriction,
    /// What becomes of one half when the other is refused.
    pub mode: ReplaceMode,
    /// What comes.
    pub order: PlaceOrder,
}

/// In what state an order has to be for its cancel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CancelRestriction {
    /// In any.
    #[default]
    None = 0,
    /// Nothing of it has traded.
    OnlyNew = 1,
    /// Some of it has traded.
    OnlyPartiallyFilled = 2,
}

/// What becomes of one half of a cancel-replace when the other is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ReplaceMode {
    /// Both or neither: the new order is looked at as if the old one were gone already.
    StopOnFailure = 0,
    /// Each for itself, the cancel first.
    AllowFailure = 1,
}

/// Takes all of the account's orders off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelAll {
    /// In one market, or in all.
    pub market: Option<MarketId>,
    /// On one side, or on both.
    pub side: Option<Side>,
}
