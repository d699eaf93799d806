//! Market data as frames: changes for each channel, books as they are, what is traded, and answers.

use std::sync::Arc;

use lakh_engine::ids::MarketId;
use lakh_engine::units::Ticks;

use crate::directory::MarketEntry;
use crate::market_data::book::{Book, Level, LevelKey};
use crate::market_data::public_orders::{Change, ChangeKind, PublicOrder, PublicOrders};
use crate::reports::Stamp;
use crate::wire::sbe::enums::{Channel, WireEnum};
use crate::wire::sbe::market::{
    LevelChanged, LevelEntry, MarketDataAnswer, MarketDefinition, MarketStatus, OrderAdded, OrderDeleted, OrderEntry,
    OrderExecuted, OrderReduced, SnapshotBegin, SnapshotEnd, SnapshotLevels, SnapshotOrders, TradeReported,
};
use crate::wire::sbe::{padded, put, put_with_group};
use lakh_engine::command::Side;

/// Entries of one message of a snapshot.
const ENTRIES: usize = 255;

/// Fills the fields that each message of a market begins with.
macro_rules! market_message {
    ($name:ident, ($market:expr, $feed_sequence:expr, $stamp:expr), { $($field:ident: $value:expr,)* }) => {
        $name {
            sequence_number: 0.into(),
            sending_time: 0.into(),
            feed_sequence: $feed_sequence.into(),
            journal_sequence: $stamp.sequence.0.into(),
            transact_time: $stamp.timestamp.0.into(),
            market_id: $market.0.into(),
            $($field: $value.into(),)*
        }
    };
}

/// A change to be written.
pub(super) struct ChangeWriter<'a> {
    pub(super) market: MarketId,
    pub(super) change: &'a Change,
}

impl ChangeWriter<'_> {
    /// Appends what the change is on a channel; nothing where it is nothing there.
    pub(super) fn write(&self, channel: Channel, out: &mut Vec<u8>) {
        let place = (self.market, self.change.feed_sequence, self.change.stamp);
        match (channel, self.change.kind) {
            (Channel::Orders | Channel::Levels | Channel::Status, ChangeKind::Status(state)) => {
                put(out, &market_message!(MarketStatus, (place.0, place.1, place.2), { state: state.wire(), }));
            }
            (Channel::Orders, kind) => order_change(place, kind, out),
            (Channel::Levels, _) => {
                if let Some(changed) = self.change.level {
                    level(place.0, (place.1, place.2), changed, place.1 - 1, out);
                }
            }
            (Channel::Trades, ChangeKind::Executed { order, quantity, trade }) => {
                let message = market_message!(TradeReported, (place.0, place.1, place.2), {
                    taker_side: order.side.opposite().wire(),
                    price: order.price.0,
                    quantity: quantity.0,
                    trade_id: trade.0,
                });
                put(out, &message);
            }
            (Channel::Trades | Channel::Status, _) => {}
        }
    }
}

fn order_change(place: (MarketId, u64, Stamp), kind: ChangeKind, out: &mut Vec<u8>) {
    let place = (place.0, place.1, place.2);
    match kind {
        ChangeKind::Added(order) => {
            let message = market_message!(OrderAdded, (place.0, place.1, place.2), {
                side: order.side.wire(),
                public_order_id: order.name,
                price: order.price.0,
                quantity: order.quantity.0,
            });
            put(out, &message);
        }
        ChangeKind::Executed { order, quantity, trade } => {
            let message = market_message!(OrderExecuted, (place.0, place.1, place.2), {
                side: order.side.wire(),
                public_order_id: order.name,
                price: order.price.0,
                quantity: quantity.0,
                remaining: order.quantity.0,
                trade_id: trade.0,
            });
            put(out, &message);
        }
        ChangeKind::Reduced { order, quantity } => {
            let message = market_message!(OrderReduced, (place.0, place.1, place.2), {
                side: order.side.wire(),
                public_order_id: order.name,
                price: order.price.0,
                quantity: quantity.0,
                remaining: order.quantity.0,
            });
            put(out, &message);
        }
        ChangeKind::Deleted(order) => {
            let message = market_message!(OrderDeleted, (place.0, place.1, place.2), {
                side: order.side.wire(),
                public_order_id: order.name,
                price: order.price.0,
                quantity: order.quantity.0,
            });
            put(out, &message);
        }
        // Written for every channel alike.
        ChangeKind::Status(_) => {}
    }
}

/// Appends what rests at a price.
pub(super) fn level(
    market: MarketId,
    (feed_sequence, stamp): (u64, Stamp),
    (key, level): (LevelKey, Level),
    previous: u64,
    out: &mut Vec<u8>,
) {
    let message = market_message!(LevelChanged, (market, feed_sequence, stamp), {
        side: key.side.wire(),
        price: key.price.0,
        quantity: level.quantity.0,
        orders: level.order_count,
        previous_feed_sequence: previous,
    });
    put(out, &message);
}

/// Appends the whole book by order.
pub(super) fn orders(market: MarketId, orders: &PublicOrders, out: &mut Vec<u8>) {
    let sorted = orders.sorted();
    begin(market, orders, (Channel::Orders, sorted.len()), out);
    let place = (orders.feed_sequence(), orders.latest());
    for part in sorted.chunks(ENTRIES) {
        let entries: Vec<OrderEntry> = part.iter().map(order_entry).collect();
        put_with_group(out, &market_message!(SnapshotOrders, (market, place.0, place.1), {}), &entries);
    }
    end(market, orders, (Channel::Orders, sorted.len()), out);
}

fn order_entry(order: &PublicOrder) -> OrderEntry {
    OrderEntry {
        public_order_id: order.name.into(),
        price: order.price.0.into(),
        quantity: order.quantity.0.into(),
        side: order.side.wire(),
    }
}

/// Appends the whole book by price level.
pub(super) fn levels(market: MarketId, (orders, book): (&PublicOrders, &Book), out: &mut Vec<u8>) {
    let entry = |side: Side| {
        move |(price, level): (Ticks, Level)| LevelEntry {
            price: price.0.into(),
            quantity: level.quantity.0.into(),
            orders: level.order_count.into(),
            side: side.wire(),
        }
    };
    let entries: Vec<LevelEntry> = book.bids().map(entry(Side::Bid)).chain(book.asks().map(entry(Side::Ask))).collect();
    begin(market, orders, (Channel::Levels, entries.len()), out);
    let place = (orders.feed_sequence(), orders.latest());
    for part in entries.chunks(ENTRIES) {
        put_with_group(out, &market_message!(SnapshotLevels, (market, place.0, place.1), {}), part);
    }
    end(market, orders, (Channel::Levels, entries.len()), out);
}

fn begin(market: MarketId, orders: &PublicOrders, (channel, entries): (Channel, usize), out: &mut Vec<u8>) {
    let message = market_message!(SnapshotBegin, (market, orders.feed_sequence(), orders.latest()), {
        channel: channel.wire(),
        state: orders.state().wire(),
        entries: count(entries),
    });
    put(out, &message);
}

fn end(market: MarketId, orders: &PublicOrders, (channel, entries): (Channel, usize), out: &mut Vec<u8>) {
    let message = market_message!(SnapshotEnd, (market, orders.feed_sequence(), orders.latest()), {
        channel: channel.wire(),
        entries: count(entries),
    });
    put(out, &message);
}

fn count(entries: usize) -> u32 {
    u32::try_from(entries).expect("a book has at most 2^26 orders")
}

/// Appends that a request about a channel is done, or why not: number of the request, last change, code.
pub(super) fn answer(
    market: MarketId,
    channel: Channel,
    (request, feed_sequence, code): (u32, u64, u16),
    out: &mut Vec<u8>,
) {
    put(
        out,
        &MarketDataAnswer {
            sequence_number: 0.into(),
            sending_time: 0.into(),
            request_sequence: u64::from(request).into(),
            feed_sequence: feed_sequence.into(),
            market_id: market.0.into(),
            code: code.into(),
            channel: channel.wire(),
        },
    );
}

/// Appends what these markets are.
pub(super) fn definitions(entries: &[&Arc<MarketEntry>], request: u32, out: &mut Vec<u8>) {
    for (index, entry) in entries.iter().enumerate() {
        let spec = &entry.spec;
        let following = u16::try_from(entries.len() - 1 - index).expect("at most 1,024 markets");
        put(
            out,
            &MarketDefinition {
                sequence_number: 0.into(),
                sending_time: 0.into(),
                request_sequence: u64::from(request).into(),
                max_price: spec.max_price.0.into(),
                min_quantity: spec.min_quantity.0.into(),
                max_quantity: spec.max_quantity.0.into(),
                min_notional: spec.min_notional.0.into(),
                tick_size: spec.tick_size_e8.into(),
                base_atoms_per_lot: spec.base_atoms_per_lot.into(),
                quote_atoms_per_tick_lot: spec.quote_atoms_per_tick_lot.into(),
                maker_fee: spec.maker_fee.0.into(),
                taker_fee: spec.taker_fee.0.into(),
                market_id: spec.market.0.into(),
                base_asset: spec.base.0.into(),
                quote_asset: spec.quote.0.into(),
                following: following.into(),
                symbol: padded(spec.symbol.as_bytes()),
                base_symbol: padded(entry.base.symbol.as_bytes()),
                quote_symbol: padded(entry.quote.symbol.as_bytes()),
                base_decimals: entry.base.decimals,
                quote_decimals: entry.quote.decimals,
                state: entry.state.wire(),
            },
        );
    }
}
