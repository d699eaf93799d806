//! What the venue sends, read from the bytes as they come.

use zerocopy::little_endian::U64;

use super::BinaryClientError;
use crate::wire::sbe::enums::Code;
use crate::wire::sbe::market::{
    LevelChanged, LevelEntry, MarketDataAnswer, MarketDefinition, MarketStatus, OrderAdded, OrderDeleted, OrderEntry,
    OrderExecuted, OrderReduced, SnapshotBegin, SnapshotEnd, SnapshotLevels, SnapshotOrders, TradeReported,
};
use crate::wire::sbe::reports::{
    BusinessReject, CancelTimerSet, ExecutionReport, FrameAccepted, FundsChanged, MassCancelAccepted, OperationResult,
    QuoteResult, ReplaceResult, RequestRejected,
};
use crate::wire::sbe::session::{Heartbeat, LogonAccepted, Logout, Reject, TestRequest};
use crate::wire::sbe::{Block, Frame, next_frame};

/// Declares what can come: messages without a group by their name, those with one with their entries.
macro_rules! messages {
    (plain { $($plain:ident,)* } grouped { $($grouped:ident($entry:ident),)* }) => {
        /// A message of the venue.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $(#[doc = concat!("See [`", stringify!($plain), "`].")] $plain($plain),)*
            $(#[doc = concat!("See [`", stringify!($grouped), "`].")] $grouped($grouped, Vec<$entry>),)*
            /// A message that this client does not know, which a later version of the venue may send.
            Unknown {
                /// Which.
                template: u16,
            },
        }

        impl Message {
            /// Reads a frame.
            ///
            /// # Errors
            /// When its lengths do not fit.
            pub fn read(frame: &Frame<'_>) -> Result<Self, Code> {
                match frame.template {
                    $($plain::TEMPLATE => frame.block::<$plain>().map(|block| Self::$plain(*block)),)*
                    $($grouped::TEMPLATE => {
                        Ok(Self::$grouped(*frame.block::<$grouped>()?, frame.entries::<$entry>()?.to_vec()))
                    })*
                    template => Ok(Self::Unknown { template }),
                }
            }
        }
    };
}

messages! {
    plain {
        LogonAccepted, Heartbeat, TestRequest, Logout, Reject, ExecutionReport, RequestRejected, MassCancelAccepted,
        FundsChanged, ReplaceResult, FrameAccepted, OperationResult, QuoteResult, CancelTimerSet, BusinessReject, MarketDefinition,
        MarketDataAnswer, OrderAdded, OrderExecuted, OrderReduced, OrderDeleted, MarketStatus, LevelChanged,
        TradeReported, SnapshotBegin, SnapshotEnd,
    }
    grouped { SnapshotOrders(OrderEntry), SnapshotLevels(LevelEntry), }
}

impl Message {
    /// The account's number of a report, and the number of the request that caused it; `None` for what is no report.
    pub const fn report(&self) -> Option<(U64, U64)> {
        match self {
            Self::ExecutionReport(report) => Some((report.account_sequence, report.request_sequence)),
            Self::RequestRejected(report) => Some((report.account_sequence, report.request_sequence)),
            Self::MassCancelAccepted(report) => Some((report.account_sequence, report.request_sequence)),
            Self::FundsChanged(report) => Some((report.account_sequence, report.request_sequence)),
            Self::ReplaceResult(report) => Some((report.account_sequence, report.request_sequence)),
            Self::FrameAccepted(report) => Some((report.account_sequence, report.request_sequence)),
            Self::OperationResult(report) => Some((report.account_sequence, report.request_sequence)),
            Self::QuoteResult(report) => Some((report.account_sequence, report.request_sequence)),
            Self::CancelTimerSet(report) => Some((report.account_sequence, report.request_sequence)),
            _ => None,
        }
    }
}

/// Bytes that came and are not read yet.
#[derive(Debug)]
pub struct Incoming {
    bytes: Vec<u8>,
    read: usize,
    last: u64,
}

impl Incoming {
    /// Nothing came yet.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), read: 0, last: 0 }
    }

    /// Takes in bytes as they came.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.bytes.drain(..self.read);
            self.read = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if it is all there.
    ///
    /// # Errors
    /// [`BinaryClientError::Unreadable`], [`BinaryClientError::Gap`].
    pub fn next_message(&mut self) -> Result<Option<Message>, BinaryClientError> {
        let Some(frame) = self.next_frame()? else { return Ok(None) };
        Message::read(&frame).map(Some).map_err(BinaryClientError::Unreadable)
    }

    /// The next message as it lies, if it is all there: for whoever reads so many that each copy counts.
    ///
    /// # Errors
    /// As [`Self::next_message`].
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, BinaryClientError> {
        let frame = next_frame(&self.bytes[self.read..]).map_err(BinaryClientError::Unreadable)?;
        let Some(frame) = frame else { return Ok(None) };
        self.read += frame.bytes.len();
        let number = frame.body().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if number != self.last + 1 {
            return Err(BinaryClientError::Gap { last: self.last, found: number });
        }
        self.last = number;
        Ok(Some(frame))
    }
}

impl Default for Incoming {
    fn default() -> Self {
        Self::new()
    }
}
