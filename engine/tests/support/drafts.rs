//! Orders in the making, in a trader's words.

use lakh_engine::command::{OrderType, PlaceOrder, SelfTradeMode, Side, TimeInForce};
use lakh_engine::ids::{ClientId, MarketId};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};

use super::BTCUSD;
use super::venue::{SECOND, START};

/// An order in the making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft(pub(crate) PlaceOrder);

/// A limit buy, good till cancelled, of the first market.
pub(crate) fn bid(price: u64, quantity: u64) -> Draft {
    Draft(PlaceOrder::limit(BTCUSD, Side::Bid, Ticks(price), Lots(quantity)))
}

/// A limit sell, good till cancelled, of the first market.
pub(crate) fn ask(price: u64, quantity: u64) -> Draft {
    Draft(PlaceOrder { side: Side::Ask, ..bid(price, quantity).0 })
}

/// A market buy by quantity, bounded by the market's band.
pub(crate) fn market_buy(quantity: u64) -> Draft {
    Draft(PlaceOrder { order_type: OrderType::Market, ..bid(0, quantity).ioc().0 })
}

/// A market sell by quantity, bounded by the market's band.
pub(crate) fn market_sell(quantity: u64) -> Draft {
    Draft(PlaceOrder { side: Side::Ask, ..market_buy(quantity).0 })
}

/// A market buy by quote budget.
pub(crate) fn buy_for(budget: u64) -> Draft {
    Draft(PlaceOrder { quote_budget: Atoms(budget), ..market_buy(0).0 })
}

/// A market sell by quote budget.
pub(crate) fn sell_for(budget: u64) -> Draft {
    Draft(PlaceOrder { side: Side::Ask, ..buy_for(budget).0 })
}

impl Draft {
    /// Immediate or cancel.
    pub(crate) fn ioc(self) -> Self {
        Self(PlaceOrder { time_in_force: TimeInForce::ImmediateOrCancel, ..self.0 })
    }

    /// Fill or kill.
    pub(crate) fn fok(self) -> Self {
        Self(PlaceOrder { time_in_force: TimeInForce::FillOrKill, ..self.0 })
    }

    /// Waits for the last price to come against it, down to or up to this price.
    pub(crate) fn stop(self, trigger_price: u64) -> Self {
        let order_type = if self.0.price.is_zero() { OrderType::StopLoss } else { OrderType::StopLossLimit };
        Self(PlaceOrder { order_type, trigger_price: Ticks(trigger_price), ..self.0 })
    }

    /// Waits for the last price to come to meet it, up to or down to this price.
    pub(crate) fn profit(self, trigger_price: u64) -> Self {
        let order_type = if self.0.price.is_zero() { OrderType::TakeProfit } else { OrderType::TakeProfitLimit };
        Self(PlaceOrder { order_type, trigger_price: Ticks(trigger_price), ..self.0 })
    }

    /// Showing only so much at a time.
    pub(crate) fn showing(self, display_quantity: u64) -> Self {
        Self(PlaceOrder { display_quantity: Lots(display_quantity), ..self.0 })
    }

    /// Good till this many seconds after the venue's start.
    pub(crate) fn until(self, seconds: u64) -> Self {
        let expires_at = Timestamp(START.0 + seconds * SECOND);
        Self(PlaceOrder { time_in_force: TimeInForce::GoodTillDate, expires_at, ..self.0 })
    }

    /// Post-only.
    pub(crate) fn post_only(self) -> Self {
        Self(PlaceOrder { order_type: OrderType::LimitMaker, ..self.0 })
    }

    /// With this self-trade mode.
    pub(crate) fn on_self_trade(self, self_trade_mode: SelfTradeMode) -> Self {
        Self(PlaceOrder { self_trade_mode, ..self.0 })
    }

    /// With this client id.
    pub(crate) fn id(self, client_id: &str) -> Self {
        Self(PlaceOrder { client_id: ClientId::new(client_id).expect("a legal client id"), ..self.0 })
    }

    /// With this price; for a market order its worst.
    pub(crate) fn at(self, price: u64) -> Self {
        Self(PlaceOrder { price: Ticks(price), ..self.0 })
    }

    /// In this market.
    pub(crate) fn in_market(self, market: MarketId) -> Self {
        Self(PlaceOrder { market, ..self.0 })
    }
}
