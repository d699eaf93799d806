//! A recorded flow as requests of a load: its commands in their order, without looking at what they are said to cause.
//!
//! One key sends all of them. Client ids are the flow's own numbers. The format has no times: see [`crate::flow::format`].
//! Bounds: the commands of one file in memory.

use std::collections::HashMap;
use std::path::Path;

use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks};

use crate::error::LoadtestError;
use crate::flow::format::{FlowCommand, FlowReader, NewOrderKind};
use crate::flow::resting::RestingOrders;
use crate::workload::{LoadOrder, LoadedOrder};

/// All commands of the flow at `path`.
///
/// # Errors
/// [`LoadtestError::Io`], [`LoadtestError::Format`].
pub fn recorded_orders(path: &Path) -> Result<Vec<LoadOrder>, LoadtestError> {
    let mut reader = FlowReader::open(path)?;
    let (mut resting, mut placed) = (RestingOrders::default(), HashMap::<u64, (Side, Ticks)>::new());
    let mut orders = Vec::new();
    while let Some(step) = reader.next_step()? {
        let known = |order: u64, quantity: Lots, placed: &HashMap<u64, (Side, Ticks)>| {
            let (side, price) = placed.get(&order).copied().unwrap_or((Side::Bid, Ticks::ZERO));
            LoadedOrder { number: order, market: 0, side, price, quantity }
        };
        orders.push(match step.command {
            FlowCommand::New { order, kind, side, price, quantity } => {
                placed.insert(order, (side, price));
                let order = LoadedOrder { number: order, market: 0, side, price, quantity };
                match kind {
                    NewOrderKind::Limit => LoadOrder::Cross(order),
                    NewOrderKind::ImmediateOrCancel => LoadOrder::Take(order),
                    NewOrderKind::PostOnly => LoadOrder::Maker(order),
                }
            }
            FlowCommand::Reduce { order, quantity } if quantity != resting.recorded(order).remaining => {
                let whole = Lots(resting.recorded(order).quantity.raw().saturating_sub(quantity.raw()));
                LoadOrder::Reduce { order: known(order, whole, &placed), by: quantity }
            }
            FlowCommand::Reduce { order, .. } | FlowCommand::Cancel { order } => {
                LoadOrder::Cancel(known(order, resting.recorded(order).quantity, &placed))
            }
        });
        resting.expect(&step);
    }
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_becomes_as_many_requests_as_it_has_commands() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sample.l3c");
        let orders = recorded_orders(Path::new(path)).expect("the sample is well-formed");
        assert_eq!(orders.len(), 475);
        let is_known = |order: &LoadOrder| match order {
            LoadOrder::Cancel(order) | LoadOrder::Reduce { order, .. } => {
                !order.price.is_zero() && !order.quantity.is_zero()
            }
            _ => true,
        };
        assert!(orders.iter().all(is_known), "each order that goes was placed before");
    }
}
