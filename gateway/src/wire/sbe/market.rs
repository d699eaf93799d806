//! Market data: who asks for what, and what the public is told.

use zerocopy::little_endian::{I32, U16, U32, U64};

block! {
    /// Client to venue: asks what is traded.
    MarketListRequest = 40 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Which; 65535 for all.
        market_id: U16 as marketId,
    }
}

block! {
    /// A market: what its ticks and lots are worth.
    MarketDefinition = 41 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Of the request.
        request_sequence: U64 as sequence,
        /// Highest price of an order.
        max_price: U64 as ticks,
        /// Smallest quantity of an order.
        min_quantity: U64 as lots,
        /// Largest quantity of an order.
        max_quantity: U64 as lots,
        /// Smallest price times quantity of an order.
        min_notional: U64 as atoms,
        /// Price of one tick, in 10^-8 quote units for one base unit.
        tick_size: U64 as sequence,
        /// What one lot is worth.
        base_atoms_per_lot: U64 as atoms,
        /// What one lot is worth at one tick.
        quote_atoms_per_tick_lot: U64 as atoms,
        /// Of the resting side.
        maker_fee: I32 as feeRate,
        /// Of the incoming side.
        taker_fee: I32 as feeRate,
        /// Its number.
        market_id: U16 as marketId,
        /// What is bought and sold.
        base_asset: U16 as assetId,
        /// What it is paid in.
        quote_asset: U16 as assetId,
        /// How many more definitions follow for this request.
        following: U16 as marketId,
        /// Its name.
        symbol: [u8; 16] as symbol,
        /// The base asset's name.
        base_symbol: [u8; 16] as symbol,
        /// The quote asset's name.
        quote_symbol: [u8; 16] as symbol,
        /// An atom of the base asset is 10^-decimals.
        base_decimals: u8 as decimals,
        /// An atom of the quote asset is 10^-decimals.
        quote_decimals: u8 as decimals,
        /// Its state.
        state: u8 as MarketState,
    }
}

block! {
    /// Client to venue: asks for a channel of a market.
    MarketDataSubscribe = 42 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// For AfterSequence: the last change that the client has.
        feed_sequence: U64 as sequence,
        /// For Levels: least time between two messages of one price; 0 for every change.
        conflation: U32 as milliseconds,
        /// Which market.
        market_id: U16 as marketId,
        /// Which channel.
        channel: u8 as Channel,
        /// Where it starts.
        start: u8 as StartMode,
    }
}

block! {
    /// Client to venue: ends that.
    MarketDataUnsubscribe = 43 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Which market.
        market_id: U16 as marketId,
        /// Which channel.
        channel: u8 as Channel,
    }
}

block! {
    /// Client to venue: asks for changes again.
    GapFillRequest = 44 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The first.
        first_feed_sequence: U64 as sequence,
        /// The last: at most 65,536 changes.
        last_feed_sequence: U64 as sequence,
        /// Which market.
        market_id: U16 as marketId,
        /// Which channel.
        channel: u8 as Channel,
    }
}

block! {
    /// A market data request is done, or why not.
    MarketDataAnswer = 45 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Of the request.
        request_sequence: U64 as sequence,
        /// The market's last change so far.
        feed_sequence: U64 as sequence,
        /// Which market.
        market_id: U16 as marketId,
        /// Why not; 0 where it is done.
        code: U16 as code,
        /// Which channel.
        channel: u8 as Channel,
    }
}

block! {
    /// Orders: a part of an order is on the book, behind all others of its price.
    OrderAdded = 50 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Side.
        side: u8 as Side,
        /// Its name from here on.
        public_order_id: U64 as publicOrderId,
        /// Price.
        price: U64 as ticks,
        /// How much is shown.
        quantity: U64 as lots,
    }
}

block! {
    /// Orders: a resting order traded.
    OrderExecuted = 51 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Side of the resting order.
        side: u8 as Side,
        /// Which.
        public_order_id: U64 as publicOrderId,
        /// Price.
        price: U64 as ticks,
        /// How much traded.
        quantity: U64 as lots,
        /// What is still shown; 0 removes it.
        remaining: U64 as lots,
        /// The trade.
        trade_id: U64 as tradeId,
    }
}

block! {
    /// Orders: a resting order became smaller and kept its place.
    OrderReduced = 52 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Side.
        side: u8 as Side,
        /// Which.
        public_order_id: U64 as publicOrderId,
        /// Price.
        price: U64 as ticks,
        /// By how much.
        quantity: U64 as lots,
        /// What is still shown.
        remaining: U64 as lots,
    }
}

block! {
    /// Orders: a resting order is gone without trading.
    OrderDeleted = 53 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Side.
        side: u8 as Side,
        /// Which.
        public_order_id: U64 as publicOrderId,
        /// Price.
        price: U64 as ticks,
        /// What was shown.
        quantity: U64 as lots,
    }
}

block! {
    /// Orders, Levels, Status: a market's state changed.
    MarketStatus = 54 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Its state.
        state: u8 as MarketState,
    }
}

block! {
    /// Levels: what rests at a price.
    LevelChanged = 55 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Side.
        side: u8 as Side,
        /// Price.
        price: U64 as ticks,
        /// All of it; 0 removes the level.
        quantity: U64 as lots,
        /// How many orders.
        orders: U32 as count32,
        /// Of this channel's message before; without conflation feedSequence - 1.
        previous_feed_sequence: U64 as sequence,
    }
}

block! {
    /// Trades: a trade.
    TradeReported = 56 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Side of the incoming order.
        taker_side: u8 as Side,
        /// Price.
        price: U64 as ticks,
        /// How much.
        quantity: U64 as lots,
        /// Its number: contiguous on this channel.
        trade_id: U64 as tradeId,
    }
}

block! {
    /// A book follows, as it is behind feedSequence.
    SnapshotBegin = 57 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Orders or Levels.
        channel: u8 as Channel,
        /// The market's state.
        state: u8 as MarketState,
        /// How many entries follow.
        entries: U32 as count32,
    }
}

block! {
    /// Part of a snapshot of Orders: best price first, then first come first.
    SnapshotOrders = 58, group {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
    }
}

block! {
    /// An entry of the group `orders` of [`SnapshotOrders`]: 1 to 255 orders.
    OrderEntry in SnapshotOrders {
        /// Its name.
        public_order_id: U64 as publicOrderId,
        /// Price.
        price: U64 as ticks,
        /// How much is shown.
        quantity: U64 as lots,
        /// Side.
        side: u8 as Side,
    }
}

block! {
    /// Part of a snapshot of Levels: best price first.
    SnapshotLevels = 59, group {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
    }
}

block! {
    /// An entry of the group `levels` of [`SnapshotLevels`]: 1 to 255 levels.
    LevelEntry in SnapshotLevels {
        /// Price.
        price: U64 as ticks,
        /// All of it.
        quantity: U64 as lots,
        /// How many orders.
        orders: U32 as count32,
        /// Side.
        side: u8 as Side,
    }
}

block! {
    /// The snapshot is complete.
    SnapshotEnd = 60 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// Counts the market's public changes without gaps; the same on every channel.
        feed_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Orders or Levels.
        channel: u8 as Channel,
        /// How many entries there were.
        entries: U32 as count32,
    }
}
