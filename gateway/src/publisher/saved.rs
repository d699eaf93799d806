//! All read models as bytes and back: the publisher's part of a snapshot.
//!
//! Subscriptions, answers that wait and messages that have not left are not of the past: sessions come anew.
//!
//! | part | holds |
//! |---|---|
//! | `LKRM` | format, time of the last record |
//! | 1 | assets, markets with their states, keys, accounts that go with their session, sub-accounts |
//! | 2 | balances of each account, and its last report's count |
//! | 3 | orders: live ones, and the latest that ended |
//! | 4 | each account's latest trades |
//! | 5 | each market's book by level, latest trades, candles |
//! | 6 | each market's public book by order |
//! | 7 | the latest batches, and up to which record each reaches |

use lakh_engine::ids::AccountId;
use lakh_engine::units::Timestamp;
use lakh_engine::wire::{DecodeError, Wire};

use super::Publisher;
use super::binary::Binary;
use crate::account_state::AccountState;
use crate::account_trades::AccountTrades;
use crate::directory::Directory;
use crate::finality::SealedBatches;
use crate::market_data::MarketData;
use crate::order_state::OrderState;
use crate::saved::{put_each, sorted, take_each};

const MAGIC: [u8; 4] = *b"LKRM";
/// Another layout has another number. A snapshot that has no read models for this program costs a longer replay.
const FORMAT: u8 = 1;

impl Publisher {
    /// The read models as bytes: the same after the same events, whatever else happened. Between two commands only.
    pub fn save(&self) -> Vec<u8> {
        assert!(self.open.is_none() && self.aggregation.is_none(), "a snapshot is taken between two commands");
        let mut out = Vec::with_capacity(64 * 1_024);
        MAGIC.encode(&mut out);
        FORMAT.encode(&mut out);
        self.latest.encode(&mut out);
        self.directory.save(&mut out);
        self.accounts.save(&mut out);
        put_each(sorted(&self.private.counts).into_iter(), &mut out, |(account, count), out| {
            (account, *count).encode(out);
        });
        self.orders.save(&mut out);
        self.account_trades.save(&mut out);
        self.market_data.save(&mut out);
        self.binary.save(&mut out);
        self.sealed.save(&mut out);
        out
    }

    /// Takes up what [`Self::save`] wrote, with the bounds of the options. The directory is given what it knew.
    ///
    /// # Errors
    /// When the bytes are of another format or no read models; nothing has changed then.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut rest = bytes;
        let input = &mut rest;
        if <[u8; 4]>::decode(input)? != MAGIC || u8::decode(input)? != FORMAT {
            return Err(DecodeError::BadValue);
        }
        let latest = Timestamp::decode(input)?;
        let listed = Directory::load(input)?;
        let accounts = AccountState::load(input)?;
        let counts = take_each(input, <(AccountId, u64)>::decode)?;
        let orders = OrderState::load(self.options.orders, input)?;
        let account_trades = AccountTrades::load(self.options.account_trades, input)?;
        let market_data = MarketData::load(self.options.market_data, input)?;
        let binary = Binary::load(self.options.binary, &counts, input)?;
        let sealed = SealedBatches::load(input)?;
        if !input.is_empty() {
            return Err(DecodeError::TrailingBytes);
        }
        let market_count = listed.market_count();
        if market_data.feeds().count() != market_count || binary.market_count() != market_count {
            return Err(DecodeError::BadValue);
        }
        self.directory.replace(listed);
        (self.markets, self.assets) = (self.directory.markets(), self.directory.assets());
        self.private.counts = counts.into_iter().collect();
        self.latest = latest;
        self.accounts = accounts;
        self.orders = orders;
        self.account_trades = account_trades;
        self.market_data = market_data;
        self.binary = binary;
        self.sealed = sealed;
        Ok(())
    }
}
