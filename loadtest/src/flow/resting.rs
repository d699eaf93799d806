//! What rests by what a flow records: requests are sent before the answers to earlier ones are known, and an amendment
//! names the new whole quantity. Bounded by two numbers for each order that rests.

use std::collections::HashMap;

use lakh_engine::units::Lots;

use crate::flow::format::{Expectation, FlowCommand, NewOrderKind, Step};

/// A resting order as the flow records it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recorded {
    /// What it was placed with, less what it was reduced by: an amendment names the new whole.
    pub(crate) quantity: Lots,
    /// What is left of it: a reduction by all of it is a cancel.
    pub(crate) remaining: Lots,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RestingOrders(HashMap<u64, Recorded>);

impl RestingOrders {
    /// The order, or zeroes where none rests.
    pub(crate) fn recorded(&self, order: u64) -> Recorded {
        self.0.get(&order).copied().unwrap_or_default()
    }

    /// Takes in what the flow records of a command that was just sent.
    pub(crate) fn expect(&mut self, step: &Step) {
        let mut traded = Lots::ZERO;
        for (_, expectation) in &step.expectations {
            match expectation {
                Expectation::Fill { maker, quantity, .. } => {
                    traded = traded.checked_add(*quantity).unwrap_or(traded);
                    self.shrink(*maker, *quantity);
                }
                Expectation::Reject => return,
                Expectation::BestBidOffer { .. } | Expectation::Depth { .. } => {}
            }
        }
        match step.command {
            FlowCommand::New { kind: NewOrderKind::ImmediateOrCancel, .. } => {}
            FlowCommand::New { order, quantity, .. } => {
                self.0.insert(order, Recorded { quantity, remaining: quantity });
                self.shrink(order, traded);
            }
            FlowCommand::Reduce { order, quantity } => {
                if let Some(recorded) = self.0.get_mut(&order) {
                    recorded.quantity = Lots(recorded.quantity.raw().saturating_sub(quantity.raw()));
                }
                self.shrink(order, quantity);
            }
            FlowCommand::Cancel { order } => {
                self.0.remove(&order);
            }
        }
    }

    /// `quantity` of a resting order is gone; with nothing left it rests no more.
    fn shrink(&mut self, order: u64, quantity: Lots) {
        if let Some(recorded) = self.0.get_mut(&order) {
            recorded.remaining = Lots(recorded.remaining.raw().saturating_sub(quantity.raw()));
            if recorded.remaining.is_zero() {
                self.0.remove(&order);
            }
        }
    }
}
