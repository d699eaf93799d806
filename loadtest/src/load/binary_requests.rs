//! Requests of one binary session, by the reference client's own writer.
//!
//! Requests are stamped with their intended send time and good for [`lakh_gateway::binary_client`]'s half a minute from
//! then; neither number nor sending time is signed, so a session may be opened long after its requests were made.

use std::fmt::Write as _;

use lakh_engine::command::{
    AmendOrder, CancelOrder, CancelRestriction, FrameOperation, OrderReference, OrderType, PlaceOrder, ReplaceMode,
    ReplaceOrder, TimeInForce,
};
use lakh_engine::ids::{ClientId, MarketId};
use lakh_engine::units::Timestamp;
use lakh_gateway::binary_client::{LogonOptions, Requests};
use lakh_gateway::wire::sbe::orders::QuoteEntry;
use lakh_gateway::wire::sbe::session::LogonAccepted;

use crate::client::Trader;
use crate::workload::{LoadOrder, LoadQuote, LoadedOrder};

/// The logon's own number; requests are numbered from the next one on.
pub(crate) const LOGON_NUMBER: u64 = 1;
/// Nonces below are for what is set up before the load.
const FIRST_NONCE: u64 = 1_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct BinaryRequests {
    requests: Requests,
    run: String,
}

impl BinaryRequests {
    /// The requests of a session of `trader`, which the venue opens as it did `accepted`.
    pub(crate) fn new(trader: &Trader, accepted: &LogonAccepted, run: &str) -> Self {
        let mut requests = Requests::new(trader.signing_key().clone());
        // Its bytes are not sent: the session is opened later, with a text of that time.
        let logon = LogonOptions { first_nonce: FIRST_NONCE, ..LogonOptions::new([0; 16]) };
        requests.log_on(&logon, Timestamp::ZERO);
        requests.clear();
        requests.logged_on(accepted);
        Self { requests, run: run.to_owned() }
    }

    /// Appends the message of one order, due at `due_ns` since the Unix epoch.
    pub(crate) fn write(&mut self, order: &LoadOrder, due_ns: u64, out: &mut Vec<u8>) {
        let now = Timestamp(due_ns);
        match operation(order, &self.run) {
            FrameOperation::PlaceOrder(place) => self.requests.place(&place, now),
            FrameOperation::CancelOrder(cancel) => self.requests.cancel(&cancel, now),
            FrameOperation::AmendOrder(amend) => self.requests.amend(&amend, now),
            FrameOperation::ReplaceOrder(replace) => self.requests.replace(&replace, now),
            FrameOperation::Quote(_) => unreachable!("no order of the load is a quote"),
        };
        self.hand_over(out);
    }

    /// Appends one frame of all of them.
    pub(crate) fn write_frame(&mut self, orders: &[LoadOrder], due_ns: u64, out: &mut Vec<u8>) {
        let operations: Vec<FrameOperation> = orders.iter().map(|order| operation(order, &self.run)).collect();
        self.requests.frame(&operations, Timestamp(due_ns));
        self.hand_over(out);
    }

    /// Appends one message of quotes, by their slot.
    pub(crate) fn write_quotes(&mut self, market: u16, quotes: &[LoadQuote], due_ns: u64, out: &mut Vec<u8>) {
        let terms = PlaceOrder {
            order_type: OrderType::LimitMaker,
            ..PlaceOrder::limit(MarketId(market), lakh_engine::command::Side::Bid, quotes[0].bid.0, quotes[0].bid.1)
        };
        let entry = |(slot, quote): (u8, &LoadQuote)| QuoteEntry {
            bid_price: quote.bid.0.raw().into(),
            bid_quantity: quote.bid.1.raw().into(),
            ask_price: quote.ask.0.raw().into(),
            ask_quantity: quote.ask.1.raw().into(),
            slot,
        };
        let entries: Vec<QuoteEntry> = (0..).zip(quotes).map(entry).collect();
        self.requests.mass_quote(&terms, &entries, Timestamp(due_ns));
        self.hand_over(out);
    }

    fn hand_over(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.requests.bytes());
        self.requests.clear();
    }
}

/// The engine's own words for an order of the load.
pub(crate) fn operation(order: &LoadOrder, run: &str) -> FrameOperation {
    let rests = (OrderType::Limit, TimeInForce::GoodTillCancel);
    let named = |order: &LoadedOrder| OrderReference::ClientId(client_id(order, run));
    match order {
        LoadOrder::Add(order) | LoadOrder::Cross(order) => FrameOperation::PlaceOrder(place(order, rests, run)),
        LoadOrder::Take(order) => {
            FrameOperation::PlaceOrder(place(order, (OrderType::Limit, TimeInForce::ImmediateOrCancel), run))
        }
        LoadOrder::PostOnly(order) | LoadOrder::Maker(order) => {
            FrameOperation::PlaceOrder(place(order, (OrderType::LimitMaker, TimeInForce::GoodTillCancel), run))
        }
        LoadOrder::Cancel(order) => {
            FrameOperation::CancelOrder(CancelOrder { market: MarketId(order.market), target: named(order) })
        }
        LoadOrder::Reduce { order, .. } => {
            FrameOperation::AmendOrder(AmendOrder::less(MarketId(order.market), named(order), order.quantity))
        }
        LoadOrder::Replace { old, new } => FrameOperation::ReplaceOrder(ReplaceOrder {
            target: named(old),
            restriction: CancelRestriction::None,
            mode: ReplaceMode::StopOnFailure,
            order: place(new, rests, run),
        }),
    }
}

fn place(order: &LoadedOrder, (order_type, time_in_force): (OrderType, TimeInForce), run: &str) -> PlaceOrder {
    let limit = PlaceOrder::limit(MarketId(order.market), order.side, order.price, order.quantity);
    PlaceOrder { order_type, time_in_force, client_id: client_id(order, run), ..limit }
}

/// Each account has one key, so the order's number is enough behind the run's name.
fn client_id(order: &LoadedOrder, run: &str) -> ClientId {
    let mut text = String::with_capacity(24);
    write!(text, "{run}-{:x}", order.number).expect("writing to a string cannot fail");
    ClientId::new(&text).expect("a run's name and a number of at most 13 digits")
}
