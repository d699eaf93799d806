//! What stands on the venue's books before the load, and what it shows there afterwards. Both over the binary port.
//!
//! Before: a wall on each side of each market, which nobody takes off, and as many resting orders beyond as the options
//! say, in frames of 64. After: a snapshot of every level of every market, asked for by a session of its own.

use std::net::SocketAddr;
use std::time::Duration;

use lakh_engine::command::{FrameOperation, Side};
use lakh_engine::ids::MarketId;
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::binary_client::{BinaryClient, BinaryClientError, LogonOptions, Message, now};
use lakh_gateway::wire::sbe::encode::name_of;
use lakh_gateway::wire::sbe::enums::{Channel, SessionRole};

use crate::client::Trader;
use crate::error::LoadtestError;
use crate::load::binary_requests::operation;
use crate::load::own_book::{OwnBook, ShownLevels, side_index};
use crate::workload::{LoadOrder, LoadedOrder, WorkloadOptions};

/// Operations of one frame.
const FRAME: usize = 64;
/// Frames of one key that are under way at once.
const WINDOW: usize = 8;
/// Prices beyond the wall that resting orders are spread over, on each side.
pub(crate) const RESTING_TICKS: u64 = 2_000;
/// In front of the client ids of what stands there before.
const RUN: &str = "rest";
/// How long the venue may be silent while an answer is due.
const PATIENCE: Duration = Duration::from_secs(60);
/// Quantity of a wall, in lots; nobody trades with it.
const WALL_LOTS: u64 = 1_000;

fn failed(error: BinaryClientError) -> LoadtestError {
    LoadtestError::connection("binary session", error)
}

/// The walls of all markets.
fn walls(options: &WorkloadOptions) -> impl Iterator<Item = LoadedOrder> {
    let (mid, wall) = (options.mid_ticks, options.wall_ticks());
    let markets = (0..options.markets).flat_map(|market| [(market, Side::Bid), (market, Side::Ask)]);
    (0..).zip(markets).map(move |(number, (market, side))| {
        let price = Ticks(if side == Side::Bid { mid - wall } else { mid + wall });
        LoadedOrder { number, market, side, price, quantity: Lots(WALL_LOTS) }
    })
}

/// Resting order `index` of all, numbered `number` by its key.
fn resting(options: &WorkloadOptions, index: u64, number: u64) -> LoadedOrder {
    let markets = u64::from(options.markets);
    let market = u16::try_from(index % markets).expect("a market's number");
    let side = if index / markets % 2 == 0 { Side::Bid } else { Side::Ask };
    let distance = options.wall_ticks() + 1 + index / (2 * markets) % RESTING_TICKS;
    let price = Ticks(if side == Side::Bid { options.mid_ticks - distance } else { options.mid_ticks + distance });
    LoadedOrder { number, market, side, price, quantity: Lots(1 + index % options.max_quantity_lots) }
}

/// Places the walls by the first key and `resting_orders` by all keys in turn, and enters them into the own book.
pub(crate) async fn prepare(
    (address, venue_tag): (SocketAddr, [u8; 16]),
    traders: &[Trader],
    (options, resting_orders): (&WorkloadOptions, u64),
    book: &mut OwnBook,
) -> Result<(), LoadtestError> {
    let walls: Vec<LoadedOrder> = walls(options).collect();
    for (key, trader) in (0_u64..).zip(traders) {
        let keys = traders.len() as u64;
        let own_walls = if key == 0 { walls.len() } else { 0 };
        let first_number = walls.len() as u64;
        let own = (key..resting_orders).step_by(usize::try_from(keys).expect("a count of keys"));
        let own = (first_number..).zip(own).map(|(number, index)| resting(options, index, number));
        let orders: Vec<LoadedOrder> = walls[..own_walls].iter().copied().chain(own).collect();
        if !orders.is_empty() {
            place_all((address, venue_tag), trader, &orders).await?;
        }
        for order in orders {
            book.add(order.market, side_index(order.side), order.price, order.quantity);
        }
    }
    Ok(())
}

/// Places orders that do not trade, in frames; each has to be taken.
async fn place_all(
    (address, venue_tag): (SocketAddr, [u8; 16]),
    trader: &Trader,
    orders: &[LoadedOrder],
) -> Result<(), LoadtestError> {
    let (mut client, _) =
        BinaryClient::connect(address, trader.signing_key(), &LogonOptions::new(venue_tag)).await.map_err(failed)?;
    let mut outstanding = 0;
    for frame in orders.chunks(FRAME) {
        let operations: Vec<FrameOperation> =
            frame.iter().map(|order| operation(&LoadOrder::Add(*order), RUN)).collect();
        client.requests().frame(&operations, now());
        client.flush().await.map_err(failed)?;
        outstanding += frame.len();
        while outstanding > WINDOW * FRAME {
            outstanding -= take_result(&mut client).await?;
        }
    }
    while outstanding > 0 {
        outstanding -= take_result(&mut client).await?;
    }
    client.requests().log_out(now());
    client.flush().await.map_err(failed)
}

/// How many operations the next message says are done.
async fn take_result(client: &mut BinaryClient) -> Result<usize, LoadtestError> {
    match next(client).await? {
        Message::OperationResult(result) if result.code.get() == 0 => Ok(1),
        Message::OperationResult(result) => Err(refused(result.code.get())),
        Message::RequestRejected(rejected) => Err(refused(rejected.code.get())),
        Message::BusinessReject(rejected) => Err(refused(rejected.code.get())),
        _ => Ok(0),
    }
}

fn refused(code: u16) -> LoadtestError {
    let message = format!("{} before the load, while books were filled", name_of(code));
    LoadtestError::Refused { line: 0, code: i64::from(code), message }
}

async fn next(client: &mut BinaryClient) -> Result<Message, LoadtestError> {
    let next = tokio::time::timeout(PATIENCE, client.next()).await;
    next.map_err(|_| LoadtestError::TimedOut { seconds: PATIENCE.as_secs() })?.map_err(failed)
}

/// All levels of all markets as the venue shows them, and how many orders it says rest there.
pub(crate) async fn shown(
    (address, venue_tag): (SocketAddr, [u8; 16]),
    trader: &Trader,
    markets: u16,
) -> Result<(ShownLevels, u64), LoadtestError> {
    let options = LogonOptions { role: SessionRole::MarketData, ..LogonOptions::new(venue_tag) };
    let (mut client, _) = BinaryClient::connect(address, trader.signing_key(), &options).await.map_err(failed)?;
    let (mut levels, mut orders) = (ShownLevels::new(), 0);
    for market in 0..markets {
        client.requests().subscribe(MarketId(market), Channel::Levels, None, now());
        client.flush().await.map_err(failed)?;
        loop {
            match next(&mut client).await? {
                Message::SnapshotLevels(head, entries) if head.market_id.get() == market => {
                    for entry in entries {
                        orders += u64::from(entry.orders.get());
                        levels.insert((market, entry.side, entry.price.get()), entry.quantity.get());
                    }
                }
                Message::SnapshotEnd(end) if end.market_id.get() == market => break,
                Message::MarketDataAnswer(answer) if answer.code.get() != 0 => {
                    return Err(LoadtestError::Protocol(format!("no snapshot: {}", name_of(answer.code.get()))));
                }
                _ => {}
            }
        }
    }
    client.requests().log_out(now());
    client.flush().await.map_err(failed)?;
    Ok((levels, orders))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rests_before_is_out_of_the_loads_reach_and_on_both_sides() {
        let options = WorkloadOptions { markets: 3, ..WorkloadOptions::default() };
        let orders: Vec<LoadedOrder> =
            walls(&options).chain((0..6_000).map(|index| resting(&options, index, index))).collect();
        let mut seen = std::collections::BTreeMap::new();
        for order in orders {
            let (low, high) = (options.mid_ticks - options.depth_ticks, options.mid_ticks + options.depth_ticks);
            assert!(
                if order.side == Side::Bid { order.price.raw() < low } else { order.price.raw() > high },
                "{order:?}"
            );
            *seen.entry((order.market, side_index(order.side))).or_insert(0) += 1;
        }
        assert_eq!(seen.into_values().collect::<Vec<_>>(), [1_001; 6]);
    }
}
