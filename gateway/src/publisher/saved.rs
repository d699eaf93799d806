//! All read models as bytes and back: the publisher's part of a snapshot.
//!
//! Subscriptions, answers that wait and messages that have not left are not of the past: sessions come anew.
//!
//! | part | holds |
//! |---|---|
//! | `LKRM` | format, time of the last record |
//! | 1 | assets, markets with their states, keys |
//! | 2 | balances of each account |
//! | 3 | orders: live ones, and the latest that ended |
//! | 4 | each account's latest trades |
//! | 5 | each market's book by level, latest trades, candles |

use std::sync::Arc;

use lakh_engine::units::Timestamp;
use lakh_engine::wire::{DecodeError, Wire};

use super::{Publisher, PublisherOptions};
use crate::account_state::AccountState;
use crate::account_trades::AccountTrades;
use crate::directory::Directory;
use crate::market_data::MarketData;
use crate::order_state::OrderState;

const MAGIC: [u8; 4] = *b"LKRM";
/// Another layout has another number. A snapshot that has no read models for this program costs a longer replay.
const FORMAT: u8 = 0;

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
        self.orders.save(&mut out);
        self.account_trades.save(&mut out);
        self.market_data.save(&mut out);
        out
    }

    /// The publisher that [`Self::save`] wrote, with the bounds of `options`. The directory is given what it knew.
    ///
    /// # Errors
    /// When the bytes are of another format or no read models; the directory may have been filled by then.
    pub fn load(options: PublisherOptions, directory: Arc<Directory>, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        let input = &mut rest;
        if <[u8; 4]>::decode(input)? != MAGIC || u8::decode(input)? != FORMAT {
            return Err(DecodeError::BadValue);
        }
        let latest = Timestamp::decode(input)?;
        directory.load(input)?;
        let accounts = AccountState::load(input)?;
        let orders = OrderState::load(options.orders, input)?;
        let account_trades = AccountTrades::load(options.account_trades, input)?;
        let market_data = MarketData::load(options.market_data, input)?;
        if !input.is_empty() {
            return Err(DecodeError::TrailingBytes);
        }
        if market_data.feeds().count() != directory.markets().len() {
            return Err(DecodeError::BadValue);
        }
        let empty = Self::new(options, directory);
        Ok(Self { latest, accounts, orders, account_trades, market_data, ..empty })
    }
}
