//! What one command makes leave, collected until its state is complete: reports first, public messages behind them.
//!
//! Messages are written one behind the other into two buffers that are kept from command to command, and copied once,
//! when they are sent. Bounded by the events of one command.

use std::ops::Range;

use lakh_engine::ids::{AccountId, AssetId, MarketId};

use crate::hand_over::Stream;
use crate::market_data::book::TopOfBook;
use crate::publisher::subscriptions::Subscriptions;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    reports: Vec<(AccountId, Range<usize>)>,
    public: Vec<(Stream, Range<usize>)>,
    /// Balances that changed.
    pub(super) changed_balances: Vec<(AccountId, AssetId)>,
    /// Markets whose book changed and whose best prices somebody listens to, with the best before.
    pub(super) tops_before: Vec<(MarketId, TopOfBook)>,
}

impl Outgoing {
    /// Adds a report that `write` appends.
    pub(super) fn report(&mut self, account: AccountId, write: impl FnOnce(&mut Vec<u8>)) {
        let range = self.append(write);
        self.reports.push((account, range));
    }

    /// Adds a public message that `write` appends.
    pub(super) fn public(&mut self, stream: Stream, write: impl FnOnce(&mut Vec<u8>)) {
        let range = self.append(write);
        self.public.push((stream, range));
    }

    /// Notes a market's best prices before its first change by this command.
    pub(super) fn note_top(&mut self, market: MarketId, top: impl FnOnce() -> TopOfBook) {
        if self.tops_before.iter().all(|(noted, _)| *noted != market) {
            self.tops_before.push((market, top()));
        }
    }

    /// Sends everything, private before public, and is empty again.
    pub(super) fn send(
        &mut self,
        subscriptions: &mut Subscriptions,
        mut wrap: impl FnMut(Stream, &[u8], &mut Vec<u8>),
    ) {
        for (account, range) in self.reports.drain(..) {
            subscriptions.report(account, &self.bytes[range]);
        }
        for (stream, range) in self.public.drain(..) {
            let message = &self.bytes[range];
            subscriptions.publish(stream, message, |out| wrap(stream, message, out));
        }
        self.clear();
    }

    /// Throws everything away.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.reports.clear();
        self.public.clear();
        self.changed_balances.clear();
        self.tops_before.clear();
    }

    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.bytes.len();
        write(&mut self.bytes);
        start..self.bytes.len()
    }
}
