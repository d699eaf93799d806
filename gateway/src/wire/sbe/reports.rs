//! What a client is told of its account. All reports but [`BusinessReject`] begin alike, up to the account: what is
//! stamped for a session lies at the same place in each.

use zerocopy::little_endian::{I64, U16, U32, U64};

block! {
    /// Something happened to an order.
    ExecutionReport = 20 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The sequence number of this session's request that caused it; 0 for none of this session's.
        request_sequence: U64 as sequence,
        /// Counts the account's reports without gaps; what a resume names.
        account_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Whose.
        account_id: U32 as accountId,
        /// Where.
        market_id: U16 as marketId,
        /// What.
        execution_type: u8 as ExecutionType,
        /// How far the order has come.
        order_status: u8 as OrderStatus,
        /// Side.
        side: u8 as Side,
        /// Type.
        order_type: u8 as OrderType,
        /// Time in force.
        time_in_force: u8 as TimeInForce,
        /// When it meets its own group.
        self_trade_mode: u8 as SelfTradeMode,
        /// Which side of the trade the order was.
        role: u8 as TradeRole,
        /// Why it went without trading.
        cancel_reason: u8 as CancelReason,
        /// How far it can be relied on.
        finality: u8 as Finality,
        /// Which.
        order_id: U64 as orderId,
        /// Limit price; for a market order the bound that applied.
        price: U64 as ticks,
        /// Whole quantity, after amendments; 0 for an order by quote budget.
        quantity: U64 as lots,
        /// Price of the trade.
        last_price: U64 as ticks,
        /// Quantity of the trade, of the cancel or of the reduction.
        last_quantity: U64 as lots,
        /// What is left.
        remaining: U64 as lots,
        /// What has traded.
        executed: U64 as lots,
        /// Quote atoms that have traded, before fees.
        cumulative_quote: U64 as atoms,
        /// Fee of the trade.
        fee: I64 as signedAtoms,
        /// The trade.
        trade_id: U64 as tradeId,
        /// The client's id.
        client_order_id: [u8; 36] as longClientOrderId,
    }
}

block! {
    /// The engine refused a request; nothing changed.
    RequestRejected = 21 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The sequence number of this session's request that caused it; 0 for none of this session's.
        request_sequence: U64 as sequence,
        /// Counts the account's reports without gaps; what a resume names.
        account_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Whose.
        account_id: U32 as accountId,
        /// The market that was named; 65535 for none.
        market_id: U16 as marketId,
        /// Why.
        code: U16 as code,
        /// The live order that has the client id already; else 0.
        order_id: U64 as orderId,
        /// The client id that was named.
        client_order_id: [u8; 36] as longClientOrderId,
    }
}

block! {
    /// A mass cancel was taken on; a report for each order follows.
    MassCancelAccepted = 22 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The sequence number of this session's request that caused it; 0 for none of this session's.
        request_sequence: U64 as sequence,
        /// Counts the account's reports without gaps; what a resume names.
        account_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Whose.
        account_id: U32 as accountId,
        /// Where; 65535 for everywhere.
        market_id: U16 as marketId,
    }
}

block! {
    /// Money came or went.
    FundsChanged = 23 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The sequence number of this session's request that caused it; 0 for none of this session's.
        request_sequence: U64 as sequence,
        /// Counts the account's reports without gaps; what a resume names.
        account_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Whose.
        account_id: U32 as accountId,
        /// Of what.
        asset_id: U16 as assetId,
        /// Which way.
        direction: u8 as Direction,
        /// How much.
        amount: U64 as atoms,
    }
}

block! {
    /// How the halves of a replace went.
    ReplaceResult = 24 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The sequence number of this session's request that caused it; 0 for none of this session's.
        request_sequence: U64 as sequence,
        /// Counts the account's reports without gaps; what a resume names.
        account_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Whose.
        account_id: U32 as accountId,
        /// Where.
        market_id: U16 as marketId,
        /// Why the cancel came to nothing; 0 where it did not.
        cancel_code: U16 as code,
        /// Why the new order came to nothing; 0 where it did not.
        order_code: U16 as code,
    }
}

block! {
    /// A frame was taken on; its operations' reports follow.
    FrameAccepted = 25 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The sequence number of this session's request that caused it; 0 for none of this session's.
        request_sequence: U64 as sequence,
        /// Counts the account's reports without gaps; what a resume names.
        account_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Whose.
        account_id: U32 as accountId,
        /// How many.
        operations: u8 as count8,
    }
}

block! {
    /// An operation of a frame is done; its own reports stand before this one.
    OperationResult = 26 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The sequence number of this session's request that caused it; 0 for none of this session's.
        request_sequence: U64 as sequence,
        /// Counts the account's reports without gaps; what a resume names.
        account_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Whose.
        account_id: U32 as accountId,
        /// The journal sequence of the frame.
        frame_sequence: U64 as sequence,
        /// The live order that has the client id already; else 0.
        order_id: U64 as orderId,
        /// Why it came to nothing; 0 where it was carried out.
        code: U16 as code,
        /// Which operation, from 0.
        index: u8 as count8,
    }
}

block! {
    /// The dead-man timer was set or taken off.
    CancelTimerSet = 27 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The sequence number of this session's request that caused it; 0 for none of this session's.
        request_sequence: U64 as sequence,
        /// Counts the account's reports without gaps; what a resume names.
        account_sequence: U64 as sequence,
        /// Place in the journal of the command that caused it.
        journal_sequence: U64 as sequence,
        /// Time of that command.
        transact_time: U64 as nanoseconds,
        /// Whose.
        account_id: U32 as accountId,
        /// When all orders go; 0 for never.
        cancel_at: U64 as nanoseconds,
    }
}

block! {
    /// The gateway refused a request: it is not in the journal and used nothing up. No report of the account.
    BusinessReject = 28 {
        /// Of the sender in this session, from 1 without gaps.
        sequence_number: U64 as sequence,
        /// When it was sent, by the sender's clock.
        sending_time: U64 as nanoseconds,
        /// The sequence number of the request.
        request_sequence: U64 as sequence,
        /// Why.
        code: U16 as code,
        /// When it may be tried again; 0 for no advice.
        retry_after: U32 as milliseconds,
        /// The code's name.
        text: [u8; 40] as text,
    }
}
