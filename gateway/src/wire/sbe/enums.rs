//! Values of one byte, and the reasons for refusals: numbers that never change.

use lakh_engine::command::{CancelRestriction, MarketState, OrderType, ReplaceMode, SelfTradeMode, Side, TimeInForce};
use lakh_engine::event::CancelReason;

use crate::api_error::ApiError;
use crate::order_state::OrderStatus;

/// A value of one byte.
pub trait WireEnum: Copy + Sized + 'static {
    /// Its name in the schema.
    const NAME: &'static str;
    /// Every value with its number.
    const ALL: &'static [(Self, u8)];

    /// The value with this number.
    ///
    /// # Errors
    /// [`Code::BadEnum`] for a number that means nothing.
    fn from_wire(byte: u8) -> Result<Self, Code>;

    /// Its number.
    fn wire(self) -> u8;
}

/// Gives an enumeration of the engine or the read models its numbers on the wire.
macro_rules! wire_numbers {
    ($name:ident { $($value:ident = $number:literal,)* }) => {
        impl WireEnum for $name {
            const NAME: &'static str = stringify!($name);
            const ALL: &'static [(Self, u8)] = &[$(($name::$value, $number),)*];

            fn from_wire(byte: u8) -> Result<Self, Code> {
                match byte {
                    $($number => Ok($name::$value),)*
                    _ => Err(Code::BadEnum),
                }
            }

            fn wire(self) -> u8 {
                match self {
                    $($name::$value => $number,)*
                }
            }
        }
    };
}

/// Declares an enumeration that only the wire has.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$value_doc])* $value,)*
        }

        wire_numbers! { $name { $($value = $number,)* } }

        impl TryFrom<u8> for $name {
            type Error = Code;

            fn try_from(byte: u8) -> Result<Self, Code> {
                Self::from_wire(byte)
            }
        }
    };
}

wire_numbers! { Side { Bid = 0, Ask = 1, } }
wire_numbers! {
    OrderType {
        Limit = 0, LimitMaker = 1, Market = 2, StopLoss = 3, StopLossLimit = 4, TakeProfit = 5, TakeProfitLimit = 6,
        LimitMakerSlide = 7,
    }
}
wire_numbers! { TimeInForce { GoodTillCancel = 0, ImmediateOrCancel = 1, FillOrKill = 2, GoodTillDate = 3, } }
wire_numbers! { SelfTradeMode { None = 0, ExpireTaker = 1, ExpireMaker = 2, ExpireBoth = 3, Decrement = 4, } }
wire_numbers! { CancelRestriction { None = 0, OnlyNew = 1, OnlyPartiallyFilled = 2, } }
wire_numbers! { ReplaceMode { StopOnFailure = 0, AllowFailure = 1, } }
wire_numbers! { MarketState { PreOpen = 0, PostOnly = 1, Open = 2, CancelOnly = 3, Halt = 4, } }
wire_numbers! {
    OrderStatus { New = 0, PartiallyFilled = 1, Filled = 2, Canceled = 3, Expired = 4, ExpiredInMatch = 5, }
}
wire_numbers! {
    CancelReason {
        Requested = 0, MassCancel = 1, NotFilled = 2, FillOrKill = 3, SelfTrade = 4, MaxFills = 5, Expired = 6,
        LevelsFull = 7, Amended = 8, Requoted = 9,
    }
}

/// In place of a [`CancelReason`] where nothing was cancelled.
pub const NO_CANCEL_REASON: u8 = 255;
/// In place of a market: all of them, or none.
pub const ALL_MARKETS: u16 = u16::MAX;

wire_enum! {
    /// Which sides are meant.
    SideFilter {
        /// Bids.
        Bid = 0,
        /// Asks.
        Ask = 1,
        /// All.
        Both = 2,
    }
}

wire_enum! {
    /// What an operation of a frame does.
    OperationKind {
        /// A new order.
        Place = 0,
        /// Takes one order off.
        Cancel = 1,
        /// Makes one order smaller.
        Amend = 2,
        /// Takes one order off and places another one.
        Replace = 3,
    }
}

wire_enum! {
    /// What a session is for.
    SessionRole {
        /// Order entry, reports and market data.
        Trading = 0,
        /// Reports and market data.
        DropCopy = 1,
        /// Market data.
        MarketData = 2,
    }
}

wire_enum! {
    /// What becomes of the account's orders when its last session ends.
    DisconnectChoice {
        /// As it was.
        Unchanged = 0,
        /// They go.
        CancelAll = 1,
        /// They stay.
        Keep = 2,
    }
}

wire_enum! {
    /// What happened to an order.
    ExecutionType {
        /// It was accepted.
        New = 0,
        /// It traded.
        Trade = 1,
        /// What was left is gone.
        Canceled = 2,
        /// It is smaller without having traded.
        Reduced = 3,
        /// Its trigger price was reached.
        Triggered = 4,
    }
}

wire_enum! {
    /// Which side of a trade an order was.
    TradeRole {
        /// No trade.
        None = 0,
        /// The resting one.
        Maker = 1,
        /// The incoming one.
        Taker = 2,
    }
}

wire_enum! {
    /// How far what happened can be relied on.
    Finality {
        /// The engine has it.
        Acknowledged = 0,
        /// The journal has it, to the configured level.
        Durable = 1,
        /// The settlement chain has it.
        Committed = 2,
        /// The settlement chain has it for good.
        Final = 3,
    }
}

wire_enum! {
    /// Which way money went.
    Direction {
        /// To the account.
        In = 0,
        /// From the account.
        Out = 1,
    }
}

wire_enum! {
    /// What of a market is told.
    Channel {
        /// L3: every order.
        Orders = 0,
        /// L2: price levels.
        Levels = 1,
        /// Trades.
        Trades = 2,
        /// The market's state.
        Status = 3,
    }
}

wire_enum! {
    /// Where a subscription starts.
    StartMode {
        /// With the book of now.
        Snapshot = 0,
        /// Behind a change that the client has.
        AfterSequence = 1,
        /// With the next change.
        Live = 2,
    }
}

/// Declares the codes once: enum, number and name.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why the gateway does not take a message, or ends a session. The engine's own reasons are below 100:
        /// [`lakh_engine::reject::RejectCode`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Code {
            $($(#[$doc])* $name = $code,)*
        }

        impl Code {
            /// Every code, lowest first.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its number.
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// The code with this number.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its name, as messages and documents spell it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

codes! {
    /// A frame's length is out of range, or does not fit what is in it.
    BadLength = 100,
    /// The frame's encoding type is not little-endian SBE 1.0.
    BadEncoding = 101,
    /// Another schema.
    BadSchema = 102,
    /// A version that the venue does not take for this message.
    BadVersion = 103,
    /// No such message, or none that a client may send.
    BadTemplate = 104,
    /// The block is not as long as the message's.
    BadBlockLength = 105,
    /// A number that means nothing in its field.
    BadEnum = 106,
    /// A text with other characters than it may have, or something behind its zeroes.
    BadText = 107,
    /// A group that is empty, too long, or not as long as it says.
    BadGroup = 108,
    /// The message's number is above the next one.
    SequenceGap = 109,
    /// The message's number was used before.
    SequenceRepeated = 110,
    /// The first message has to be a logon.
    NotLoggedOn = 111,
    /// There was a logon before.
    LoggedOnAlready = 112,
    /// The logon's signature is not accepted, or it was used before.
    LogonRefused = 113,
    /// The key is not registered, has ended, or has not signed for itself yet.
    UnknownKey = 114,
    /// The logon names another venue.
    WrongVenue = 115,
    /// The logon's sending time is more than 5 s from the venue's, or before its start.
    SendingTimeOutsideWindow = 116,
    /// Reports as old are not kept.
    ResumeTooOld = 117,
    /// The account has no such report yet.
    ResumeAhead = 118,
    /// A heartbeat interval below 500 ms or above 60 s.
    BadHeartbeatInterval = 119,
    /// Nothing was heard for two heartbeat intervals.
    HeartbeatTimeout = 120,
    /// Too many signatures that are not accepted.
    BadSignatures = 121,
    /// The client does not read what is sent to it.
    SlowReader = 122,
    /// The venue stops.
    ServerStops = 123,
    /// The session has had as many messages as it may; a new one starts at 1.
    SequenceExhausted = 124,
    /// The session takes no orders.
    ReadOnlySession = 125,
    /// No logon came in time.
    LogonTimeout = 126,
    /// A field that does not belong to the operation is not zero.
    UnusedField = 127,

    /// The signature is not accepted.
    BadSignature = 200,
    /// The venue is overloaded.
    Overloaded = 201,
    /// The session has as many requests without an answer as it may.
    TooManyInFlight = 202,
    /// The connection, its address or the key asks too much.
    RateLimited = 203,
    /// The message names another account than the session's.
    WrongAccount = 204,
    /// A message without a time until which it is good.
    ValidUntilMissing = 205,
    /// A message that would be good for more than 60 s.
    ValidUntilTooFar = 206,
    /// A message whose time has come.
    ValidUntilPassed = 207,
    /// The venue does not offer this; not sent in this version.
    NotAvailable = 208,
    /// The nonce was used before.
    NonceUsed = 209,
    /// The key has placed as many orders as it may for now.
    OrderBudget = 210,
    /// The venue stops and takes no more requests.
    ShuttingDown = 211,
    /// No such market.
    UnknownMarket = 212,
    /// There are as many subscriptions as there may be.
    TooManySubscriptions = 213,
    /// Changes as old are not kept.
    GapTooOld = 214,
    /// A range that is empty, too long, or ahead of the market.
    BadRange = 215,
    /// The journal takes no more.
    JournalStopped = 216,
    /// The session's key has ended.
    KeyEnded = 217,
    /// The venue failed; nothing is known of the request.
    Internal = 218,
    /// The engine refused the session's request; the logon was not taken.
    EngineRefused = 219,
}

impl Code {
    /// This face's number for a refusal that the gateway's shared parts make.
    pub const fn of(error: &ApiError) -> Self {
        match error.code {
            -1022 => Self::BadSignature,
            -1008 => Self::Overloaded,
            -1003 => Self::RateLimited,
            -1015 => Self::OrderBudget,
            -1001 => Self::JournalStopped,
            -1100 => Self::BadLength,
            -2010 => Self::NonceUsed,
            -1121 => Self::UnknownMarket,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_lead_back_and_stand_above_the_engines() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert!(lakh_engine::reject::RejectCode::from_number(code.number()).is_none());
            assert!(code.name().len() <= 40, "a name fits the text of a message");
        }
    }

    #[test]
    fn the_engines_numbers_are_the_wires() {
        for (side, number) in Side::ALL {
            assert_eq!(*side as u8, *number);
        }
        for (order_type, number) in OrderType::ALL {
            assert_eq!(*order_type as u8, *number);
            assert_eq!(OrderType::from_wire(*number), Ok(*order_type));
        }
        for (reason, number) in CancelReason::ALL {
            assert_eq!(*reason as u8, *number);
        }
        for (state, number) in MarketState::ALL {
            assert_eq!(*state as u8, *number);
        }
        assert_eq!(Channel::try_from(4), Err(Code::BadEnum));
        assert_eq!(Side::from_wire(2), Err(Code::BadEnum));
    }
}
