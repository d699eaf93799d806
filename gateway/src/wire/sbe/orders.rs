//! What a client asks for: each message ends in a signature over its own bytes, so none of them has room for what
//! the venue does not know.

use zerocopy::little_endian::{U16, U32, U64};

block! {
    /// A new order.
    NewOrder = 10 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The account that the session's key trades for.
        account_id: U32 as accountId,
        /// Each of a key once.
        nonce: U64 as nonce,
        /// Refused once this time has come: above now, at most 60 s ahead.
        valid_until: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Side.
        side: u8 as Side,
        /// Type.
        order_type: u8 as OrderType,
        /// What becomes of the rest.
        time_in_force: u8 as TimeInForce,
        /// When it meets its own group.
        self_trade_mode: u8 as SelfTradeMode,
        /// Limit price; 0 for a market order within the band.
        price: U64 as ticks,
        /// Quantity; 0 with quoteBudget.
        quantity: U64 as lots,
        /// For an order that waits; else 0.
        trigger_price: U64 as ticks,
        /// How much of it the book shows at a time; 0 for all.
        display_quantity: U64 as lots,
        /// Quote atoms of a market order without quantity; else 0.
        quote_budget: U64 as atoms,
        /// For GoodTillDate; else 0.
        expires_at: U64 as nanoseconds,
        /// Unique among the account's live orders of the market.
        client_order_id: [u8; 24] as clientOrderId,
        /// Over the digest of everything between sendingTime and here.
        signature: [u8; 64] as signature,
    }
}

block! {
    /// Takes one order off.
    CancelOrder = 11 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The account that the session's key trades for.
        account_id: U32 as accountId,
        /// Each of a key once.
        nonce: U64 as nonce,
        /// Refused once this time has come: above now, at most 60 s ahead.
        valid_until: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Which; 0 to name it by clientOrderId.
        order_id: U64 as orderId,
        /// Which, where orderId is 0.
        client_order_id: [u8; 24] as clientOrderId,
        /// Over the digest of everything between sendingTime and here.
        signature: [u8; 64] as signature,
    }
}

block! {
    /// Takes one order off and places another one in the same market, with nothing in between.
    ReplaceOrder = 12 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The account that the session's key trades for.
        account_id: U32 as accountId,
        /// Each of a key once.
        nonce: U64 as nonce,
        /// Refused once this time has come: above now, at most 60 s ahead.
        valid_until: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Side.
        side: u8 as Side,
        /// Type.
        order_type: u8 as OrderType,
        /// What becomes of the rest.
        time_in_force: u8 as TimeInForce,
        /// When it meets its own group.
        self_trade_mode: u8 as SelfTradeMode,
        /// Limit price; 0 for a market order within the band.
        price: U64 as ticks,
        /// Quantity; 0 with quoteBudget.
        quantity: U64 as lots,
        /// For an order that waits; else 0.
        trigger_price: U64 as ticks,
        /// How much of it the book shows at a time; 0 for all.
        display_quantity: U64 as lots,
        /// Quote atoms of a market order without quantity; else 0.
        quote_budget: U64 as atoms,
        /// For GoodTillDate; else 0.
        expires_at: U64 as nanoseconds,
        /// Unique among the account's live orders of the market.
        client_order_id: [u8; 24] as clientOrderId,
        /// Which one goes; 0 to name it by targetClientOrderId.
        target_order_id: U64 as orderId,
        /// Which one goes, where targetOrderId is 0.
        target_client_order_id: [u8; 24] as clientOrderId,
        /// In what state it has to be.
        restriction: u8 as CancelRestriction,
        /// What becomes of one half when the other is refused.
        mode: u8 as ReplaceMode,
        /// Over the digest of everything between sendingTime and here.
        signature: [u8; 64] as signature,
    }
}

block! {
    /// Makes one order smaller; it keeps its place.
    AmendOrder = 13 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The account that the session's key trades for.
        account_id: U32 as accountId,
        /// Each of a key once.
        nonce: U64 as nonce,
        /// Refused once this time has come: above now, at most 60 s ahead.
        valid_until: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// Which; 0 to name it by clientOrderId.
        order_id: U64 as orderId,
        /// Which, where orderId is 0.
        client_order_id: [u8; 24] as clientOrderId,
        /// Its new whole quantity, what has traded included.
        new_quantity: U64 as lots,
        /// 0 for the price that it has.
        new_price: U64 as ticks,
        /// Over the digest of everything between sendingTime and here.
        signature: [u8; 64] as signature,
    }
}

block! {
    /// Takes all of the account's orders off.
    MassCancel = 14 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The account that the session's key trades for.
        account_id: U32 as accountId,
        /// Each of a key once.
        nonce: U64 as nonce,
        /// Refused once this time has come: above now, at most 60 s ahead.
        valid_until: U64 as nanoseconds,
        /// Where; 65535 for everywhere.
        market_id: U16 as marketId,
        /// On which sides.
        side: u8 as SideFilter,
        /// Over the digest of everything between sendingTime and here.
        signature: [u8; 64] as signature,
    }
}

block! {
    /// The dead-man timer: all of the account's orders go when so much time has passed.
    CancelAllAfter = 15 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The account that the session's key trades for.
        account_id: U32 as accountId,
        /// Each of a key once.
        nonce: U64 as nonce,
        /// Refused once this time has come: above now, at most 60 s ahead.
        valid_until: U64 as nanoseconds,
        /// In how many milliseconds; 0 takes the timer off.
        timeout: U32 as milliseconds,
        /// Over the digest of everything between sendingTime and here.
        signature: [u8; 64] as signature,
    }
}

block! {
    /// Sets two-sided quotes by slot.
    MassQuote = 16, group {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The account that the session's key trades for.
        account_id: U32 as accountId,
        /// Each of a key once.
        nonce: U64 as nonce,
        /// Refused once this time has come: above now, at most 60 s ahead.
        valid_until: U64 as nanoseconds,
        /// Where.
        market_id: U16 as marketId,
        /// LimitMaker or LimitMakerSlide.
        order_type: u8 as OrderType,
        /// When a quote meets its own group.
        self_trade_mode: u8 as SelfTradeMode,
        /// Over the digest of everything between sendingTime and here.
        signature: [u8; 64] as signature,
    }
}

block! {
    /// An entry of the group `quotes` of [`MassQuote`]: 1 to 32 quotes, each replacing what stood in its slot.
    QuoteEntry in MassQuote {
        /// 0 with bidQuantity 0.
        bid_price: U64 as ticks,
        /// 0 takes the bid off.
        bid_quantity: U64 as lots,
        /// 0 with askQuantity 0.
        ask_price: U64 as ticks,
        /// 0 takes the ask off.
        ask_quantity: U64 as lots,
        /// Which quote of the account.
        slot: U16 as slotId,
    }
}

block! {
    /// Up to 64 operations under one signature, each with a result of its own.
    OrderFrame = 17, group {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The account that the session's key trades for.
        account_id: U32 as accountId,
        /// Each of a key once.
        nonce: U64 as nonce,
        /// Refused once this time has come: above now, at most 60 s ahead.
        valid_until: U64 as nanoseconds,
        /// Over the digest of everything between sendingTime and here.
        signature: [u8; 64] as signature,
    }
}

block! {
    /// An entry of the group `operations` of [`OrderFrame`]: 1 to 64 operations, carried out in their order.
    OperationEntry in OrderFrame {
        /// Which of the fields count: those of the message of that name; all others are 0.
        kind: u8 as OperationKind,
        /// Where.
        market_id: U16 as marketId,
        /// Side.
        side: u8 as Side,
        /// Type.
        order_type: u8 as OrderType,
        /// What becomes of the rest.
        time_in_force: u8 as TimeInForce,
        /// When it meets its own group.
        self_trade_mode: u8 as SelfTradeMode,
        /// Limit price; 0 for a market order within the band.
        price: U64 as ticks,
        /// Quantity; 0 with quoteBudget.
        quantity: U64 as lots,
        /// For an order that waits; else 0.
        trigger_price: U64 as ticks,
        /// How much of it the book shows at a time; 0 for all.
        display_quantity: U64 as lots,
        /// Quote atoms of a market order without quantity; else 0.
        quote_budget: U64 as atoms,
        /// For GoodTillDate; else 0.
        expires_at: U64 as nanoseconds,
        /// Unique among the account's live orders of the market.
        client_order_id: [u8; 24] as clientOrderId,
        /// For all but Place: which order; 0 to name it by targetClientOrderId.
        target_order_id: U64 as orderId,
        /// For all but Place: which order, where targetOrderId is 0.
        target_client_order_id: [u8; 24] as clientOrderId,
        /// For Replace.
        restriction: u8 as CancelRestriction,
        /// For Replace.
        mode: u8 as ReplaceMode,
    }
}
