//! What a request is answered: commands by their events, reads by the read models.

use bytes::Bytes;
use lakh_engine::event::{CancelReason, Duplicate, Event, Rejected};
use lakh_engine::ids::{AccountId, MarketId, OrderId};
use lakh_engine::reject::RejectCode;

use crate::api_error::ApiError;
use crate::hand_over::{AnswerShape, FromPosition, Read, RequestHandle, Stream, StreamWrapping};
use crate::order_state::OrderRecord;
use crate::publisher::{Publisher, entry};
use crate::reports::Stamp;
use crate::reports::follower::PageRequest;
use crate::request::refusal;
use crate::wire_encode::account::{self, AccountFees, BalanceFilter};
use crate::wire_encode::answers;
use crate::wire_encode::json::JsonWriter;
use crate::wire_encode::public;

/// Room for an answer about one order, so that it is written without growing.
const ORDER_ANSWER_BYTES: usize = 640;

impl Publisher {
    /// The outcome of a command whose events are all taken in.
    pub(super) fn command_outcome(
        &self,
        shape: AnswerShape,
        stamp: Stamp,
        events: &[Event],
    ) -> Result<Bytes, ApiError> {
        if let AnswerShape::ReplacedAck | AnswerShape::ReplacedResult | AnswerShape::ReplacedFull = shape {
            return self.replace_outcome(shape, stamp, events);
        }
        for event in events {
            match event {
                Event::Rejected(rejected) => return Err(self.reject_error(rejected)),
                Event::Duplicate(duplicate) => return Err(self.duplicate_error(duplicate, shape)),
                _ => {}
            }
        }
        let mut out = Vec::with_capacity(ORDER_ANSWER_BYTES);
        let written = match shape {
            AnswerShape::OrderAck | AnswerShape::OrderResult | AnswerShape::OrderFull => {
                self.write_order_answer(shape, stamp, events, &mut out)
            }
            AnswerShape::OrderCanceled => self.write_cancel_answer(stamp, events, &mut out),
            AnswerShape::OrderAmended => self.write_amend_answer(stamp, events, &mut out),
            AnswerShape::OrdersCanceled => None,
            AnswerShape::TimerSet => {
                let set = events.iter().find_map(|event| match event {
                    Event::CancelAllTimerSet { at, .. } => Some(*at),
                    _ => None,
                });
                set.map(|at| answers::timer_set(at, stamp, &mut out))
            }
            AnswerShape::SubAccountOpened => {
                let opened = events.iter().find_map(|event| match event {
                    Event::SubAccountOpened { account, .. } => Some(*account),
                    _ => None,
                });
                opened.map(|account| account::sub_account_opened(account, stamp.sequence, &mut out))
            }
            AnswerShape::Done => {
                answers::known_command(stamp.sequence, &mut out);
                Some(())
            }
            AnswerShape::ReplacedAck | AnswerShape::ReplacedResult | AnswerShape::ReplacedFull => None,
            AnswerShape::Binary | AnswerShape::BinarySession => None,
            AnswerShape::Empty => {
                out.extend_from_slice(b"{}");
                Some(())
            }
        };
        // A command that caused nothing of what its request asked for: the session asked for the wrong shape.
        written.map(|()| Bytes::from(out)).ok_or_else(refusal::internal)
    }

    /// Answers a read.
    pub(super) fn answer_read(&mut self, read: &Read, handle: &RequestHandle) {
        if self.answer_binary_read(read, handle) {
            return;
        }
        let page = |account, (from, through), position, subscription| PageRequest {
            account,
            from,
            through,
            position,
            subscription,
            handle: handle.clone(),
        };
        let outcome = match *read {
            Read::ResumeAccount { account, subscription, from, position } => {
                return self.resume(page(account, (from, from), position, subscription));
            }
            Read::ReportPage { account, subscription, from, through } => {
                return self.next_reports(page(account, (from, through), FromPosition::Seen, subscription));
            }
            Read::Proof { account, proof } => return self.proofs.ask(account, proof, handle),
            _ => self.outcome(read, handle),
        };
        handle.answer(outcome);
    }

    /// The answer to a read that is answered here and now.
    fn outcome(&mut self, read: &Read, handle: &RequestHandle) -> Result<Bytes, ApiError> {
        match read {
            Read::OrderStatus { account, market, target } => {
                let order = self.orders.find(*account, *market, target);
                order.map(|order| self.order_status(order)).ok_or_else(order_does_not_exist)
            }
            Read::OpenOrders { account, market } => Ok(self.open_orders(*account, *market)),
            Read::AccountStatus { account, omit_zero_balances } => {
                let filter = if *omit_zero_balances { BalanceFilter::NonZero } else { BalanceFilter::All };
                Ok(self.account_status(*account, filter))
            }
            Read::AllOrders { account, market, range } => Ok(self.all_orders(*account, *market, *range)),
            Read::MyTrades { account, market, order, range } => Ok(self.my_trades(*account, *market, *order, *range)),
            Read::SubAccounts { owner } => Ok(self.sub_accounts(*owner)),
            Read::TradeFees { account, market } => Ok(self.trade_fees(*account, *market)),
            Read::SubscribeAccount { .. } | Read::UnsubscribeAccount { .. } => self.answer_subscription(read, handle),
            public => self.answer_public_read(public, handle),
        }
    }

    fn answer_public_read(&mut self, read: &Read, handle: &RequestHandle) -> Result<Bytes, ApiError> {
        match read {
            Read::Depth { market, limit } => self.depth(*market, *limit),
            Read::Trades { market, limit } => self.trades(*market, *limit),
            Read::AggregateTrades { market, range } => self.aggregate_trades(*market, *range),
            Read::Candles { market, interval, range } => self.candles(*market, *interval, *range),
            Read::LastPrice(markets) => self.last_price(markets),
            Read::BookTicker(markets) => self.book_ticker(markets),
            Read::DayStatistics(markets) => self.day_statistics(markets),
            Read::SubscribeStreams { streams, wrapping } => self.subscribe_streams(streams, *wrapping, handle),
            Read::UnsubscribeStreams { streams } => {
                self.subscriptions.unsubscribe_streams(streams, &handle.session);
                Ok(Bytes::from_static(b"null"))
            }
            _ => Err(refusal::internal()),
        }
    }

    fn answer_subscription(&mut self, read: &Read, handle: &RequestHandle) -> Result<Bytes, ApiError> {
        match read {
            Read::SubscribeAccount { account, subscription } => {
                let subscribed = self.subscriptions.subscribe_account(*account, *subscription, &handle.session);
                subscribed.map(|()| subscription_answer(*subscription)).map_err(|_| too_many_subscriptions())
            }
            Read::UnsubscribeAccount { subscription } => {
                self.subscriptions.unsubscribe_account(*subscription, &handle.session);
                Ok(Bytes::from_static(b"{}"))
            }
            _ => Err(refusal::internal()),
        }
    }

    pub(super) fn write_order_answer(
        &self,
        shape: AnswerShape,
        stamp: Stamp,
        events: &[Event],
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let accepted = events.iter().find_map(|event| match event {
            Event::OrderAccepted(accepted) => Some(accepted),
            _ => None,
        })?;
        let order = self.orders.record(accepted.order)?;
        let market = entry(&self.markets, order.market);
        match shape {
            AnswerShape::OrderFull => {
                let fills = events.iter().filter_map(|event| match event {
                    Event::Trade(trade) if trade.taker.order == accepted.order => Some(trade),
                    _ => None,
                });
                answers::order_full(market, order, fills, stamp, out);
            }
            AnswerShape::OrderResult => answers::order_result(market, order, stamp, out),
            _ => answers::order_ack(market, order, stamp, out),
        }
        Some(())
    }

    pub(super) fn write_cancel_answer(&self, stamp: Stamp, events: &[Event], out: &mut Vec<u8>) -> Option<()> {
        let canceled = events.iter().find_map(|event| match event {
            Event::OrderCanceled(canceled) if canceled.reason == CancelReason::Requested => Some(canceled),
            _ => None,
        })?;
        let order = self.orders.record(canceled.order)?;
        answers::order_canceled(entry(&self.markets, order.market), order, stamp, out);
        Some(())
    }

    fn write_amend_answer(&self, stamp: Stamp, events: &[Event], out: &mut Vec<u8>) -> Option<()> {
        let reduced = events.iter().find_map(|event| match event {
            Event::OrderReduced(reduced) => Some(reduced),
            _ => None,
        })?;
        let order = self.orders.record(reduced.order)?;
        answers::order_amended(entry(&self.markets, order.market), order, reduced.report_sequence, stamp, out);
        Some(())
    }

    /// A reject; one that names a live order shows the acknowledgement that the order had.
    pub(super) fn reject_error(&self, rejected: &Rejected) -> ApiError {
        let mut error = ApiError::from_reject(rejected.code);
        if matches!(rejected.code, RejectCode::ClientOrderLive | RejectCode::ClientIdInUse) {
            error.data = Some(self.acknowledgement(rejected.account, rejected.order));
        }
        error
    }

    /// The same signed bytes again: how their first use was answered.
    pub(super) fn duplicate_error(&self, duplicate: &Duplicate, shape: AnswerShape) -> ApiError {
        let is_order = matches!(shape, AnswerShape::OrderAck | AnswerShape::OrderResult | AnswerShape::OrderFull);
        let data = match duplicate.rejected {
            Some(code) => written(|out| answers::known_reject(duplicate.original, code, out)),
            None if is_order => self.acknowledgement(duplicate.account, OrderId::new(duplicate.original, 0)),
            None => written(|out| answers::known_command(duplicate.original, out)),
        };
        ApiError { data: Some(data), ..ApiError::from_reject(RejectCode::Duplicate) }
    }

    /// The acknowledgement that the account's order had when it was placed, or its id where it is forgotten.
    fn acknowledgement(&self, account: AccountId, order: OrderId) -> Bytes {
        written(|out| match self.orders.find_own(account, order) {
            Some(record) => {
                let stamp = Stamp { sequence: order.sequence(), timestamp: record.accepted_at };
                answers::order_ack(entry(&self.markets, record.market), record, stamp, out);
            }
            None => answers::known_order(order, out),
        })
    }

    fn order_status(&self, order: &OrderRecord) -> Bytes {
        written(|out| answers::order_status(entry(&self.markets, order.market), order, out))
    }

    fn open_orders(&self, account: AccountId, market: Option<MarketId>) -> Bytes {
        written(|out| {
            out.push(b'[');
            for order in self.orders.open_orders(account, market) {
                if out.last() != Some(&b'[') {
                    out.push(b',');
                }
                answers::order_status(entry(&self.markets, order.market), order, out);
            }
            out.push(b']');
        })
    }

    fn account_status(&self, account: AccountId, filter: BalanceFilter) -> Bytes {
        let tier = self.directory.fee_tier(account);
        let rates = || self.markets.iter().map(|market| market.fees.of(tier));
        let fees = AccountFees {
            maker: rates().map(|rates| rates.maker).max().unwrap_or_default(),
            taker: rates().map(|rates| rates.taker).max().unwrap_or_default(),
        };
        let balances = self.accounts.balances(account);
        Bytes::from(account::account_status(account, &balances, &self.assets, filter, fees))
    }

    fn sub_accounts(&self, owner: AccountId) -> Bytes {
        written(|out| {
            let mut json = JsonWriter::new(out);
            json.begin_array();
            for account in self.directory.sub_accounts(owner) {
                let open_orders = self.orders.open_order_count(account);
                account::sub_account(account, (&self.accounts.balances(account), open_orders), &self.assets, &mut json);
            }
            json.end_array();
        })
    }

    fn depth(&self, market: MarketId, limit: u16) -> Result<Bytes, ApiError> {
        let feed = self.market_data.feed(market).ok_or_else(bad_symbol)?;
        Ok(written(|out| public::depth(entry(&self.markets, market), feed.book(), limit, out)))
    }

    fn subscribe_streams(
        &mut self,
        streams: &[Stream],
        wrapping: StreamWrapping,
        handle: &RequestHandle,
    ) -> Result<Bytes, ApiError> {
        if streams.iter().any(|stream| self.market_data.feed(stream.market).is_none()) {
            return Err(bad_symbol());
        }
        let subscribed = self.subscriptions.subscribe_streams(streams, wrapping, &handle.session);
        subscribed.map_err(|_| too_many_subscriptions())?;
        self.note_for(streams);
        Ok(Bytes::from_static(b"null"))
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(ORDER_ANSWER_BYTES);
    write(&mut out);
    Bytes::from(out)
}

fn subscription_answer(subscription: u32) -> Bytes {
    written(|out| {
        let mut json = JsonWriter::new(out);
        json.begin_object().key("subscriptionId").number(u64::from(subscription)).end_object();
    })
}

const fn order_does_not_exist() -> ApiError {
    ApiError::bad_request(-2013, "Order does not exist.")
}

pub(super) const fn bad_symbol() -> ApiError {
    ApiError::bad_request(-1121, "Invalid symbol.")
}

pub(super) fn too_many_subscriptions() -> ApiError {
    ApiError { status: 429, ..ApiError::bad_request(-1003, "Too many subscriptions; try again later.") }
}
