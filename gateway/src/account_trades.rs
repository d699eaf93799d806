//! Each account's latest trades: a read model fed by events only.
//!
//! Bounds: a number of trades of all accounts and a number for each, so that a busy account pushes out its own past and
//! not a quiet one's.

use std::collections::hash_map::Entry;

use lakh_engine::command::Side;
use lakh_engine::ids::{AccountId, MarketId, OrderId, Sequence, TradeId};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};
use lakh_engine::wire::{DecodeError, Wire, wire_struct};

use crate::id_map::IdMap;
use crate::saved::{put_each, saved_enum, take_each};
use crate::slots::{Chain, List, Place, Slots};

saved_enum!(TradeRole { Maker, Taker });
wire_struct!(OwnTrade { market, trade, order, price, quantity, quote, fee, sequence, timestamp, side, role });

/// Bounds of what is remembered of accounts' trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountTradesOptions {
    /// Trades of all accounts; one between two accounts counts twice.
    pub trades_max: usize,
    /// Trades of one account.
    pub trades_per_account_max: usize,
}

impl Default for AccountTradesOptions {
    /// 262,144 in all (about 24 MiB), and 1,024 for an account.
    fn default() -> Self {
        Self { trades_max: 262_144, trades_per_account_max: 1_024 }
    }
}

/// A trade as one of its two accounts sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnTrade {
    /// Where.
    pub market: MarketId,
    /// Its number in its market.
    pub trade: TradeId,
    /// The account's order.
    pub order: OrderId,
    /// Price.
    pub price: Ticks,
    /// Quantity.
    pub quantity: Lots,
    /// Price × quantity in quote atoms.
    pub quote: Atoms,
    /// Quote atoms paid, or received where it is below zero.
    pub fee: i64,
    /// Where in the journal.
    pub sequence: Sequence,
    /// When.
    pub timestamp: Timestamp,
    /// The account's side.
    pub side: Side,
    /// Whether it came first or second.
    pub role: TradeRole,
}

/// Who of the two in a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradeRole {
    /// The resting side.
    Maker,
    /// The incoming side.
    Taker,
}

/// See the module.
#[derive(Debug)]
pub struct AccountTrades {
    options: AccountTradesOptions,
    slots: Slots<AccountId, OwnTrade>,
    by_account: IdMap<AccountId, List>,
    /// Everybody's, oldest first.
    all: List,
}

impl AccountTrades {
    /// No trades.
    pub fn new(options: AccountTradesOptions) -> Self {
        let (slots, by_account, all) = (Slots::default(), IdMap::default(), List::new(Chain::All));
        Self { options, slots, by_account, all }
    }

    /// Takes in a trade of an account.
    pub fn record(&mut self, account: AccountId, trade: OwnTrade) {
        let place = self.slots.insert(account, trade);
        self.slots.push_back(&mut self.all, place);
        let own = self.by_account.entry(account).or_insert(List::new(Chain::Own));
        self.slots.push_back(own, place);
        if own.len() > self.options.trades_per_account_max.max(1)
            && let Some(oldest) = own.first()
        {
            self.forget(oldest);
        }
        if self.all.len() > self.options.trades_max.max(1)
            && let Some(oldest) = self.all.first()
        {
            self.forget(oldest);
        }
    }

    /// The account's trades in a market, oldest first.
    pub fn trades(&self, account: AccountId, market: MarketId) -> impl DoubleEndedIterator<Item = &OwnTrade> {
        let own = self.by_account.get(&account).into_iter().flat_map(|own| self.slots.iter(own));
        own.map(|(_, trade)| trade).filter(move |trade| trade.market == market)
    }

    /// Trades that are remembered.
    pub fn trade_count(&self) -> usize {
        self.all.len()
    }

    /// Appends all of it, for a snapshot: each trade with its account, oldest first.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let Self { options: _, slots, by_account: _, all } = self;
        put_each(slots.iter(all), out, |(account, trade), out| (*account, *trade).encode(out));
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(options: AccountTradesOptions, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut trades = Self::new(options);
        for (account, trade) in take_each(input, <(AccountId, OwnTrade)>::decode)? {
            trades.record(account, trade);
        }
        Ok(trades)
    }

    /// Forgets a trade, which is its account's oldest.
    fn forget(&mut self, place: Place) {
        let account = *self.slots.key(place);
        self.slots.unlink(&mut self.all, place);
        if let Entry::Occupied(mut own) = self.by_account.entry(account) {
            self.slots.unlink(own.get_mut(), place);
            if own.get().len() == 0 {
                own.remove();
            }
        }
        self.slots.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(number: u64) -> OwnTrade {
        OwnTrade {
            market: MarketId(0),
            trade: TradeId(number),
            order: OrderId(64),
            price: Ticks(1),
            quantity: Lots(1),
            quote: Atoms(1),
            fee: 0,
            sequence: Sequence(7),
            timestamp: Timestamp(number),
            side: Side::Bid,
            role: TradeRole::Maker,
        }
    }

    #[test]
    fn a_busy_account_pushes_out_its_own_past_first() {
        let mut trades = AccountTrades::new(AccountTradesOptions { trades_max: 4, trades_per_account_max: 3 });
        let numbers = |trades: &AccountTrades, account| {
            trades.trades(AccountId(account), MarketId(0)).map(|trade| trade.trade.0).collect::<Vec<_>>()
        };
        trades.record(AccountId(1), trade(0));
        for number in 1..=9 {
            trades.record(AccountId(2), trade(number));
        }
        assert_eq!(numbers(&trades, 1), [0], "a quiet account keeps what it has");
        assert_eq!(numbers(&trades, 2), [7, 8, 9]);
        trades.record(AccountId(3), trade(10));
        assert_eq!((numbers(&trades, 1), trades.trade_count()), (vec![], 4), "the oldest of all goes when all is full");
        assert_eq!(trades.trades(AccountId(2), MarketId(1)).count(), 0, "each market by itself");
    }
}
