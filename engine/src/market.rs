//! A market: its specification, its state, its book, its counters. And the one table of what each state allows.

use crate::book::Book;
use crate::command::{MarketState, Operation, OrderType};
use crate::ids::TradeId;
use crate::market_spec::MarketSpec;

/// See the module.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) spec: MarketSpec,
    pub(crate) state: MarketState,
    pub(crate) book: Book,
    pub(crate) last_trade: TradeId,
    pub(crate) feed_sequence: u64,
}

impl Market {
    pub(crate) fn new(spec: MarketSpec, accounts: u32, hash_seed: u64) -> Self {
        let book = Book::new(spec.max_orders, spec.max_levels, accounts, hash_seed);
        Self { spec, state: MarketState::PreOpen, book, last_trade: TradeId(0), feed_sequence: 0 }
    }

    /// Counts one more change of the public book.
    pub(crate) fn next_feed(&mut self) -> u64 {
        self.feed_sequence += 1;
        self.feed_sequence
    }

    /// Counts one more trade.
    pub(crate) fn next_trade(&mut self) -> TradeId {
        self.last_trade.0 += 1;
        self.last_trade
    }
}

/// What a market's state allows. Amendments only ever take quantity off, so they go wherever orders may rest.
///
/// | state | order | post-only | amend | cancel |
/// |---|---|---|---|---|
/// | `PreOpen` | – | – | – | yes |
/// | `PostOnly` | – | yes | yes | yes |
/// | `Open` | yes | yes | yes | yes |
/// | `CancelOnly` | – | – | – | yes |
/// | `Halt` | – | – | – | – |
pub(crate) const fn allows(state: MarketState, operation: &Operation) -> bool {
    match (state, operation) {
        (_, Operation::Logon | Operation::ActivateKey | Operation::RevokeKey) => true,
        (MarketState::Halt, _) => false,
        (_, Operation::CancelOrder(_) | Operation::CancelAll(_)) => true,
        (MarketState::Open, Operation::PlaceOrder(_)) => true,
        (MarketState::PostOnly, Operation::PlaceOrder(order)) => matches!(order.order_type, OrderType::LimitMaker),
        (MarketState::Open | MarketState::PostOnly, Operation::AmendOrder(_)) => true,
        (MarketState::PreOpen | MarketState::CancelOnly, Operation::PlaceOrder(_) | Operation::AmendOrder(_)) => false,
    }
}
