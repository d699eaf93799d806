//! A workload's messages as requests to a whole engine, and the engine's events as the workload's reports.

use lakh_engine::command::{OrderType, Side, TimeInForce};
use lakh_engine::event::{CancelReason, Event};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks};

use crate::error::LoadtestError;
use crate::flow::conformance::format::{Message, Request, Rest};
use crate::flow::conformance::reports::{Noted, Order, Report, Subject, Trade};
use crate::flow::engine_session::{EngineSession, NewOrder, rejected};
use crate::flow::format::FlowBounds;
use crate::setup::{FLOW_MARKET, flow_genesis};

/// See the module.
#[derive(Debug)]
pub struct Exchange {
    session: EngineSession,
    /// Of the message that is carried out.
    events: Vec<Event>,
}

impl Exchange {
    /// An engine with one open market for orders within `bounds`.
    ///
    /// # Errors
    /// When no market can hold them.
    pub fn new(bounds: &FlowBounds) -> Result<Self, LoadtestError> {
        Ok(Self { session: EngineSession::new(&flow_genesis(bounds))?, events: Vec::new() })
    }

    /// The engine behind it.
    pub const fn session(&self) -> &EngineSession {
        &self.session
    }

    /// The best bid and ask.
    pub fn best_prices(&self) -> (Option<Ticks>, Option<Ticks>) {
        let best = |side| self.session.book(FLOW_MARKET).levels(side).next().map(|level| level.price);
        (best(Side::Bid), best(Side::Ask))
    }

    /// Carries out one message and notes what came of it.
    ///
    /// # Errors
    /// Says so where the engine refuses what the workloads have no report for.
    pub fn carry_out(&mut self, message: &Message, noted: &mut Vec<Noted>) -> Result<(), String> {
        self.events.clear();
        match message.request {
            Request::New { side, rest, price, quantity } => {
                let time_in_force = match rest {
                    Rest::Stays => TimeInForce::GoodTillCancel,
                    Rest::Canceled => TimeInForce::ImmediateOrCancel,
                };
                let order = new_order(message.order, side, time_in_force, (price, quantity));
                self.session.place_order(&order, &mut self.events);
            }
            Request::Cancel => self.session.cancel_order(FLOW_MARKET, message.order, &mut self.events),
            Request::Modify { side, price, quantity } => {
                let order = new_order(message.order, side, TimeInForce::GoodTillCancel, (price, quantity));
                self.session.replace_order(&order, &mut self.events);
            }
        }
        note(message, &self.events, noted)
    }
}

fn new_order(id: u64, side: Side, time_in_force: TimeInForce, size: (Ticks, Lots)) -> NewOrder {
    NewOrder {
        id,
        market: FLOW_MARKET,
        side,
        order_type: OrderType::Limit,
        time_in_force,
        price: size.0,
        quantity: size.1,
    }
}

/// What a message's events mean in the workload's terms.
fn note(message: &Message, events: &[Event], noted: &mut Vec<Noted>) -> Result<(), String> {
    let subject = Subject { message: message.number, order: message.order };
    if let Some(code) = rejected(events) {
        let report = match (message.request, code) {
            (Request::Cancel, RejectCode::OrderUnknown) => Report::CancelRejected(subject),
            (Request::Modify { .. }, RejectCode::OrderUnknown) => Report::ModifyRejected(subject),
            _ => return Err(format!("the engine refused message {}: {}", message.number, code.name())),
        };
        noted.push(Noted::Plain(report));
        return Ok(());
    }
    if let Request::New { side, price, quantity, .. } = message.request {
        noted.push(Noted::Plain(Report::Accepted(Order { subject, side, price, quantity })));
    }
    for event in events {
        noted.extend(note_event(message, subject, event));
    }
    if let Request::Modify { side, price, quantity } = message.request {
        noted.push(Noted::Plain(Report::Modified(Order { subject, side, price, quantity })));
    }
    Ok(())
}

fn note_event(message: &Message, subject: Subject, event: &Event) -> Option<Noted> {
    match event {
        Event::Trade(trade) => Some(Noted::Trade {
            trade: Trade { subject, price: trade.price, quantity: trade.quantity, maker: trade.maker.order },
            maker_remaining: trade.maker.remaining,
        }),
        Event::OrderRested(rested) => Some(Noted::Rested { order: rested.order, id: message.order }),
        Event::OrderCanceled(canceled) => {
            let order = Order { subject, side: canceled.side, price: canceled.price, quantity: canceled.remaining };
            Some(match (canceled.reason, message.request) {
                (CancelReason::Requested, Request::Modify { .. }) => {
                    Noted::TakenOff { order: canceled.order, report: None }
                }
                (CancelReason::Requested, _) => {
                    Noted::TakenOff { order: canceled.order, report: Some(Report::Canceled(order)) }
                }
                // The rest of an immediate-or-cancel order, which never was on the book.
                _ => Noted::Plain(Report::Canceled(order)),
            })
        }
        _ => None,
    }
}
